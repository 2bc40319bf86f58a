// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

extension TLSContext {
    /// Has a context trust the authorities of a file in PEM form, or the one of a file in DER form.
    ///
    /// - Throws: `TLSError` when it can't be read, also where it is a pipe.
    static func trust(_ file: String, in context: OpaquePointer) throws(TLSError) {
        try refusePipe(file)
        guard SSL_CTX_load_verify_file(context, file) == 1 else {
            let error = TLSError.drainingQueue(
                "reading authorities from \(file)", remedy: "give a file with certificates")
            do throws(IdentityProblem) {
                let store = SSL_CTX_get_cert_store(context)
                // One that is no certificate says what is wrong with the file, in words.
                let isTaken = try PEMFile.certificates(inFile: file).allSatisfy { authority in
                    authority.withHandle { X509_STORE_add_cert(store, $0.pointer) } == 1
                }
                if isTaken { return }
            } catch {
                throw TLSError([error])
            }
            throw error
        }
    }

    /// Refuses what OpenSSL would wait for without end: a pipe or a socket.
    static func refusePipe(_ file: String) throws(TLSError) {
        var status = stat()
        guard stat(file, &status) == 0 else { return }
        let kind = status.st_mode & S_IFMT
        if kind == S_IFIFO || kind == S_IFSOCK {
            throw TLSError([IdentityProblem(file, .noFile)])
        }
    }

    /// Makes a context for the client side.
    ///
    /// - Parameters:
    ///   - caFile: PEM file with the certificates to trust; nil switches verification off.
    ///   - minimumVersion: the oldest version offered.
    ///   - maximumVersion: the newest version offered.
    ///   - cipherSuites: TLS 1.3 suites to offer, colon-separated; nil for the library's.
    ///   - applicationProtocols: ALPN names to offer; empty for none.
    /// - Returns: the context.
    /// - Throws: `TLSError` when the file can't be read or a name is unknown.
    public static func client(
        trusting caFile: String?, minimumVersion: TLSVersion = .tls12,
        maximumVersion: TLSVersion = .tls13, cipherSuites: String? = nil,
        applicationProtocols: [String] = ["http/1.1"]
    ) throws(TLSError) -> TLSContext {
        let pointer = try makeBare(
            TLS_client_method(), minimumVersion: minimumVersion, maximumVersion: maximumVersion)
        let context = TLSContext(adopting: pointer)
        RecordBIO.countMessages(of: pointer)
        try setGroups(pointer)
        if let caFile {
            try trust(caFile, in: pointer)
            SSL_CTX_set_verify(pointer, SSL_VERIFY_PEER, nil)
        }
        if let cipherSuites, SSL_CTX_set_ciphersuites(pointer, cipherSuites) != 1 {
            throw TLSError.drainingQueue("setting the cipher suites \(cipherSuites)")
        }
        if !applicationProtocols.isEmpty {
            let wire = ALPN.wireForm(of: applicationProtocols)
            // This call returns 0 for success, unlike its neighbours.
            guard SSL_CTX_set_alpn_protos(pointer, wire, UInt32(wire.count)) == 0 else {
                throw TLSError.drainingQueue("setting the application protocols")
            }
        }
        return context
    }

    /// Makes a context for a client that verifies servers as browsers do: by the authorities of the system
    /// and those of files.
    ///
    /// - Parameters:
    ///   - files: further authorities, in PEM or DER form.
    ///   - identity: what the client shows where a server asks for a certificate; nil for nothing.
    ///   - cipherSuites: TLS 1.3 suites to offer, colon-separated; nil for the library's.
    ///   - applicationProtocols: ALPN names to offer; empty for none.
    ///   - isVerifying: false takes any certificate.
    /// - Returns: the context.
    /// - Throws: `TLSError` when a file can't be read, or a key does not belong to its certificate.
    public static func client(
        trustingSystemAnd files: [String], presenting identity: IdentityFiles? = nil,
        cipherSuites: String? = nil, applicationProtocols: [String] = ["http/1.1"],
        isVerifying: Bool = true
    ) throws(TLSError) -> TLSContext {
        let context = try client(
            trusting: nil, cipherSuites: cipherSuites, applicationProtocols: applicationProtocols)
        if isVerifying {
            try SystemAuthorities.load(into: context.pointer)
            for file in files { try trust(file, in: context.pointer) }
            SSL_CTX_set_verify(context.pointer, SSL_VERIFY_PEER, nil)
        }
        if let identity { try read(identity).use(in: context.pointer) }
        return context
    }

    static func read(_ files: IdentityFiles) throws(TLSError) -> ServerIdentity {
        do throws(IdentityProblem) {
            return try ServerIdentity(reading: files, ofClient: true)
        } catch {
            throw TLSError([error])
        }
    }
}

/// A session that a server let a client take up again, as bytes.
public struct ResumptionTicket: Sendable, Equatable {
    let der: [UInt8]
    /// What the server gave: the same for two sessions that have one ticket.
    let ticket: [UInt8]

    /// Tickets are equal when the server gave one, and not two.
    public static func == (left: Self, right: Self) -> Bool { left.ticket == right.ticket }
}

extension TLSSession {
    /// Makes the client side of a connection that has not begun.
    ///
    /// - Parameters:
    ///   - context: made by `TLSContext.client`.
    ///   - buffers: the thread's window.
    ///   - serverName: the name to ask for and to verify; an address is verified but not sent.
    ///   - ticket: a session to take up again.
    /// - Returns: nil when memory is short or the name is unusable.
    public static func connecting(
        _ context: TLSContext, through buffers: RecordBuffers, serverName: String? = nil,
        resuming ticket: ResumptionTicket? = nil
    ) -> TLSSession? {
        guard let ssl = SSL_new(context.pointer) else { return nil }
        var session = TLSSession(adopting: ssl, through: buffers)
        session.tally.isOfClient = true
        SSL_set_connect_state(ssl)
        if let serverName {
            // An address is not a host name (RFC 6066 §3): verified by its own kind of SAN.
            if let parameters = SSL_get0_param(ssl),
                X509_VERIFY_PARAM_set1_ip_asc(parameters, serverName) == 1
            {
                ERR_clear_error()
            } else {
                ERR_clear_error()
                guard sluice_set_server_name(ssl, serverName) == 1,
                    SSL_set1_host(ssl, serverName) == 1
                else { return nil }
            }
        }
        if let ticket {
            ticket.der.withUnsafeBufferPointer { bytes in
                var start = bytes.baseAddress
                if let past = d2i_SSL_SESSION(nil, &start, bytes.count) {
                    SSL_set_session(ssl, past)
                    SSL_SESSION_free(past)
                }
            }
        }
        return session
    }

    /// The session to take up again later: nil before the server's ticket has been read.
    public borrowing func resumptionTicket() -> ResumptionTicket? {
        guard let ssl, let past = SSL_get1_session(ssl) else { return nil }
        defer { SSL_SESSION_free(past) }
        guard SSL_SESSION_is_resumable(past) == 1 else { return nil }
        let count = i2d_SSL_SESSION(past, nil)
        guard count > 0 else { return nil }
        var der = [UInt8](repeating: 0, count: Int(count))
        der.withUnsafeMutableBufferPointer { bytes in
            var start = bytes.baseAddress
            _ = i2d_SSL_SESSION(past, &start)
        }
        var start: UnsafePointer<UInt8>?
        var ticketCount = 0
        SSL_SESSION_get0_ticket(past, &start, &ticketCount)
        let ticket = Array(UnsafeBufferPointer(start: start, count: ticketCount))
        return ResumptionTicket(der: der, ticket: ticket)
    }
}
