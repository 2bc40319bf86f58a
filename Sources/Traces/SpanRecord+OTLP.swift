// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import TLS
import Wire

extension SpanRecord {
    /// The methods that have names of their own in OpenTelemetry's conventions for HTTP.
    private static let methods: Set<String> = [
        "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
    ]

    /// The same with texts as long as they are sent at most: what waits for a collector has a bound in bytes too.
    var bounded: SpanRecord {
        var record = self
        let most = TraceAttributes.textMax
        for text in [
            \AccessRecord.method, \.host, \.path, \.route, \.upstream, \.otherUpgrade, \.detail,
        ]
        where record.access[keyPath: text].utf8.count > most {
            record.access[keyPath: text] = record.access[keyPath: text].cut(toBytes: most)
        }
        return record
    }

    /// The span as OTLP has it, named and described by OpenTelemetry's semantic conventions for HTTP servers.
    var message: TraceSpanMessage {
        TraceSpanMessage(
            traceId: span.trace.description, spanId: Hexadecimal.text(span.span),
            parentSpanId: span.parent == 0 ? nil : Hexadecimal.text(span.parent),
            flags: Self.flags(span), name: name, kind: kind == .relayEnd ? .internal : .server,
            startTimeUnixNano: "\(beganWallNanoseconds)",
            endTimeUnixNano: "\(max(beganWallNanoseconds, endedWallNanoseconds))",
            attributes: attributes, events: steps.map(Self.event), links: links, status: status)
    }

    /// The flags of the trace; bit 8 says that bit 9 is known, which says that the parent is elsewhere.
    private static func flags(_ span: TraceSpan) -> UInt32 {
        UInt32(span.flags.rawValue) | 0x100 | (span.parent == 0 ? 0 : 0x200)
    }

    private static func event(_ step: Step) -> TraceSpanMessage.Event {
        var attributes = TraceAttributes()
        attributes.add("sluice.duration", seconds: step.nanoseconds)
        return TraceSpanMessage.Event(
            timeUnixNano: "\(step.endWallNanoseconds)", name: step.name.rawValue,
            attributes: attributes.list)
    }

    private var links: [TraceSpanMessage.Link] {
        guard let handshake else { return [] }
        return [
            TraceSpanMessage.Link(
                traceId: handshake.trace.description, spanId: Hexadecimal.text(handshake.span),
                flags: UInt32(handshake.flags.rawValue) | 0x100, attributes: [])
        ]
    }

    /// The method of a request for a WebSocket is not written down: it is the protocol's.
    private var method: String {
        if !access.method.isEmpty { return access.method }
        return access.isHTTP2 ? "CONNECT" : "GET"
    }

    /// Of few values: the method and the route's pattern, never the path.
    private var name: String {
        let route = access.route.isEmpty ? "" : " \(access.route)"
        if kind == .relayEnd { return "WebSocket end\(route)" }
        return (Self.methods.contains(method) ? method : "HTTP") + route
    }

    private var status: TraceSpanMessage.Status? {
        guard kind != .relayEnd, access.status >= 500 || access.isUpstreamFault else { return nil }
        return TraceSpanMessage.Status(
            code: 2,
            message: access.detail.isEmpty
                ? nil : access.detail.cut(toBytes: TraceAttributes.textMax))
    }

    private var attributes: [TraceAttribute] {
        var attributes = TraceAttributes()
        if kind == .relayEnd { addEnd(to: &attributes) } else { addRequest(to: &attributes) }
        attributes.add("http.route", access.route)
        attributes.add("url.path", access.path)
        attributes.add("server.address", access.host)
        if port != 0 { attributes.add("server.port", port) }
        attributes.add("client.address", access.client.isUnix ? "" : access.client.hostString)
        attributes.add("network.protocol.name", "http")
        attributes.add(
            "network.protocol.version", access.isHTTP2 ? "2" : isHTTP10 ? "1.0" : "1.1")
        if let tls = access.tls {
            attributes.add("tls.protocol.name", "tls")
            attributes.add("tls.protocol.version", tls.version == .tls12 ? "1.2" : "1.3")
            attributes.add("tls.cipher", tls.cipherName)
            attributes.add("tls.resumed", tls.isResumed)
        }
        attributes.add("sluice.listener", access.listener.description)
        attributes.add("sluice.upstream", access.upstream)
        attributes.add("sluice.detail", access.detail)
        return attributes.list
    }

    private func addRequest(to attributes: inout TraceAttributes) {
        if Self.methods.contains(method) {
            attributes.add("http.request.method", method)
        } else {
            attributes.add("http.request.method", "_OTHER")
            attributes.add("http.request.method_original", method)
        }
        attributes.add("url.scheme", isSecure ? "https" : "http")
        if access.status > 0 { attributes.add("http.response.status_code", access.status) }
        if access.proxyError != nil {
            attributes.add("error.type", access.errorName)
        } else if access.status >= 500 {
            attributes.add("error.type", "\(access.status)")
        }
        attributes.add(
            "sluice.websocket", kind == .handshake || access.method.isEmpty || access.triedUpgrade)
        if kind == .request {
            attributes.add("http.request.body.size", access.up.payloadBytes)
            attributes.add("http.response.body.size", access.down.payloadBytes)
        }
    }

    private func addEnd(to attributes: inout TraceAttributes) {
        if let relay = access.relay { attributes.add("sluice.relay", relay.description) }
        attributes.add("sluice.close_code", access.closeCode)
        attributes.add("sluice.ended_by", "\(access.initiator.word)")
        attributes.add("sluice.reason", "\(access.reason.word)")
        attributes.add("sluice.duration", seconds: access.durationMilliseconds &* 1_000_000)
        attributes.add("sluice.up.messages", access.up.messages)
        attributes.add("sluice.up.bytes", access.up.payloadBytes)
        attributes.add("sluice.down.messages", access.down.messages)
        attributes.add("sluice.down.bytes", access.down.payloadBytes)
    }
}
