// SPDX-License-Identifier: Apache-2.0
//
// Goal: `/metrics` counts what clients and upstreams have seen, in both forms, and goes on over reloads.
// Method: peers of ours and foreign ones whose messages, requests and ends are known; the answers of the admin
// socket are read line by line, and by Prometheus's own promtool.

import Foundation
import TestKit
import Testing

extension Operated {
    /// The samples of a scrape, each by its name with its labels.
    func scrape() throws -> [String: Double] {
        let answer = try ask("/metrics")
        #expect(answer.status == 0)
        var samples: [String: Double] = [:]
        for line in answer.output.split(separator: "\n") where !line.hasPrefix("#") {
            let place = try #require(line.lastIndex(of: " "), "\(line)")
            let name = String(line[..<place])
            #expect(samples[name] == nil, "twice: \(line)")
            let number: Double = try #require(Double(line[line.index(after: place)...]), "\(line)")
            samples[name] = number
        }
        return samples
    }

    /// `127.0.0.1` and the port of a listener, as its label names it.
    func listener(_ index: Int = 0) -> String { "127.0.0.1:\(proxy.port(index))" }
}

@Suite struct ScrapeTests {
    private static let page = "{ path: /pages, respond: { body: \"a page\", type: text/plain } }"

    private func curl(_ sluice: Operated, _ path: String, _ options: String...) throws -> Int32 {
        let authority = try TestCertificates.shared().authority
        return try ended(
            ["curl", "-s", "-o", "/dev/null", "--cacert", authority] + options
                + ["https://localhost:\(sluice.proxy.port())\(path)"]
        ).status
    }

    @Test func `what a live relay carries is counted, and counted once when it ends`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        for text in ["one", "two", "three"] { try ends.exchange(text) }
        try ends.client.send(Frame.ping("?").masked())
        #expect(try ends.upstream.readFrame().text == "?")
        let upstream = "\(backend.address)"
        let live =
            "sluice_relays{listener=\"\(sluice.listener())\",route=\"/Esv/ocp\","
            + "upstream=\"\(upstream)\",protocol=\"h1\"}"
        let endpoint = "{upstream=\"\(upstream)\",endpoint=\"\(upstream)\"}"
        let route = "route=\"/Esv/ocp\""
        func expectTraffic(_ samples: [String: Double], _ frames: (up: Double, down: Double)) {
            for direction in ["up", "down"] {
                let labels = "{\(route),direction=\"\(direction)\"}"
                func messages(_ type: String) -> Double? {
                    samples[
                        "sluice_messages_total{\(route),direction=\"\(direction)\",type=\"\(type)\"}"
                    ]
                }
                #expect(messages("text") == 3)
                #expect(messages("ping") == (direction == "up" ? 1 : nil))
                #expect(messages("close") == (frames.down > 3 ? 1 : nil))
                #expect(messages("binary") == nil && messages("pong") == nil)
                #expect(samples["sluice_payload_bytes_total\(labels)"] == 11)
                let sizes = "sluice_message_bytes"
                let bucket = "{\(route),direction=\"\(direction)\",le=\"16.0\"}"
                #expect(samples["\(sizes)_bucket\(bucket)"] == 3)
                #expect(samples["\(sizes)_sum\(labels)"] == 11)
                #expect(
                    samples["sluice_frames_total\(labels)"]
                        == (direction == "up" ? frames.up : frames.down))
            }
            #expect(samples["sluice_relays_opened_total{\(route)}"] == 1)
        }
        for _ in 0..<2 {
            let samples = try sluice.scrape()
            expectTraffic(samples, (4, 3))
            #expect(samples[live] == 1)
            #expect(samples["sluice_endpoint_relays\(endpoint)"] == 1)
            #expect(samples["sluice_endpoint_up\(endpoint)"] == 1)
            #expect(samples["sluice_connections{listener=\"\(sluice.listener())\"}"] == 1)
        }
        try ends.client.send(Frame.close(1000).masked())
        #expect(try ends.upstream.readFrame().closeCode == 1000)
        try ends.upstream.send(Frame.close(1000))
        #expect(try ends.client.readFrame().closeCode == 1000)
        let closed =
            "sluice_relays_closed_total{\(route),code=\"1000\",by=\"client\",reason=\"close\"}"
        try eventually("the end is counted") { try sluice.scrape()[closed] == 1 }
        let samples = try sluice.scrape()
        expectTraffic(samples, (5, 4))
        #expect(samples[live] == nil)
        #expect(samples["sluice_endpoint_relays\(endpoint)"] == 0)
        #expect(samples["sluice_relay_duration_seconds_count{\(route)}"] == 1)
        for phase in ["tls", "head", "queue", "connect", "answer", "total"] {
            let bucket =
                "sluice_upgrade_duration_seconds_bucket{\(route),phase=\"\(phase)\",le=\"+Inf\"}"
            #expect(samples[bucket] == 1, "\(phase)")
        }
        let turns = try #require(samples["sluice_reactor_turns_total{reactor=\"0\"}"])
        let measured = samples["sluice_reactor_lag_seconds_count{reactor=\"0\"}"]
        #expect(measured.map { $0 > 0 && $0 <= turns } == true)
    }

    @Test
    func `messages are counted by kind and size, fragments as one, and control frames between`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let frames = [
            Frame(opcode: 2, payload: [UInt8](repeating: 1, count: 60), isFinal: false),
            Frame.pong("!"), Frame(opcode: 0, payload: [UInt8](repeating: 2, count: 5)),
            Frame.text(""), Frame.binary([UInt8](repeating: 3, count: 70_000)),
        ]
        for frame in frames { try ends.client.send(frame.masked()) }
        for frame in frames { #expect(try ends.upstream.readFrame().payload == frame.payload) }
        let labels = "route=\"/Esv/ocp\",direction=\"up\""
        let samples = try sluice.scrape()
        func messages(_ type: String) -> Double? {
            samples["sluice_messages_total{\(labels),type=\"\(type)\"}"]
        }
        #expect(messages("binary") == 2 && messages("text") == 1 && messages("pong") == 1)
        func upTo(_ bound: String) -> Double? {
            samples["sluice_message_bytes_bucket{\(labels),le=\"\(bound)\"}"]
        }
        #expect(upTo("16.0") == 1 && upTo("64.0") == 1 && upTo("256.0") == 2)
        #expect(upTo("65536.0") == 2 && upTo("262144.0") == 3 && upTo("+Inf") == 3)
        #expect(samples["sluice_message_bytes_sum{\(labels)}"] == 70_065)
    }

    @Test func `the time in the queue is that of the queue`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(backend.address)\"], maxConnections: 1, queue: { wait: 60s } } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        let first = try sluice.proxy.relay(to: backend)
        let second = try sluice.proxy.connect()
        try second.send(Opening().bytes)
        let waiting = "sluice_queue_waiting{upstream=\"app\"}"
        try eventually("it waits") { try sluice.scrape()[waiting] == 1 }
        try first.client.send(Frame.close(1000).masked())
        #expect(try first.upstream.readFrame().closeCode == 1000)
        try first.upstream.send(Frame.close(1000))
        let upstream = try backend.next()
        _ = try upstream.accept()
        #expect(try second.readHead().status == 101)
        let samples = try sluice.scrape()
        for phase in ["queue", "connect", "answer", "total"] {
            let labels = "{route=\"/Esv/ocp\",phase=\"\(phase)\"}"
            #expect(samples["sluice_upgrade_duration_seconds_count\(labels)"] == 2)
            let sum = try #require(samples["sluice_upgrade_duration_seconds_sum\(labels)"])
            #expect(sum < 600, "\(phase) took \(sum) s")
        }
    }

    @Test func `round trips are counted as the route's pings find them`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: [
            "{ path: /Esv/ocp, to: \"\(backend.address)\", ping: { every: 100ms, timeout: 60s } }"
        ])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let ping = try ends.client.readFrame()
        #expect(ping.opcode == 9)
        try ends.client.send(Frame(opcode: 10, payload: ping.payload).masked())
        let count = "sluice_ping_rtt_seconds_count{route=\"/Esv/ocp\",side="
        try eventually("the answer is counted") {
            try sluice.scrape()["\(count)\"client\"}"] == 1
        }
        #expect(try sluice.scrape()["\(count)\"upstream\"}"] == nil)
    }

    @Test func `limits of connections and of heads are counted without a route`() throws {
        let sluice = try Operated(
            routes: [Self.page],
            settings: ["limits: { connectionsPerClient: 1, headBytes: 1KiB }"])
        defer { Scratch.remove(sluice.folder) }
        let long = Opening().with("X-Long", String(repeating: "x", count: 2_000))
        #expect(try sluice.proxy.connect().refusal(of: long).status == 431)
        let hits = "sluice_limit_hits_total{route=\"\",limit="
        #expect(try sluice.scrape()["\(hits)\"headBytes\"}"] == 1)
        let first = try sluice.proxy.connect()
        #expect(throws: (any Error).self) { try sluice.proxy.connect().refusal(of: Opening()) }
        #expect(try sluice.scrape()["\(hits)\"connectionsPerClient\"}"] == 1)
        first.stream.close()
    }

    @Test func `ends are told apart by who began them, and codes of applications are folded`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        for code in [4711, 4000, 3999] {
            let ends = try sluice.proxy.relay(to: backend)
            try ends.upstream.send(Frame.close(code))
            #expect(try ends.client.readFrame().closeCode == code)
            try ends.client.send(Frame.close(code).masked())
        }
        let ends = try sluice.proxy.relay(to: backend)
        ends.client.stream.close()
        #expect(try ends.upstream.readFrame().closeCode == 1001)
        func closed(_ code: String, _ by: String, _ reason: String) -> String {
            "sluice_relays_closed_total{route=\"/Esv/ocp\",code=\"\(code)\",by=\"\(by)\",reason=\"\(reason)\"}"
        }
        try eventually("all ends are counted") {
            let samples = try sluice.scrape()
            return samples[closed("4xxx", "upstream", "close")] == 2
                && samples[closed("3xxx", "upstream", "close")] == 1
                && samples[closed("1001", "client", "vanished")] == 1
        }
    }

    @Test(arguments: ["h1", "h2"])
    func `requests in progress are told of by their route`(version: String) throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: [
            Self.page, "{ path: /slow, to: \"\(backend.address)\" }",
        ])
        defer { Scratch.remove(sluice.folder) }
        let gauge = "sluice_requests_in_flight{route=\"/slow\"}"
        #expect(try sluice.scrape()[gauge] == nil)
        let client = try ChildProcess([
            "curl", "-s", "--cacert", try TestCertificates.shared().authority,
            version == "h2" ? "--http2" : "--http1.1",
            "https://localhost:\(sluice.proxy.port())/slow",
        ])
        let upstream = try backend.next()
        _ = try upstream.readHead()
        #expect(try sluice.scrape()[gauge] == 1)
        try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
        #expect(try client.waitForExit() == 0)
        #expect(try sluice.scrape()[gauge] == 0)
    }

    @Test func `requests are counted by route, method, status and protocol`() throws {
        let sluice = try Operated(routes: [Self.page], listeners: [.http2()])
        defer { Scratch.remove(sluice.folder) }
        for _ in 0..<3 { #expect(try curl(sluice, "/pages", "--http1.1") == 0) }
        for _ in 0..<2 { #expect(try curl(sluice, "/pages", "--http2") == 0) }
        #expect(try curl(sluice, "/pages", "--http1.1", "-I") == 0)
        #expect(try curl(sluice, "/pages?token=secret", "--http1.1", "-X", "BREW") == 0)
        #expect(try curl(sluice, "/nowhere", "--http1.1") == 0)
        func count(_ route: String, _ method: String, _ status: Int, _ version: String) -> String {
            "sluice_requests_total{route=\"\(route)\",method=\"\(method)\",status=\"\(status)\","
                + "protocol=\"\(version)\"}"
        }
        let samples = try sluice.scrape()
        #expect(samples[count("/pages", "GET", 200, "h1")] == 3)
        #expect(samples[count("/pages", "GET", 200, "h2")] == 2)
        #expect(samples[count("/pages", "HEAD", 200, "h1")] == 1)
        #expect(samples[count("/pages", "other", 200, "h1")] == 1)
        #expect(samples[count("", "GET", 404, "h1")] == 1)
        #expect(samples["sluice_request_duration_seconds_count{route=\"/pages\"}"] == 7)
        #expect(samples["sluice_requests_in_flight{route=\"/pages\"}"] == 0)
        #expect(samples["sluice_connections_total{listener=\"\(sluice.listener())\"}"] == 8)
        let handshakes = samples.filter { $0.key.hasPrefix("sluice_tls_handshakes_total{") }
        #expect(handshakes.values.reduce(0, +) == 8)
        #expect(handshakes.keys.allSatisfy { $0.contains("version=\"TLSv1.3\",group=\"") })
        #expect(!samples.keys.contains { $0.contains("secret") || $0.contains("BREW") })
    }

    @Test func `sockets and requests of one HTTP/2 connection are counted as its client has them`()
        throws
    {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: [Self.page, "{ path: /, to: \"\(backend.address)\" }"], listeners: [.http2()])
        defer { Scratch.remove(sluice.folder) }
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run(
            "h2_client.py", ["\(sluice.proxy.port())", authority, "many", "20"])
        #expect(said == ["echoed 20 answered 7"])
        let closed =
            "sluice_relays_closed_total{route=\"/\",code=\"1000\",by=\"client\",reason=\"close\"}"
        try eventually("all ends are counted") { try sluice.scrape()[closed] == 20 }
        let samples = try sluice.scrape()
        // Three rounds, in which the socket of number i sends and gets 100 + 10 i bytes.
        let bytes = Double((0..<20).reduce(0) { $0 + 3 * (100 + 10 * $1) })
        for direction in ["up", "down"] {
            let labels = "{route=\"/\",direction=\"\(direction)\"}"
            let ofType = "{route=\"/\",direction=\"\(direction)\",type=\"binary\"}"
            #expect(samples["sluice_messages_total\(ofType)"] == 60)
            #expect(samples["sluice_payload_bytes_total\(labels)"] == bytes)
        }
        #expect(samples["sluice_relays_opened_total{route=\"/\"}"] == 20)
        #expect(
            samples[
                "sluice_requests_total{route=\"/pages\",method=\"GET\",status=\"200\",protocol=\"h2\"}"
            ]
                == 7)
    }

    @Test func `what is refused is counted with its status and its cause`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\", limits: { relays: 1 } }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let full = try sluice.proxy.connect().refusal(of: Opening())
        #expect(full.status == 503)
        let foreign = Opening().with("Origin", "https://elsewhere.example")
        #expect(try sluice.proxy.connect().refusal(of: foreign).status == 403)
        #expect(
            try sluice.proxy.connect().refusal(of: Opening().with(target: "/none")).status == 404)
        #expect(
            try sluice.proxy.connect().refusal(of: Opening().with("Sec-WebSocket-Version", "12"))
                .status == 426)
        #expect(try sluice.proxy.connect(security: .plain).refusal(of: Opening()).status == 400)
        // Without the authority the client sends an alert.
        #expect(
            try ended(["curl", "-s", "https://localhost:\(sluice.proxy.port())/"]).status == 60)
        func refused(_ route: String, _ status: Int, _ error: String) -> String {
            "sluice_upgrades_refused_total{route=\"\(route)\",status=\"\(status)\",error=\"\(error)\"}"
        }
        let alert = "sluice_tls_handshake_failures_total{cause=\"alert\"}"
        try eventually("the alert is counted") { try sluice.scrape()[alert] == 1 }
        let samples = try sluice.scrape()
        #expect(samples[refused("/Esv/ocp", 503, "connection_limit_reached")] == 1)
        #expect(samples[refused("/Esv/ocp", 403, "http_request_denied")] == 1)
        #expect(samples[refused("", 404, "destination_not_found")] == 1)
        #expect(samples[refused("", 426, "http_request_error")] == 1)
        #expect(samples["sluice_limit_hits_total{route=\"/Esv/ocp\",limit=\"relays\"}"] == 1)
        let wrong =
            "sluice_wrong_protocol_total{listener=\"\(sluice.listener())\",kind=\"plain_on_tls\"}"
        #expect(samples[wrong] == 1)
        #expect(!samples.keys.contains { $0.hasPrefix("sluice_requests_total") })
        try ends.exchange("still here")
    }

    @Test func `an endpoint that can't be reached is down, and its failures are counted`() throws {
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"ws://127.0.0.1:9\" }"])
        defer { Scratch.remove(sluice.folder) }
        #expect(try sluice.proxy.connect().refusal(of: Opening()).status == 502)
        let samples = try sluice.scrape()
        let labels = "{upstream=\"ws://127.0.0.1:9\",endpoint=\"ws://127.0.0.1:9\"}"
        #expect(samples["sluice_endpoint_up\(labels)"] == 0)
        #expect(samples["sluice_endpoint_failures_total\(labels)"] == 1)
        #expect(samples["sluice_endpoint_ejections_total\(labels)"] == 1)
        #expect(
            samples[
                "sluice_upgrades_refused_total{route=\"/Esv/ocp\",status=\"502\",error=\"connection_refused\"}"
            ]
                == 1)
    }

    @Test func `counts of a route that stays go on over reloads, and reloads are counted`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\" }", Self.page,
            ])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        try ends.exchange("before")
        #expect(try curl(sluice, "/pages") == 0)
        let pages = "sluice_request_duration_seconds_count{route=\"/pages\"}"
        let messages = "sluice_messages_total{route=\"/Esv/ocp\",direction=\"up\",type=\"text\"}"
        #expect(try sluice.scrape()[pages] == 1)
        try sluice.rewrite("path: /pages", "path: /other")
        #expect(try sluice.command(["reload"]).status == 0)
        try ends.exchange("behind")
        try sluice.rewrite("routes:", "roots:")
        #expect(try sluice.command(["reload"]).status == 1)
        let samples = try sluice.scrape()
        #expect(samples[messages] == 2)
        #expect(samples[pages] == 1, "a route that is gone is told of for a while")
        #expect(samples["sluice_config_reloads_total{result=\"success\"}"] == 1)
        #expect(samples["sluice_config_reloads_total{result=\"failure\"}"] == 1)
        #expect(samples["sluice_config_last_reload_success"] == 0)
        let taken = try #require(samples["sluice_config_last_reload_success_timestamp_seconds"])
        #expect(abs(taken - Date().timeIntervalSince1970) < 600)
        let end = "sluice_certificate_not_after_timestamp_seconds{listener=\"\(sluice.listener())\""
        let certificateEnds = samples.filter { $0.key.hasPrefix(end) }
        #expect(!certificateEnds.isEmpty && certificateEnds.values.allSatisfy { $0 > taken })
    }

    @Test(arguments: ["127.0.0.1:0", "0.0.0.0:0"])
    func `an address for metrics answers them and nothing else, whatever it is called`(
        address: String
    ) throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["metrics: { address: \"\(address)\" }"], isReplaceable: true)
        defer { Scratch.remove(sluice.folder) }
        let line = try sluice.proxy.process.waitForLine(containing: "metrics   http://")[0]
        let port = try #require(line.split(separator: ":").last?.split(separator: "/").first)
        let ends = try sluice.proxy.relay(to: backend)
        try ends.exchange("counted")
        // From other machines under whatever name; on this one no page may choose it (DNS rebinding).
        var host = address.hasPrefix("127") ? "127.0.0.1" : "metrics.example"
        func fetch(_ path: String, _ options: String...) throws -> String {
            try ended(
                ["curl", "-s", "-w", "%{http_code}", "-H", "Host: \(host)"] + options
                    + ["http://127.0.0.1:\(port)\(path)"]
            ).output
        }
        let found = try fetch("/metrics")
        #expect(found.hasSuffix("200\n"))
        #expect(
            found.contains(
                "sluice_messages_total{route=\"/Esv/ocp\",direction=\"up\",type=\"text\"} 1\n"))
        for (path, method, status) in [
            ("/state", "GET", 404), ("/healthz", "GET", 404), ("/drain", "POST", 404),
            ("/reload", "POST", 404), ("/metrics", "POST", 405), ("/metrics/x", "GET", 404),
        ] {
            let said = try fetch(path, "-X", method)
            #expect(said.hasSuffix("\(status)\n"), "\(method) \(path): \(said)")
        }
        #expect(try fetch("/metrics", "-H", "Origin: https://page.example").hasSuffix("403\n"))
        #expect(try fetch("/metrics", "-I").contains("Sluice-Process") == address.hasPrefix("127"))
        host = "page.example"
        #expect(try fetch("/metrics").hasSuffix(address.hasPrefix("127") ? "403\n" : "200\n"))
        // Commands find the socket that is theirs all the same.
        #expect(try sluice.command(["status"]).output.contains("/Esv/ocp"))
        try ends.exchange("still here")
    }

    @Test
    func `an upgrade that can't have the address for metrics leaves the admin socket as it is`()
        throws
    {
        let taken = try ManualBackend()
        let sluice = try Operated(routes: [Self.page], isReplaceable: true)
        defer { Scratch.remove(sluice.folder) }
        try sluice.rewrite(
            "routes:", "metrics: { address: \"127.0.0.1:\(taken.address.port)\" }\nroutes:")
        let upgrade = try sluice.command(["upgrade"])
        #expect(upgrade.status == 1 && upgrade.output.contains("Not upgraded"), "\(upgrade)")
        #expect(try sluice.command(["status"]).status == 0)
        #expect(try sluice.scrape()["sluice_config_last_reload_success"] == 1)
    }

    @Test func `an address for metrics that an upgrade does away with is free`() throws {
        let sluice = try Operated(
            routes: [Self.page], settings: ["metrics: { address: \"127.0.0.1:0\" }"],
            isReplaceable: true)
        defer { Scratch.remove(sluice.folder) }
        let line = try sluice.proxy.process.waitForLine(containing: "metrics   http://")[0]
        let url = try #require(line.split(separator: " ").last)
        #expect(try ended(["curl", "-s", "-o", "/dev/null", "\(url)"]).status == 0)
        try sluice.rewrite("metrics: { address: \"127.0.0.1:0\" }", "# none")
        let upgrade = try sluice.command(["upgrade"])
        #expect(upgrade.status == 0, "\(upgrade.output)")
        let state = try sluice.command(["status", "--json"]).output
        let pid = state.split(separator: "\n").first { $0.contains("\"pid\"") }
        let new = try #require(pid.flatMap { Int32($0.filter(\.isNumber)) })
        defer { kill(new, SIGKILL) }
        try eventually("nobody listens there") {
            try ended(["curl", "-s", "--max-time", "5", "-o", "/dev/null", "\(url)"]).status == 7
        }
    }

    @Test func `the process tells of itself as Prometheus's own clients do`() throws {
        let sluice = try Operated(routes: [Self.page])
        defer { Scratch.remove(sluice.folder) }
        let samples = try sluice.scrape()
        let resident = try #require(samples["process_resident_memory_bytes"])
        let shown = Double(try residentKilobytes(of: sluice.proxy)) * 1_024
        #expect(abs(resident - shown) < 32 * 1_048_576)
        #expect(samples["process_open_fds"].map { $0 > 5 } == true)
        #expect(samples["process_max_fds"].map { $0 >= 1_024 } == true)
        #expect(samples["process_cpu_seconds_total"].map { $0 > 0 } == true)
        #expect(samples["sluice_log_lines_lost_total"] == 0)
        #expect(samples["sluice_held_bytes"] == 0)
        #expect(samples["sluice_reactor_turns_total{reactor=\"0\"}"].map { $0 > 0 } == true)
        #expect(samples.keys.contains { $0.hasPrefix("sluice_build_info{version=") })
    }

    @Test func `the form is OpenMetrics where that is asked for`() throws {
        let sluice = try Operated(routes: [Self.page])
        defer { Scratch.remove(sluice.folder) }
        let plain = try sluice.ask("/metrics", ["-i"]).output
        #expect(plain.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"))
        #expect(!plain.contains("# EOF"))
        let asked = try sluice.ask(
            "/metrics",
            [
                "-i", "-H",
                "Accept: application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5",
            ]
        ).output
        #expect(
            asked.contains(
                "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8"))
        #expect(asked.contains("# TYPE sluice_build info\n"))
        #expect(asked.hasSuffix("# EOF\n"))
    }

    @Test func `promtool finds nothing to say`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }", Self.page])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        try ends.exchange("hello")
        #expect(try curl(sluice, "/pages") == 0)
        #expect(
            try sluice.proxy.connect().refusal(of: Opening().with(target: "/none")).status == 404)
        ends.client.stream.close()
        #expect(try ends.upstream.readFrame().closeCode == 1001)
        let said = try ended([
            "/bin/sh", "-c",
            "curl -s --unix-socket \(sluice.socket) http://localhost/metrics | promtool check metrics",
        ])
        #expect(said.status == 0, "\(said.output)")
        #expect(said.output == "", "\(said.output)")
    }
}
