// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// What became of the wish to go on without OpenSSL's object.
public enum ReleaseOutcome: Sendable {
    /// It is freed; the session goes on as before.
    case released
    /// A record is half read: it may be asked again.
    case notNow
    /// This session needs it: TLS 1.2, or keys that changed already.
    case never
}

extension TLSSession {
    /// Whether this OpenSSL shows what a session needs to go on without its object: looked for in a few
    /// handshakes in memory when the process first asks.
    public static var canReleaseOpenSSL: Bool { releaseFault == nil }

    /// Why no session can go on without its object, as a sentence without its end; nil where they can.
    public static var releaseFault: String? { TrafficSecretLayout.fault }

    /// Leaves OpenSSL's object before anybody asks, if the session is busy and the reactor wants it.
    mutating func releaseIfBusy() {
        guard tally.isBusy, buffers.window.pointee.releasesBusy else { return }
        if case .never = releaseOpenSSL() { tally.countAsQuiet() }
    }

    /// Has OpenSSL take new keys for what this end seals, with the next record, when those in use have
    /// sealed as many records as they should (RFC 8446 §5.5): OpenSSL 3.0 does not do it by itself.
    ///
    /// The session stays OpenSSL's then, as any whose keys have changed.
    mutating func renewWritingKeys(_ ssl: OpaquePointer) {
        guard tally.writtenCount >= RecordTally.recordsPerKeyMax,
            SSL_version(ssl) == Int32(TLSVersion.tls13.rawValue),
            SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1
        else { return }
        tally.beginWritingKeys()
    }

    /// What `readAll` does for a busy session that is still OpenSSL's.
    ///
    /// Of a peer that sends all the time, a record is mostly half read. So OpenSSL gets the rest of it and
    /// no more, and what follows is read without it.
    mutating func readBusily(
        into bytes: UnsafeMutablePointer<UInt8>, capacity: Int
    ) -> ReadOutcome {
        let window = buffers.window
        let rest = tally.recordBytesLeft
        var first = ReadOutcome(count: 0, status: .open)
        if rest > 0 && rest < window.pointee.inputCount {
            let kept = window.pointee.inputCount &- rest
            window.pointee.inputCount = rest
            first = readByOpenSSL(into: bytes, capacity: capacity)
            window.pointee.inputCount &+= kept
            if first.status != .open { return first }
        }
        releaseIfBusy()
        let (place, room) = (bytes + first.count, capacity &- first.count)
        let second =
            if let layer { readDirectly(layer, into: place, capacity: room) } else {
                readByOpenSSL(into: place, capacity: room)
            }
        return ReadOutcome(count: first.count &+ second.count, status: second.status)
    }

    /// Frees OpenSSL's `SSL` and goes on by the traffic keys alone: some 13 kB less.
    ///
    /// For TLS 1.3, on either side, and nothing that the peer can notice. `facts()` tells
    /// nothing any more afterwards.
    public mutating func releaseOpenSSL() -> ReleaseOutcome {
        guard let layout = TrafficSecretLayout.learned else { return .never }
        return releaseOpenSSL(layout)
    }

    /// The same by a given layout.
    mutating func releaseOpenSSL(_ layout: TrafficSecretLayout) -> ReleaseOutcome {
        guard let ssl else { return .released }
        guard SSL_is_init_finished(ssl) == 1 else { return .notNow }
        let isServer = SSL_is_server(ssl) == 1
        guard SSL_version(ssl) == Int32(TLSVersion.tls13.rawValue),
            isServer || tally.isOfClient && layout.isForClients, SSL_get_shutdown(ssl) == 0,
            !tally.isUncertain,
            let cipher = SSL_get_current_cipher(ssl),
            let suite = RecordSuite(number: SSL_CIPHER_get_protocol_id(cipher))
        else { return .never }
        guard tally.isAtBorder, SSL_has_pending(ssl) == 0 else { return .notNow }
        let memory = UnsafeRawPointer(ssl)
        let made = RecordLayer.make(
            suite, fragmentBits: Self.fragmentBits(ssl),
            secrets: (
                reading: memory + (isServer ? layout.client : layout.server),
                writing: memory + (isServer ? layout.server : layout.client)
            ),
            sequences: (
                reading: UInt64(tally.readCount), writing: UInt64(tally.writtenCount)
            ), buffers.ciphers)
        guard let made else {
            ERR_clear_error()
            return .never
        }
        made.pointee.isOfClient = !isServer
        layer = made
        Self.free(ssl)
        self.ssl = nil
        buffers.window.pointee.releasedCount &+= 1
        return .released
    }

    /// How many bits count the bytes of one record's content at most, as the handshake has agreed
    /// (max_fragment_length, RFC 6066 §4: codes 1 to 4 are 2^9 to 2^12).
    ///
    /// It is all that a handshake like ours can agree about records: OpenSSL 3.0 knows no
    /// record_size_limit (RFC 8449), and what is not offered or not answered to does not hold.
    private static func fragmentBits(_ ssl: OpaquePointer) -> UInt8 {
        let code = SSL_get_session(ssl).map { SSL_SESSION_get_max_fragment_length($0) } ?? 0
        return (1...4).contains(code) ? 8 + code : RecordLayer.plainBits
    }

    /// What `readAll` does once OpenSSL's object is gone.
    mutating func readDirectly(
        _ layer: UnsafeMutablePointer<RecordLayer>, into bytes: UnsafeMutablePointer<UInt8>,
        capacity: Int
    ) -> ReadOutcome {
        let opened = layer.pointee.readAll(into: bytes, capacity: capacity, buffers)
        if !spendCredit(data: opened.dataRecords, quiet: opened.quietRecords),
            layer.pointee.failure == nil
        {
            layer.pointee.fail(.unexpectedMessage, buffers)
        }
        let status: ReadOutcome.Status =
            layer.pointee.failure != nil ? .failed : layer.pointee.isReadClosed ? .closed : .open
        return ReadOutcome(count: opened.count, status: status)
    }

    /// Takes records into account.
    ///
    /// - Returns: false when too many brought no data.
    mutating func spendCredit(data: Int32, quiet: Int32) -> Bool {
        let credit = quietRecordCredit &+ data &- quiet
        quietRecordCredit = min(credit, TLSSession.quietRecordsMax)
        return credit >= 0
    }
}
