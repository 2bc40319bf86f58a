// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// A client's handshake that looks instead of judging: whatever the server shows is let pass, and
/// reported.
///
/// Bytes in, bytes out, as with `TLSSession`; for diagnosis, not for traffic.
public final class TLSProbe {
    /// How far it is.
    public enum Step: Sendable {
        /// Done: data may flow.
        case done
        /// More bytes of the server are needed.
        case wantsInput
        /// It failed; see `failure` and `alert`.
        case failed
    }

    private let context: OpaquePointer
    let ssl: OpaquePointer
    private let input: OpaquePointer
    private let output: OpaquePointer
    /// The alert that the server sent last (RFC 8446 §6): number and name.
    public private(set) var alert: (number: UInt8, name: String)?
    /// The server asked for a certificate of the client.
    public private(set) var wantsClientCertificate = false
    /// Why the handshake or reading failed, in OpenSSL's words.
    public private(set) var failure = ""
    /// What is wrong with the server's certificate, in the order in which OpenSSL found it: chain, name,
    /// time; nothing, when it is trusted.
    public private(set) var faults: [Fault] = []

    /// TLS 1.2 suites that Chromium or Firefox offer: a server that has none of them fails there.
    private static let browserCiphers =
        "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES+SHA1:kRSA+AESGCM:kRSA+AES+SHA1"

    /// Makes a probe that knows the system's authorities, and those of the files.
    ///
    /// - Parameters:
    ///   - serverName: the name to ask for, and to find in the certificate; may be an address.
    ///   - files: PEM files with further authorities.
    ///   - protocols: those to offer (ALPN, RFC 7301).
    /// - Throws: `TLSError` when a file can't be read.
    public init(
        serverName: String, trusting files: [String], offering protocols: [String] = ["http/1.1"]
    ) throws(TLSError) {
        SessionMemory.install()
        ERR_clear_error()
        guard let context = SSL_CTX_new(TLS_client_method()), let ssl = SSL_new(context),
            let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem())
        else { throw TLSError.drainingQueue("making a TLS client") }
        self.context = context
        self.ssl = ssl
        self.input = input
        self.output = output
        SSL_set_bio(ssl, input, output)
        try offer(serverName, trusting: files, protocols)
        ERR_clear_error()
        SSL_set_connect_state(ssl)
        noteWhatHappens()
    }

    /// Offers what a browser would, and more, and says whom to believe.
    private func offer(
        _ serverName: String, trusting files: [String], _ protocols: [String]
    ) throws(TLSError) {
        // Old and weak servers shall show themselves: they are judged by what they show.
        SSL_set_security_level(ssl, 0)
        _ = sluice_set_min_proto_version(ssl, Int32(0x0301))
        guard SSL_set_cipher_list(ssl, Self.browserCiphers) == 1 else {
            throw TLSError.drainingQueue("setting the ciphers")
        }
        try SystemAuthorities.load(into: context)
        for file in files { try TLSContext.trust(file, in: context) }
        let alpn = ALPN.wireForm(of: protocols)
        SSL_set_alpn_protos(ssl, alpn, UInt32(alpn.count))
        if let parameters = SSL_get0_param(ssl),
            X509_VERIFY_PARAM_set1_ip_asc(parameters, serverName) != 1
        {
            _ = sluice_set_server_name(ssl, serverName)
            SSL_set1_host(ssl, serverName)
        }
        // As browsers do (RFC 9525 §2): the common name is no name of a server.
        SSL_set_hostflags(
            ssl,
            UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)
                | UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
    }

    /// Has OpenSSL tell of alerts, of faults of the certificate, and of the wish for one of the client.
    private func noteWhatHappens() {
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
        SSL_set_info_callback(ssl) { ssl, place, value in
            guard place & SSL_CB_READ_ALERT == SSL_CB_READ_ALERT, let probe = probe(of: ssl)
            else { return }
            let number = UInt8(truncatingIfNeeded: value)
            // close_notify is an end in order.
            if number != 0 { probe.alert = (number, alertName(number)) }
        }
        // Every fault is noted, and the handshake goes on.
        SSL_set_verify(ssl, SSL_VERIFY_NONE) { isGood, verifying in
            if isGood == 0, let verifying {
                let index = SSL_get_ex_data_X509_STORE_CTX_idx()
                let ssl = X509_STORE_CTX_get_ex_data(verifying, index).map { OpaquePointer($0) }
                probe(of: ssl)?.note(X509_STORE_CTX_get_error(verifying))
            }
            return 1
        }
        SSL_CTX_set_client_cert_cb(context) { ssl, _, _ in
            probe(of: ssl)?.wantsClientCertificate = true
            return 0
        }
        SSL_set_cert_cb(
            ssl,
            { ssl, _ in
                if let ssl, sluice_has_certificate_request(ssl) == 1 {
                    probe(of: ssl)?.wantsClientCertificate = true
                }
                return 1
            }, nil)
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    /// Goes on with the handshake, after more bytes of the server.
    public func handshake(_ bytes: [UInt8] = []) -> Step {
        give(bytes)
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        if result == 1 { return .done }
        return wantsInput(result) ? .wantsInput : .failed
    }

    private func give(_ bytes: [UInt8]) {
        if !bytes.isEmpty { BIO_write(input, bytes, Int32(bytes.count)) }
    }

    private func wantsInput(_ result: Int32) -> Bool {
        if SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ { return true }
        failure = TLSError.drainingQueue("").reasons.joined(separator: "; ")
        return false
    }

    /// Keeps a fault that verifying found (X509_V_ERR_…), each kind once.
    private func note(_ code: Int32) {
        let fault = Fault(code)
        if !faults.contains(fault) { faults.append(fault) }
    }

    /// The bytes for the server, once.
    public func takeOutput() -> [UInt8] {
        let count = BIO_ctrl_pending(output)
        if count == 0 { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        BIO_read(output, &bytes, Int32(count))
        return bytes
    }

    /// Seals bytes; they come out of `takeOutput`.
    public func write(_ bytes: [UInt8]) {
        ERR_clear_error()
        if !bytes.isEmpty { _ = SSL_write(ssl, bytes, Int32(bytes.count)) }
    }

    /// What the server's bytes say, and whether it has ended or broken the session.
    public func read(_ bytes: [UInt8]) -> (plain: [UInt8], hasEnded: Bool) {
        give(bytes)
        var plain: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            ERR_clear_error()
            let count = SSL_read(ssl, &buffer, Int32(buffer.count))
            guard count > 0 else {
                return (plain, !wantsInput(count))
            }
            plain += buffer.prefix(Int(count))
        }
    }

    /// The version agreed upon, as `TLSv1.3`.
    public var version: String { String(cString: SSL_get_version(ssl)) }

    /// Whether that version is one that browsers have given up (RFC 8996).
    public var isVersionOld: Bool { SSL_version(ssl) < Int32(TLSVersion.tls12.rawValue) }

    /// The protocol that the server has chosen (ALPN); nil where it has chosen none.
    public var applicationProtocol: String? {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        SSL_get0_alpn_selected(ssl, &name, &count)
        guard let name, count > 0 else { return nil }
        return String(
            decoding: UnsafeBufferPointer(start: name, count: Int(count)), as: UTF8.self)
    }

    /// The cipher suite's name.
    public var cipher: String {
        SSL_get_current_cipher(ssl).flatMap { SSL_CIPHER_get_name($0) }
            .map { String(cString: $0) } ?? ""
    }
}

private func probe(of ssl: OpaquePointer?) -> TLSProbe? {
    guard let pointer = SSL_get_ex_data(ssl, 0) else { return nil }
    return Unmanaged<TLSProbe>.fromOpaque(pointer).takeUnretainedValue()
}

/// An alert's name in words: OpenSSL's, or where it knows none that of RFC 8446 §6.
func alertName(_ number: UInt8) -> String {
    switch number {
    case 86: return "inappropriate fallback"
    case 109: return "missing extension"
    case 115: return "unknown PSK identity"
    case 116: return "certificate required"
    case 120: return "no application protocol"
    default:
        return SSL_alert_desc_string_long(Int32(number)).map { String(cString: $0) } ?? "unknown"
    }
}
