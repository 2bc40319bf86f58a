// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// The way a request came to us: what the upstream is told of it.
struct Hop {
    /// Who connected.
    let client: Address
    /// The port that the client connected to.
    let port: UInt16
    /// Whether it came by TLS.
    let isSecure: Bool
    /// The `Strict-Transport-Security` of answers on this way.
    let strictTransportSecurity: String?
}

/// The heads that Sluice writes to the upstream.
///
/// Always made anew from the parsed form; nothing of a head is copied through unread.
enum UpstreamRequest {
    /// Fields that are Sluice's to set: a client's own, and whatever an application could take for
    /// them, are dropped.
    private static let ours: [StaticString] = [
        "forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
        "x-forwarded-port", "x-forwarded-ssl", "x-forwarded-scheme", "x-real-ip", "host",
        "connection", "upgrade", "content-length", "transfer-encoding", "http2-settings", "expect",
    ]

    /// The opening handshake as the upstream gets it.
    ///
    /// - Parameters:
    ///   - request: the client's, judged.
    ///   - path: the canonical path, rewritten if the route says so.
    ///   - route: what is changed in the fields.
    ///   - endpoint: who gets it.
    ///   - hop: the way it came.
    /// - Returns: the bytes of the head.
    static func bytes(
        of request: UpgradeRequest, path: [UInt8], route: Route, endpoint: Endpoint, hop: Hop
    ) -> [UInt8] {
        var writer = HeadWriter()
        writer.requestLine("GET", target: target(path, request.target.query))
        writeHost(request.authority, route, endpoint, into: &writer)
        writer.field("Upgrade", "websocket")
        writer.field("Connection", "Upgrade")
        copyEndToEnd(request.head, route.requestFields, into: &writer)
        writeOurs(
            authority: request.authority, port: request.host.port, isHTTP11: true, hop: hop,
            into: &writer)
        write(route.requestFields, into: &writer)
        writer.end()
        return writer.bytes
    }

    /// An ordinary request as the upstream gets it.
    ///
    /// The body follows as the framing says that the request was judged to have.
    static func bytes(
        of request: OrdinaryRequest, path: [UInt8], route: Route, endpoint: Endpoint, hop: Hop
    ) -> [UInt8] {
        var writer = HeadWriter()
        let isAsterisk = request.isAsterisk
        writer.requestLine(
            request.head.method,
            target: isAsterisk ? [UInt8(ascii: "*")] : target(path, request.target.query))
        writeHost(request.authority, route, endpoint, into: &writer)
        copyEndToEnd(request.head, route.requestFields, into: &writer)
        switch request.framing {
        case .length(let length): writer.field("Content-Length", String(length))
        case .chunked: writer.field("Transfer-Encoding", "chunked")
        case .none:
            // A method that usually has a body says that it has none (RFC 9110 §8.6).
            if request.head.fields.count(of: "content-length") > 0 {
                writer.field("Content-Length", "0")
            }
        case .untilClose: break
        }
        if request.expectsContinue { writer.field("Expect", "100-continue") }
        writeOurs(
            authority: request.authority, port: request.host?.port,
            isHTTP11: request.head.isHTTP11, hop: hop, into: &writer)
        write(route.requestFields, into: &writer)
        writer.end()
        return writer.bytes
    }

    private static func target(_ path: [UInt8], _ query: [UInt8]?) -> [UInt8] {
        guard let query else { return path }
        var target = path
        target.reserveCapacity(path.count + 1 + query.count)
        target.append(UInt8(ascii: "?"))
        target += query
        return target
    }

    private static func writeHost(
        _ authority: [UInt8], _ route: Route, _ endpoint: Endpoint, into writer: inout HeadWriter
    ) {
        switch route.upstreamHost {
        case .keep where !authority.isEmpty: writer.field("Host", authority)
        case .keep, .upstream: writer.field("Host", endpoint.authority)
        case .name(let name): writer.field("Host", name)
        }
    }

    /// Writes what holds from end to end, but for what the route changes.
    private static func copyEndToEnd(
        _ head: RequestHead, _ edits: FieldEdits, into writer: inout HeadWriter
    ) {
        let fields = head.fields
        let options = fields.connectionOptions
        for field in fields.fields {
            let name = fields.name(of: field)
            if HopByHop.isHopByHop(name) || isOurs(name) || isNamed(name, in: options) { continue }
            if edits.drops(name) { continue }
            writer.field(name, fields.value(of: field))
        }
    }

    /// Writes who asked, and how.
    private static func writeOurs(
        authority: [UInt8], port: UInt16?, isHTTP11: Bool, hop: Hop, into writer: inout HeadWriter
    ) {
        let proto = hop.isSecure ? "https" : "http"
        let address = hop.client.isUnix ? "unix:" : hop.client.hostString
        writer.field("Via", isHTTP11 ? "1.1 sluice" : "1.0 sluice")
        writer.field("X-Forwarded-For", address)
        writer.field("X-Forwarded-Proto", proto)
        writer.field("X-Forwarded-Host", authority)
        writer.field("X-Forwarded-Port", String(port ?? hop.port))
        var forwarded = Array("for=".utf8)
        forwarded += forwardedNode(hop.client, address).utf8
        if !authority.isEmpty {
            forwarded += ";host=\"".utf8
            forwarded += authority
            forwarded += "\"".utf8
        }
        forwarded += ";proto=".utf8
        forwarded += proto.utf8
        writer.field("Forwarded", forwarded)
    }

    /// Writes the fields that a route sets and adds.
    static func write(_ edits: FieldEdits, into writer: inout HeadWriter) {
        for field in edits.set { writer.field(named: field.name, field.value) }
        for field in edits.added { writer.field(named: field.name, field.value) }
    }

    /// Whether a name is one of ours, or would be to an application that folds `_` and `.`.
    private static func isOurs(_ name: ArraySlice<UInt8>) -> Bool {
        name.withUnsafeBufferPointer { bytes in
            for known in ours where known.utf8CodeUnitCount == bytes.count {
                let isSame = bytes.indices.allSatisfy { index in
                    folded(bytes[index]) == known.utf8Start[index]
                }
                if isSame { return true }
            }
            return false
        }
    }

    private static func folded(_ byte: UInt8) -> UInt8 {
        switch byte {
        case UInt8(ascii: "_"), UInt8(ascii: "."): UInt8(ascii: "-")
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): byte | 0x20
        default: byte
        }
    }

    /// Whether the message's own `Connection` field names that field (RFC 9110 §7.6.1).
    ///
    /// What was judged is not removed by being named there: the upstream has to see the same
    /// handshake, and the same `Origin`.
    static func isNamed(_ name: ArraySlice<UInt8>, in options: [String]) -> Bool {
        // Usually it is `Upgrade` alone, which is hop-by-hop anyway.
        if options.isEmpty || options == ["upgrade"] { return false }
        let lowercase = String(decoding: name, as: UTF8.self).lowercased()
        if lowercase == "origin" || lowercase.hasPrefix("sec-websocket-") { return false }
        return options.contains(lowercase)
    }

    /// The client as a node identifier (RFC 7239 §6).
    private static func forwardedNode(_ client: Address, _ address: String) -> String {
        if client.isUnix { return "_unix" }
        return client.isIPv6 ? "\"[\(address)]\"" : address
    }
}

extension FieldEdits {
    /// Whether a field that came is left out: it is removed, or another takes its place.
    func drops(_ name: ArraySlice<UInt8>) -> Bool {
        if isEmpty { return false }
        let lowercase = String(decoding: name, as: UTF8.self).lowercased()
        return removed.contains(lowercase)
            || set.contains { $0.name.lowercased() == lowercase }
    }
}
