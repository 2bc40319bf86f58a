// SPDX-License-Identifier: Apache-2.0

/// Which pages may open a WebSocket here.
///
/// Browsers let any page connect to any host, and send the page's origin along (RFC 6455
/// §10.2). A request without `Origin` comes from no browser and is allowed by every rule.
public enum OriginRule: Sendable, Equatable {
    /// Every page.
    case any
    /// Pages of the host that the request is for, on any port and scheme.
    case same
    /// Pages of the origins listed (`https://example.com`, `null`), and of the same host if
    /// `same` says so.
    case list(same: Bool, origins: [String])

    /// Whether a request with this `Origin` to this host is allowed.
    public func allows(origin: [UInt8]?, host: HostName) -> Bool {
        guard let origin else { return true }
        switch self {
        case .any:
            return true
        case .same:
            return OriginRule.isSame(origin, host)
        case .list(let same, let origins):
            if same, OriginRule.isSame(origin, host) { return true }
            let parsed = Parts(origin)
            return origins.contains { entry in
                // Origins without a host ("null", "file://") are equal as text or not at all.
                guard let parsed, let allowed = Parts(Array(entry.utf8)) else {
                    return origin.equalsIgnoringCase(entry)
                }
                return parsed == allowed
            }
        }
    }

    private static func isSame(_ origin: [UInt8], _ host: HostName) -> Bool {
        Parts(origin)?.name == host.name
    }

    /// scheme://host:port with the scheme's own port filled in.
    private struct Parts: Equatable {
        let scheme: String
        let name: String
        let port: UInt16?

        init?(_ origin: [UInt8]) {
            guard let colon = origin.firstIndex(of: Octet.colon),
                origin[(colon + 1)...].starts(with: "//".utf8),
                let host = try? HostName(parsing: origin[(colon + 3)...])
            else { return nil }
            scheme = origin[..<colon].lowercasedString()
            name = host.name
            switch scheme {
            case "http", "ws": port = host.port ?? 80
            case "https", "wss": port = host.port ?? 443
            default: port = host.port
            }
        }
    }
}
