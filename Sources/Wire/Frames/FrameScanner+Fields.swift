// SPDX-License-Identifier: Apache-2.0
public import Serialization

/// A scanner as fields: all that it has seen, so that another reactor or process goes on where it stands.
///
/// Where it counts (`tally`) is not among them: that belongs to the reactor.
extension FrameScanner {
    private enum Number {
        static let sender: UInt16 = 1
        static let reservedBits: UInt16 = 2
        static let messageBytesMax: UInt16 = 3
        static let fragmentsMax: UInt16 = 4
        static let outstanding: UInt16 = 5
        static let messageBytes: UInt16 = 6
        static let dataMessagesBegunToEnd: UInt16 = 7
        static let declaredPayloadBytes: UInt16 = 8
        static let frames: UInt16 = 9
        static let framesMax: UInt16 = 10
        static let fragments: UInt16 = 11
        static let closeCode: UInt16 = 12
        static let passing: UInt16 = 13
        static let messageOpcode: UInt16 = 14
        static let place: UInt16 = 15
        static let kind: UInt16 = 16
    }

    /// Writes where it stands, and the limits that it keeps.
    public func write(to writer: inout FieldWriter) {
        writer.put(Number.sender, maskBit != 0 ? Sender.client.rawValue : Sender.server.rawValue)
        writer.put(Number.reservedBits, reservedBitsAllowed)
        writer.put(Number.messageBytesMax, messageBytesMax)
        writer.put(Number.fragmentsMax, fragmentsMax)
        writer.put(Number.outstanding, outstanding)
        writer.put(Number.messageBytes, messageBytes)
        writer.put(Number.dataMessagesBegunToEnd, dataMessagesBegunToEnd)
        writer.put(Number.declaredPayloadBytes, declaredPayloadBytes)
        writer.put(Number.frames, frames)
        writer.put(Number.framesMax, framesMax)
        writer.put(Number.fragments, fragments)
        writer.put(Number.closeCode, closeCode)
        writer.put(Number.passing, passing)
        writer.put(Number.messageOpcode, messageOpcode)
        writer.put(Number.place, place.rawValue)
        writer.put(Number.kind, kind.rawValue)
    }

    /// Goes on where another scanner stood.
    ///
    /// - Parameters:
    ///   - reader: what `write` wrote.
    ///   - tally: where it is counted what passes from now on, as in the other initialiser.
    /// - Throws: `FieldFault` where a field is missing or holds what it can't hold.
    public init(
        _ reader: inout FieldReader, tally: FrameTally.Cells? = nil
    ) throws(FieldFault) {
        guard let sender = Sender(rawValue: try reader.integer(Number.sender)) else {
            throw .outOfRange(Number.sender)
        }
        self.init(
            sender: sender, reservedBits: try reader.integer(Number.reservedBits),
            messageBytesMax: try reader.integer(Number.messageBytesMax),
            fragmentsMax: try reader.integer(Number.fragmentsMax), tally: tally)
        outstanding = try reader.integer(Number.outstanding)
        messageBytes = try reader.integer(Number.messageBytes)
        dataMessagesBegunToEnd = try reader.integer(Number.dataMessagesBegunToEnd)
        declaredPayloadBytes = try reader.integer(Number.declaredPayloadBytes)
        frames = try reader.integer(Number.frames)
        framesMax = try reader.integer(Number.framesMax)
        fragments = try reader.integer(Number.fragments)
        closeCode = try reader.integer(Number.closeCode)
        passing = try reader.integer(Number.passing)
        messageOpcode = try reader.integer(Number.messageOpcode)
        guard let place = Place(rawValue: try reader.integer(Number.place)) else {
            throw .outOfRange(Number.place)
        }
        guard let kind = Kind(rawValue: try reader.integer(Number.kind)) else {
            throw .outOfRange(Number.kind)
        }
        self.place = place
        self.kind = kind
        try reader.finish()
    }
}
