// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import TLS
import Wire

/// The way a request came to us: what the upstream is told of it.
struct Hop {
    /// Who connected: the client, or a proxy in front.
    let client: Address
    /// Whether it came by TLS.
    let isSecure: Bool
    /// The `Strict-Transport-Security` of answers on this way.
    let strictTransportSecurity: String?
    /// Whether it came on a stream of HTTP/2.
    var isHTTP2 = false
    /// Whose word on the request counts, where who connected is one of them; else empty.
    var trusted: [AddressBlock] = []
    /// What the TLS handshake told, where the way has one.
    var tls: TLSFacts?
    /// The client's certificate, where it has shown one.
    var certificate: ClientCertificate?

    /// `https` or `http`, never `wss`.
    var scheme: String { isSecure ? "https" : "http" }

    /// The port that a client means which names none.
    static func usualPort(isSecure: Bool) -> UInt16 { isSecure ? 443 : 80 }
}

/// The heads that Sluice writes to the upstream.
///
/// Always made anew from the parsed form; nothing of a head is copied through unread.
enum UpstreamRequest {
    /// Fields that are Sluice's to set: a client's own, and whatever an application could take for
    /// them, are dropped.
    static let ours = [
        KnownField.forwarded, .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort,
        .xForwardedSSL, .xForwardedScheme, .xRealIP, .host, .connection, .upgrade, .contentLength,
        .transferEncoding, .http2Settings, .expect, .clientCert, .clientCertChain,
    ].reduce(KnownFields()) { $0.union(KnownFields($1)) }

    /// Writes the opening handshake as the upstream gets it.
    ///
    /// - Parameters:
    ///   - asked: the client's, judged, with the path that goes on and the key to ask with where the client's own is not one.
    ///   - plan: what is changed in the fields.
    ///   - endpoint: who gets it.
    ///   - hop: the way it came.
    ///   - trace: its place in a trace, if it has one.
    ///   - told: what the route's fields tell of it, if anything.
    ///   - granted: lines by which another server tells who asks.
    ///   - writer: where the head is written to.
    static func write(
        _ asked: UpgradeAsked, plan: RoutePlan, endpoint: Endpoint, hop: Hop,
        trace: TraceSpan = TraceSpan(), told: ToldFacts? = nil,
        granted: [UInt8]? = nil, into writer: inout HeadWriter
    ) {
        // Asked for field by field: a copy of the request would count each of its objects.
        writer.append("GET ")
        writer.append(asked.path)
        if let query = asked.request.target.query {
            writer.append("?")
            writer.append(query)
        }
        writer.append(" HTTP/1.1\r\n")
        let authority = asked.request.authority
        switch plan.route.upstreamHost {
        case .keep where !authority.isEmpty: writer.field("Host", authority)
        case .keep, .upstream: writer.field("Host", endpoint.authority)
        case .name(let name): writer.field("Host", name)
        }
        writer.field("Upgrade", "websocket")
        writer.field("Connection", "Upgrade")
        let fields = asked.request.head.fields
        // What is written anew is Sluice's to say, as the others are.
        var folded = ours.union(asked.request.unsound)
        // It is an answer's, and an application could take it for ours.
        folded.insert(KnownFields(.secWebSocketAccept))
        if let key = asked.ownKey {
            folded.insert(KnownFields(.secWebSocketKey))
            writer.field("Sec-WebSocket-Key", key)
        }
        if asked.request.unsound.has(.secWebSocketExtensions), !asked.request.soundOffers.isEmpty {
            writer.field("Sec-WebSocket-Extensions", asked.request.soundOffers)
        }
        if trace.isOn { folded.formUnion(write(trace, plan, into: &writer)) }
        writer.fields(
            of: fields, fields.connectionOptions, except: .hopByHop, folded: folded,
            names: plan.request.dropped)
        Passage.writeLines(
            authority: authority, port: asked.request.host.port, isHTTP11: true, hop: hop,
            fields: fields, told: plan.route.wayTold ?? WayTold(), into: &writer)
        plan.route.access?.certificate?.write(hop.certificate, into: &writer)
        if let granted { writer.append(granted) }
        plan.request.write(hop, told, into: &writer)
        writer.end()
    }

    /// Writes an ordinary request as the upstream gets it.
    ///
    /// The body follows as the framing says that the request was judged to have. `path` is set where
    /// the route rewrites it.
    static func write(
        _ request: borrowing OrdinaryRequest, path: [UInt8]?, plan: RoutePlan, endpoint: Endpoint,
        passage: borrowing Passage, trace: TraceSpan, told: ToldFacts? = nil,
        granted: [UInt8]? = nil, into writer: inout HeadWriter
    ) {
        writer.method(of: request.head)
        if request.isAsterisk {
            writer.append(" *")
        } else {
            writer.append(" ")
            if let path {
                writer.append(path)
            } else {
                writer.append(request.sentPathRange, of: request.head.fields)
            }
            if let query = request.queryRange {
                writer.append("?")
                writer.append(query, of: request.head.fields)
            }
        }
        let authority = request.authorityRange
        switch plan.route.upstreamHost {
        case .keep where !authority.isEmpty:
            writer.append(" HTTP/1.1\r\nHost: ")
            writer.append(authority, of: request.head.fields)
            writer.end()
        case .keep, .upstream:
            writer.append(" HTTP/1.1\r\n")
            writer.field("Host", endpoint.authority)
        case .name(let name):
            writer.append(" HTTP/1.1\r\n")
            writer.field("Host", name)
        }
        var hopByHop = KnownFields.hopByHop
        // Trailers go on, so what announces them does (RFC 9110 §6.6.2).
        if request.framing == .chunked { hopByHop.remove(KnownFields(.trailer)) }
        var folded = ours
        if trace.isOn { folded.formUnion(write(trace, plan, into: &writer)) }
        writer.fields(
            of: request.head.fields, request.head.fields.connectionOptions, except: hopByHop,
            folded: folded, names: plan.request.dropped)
        switch request.framing {
        case .length(let length):
            writer.append("Content-Length: ")
            writer.append(length)
            writer.end()
        case .chunked: writer.append("Transfer-Encoding: chunked\r\n")
        case .none:
            // A method that usually has a body says that it has none (RFC 9110 §8.6).
            if request.head.fields.known.has(.contentLength) {
                writer.append("Content-Length: 0\r\n")
            }
        case .untilClose: break
        }
        if request.expectsContinue { writer.append("Expect: 100-continue\r\n") }
        if let told = plan.route.wayTold {
            passage.writeLines(of: request, told, into: &writer)
        } else {
            writer.append(passage.lines)
        }
        plan.route.access?.certificate?.write(passage.hop.certificate, into: &writer)
        if let granted { writer.append(granted) }
        plan.request.write(passage.hop, told, into: &writer)
        writer.end()
    }

    /// Writes a request's place in a trace, unless the route's own fields say another.
    ///
    /// - Returns: the client's fields that do not go on, since others take their places.
    private static func write(
        _ trace: TraceSpan, _ plan: RoutePlan, into writer: inout HeadWriter
    ) -> KnownFields {
        if !plan.request.saysTrace { writer.field(trace.parentOfNext) }
        let parent = KnownFields(.traceparent)
        return trace.passesState ? parent : parent.union(KnownFields(.tracestate))
    }

    /// What ends the chunks of a request's body; its trailers are judged as its fields are.
    static func lastChunk(
        _ trailers: FieldList?, of request: borrowing OrdinaryRequest, plan: RoutePlan?
    ) -> [UInt8] {
        guard let trailers, let plan, !trailers.fields.isEmpty else {
            return ChunkWriter.last(trailers: nil)
        }
        let fields = request.head.fields
        return ChunkWriter.last(
            trailers: trailers, except: .hopByHop, folded: ours, names: plan.request.dropped,
            named: ConnectionNames(fields, fields.connectionOptions))
    }
}

/// What is said to upstreams of the client, and to the client of the way; written once for all the
/// requests of a connection that name the same host.
struct Passage: ~Copyable {
    /// The way the requests come.
    let hop: Hop
    /// The line of answers that binds the client to https, or nothing.
    let policyLine: [UInt8]
    private var authority: [UInt8] = []
    private var isHTTP11 = true
    /// The lines of a request that say who asked, and how.
    private(set) var lines: [UInt8] = []

    init(_ hop: Hop) {
        self.hop = hop
        var writer = HeadWriter()
        if let policy = hop.strictTransportSecurity {
            writer.field("Strict-Transport-Security", policy)
        }
        policyLine = writer.bytes
    }

    /// Makes sure that the lines are those of this request.
    mutating func prepare(for request: borrowing OrdinaryRequest) {
        let range = request.authorityRange
        // What a proxy in front says may be another thing for each request.
        if hop.trusted.isEmpty, !lines.isEmpty, isHTTP11 == request.head.isHTTP11,
            range.count == authority.count
        {
            if request.head.fields.isEqual(range, to: authority) { return }
        }
        authority = request.authority
        isHTTP11 = request.head.isHTTP11
        lines = Self.lines(
            authority: authority, port: request.port, isHTTP11: isHTTP11, hop: hop,
            fields: request.head.fields)
    }

    /// Writes an ordinary request as the upstream gets it.
    func write(
        _ request: borrowing OrdinaryRequest, path: [UInt8]?, plan: RoutePlan, endpoint: Endpoint,
        trace: TraceSpan = TraceSpan(), told: ToldFacts? = nil, granted: [UInt8]? = nil,
        into writer: inout HeadWriter
    ) {
        UpstreamRequest.write(
            request, path: path, plan: plan, endpoint: endpoint, passage: self, trace: trace,
            told: told, granted: granted, into: &writer)
    }

    /// Writes the lines for a route that tells less of the way, or another port.
    func writeLines(
        of request: borrowing OrdinaryRequest, _ told: WayTold, into writer: inout HeadWriter
    ) {
        Self.writeLines(
            authority: request.authority, port: request.port, isHTTP11: request.head.isHTTP11,
            hop: hop, fields: request.head.fields, told: told, into: &writer)
    }

    /// The lines that say who asked, and how.
    static func lines(
        authority: [UInt8], port: UInt16?, isHTTP11: Bool, hop: Hop, fields: FieldList
    ) -> [UInt8] {
        var writer = HeadWriter()
        writeLines(
            authority: authority, port: port, isHTTP11: isHTTP11, hop: hop, fields: fields,
            into: &writer)
        return writer.bytes
    }

    /// Writes the lines that say who asked, and how.
    static func writeLines(
        authority: [UInt8], port: UInt16?, isHTTP11: Bool, hop: Hop, fields: FieldList,
        told: WayTold = WayTold(), into writer: inout HeadWriter
    ) {
        if told.via {
            // The version in which it was received (RFC 9110 §7.6.3).
            if hop.isHTTP2 {
                writer.append("Via: 2 sluice\r\n")
            } else {
                writer.append(isHTTP11 ? "Via: 1.1 sluice\r\n" : "Via: 1.0 sluice\r\n")
            }
        }
        guard hop.trusted.isEmpty else {
            Forwarding(fields, peer: hop.client, trusted: hop.trusted)
                .write(
                    fields, authority: authority, port: port, hop: hop, told: told, into: &writer)
            return
        }
        let client = text(of: hop.client)
        if told.xForwarded {
            writer.field("X-Forwarded-For", client)
            writer.append(
                hop.isSecure ? "X-Forwarded-Proto: https\r\n" : "X-Forwarded-Proto: http\r\n")
            writer.field("X-Forwarded-Host", authority)
            writer.append("X-Forwarded-Port: ")
            writer.append(
                UInt64(told.port ?? port ?? Hop.usualPort(isSecure: hop.isSecure)))
            writer.end()
        }
        guard told.forwarded else { return }
        writer.append("Forwarded: ")
        writeElement(
            for: hop.client, text: client, host: authority, scheme: hop.scheme, into: &writer)
        writer.end()
    }

    /// An address as it stands in `X-Forwarded-For`.
    static func text(of address: Address) -> String {
        address.isUnix ? "unix:" : address.hostString
    }

    /// An element of `Forwarded` (RFC 7239 §4).
    static func element(for client: Address, host: [UInt8], scheme: String?) -> [UInt8] {
        var writer = HeadWriter(capacity: 128)
        writeElement(
            for: client, text: client.hostString, host: host, scheme: scheme, into: &writer)
        return writer.bytes
    }

    /// Writes an element of `Forwarded`; `text` is the client's address.
    private static func writeElement(
        for client: Address, text: String, host: [UInt8], scheme: String?,
        into writer: inout HeadWriter
    ) {
        writer.append("for=")
        if client.isUnix {
            writer.append("_unix")
        } else {
            if client.isIPv6 { writer.append("\"[") }
            var text = text
            text.withUTF8 { writer.append($0) }
            if client.isIPv6 { writer.append("]\"") }
        }
        if !host.isEmpty {
            writer.append(";host=\"")
            writer.append(host)
            writer.append("\"")
        }
        if var scheme {
            writer.append(";proto=")
            scheme.withUTF8 { writer.append($0) }
        }
    }
}
