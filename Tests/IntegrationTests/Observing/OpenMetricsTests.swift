// SPDX-License-Identifier: Apache-2.0
//
// Goal: a scrape is what others read as OpenMetrics, says of endpoints what an alert needs, and costs little however
// often somebody asks.
// Method: the strict parser of Prometheus's own client; endpoints that are drained; scrapes one behind the other.

import Foundation
import TestKit
import Testing

@Suite struct OpenMetricsTests {
    @Test func `the strict parser of OpenMetrics reads a scrape`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        try ends.exchange("a message")
        let answer = try sluice.ask("/metrics", ["-H", "Accept: application/openmetrics-text"])
        #expect(answer.status == 0)
        let file = "\(sluice.folder)/metrics"
        try Scratch.write(answer.output, to: file)
        let families = try PythonPeer.run("open_metrics.py", [file])
        #expect(families.contains("sluice_connections gauge 1"), "\(families)")
        #expect(families.contains("sluice_connections_total unknown 1"), "\(families)")
    }

    @Test func `an endpoint that is drained is not down`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: ["upstreams: { app: { endpoints: [\"\(backend.address)\"] } }"])
        defer { Scratch.remove(sluice.folder) }
        let labels = "{upstream=\"app\",endpoint=\"\(backend.address)\"}"
        let before = try sluice.scrape()
        #expect(before["sluice_endpoint_up\(labels)"] == 1)
        #expect(before["sluice_endpoint_draining\(labels)"] == 0)
        let drain = try sluice.command(["drain", "--endpoint", "\(backend.address)"])
        #expect(drain.status == 0, "\(drain.output)")
        let drained = try sluice.scrape()
        #expect(drained["sluice_endpoint_up\(labels)"] == 1)
        #expect(drained["sluice_endpoint_draining\(labels)"] == 1)
    }

    @Test func `an endpoint that was not checked yet is not down`() throws {
        let app = try ManualBackend()
        // It accepts, and answers no check.
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(app.address)\"], health: { path: /, timeout: 60s } } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        let labels = "{upstream=\"app\",endpoint=\"\(app.address)\"}"
        #expect(try sluice.command(["status"]).output.contains("unchecked"))
        #expect(try sluice.scrape()["sluice_endpoint_up\(labels)"] == 1)
    }

    @Test func `an endpoint that stands twice is listed once`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(backend.address)\", \"\(backend.address)\"] } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        func endpoints(_ target: String) throws -> [[[String: Any]]] {
            let object = try JSONSerialization.jsonObject(
                with: Data(try sluice.ask(target).output.utf8))
            let upstreams = (object as? [String: Any])?["upstreams"] as? [[String: Any]]
            return upstreams?.compactMap { $0["endpoints"] as? [[String: Any]] } ?? []
        }
        #expect(try endpoints("/live").map(\.count) == [1])
        #expect(try endpoints("/state").map(\.count) == [1])
    }

    @Test func `who asks metrics.address again and again gets what was made a moment ago`() throws {
        let backend = try ManualBackend()
        let port = try HeldPort()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["metrics: { address: \"127.0.0.1:\(port.number)\" }"])
        defer { Scratch.remove(sluice.folder) }
        func scrape() throws -> String {
            let peer = try WebSocketPeer.connect(to: .tcp(port.number))
            try peer.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return try peer.readResponse().text
        }
        // Making one takes processor time, which it says: two that were made are never the same.
        var last = try scrape()
        try eventually("two scrapes in a row are one and the same") {
            let now = try scrape()
            defer { last = now }
            return now == last
        }
        // What has happened since is told all the same.
        let ends = try sluice.proxy.relay(to: backend)
        try ends.exchange("a message")
        let opened = "sluice_relays_opened_total{route=\"/Esv/ocp\"} 1"
        try eventually("the relay is counted") { try scrape().contains(opened) }
        withExtendedLifetime(port) {}
    }
}
