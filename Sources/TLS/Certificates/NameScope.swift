// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Which names an authority may sign for, written into its certificate (RFC 5280 §4.2.1.10): DNS names
/// and addresses of servers, never mail addresses or URIs.
public enum NameScope: Sendable, Equatable {
    /// Names that mean something on this machine or in this network only, addresses that are not
    /// reachable from elsewhere, and these DNS names with all below them.
    case local(more: [String])
    /// Any name: whoever has the key can impersonate every site to those who trust the authority.
    case any

    /// DNS names with all below them: of RFC 6761, RFC 6762, RFC 8375, `internal`, and what home
    /// routers use.
    public static let localNames = [
        "localhost", "local", "localdomain", "test", "example", "internal", "lan", "home.arpa",
    ]

    /// Loopback, private and link-local addresses (RFC 1918, 3927, 4193, 4291, 6598) with masks.
    private static let localAddresses = [
        "127.0.0.0/255.0.0.0", "10.0.0.0/255.0.0.0", "172.16.0.0/255.240.0.0",
        "192.168.0.0/255.255.0.0", "169.254.0.0/255.255.0.0", "100.64.0.0/255.192.0.0",
        "::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fc00::/fe00::", "fe80::/ffc0::",
    ]

    /// Mail addresses and URIs: none at all.
    ///
    /// Names of a kind that has a permitted subtree have to lie in it, and excluded ones win. An empty
    /// excluded name would say it shorter, but OpenSSL takes that for one that nothing matches.
    private static let noOthers = [
        "permitted;email:invalid", "excluded;email:invalid", "permitted;URI:invalid",
        "excluded;URI:invalid",
    ]

    /// Of the names that an authority may sign for, those that it was permitted besides the local ones and this
    /// machine's own; nil where it may not even sign for the local ones, since somebody else has made it.
    public static func further(among permitted: [String]) -> [String]? {
        guard Set(localNames).isSubset(of: permitted) else { return nil }
        return permitted.filter { !localNames.contains($0) && $0 != machineName }
    }

    /// As OpenSSL's `nameConstraints` syntax wants it.
    func extensionValue() throws(CertificateFault) -> String {
        guard case .local(let more) = self else {
            return "critical," + Self.noOthers.joined(separator: ",")
        }
        var names = Self.localNames
        if let machine = Self.machineName { names.append(machine) }
        for name in more {
            guard case .dns(let parsed) = try CertificateName(parsing: name),
                !parsed.hasPrefix("*")
            else {
                throw CertificateFault(
                    "\"\(name)\"", found: "it is no DNS name",
                    remedy: "permit a name such as example.com, which includes all below it")
            }
            names.append(parsed)
        }
        let parts =
            names.map { "permitted;DNS:\($0)" } + Self.localAddresses.map { "permitted;IP:\($0)" }
            + Self.noOthers
        return "critical," + parts.joined(separator: ",")
    }

    /// The machine's own name, where it is one that a certificate can be for.
    private static var machineName: String? {
        var host = [CChar](repeating: 0, count: 256)
        guard gethostname(&host, host.count - 1) == 0 else { return nil }
        let text = String(
            decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard case .dns(let name)? = try? CertificateName(parsing: text) else { return nil }
        return name
    }
}
