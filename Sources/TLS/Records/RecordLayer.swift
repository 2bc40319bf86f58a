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
    /// Bits that count the bytes of plaintext in one record, unless less was agreed.
    static let plainBits: UInt8 = 14
    /// Bytes of plaintext in one record at most (RFC 8446 §5.1).
    static let plainBytesMax = 1 << Int(plainBits)
    /// Bytes of a protected record behind its header at most (RFC 8446 §5.2).
    static let bodyBytesMax = plainBytesMax + 256
    /// What sealing adds to a plaintext: header, type and tag.
    static let overheadBytes = headerBytes + 1 + RecordSuite.tagBytes

    // What each record touches stands in the first cache line; the keys follow behind the last field.

    let suite: RecordSuite
    /// Bits that count the bytes of content in one record, of either side's: 9 to 14.
    let fragmentBits: UInt8
    /// Bytes of the KeyUpdate in progress (RFC 8446 §4.6.3), which records may cut.
    var keyUpdateCount: UInt8 = 0
    /// This end is the client, to which tickets may come at any time (RFC 8446 §4.6.1).
    var isOfClient = false
    /// Bytes of the header of the ticket in progress: 4 for all; 0 where none is.
    var ticketHeaderCount: UInt8 = 0
    /// The peer asked for new keys of ours, in its input of this turn.
    var owesKeyUpdate = false
    /// We have said close_notify or a fatal alert: nothing may follow.
    var isWriteClosed = false
    /// The peer has said close_notify.
    var isReadClosed = false
    var reading: TrafficKey
    var writing: TrafficKey
    /// The beginning of a record that is not whole yet.
    var part: UnsafeMutablePointer<UInt8>?
    var partCount = 0
    /// Bytes of the ticket in progress that are still to come, once its header is whole.
    var ticketBytesLeft: UInt32 = 0
    /// Why it failed, as an alert's number.
    var failure: Alert?
    /// The alert that the peer has sent, where that is why.
    var peerAlert: UInt8 = 0

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
    private static let ticketType: UInt8 = 4
    private static let handshakeHeaderBytes: UInt8 = 4
    /// Bytes of a ticket's message at most: each of its vectors as long as it may be.
    private static let ticketBytesMax: UInt32 = 1 << 18
    /// Whether a message of the handshake protocol is half read, which nothing else may interrupt.
    var isWithinMessage: Bool { keyUpdateCount > 0 || ticketHeaderCount > 0 }

    /// Bytes of content in one record at most, of either side's.
    var fragmentBytesMax: Int { 1 &<< Int(fragmentBits) }

    /// Makes the layer of a session whose secrets are given.
    ///
    /// The secrets are copied; records have at most 2^`fragmentBits` bytes of content; `sequences` are the numbers of the next records.
    ///
    /// - Returns: nil when OpenSSL can't derive keys.
    static func make(
        _ suite: RecordSuite, fragmentBits: UInt8 = plainBits,
        secrets: (reading: UnsafeRawPointer, writing: UnsafeRawPointer),
        sequences: (reading: UInt64, writing: UInt64), _ ciphers: RecordCiphers
    ) -> UnsafeMutablePointer<RecordLayer>? {
        let size = MemoryLayout<RecordLayer>.stride
        guard let memory = LayerPlaces.take() else { return nil }
        let layer = memory.bindMemory(to: RecordLayer.self, capacity: 1)
        let keys = (memory + size).bindMemory(to: UInt8.self, capacity: TrafficKey.pairBytes)
        layer.initialize(
            to: RecordLayer(
                suite: suite, fragmentBits: fragmentBits,
                reading: TrafficKey(bytes: keys, sequence: sequences.reading),
                writing: TrafficKey(
                    bytes: keys + TrafficKey.hotBytes, sequence: sequences.writing)))
        memcpy(layer.pointee.reading.secret, secrets.reading, suite.secretBytes)
        memcpy(layer.pointee.writing.secret, secrets.writing, suite.secretBytes)
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
        OPENSSL_cleanse(layer.pointee.reading.bytes, TrafficKey.pairBytes)
        Glibc.free(layer.pointee.part)
        layer.deinitialize(count: 1)
        LayerPlaces.giveBack(layer)
    }

    /// Seals bytes into the window's output.
    ///
    /// - Returns: false when nothing may be sent any more, or the output has no room.
    mutating func write(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ buffers: RecordBuffers
    ) -> Bool {
        let fragmentMax = fragmentBytesMax
        let records = (count &+ (fragmentMax &- 1)) &>> Int(fragmentBits)
        let room = buffers.window.pointee.outputCapacity &- buffers.window.pointee.outputCount
        // One more record's room: new keys may have to be announced between two.
        if isWriteClosed || count &+ (records &+ 2) &* Self.overheadBytes > room { return false }
        var at = 0
        while at < count {
            let piece = min(count &- at, fragmentMax)
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

    /// What a record without application data was about.
    mutating func take(
        _ type: RecordType, _ bytes: UnsafePointer<UInt8>, count: Int, _ buffers: RecordBuffers
    ) {
        // An alert or a handshake message has at least a byte in each of its records (RFC 8446 §5.4).
        if count == 0 {
            fail(.unexpectedMessage, buffers)
        } else if type == .alert {
            takeAlert(bytes, count: count, buffers)
        } else {
            takeHandshake(bytes, count: count, buffers)
        }
    }

    /// Alerts are neither cut nor put together (RFC 8446 §5.1), and their level says nothing (§6).
    private mutating func takeAlert(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ buffers: RecordBuffers
    ) {
        guard count == 2 else {
            fail(.decodeError, buffers)
            return
        }
        switch bytes[1] {
        case 0: isReadClosed = true
        // user_canceled says nothing by itself: a close_notify follows it (RFC 8446 §6.1).
        case 90: break
        // Every other one is an error, also those that nobody knows (RFC 8446 §6.2).
        default:
            peerAlert = bytes[1]
            fail(.byPeer, buffers)
        }
    }

    /// Skips what is a ticket's, of which no session makes use that has left OpenSSL's object.
    ///
    /// - Returns: how many bytes that were.
    private mutating func skipTicket(_ bytes: UnsafePointer<UInt8>, count: Int) -> Int {
        if keyUpdateCount > 0 || ticketHeaderCount == 0 && bytes[0] != Self.ticketType { return 0 }
        var at = 0
        while at < count && ticketHeaderCount < Self.handshakeHeaderBytes {
            // The type, then a length of 24 bits.
            ticketBytesLeft = ticketHeaderCount == 0 ? 0 : ticketBytesLeft << 8 | UInt32(bytes[at])
            ticketHeaderCount += 1
            at += 1
        }
        guard ticketHeaderCount == Self.handshakeHeaderBytes else { return at }
        let skipped = min(Int(ticketBytesLeft), count - at)
        ticketBytesLeft -= UInt32(skipped)
        if ticketBytesLeft == 0 { ticketHeaderCount = 0 }
        return at + skipped
    }

    /// Nothing but a KeyUpdate is expected of a client, and of a server a ticket too; a KeyUpdate ends its
    /// record (RFC 8446 §4.6, §5.1).
    private mutating func takeHandshake(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ buffers: RecordBuffers
    ) {
        var at = 0
        while isOfClient && at < count {
            let skipped = skipTicket(bytes + at, count: count - at)
            if skipped == 0 { break }
            at += skipped
            if ticketBytesLeft > Self.ticketBytesMax {
                fail(.decodeError, buffers)
                return
            }
        }
        for index in at..<count {
            let fault: Alert?
            switch keyUpdateCount {
            case 0: fault = bytes[index] == Self.keyUpdateType ? nil : .unexpectedMessage
            case 1, 2: fault = bytes[index] == 0 ? nil : .decodeError
            case 3: fault = bytes[index] == 1 ? nil : .decodeError
            case 4:
                fault = bytes[index] <= 1 ? nil : .illegalParameter
                if bytes[index] == 1 { owesKeyUpdate = true }
            // The keys change behind it, which no record may span (RFC 8446 §5.1).
            default: fault = .unexpectedMessage
            }
            if let fault {
                fail(fault, buffers)
                return
            }
            keyUpdateCount += 1
        }
        guard Int(keyUpdateCount) == Self.keyUpdateBytes else { return }
        keyUpdateCount = 0
        if !reading.update(suite, buffers.ciphers) { fail(.internalError, buffers) }
    }

    /// Answers the peer's wish for new keys, once for all that asked in this turn.
    mutating func payKeyUpdate(_ buffers: RecordBuffers) {
        guard owesKeyUpdate else { return }
        owesKeyUpdate = false
        if !isWriteClosed { _ = updateWriting(buffers) }
    }
}
