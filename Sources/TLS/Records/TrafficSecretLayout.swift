// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// Where this OpenSSL keeps the traffic secrets of application data in its `SSL`.
///
/// There is no call that gives them out but the key log, which writes five lines of hexadecimal
/// text per handshake and costs 20 µs. So it is used in a few handshakes of our own, in memory:
/// what it says is looked for in the `SSL`, and the places count only if each secret was there
/// exactly once, at the same place in every handshake, and a session that went on by them
/// understood its peer, both ways. Otherwise there is no layout, and OpenSSL keeps its sessions.
struct TrafficSecretLayout: Equatable {
    /// Bytes from the start of the `SSL` to the secret of the client's records.
    let client: Int
    /// The same for the server's.
    let server: Int
    /// Whether a client's session has gone on by them too.
    var isForClients = false

    /// What was learned when the process first asked; nil where no session may leave OpenSSL's object.
    static let learned: TrafficSecretLayout? = try? outcome.get()

    /// Why there is no layout, as a sentence without its end; nil where there is one.
    static var fault: String? {
        if case .failure(let fault) = outcome { fault.sentence } else { nil }
    }

    private static let outcome = Result { () throws(LayoutFault) in
        try learn(isFIPSWanted: FIPSWish.isThere)
    }

    /// Learns it in handshakes of our own.
    ///
    /// - Parameter isFIPSWanted: whether OpenSSL's configuration asks for FIPS.
    /// - Returns: the places, the same in each of them.
    /// - Throws: why sessions had better keep OpenSSL's object.
    static func learn(isFIPSWanted: Bool) throws(LayoutFault) -> TrafficSecretLayout {
        if isFIPSWanted { throw LayoutFault(sentence: FIPSWish.sentence) }
        SessionMemory.install()
        var layout: TrafficSecretLayout?
        for suite in [RecordSuite.aes128GCM, .aes256GCM, .aes128GCM, .aes256GCM] {
            guard let rehearsal = Rehearsal(suite), var found = rehearsal.find() else {
                throw .places
            }
            guard rehearsal.goesOn(with: found) else {
                throw rehearsal.padsRecords ? .padding : .places
            }
            found.isForClients = rehearsal.clientGoesOn(with: found)
            guard layout == nil || layout == found else { throw .places }
            layout = found
        }
        guard let layout else { throw .places }
        return layout
    }
}

/// Why all sessions keep OpenSSL's object.
struct LayoutFault: Error {
    /// A sentence without its end.
    let sentence: String

    static let places = LayoutFault(
        sentence: "the places of the traffic secrets in it could not be learned")
    /// `RecordPadding` of SSL_CONF_cmd(3): the record layer pads nothing, and the operator's wish would be lost.
    static let padding = LayoutFault(sentence: "OpenSSL's configuration pads records")
}

/// One handshake in memory between a server and a client that share a key (RFC 8446 §2.2).
final class Rehearsal {
    private final class Heard {
        let client = HeardSecret()
        let server = HeardSecret()
        var session: OpaquePointer?
    }

    private let heard = Heard()
    private let suite: RecordSuite
    private let serverBuffers = RecordBuffers(outputCapacity: 40_000)
    private let clientBuffers = RecordBuffers(outputCapacity: 40_000)
    private var server: TLSSession?
    private var client: TLSSession?
    /// Whether OpenSSL has made a record longer than its content asks for (RFC 8446 §5.4); known behind `goesOn`.
    private(set) var padsRecords = false

    /// Takes the handshake to its end; nil if it does not get there.
    init?(_ suite: RecordSuite) {
        self.suite = suite
        ERR_clear_error()
        defer { ERR_clear_error() }
        guard let context = Self.context(suite) else { return nil }
        // Sessions keep what they need of it.
        defer { SSL_CTX_free(context) }
        guard let server = SSL_new(context), let client = SSL_new(context) else { return nil }
        SSL_set_accept_state(server)
        SSL_set_connect_state(client)
        self.server = TLSSession(adopting: server, through: serverBuffers)
        self.client = TLSSession(adopting: client, through: clientBuffers)
        self.client?.tally.isOfClient = true
        guard let session = Self.sharedKey(client, suite) else { return nil }
        heard.session = session
        let pointer = Unmanaged.passUnretained(heard).toOpaque()
        SSL_set_ex_data(server, 0, pointer)
        SSL_set_ex_data(client, 0, pointer)
        guard handshake() else { return nil }
    }

    deinit {
        server = nil
        client = nil
        SSL_SESSION_free(heard.session)
        serverBuffers.free()
        clientBuffers.free()
    }

    private static func context(_ suite: RecordSuite) -> OpaquePointer? {
        guard let context = SSL_CTX_new(TLS_method()) else { return nil }
        _ = sluice_ctx_set_min_proto_version(context, Int32(TLSVersion.tls13.rawValue))
        SSL_CTX_set_ciphersuites(context, suite.name)
        SSL_CTX_set_num_tickets(context, 1)
        RecordBIO.countMessages(of: context)
        _ = sluice_ctx_set_mode(context, Int(SSL_MODE_RELEASE_BUFFERS))
        SSL_CTX_set_keylog_callback(context) { ssl, line in
            guard let line, let heard = Rehearsal.heard(by: ssl) else { return }
            heard.client.take(line, named: "CLIENT_TRAFFIC_SECRET_0 ")
            heard.server.take(line, named: "SERVER_TRAFFIC_SECRET_0 ")
        }
        SSL_CTX_set_psk_find_session_callback(context) { ssl, _, _, session in
            guard let known = Rehearsal.heard(by: ssl)?.session else { return 0 }
            SSL_SESSION_up_ref(known)
            session?.pointee = known
            return 1
        }
        SSL_CTX_set_psk_use_session_callback(context) { ssl, _, identity, count, session in
            guard let known = Rehearsal.heard(by: ssl)?.session else { return 0 }
            SSL_SESSION_up_ref(known)
            let name: StaticString = "rehearsal"
            identity?.pointee = name.utf8Start
            count?.pointee = name.utf8CodeUnitCount
            session?.pointee = known
            return 1
        }
        return context
    }

    private static func heard(by ssl: OpaquePointer?) -> Heard? {
        guard let pointer = SSL_get_ex_data(ssl, 0) else { return nil }
        return Unmanaged<Heard>.fromOpaque(pointer).takeUnretainedValue()
    }

    /// A key of random bytes, as a session that both know.
    private static func sharedKey(_ ssl: OpaquePointer, _ suite: RecordSuite) -> OpaquePointer? {
        guard let session = SSL_SESSION_new() else { return nil }
        var key = [UInt8](repeating: 0, count: suite.secretBytes)
        defer { OPENSSL_cleanse(&key, key.count) }
        let number: [UInt8] = [0x13, suite == .aes128GCM ? 1 : 2]
        guard RAND_bytes(&key, Int32(key.count)) == 1,
            let cipher = SSL_CIPHER_find(ssl, number),
            SSL_SESSION_set1_master_key(session, key, key.count) == 1,
            SSL_SESSION_set_cipher(session, cipher) == 1,
            SSL_SESSION_set_protocol_version(session, Int32(TLSVersion.tls13.rawValue)) == 1
        else {
            SSL_SESSION_free(session)
            return nil
        }
        return session
    }

    private func handshake() -> Bool {
        var ends = (client: client?.handshake(), server: HandshakeProgress?.none)
        for _ in 0..<3 where ends.client != .failed && ends.server != .failed {
            pass(clientBuffers.takeOutput(), to: serverBuffers) {
                if ends.server != .done { ends.server = server?.handshake() }
            }
            // The ticket that the server's end comes with is read with its first record.
            if ends.client == .done && ends.server == .done { return true }
            pass(serverBuffers.takeOutput(), to: clientBuffers) {
                if ends.client != .done { ends.client = client?.handshake() }
            }
        }
        return false
    }

    private func pass(_ wire: [UInt8], to buffers: RecordBuffers, _ body: () -> Void) {
        wire.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { buffers.setInput(start, count: bytes.count) }
            body()
        }
    }

    /// Where both secrets are, if each is there once.
    func find() -> TrafficSecretLayout? {
        guard let ssl = server?.ssl, heard.client.count == suite.secretBytes,
            heard.server.count == suite.secretBytes
        else { return nil }
        let start = UnsafeRawPointer(ssl)
        let memory = UnsafeRawBufferPointer(start: start, count: sluice_allocated_size(start))
        guard let client = place(of: heard.client, in: memory),
            let server = place(of: heard.server, in: memory)
        else { return nil }
        return TrafficSecretLayout(client: client, server: server)
    }

    private func place(of secret: HeardSecret, in memory: UnsafeRawBufferPointer) -> Int? {
        guard let start = memory.baseAddress else { return nil }
        var places: [Int] = []
        // With room behind it for the longest secret, of whichever suite.
        for offset in 0..<max(0, memory.count - RecordSuite.secretBytesMax)
        where memcmp(start + offset, secret.bytes, secret.count) == 0 {
            places.append(offset)
        }
        return places.count == 1 ? places[0] : nil
    }

    /// Whether the session, released by this layout, understands its peer and is understood.
    func goesOn(with layout: TrafficSecretLayout) -> Bool {
        server?.releaseOpenSSL(layout) == .released && understandEachOther()
    }

    /// The same of the client, after `goesOn`.
    func clientGoesOn(with layout: TrafficSecretLayout) -> Bool {
        var layout = layout
        layout.isForClients = true
        return client?.releaseOpenSSL(layout) == .released && understandEachOther()
    }

    /// Whether what each of them says arrives at the other.
    private func understandEachOther() -> Bool {
        // Lengths of which one at least is no multiple of a block that OpenSSL may pad to, with the type's byte.
        for question in ["from the client", "from the client!"] {
            guard ask(Array(question.utf8)) else { return false }
        }
        let answer = Array("from the server".utf8)
        guard server?.write(answer, count: answer.count) == true else { return false }
        var isUnderstood = false
        pass(serverBuffers.takeOutput(), to: clientBuffers) {
            isUnderstood = Self.read(&client) == answer
        }
        return isUnderstood
    }

    /// Whether what the client says arrives, in a record with nothing but that.
    private func ask(_ question: [UInt8]) -> Bool {
        guard client?.write(question, count: question.count) == true else { return false }
        let record = clientBuffers.takeOutput()
        if record.count > question.count + RecordLayer.overheadBytes {
            padsRecords = true
            return false
        }
        var isUnderstood = false
        pass(record, to: serverBuffers) { isUnderstood = Self.read(&server) == question }
        return isUnderstood
    }

    private static func read(_ session: inout TLSSession?) -> [UInt8] {
        let capacity = 2 * RecordLayer.bodyBytesMax
        return [UInt8](unsafeUninitializedCapacity: capacity) { bytes, count in
            guard let start = bytes.baseAddress else { return }
            count = session?.readAll(into: start, capacity: capacity).count ?? 0
        }
    }
}

/// A secret that the key log has told, overwritten when it is not needed any more.
private final class HeardSecret {
    let bytes = UnsafeMutablePointer<UInt8>.allocate(capacity: RecordSuite.secretBytesMax)
    /// How many bytes it has; 0 while it was not told.
    private(set) var count = 0

    deinit {
        OPENSSL_cleanse(bytes, RecordSuite.secretBytesMax)
        bytes.deallocate()
    }

    /// Takes it from a line of the key log, if that tells it.
    ///
    /// The line is the name, 64 digits of the client's random bytes, a space, and the digits of the
    /// secret. No copy of it is made.
    func take(_ line: UnsafePointer<CChar>, named name: StaticString) {
        let nameCount = name.utf8CodeUnitCount
        guard memcmp(line, name.utf8Start, min(nameCount, strlen(line))) == 0 else { return }
        let digits = line + min(nameCount + 65, strlen(line))
        count = 0
        while count < RecordSuite.secretBytesMax,
            let high = Self.value(digits[2 * count]), let low = Self.value(digits[2 * count + 1])
        {
            bytes[count] = high << 4 | low
            count += 1
        }
    }

    private static func value(_ digit: CChar) -> UInt8? {
        switch UInt8(bitPattern: digit) {
        case let digit where (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit):
            digit - UInt8(ascii: "0")
        case let digit where (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(digit | 0x20):
            (digit | 0x20) - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}
