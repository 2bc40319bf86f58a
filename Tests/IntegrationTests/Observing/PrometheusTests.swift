// SPDX-License-Identifier: Apache-2.0
//
// Goal: what a Prometheus knows of Sluice is what the clients themselves have counted.
// Method: a real Prometheus scrapes while foreign clients (Python's websockets and h2, Node's ws, curl) carry out a
// load that they count for themselves, by HTTP/1.1 and HTTP/2; afterwards each of their sums is asked back by the
// HTTP API of Prometheus.

import Foundation
import TestKit
import Testing

@Suite struct PrometheusTests {
    /// What clients say that they have counted.
    private struct Counted: Decodable {
        let name: String
        let labels: [String: String]
        let value: Double
    }

    private typealias Series = Prometheus.Series

    /// Series that clients have a number for, with it.
    private struct Expected {
        var values: [Series: Double] = [:]

        mutating func add(_ name: String, _ labels: [String: String] = [:], _ value: Double = 1) {
            values[Series(name, labels), default: 0] += value
        }

        /// Text messages, and bytes of each, that have gone both ways; and the Close of the client and its answer.
        mutating func echoed(_ route: String, _ type: String, _ sizes: [Int]) {
            let bytes = Double(sizes.reduce(0, +))
            for direction in ["up", "down"] {
                let labels = ["route": route, "direction": direction]
                func kind(_ type: String) -> [String: String] {
                    labels.merging(["type": type]) { $1 }
                }
                add("sluice_messages_total", kind(type), Double(sizes.count))
                add("sluice_messages_total", kind("close"))
                add("sluice_frames_total", labels, Double(sizes.count + 1))
                add("sluice_payload_bytes_total", labels, bytes)
                add("sluice_message_bytes_sum", labels, bytes)
                add("sluice_message_bytes_count", labels, Double(sizes.count))
            }
            add("sluice_relays_opened_total", ["route": route])
            add(
                "sluice_relays_closed_total",
                ["route": route, "code": "1000", "by": "client", "reason": "close"])
        }
    }

    private static let routes = ["/Esv/ocp", "/denied", "/"]

    @Test func `every counter in Prometheus is what foreign clients have counted`() throws {
        let app = try PythonPeer.start("counted_app.py")
        let port = try #require(
            app.waitForLine(containing: "listening")[0].split(separator: " ").last)
        let sluice = try Operated(
            routes: Self.routes.map { "{ path: \($0), to: \"ws://127.0.0.1:\(port)\" }" } + [
                "{ path: /broken, to: \"ws://127.0.0.1:9\" }",
                "{ path: /pages, respond: { body: \"a page\", type: text/plain } }",
            ], settings: ["metrics: { address: \"127.0.0.1:0\" }"])
        defer { Scratch.remove(sluice.folder) }
        let prometheus = try Prometheus(scraping: try sluice.metricsAddress())
        try eventually("the first scrape") {
            try prometheus.query("up") == [Series("up"): 1]
        }
        var expected = Expected()
        let authority = try TestCertificates.shared().authority
        let load = try PythonPeer.run(
            "counted_load.py", ["\(sluice.proxy.port())", authority], by: .after(.seconds(300)))
        for counted in try JSONDecoder().decode([Counted].self, from: Data(load.joined().utf8)) {
            expected.add(counted.name, counted.labels, counted.value)
        }
        try loadByHTTP2(sluice, authority, &expected)
        try loadByNode(sluice, authority, &expected)
        try loadByCurl(sluice, authority, &expected)
        let connections = expected.values.filter { $0.key.name == "handshakes" }.values
        let listener = ["listener": sluice.listener()]
        expected.add(
            "sluice_connections_total", listener, connections.reduce(0, +))
        expected.add("sluice_connections", listener, 0)

        try expectEventually(expected.values, in: prometheus)
        // A further scrape counts nothing twice.
        let scrapes = "count_over_time(up[1h])"
        let before = try #require(try prometheus.query(scrapes).values.first)
        try eventually("a further scrape") {
            try prometheus.query(scrapes).values.allSatisfy { $0 > before }
        }
        try expectEventually(expected.values, in: prometheus)
        // What nobody has counted does not exist: no other code, status or type.
        for name in Set(expected.values.keys.map(\.name)) where name.hasPrefix("sluice_") {
            let known = Set(expected.values.keys.filter { $0.name == name })
            let others = Set(try prometheus.query(name).keys).subtracting(known)
            #expect(others.isEmpty, "\(others)")
        }
    }

    /// Waits until each of these is there with its value; says which are not.
    private func expectEventually(
        _ expected: [Series: Double], in prometheus: Prometheus
    ) throws {
        var wrong: [String] = []
        func found() throws -> [Series: Double] {
            // The values of one moment, so of one scrape.
            let all = try prometheus.query("{__name__=~\"sluice_.*\"}")
            var handshakes: [Series: Double] = [:]
            for (series, value) in all where series.name == "sluice_tls_handshakes_total" {
                let resumed = ["resumed": series.labels["resumed"] ?? ""]
                handshakes[Series("handshakes", resumed), default: 0] += value
            }
            return all.merging(handshakes) { $1 }
        }
        do {
            try eventually("Prometheus has what was counted") {
                let found = try found()
                wrong = expected.filter { found[$0.key] != $0.value }.map { series, value in
                    "\(series): clients \(value), Prometheus \(found[series].map { "\($0)" } ?? "none")"
                }
                return wrong.isEmpty
            }
        } catch {
            Issue.record("\(error):\n\(wrong.sorted().joined(separator: "\n"))")
        }
    }

    /// 20 WebSockets and 7 requests in one connection.
    private func loadByHTTP2(
        _ sluice: Operated, _ authority: String, _ expected: inout Expected
    ) throws {
        let said = try PythonPeer.run(
            "h2_client.py", ["\(sluice.proxy.port())", authority, "many", "20"])
        #expect(said == ["echoed 20 answered 7"])
        for index in 0..<20 {
            expected.echoed("/", "binary", [Int](repeating: 100 + 10 * index, count: 3))
        }
        expected.add(
            "sluice_requests_total",
            ["route": "/pages", "method": "GET", "status": "200", "protocol": "h2"], 7)
        expected.add("handshakes", ["resumed": "false"])
    }

    private func loadByNode(
        _ sluice: Operated, _ authority: String, _ expected: inout Expected
    ) throws {
        let script = "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign/ws_client.js"
        let said = try run(
            ["node", script, sluice.proxy.url(), authority],
            environment: ["NODE_PATH": "/usr/share/nodejs"], by: .after(.seconds(60)))
        #expect(said == ["open '' hello"])
        expected.echoed("/Esv/ocp", "text", [5])
        expected.add("handshakes", ["resumed": "false"])
    }

    /// Requests, several on a connection, and an upgrade of an old version; curl says what it got.
    private func loadByCurl(
        _ sluice: Operated, _ authority: String, _ expected: inout Expected
    ) throws {
        let methods = ["GET", "POST", "DELETE"]
        for (index, version) in ["--http1.1", "--http2", "--http1.1", "--http2"].enumerated() {
            let method = methods[index % methods.count]
            var arguments = ["curl", "-s", "--cacert", authority, version, "-X", method]
            arguments += ["-w", "%{http_code} %{http_version} %{num_connects}\n"]
            for path in ["/pages", "/pages", "/nowhere"] {
                arguments += ["-o", "/dev/null", "https://localhost:\(sluice.proxy.port())\(path)"]
            }
            let lines = try run(arguments)
            #expect(lines.count == 3)
            for (line, route) in zip(lines, ["/pages", "/pages", ""]) {
                let words = line.split(separator: " ").map(String.init)
                expected.add(
                    "sluice_requests_total",
                    [
                        "route": route, "method": method, "status": words[0],
                        "protocol": words[1] == "2" ? "h2" : "h1",
                    ])
                expected.add("handshakes", ["resumed": "false"], Double(words[2]) ?? 0)
            }
        }
        let old = try run([
            "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", authority,
            "--http1.1", "-H", "Connection: Upgrade", "-H", "Upgrade: websocket",
            "-H", "Sec-WebSocket-Version: 12", "-H", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "https://localhost:\(sluice.proxy.port())/Esv/ocp",
        ])
        #expect(old == ["426"])
        expected.add(
            "sluice_upgrades_refused_total",
            ["route": "", "status": "426", "error": "http_request_error"])
        expected.add("handshakes", ["resumed": "false"])
    }

    @Test func `odd names of routes and endpoints come through as they are`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        // As YAML writes it in double quotes, and as it is.
        let written = "unix:\(folder)/we\\\"ird\\\\na\\nme \u{E9}.sock"
        let endpoint = "unix:\(folder)/we\"ird\\na\nme \u{E9}.sock"
        let sluice = try Operated(
            routes: ["{ path: /caf\u{E9}/%7E, to: \"\(written)\" }"],
            settings: ["metrics: { address: \"127.0.0.1:0\" }"])
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.connect()
        #expect(try client.refusal(of: Opening().with(target: "/caf%C3%A9/~")).status == 502)
        let address = try sluice.metricsAddress()
        let said = try ended([
            "/bin/sh", "-c", "curl -s http://\(address)/metrics | promtool check metrics",
        ])
        #expect(said.status == 0 && said.output == "", "\(said)")
        // It asks for OpenMetrics.
        let prometheus = try Prometheus(scraping: address)
        try eventually("a scrape") { try prometheus.query("up") == [Series("up"): 1] }
        let name = "sluice_endpoint_failures_total"
        let labels = ["upstream": endpoint, "endpoint": endpoint]
        #expect(try prometheus.query(name) == [Series(name, labels): 1])
        let refused = try prometheus.query("sluice_upgrades_refused_total").keys.first
        #expect(refused?.labels["route"] == "/caf\u{E9}/%7E", "\(String(describing: refused))")
    }

    @Test func `a configuration with names that are not UTF-8 is refused`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let file = URL(fileURLWithPath: "\(folder)/sluice.yaml")
        for name in ["path: /a", "to: \"unix:/run/a"] {
            var text = Data(
                "listen: [{ address: \"127.0.0.1:0\" }]\nroutes: [{ path: /a, to: \"unix:/run/a\" }]\n"
                    .utf8)
            let place = try #require(text.range(of: Data(name.utf8)))
            text.insert(0xFF, at: place.upperBound)
            try text.write(to: file)
            let said = try ended([try ProxyFixture.program(), "check", "-c", file.path])
            #expect(said.status == 1 && said.output.contains("UTF-8"), "\(said)")
        }
    }
}
