// SPDX-License-Identifier: Apache-2.0
//
// Goal: a route that a reload takes out says what becomes of its relays, and its counts are told until somebody has
// read them, and go on if it comes back.
// Method: `sluice reload` of a program with live relays on a route with `onRemove: drain`; scrapes behind their end.

import TestKit
import Testing

@Suite struct RemovedRouteTests {
    @Test func `the drain of a removed route is announced, and its counters never fall`() throws {
        let backend = try ManualBackend()
        let line = "  - { path: /Esv/ocp, to: \"\(backend.address)\", onRemove: drain }\n"
        let sluice = try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\", onRemove: drain }",
                "{ path: /rest, respond: { status: 200 } }",
            ], settings: ["drain: { code: 1012, timeout: 40s }"])
        defer { Scratch.remove(sluice.folder) }
        let relays = try (0..<2).map { _ in try sluice.proxy.relay(to: backend) }
        try relays[0].exchange("counted")
        try sluice.rewrite(line, "")
        let reload = try sluice.command(["reload"])
        let words =
            "Draining the removed route /Esv/ocp (onRemove: drain): 2 live sockets are told 1012 and have up to"
            + " 40s to close, until 20"
        #expect(reload.status == 0 && reload.output.contains("\n\(words)"), "\(reload.output)")
        try sluice.proxy.process.waitForLine(containing: words)
        #expect(try sluice.command(["status"]).output.contains("drain 1 of removed route /Esv/ocp"))
        for relay in relays {
            #expect(try relay.client.readFrame().closeCode == 1012)
            #expect(try relay.upstream.readFrame().closeCode == 1012)
            try relay.client.send(Frame.close(1012).masked())
            try relay.upstream.send(Frame.close(1012))
        }
        try eventually("it is done") { try sluice.command(["status"]).output.contains(", done") }
        let opened = "sluice_relays_opened_total{route=\"/Esv/ocp\"}"
        let closed =
            "sluice_relays_closed_total{route=\"/Esv/ocp\",code=\"1012\",by=\"sluice\",reason=\"drain\"}"
        for _ in 0..<2 {
            let samples = try sluice.scrape()
            #expect(samples[opened] == 2 && samples[closed] == 2, "\(samples)")
        }
        // A reload that concerns others changes nothing in that, and the route goes on where it was.
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try sluice.scrape()[opened] == 2)
        try sluice.rewrite("routes:\n", "routes:\n\(line)")
        #expect(try sluice.command(["reload"]).status == 0)
        let again = try sluice.proxy.relay(to: backend)
        try again.exchange("goes on")
        let samples = try sluice.scrape()
        #expect(samples[opened] == 3 && samples[closed] == 2, "\(samples)")
    }

    @Test func `a reload whose name has no address warns of that`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        try sluice.rewrite("\"\(backend.address)\"", "\"ws://nobody.invalid:9000\"")
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 0, "\(reload.output)")
        #expect(
            reload.output.contains(
                "Warning: the endpoint ws://nobody.invalid:9000 has no address:"),
            "\(reload.output)")
    }

    @Test func `what waits for another process is told by status and doctor until then`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"], settings: ["workers: 2"])
        defer { Scratch.remove(sluice.folder) }
        try sluice.rewrite("workers: 2", "workers: 3")
        let words = "workers waits for `sluice upgrade` or a restart"
        #expect(try sluice.command(["reload"]).output.contains(words))
        for _ in 0..<2 {
            #expect(try sluice.command(["status"]).output.contains(words))
            #expect(try sluice.command(["doctor"]).output.contains(words))
            #expect(try sluice.command(["reload"]).status == 0)
        }
        #expect(try sluice.command(["status", "--json"]).output.contains("\"waiting\" : ["))
        try sluice.rewrite("workers: 3", "workers: 2")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(!(try sluice.command(["status"]).output.contains("waits for")))
    }
}
