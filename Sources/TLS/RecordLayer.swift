// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// The record protocol of TLS 1.3 after the handshake, without OpenSSL's `SSL` (RFC 8446 §5).
///
/// Keys, vectors, secrets and numbers as plain values in one allocation. What arrived of a record
/// that is not whole is kept as long as there is one.
struct RecordLayer {
    /// Bytes of a record's header.
    static let headerBytes = 5
    /// Bytes of plaintext in one record at most (RFC 8446 §5.1).
    static let plainBytesMax = 16_384
    /// Bytes of a protected record behind its header at most (RFC 8446 §5.2).
    static let bodyBytesMax = plainBytesMax + 256
    /// What sealing adds to a plaintext: header, type and tag.
    static let overheadBytes = headerBytes + 1 + RecordSuite.tagBytes

    let suite: RecordSuite
    var reading: TrafficKey
    var writing: TrafficKey
    /// The beginning of a record that is not whole yet.
    var part: UnsafeMutablePointer<UInt8>?
    var partCount = 0
    /// Bytes of the KeyUpdate in progress (RFC 8446 §4.6.3), which records may cut.
    var keyUpdateCount: UInt8 = 0
    /// The peer asked for new keys of ours, in its input of this turn.
    var owesKeyUpdate = false
    /// We have said close_notify or a fatal alert: nothing may follow.
    var isWriteClosed = false
    /// The peer has said close_notify.
    var isReadClosed = false
    /// Why it failed, as an alert's number.
    var failure: Alert?

    /// A fatal alert (RFC 8446 §6.2).
    enum Alert: UInt8 {
        case unexpectedMessage = 10
        case badRecordMAC = 20
        case recordOverflow = 22
        case illegalParameter = 47
        case decodeError = 50
        case internalError = 80
        /// Not sent: the peer said it.
        case byPeer = 255

        /// In words, as the access line has them.
        var reason: String {
            switch self {
            case .unexpectedMessage: "unexpected message"
            case .badRecordMAC: "bad record mac"
            case .recordOverflow: "record overflow"
            case .illegalParameter: "illegal parameter"
            case .decodeError: "decode error"
            case .internalError: "internal error"
            case .byPeer: "alert of the peer"
            }
        }
    }

    /// Bytes of a KeyUpdate: type, length of 24 bits, and whether one is asked for in return.
    static let keyUpdateBytes = 5
    private static let keyUpdateType: UInt8 = 24

    /// Makes the layer of a session whose secrets are given.
    ///
    /// The secrets are copied; `sequences` are the numbers of the next records.
    ///
    /// - Returns: nil when OpenSSL can't derive keys.
    static func make(
        _ suite: RecordSuite, secrets: (reading: UnsafeRawPointer, writing: UnsafeRawPointer),
        sequences: (reading: UInt64, writing: UInt64), _ ciphers: RecordCiphers
    ) -> UnsafeMutablePointer<RecordLayer>? {
        let size = MemoryLayout<RecordLayer>.stride
        guard let memory = calloc(1, size + 2 * TrafficKey.byteCount) else { return nil }
        let layer = memory.bindMemory(to: RecordLayer.self, capacity: 1)
        let keys = (memory + size).bindMemory(to: UInt8.self, capacity: 2 * TrafficKey.byteCount)
        memcpy(keys, secrets.reading, suite.secretBytes)
        memcpy(keys + TrafficKey.byteCount, secrets.writing, suite.secretBytes)
        layer.initialize(
            to: RecordLayer(
                suite: suite, reading: TrafficKey(bytes: keys, sequence: sequences.reading),
                writing: TrafficKey(
                    bytes: keys + TrafficKey.byteCount, sequence: sequences.writing)))
        guard layer.pointee.reading.derive(suite, number: ciphers.nextKeyNumber()),
            layer.pointee.writing.derive(suite, number: ciphers.nextKeyNumber())
        else {
            destroy(layer, ciphers)
            return nil
        }
        return layer
    }

    /// Wipes and frees it.
    static func destroy(_ layer: UnsafeMutablePointer<RecordLayer>, _ ciphers: RecordCiphers) {
        ciphers.forget(layer.pointee.reading, layer.pointee.suite)
        ciphers.forget(layer.pointee.writing, layer.pointee.suite)
        OPENSSL_cleanse(layer.pointee.reading.bytes, 2 * TrafficKey.byteCount)
        Glibc.free(layer.pointee.part)
        layer.deinitialize(count: 1)
        Glibc.free(layer)
    }

    /// Seals bytes into the window's output.
    ///
    /// - Returns: false when nothing may be sent any more, or the output has no room.
    mutating func write(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ buffers: RecordBuffers
    ) -> Bool {
        let records = (count &+ (Self.plainBytesMax &- 1)) / Self.plainBytesMax
        let room = buffers.window.pointee.outputCapacity &- buffers.window.pointee.outputCount
        // One more record's room: new keys may have to be announced between two.
        if isWriteClosed || count &+ (records &+ 2) &* Self.overheadBytes > room { return false }
        var at = 0
        while at < count {
            let piece = min(count &- at, Self.plainBytesMax)
            if writing.sequence >= suite.recordsPerKeyMax && !updateWriting(buffers) {
                return false
            }
            if !seal(.applicationData, bytes + at, count: piece, buffers) { return false }
            at &+= piece
        }
        return true
    }

    /// Seals one record; the output has room.
    private mutating func seal(
        _ type: RecordType, _ bytes: UnsafePointer<UInt8>, count: Int, _ buffers: RecordBuffers
    ) -> Bool {
        let window = buffers.window
        let end = window.pointee.output + window.pointee.outputCount
        guard
            let made = buffers.ciphers.seal(
                type.rawValue, bytes, count: count, &writing, suite, into: end)
        else {
            ERR_clear_error()
            isWriteClosed = true
            return false
        }
        window.pointee.outputCount &+= made
        return true
    }

    /// Seals a short message of our own, if there is room.
    private mutating func say(
        _ type: RecordType, _ message: (UInt8, UInt8, UInt8, UInt8, UInt8), count: Int,
        _ buffers: RecordBuffers
    ) -> Bool {
        let room = buffers.window.pointee.outputCapacity &- buffers.window.pointee.outputCount
        if isWriteClosed || count &+ Self.overheadBytes > room { return false }
        return withUnsafeBytes(of: message) { bytes in
            guard let start = bytes.bindMemory(to: UInt8.self).baseAddress else { return false }
            return seal(type, start, count: count, buffers)
        }
    }

    /// Announces new keys of ours and takes them (RFC 8446 §4.6.3).
    private mutating func updateWriting(_ buffers: RecordBuffers) -> Bool {
        guard say(.handshake, (Self.keyUpdateType, 0, 0, 1, 0), count: 5, buffers),
            writing.update(suite, buffers.ciphers)
        else {
            isWriteClosed = true
            return false
        }
        return true
    }

    /// Says close_notify, once (RFC 8446 §6.1).
    mutating func closeNotify(_ buffers: RecordBuffers) {
        if say(.alert, (1, 0, 0, 0, 0), count: 2, buffers) { isWriteClosed = true }
    }

    /// Ends the session for a fault of the peer's, and tells it.
    mutating func fail(_ alert: Alert, _ buffers: RecordBuffers) {
        failure = alert
        if alert != .byPeer { _ = say(.alert, (2, alert.rawValue, 0, 0, 0), count: 2, buffers) }
        isWriteClosed = true
    }

    /// What a record without application data was about; false when it was against the rules.
    mutating func take(
        _ type: RecordType, _ bytes: UnsafePointer<UInt8>, count: Int, _ buffers: RecordBuffers
    ) -> Bool {
        if type == .alert {
            guard count == 2 else {
                fail(.decodeError, buffers)
                return false
            }
            // user_canceled says nothing by itself: a close_notify follows it (RFC 8446 §6.1).
            if bytes[1] == 90 { return true }
            if bytes[1] == 0 { isReadClosed = true } else { fail(.byPeer, buffers) }
            return bytes[1] == 0
        }
        // Nothing but a KeyUpdate is expected of a client, and it ends its record.
        let expected: (UInt8, UInt8, UInt8, UInt8) = (Self.keyUpdateType, 0, 0, 1)
        guard count > 0, Int(keyUpdateCount) + count <= Self.keyUpdateBytes else {
            fail(.unexpectedMessage, buffers)
            return false
        }
        for index in 0..<count {
            let isRight: Bool
            switch keyUpdateCount {
            case 0: isRight = bytes[index] == expected.0
            case 1: isRight = bytes[index] == expected.1
            case 2: isRight = bytes[index] == expected.2
            case 3: isRight = bytes[index] == expected.3
            default:
                isRight = bytes[index] <= 1
                if bytes[index] == 1 { owesKeyUpdate = true }
            }
            if !isRight {
                let isType = keyUpdateCount == 0
                fail(
                    isType
                        ? .unexpectedMessage
                        : keyUpdateCount == 4 ? .illegalParameter : .decodeError, buffers)
                return false
            }
            keyUpdateCount += 1
        }
        guard Int(keyUpdateCount) == Self.keyUpdateBytes else { return true }
        keyUpdateCount = 0
        guard reading.update(suite, buffers.ciphers) else {
            fail(.internalError, buffers)
            return false
        }
        return true
    }

    /// Answers the peer's wish for new keys, once for all that asked in this turn.
    mutating func payKeyUpdate(_ buffers: RecordBuffers) {
        guard owesKeyUpdate else { return }
        owesKeyUpdate = false
        if !isWriteClosed { _ = updateWriting(buffers) }
    }
}
