// SPDX-License-Identifier: Apache-2.0
//
// Goal: a server that sends faster than this program reads, or that asks and does not read, neither holds a thread nor fills
// the memory, and the report says so.
// Method: servers that send for as long as the test lasts; the run is on another thread, so that one without end is seen.

import Foundation
import LoadGenerator
import Reactor
import TestKit
import Testing

@Suite struct LoadFloodTests {
    /// Empty binary messages.
    private static let emptyMessages: [UInt8] = Array(
        repeatElement([0x82, 0x00], count: 1 << 19).joined())

    /// They take a second of a debug build on a busy machine, as long as the load that would wait for them.
    init() { _ = Self.emptyMessages }

    /// Sends the same bytes over and over, and reads nothing, until the test is over or the load has gone.
    private static func flood(
        _ peer: WebSocketPeer, _ bytes: [UInt8], until isOver: Monitor<Bool>
    ) throws {
        peer.stream.stopsReading = true
        while !isOver.value { try peer.send(bytes) }
    }

    /// Runs a load, and waits for its end no longer than a minute.
    private func summary(
        _ plan: LoadPlan, while watching: (LoadControl) throws -> Void = { _ in }
    ) throws -> LoadSummary {
        let result = Monitor<Result<LoadSummary, LoadFault>?>(nil)
        let crew = try LoadCrew(plan, threads: 1)
        _ = TestThread {
            let made = Result { () throws(LoadFault) in try crew.run().summary }
            result.update { $0 = made }
        }
        try watching(crew.control)
        let ended = try result.wait(for: "the load to end", by: .after(.seconds(60))) { $0 != nil }
        return try #require(ended).get()
    }

    @Test
    func `a server that never pauses is measured for its time, and the generator was the limit`()
        throws
    {
        let isOver = Monitor(false)
        defer { isOver.update { $0 = true } }
        let server = try ScriptedBackend { peer in
            try peer.accept()
            try Self.flood(peer, Self.emptyMessages, until: isOver)
        }
        defer { server.stop() }
        var plan = try plan(server.address.port, .push(clock: nil))
        plan.end = .seconds(1)
        plan.awaitsAll = true
        plan.drainSeconds = 0.2
        let summary = try summary(plan)
        #expect((1..<4).contains(summary.seconds), "\(summary.seconds)")
        #expect(summary.messages.received > 1000)
        #expect(summary.messages.perSecond < 1e9)
        #expect(summary.generatorLimited, "\(summary.generator)")
        #expect(summary.connections.opened == 1)
    }

    @Test func `it can be stopped while its server floods it`() throws {
        let isOver = Monitor(false)
        defer { isOver.update { $0 = true } }
        let server = try ScriptedBackend { peer in
            try peer.accept()
            try Self.flood(peer, Self.emptyMessages, until: isOver)
        }
        defer { server.stop() }
        var plan = try plan(server.address.port, .push(clock: nil))
        plan.end = .seconds(600)
        let summary = try summary(plan) { control in
            let deadline = Deadline.after(.seconds(60))
            // The live line tells of it meanwhile.
            while control.progress.received < 100_000, !deadline.hasPassed { usleep(1_000) }
            #expect(control.progress.open == 1)
            control.stop()
        }
        #expect(summary.messages.received >= 100_000)
        #expect(summary.seconds < 600)
    }

    @Test func `other connections of the thread have their turns meanwhile`() throws {
        let isOver = Monitor(false)
        defer { isOver.update { $0 = true } }
        let number = Monitor(0)
        let answered = Gate("Pongs of the other connection")
        let server = try ScriptedBackend { peer in
            try peer.accept()
            let mine = number.update {
                $0 += 1
                return $0
            }
            if mine == 1 { return try Self.flood(peer, Self.emptyMessages, until: isOver) }
            for _ in 0..<5 {
                try peer.send(Frame.ping("there?"))
                while try peer.readFrame(by: .after(.seconds(60))).opcode != 10 {}
            }
            answered.open()
            _ = try peer.readUntilEnd(by: .after(.seconds(60)))
        }
        defer { server.stop() }
        var plan = try plan(server.address.port, .push(clock: nil), connections: 2)
        plan.openingsAtOnce = 1
        plan.end = .seconds(600)
        _ = try summary(plan) { control in
            defer { control.stop() }
            try answered.wait(by: .after(.seconds(60)))
        }
    }

    /// Many servers that begin to flood when all of them are connected.
    private static func flooding(
        _ count: Int, until isOver: Monitor<Bool>
    ) throws -> ScriptedBackend {
        let connected = Monitor(0)
        return try ScriptedBackend { peer in
            try peer.accept()
            connected.update { $0 += 1 }
            try connected.wait(for: "all to be connected", by: .after(.seconds(60))) {
                $0 == count
            }
            try flood(peer, emptyMessages, until: isOver)
        }
    }

    @Test func `the time is kept with a hundred of them`() throws {
        let isOver = Monitor(false)
        defer { isOver.update { $0 = true } }
        let server = try Self.flooding(100, until: isOver)
        defer { server.stop() }
        var plan = try plan(server.address.port, .push(clock: nil), connections: 100)
        plan.warmupSeconds = 1
        plan.end = .seconds(1)
        let summary = try summary(plan)
        #expect((1..<4).contains(summary.seconds), "\(summary.seconds)")
        #expect(summary.connections.opened == 100)
        #expect(summary.generatorLimited, "\(summary.generator)")
        #expect(summary.generator.fullReadShare > 0.1, "\(summary.generator)")
    }

    @Test func `it can be stopped while a hundred of them flood it`() throws {
        let isOver = Monitor(false)
        defer { isOver.update { $0 = true } }
        let server = try Self.flooding(100, until: isOver)
        defer { server.stop() }
        var plan = try plan(server.address.port, .push(clock: nil), connections: 100)
        plan.end = .seconds(600)
        let stoppedAt = Monitor(Date.distantFuture)
        let summary = try summary(plan) { control in
            let deadline = Deadline.after(.seconds(60))
            while control.progress.received < 100_000, !deadline.hasPassed { usleep(1_000) }
            stoppedAt.update { $0 = Date() }
            control.stop()
        }
        // Two seconds are the servers', for an answer to the Close.
        let seconds = Date().timeIntervalSince(stoppedAt.value)
        #expect((0..<6).contains(seconds), "\(seconds)")
        #expect(summary.messages.received >= 100_000)
    }

    @Test func `what waits while a flood is read has waited for the generator`() throws {
        let isOver = Monitor(false)
        defer { isOver.update { $0 = true } }
        let number = Monitor(0)
        let server = try ScriptedBackend { peer in
            try peer.accept()
            let mine = number.update {
                $0 += 1
                return $0
            }
            if mine == 1 {
                // One message without an end, so that only the other server's have an age.
                try peer.send([0x02, 0x00] as [UInt8])
                let pieces: [UInt8] = Array(repeating: 0x00, count: 1 << 20)
                return try Self.flood(peer, pieces, until: isOver)
            }
            while !isOver.value {
                try peer.send(.text("{\"ts\": \(Clock.wallNanoseconds())}"))
                usleep(5_000)
            }
        }
        defer { server.stop() }
        var plan = try plan(server.address.port, .push(clock: "ts"), connections: 2)
        plan.openingsAtOnce = 1
        plan.end = .seconds(1)
        let summary = try summary(plan)
        #expect(summary.errors == [])
        let (age, late) = (summary.latencyMicroseconds, summary.generator.receiveLateMicroseconds)
        #expect(age.count > 0)
        #expect(age.p50 < 1_000 || late.p50 >= age.p50 / 2, "\(age), \(late)")
        #expect(summary.generatorLimited, "\(summary.generator)")
    }

    // MARK: Pings

    @Test func `of Pings that come while nothing can be sent, the last one is answered`() throws {
        let pongs = Monitor<[Frame]>([])
        let pingCount = 200_000
        let server = try ScriptedBackend { peer in
            try peer.accept()
            peer.stream.stopsReading = true
            let ping = Frame(opcode: 9, payload: [UInt8](repeating: 0x61, count: 125)).bytes
            let thousand = Array(repeatElement(ping, count: 1000).joined())
            for _ in 0..<(pingCount / 1000) { try peer.send(thousand) }
            try peer.send(Frame.ping("the last one"))
            var seen: [Frame] = []
            while seen.last?.text != "the last one" {
                let frame = try peer.readFrame(by: .after(.seconds(60)))
                seen.append(frame)
            }
            let all = seen
            pongs.update { $0 = all }
        }
        defer { server.stop() }
        var plan = try plan(server.address.port, .idle)
        plan.end = .seconds(600)
        plan.awaitsAll = true
        plan.drainSeconds = 0.2
        _ = try summary(plan)
        #expect(server.failures == [])
        #expect(pongs.value.allSatisfy { $0.opcode == 10 })
        // As many as the buffers of the system hold, and no more.
        #expect((1..<(pingCount / 2)).contains(pongs.value.count), "\(pongs.value.count)")
    }

    @Test func `a held socket whose server takes nothing is dead`() throws {
        let isOver = Monitor(false)
        defer { isOver.update { $0 = true } }
        let pings = Array(
            repeatElement(Frame.ping(String(repeating: "x", count: 125)).bytes, count: 4000)
                .joined())
        let server = try ScriptedBackend { peer in
            try peer.accept()
            try Self.flood(peer, pings, until: isOver)
        }
        defer { server.stop() }
        var plan = try plan(server.address.port, .idle)
        plan.end = .seconds(1.5)
        plan.awaitsAll = true
        plan.drainSeconds = 0.3
        let summary = try summary(plan)
        #expect(summary.errors.map(\.cause) == ["dead"], "\(summary.errors)")
        #expect(summary.errors.map(\.count) == [1])
        #expect(summary.connections.alive == 0)
    }

    @Test func `a Ping in the middle of a message that is sent is answered behind it`() throws {
        let server = try ScriptedBackend { peer in
            try peer.accept()
            // What has come by now is the beginning of a message that no buffer holds.
            _ = try peer.stream.hasInput(by: .after(.seconds(60)))
            peer.stream.stopsReading = true
            try peer.send(Frame.ping("still there?"))
            peer.stream.stopsReading = false
            var opcodes: [UInt8] = []
            while opcodes.last != 10 {
                opcodes.append(try peer.readFrame(by: .after(.seconds(60))).opcode)
            }
            guard opcodes.first == 2 else { throw PeerError("\(opcodes)") }
        }
        defer { server.stop() }
        var plan = try plan(server.address.port, .stream(windowBytes: 32 << 20))
        plan.messageBytes = 16 << 20
        plan.end = .seconds(600)
        _ = try summary(plan)
        try server.waitForScripts(1)
    }
}
