// SPDX-License-Identifier: Apache-2.0
import Config
import Frontend
import TLS

/// Whose certificates a listener takes, for the routes that ask for some.
struct ListenerClients: Sendable {
    /// What routes call the listener; nil where none names it.
    let name: String?
    let address: String
    let place: SourcePlace
    /// Whether it serves routes.
    let servesRoutes: Bool
    /// `ClientAuthorities.digest`; nil where it asks for no certificates.
    let digest: [UInt8]?

    init(_ listener: ListenerSettings, _ clients: ClientAuthorities?) {
        name = listener.name
        address = listener.address
        place = listener.place
        servesRoutes = !listener.redirectsToHTTPS
        digest = clients?.digest
    }

    /// Whether requests for a route may come by it.
    func leads(to route: RouteSettings) -> Bool {
        servesRoutes && (route.listen.isEmpty || name.map(route.listen.contains) ?? false)
    }
}

/// Certificates of clients: from settings to what handshakes and requests are judged by.
extension Assembly {
    /// Reads the files that a listener judges clients' certificates by.
    static func clientAuthorities(
        _ settings: ClientCertificateSettings
    ) throws(ConfigurationProblems) -> ClientAuthorities {
        do throws(IdentityProblem) {
            return try ClientAuthorities(
                reading: ClientAuthorityFiles(
                    authorities: settings.authorities, revoked: settings.revoked,
                    isRequired: settings.mode == .required))
        } catch {
            let key = error.file == settings.authorities ? "ca" : "revoked"
            throw problem(
                settings.place, "listen[].tls.clientCertificates.\(key): \(error.description)")
        }
    }

    /// The rule of a route; each listener that leads to it has to ask for certificates.
    static func certificateRule(
        _ settings: CertificateRuleSettings, of route: RouteSettings, _ listeners: [ListenerClients]
    ) throws(ConfigurationProblems) -> CertificateRule {
        let leading = listeners.filter { $0.leads(to: route) }
        let without = leading.filter { $0.digest == nil }
        guard without.isEmpty else {
            let named = without.map { "'\($0.address)' at \($0.place)" }.joined(separator: ", ")
            throw problem(
                settings.place,
                "access.clientCertificate: the route \(route.name) is reached through the listener"
                    + " \(named), which asks for no certificates: give that"
                    + " tls.clientCertificates, or name other listeners in 'listen' of the route")
        }
        var rule = CertificateRule()
        rule.names = settings.names.map { CertifiedName(written: $0) }
        rule.subjects = settings.subjects
        rule.fingerprints = settings.fingerprints.map(bytes)
        rule.telling =
            switch settings.tell {
            case .nothing: .nothing
            case .certificate: .certificate
            case .chain: .chain
            }
        rule.authorities = leading.compactMap(\.digest)
        return rule
    }

    /// The bytes of hexadecimal digits.
    private static func bytes(_ digits: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var rest = digits[...]
        while rest.count >= 2 {
            bytes.append(UInt8(rest.prefix(2), radix: 16) ?? 0)
            rest = rest.dropFirst(2)
        }
        return bytes
    }
}
