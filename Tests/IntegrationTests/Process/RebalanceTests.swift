// SPDX-License-Identifier: Apache-2.0
//
// Goal: `sluice rebalance` ends as many relays as are above their endpoints' shares, of the upstream that is named,
// and no others.
// Method: the program with live relays, to which a reload gives another endpoint.

import TestKit
import Testing

@Suite struct RebalanceTests {
    @Test func `relays are spread again after an endpoint has joined`() throws {
        let first = try ScriptedBackend.echo()
        let second = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(first.address)\"], balance: leastConnections } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        // Clients that come again when they are told, as clients do, but take their time.
        let isOver = Monitor(false)
        let isBalanced = Monitor(false)
        let opened = Monitor(0)
        let clients = (0..<12).map { _ in
            TestThread {
                var comings = 0
                while true {
                    let client = try sluice.proxy.open()
                    comings += 1
                    opened.update { $0 += 1 }
                    let code = try client.readFrame(by: .after(.seconds(90))).closeCode
                    try client.send(Frame.close(code ?? 1000).masked())
                    if code != 1012 || isOver.value { return comings }
                    _ = try isBalanced.wait(for: "the end", by: .after(.seconds(90))) { $0 }
                }
            }
        }
        try opened.wait(for: "all clients", by: .after(.seconds(60))) { $0 == 12 }
        try sluice.rewrite(
            "\"\(first.address)\"]", "\"\(first.address)\", \"\(second.address)\"]")
        #expect(try sluice.command(["reload"]).status == 0)
        let balancing = TestThread {
            try sluice.command(["rebalance", "--upstream", "app", "--rate", "4/s"])
        }
        // Another one meanwhile closes none of its own: it tells how far the first is.
        try eventually("it has begun") {
            try sluice.command(["status"]).output.contains("surplus of app")
        }
        let secondCommand = TestThread { try sluice.command(["rebalance", "--upstream", "app"]) }
        try eventually("all of the surplus is told") {
            try sluice.command(["status"]).output.contains("6 of 6 relays told, 6 closed")
        }
        // It is not even as long as they are not back.
        #expect(!(try sluice.command(["status"]).output.contains(", done")))
        isBalanced.update { $0 = true }
        let rebalance = try balancing.join(by: .after(.seconds(60)))
        #expect(rebalance.status == 0, "\(rebalance.output)")
        let joined = try secondCommand.join(by: .after(.seconds(60)))
        #expect(joined.status == 0, "\(joined.output)")
        #expect(joined.output.contains("is under way already"), "\(joined.output)")
        #expect(joined.output.contains("6 of 6 relays told"), "\(joined.output)")
        // The clients on their way back are counted, so none is closed but the surplus.
        #expect(
            rebalance.output.contains("6 of 6 relays told, 6 closed, none of them cut, done"),
            "\(rebalance.output)")
        let found = try sluice.command(["status", "--endpoint", "\(second.address)"])
        #expect(found.output.split(separator: "\n").count == 7, "\(found.output)")
        let even = try sluice.command(["rebalance", "--upstream", "app"])
        #expect(
            even.output
                == "Nothing is closed: no endpoint of app has more than its share (\(first.address) has 6, "
                + "\(second.address) has 6).\n")
        isOver.update { $0 = true }
        #expect(try sluice.command(["drain", "--route", "/Esv/ocp", "--code", "1012"]).status == 0)
        for client in clients { #expect(try client.join(by: .after(.seconds(60))) >= 1) }
        #expect(opened.value == 18)
        // Nothing was announced where there was nothing to do.
        #expect(sluice.proxy.count(of: "surplus relays are told") == 1)
        let wrong = try sluice.command(["rebalance", "--upstream", "nobody"])
        #expect(wrong.output.contains("There is no upstream nobody; there is app."))
    }

    @Test func `clients that do not come back are not made up for by closing others`() throws {
        let first = try ScriptedBackend.echo()
        let second = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(first.address)\"], balance: leastConnections } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        let clients = (0..<4).map { _ in
            TestThread {
                let client = try sluice.proxy.open()
                let code = try client.readFrame(by: .after(.seconds(120))).closeCode
                try client.send(Frame.close(code ?? 1000).masked())
                return code
            }
        }
        try eventually("all are there") {
            try sluice.command(["status", "--relays"]).output.split(separator: "\n").count == 5
        }
        try sluice.rewrite(
            "\"\(first.address)\"]", "\"\(first.address)\", \"\(second.address)\"]")
        #expect(try sluice.command(["reload"]).status == 0)
        let rebalance = try sluice.command(["rebalance", "--upstream", "app"])
        #expect(rebalance.status == 1, "\(rebalance.output)")
        #expect(
            rebalance.output.contains(
                "1 relay is still above the endpoints' shares (\(first.address) has 2, \(second.address) has 0):"
                    + " 2 clients that were told to go have not come back within 30 s."),
            "\(rebalance.output)")
        #expect(rebalance.output.contains("2 of 2 relays told"), "\(rebalance.output)")
        #expect(try sluice.command(["drain", "--route", "/Esv/ocp"]).status == 0)
        let codes = try clients.map { try $0.join(by: .after(.seconds(60))) }
        #expect(codes.filter { $0 == 1012 }.count == 2)
    }

    @Test func `a rebalance that the end of Sluice cuts short is not taken for done`() throws {
        let first = try ScriptedBackend.echo()
        let second = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(first.address)\"] } }",
                "drain: { timeout: 24h }",
            ])
        defer { Scratch.remove(sluice.folder) }
        let clients = try (0..<4).map { _ in try sluice.proxy.open() }
        try sluice.rewrite(
            "\"\(first.address)\"]", "\"\(first.address)\", \"\(second.address)\"]")
        #expect(try sluice.command(["reload"]).status == 0)
        let balancing = TestThread { try sluice.command(["rebalance", "--upstream", "app"]) }
        try eventually("it has told two") {
            try sluice.command(["status"]).output.contains("2 of 2 relays told")
        }
        #expect(try sluice.command(["drain", "--background"]).status == 0)
        let rebalance = try balancing.join(by: .after(.seconds(60)))
        #expect(rebalance.status == 1, "\(rebalance.output)")
        #expect(
            rebalance.output.contains("The rebalance has ended, since Sluice is stopping:"),
            "\(rebalance.output)")
        try cut(sluice.proxy.process)
        withExtendedLifetime(clients) {}
    }

    @Test func `a rebalance whose clients go back to where they were says so, and fails`() throws {
        let first = try ScriptedBackend.echo()
        let second = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(first.address)\", \"\(second.address)\"], "
                    + "balance: hash(path) } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        let isOver = Monitor(false)
        let opened = Monitor(0)
        let clients = (0..<2).map { _ in
            TestThread {
                while !isOver.value {
                    let client = try sluice.proxy.open()
                    opened.update { $0 += 1 }
                    let code = try client.readFrame(by: .after(.seconds(90))).closeCode
                    try client.send(Frame.close(code ?? 1000).masked())
                }
            }
        }
        try opened.wait(for: "both clients", by: .after(.seconds(60))) { $0 == 2 }
        let rebalance = try sluice.command(["rebalance", "--upstream", "app"])
        #expect(rebalance.status == 1, "\(rebalance.output)")
        #expect(
            rebalance.output.contains(
                "1 relay is above the endpoints' shares and stays: balance hash"),
            "\(rebalance.output)")
        #expect(rebalance.output.contains("0 of 0 relays told"), "\(rebalance.output)")
        #expect(opened.value == 2, "nobody is closed who would come back")
        isOver.update { $0 = true }
        #expect(try sluice.command(["drain", "--route", "/Esv/ocp"]).status == 0)
        for client in clients { try client.join(by: .after(.seconds(60))) }
    }

    @Test func `a rebalance by hash closes those alone that go elsewhere`() throws {
        let first = try ManualBackend()
        let second = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /*, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(first.address)\"], balance: hash(path) } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        let relays = try (0..<16).map { number in
            try sluice.proxy.relay(to: first, Opening("/\(number)"))
        }
        try sluice.rewrite("endpoints: [", "endpoints: [\"\(second.address)\", ")
        #expect(try sluice.command(["reload"]).status == 0)
        // Those that are told do not answer, and are cut.
        let rebalance = try sluice.command(["rebalance", "--upstream", "app"])
        var moved = 0
        for (number, relay) in relays.enumerated() {
            guard try relay.client.stream.hasInput(by: .after(.zero)) else {
                try relay.exchange("stays")
                continue
            }
            #expect(try relay.client.readFrame().closeCode == 1012)
            moved += 1
            try sluice.proxy.relay(to: second, Opening("/\(number)")).exchange("moved")
        }
        #expect(moved <= 8, "\(rebalance.output)")
        #expect(
            rebalance.output.contains("\(moved) of \(moved) relays told")
                || rebalance.output.contains("1 of 1 relay told") && moved == 1,
            "\(moved) \(rebalance.output)")
    }

    @Test func `a rebalance leaves alone what came through another upstream to the same endpoint`()
        throws
    {
        let first = try ScriptedBackend.echo()
        let second = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /app/*, to: app }", "{ path: /other/*, to: other }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(first.address)\"] },"
                    + " other: { endpoints: [\"\(first.address)\"] } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        // In turns, so that those of either upstream stand among the others.
        var others: [WebSocketPeer] = []
        var own: [WebSocketPeer] = []
        for number in 0..<8 {
            others.append(try sluice.proxy.open(Opening("/other/\(number)")))
            own.append(try sluice.proxy.open(Opening("/app/\(number)")))
        }
        try sluice.rewrite("app: { endpoints: [", "app: { endpoints: [\"\(second.address)\", ")
        #expect(try sluice.command(["reload"]).status == 0)
        let rebalance = try sluice.command(["rebalance", "--upstream", "app", "--rate", "100/s"])
        let told = try own.filter { try $0.stream.hasInput(by: .after(.zero)) }
        #expect(told.count >= 4, "\(rebalance.output)")
        for client in told { #expect(try client.readFrame().closeCode == 1012) }
        for client in others {
            try client.send(Frame.text("stays").masked())
            #expect(try client.readFrame().text == "stays")
        }
    }
}
