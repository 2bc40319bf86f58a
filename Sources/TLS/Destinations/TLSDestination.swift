// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc
import Synchronization

/// A server to which connections are made by TLS: by which name it is verified, in which context, and the
/// sessions that it lets us take up again.
///
/// Each session is taken up once (RFC 8446 §C.4) and by this destination alone, so none outlives a change of
/// whom is trusted: that makes another destination.
public final class TLSDestination: Sendable {
    let context: TLSContext
    /// The name that the certificate has to have, and that is asked for; an address is not asked for.
    public let serverName: String
    /// Sessions to take up again, the newest last.
    private let kept = Mutex<[KeptSession]>([])

    /// Sessions kept at one time; the oldest go first.
    static let sessionsMax = 16

    /// A server by its name; `context` is made by `TLSContext.destinations`.
    public init(_ context: TLSContext, serverName: String) {
        self.context = context
        self.serverName = Self.name(serverName)
    }

    /// A name as it is verified: it may end in a dot as people write it, but not in a certificate or in SNI
    /// (RFC 6066 §3).
    public static func name(_ written: String) -> String {
        written.hasSuffix(".") ? String(written.dropLast()) : written
    }

    /// How many sessions are kept.
    public var sessionCount: Int { kept.withLock { $0.count } }

    /// Takes the newest session that is kept, and whose certificate would still be believed.
    ///
    /// A server that is taken up again shows none, so one whose certificate has expired has to show the next.
    func takeSession() -> KeptSession? {
        let isVerifying = SSL_CTX_get_verify_mode(context.pointer) & SSL_VERIFY_PEER != 0
        return kept.withLock { kept in
            while let session = kept.popLast() {
                if !isVerifying || !session.hasExpiredCertificate { return session }
            }
            return nil
        }
    }

    /// Keeps a session.
    func keep(_ session: KeptSession) {
        kept.withLock { kept in
            if kept.count >= Self.sessionsMax { kept.removeFirst() }
            kept.append(session)
        }
    }

    /// Where an `SSL` has its destination, which it keeps alive.
    fileprivate static let place: Int32 = CRYPTO_get_ex_new_index(
        CRYPTO_EX_INDEX_SSL, 0, nil, nil, nil
    ) { _, pointer, _, _, _, _ in
        guard let pointer else { return }
        Unmanaged<TLSDestination>.fromOpaque(pointer).release()
    }

    fileprivate static func of(_ ssl: OpaquePointer?) -> TLSDestination? {
        guard let ssl, let pointer = SSL_get_ex_data(ssl, place) else { return nil }
        return Unmanaged<TLSDestination>.fromOpaque(pointer).takeUnretainedValue()
    }
}

/// The owner of an `SSL_SESSION`, which OpenSSL counts atomically and which is not changed.
final class KeptSession: Sendable {
    nonisolated(unsafe) let pointer: OpaquePointer

    init(adopting pointer: OpaquePointer) { self.pointer = pointer }

    deinit { SessionMemory.wiping(.sessions) { SSL_SESSION_free(pointer) } }

    /// Whether the certificate that the server has shown holds no longer.
    var hasExpiredCertificate: Bool {
        guard let own = SSL_SESSION_get0_peer(pointer) else { return false }
        return X509_cmp_current_time(X509_get0_notAfter(own)) <= 0
    }
}

/// How servers are verified to which connections are made.
public struct TLSDestinationOptions: Sendable, Hashable {
    /// Files of authorities that are trusted, in PEM or DER form; also of certificates that are believed
    /// themselves.
    public var authorities: [String] = []
    /// Whether the system's authorities are trusted too.
    public var trustsSystem = true
    /// What is shown to a server that asks for a certificate; nothing where nil.
    public var identity: IdentityFiles?
    /// The oldest version that is spoken.
    public var minimumVersion = TLSVersion.tls12
    /// False takes any certificate.
    public var isVerifying = true

    /// Servers that the system's authorities have signed.
    public init() {}
}

extension TLSContext {
    /// Certificates between a server's own and an authority that is trusted, at most.
    static let chainMax: Int32 = 8

    /// Makes a context for connections to servers that speak HTTP/1.1 over TLS.
    ///
    /// - Parameter options: how they are verified.
    /// - Returns: the context, for any number of destinations.
    /// - Throws: `TLSError` when a file can't be read, or a key does not belong to its certificate.
    public static func destinations(
        _ options: TLSDestinationOptions
    ) throws(TLSError) -> TLSContext {
        let context = try client(trusting: nil, minimumVersion: options.minimumVersion)
        let pointer = context.pointer
        if options.isVerifying {
            if options.trustsSystem { try SystemAuthorities.load(into: pointer) }
            for file in options.authorities { try trust(file, in: pointer) }
            if !options.authorities.isEmpty {
                // Whatever stands in such a file is trusted, also if it did not sign itself.
                X509_VERIFY_PARAM_set_flags(
                    SSL_CTX_get0_param(pointer), UInt(X509_V_FLAG_PARTIAL_CHAIN))
            }
            SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
            SSL_CTX_set_verify_depth(pointer, chainMax)
        }
        if let identity = options.identity { try read(identity).use(in: pointer) }
        // Sessions are the destinations' to keep.
        _ = sluice_ctx_set_session_cache_mode(
            pointer, Int(SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL))
        SSL_CTX_sess_set_new_cb(pointer) { ssl, session in
            guard let session, let destination = TLSDestination.of(ssl) else { return 0 }
            destination.keep(KeptSession(adopting: session))
            return 1
        }
        return context
    }
}

extension TLSSession {
    /// Makes the client side of a connection to a destination, which takes up a session again if there is one.
    ///
    /// - Returns: nil when memory is short or the name is unusable.
    public static func connecting(
        to destination: TLSDestination, through buffers: RecordBuffers
    ) -> TLSSession? {
        ERR_clear_error()
        let made = connecting(
            destination.context, through: buffers, serverName: destination.serverName)
        guard let made, let ssl = made.ssl else { return nil }
        // As browsers do (RFC 9525 §2): the common name is no name of a server.
        SSL_set_hostflags(
            ssl,
            UInt32(X509_CHECK_FLAG_NEVER_CHECK_SUBJECT)
                | UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        let owned = Unmanaged.passRetained(destination)
        guard SSL_set_ex_data(ssl, TLSDestination.place, owned.toOpaque()) == 1 else {
            owned.release()
            return nil
        }
        if let session = destination.takeSession() { SSL_set_session(ssl, session.pointer) }
        return made
    }

    /// Gives a session of TLS 1.2 that was taken up again back to its destination, to be called once the
    /// handshake is done: such a server need not send another one.
    public borrowing func giveSessionBack() {
        guard let ssl, SSL_session_reused(ssl) == 1,
            SSL_version(ssl) == Int32(TLSVersion.tls12.rawValue),
            let destination = TLSDestination.of(ssl), let session = SSL_get1_session(ssl)
        else { return }
        destination.keep(KeptSession(adopting: session))
    }

    /// Whether the handshake took an earlier session up again.
    public var isResumed: Bool { ssl.map { SSL_session_reused($0) == 1 } ?? false }
}
