// SPDX-License-Identifier: Apache-2.0

/// Where an app listens, for WebSockets and ordinary requests alike.
public enum EndpointAddress: Sendable, Hashable {
    /// A host name or address (without brackets) and a port.
    case tcp(host: String, port: UInt16)
    /// The same, where the app speaks TLS.
    case tls(host: String, port: UInt16)
    /// The path of a Unix domain socket.
    case unix(path: String)
    /// A service whose hosts and ports DNS knows (SRV records, RFC 2782): `_ws._tcp.example.com`.
    case service(name: String)
}

/// Why a text is no endpoint, and what was probably meant.
public struct EndpointFault: Error, Sendable, Equatable {
    /// What was found and what is allowed.
    public let sentence: String
    /// What was probably meant, written out; always an endpoint.
    public let suggestion: String?

    init(_ sentence: String, suggestion: String? = nil) {
        self.sentence = sentence
        self.suggestion = suggestion.flatMap(EndpointAddress.accepted)
    }
}

extension EndpointAddress {
    /// Reads `ws://host:port`, `http://host:port`, `wss://host:port`, `https://host:port`, `ws://[::1]:port`,
    /// `unix:/path` or `srv:name`.
    public init(parsing text: String) throws(EndpointFault) {
        if text.hasPrefix("unix:") {
            self = .unix(path: try Self.socketPath(text))
            return
        }
        if text.hasPrefix("srv:") {
            self = .service(name: try Self.serviceName(text))
            return
        }
        guard let separator = text.firstRange(of: "://") else {
            let looksLikeHost = text.contains(":") && !text.contains("/") && !text.hasPrefix(":")
            let isPort = UInt16(decimal: text[...]) != nil
            throw EndpointFault(
                "found '\(text)', allowed: \(Self.allowed)",
                suggestion: isPort ? "ws://127.0.0.1:\(text)" : looksLikeHost ? "ws://\(text)" : nil
            )
        }
        let scheme = text[..<separator.lowerBound].lowercased()
        let rest = text[separator.upperBound...]
        // Both of a kind go over the same connection: what the client asks for decides.
        switch scheme {
        case "ws", "http":
            let (host, port) = try Self.authority(rest, of: text)
            self = .tcp(host: host, port: port ?? 80)
        case "wss", "https":
            let (host, port) = try Self.authority(rest, of: text)
            self = .tls(host: host, port: port ?? 443)
        default:
            throw EndpointFault("found '\(text)', allowed: \(Self.allowed)")
        }
    }

    private static let allowed = "ws://host:port, wss://host:port, unix:/path or srv:name"

    /// The host and the port; nil for a socket file and for a service.
    public var hostAndPort: (host: String, port: UInt16)? {
        switch self {
        case .tcp(let host, let port), .tls(let host, let port): (host, port)
        case .unix, .service: nil
        }
    }

    /// Whether the app speaks TLS there.
    public var isSecure: Bool {
        if case .tls = self { return true }
        return false
    }

    private static let noPath =
        "an endpoint has no path; the route's rewrite says which path the upstream sees"

    /// A suggestion, or what its own refusal suggests; nil where that is no endpoint either.
    static func accepted(_ suggestion: String) -> String? {
        do throws(EndpointFault) {
            _ = try EndpointAddress(parsing: suggestion)
            return suggestion
        } catch {
            return error.suggestion
        }
    }

    private static func socketPath(_ text: String) throws(EndpointFault) -> String {
        let path = text.dropFirst("unix:".count)
        guard path.hasPrefix("/") else {
            throw EndpointFault(
                "found '\(text)', allowed: unix: with an absolute path, as in unix:/run/app.sock")
        }
        let collapsed = "/" + path.drop(while: { $0 == "/" })
        guard collapsed.utf8.count > 1, !collapsed.utf8.contains(0) else {
            throw EndpointFault("found '\(text)', allowed: unix: with the path of a socket")
        }
        // sockaddr_un holds 108 bytes, the last of them zero.
        guard collapsed.utf8.count <= 107 else {
            throw EndpointFault(
                "found a socket path of \(collapsed.utf8.count) bytes, allowed: 107")
        }
        return collapsed
    }

    private static func serviceName(_ text: String) throws(EndpointFault) -> String {
        var name = text.dropFirst("srv:".count)
        if name.hasSuffix(".") { name = name.dropLast() }
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        // Underscores stand in names of services, and nowhere else (RFC 2782).
        let isName = labels.allSatisfy { label in
            let rest = label.hasPrefix("_") ? label.dropFirst() : label
            return !rest.isEmpty && label.utf8.count <= 63
                && rest.utf8.allSatisfy { $0.isLetter || $0.isDigit || $0 == UInt8(ascii: "-") }
        }
        guard isName, labels.count >= 2, name.utf8.count <= 253 else {
            throw EndpointFault(
                "found '\(text)', allowed: srv: with the name of a service, as in "
                    + "srv:_ws._tcp.example.com")
        }
        return name.lowercased()
    }

    private static func authority(
        _ rest: Substring, of text: String
    ) throws(EndpointFault) -> (host: String, port: UInt16?) {
        var authority = rest
        if let end = rest.firstIndex(where: { "/?#".contains($0) }) {
            authority = rest[..<end]
            // "ws://host:port/" is how people copy it, and it says nothing more.
            guard rest[end...] == "/" else {
                throw EndpointFault(
                    "found '\(text)', but \(noPath)", suggestion: String(text[..<end]))
            }
        }
        if authority.contains("@") {
            throw EndpointFault("found '\(text)', but an endpoint has no user name or password")
        }
        let (host, portText) = try split(authority, of: text)
        guard let portText else { return (host, nil) }
        guard let port = UInt16(decimal: portText), port > 0 else {
            throw EndpointFault("found the port '\(portText)' in '\(text)', allowed: 1 to 65535")
        }
        return (host, port)
    }

    private static func split(
        _ authority: Substring, of text: String
    ) throws(EndpointFault) -> (host: String, port: Substring?) {
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]"),
                Syntax.isIPv6(authority[authority.index(after: authority.startIndex)..<end])
            else {
                throw EndpointFault("found '\(text)', allowed in brackets: an IPv6 address")
            }
            let host = String(authority[authority.index(after: authority.startIndex)..<end])
            let behind = authority[authority.index(after: end)...]
            if behind.isEmpty { return (host, nil) }
            guard behind.hasPrefix(":") else {
                throw EndpointFault("found '\(text)', allowed: ws://[address]:port")
            }
            return (host, behind.dropFirst())
        }
        let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2 else {
            throw EndpointFault(
                "found '\(text)', but an IPv6 address stands in brackets, as in ws://[::1]:9000")
        }
        guard Syntax.isHostName(parts[0]) else {
            throw EndpointFault(
                "found the host '\(parts[0])' in '\(text)', allowed: a host name or address")
        }
        return (String(parts[0]), parts.count == 2 ? parts[1] : nil)
    }
}

extension EndpointAddress: CustomStringConvertible {
    /// The endpoint as it would be written in configuration.
    public var description: String {
        switch self {
        case .tcp(let host, let port):
            "ws://" + Self.authority(host, port)
        case .tls(let host, let port):
            "wss://" + Self.authority(host, port)
        case .unix(let path): "unix:\(path)"
        case .service(let name): "srv:\(name)"
        }
    }

    private static func authority(_ host: String, _ port: UInt16) -> String {
        host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    }
}
