// SPDX-License-Identifier: Apache-2.0
import Reactor
import Tap
import Wire

/// Connections on which messages are compressed (permessage-deflate, RFC 7692).
///
/// Each message is compressed by itself, so that all connections of a thread share one deflater and one inflater.
extension LoadLoop {
    /// Sends messages as far as the mode allows and the socket takes them; false when the connection is gone.
    mutating func sendDeflated(_ client: ClientPointer, _ token: Token) -> Bool {
        while client.pointee.phase == .open, !isBlocked(client),
            client.pointee.sent < allowance(client)
        {
            beginMessage(client, isFirst: true)
            let marker = FrameMarker(
                sequence: client.pointee.sent &- 1, connection: client.pointee.number)
            let content = template.plain(marker, size: client.pointee.sentSize)
            let opcode: Opcode = plan.message.isText ? .text : .binary
            guard sendMessage(content, opcode, client, token) else { return false }
        }
        return true
    }

    /// Counts a whole message where it is what comes next; false when the connection is gone.
    mutating func endDeflated(_ client: ClientPointer, _ token: Token) -> Bool {
        let index = client.pointee.answered
        let marker = FrameMarker(sequence: index, connection: client.pointee.number)
        let size = template.size(of: marker)
        let isSame = client.pointee.pushed.withUnsafeBufferPointer { bytes in
            guard bytes.count == size, index < client.pointee.sent else { return false }
            guard let start = bytes.baseAddress else { return size == 0 }
            return template.matches(start, offset: 0, count: size, marker: marker, size: size)
        }
        client.pointee.pushed.removeAll(keepingCapacity: true)
        guard isSame else {
            return fail(client, token, .content, "a message came back altered, or somebody else's")
        }
        client.pointee.answered = index &+ 1
        meter.pointee.countReceived()
        noteLatency(client, index, size)
        return true
    }

    /// Inflates the message that has come; false where it can't be.
    mutating func inflate(_ client: ClientPointer) -> Bool {
        guard client.pointee.isCompressed else { return true }
        client.pointee.isCompressed = false
        inflater.reset()
        let bytes = client.pointee.pushed
        guard
            let inflated = try? inflater.inflate(
                bytes, isFinal: true, keeping: Self.inflatedBytesMax),
            inflated.count == UInt64(inflated.bytes.count)
        else { return false }
        client.pointee.pushed = inflated.bytes
        return true
    }

    /// Bytes that a message may become.
    private static let inflatedBytesMax = 16 << 20
}
