// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc
public import Serialization

/// A session as fields, once it has left OpenSSL's object: keys, numbers and what came of a record that is not whole.
///
/// Whoever reads them seals the next record with the next number. So the session that they were taken from must never
/// seal one again: a nonce that is used twice gives the key away (RFC 8446 §5.3, RFC 5116 §5.1.1).
extension TLSSession {
    private enum Number {
        static let suite: UInt16 = 1
        static let fragmentBits: UInt16 = 2
        static let reading: UInt16 = 3
        static let writing: UInt16 = 4
        static let part: UInt16 = 5
        static let keyUpdateCount: UInt16 = 6
        static let owesKeyUpdate: UInt16 = 7
        static let quietRecordCredit: UInt16 = 8
        static let isOfClient: UInt16 = 9
        static let ticketHeaderCount: UInt16 = 10
        static let ticketBytesLeft: UInt16 = 11
    }

    /// Whether it can be written: it has left OpenSSL's object, nothing has ended or failed, and no record of it waits.
    public var canTravel: Bool {
        guard let layer, !hasRecordsAside else { return false }
        return !layer.pointee.isWriteClosed && !layer.pointee.isReadClosed
            && layer.pointee.failure == nil
    }

    /// Writes all that another session needs to go on, and gives this one up: its keys are overwritten, and nothing can
    /// be read or written by it any more.
    ///
    /// `canTravel` holds.
    public mutating func moveOut(to writer: inout FieldWriter) {
        precondition(canTravel, "a session moves that can't")
        guard let layer else { return }
        writer.put(Number.suite, layer.pointee.suite.rawValue)
        writer.put(Number.fragmentBits, layer.pointee.fragmentBits)
        writer.part(Number.reading) { layer.pointee.reading.write(to: &$0, layer.pointee.suite) }
        writer.part(Number.writing) { layer.pointee.writing.write(to: &$0, layer.pointee.suite) }
        let part = UnsafeRawBufferPointer(
            start: layer.pointee.part, count: layer.pointee.partCount)
        writer.put(Number.part, bytes: part)
        writer.put(Number.keyUpdateCount, layer.pointee.keyUpdateCount)
        writer.put(Number.owesKeyUpdate, layer.pointee.owesKeyUpdate)
        writer.put(Number.quietRecordCredit, quietRecordCredit)
        if layer.pointee.isOfClient {
            // A build that knows servers' sessions alone would take a ticket for a fault.
            writer.put(Number.isOfClient, true)
            writer.put(Number.ticketHeaderCount, layer.pointee.ticketHeaderCount)
            writer.put(Number.ticketBytesLeft, layer.pointee.ticketBytesLeft)
        }
        self.layer = nil
        RecordLayer.destroy(layer, buffers.ciphers)
    }

    /// Goes on where another session stood.
    ///
    /// - Parameters:
    ///   - reader: what `moveOut` wrote.
    ///   - buffers: what it reads and writes through from now on.
    /// - Throws: `FieldFault`, also where memory is short (`malformed`).
    public init(
        _ reader: inout FieldReader, through buffers: RecordBuffers
    ) throws(FieldFault) {
        let layer = try RecordLayer.make(
            &reader, suite: Number.suite, fragmentBits: Number.fragmentBits,
            keys: (reading: Number.reading, writing: Number.writing), part: Number.part,
            buffers.ciphers)
        do throws(FieldFault) {
            layer.pointee.keyUpdateCount = try reader.integer(Number.keyUpdateCount)
            layer.pointee.owesKeyUpdate = try reader.flag(Number.owesKeyUpdate)
            guard Int(layer.pointee.keyUpdateCount) < RecordLayer.keyUpdateBytes else {
                throw .outOfRange(Number.keyUpdateCount)
            }
            if reader.has(Number.isOfClient) {
                layer.pointee.isOfClient = try reader.flag(Number.isOfClient)
                layer.pointee.ticketHeaderCount = try reader.integer(Number.ticketHeaderCount)
                layer.pointee.ticketBytesLeft = try reader.integer(Number.ticketBytesLeft)
                guard layer.pointee.ticketHeaderCount <= 4 else {
                    throw .outOfRange(Number.ticketHeaderCount)
                }
            }
            let credit: Int32 = try reader.integer(Number.quietRecordCredit)
            try reader.finish()
            self.init(adopting: layer, through: buffers, quietRecordCredit: credit)
        } catch {
            RecordLayer.destroy(layer, buffers.ciphers)
            throw error
        }
    }
}

extension RecordLayer {
    /// A layer by the fields of a session; the numbers are those of its fields.
    fileprivate static func make(
        _ reader: inout FieldReader, suite suiteNumber: UInt16, fragmentBits bitsNumber: UInt16,
        keys: (reading: UInt16, writing: UInt16), part partNumber: UInt16,
        _ ciphers: RecordCiphers
    ) throws(FieldFault) -> UnsafeMutablePointer<RecordLayer> {
        guard let suite = RecordSuite(rawValue: try reader.integer(suiteNumber)) else {
            throw .outOfRange(suiteNumber)
        }
        let bits: UInt8 = try reader.integer(bitsNumber)
        guard (9...plainBits).contains(bits) else { throw .outOfRange(bitsNumber) }
        var reading = try reader.part(keys.reading)
        var writing = try reader.part(keys.writing)
        let (readSecret, readSequence) = try TrafficKey.read(&reading, suite)
        let (writeSecret, writeSequence) = try TrafficKey.read(&writing, suite)
        let part = try reader.bytes(partNumber)
        guard part.count < headerBytes + bodyBytesMax else { throw .outOfRange(partNumber) }
        guard let readStart = readSecret.baseAddress, let writeStart = writeSecret.baseAddress,
            let layer = make(
                suite, fragmentBits: bits, secrets: (reading: readStart, writing: writeStart),
                sequences: (reading: readSequence, writing: writeSequence), ciphers)
        else { throw .malformed }
        guard !part.isEmpty else { return layer }
        // As long as the record will be, where its header says so: `fill` takes it for that.
        let size =
            part.count < headerBytes
            ? headerBytes : max(part.count, headerBytes + (Int(part[3]) << 8 | Int(part[4])))
        guard let memory = malloc(size), let start = part.baseAddress else {
            destroy(layer, ciphers)
            throw .malformed
        }
        memcpy(memory, start, part.count)
        layer.pointee.part = memory.bindMemory(to: UInt8.self, capacity: size)
        layer.pointee.partCount = part.count
        return layer
    }
}

extension TrafficKey {
    private enum Number {
        static let secret: UInt16 = 1
        static let sequence: UInt16 = 2
    }

    /// Writes the secret, from which key and vector follow, and the number of the next record.
    fileprivate func write(to writer: inout FieldWriter, _ suite: RecordSuite) {
        writer.put(
            Number.secret, bytes: UnsafeRawBufferPointer(start: secret, count: suite.secretBytes))
        writer.put(Number.sequence, sequence)
    }

    /// Reads a secret, `RecordSuite.secretBytes` long, and the number of the next record.
    fileprivate static func read(
        _ reader: inout FieldReader, _ suite: RecordSuite
    ) throws(FieldFault) -> (secret: UnsafeRawBufferPointer, sequence: UInt64) {
        let secret = try reader.bytes(Number.secret)
        guard secret.count == suite.secretBytes else { throw .outOfRange(Number.secret) }
        let sequence: UInt64 = try reader.integer(Number.sequence)
        try reader.finish()
        return (secret, sequence)
    }
}
