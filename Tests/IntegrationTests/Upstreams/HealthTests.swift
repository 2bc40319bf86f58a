// SPDX-License-Identifier: Apache-2.0
//
// Goal: endpoints that are not well get nothing new, are told of once, and are back when they are.
// Method: apps in processes of their own, which fail, hang, go and come back; clients that must never
// notice while another app is well.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct HealthTests {
    /// Two apps behind a Sluice that checks them.
    private struct Pair {
        let folder: String
        let first: NamedApp
        let second: NamedApp
        let sluice: Operated
        var proxy: ProxyFixture { sluice.proxy }

        init(_ rules: String) throws {
            folder = try Scratch.makeFolder()
            first = try NamedApp("first", in: folder)
            second = try NamedApp("second", in: folder)
            sluice = try Operated(
                routes: ["{ path: /Esv/ocp, to: app }", "{ path: /*, to: app }"],
                settings: [
                    "upstreams: { app: { endpoints: [\"\(first.address)\", \"\(second.address)\"], "
                        + "balance: roundRobin, \(rules) } }"
                ])
        }

        func remove() {
            Scratch.remove(sluice.folder)
            Scratch.remove(folder)
        }

        /// What is said of an app's state.
        func line(_ app: NamedApp, _ what: String) -> String {
            "The endpoint \(app.address) of app is \(what)"
        }

        func wait(_ app: NamedApp, _ what: String, count: Int = 1) throws {
            try proxy.process.waitForLine(
                containing: line(app, what), count: count, by: .after(.seconds(60)))
        }

        /// Both have passed their first check.
        func waitUntilChecked() throws {
            try eventually("both are checked", by: .after(.seconds(60))) {
                try sluice.command(["status"]).output.contains("unchecked") == false
            }
        }
    }

    private static let quick = "every: 100ms, timeout: 10s, rise: 2, fall: 2"

    @Test func `an endpoint whose health path answers 500 gets nothing new until it is well`()
        throws
    {
        let pair = try Pair("health: { path: /healthz, \(Self.quick) }")
        defer { pair.remove() }
        try pair.waitUntilChecked()
        let before = try (0..<2).map { _ in try pair.proxy.open() }
        let names = try before.map { try $0.readFrame().text }
        #expect(Set(names) == ["first", "second"])
        try pair.first.answer(health: "500")
        try pair.wait(pair.first, "unhealthy: 2 checks in a row failed, at last: status 500.")
        for _ in 0..<4 { #expect(try pair.proxy.reached() == "second") }
        // Its relays stay.
        for peer in before {
            try peer.send(Frame.text("stays").masked())
            #expect(try peer.readFrame().text == "stays")
        }
        let status = try pair.sluice.command(["status"]).output
        let row = try #require(
            status.split(separator: "\n").first { $0.hasPrefix("\(pair.first.address) ") })
        #expect(row.contains(" unhealthy ") && row.contains("status 500 ("), "\(row)")
        let state = try pair.sluice.ask("/state").output
        let json = try #require(
            try JSONSerialization.jsonObject(with: Data(state.utf8)) as? [String: Any])
        let upstream = try #require((json["upstreams"] as? [[String: Any]])?.first)
        let endpoints = try #require(upstream["endpoints"] as? [[String: Any]])
        let healths = endpoints.map { $0["health"] as? [String: Any] ?? [:] }
        #expect(healths.map { $0["isHealthy"] as? Bool } == [false, true])
        #expect(healths.map { $0["lastError"] as? String } == ["status 500", nil])

        try pair.first.answer()
        try pair.wait(pair.first, "healthy again.")
        let names2 = try (0..<4).map { _ in try pair.proxy.reached() }
        #expect(Set(names2) == ["first", "second"])
        #expect(pair.proxy.count(of: "is unhealthy") == 1)
        #expect(pair.proxy.count(of: "is healthy again") == 1)
    }

    @Test(arguments: ["path: /healthz", "kind: websocket, path: /Esv/ocp"])
    func `an endpoint that hangs gets nothing new, and its relays wait for it`(kind: String) throws
    {
        let pair = try Pair("health: { \(kind), every: 100ms, timeout: 500ms, fall: 1, rise: 1 }")
        defer { pair.remove() }
        try pair.waitUntilChecked()
        let names = try (0..<2).map { _ in try pair.proxy.open() }
        var held: WebSocketPeer?
        for peer in names where try peer.readFrame().text == "first" { held = peer }
        // The kernel goes on accepting for it, so a connect would succeed.
        pair.first.signal(SIGSTOP)
        try pair.wait(pair.first, "unhealthy: its check failed: no answer within 500 ms.")
        for _ in 0..<4 { #expect(try pair.proxy.reached() == "second") }
        let peer = try #require(held)
        try peer.send(Frame.text("late").masked())
        pair.first.signal(SIGCONT)
        #expect(try peer.readFrame().text == "late")
        try pair.wait(pair.first, "healthy again.")
    }

    /// The app that a relay reaches; `lost` where it had the request and was killed.
    private static func attempt(_ proxy: ProxyFixture) throws -> String {
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        let head = try client.readHead()
        guard head.status == 101 else {
            let error = head["Proxy-Status"] ?? ""
            guard error.contains("http_response_incomplete") else { throw PeerError("\(head)") }
            return "lost"
        }
        let frame = try client.readFrame()
        return frame.closeCode == 1014 ? "lost" : frame.text
    }

    @Test
    func `an endpoint that goes and comes again and again takes only what it had under way along`()
        throws
    {
        let pair = try Pair("health: { path: /healthz, \(Self.quick) }, cooldown: 100ms")
        defer { pair.remove() }
        try pair.waitUntilChecked()
        let isOver = Monitor(false)
        let clients = (0..<3).map { _ in
            TestThread {
                var names: [String: Int] = [:]
                while !isOver.value { names[try Self.attempt(pair.proxy), default: 0] += 1 }
                return names
            }
        }
        for round in 1...3 {
            try pair.first.kill()
            try pair.wait(pair.first, "unhealthy", count: round)
            try pair.first.start()
            try pair.wait(pair.first, "healthy again", count: round)
        }
        isOver.update { $0 = true }
        var names: [String: Int] = [:]
        for client in clients {
            names.merge(try client.join(by: .after(.seconds(60)))) { $0 + $1 }
        }
        #expect(names["second", default: 0] > 0)
        // What each client had under way with the app when it was killed, three times.
        #expect(names["lost", default: 0] <= 9, "\(names)")
        #expect(pair.proxy.count(of: pair.line(pair.first, "unhealthy")) == 3, "said once each")
        #expect(pair.proxy.count(of: pair.line(pair.first, "healthy again")) == 3)
        #expect(pair.proxy.count(of: pair.line(pair.second, "unhealthy")) == 0)
    }

    @Test func `with all endpoints down clients are refused at once, and served when one is back`()
        throws
    {
        let pair = try Pair("health: { kind: tcp, \(Self.quick) }")
        defer { pair.remove() }
        try pair.waitUntilChecked()
        for app in [pair.first, pair.second] {
            try app.kill()
            try pair.wait(app, "unhealthy")
        }
        let client = try pair.proxy.connect()
        try expectRefusal(try client.refusal(of: Opening()), 502, on: client)
        try pair.second.start()
        // Nobody has to wait for a check: where none is healthy, all are tried.
        #expect(try pair.proxy.reached() == "second")
        try pair.wait(pair.second, "healthy again.")
        for _ in 0..<3 { #expect(try pair.proxy.reached() == "second") }
        try pair.first.start()
        try pair.wait(pair.first, "healthy again.")
        let names = try (0..<4).map { _ in try pair.proxy.reached() }
        #expect(Set(names) == ["first", "second"])
    }

    @Test func `a check by handshake sees what a health path does not`() throws {
        let pair = try Pair("health: { kind: websocket, path: /Esv/ocp, \(Self.quick) }")
        defer { pair.remove() }
        try pair.waitUntilChecked()
        try pair.first.answer(health: "200", upgrade: 503)
        try pair.wait(
            pair.first, "unhealthy: 2 checks in a row failed, at last: status 503 instead")
        for _ in 0..<4 { #expect(try pair.proxy.reached() == "second") }
    }

    @Test func `a reload leaves endpoints what they were, and takes changed checks up`() throws {
        let pair = try Pair("health: { path: /healthz, \(Self.quick) }")
        defer { pair.remove() }
        try pair.waitUntilChecked()
        try pair.first.answer(health: "500")
        try pair.wait(pair.first, "unhealthy")
        // Something else changes.
        try pair.sluice.rewrite("path: /*,", "path: /other/*,")
        #expect(try pair.sluice.command(["reload"]).status == 0)
        for _ in 0..<4 { #expect(try pair.proxy.reached() == "second") }
        // Now it is the other way round.
        try pair.sluice.rewrite("path: /healthz,", "path: /healthz, status: [500, 501],")
        #expect(try pair.sluice.command(["reload"]).status == 0)
        try pair.wait(pair.first, "healthy again.")
        try pair.wait(pair.second, "unhealthy: 2 checks in a row failed, at last: status 200.")
        for _ in 0..<4 { #expect(try pair.proxy.reached() == "first") }
        // A file that can't be used changes nothing.
        try pair.sluice.rewrite("status: [500, 501]", "status: [99]")
        #expect(try pair.sluice.command(["reload"]).status == 1)
        for _ in 0..<4 { #expect(try pair.proxy.reached() == "first") }
        // Without checks both are well.
        try pair.sluice.rewrite(
            "health: { path: /healthz, status: [99], \(Self.quick) }", "cooldown: 5s")
        #expect(try pair.sluice.command(["reload"]).status == 0)
        let names = try (0..<4).map { _ in try pair.proxy.reached() }
        #expect(Set(names) == ["first", "second"])
        #expect(try pair.sluice.command(["status"]).output.contains("LAST ERROR") == false)
    }

    @Test func `an endpoint that answers upgrades with 503 is passed over, and tried again`() throws
    {
        let pair = try Pair("failedUpgrades: 2, cooldown: 1s, cooldownMax: 1s")
        defer { pair.remove() }
        try pair.first.answer(upgrade: 503)
        var refusals = 0
        while pair.proxy.count(of: "fails: 2 upgrades in a row failed") == 0 {
            let client = try pair.proxy.connect()
            try client.send(Opening().bytes)
            if try client.readHead().status == 503 { refusals += 1 }
            try #require(refusals < 50)
        }
        #expect(refusals >= 2)
        // The one client that tries it after a cool-down may be refused; nobody else is.
        var names: [String] = []
        for _ in 0..<6 {
            let client = try pair.proxy.connect()
            try client.send(Opening().bytes)
            if try client.readHead().status == 101 { names.append(try client.readFrame().text) }
        }
        #expect(Set(names) == ["second"])
        try pair.first.answer()
        try eventually("it is back", by: .after(.seconds(60))) {
            try pair.proxy.reached() == "first"
        }
        try pair.proxy.process.waitForLine(
            containing: "The endpoint \(pair.first.address) of app is back.")
    }

    @Test func `an endpoint that can't be reached is told of once, and when it is back`() throws {
        let pair = try Pair("cooldown: 200ms, cooldownMax: 400ms")
        defer { pair.remove() }
        try pair.first.kill()
        for _ in 0..<20 { #expect(try pair.proxy.reached() == "second") }
        let text = "The endpoint \(pair.first.address) of app fails: "
        try pair.proxy.process.waitForLine(containing: text)
        #expect(pair.proxy.count(of: text) == 1)
        try pair.first.start()
        try eventually("it is back", by: .after(.seconds(60))) {
            try pair.proxy.reached() == "first"
        }
        try pair.proxy.process.waitForLine(
            containing: "The endpoint \(pair.first.address) of app is back.")
    }

    @Test func `an endpoint that is back begins with a small part of its share`() throws {
        let pair = try Pair("slowStart: 1h, cooldown: 100ms, cooldownMax: 100ms")
        defer { pair.remove() }
        func names(_ count: Int) throws -> Int {
            try (0..<count).count { _ in try pair.proxy.reached() == "first" }
        }
        #expect(try names(20) == 10, "at the start there is nobody to begin with")
        try pair.first.kill()
        try eventually("it fails") {
            _ = try pair.proxy.reached()
            return pair.proxy.count(of: "of app fails: ") == 1
        }
        try pair.first.start()
        try eventually("it is back") {
            _ = try pair.proxy.reached()
            return pair.proxy.count(of: "of app is back.") == 1
        }
        // A tenth of its turns, one of eleven, as chance has it: 36 of 400.
        let share = try names(400)
        #expect((10...80).contains(share), "\(share) of 400")
    }
}
