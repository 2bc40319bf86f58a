// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// What a trusted proxy in front of us says of a request, and what is said of it to the upstream.
///
/// What it says is taken over where it is sound, and our own is added behind it. Whatever is not
/// sound counts as not said: it may be the client's, which a proxy passed on.
struct Forwarding {
    /// Proxies in a row that are looked through at most, so that a request costs no more than these
    /// times the trusted networks, however many addresses it names.
    static let proxiesMax = 64

    /// Who asked: of the addresses in `X-Forwarded-For` the last that is no trusted proxy's.
    let client: Address
    /// Whether the field holds something where the client's address should stand, and it is none.
    let isUnclear: Bool
    /// From the client to the last proxy before the one that connected to us.
    private let way: [Address]
    /// The values of `X-Forwarded-For` as they came.
    private let received: [UInt8]

    /// Reads `X-Forwarded-For` from its right end, up to the first address that is no trusted proxy's.
    init(_ fields: FieldList, peer: Address, trusted: [AddressBlock]) {
        let values = fields.known.has(.xForwardedFor) ? fields.all("x-forwarded-for") : []
        var way: [Address] = []
        var isUnclear = false
        walk: for value in values.reversed() {
            let nodes = value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            for node in nodes.reversed() {
                guard let address = Self.address(node) else {
                    isUnclear = true
                    break walk
                }
                way.append(address)
                if way.count > Self.proxiesMax { break walk }
                if !trusted.contains(where: { $0.contains(address) }) { break walk }
            }
        }
        client = way.last ?? peer
        self.isUnclear = isUnclear
        self.way = way.reversed()
        received = Array(values.filter { !$0.isEmpty }.joined(separator: Array(", ".utf8)))
    }

    /// An address as it stands in `X-Forwarded-For`: with brackets or without, with a port or without.
    static func address(_ node: ArraySlice<UInt8>) -> Address? {
        // The longest is an IPv6 address that ends as IPv4, in brackets, with a port.
        guard node.count <= 64 else { return nil }
        let text = String(decoding: node, as: UTF8.self).drop { $0 == " " || $0 == "\t" }
        let trimmed = text.prefix { $0 != " " && $0 != "\t" }
        guard text.dropFirst(trimmed.count).allSatisfy({ $0 == " " || $0 == "\t" }) else {
            return nil
        }
        var host = trimmed
        var port: UInt16? = 0
        if trimmed.hasPrefix("[") {
            guard let end = trimmed.firstIndex(of: "]") else { return nil }
            host = trimmed[trimmed.index(after: trimmed.startIndex)..<end]
            let rest = trimmed[trimmed.index(after: end)...]
            guard host.contains(":"), rest.isEmpty || rest.hasPrefix(":") else { return nil }
            if !rest.isEmpty { port = Self.port(rest.dropFirst()) }
        } else if let colon = trimmed.firstIndex(of: ":"), colon == trimmed.lastIndex(of: ":") {
            host = trimmed[..<colon]
            port = Self.port(trimmed[trimmed.index(after: colon)...])
        }
        // The interface of an address means nothing on another machine.
        guard let port, !host.contains("%") else { return nil }
        return Address(host: String(host), port: port)
    }

    private static func port(_ digits: Substring) -> UInt16? {
        digits.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? UInt16(digits) : nil
    }

    /// The lines for the upstream.
    func write(
        _ fields: FieldList, authority: [UInt8], port: UInt16?, hop: Hop,
        told: WayTold = WayTold(), into writer: inout HeadWriter
    ) {
        let elements = ForwardedElements(fields)
        let scheme = Self.scheme(of: fields, elements, hop)
        let said = Self.host(fields)
        let (host, hostPort) = said.map { ($0.text, $0.name.port) } ?? (authority, port)
        if told.xForwarded {
            let peer = Passage.text(of: hop.client)
            writer.field(
                "X-Forwarded-For",
                received.isEmpty ? Array(peer.utf8) : received + Array(", \(peer)".utf8))
            writer.field("X-Forwarded-Proto", scheme)
            writer.field("X-Forwarded-Host", host)
            let usual = Hop.usualPort(isSecure: scheme == "https")
            writer.field(
                "X-Forwarded-Port", String(told.port ?? Self.port(fields) ?? hostPort ?? usual))
        }
        guard told.forwarded else { return }
        // Some applications read the first element and some the last, so what an element says of the
        // scheme and host is what the fields above say, or nothing.
        var told = elements.text(scheme: scheme)
        if told.isEmpty {
            for address in way {
                if !told.isEmpty { told += ", ".utf8 }
                told += Passage.element(
                    for: address, host: told.isEmpty ? host : [],
                    scheme: told.isEmpty ? scheme : nil)
            }
        }
        let isFirst = told.isEmpty
        if !isFirst { told += ", ".utf8 }
        writer.field(
            "Forwarded",
            told
                + Passage.element(
                    for: hop.client, host: isFirst || authority == host ? host : [],
                    scheme: isFirst || hop.scheme == scheme ? scheme : nil))
    }

    /// The scheme that a trusted proxy says the client has used; ours where it says none.
    static func scheme(of fields: FieldList, _ hop: Hop) -> String {
        scheme(of: fields, ForwardedElements(fields), hop)
    }

    private static func scheme(
        of fields: FieldList, _ elements: ForwardedElements, _ hop: Hop
    ) -> String {
        scheme(fields) ?? elements.scheme(trusted: hop.trusted) ?? hop.scheme
    }

    /// The port that a trusted proxy says the client has used; nil where it says none.
    static func port(of fields: FieldList) -> UInt16? { port(fields) }

    /// The value of a field that came once.
    private static func only(_ fields: FieldList, _ name: String) -> ArraySlice<UInt8>? {
        let values = fields.all(name)
        return values.count == 1 ? values[0] : nil
    }

    private static func scheme(_ fields: FieldList) -> String? {
        only(fields, "x-forwarded-proto").flatMap(scheme)
    }

    /// `https` or `http`; nil where it is something else.
    static func scheme(_ text: some Collection<UInt8>) -> String? {
        guard text.count <= 5 else { return nil }
        switch String(decoding: text, as: UTF8.self).lowercased() {
        case "https", "wss": return "https"
        case "http", "ws": return "http"
        default: return nil
        }
    }

    /// The host that the client asked the proxy for, if that says so; as it says it, and read.
    static func host(_ fields: FieldList) -> (text: [UInt8], name: HostName)? {
        guard let value = only(fields, "x-forwarded-host"),
            let name = try? HostName(parsing: value)
        else { return nil }
        return (Array(value), name)
    }

    private static func port(_ fields: FieldList) -> UInt16? {
        guard let value = only(fields, "x-forwarded-port"), !value.isEmpty,
            let port = port(String(decoding: value, as: UTF8.self)[...]), port > 0
        else { return nil }
        return port
    }
}
