// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// What a trusted proxy in front of us says of a request, and what is said of it to the upstream.
///
/// What it says is taken over where it is sound, and our own is added behind it. Whatever is not
/// sound counts as not said: it may be the client's, which a proxy passed on.
struct Forwarding {
    /// Who asked: of the addresses in `X-Forwarded-For` the last that is no trusted proxy's.
    let client: Address
    /// From the client to the last proxy before the one that connected to us.
    private let way: [Address]
    /// The values of `X-Forwarded-For` as they came.
    private let received: [UInt8]

    /// Reads who asked.
    init(_ fields: FieldList, peer: Address, trusted: [AddressBlock]) {
        let values = fields.known.has(.xForwardedFor) ? fields.all("x-forwarded-for") : []
        var way: [Address] = []
        walk: for value in values.reversed() {
            let nodes = value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false)
            for node in nodes.reversed() {
                guard let address = Self.address(node) else { break walk }
                way.append(address)
                if !trusted.contains(where: { $0.contains(address) }) { break walk }
            }
        }
        client = way.last ?? peer
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
        into writer: inout HeadWriter
    ) {
        let peer = Passage.text(of: hop.client)
        writer.field(
            "X-Forwarded-For",
            received.isEmpty ? Array(peer.utf8) : received + Array(", \(peer)".utf8))
        let saidScheme = Self.scheme(fields)
        let scheme = saidScheme ?? hop.scheme
        writer.field("X-Forwarded-Proto", scheme)
        let said = Self.host(fields)
        let (host, hostPort) = said.map { ($0.text, $0.name.port) } ?? (authority, port)
        writer.field("X-Forwarded-Host", host)
        let usual: UInt16 = scheme == "https" ? 443 : 80
        let ownPort = saidScheme == nil ? hop.port : usual
        writer.field("X-Forwarded-Port", String(Self.port(fields) ?? hostPort ?? ownPort))
        var elements = Self.elements(fields)
        if elements.isEmpty {
            for address in way {
                elements += Passage.element(
                    for: address, host: elements.isEmpty ? host : [],
                    scheme: elements.isEmpty ? scheme : nil)
                elements += ", ".utf8
            }
        } else {
            elements += ", ".utf8
        }
        writer.field(
            "Forwarded",
            elements + Passage.element(for: hop.client, host: authority, scheme: hop.scheme))
    }

    /// The value of a field that came once.
    private static func only(_ fields: FieldList, _ name: String) -> ArraySlice<UInt8>? {
        let values = fields.all(name)
        return values.count == 1 ? values[0] : nil
    }

    private static func scheme(_ fields: FieldList) -> String? {
        switch only(fields, "x-forwarded-proto").map({ String(decoding: $0, as: UTF8.self) })?
            .lowercased()
        {
        case "https", "wss": "https"
        case "http", "ws": "http"
        default: nil
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

    /// The elements of `Forwarded` (RFC 7239 §4); none where they do not end as they begin, so that
    /// what stands behind would be read as a part of them.
    private static func elements(_ fields: FieldList) -> [UInt8] {
        guard fields.known.has(.forwarded) else { return [] }
        let values = fields.all("forwarded").filter { !$0.isEmpty }
        let joined = Array(values.joined(separator: Array(", ".utf8)))
        var isQuoted = false
        var isEscaped = false
        var hasPair = false
        for byte in joined {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == UInt8(ascii: "\\") {
                // Outside quotes it means nothing that two readers agree on.
                guard isQuoted else { return [] }
                isEscaped = true
            } else if byte == UInt8(ascii: "=") && !isQuoted {
                hasPair = true
            }
        }
        return isQuoted || isEscaped || !hasPair ? [] : joined
    }
}
