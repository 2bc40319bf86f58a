// SPDX-License-Identifier: Apache-2.0
public import Reactor

/// Where the load goes: `wss://host[:port]/path` or `ws://…`.
public struct LoadTarget: Sendable, Equatable {
    /// Whether TLS is spoken.
    public let isSecure: Bool
    /// The name or address in the URL, without brackets.
    public let host: String
    /// The port, 443 or 80 when the URL has none.
    public let port: UInt16
    /// What the request asks for: path and query.
    public internal(set) var target: String
    /// Where to connect in place of the URL's host and port.
    public var address: Address?

    /// The URL as it was given.
    public let url: String

    /// Reads a `ws:` or `wss:` URL (RFC 6455 §3).
    public init(parsing url: String) throws(LoadFault) {
        self.url = url
        let rest: Substring
        if url.hasPrefix("wss://") {
            isSecure = true
            rest = url.dropFirst(6)
        } else if url.hasPrefix("ws://") {
            isSecure = false
            rest = url.dropFirst(5)
        } else {
            throw LoadFault("“\(url)” does not begin with wss:// or ws://")
        }
        let end = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        let authority = rest[..<end]
        let path = rest[end...].prefix { $0 != "#" }
        target = path.hasPrefix("/") ? String(path) : "/" + path
        guard Self.isProper(target) else {
            throw LoadFault("the path of “\(url)” must be percent-encoded")
        }
        let portStart: Substring.Index?
        if authority.hasPrefix("[") {
            guard let bracket = authority.firstIndex(of: "]") else {
                throw LoadFault("“\(url)” has an address with an open bracket")
            }
            host = String(authority[authority.index(after: authority.startIndex)..<bracket])
            let behind = authority[authority.index(after: bracket)...]
            portStart = behind.isEmpty ? nil : behind.startIndex
        } else {
            let colon = authority.firstIndex(of: ":")
            host = String(authority[..<(colon ?? authority.endIndex)])
            portStart = colon
        }
        guard !host.isEmpty, !host.contains("@") else { throw LoadFault("“\(url)” names no host") }
        if let portStart {
            guard authority[portStart] == ":",
                let port = UInt16(authority[authority.index(after: portStart)...])
            else { throw LoadFault("“\(url)” has a port that is none") }
            self.port = port
        } else {
            port = isSecure ? 443 : 80
        }
    }

    /// Whether a path and query can stand in a request.
    static func isProper(_ target: String) -> Bool {
        target.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    /// Connects to an address (`127.0.0.1:8443`, `unix:/path`) in place of the URL's host and port.
    public mutating func connect(to text: String) throws(LoadFault) {
        do throws(AddressFault) {
            address = try Address(parsing: text)
        } catch {
            throw LoadFault(error.sentence)
        }
    }

    /// Whether only this machine is meant, as far as that can be seen.
    var isLoopback: Bool {
        (address ?? Address(host: host, port: port))?.isLoopback ?? (host == "localhost")
    }

    /// The `Host` field: without the port where it is the usual one.
    var authority: String {
        let name = host.contains(":") ? "[\(host)]" : host
        return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
    }
}

/// Why a load cannot be generated.
public struct LoadFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong, in a sentence.
    public let sentence: String

    /// A fault with its sentence.
    public init(_ sentence: String) {
        self.sentence = sentence
    }

    /// The same as `sentence`.
    public var description: String { sentence }
}
