// SPDX-License-Identifier: Apache-2.0

/// A `ws:` or `wss:` URL (RFC 6455 §3).
public struct SocketURL: Sendable, Equatable {
    /// Whether it is `wss`.
    public let isSecure: Bool
    /// The host, without brackets.
    public let host: String
    /// The port, 443 or 80 where none is written.
    public let port: UInt16
    /// Path and query as they go into the request; `/` where the URL has no path.
    public let target: String
    /// Whether a user or password stood in front of the host (RFC 3986 §3.2.1), which are left out.
    public let hasUserInfo: Bool

    /// Reads one; `http` and `https` mean the same, since people paste them.
    ///
    /// - Returns: nil where it is none.
    public init?(_ text: String) {
        guard let colon = text.range(of: "://") else { return nil }
        switch text[..<colon.lowerBound].lowercased() {
        case "wss", "https": isSecure = true
        case "ws", "http": isSecure = false
        default: return nil
        }
        let rest = text[colon.upperBound...].prefix { $0 != "#" }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
        var authority = rest[..<end]
        let path = rest[end...]
        target = path.isEmpty ? "/" : path.hasPrefix("?") ? "/" + path : String(path)
        guard target.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
        let at = authority.lastIndex(of: "@")
        hasUserInfo = at != nil
        if let at { authority = authority[authority.index(after: at)...] }
        var port = isSecure ? UInt16(443) : 80
        let closing = authority.lastIndex(of: "]")
        if let mark = authority.lastIndex(of: ":"), closing.map({ mark > $0 }) ?? true {
            guard let given = UInt16(authority[authority.index(after: mark)...]), given > 0 else {
                return nil
            }
            port = given
            authority = authority[..<mark]
        }
        self.port = port
        let isBracketed = authority.hasPrefix("[") && authority.hasSuffix("]")
        host = String(isBracketed ? authority.dropFirst().dropLast() : authority)
        guard !host.isEmpty, isBracketed || !host.contains(":"),
            host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return nil }
    }

    /// Host and port as they stand in a URL.
    public var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }

    /// The URL with one scheme or the other.
    public func text(secure: Bool) -> String {
        let name = host.contains(":") ? "[\(host)]" : host
        return "\(secure ? "wss" : "ws")://\(name):\(port)\(target)"
    }

    /// The URL as `wss`, at the port at which that is looked for where none was meant but the usual one.
    var secured: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == 80 ? "wss://\(name)\(target)" : text(secure: true)
    }

    /// The origin of a page with this URL, as browsers send it (RFC 6454 §6.2).
    public var origin: String { "\(isSecure ? "https" : "http")://\(authority.lowercased())" }

    /// Path and query without the query.
    var path: String { String(target.prefix { $0 != "?" }) }

    /// Whether it is this machine, by name or address.
    public var isLocal: Bool {
        Self.isLocalhost(host)
            || host.hasPrefix("127.") && host.allSatisfy { $0 == "." || ("0"..."9").contains($0) }
            || host == "::1"
    }

    /// Whether a name always means this machine (RFC 6761 §6.3).
    static func isLocalhost(_ name: String) -> Bool {
        name.lowercased() == "localhost" || name.lowercased().hasSuffix(".localhost")
    }
}

extension String {
    /// The first place of a text within this one.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        var at = startIndex
        while at < endIndex {
            if self[at...].hasPrefix(text) { return at..<index(at, offsetBy: text.count) }
            at = index(after: at)
        }
        return nil
    }
}
