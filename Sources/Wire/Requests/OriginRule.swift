// SPDX-License-Identifier: Apache-2.0

/// Which pages may open a WebSocket here.
///
/// Browsers let any page connect to any host, and send the page's origin along (RFC 6455
/// §10.2). A request without `Origin` comes from no browser and is allowed by every rule.
public enum OriginRule: Sendable, Equatable {
    /// Pages of every origin may.
    case any
    /// Pages of the host that the request is for, on any port and scheme; all names and addresses of
    /// loopback count as one host.
    case same
    /// Pages of the origins listed, and of the same host if `same` says so.
    case list(same: Bool, origins: [OriginPattern])

    /// Whether a request with this `Origin` to this host is allowed.
    public func allows(origin: [UInt8]?, host: HostName) -> Bool {
        guard let origin else { return true }
        switch self {
        case .any:
            return true
        case .same:
            return OriginRule.isSame(Origin(origin[...]), host)
        case .list(let same, let patterns):
            let parsed = Origin(origin[...])
            if same, OriginRule.isSame(parsed, host) { return true }
            return patterns.contains { $0.allows(origin, parsed) }
        }
    }

    private static func isSame(_ origin: Origin?, _ host: HostName) -> Bool {
        guard let page = origin?.host, !host.name.isEmpty else { return false }
        return page.name == host.name || page.isLoopback && host.isLoopback
    }
}

/// An origin that may be let in, or many of a kind.
///
/// `https://example.com` is that scheme, host and port; `https://*.example.com` has one label in front of
/// that name, whatever it is; `vscode-webview://*` is every host of that scheme, on any port. Everything
/// else (`null`, `file://`, a URL with a path, as some devices send) is compared as text, scheme and host
/// without regard to case.
public struct OriginPattern: Sendable, Equatable, ExpressibleByStringLiteral {
    /// As people wrote it.
    public let text: String
    private let form: Form

    private enum Form: Sendable, Equatable {
        case exact(Origin)
        case below(Origin)
        case scheme(String)
        /// How many bytes are compared without regard to case.
        case text(bytesWithoutCase: Int)
    }

    /// Reads a pattern; there is none that can't be read.
    public init(_ text: String) {
        self.text = text
        let bytes = Array(text.utf8)
        if let origin = Origin(bytes[...]) {
            form = .exact(origin)
        } else if let scheme = Origin.schemeEnd(bytes[...]),
            bytes[(scheme + 3)...].elementsEqual("*".utf8)
        {
            form = .scheme(bytes[..<scheme].lowercasedString())
        } else if let scheme = Origin.schemeEnd(bytes[...]),
            bytes[(scheme + 3)...].starts(with: "*.".utf8),
            let origin = Origin(bytes[..<(scheme + 3)] + bytes[(scheme + 5)...])
        {
            form = .below(origin)
        } else {
            let start = Origin.schemeEnd(bytes[...]).map { $0 + 3 } ?? 0
            form = .text(
                bytesWithoutCase: bytes[start...].firstIndex(of: Octet.slash) ?? bytes.count)
        }
    }

    /// The same, of text in the source.
    public init(stringLiteral text: String) { self.init(text) }

    /// Whether an `Origin`, and what it is read as, is one of these.
    func allows(_ origin: [UInt8], _ parsed: Origin?) -> Bool {
        switch form {
        case .exact(let expected): return parsed == expected
        case .scheme(let scheme): return parsed?.scheme == scheme
        case .below(let expected):
            guard let parsed, !parsed.host.isIPv6, parsed.scheme == expected.scheme,
                parsed.port == expected.port, let dot = parsed.host.name.firstIndex(of: ".")
            else { return false }
            return parsed.host.name[dot...].dropFirst() == expected.host.name[...]
        case .text(let count):
            let expected = Array(text.utf8)
            return origin.count == expected.count
                && origin[..<count].lowercasedString() == expected[..<count].lowercasedString()
                && origin[count...] == expected[count...]
        }
    }
}

/// What an `Origin` of scheme, host and port says (RFC 6454 §7), with the scheme's own port filled in.
struct Origin: Sendable, Equatable {
    let scheme: String
    let host: HostName
    let port: UInt16?

    init?(_ text: ArraySlice<UInt8>) {
        guard let colon = Origin.schemeEnd(text),
            let host = try? HostName(parsing: text[(colon + 3)...])
        else { return nil }
        scheme = text[..<colon].lowercasedString()
        self.host = HostName(name: host.name, port: nil, isIPv6: host.isIPv6)
        switch scheme {
        case "http", "ws": port = host.port ?? 80
        case "https", "wss": port = host.port ?? 443
        default: port = host.port
        }
    }

    /// Where the scheme ends (RFC 3986 §3.1) that `://` stands behind; nil where there is none.
    static func schemeEnd(_ text: ArraySlice<UInt8>) -> Int? {
        guard let colon = text.firstIndex(of: Octet.colon), let first = text.first,
            Octet.lowercased(first) &- 0x61 < 26, text[(colon + 1)...].starts(with: "//".utf8)
        else { return nil }
        let isScheme = text[..<colon].allSatisfy {
            Octet.isDigit($0) || Octet.lowercased($0) &- 0x61 < 26 || $0 == UInt8(ascii: "+")
                || $0 == UInt8(ascii: "-") || $0 == Octet.dot
        }
        return isScheme ? colon : nil
    }
}
