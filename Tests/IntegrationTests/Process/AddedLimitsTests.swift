// SPDX-License-Identifier: Apache-2.0
//
// Goal: a limit that a reload brings counts those who were there before it, and each of them once.
// Method: the program with live relays and no limit; reloads bring limits and take them away; clients open and end
// relays meanwhile.

import TestKit
import Testing

@Suite struct AddedLimitsTests {
    private static func started(_ backend: ManualBackend, relays: String = "") throws -> Operated {
        try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\", limits: { messageBytes: 1MiB\(relays) } }"
            ])
    }

    private func isRefused(_ sluice: Operated, _ status: Int) throws -> Bool {
        let client = try sluice.proxy.connect()
        try client.send(Opening().bytes)
        return try client.readHead().status == status
    }

    /// Ends a relay by both peers.
    private func end(_ relay: RelayEnds) throws {
        try relay.client.send(Frame.close(1000).masked())
        _ = try relay.upstream.readFrame()
        try relay.upstream.send(Frame.close(1000))
        _ = try relay.client.readFrame()
    }

    private func expectRelays(_ count: Int, _ sluice: Operated) throws {
        try eventually("there are \(count)") {
            try sluice.command(["status", "--relays"]).output.split(separator: "\n").count
                == (count == 0 ? 1 : count + 1)
        }
    }

    @Test(arguments: [("relays", 503), ("relaysPerClient", 429)])
    func `live relays count where no limit stood before`(key: String, status: Int) throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        var relays = try (0..<3).map { _ in try sluice.proxy.relay(to: backend) }
        try sluice.rewrite("messageBytes: 1MiB", "messageBytes: 1MiB, \(key): 3")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try isRefused(sluice, status), "three are there")
        // A place is given back once, and by whichever of them ends.
        try end(relays.removeFirst())
        try expectRelays(2, sluice)
        relays.append(try sluice.proxy.relay(to: backend))
        #expect(try isRefused(sluice, status), "three are there again")
        // Without the limit more come; with it again all of them count, each once.
        try sluice.rewrite(", \(key): 3", "")
        #expect(try sluice.command(["reload"]).status == 0)
        relays.append(try sluice.proxy.relay(to: backend))
        try sluice.rewrite("messageBytes: 1MiB", "messageBytes: 1MiB, \(key): 5")
        for _ in 0..<2 { #expect(try sluice.command(["reload"]).status == 0) }
        relays.append(try sluice.proxy.relay(to: backend))
        #expect(try isRefused(sluice, status), "five are there")
        for relay in relays { try end(relay) }
        try expectRelays(0, sluice)
        for _ in 0..<5 { relays.append(try sluice.proxy.relay(to: backend)) }
        #expect(try isRefused(sluice, status), "none of the places was lost")
    }

    @Test func `the connections of a client count where no limit stood before`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["limits: { headBytes: 16KiB }"])
        defer { Scratch.remove(sluice.folder) }
        let relays = try (0..<2).map { _ in try sluice.proxy.relay(to: backend) }
        let idle = try sluice.proxy.connect()
        try sluice.rewrite("headBytes: 16KiB", "headBytes: 16KiB, connectionsPerClient: 3")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(throws: (any Error).self) { try sluice.proxy.relay(to: backend) }
        #expect(
            try sluice.command(["status"]).output.contains("3 connections"), "the three stay")
        try end(relays[0])
        try eventually("its place is free") {
            (try? sluice.proxy.connect(listener: 0).send(Opening().bytes)) != nil
        }
        withExtendedLifetime((relays, idle)) {}
    }

    @Test func `a limit that comes while relays open and end counts each of them once`() throws {
        let echo = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(echo.address)\", limits: { messageBytes: 1MiB } }"],
            settings: ["workers: 3"])
        defer { Scratch.remove(sluice.folder) }
        let isOver = Monitor(false)
        let opened = Monitor(0)
        let clients = (0..<6).map { _ in
            TestThread {
                while !isOver.value {
                    guard let client = try? sluice.proxy.open() else { continue }
                    opened.update { $0 += 1 }
                    try client.send(Frame.close(1000).masked())
                    _ = try? client.readFrame(by: .after(.seconds(20)))
                }
            }
        }
        var standing: [WebSocketPeer] = []
        for round in 0..<6 {
            standing.append(try sluice.proxy.open())
            let (old, new) =
                round % 2 == 0
                ? ("1MiB }", "1MiB, relays: 500 }") : ("1MiB, relays: 500 }", "1MiB }")
            try sluice.rewrite(old, new)
            #expect(try sluice.command(["reload"]).status == 0)
        }
        isOver.update { $0 = true }
        for client in clients { try client.join(by: .after(.seconds(60))) }
        #expect(opened.value > 0)
        // Six stand, so of eight places two are left.
        try sluice.rewrite("1MiB }", "1MiB, relays: 8 }")
        #expect(try sluice.command(["reload"]).status == 0)
        try expectRelays(6, sluice)
        for _ in 0..<2 { standing.append(try sluice.proxy.open()) }
        #expect(try isRefused(sluice, 503))
        withExtendedLifetime(standing) {}
    }
}
