// SPDX-License-Identifier: Apache-2.0
//
// Goal: requests and WebSockets have their places in traces: upstream, in the access line and at a collector, which
// costs them nothing whatever it does.
// Method: a collector that reads by OpenTelemetry's own schema, peers whose fields the test writes and reads, foreign
// clients by HTTP/1.1 and HTTP/2, and collectors that hang or are away.

import Foundation
import Glibc
import TestKit
import Testing

extension Operated {
    /// A program that was started elsewhere, with its admin socket in this folder.
    fileprivate init(started proxy: ProxyFixture, folder: String) {
        self.proxy = proxy
        self.folder = folder
    }
}

@Suite struct TraceTests {
    private static let trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    private static let parent = "00f067aa0ba902b7"

    /// A Sluice in front of `backend` that trusts 127.0.0.1 if it is told so.
    private func started(
        _ backend: PeerAddress, _ traces: String, trusting: String = "", format: String = "json",
        tls: Bool = false, more: String = ""
    ) throws -> Operated {
        let listener =
            tls
            ? try ProxyListener.tls().settingText()
            : "{ address: \"127.0.0.1:0\", trustedProxies: [\(trusting)] }"
        let folder = try Scratch.makeFolder()
        return Operated(
            started: try ProxyFixture(
                configuration: """
                    listen: [\(listener)]
                    routes: [{ path: /*, to: "\(backend)"\(more) }, { path: /own, respond: { body: "x" } }]
                    admin: { socket: \(folder)/admin.sock }
                    log: { format: \(format) }
                    \(traces)

                    """), folder: folder)
    }

    private func line(_ sluice: Operated, containing text: String) throws -> [String: Any] {
        let line = try sluice.proxy.process.waitForLine(containing: text)[0]
        return try #require(
            try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any], "\(line)")
    }

    /// Asks for a path with these fields, and answers as the upstream; what that was asked.
    @discardableResult
    private func ask(
        _ sluice: Operated, _ backend: ManualBackend, _ path: String = "/a?secret=1",
        _ fields: String = "", answer: String = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    ) throws -> HTTPHead {
        let client = try sluice.proxy.connect()
        try client.send("GET \(path) HTTP/1.1\r\nHost: app.example:8080\r\n\(fields)\r\n")
        let upstream = try backend.next()
        let head = try upstream.readHead()
        try upstream.send(answer)
        _ = try client.readResponse()
        client.stream.close()
        return head
    }

    @Test func `a request begins a trace: upstream, in its line and at the collector`() throws {
        let collector = try OTLPCollector()
        let backend = try ManualBackend()
        let sluice = try started(backend.address, collector.setting("serviceName: edge"))
        defer { Scratch.remove(sluice.folder) }
        let head = try ask(sluice, backend)
        let sent = try #require(head["traceparent"]).split(separator: "-").map(String.init)
        #expect(head.all("traceparent").count == 1 && head["tracestate"] == nil)
        #expect(sent.count == 4 && sent[0] == "00" && sent[3] == "03")
        let span = try #require(try collector.waitForSpans(1).first)
        #expect(span.trace == sent[1] && span.span == sent[2] && span.parent.isEmpty)
        #expect(span.flags == 0x103)
        #expect(span.name == "GET /*" && span.kind == "SPAN_KIND_SERVER" && span.scope == "sluice")
        #expect(span.resource["service.name"] == .text("edge"))
        #expect(span.text("http.request.method") == "GET")
        #expect(span.text("url.path") == "/a" && span.text("url.scheme") == "http")
        #expect(span.text("http.route") == "/*")
        #expect(span.text("server.address") == "app.example" && span.number("server.port") == 8080)
        #expect(span.text("client.address") == "127.0.0.1")
        #expect(span.text("network.protocol.version") == "1.1")
        #expect(span.number("http.response.status_code") == 200)
        #expect(span.number("http.response.body.size") == 2)
        #expect(span.text("sluice.upstream") == "\(backend.address)")
        #expect(span.attributes["sluice.websocket"] == .boolean(false))
        #expect(span.status == 0 && span.events.isEmpty && span.links.isEmpty)
        #expect(!collector.process.output.joined().contains("secret"))
        #expect(try line(sluice, containing: "\"/a\"")["traceId"] as? String == span.trace)
        // The next one has another.
        let next = try ask(sluice, backend)
        #expect(next["traceparent"]?.contains(span.trace) == false)
        _ = try collector.waitForSpans(2)
    }

    @Test func `an upgrade hands on the listening sockets, and none that the export has`() throws {
        let collector = try OTLPCollector()
        let backend = try ManualBackend()
        let sluice = try started(backend.address, collector.setting())
        defer { Scratch.remove(sluice.folder) }
        try ask(sluice, backend)
        _ = try collector.waitForSpans(1)
        func sockets(of process: Int32) throws -> Set<String> {
            let folder = "/proc/\(process)/fd"
            let names = try FileManager.default.contentsOfDirectory(atPath: folder)
            // One that is closed meanwhile leads nowhere.
            let links = names.compactMap {
                try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/\($0)")
            }
            return Set(links.filter { $0.hasPrefix("socket:") })
        }
        let before = try sockets(of: sluice.proxy.process.identifier)
        // A live socket would be handed on too.
        let report = try MovedSocketsTests.upgrade(sluice, ["--no-move"])
        defer { kill(report.newProcess, SIGKILL) }
        let shared = before.intersection(try sockets(of: report.newProcess))
        // The listener; those of the export would be further ones.
        #expect(shared.count == 1, "\(shared)")
    }

    @Test func `a trusted proxy's trace goes on, and it says what is recorded`() throws {
        let collector = try OTLPCollector()
        let backend = try ManualBackend()
        let sluice = try started(
            backend.address, collector.setting("sample: 0%"), trusting: "127.0.0.1")
        defer { Scratch.remove(sluice.folder) }
        let state = "tracestate: rojo=1,congo=t61rcWkgMzE\r\n"
        let taken = try ask(
            sluice, backend, "/taken", "Traceparent: 00-\(Self.trace)-\(Self.parent)-01\r\n" + state
        )
        let sent = try #require(taken["traceparent"]).split(separator: "-").map(String.init)
        #expect(taken.all("traceparent").count == 1)
        #expect(sent[1] == Self.trace && sent[2] != Self.parent && sent[3] == "01")
        #expect(taken.all("tracestate") == ["rojo=1,congo=t61rcWkgMzE"])
        // Not recorded, and told so.
        let passed = try ask(
            sluice, backend, "/passed", "traceparent: 00-\(Self.trace)-\(Self.parent)-00\r\n")
        #expect(passed["traceparent"]?.hasPrefix("00-\(Self.trace)-") == true)
        #expect(passed["traceparent"]?.hasSuffix("-00") == true)
        // What is none begins anew, and what goes with it is dropped.
        for field in [
            "traceparent: 00-\(Self.trace)-\(Self.parent)-01, 00\r\n",
            "traceparent: 00-\(Self.trace)-0000000000000000-01\r\n",
            "traceparent: 00-\(Self.trace)-\(Self.parent)-01\r\n"
                + "traceparent: 00-\(Self.trace)-\(Self.parent)-01\r\n", "",
        ] {
            let anew = try ask(sluice, backend, "/anew", field + state)
            #expect(anew.all("traceparent").count == 1 && anew["tracestate"] == nil, "\(field)")
            #expect(anew["traceparent"]?.contains(Self.trace) == false, "\(field)")
            #expect(anew["traceparent"]?.hasSuffix("-02") == true, "\(field)")
        }
        // A state that is none is dropped, and the trace goes on.
        let unsound = try ask(
            sluice, backend, "/unsound",
            "traceparent: 00-\(Self.trace)-\(Self.parent)-01\r\ntracestate: =\r\n")
        #expect(unsound["traceparent"]?.hasPrefix("00-\(Self.trace)-") == true)
        #expect(unsound["tracestate"] == nil)
        let spans = try collector.waitForSpans(2)
        #expect(spans.map { $0.text("url.path") } == ["/taken", "/unsound"])
        #expect(spans.allSatisfy { $0.trace == Self.trace && $0.parent == Self.parent })
        #expect(spans[0].span == sent[2] && spans[0].flags == 0x301)
        #expect(try line(sluice, containing: "\"/passed\"")["traceId"] as? String == Self.trace)
    }

    @Test func `anybody else's trace counts for nothing`() throws {
        let collector = try OTLPCollector()
        let backend = try ManualBackend()
        let sluice = try started(
            backend.address, collector.setting("sample: 0%"), trusting: "10.0.0.0/8")
        defer { Scratch.remove(sluice.folder) }
        let fields =
            "traceparent: 00-\(Self.trace)-\(Self.parent)-01\r\ntracestate: rojo=1\r\n"
        let head = try ask(sluice, backend, "/a", fields)
        #expect(head.all("traceparent").count == 1 && head["tracestate"] == nil)
        #expect(head["traceparent"]?.contains(Self.trace) == false)
        #expect(head["traceparent"]?.hasSuffix("-02") == true)
        let id = try line(sluice, containing: "\"/a\"")["traceId"] as? String
        #expect(id.map { head["traceparent"]?.contains($0) == true } == true)
        #expect(try collector.requests().isEmpty)
    }

    @Test func `without traces the client's fields go on as they are, and no line names any`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try started(backend.address, "", trusting: "127.0.0.1")
        defer { Scratch.remove(sluice.folder) }
        let head = try ask(
            sluice, backend, "/a", "traceparent: whatever\r\ntracestate: =,=\r\n")
        #expect(head.all("traceparent") == ["whatever"] && head.all("tracestate") == ["=,="])
        #expect(try line(sluice, containing: "\"/a\"")["traceId"] == nil)
        #expect(try threadNames(of: sluice.proxy).contains("sluice-traces") == false)
        #expect(try !sluice.ask("/metrics").output.contains("sluice_trace_spans"))
    }

    @Test func `a route's own traceparent is the operator's`() throws {
        let collector = try OTLPCollector()
        let backend = try ManualBackend()
        let sluice = try started(
            backend.address, collector.setting(), more: ", request: { remove: [traceparent] }")
        defer { Scratch.remove(sluice.folder) }
        #expect(try ask(sluice, backend)["traceparent"] == nil)
        _ = try collector.waitForSpans(1)
    }

    @Test func `a WebSocket has a span up to its 101, and one for its end that leads there`() throws
    {
        let collector = try OTLPCollector()
        let backend = try ManualBackend()
        let sluice = try started(backend.address, collector.setting(), tls: true)
        defer { Scratch.remove(sluice.folder) }
        let before = UInt64(Date().timeIntervalSince1970 * 1_000_000_000)
        let ends = try sluice.proxy.relay(to: backend, Opening("/chat?token=1"))
        let handshake = try #require(try collector.waitForSpans(1).first)
        let sent = try #require(ends.request["traceparent"]).split(separator: "-")
        #expect(handshake.trace == sent[1] && handshake.span == sent[2])
        #expect(handshake.name == "GET /*" && handshake.kind == "SPAN_KIND_SERVER")
        #expect(handshake.attributes["sluice.websocket"] == .boolean(true))
        #expect(handshake.number("http.response.status_code") == 101)
        #expect(handshake.text("url.path") == "/chat" && handshake.text("url.scheme") == "https")
        #expect(handshake.text("tls.protocol.version") == "1.3")
        #expect(handshake.text("sluice.upstream") == "\(backend.address)")
        #expect(handshake.events.map(\.name) == ["tls", "head", "queue", "connect", "answer"])
        let times = [handshake.begin] + handshake.events.map(\.time) + [handshake.end]
        #expect(times == times.sorted(), "\(times)")
        #expect(handshake.events.last?.time == handshake.end)
        let now = UInt64(Date().timeIntervalSince1970 * 1_000_000_000)
        // Its begin is that of a whole millisecond.
        #expect(handshake.begin + 2_000_000 >= before && handshake.end <= now + 1_000_000)

        try ends.exchange("hello")
        try ends.client.send(Frame.close(4001).masked())
        #expect(try ends.upstream.readFrame().closeCode == 4001)
        try ends.upstream.send(Frame.close(4001))
        #expect(try ends.client.readFrame().closeCode == 4001)
        let end = try #require(try collector.waitForSpans(2).last)
        #expect(end.name == "WebSocket end /*" && end.kind == "SPAN_KIND_INTERNAL")
        #expect(end.links == [.init(trace: handshake.trace, span: handshake.span)])
        #expect(end.trace != handshake.trace && end.parent.isEmpty)
        #expect(end.number("sluice.close_code") == 4001)
        #expect(end.text("sluice.ended_by") == "client" && end.text("sluice.reason") == "close")
        #expect(end.number("sluice.up.messages") == 1 && end.number("sluice.up.bytes") == 5)
        #expect(end.number("sluice.down.messages") == 1 && end.number("sluice.down.bytes") == 5)
        #expect(end.number("sluice.duration").map { $0 >= 0 && $0 < 600 } == true)
        #expect(end.text("url.path") == "/chat" && end.text("client.address") == "127.0.0.1")
        for event in ["open", "end"] {
            let line = try line(sluice, containing: "\"event\":\"\(event)\"")
            #expect(line["traceId"] as? String == handshake.trace)
        }
        #expect(
            try line(sluice, containing: "\"event\":\"end\"")["relay"] as? String
                == end.text("sluice.relay"))
        #expect(!collector.process.output.joined().contains("token"))
    }

    @Test func `requests and sockets by HTTP/2 have theirs too`() throws {
        let collector = try OTLPCollector()
        let backend = try ScriptedBackend.echo()
        let sluice = try started(backend.address, collector.setting(), tls: true)
        defer { Scratch.remove(sluice.folder) }
        let authority = try TestCertificates.shared().authority
        let page = try ended([
            "curl", "-s", "--http2", "--cacert", authority, "-H", "traceparent: x",
            "https://localhost:\(sluice.proxy.port())/own",
        ])
        #expect(page.output == "x\n")
        try PythonPeer.run(
            "h2_client.py", ["\(sluice.proxy.port())", authority, "echo"])
        try eventually("both have come") {
            try collector.spans().contains { $0.name.hasPrefix("WebSocket end") }
        }
        let spans = try collector.spans()
        let request = try #require(spans.first { $0.text("url.path") == "/own" })
        #expect(request.name == "GET /own" && request.text("network.protocol.version") == "2")
        let handshake = try #require(
            spans.first { $0.attributes["sluice.websocket"] == .boolean(true) })
        #expect(handshake.name == "CONNECT /*")
        #expect(handshake.text("network.protocol.version") == "2")
        #expect(handshake.events.map(\.name) == ["queue", "connect", "answer"])
        let asked = String(decoding: backend.received(), as: UTF8.self)
        #expect(asked.contains("traceparent: 00-\(handshake.trace)-\(handshake.span)-03\r\n"))
    }

    @Test func `what is refused or fails is recorded with its error`() throws {
        let collector = try OTLPCollector()
        let gone = try PeerAddress.refusing()
        let sluice = try started(gone, collector.setting())
        defer { Scratch.remove(sluice.folder) }
        _ = try sluice.proxy.connect().refusal(
            of: Opening("/a").with("Origin", "https://evil.example"))
        _ = try sluice.proxy.connect().refusal(of: Opening("/b"))
        _ = try sluice.proxy.connect().refusal(of: Opening("/c").without("Sec-WebSocket-Key"))
        let client = try sluice.proxy.connect()
        try client.send("BREW /d HTTP/1.0\r\nHost: a\r\n\r\n")
        #expect(try client.readResponse().status == 502)
        let spans = try collector.waitForSpans(4)
        let byPath = Dictionary(grouping: spans) { $0.text("url.path") ?? "" }
        let origin = try #require(byPath["/a"]?.first)
        #expect(origin.number("http.response.status_code") == 403 && origin.status == 0)
        #expect(origin.text("error.type") != nil && origin.text("sluice.detail") != nil)
        let away = try #require(byPath["/b"]?.first)
        #expect(away.number("http.response.status_code") == 502 && away.status == 2)
        #expect(away.text("error.type") == "connection_refused" && !away.message.isEmpty)
        #expect(away.attributes["sluice.websocket"] == .boolean(true))
        #expect(away.events.map(\.name) == ["head", "queue"])
        let unsound = try #require(byPath["/c"]?.first)
        #expect(unsound.number("http.response.status_code") == 400 && unsound.name == "GET")
        let other = try #require(byPath["/d"]?.first)
        #expect(other.name == "HTTP /*" && other.text("http.request.method") == "_OTHER")
        #expect(other.text("http.request.method_original") == "BREW")
        #expect(other.text("network.protocol.version") == "1.0" && other.status == 2)
    }

    @Test func `a reload sends elsewhere, records others, and ends it all`() throws {
        let first = try OTLPCollector()
        let second = try OTLPCollector()
        let backend = try ManualBackend()
        let sluice = try started(backend.address, first.setting(), format: "text")
        defer { Scratch.remove(sluice.folder) }
        let head = try ask(sluice, backend)
        let span = try #require(try first.waitForSpans(1).first)
        #expect(head["traceparent"]?.contains(span.trace) == true)
        try sluice.proxy.process.waitForLine(containing: " trace=\(span.trace) ")
        try sluice.rewrite(first.setting(), second.setting())
        let moved = try sluice.command(["reload"])
        #expect(moved.output.contains("Settings: changed traces."), "\(moved.output)")
        try ask(sluice, backend)
        _ = try second.waitForSpans(1)
        try sluice.rewrite(second.setting(), second.setting("sample: 0%"))
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try ask(sluice, backend)["traceparent"]?.hasSuffix("-02") == true)
        try sluice.rewrite(second.setting("sample: 0%"), "")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try ask(sluice, backend)["traceparent"] == nil)
        #expect(try first.spans().count == 1 && second.spans().count == 1)
        let samples = try sluice.scrape()
        #expect(samples["sluice_trace_spans_exported_total"] == 2)
        for cause in ["queue_full", "rejected", "failed", "stopped"] {
            #expect(samples["sluice_trace_spans_dropped_total{cause=\"\(cause)\"}"] == 0)
        }
        // A value that can't be read leaves everything as it was.
        try sluice.rewrite(
            "log:", second.setting("headers: { x-key: \"file:/nowhere/key\" }") + "\nlog:")
        let broken = try sluice.command(["reload"])
        #expect(broken.status != 0 && broken.output.contains("/nowhere/key: there is no such file"))
        #expect(try ask(sluice, backend)["traceparent"] == nil)
    }

    @Test func `a collector by TLS is checked, and gets what a file says`() throws {
        let certificates = try TestCertificates.shared()
        let collector = try OTLPCollector(certificates.local)
        let backend = try ManualBackend()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write("Bearer abc\nanother line\n", to: "\(folder)/token")
        let headers = "headers: { authorization: \"file:\(folder)/token\", x-scope: \"7\" }"
        let endpoint = "endpoint: \"https://localhost:\(collector.port)\""
        let sluice = try started(
            backend.address,
            "traces: { \(endpoint), ca: \(certificates.authority), \(headers) }")
        defer { Scratch.remove(sluice.folder) }
        try ask(sluice, backend)
        _ = try collector.waitForSpans(1)
        let fields = try #require(try collector.requests().first)
        #expect(fields["authorization"] == "Bearer abc" && fields["x-scope"] == "7")
        #expect(fields["user-agent"]?.hasPrefix("sluice/") == true)
        // Whose certificate nobody knows gets nothing.
        try sluice.rewrite("ca: \(certificates.authority), ", "")
        #expect(try sluice.command(["reload"]).status == 0)
        try ask(sluice, backend)
        let line = try sluice.proxy.process.waitForLine(containing: "Spans can't be sent to")[0]
        #expect(line.contains("certificate"), "\(line)")
        #expect(try collector.requests().count == 1)
        #expect(!sluice.proxy.process.output.joined().contains("Bearer"))
    }

    @Test func `a collector that hangs costs spans, and nobody waits for it`() throws {
        let collector = try ScriptedBackend.silent()
        let backend = try ManualBackend()
        let endpoint = "endpoint: \"http://127.0.0.1:\(collector.address.port)\""
        let sluice = try started(
            backend.address, "traces: { \(endpoint), queue: 5, timeout: 5m }")
        defer { Scratch.remove(sluice.folder) }
        for _ in 0..<4 { try ask(sluice, backend) }
        try collector.waitForConnections(1)
        for _ in 0..<20 { try ask(sluice, backend) }
        let dropped = "sluice_trace_spans_dropped_total{cause=\"queue_full\"}"
        try eventually("all are counted") {
            try sluice.scrape()[dropped].map { $0 == 19 } ?? false
        }
        let samples = try sluice.scrape()
        #expect(samples["sluice_trace_spans_exported_total"] == 0)
        // It stops, though the collector would be waited for five minutes.
        #expect(try sluice.proxy.terminate(by: .after(.seconds(120))) == 0)
    }

    @Test func `what waits when it stops arrives`() throws {
        let collector = try OTLPCollector()
        let backend = try ManualBackend()
        let sluice = try started(backend.address, collector.setting())
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend, Opening("/a"))
        sluice.proxy.process.signal(SIGTERM)
        #expect(try ends.client.readFrame().closeCode == 1001)
        #expect(try ends.upstream.readFrame().closeCode == 1001)
        try ends.client.send(Frame.close(1001).masked())
        try ends.upstream.send(Frame.close(1001))
        #expect(try sluice.proxy.process.waitForExit(by: .after(.seconds(120))) == 0)
        let spans = try collector.waitForSpans(2)
        #expect(spans.last?.text("sluice.reason") == "drain")
        #expect(spans.last?.text("sluice.ended_by") == "sluice")
    }

    @Test func `check says what is in force, and what is wrong with a file`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        func check(_ traces: String) throws -> (status: Int32, output: String) {
            try Scratch.write(
                """
                listen: [{ address: "127.0.0.1:0" }]
                routes: [{ path: /, to: "ws://127.0.0.1:1" }]
                \(traces)

                """, to: "\(folder)/s.yaml")
            return try ended([try ProxyFixture.program(), "check", "-c", "\(folder)/s.yaml"])
        }
        let fine = try check("traces: { endpoint: \"http://127.0.0.1:4318\", sample: 1% }")
        #expect(fine.status == 0)
        #expect(
            fine.output.contains(
                "Traces: spans of 1% of the traces that begin here go to"
                    + " http://127.0.0.1:4318/v1/traces, as sluice."), "\(fine.output)")
        let missing = try check(
            "traces: { endpoint: \"http://a\", ca: none.pem, headers: { a: \"file:none\" } }")
        #expect(missing.status == 1)
        #expect(
            missing.output.contains("s.yaml:3:") && missing.output.contains("/none"),
            "\(missing.output)")
        try Scratch.write("\n", to: "\(folder)/none")
        let empty = try check("traces: { endpoint: \"http://a\", headers: { a: \"file:none\" } }")
        #expect(empty.output.contains("its first line is no value of a field"), "\(empty.output)")
        #expect(try check("").output.contains("Traces:") == false)
    }
}
