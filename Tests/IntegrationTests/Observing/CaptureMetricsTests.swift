// SPDX-License-Identifier: Apache-2.0
//
// Goal: `/metrics` counts WebSockets and requests by the values that the listed segments of a path have, whichever reactor
// has them, over reloads and moves; whatever clients send, there is a bound, and every reader understands a scrape.
// Method: real scrapes behind sockets of ours and requests of curl; the strict parser of Prometheus's client and promtool.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct CaptureMetricsTests {
    private static let page = "respond: { body: a page, type: text/plain }"

    private func series(
        _ kind: String, _ route: String, _ capture: String, _ value: String
    ) -> String {
        "sluice_route_capture_\(kind){route=\"\(route)\",capture=\"\(capture)\",value=\"\(value)\"}"
    }

    /// Has curl ask for all paths that a pattern of its own stands for.
    private func curl(_ sluice: Operated, _ pattern: String, _ options: String...) throws {
        let asked = try ended(
            ["curl", "-s", "-o", "/dev/null", "--path-as-is"] + options
                + ["http://localhost:\(sluice.proxy.port())\(pattern)"])
        #expect(asked.status == 0, "\(asked.output)")
    }

    @Test
    func `sockets and requests of two reactors are counted by what is listed, and nothing else`()
        throws
    {
        let backend = try ScriptedBackend.echo()
        let rooms = "/{tenant}/rooms/{room}"
        let sluice = try Operated(
            routes: [
                "{ path: \"\(rooms)\", to: \"\(backend.address)\", metrics: { captures: [room] } }",
                "{ path: \"/pages/{page}\", \(Self.page), metrics: { captures: [page] } }",
                "{ path: \"/ocpp/{station}\", to: \"\(backend.address)\" }",
            ], listeners: [.plain], settings: ["workers: 2"])
        defer { Scratch.remove(sluice.folder) }
        let lobby = try (0..<6).map {
            try sluice.proxy.open(Opening("/t\($0)/rooms/lobby?user=\($0)"))
        }
        let other = try sluice.proxy.open(Opening("/t0/rooms/CP%7E1"))
        let station = try sluice.proxy.open(Opening("/ocpp/CP-1"))
        #expect(
            Set(
                try sluice.ask("/relays").output.matches(of: /"id" ?: ?"([01])-/).map {
                    String($0.1)
                }) == ["0", "1"])
        try curl(sluice, "/pages/[1-3]")
        try curl(sluice, "/pages/2", "-I")
        let samples = try sluice.scrape()
        #expect(samples[series("relays", rooms, "room", "lobby")] == 6)
        #expect(samples[series("relays_opened_total", rooms, "room", "lobby")] == 6)
        #expect(samples[series("relays", rooms, "room", "CP~1")] == 1)
        for (page, count) in [("1", 1.0), ("2", 2), ("3", 1)] {
            #expect(
                samples[series("requests_total", "/pages/{page}", "page", page)] == count, "\(page)"
            )
        }
        #expect(samples.keys.count { $0.hasPrefix("sluice_route_capture_") } == 7)
        try lobby[0].send(Frame.close(1_000).masked())
        #expect(try lobby[0].readFrame().closeCode == 1_000)
        try eventually("the end is counted") {
            try sluice.scrape()[series("relays", rooms, "room", "lobby")] == 5
        }
        #expect(try sluice.scrape()[series("relays_opened_total", rooms, "room", "lobby")] == 6)
        withExtendedLifetime((lobby, other, station)) {}
    }

    @Test func `the hundredth value is the last that is told apart, whatever clients send`() throws
    {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: [
                "{ path: \"/pages/{page}\", \(Self.page), metrics: { captures: [page] } }",
                "{ path: \"/ws/{room}\", to: \"\(backend.address)\", metrics: { captures: [room] } }",
            ], listeners: [.plain])
        defer { Scratch.remove(sluice.folder) }
        let long = String(repeating: "x", count: 128)
        try curl(sluice, "/pages/\(long)")
        try curl(sluice, "/pages/\(long)x")
        // Escapes stay, but for those of letters that need none; a line, a quote or a brace is none.
        for odd in ["a%22%7D%0Ab", "%C3%A9", "a'b", "{x}", "%61%2e%7E", "\"q\"", "%FF%FE", "other"]
        {
            try curl(sluice, "/pages/\(odd)", "-g")
        }
        // Who is refused is counted, and gets no place of its own.
        for bad in ["a%2Fb", "a%5Cb", "a%00b", "a%zz"] { try curl(sluice, "/pages/\(bad)", "-g") }
        try curl(sluice, "/pages/p[1-130]")
        let clients = try (0..<105).map { try sluice.proxy.open(Opening("/ws/r\($0)")) }
        let samples = try sluice.scrape()
        func values(_ kind: String) -> [String: Double] {
            samples.reduce(into: [:]) { found, sample in
                guard sample.key.hasPrefix("sluice_route_capture_\(kind){"),
                    let value = sample.key.firstMatch(of: /value="(.*)"}/)
                else { return }
                found[String(value.1)] = sample.value
            }
        }
        let pages = values("requests_total")
        #expect(pages.count == 101)
        for odd in [
            long, "a%22%7D%0Ab", "%C3%A9", "a'b", "%7Bx%7D", "a.~", "%22q%22", "%FF%FE", "other",
            "p1", "p91",
        ] {
            #expect(pages[odd] == 1, "\(odd)")
        }
        #expect(pages["p92"] == nil && pages["/other"] == 42, "\(pages)")
        let opened = values("relays_opened_total")
        #expect(opened.count == 101 && opened["r99"] == 1 && opened["/other"] == 5)
        #expect(values("relays") == opened)
        let answer = try sluice.ask("/metrics", ["-H", "Accept: application/openmetrics-text"])
        let file = "\(sluice.folder)/metrics"
        try Scratch.write(answer.output, to: file)
        let families = try PythonPeer.run("open_metrics.py", [file])
        #expect(families.contains("sluice_route_capture_requests counter 101"), "\(families)")
        #expect(families.contains("sluice_route_capture_relays gauge 101"), "\(families)")
        let checked = try ended([
            "/bin/sh", "-c",
            "curl -s --unix-socket \(sluice.socket) http://localhost/metrics | promtool check metrics",
        ])
        #expect(checked.status == 0, "\(checked.output)")
        withExtendedLifetime(clients) {}
    }

    @Test func `counts go on over reloads, and the next process has the live ones`() throws {
        let backend = try ScriptedBackend.echo()
        let route = "/{tenant}/ws/{room}"
        let sluice = try Operated(
            routes: [
                "{ path: \"\(route)\", to: \"\(backend.address)\", metrics: { captures: [room] } }"
            ],
            listeners: [.plain], settings: ["drain: { timeout: 20s }"])
        defer { Scratch.remove(sluice.folder) }
        func reload(_ old: String, _ new: String) throws {
            try sluice.rewrite(old, new)
            let reload = try sluice.command(["reload"])
            #expect(reload.status == 0, "\(reload.output)")
        }
        let first = try sluice.proxy.open(Opening("/ann/ws/lobby"))
        try reload("captures: [room]", "captures: [tenant, room]")
        let second = try sluice.proxy.open(Opening("/bob/ws/lobby"))
        var samples = try sluice.scrape()
        #expect(samples[series("relays_opened_total", route, "room", "lobby")] == 2)
        #expect(samples[series("relays", route, "room", "lobby")] == 2)
        // One that was there before is among those that are open, and not among those that were counted.
        #expect(samples[series("relays", route, "tenant", "ann")] == 1)
        #expect(samples[series("relays_opened_total", route, "tenant", "ann")] == nil)
        #expect(samples[series("relays_opened_total", route, "tenant", "bob")] == 1)
        try reload(", metrics: { captures: [tenant, room] }", "")
        #expect(try !sluice.scrape().keys.contains { $0.contains("capture") })
        try reload("\(backend.address)\"", "\(backend.address)\", metrics: { captures: [room] }")
        samples = try sluice.scrape()
        #expect(samples[series("relays_opened_total", route, "room", "lobby")] == 2)
        #expect(samples[series("relays", route, "room", "lobby")] == 2)
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 2 && report.lost == 0)
        samples = try sluice.scrape()
        #expect(samples[series("relays_opened_total", route, "room", "lobby")] == nil)
        #expect(samples[series("relays", route, "room", "lobby")] == 2)
        // A route that is gone is told of as long as somebody uses it.
        try reload("path: \"\(route)\"", "path: \"/elsewhere/{room}\"")
        let third = try sluice.proxy.open(Opening("/elsewhere/lobby"))
        samples = try sluice.scrape()
        #expect(samples[series("relays", route, "room", "lobby")] == 2)
        #expect(samples[series("relays", "/elsewhere/{room}", "room", "lobby")] == 1)
        withExtendedLifetime((first, second, third)) {}
    }
}
