// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// How far a handshake is.
///
/// Whatever it made lies in the buffers' output and must be sent.
public enum HandshakeProgress: Sendable {
    /// Application data may flow; some may already wait in the session.
    case done
    /// More bytes of the peer are needed.
    case wantsInput
    /// It failed; the output may hold an alert.
    case failed
}

/// What became of the input.
public struct ReadOutcome: Sendable {
    /// Whether more may come.
    public enum Status: Sendable {
        /// The session is open.
        case open
        /// The peer sent close_notify: nothing more will come (RFC 8446 §6.1).
        case closed
        /// The peer broke the protocol; the output may hold an alert.
        case failed
    }
    /// Bytes of plaintext.
    public let count: Int
    /// Whether more may come.
    public let status: Status

    /// An outcome of `count` plaintext bytes, and whether more may come.
    public init(count: Int, status: Status) {
        self.count = count
        self.status = status
    }
}

/// One TLS connection: bytes in, records out, no socket.
///
/// All I/O goes through the `RecordBuffers` it was made with. Nothing outside this type points
/// into OpenSSL; what the handshake told is copied out by `facts()`.
///
/// It has two forms: OpenSSL's `SSL`, and, once `releaseOpenSSL()` has freed that, a `RecordLayer`.
///
/// Records leave in the order in which they were made, since each has a number that the peer counts
/// along: what `setOutputAside` has taken back stands in front of whatever the session makes next.
public struct TLSSession: ~Copyable {
    // In front stands what each message touches, so that it lies in one cache line of a relay's leg.

    /// What took the place of OpenSSL's object.
    var layer: UnsafeMutablePointer<RecordLayer>?
    let buffers: RecordBuffers
    /// Records that were made and that wait to leave with those made next: a ticket.
    private var aside: UnsafeMutablePointer<UInt8>?
    /// How many more records without application data (KeyUpdate and the like) are tolerated.
    ///
    /// Each record with data earns one back, so a flood ends the session and a long life does not.
    var quietRecordCredit: Int32 = TLSSession.quietRecordsMax
    /// Bytes of `aside`.
    private var asideCount: UInt32 = 0
    /// OpenSSL's object; nil once it is released.
    var ssl: OpaquePointer?
    /// The records that OpenSSL has read and written.
    var tally = RecordTally()

    static let quietRecordsMax: Int32 = 64

    init(adopting ssl: OpaquePointer, through buffers: RecordBuffers) {
        self.ssl = ssl
        self.buffers = buffers
        let bio = buffers.window.pointee.bio
        BIO_up_ref(bio)
        SSL_set_bio(ssl, bio, bio)
    }

    /// A session without OpenSSL's object from the beginning.
    init(
        adopting layer: UnsafeMutablePointer<RecordLayer>, through buffers: RecordBuffers,
        quietRecordCredit: Int32
    ) {
        self.layer = layer
        self.buffers = buffers
        self.quietRecordCredit = min(quietRecordCredit, TLSSession.quietRecordsMax)
    }

    /// Whether records wait that were set aside.
    var hasRecordsAside: Bool { aside != nil }

    deinit {
        if let ssl { TLSSession.free(ssl) }
        if let layer { RecordLayer.destroy(layer, buffers.ciphers) }
        Glibc.free(aside)
    }

    /// Frees OpenSSL's object with the secrets in it.
    static func free(_ ssl: OpaquePointer) {
        // Without a close_notify OpenSSL has nobody take the session up again. One that goes on without its object
        // says it later, and a connection that a peer has reset says nothing against its session.
        if SSL_is_init_finished(ssl) == 1 { SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN) }
        SessionMemory.wiping(.sessions) { SSL_free(ssl) }
    }

    /// Makes the server side of a connection that has not begun.
    ///
    /// - Returns: nil when memory is short.
    public static func accepting(
        _ context: TLSContext, through buffers: RecordBuffers
    ) -> TLSSession? {
        guard let ssl = SSL_new(context.pointer) else { return nil }
        SSL_set_accept_state(ssl)
        return TLSSession(adopting: ssl, through: buffers)
    }

    /// Goes on with the handshake as far as the input allows.
    public mutating func handshake() -> HandshakeProgress {
        guard let ssl else { return .done }
        let window = buffers.window
        let before = window.pointee.outputCount
        sluice_err_clear()
        let result = SSL_do_handshake(ssl)
        // Set where the step began to make a ticket.
        SessionMemory.wipe(.nothing)
        if result == 1 {
            // What a server's last step writes is written with the keys of application data: a ticket. A
            // client's ends the handshake, with the keys of that.
            if tally.isOfClient { return .done }
            tally.wrote(window.pointee.output + before, count: window.pointee.outputCount - before)
            return .done
        }
        return SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ ? .wantsInput : .failed
    }

    /// Takes the records in the output back, which leave in front of whatever the session makes next.
    ///
    /// So a ticket need not be a packet of its own. Nothing of another session may be in the output;
    /// where memory is short, the records stay there.
    public mutating func setOutputAside() {
        let count = buffers.outputCount
        guard count > 0, aside == nil, let memory = malloc(count) else { return }
        memcpy(memory, buffers.output, count)
        aside = memory.bindMemory(to: UInt8.self, capacity: count)
        asideCount = UInt32(truncatingIfNeeded: count)
        buffers.clearOutput()
    }

    /// Puts the records that were set aside into the output: they wait no longer.
    public mutating func putBackOutput() {
        if aside != nil { _ = putBackOutput(at: buffers.outputCount) }
    }

    /// Puts them in front of the output from `place` on, which this session has just made.
    ///
    /// - Returns: false when there was no room: then what was made is gone too.
    private mutating func putBackOutput(at place: Int) -> Bool {
        guard let records = aside else { return true }
        let window = buffers.window
        let count = Int(asideCount)
        let made = window.pointee.outputCount &- place
        aside = nil
        defer { Glibc.free(records) }
        guard count <= window.pointee.outputCapacity &- window.pointee.outputCount else {
            window.pointee.outputCount = place
            return false
        }
        let start = window.pointee.output + place
        memmove(start + count, start, made)
        memcpy(start, records, count)
        window.pointee.outputCount &+= count
        return true
    }

    /// Decrypts every complete record of the input into `bytes`.
    ///
    /// `capacity` must be at least what the input holds and one record (16 KiB) more.
    public mutating func readAll(
        into bytes: UnsafeMutablePointer<UInt8>, capacity: Int
    ) -> ReadOutcome {
        if aside == nil { return openAll(into: bytes, capacity: capacity) }
        let before = buffers.outputCount
        let outcome = openAll(into: bytes, capacity: capacity)
        // What it answers by itself, an alert or new keys, comes behind what was made before.
        if buffers.outputCount == before || putBackOutput(at: before) { return outcome }
        return ReadOutcome(count: outcome.count, status: .failed)
    }

    private mutating func openAll(
        into bytes: UnsafeMutablePointer<UInt8>, capacity: Int
    ) -> ReadOutcome {
        if let layer { return readDirectly(layer, into: bytes, capacity: capacity) }
        if tally.isBusy && buffers.window.pointee.releasesBusy {
            return readBusily(into: bytes, capacity: capacity)
        }
        return readByOpenSSL(into: bytes, capacity: capacity)
    }

    /// What `readAll` does as long as OpenSSL's object is there.
    mutating func readByOpenSSL(
        into bytes: UnsafeMutablePointer<UInt8>, capacity: Int
    ) -> ReadOutcome {
        guard let ssl else { return ReadOutcome(count: 0, status: .failed) }
        let window = buffers.window
        let input = (start: window.pointee.input, count: window.pointee.inputCount)
        let outputBefore = window.pointee.outputCount
        window.pointee.hasOtherMessage = false
        window.pointee.toldBytes = 0
        var total = 0
        var dataRecords: Int32 = 0
        var status = ReadOutcome.Status.open
        sluice_err_clear()
        while total < capacity {
            let room = Int32(truncatingIfNeeded: min(capacity &- total, Int(Int32.max)))
            let count = SSL_read(ssl, bytes + total, room)
            if count > 0 {
                total &+= Int(count)
                dataRecords &+= 1
                // Perhaps not the whole record: then one without data would not be noticed.
                if count == room { tally.isUncertain = true }
                if window.pointee.inputCount == 0 && SSL_has_pending(ssl) == 0 { break }
                continue
            }
            switch SSL_get_error(ssl, count) {
            case SSL_ERROR_WANT_READ: break
            case SSL_ERROR_ZERO_RETURN: status = .closed
            default: status = .failed
            }
            break
        }
        let records = tally.read(input.start, count: input.count &- window.pointee.inputCount)
        let quiet = max(0, records &- dataRecords)
        var mayHaveNewKeys = quiet > 0
        if tally.isOfClient {
            tally.explain(total &+ window.pointee.toldBytes)
            // What is left is the beginning of a message, of which OpenSSL has a part, or padding.
            mayHaveNewKeys =
                window.pointee.hasOtherMessage || tally.isAtBorder && tally.unexplained != 0
        }
        if mayHaveNewKeys || window.pointee.outputCount != outputBefore { tally.isUncertain = true }
        if !spendCredit(data: dataRecords, quiet: quiet) { status = .failed }
        return ReadOutcome(count: total, status: status)
    }

    /// Seals `count` bytes into the buffers' output.
    ///
    /// - Returns: false when the session can't send any more, or the output is full.
    public mutating func write(_ bytes: UnsafePointer<UInt8>, count: Int) -> Bool {
        if count == 0 { return true }
        putBackOutput()
        if ssl != nil { releaseIfBusy() }
        if let layer { return layer.pointee.write(bytes, count: count, buffers) }
        guard let ssl else { return false }
        let window = buffers.window
        let before = window.pointee.outputCount
        renewWritingKeys(ssl)
        sluice_err_clear()
        let isWritten = SSL_write(ssl, bytes, Int32(truncatingIfNeeded: count)) == Int32(count)
        tally.wrote(window.pointee.output + before, count: window.pointee.outputCount &- before)
        return isWritten
    }

    /// Puts a close_notify alert into the output, once (RFC 8446 §6.1).
    public mutating func closeNotify() {
        putBackOutput()
        if let layer { layer.pointee.closeNotify(buffers) }
        guard let ssl else { return }
        if SSL_is_init_finished(ssl) == 0 || SSL_get_shutdown(ssl) & SSL_SENT_SHUTDOWN != 0 {
            return
        }
        sluice_err_clear()
        _ = SSL_shutdown(ssl)
        sluice_err_clear()
    }

    /// What the last failure was, taken out of OpenSSL's queue; to be asked at once.
    public borrowing func takeError() -> TLSError {
        if let failure = layer?.pointee.failure {
            return TLSError("TLS", reasons: [failure.reason])
        }
        return TLSError.drainingQueue("TLS", remedy: nil)
    }

    /// What the finished handshake told, copied out; nil once OpenSSL's object is released.
    public borrowing func facts() -> TLSFacts? {
        guard let ssl else { return nil }
        var serverName: String?
        if let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name) {
            serverName = String(cString: name)
        }
        var protocolName: UnsafePointer<UInt8>?
        var protocolCount: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &protocolName, &protocolCount)
        var applicationProtocol: String?
        if let protocolName, protocolCount > 0 {
            let bytes = UnsafeBufferPointer(start: protocolName, count: Int(protocolCount))
            applicationProtocol = String(decoding: bytes, as: UTF8.self)
        }
        var cipher: UInt16 = 0
        if let current = SSL_get_current_cipher(ssl) {
            cipher = SSL_CIPHER_get_protocol_id(current)
        }
        return TLSFacts(
            version: TLSVersion(rawValue: UInt16(truncatingIfNeeded: SSL_version(ssl))) ?? .tls12,
            cipher: cipher, group: KeyExchangeGroups.number(of: sluice_negotiated_group(ssl)),
            serverName: serverName, applicationProtocol: applicationProtocol,
            isResumed: SSL_session_reused(ssl) == 1)
    }
}
