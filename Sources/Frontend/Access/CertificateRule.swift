// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
public import TLS
import Wire

/// Which certificates of clients a route is for: each list that is there has to have the client's.
public struct CertificateRule: Sendable {
    /// What the upstream is told of the certificate (RFC 9440).
    public enum Telling: Sendable {
        /// Nothing.
        case nothing
        /// The certificate, in `Client-Cert`.
        case certificate
        /// Also what stands between it and the authority, in `Client-Cert-Chain`.
        case chain
    }

    /// Names, of which the certificate has to have one; any where it is empty.
    public var names: [CertifiedName] = []
    /// Subjects as `CN=…,O=…`, of which its has to be one; any where it is empty.
    public var subjects: [String] = []
    /// SHA-256 of certificates, of which it has to be one; any where it is empty.
    public var fingerprints: [[UInt8]] = []
    /// What the upstream is told of it.
    public var telling = Telling.certificate
    /// `ClientAuthorities.digest` of the listeners that lead to the route.
    public var authorities: [[UInt8]] = []

    /// Any certificate that a listener has verified.
    public init() {}

    /// Why a request may not use the route.
    enum Fault {
        /// The request is for another host than the handshake.
        case otherHost
        /// The connection began under other authorities than those that count now.
        case otherAuthorities
        /// The client has shown no certificate.
        case noCertificate
        /// The certificate has expired since the handshake.
        case expired(ClientCertificate)
        /// The certificate is none of those that may.
        case other(ClientCertificate)
    }

    /// What is wrong with a client's request to a host; nil where it may use the route.
    func fault(_ client: borrowing ClientFacts, host: String) -> Fault? {
        guard isOfHandshake(host, serverName: client.tls?.serverName) else { return .otherHost }
        guard let clients = client.listener.clients, authorities.contains(clients.digest) else {
            return .otherAuthorities
        }
        guard let certificate = client.certificate else { return .noCertificate }
        if Int64(time(nil)) > certificate.notAfter { return .expired(certificate) }
        return fits(certificate) ? nil : .other(certificate)
    }

    /// Whether a host is the one that the handshake was for.
    ///
    /// There is none where the client has connected to an address, which is no server name (RFC 6066 §3).
    private func isOfHandshake(_ host: String, serverName: String?) -> Bool {
        guard var name = serverName?.lowercased() else {
            return Address(host: host, port: 0) != nil
        }
        if name.hasSuffix(".") { name.removeLast() }
        return name == host
    }

    private func fits(_ certificate: ClientCertificate) -> Bool {
        (subjects.isEmpty || subjects.contains(certificate.subject))
            && (fingerprints.isEmpty || fingerprints.contains(certificate.fingerprint))
            && (names.isEmpty
                || names.contains { name in certificate.names.contains(where: name.covers) })
    }

    /// Writes what the upstream is told of the client's certificate (RFC 9440 §2).
    func write(_ certificate: ClientCertificate?, into writer: inout HeadWriter) {
        guard let certificate, telling != .nothing else { return }
        writer.append("Client-Cert: ")
        Self.append(certificate.der, to: &writer)
        writer.end()
        guard telling == .chain, !certificate.chain.isEmpty else { return }
        writer.append("Client-Cert-Chain: ")
        for (index, der) in certificate.chain.enumerated() {
            if index > 0 { writer.append(", ") }
            Self.append(der, to: &writer)
        }
        writer.end()
    }

    /// Appends a byte sequence of a structured field (RFC 8941 §3.3.5).
    private static func append(_ bytes: [UInt8], to writer: inout HeadWriter) {
        writer.append(":")
        writer.append(base64: bytes)
        writer.append(":")
    }
}

extension AccessGate {
    /// The refusal of a request by the client's certificate; nil where it may use the route.
    ///
    /// Whose the certificate is, the log and the upstream are told, unless another rule tells of a user.
    func judgeCertificate(
        _ rules: AccessRules, _ plan: RoutePlan, _ facts: inout RequestFacts,
        _ stream: ClientStream, host: String
    ) -> Refusal? {
        guard let rule = rules.certificate else { return nil }
        guard let fault = rule.fault(stream.facts.pointee, host: host) else {
            if facts.user.isEmpty { facts.user = stream.facts.pointee.certificate?.identity ?? "" }
            return nil
        }
        refused(by: .clientCertificate, plan, &facts)
        switch fault {
        case .otherAuthorities, .expired: connectionIsOutdated(stream)
        case .otherHost, .noCertificate, .other: break
        }
        return Refusal(
            fault, plan.route, host: host, serverName: stream.facts.pointee.tls?.serverName)
    }

    /// Has the client make a new connection: on this one the same would come of all that it asks.
    private func connectionIsOutdated(_ stream: ClientStream) {
        if let multiplex = stream.session.pointee.multiplex {
            MultiplexKeeper(state).announceEnd(stream.session, multiplex)
        } else {
            stream.isPersistent = false
        }
    }
}

extension Refusal {
    fileprivate init(
        _ fault: CertificateRule.Fault, _ route: Route, host: String, serverName: String?
    ) {
        let key = "(routes[].access.clientCertificate)"
        switch fault {
        case .otherHost:
            // Behind an alert for another name the client would ask nobody else (RFC 9110 §15.5.20).
            self.init(
                status: 421, proxyError: .httpRequestDenied,
                sentence: "The request is for the host \(host), and its connection was made for "
                    + (serverName.map { "\($0)" } ?? "none")
                    + ": the route \(route.name) \(key) needs a connection for its own host.")
        case .otherAuthorities:
            self.init(
                status: 421, proxyError: .httpRequestDenied,
                sentence:
                    "Whose certificates are let in has changed since this connection was made:"
                    + " the route \(route.name) \(key) needs a new one.")
        case .noCertificate:
            self.init(
                status: 403, proxyError: .httpRequestDenied,
                sentence: "The route \(route.name) wants a client certificate \(key), and the"
                    + " connection was made without one.")
        case .expired(let certificate):
            self.init(
                status: 403, proxyError: .httpRequestDenied,
                sentence: "The client certificate \(certificate.identity) has expired since the"
                    + " connection was made, and the route \(route.name) \(key) wants a valid one.")
        case .other(let certificate):
            self.init(
                status: 403, proxyError: .httpRequestDenied,
                sentence: "The client certificate \(certificate.identity) may not use the route"
                    + " \(route.name) \(key).")
        }
    }
}
