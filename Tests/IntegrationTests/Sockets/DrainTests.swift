// SPDX-License-Identifier: Apache-2.0
//
// Goal: TERM ends the program without cutting a frame: it stops listening, says 1001 to both sides
// of each relay at a frame border, waits for the answers up to the drain timeout, and exits with 0.
// Method: clients that echo without pause while the signal comes; then peers that never answer.

import Glibc
import TestKit
import Testing

@Suite struct DrainTests {
    /// Echoes messages until a Close arrives; every frame must be whole and the expected one.
    private static func converse(
        _ proxy: ProxyFixture, number: Int, turns: Monitor<Int>
    ) throws -> Int {
        let client = try proxy.open()
        var turn = 0
        while true {
            let message = Frame.text(
                "\(number)-\(turn)-" + String(repeating: "x", count: turn % 999))
            do {
                try client.send(message.masked())
            } catch {
                // The proxy may have gone on to closing; what it sent before that is still there.
            }
            let answer = try client.readFrame()
            if let code = answer.closeCode {
                try? client.send(Frame.close(code).masked())
                guard try client.expectEnd() == .orderly else {
                    throw PeerError("connection \(number) was cut after its Close")
                }
                return code
            }
            guard answer == message else { throw PeerError("\(number): got \(answer)") }
            turn += 1
            turns.update { $0 += 1 }
        }
    }

    @Test func `under load every client receives whole frames and then 1001`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let turns = Monitor(0)
        let clients = (0..<100).map { number in
            TestThread { try Self.converse(proxy, number: number, turns: turns) }
        }
        try backend.waitForConnections(100, by: .after(.seconds(60)))
        let soFar = turns.value
        try turns.wait(for: "a thousand more echoes", by: .after(.seconds(60))) {
            $0 >= soFar + 1000
        }
        proxy.process.signal(SIGTERM)
        for client in clients { #expect(try client.join(by: .after(.seconds(60))) == 1001) }
        #expect(try proxy.process.waitForExit() == 0)
        try backend.waitForScripts(100)
        // The last frame each upstream saw is the Close: 1001, masked.
        for index in 0..<100 {
            let last = Array(backend.received(index).suffix(8))
            #expect(last.count == 8)
        }
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func `both sides of an idle relay receive 1001 and the program exits`(signal: Int32) throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let ends = try proxy.relay(to: backend)
        proxy.process.signal(signal)
        #expect(try ends.client.readFrame().closeCode == 1001)
        let toUpstream = try ends.upstream.readFrame()
        #expect(toUpstream.closeCode == 1001)
        #expect(toUpstream.maskKey != nil)
        #expect(throws: PeerError.self) { try proxy.connect() }
        try ends.client.send(Frame.close(1001).masked())
        try ends.upstream.send(Frame.close(1001))
        #expect(try ends.client.expectEnd() == .orderly)
        #expect(try ends.upstream.expectEnd() == .orderly)
        ends.client.stream.close()
        ends.upstream.stream.close()
        #expect(try proxy.process.waitForExit() == 0)
    }

    @Test func `a frame in progress is finished before the Close`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let ends = try proxy.relay(to: backend)
        let frame = Frame.binary([UInt8](repeating: 3, count: 4000))
        try ends.upstream.send(Array(frame.bytes[..<2000]))
        #expect(try ends.client.read(2000) == Array(frame.bytes[..<2000]))
        proxy.process.signal(SIGTERM)
        // The other direction stands at a border, so its Close shows that the drain has begun.
        #expect(try ends.upstream.readFrame().closeCode == 1001)
        try ends.upstream.send(Array(frame.bytes[2000...]))
        #expect(try ends.client.read(2004) == Array(frame.bytes[2000...]))
        #expect(try ends.client.readFrame().closeCode == 1001)
        try ends.client.send(Frame.close(1001).masked())
        try ends.upstream.send(Frame.close(1001))
        _ = try ends.client.expectEnd()
        ends.client.stream.close()
        ends.upstream.stream.close()
        #expect(try proxy.process.waitForExit() == 0)
    }

    @Test func `peers that never answer are cut at the drain timeout`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, settings: ["drain: { timeout: 500ms }"])
        let ends = try proxy.relay(to: backend)
        proxy.process.signal(SIGTERM)
        #expect(try ends.client.readFrame().closeCode == 1001)
        #expect(try proxy.process.waitForExit() == 0)
        _ = try ends.client.expectEnd()
    }

    @Test func `a peer that stops reading does not hold up the drain beyond its timeout`() throws {
        // Far more than the sockets and Sluice hold on the way to a client that reads nothing, so that
        // the frame's end and a Close behind it can't be delivered.
        let frame = Frame.binary([UInt8](repeating: 7, count: 32 << 20))
        let backend = try ScriptedBackend { peer in
            try peer.accept()
            if try peer.readFrame().text == "flood" { try peer.send(frame) }
            try peer.echo()
        }
        let proxy = try ProxyFixture(to: backend.address, settings: ["drain: { timeout: 2s }"])
        let stuck = try proxy.open(receiveBufferBytes: 4_096)
        try stuck.send(Frame.text("flood").masked())
        #expect(try stuck.read(1_000) == Array(frame.bytes[..<1_000]))
        let other = try proxy.open()
        try other.send(Frame.text("no flood").masked())
        proxy.process.signal(SIGTERM)
        // Others are not touched by it.
        #expect(try other.readFrame().closeCode == 1001)
        try other.send(Frame.close(1001).masked())
        #expect(try other.expectEnd() == .orderly)
        #expect(try proxy.process.waitForExit() == 0)
        // What was delivered is a beginning of the frame and nothing else: no Close stands inside it.
        let rest = try stuck.readUntilEnd(by: .after(.seconds(60))).bytes
        #expect(rest.count < frame.bytes.count - 1_000)
        #expect(rest == Array(frame.bytes[1_000..<1_000 + rest.count]))
    }

    @Test func `the drain's code can be configured`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, settings: ["drain: { timeout: 500ms, code: 1012 }"])
        let ends = try proxy.relay(to: backend)
        proxy.process.signal(SIGTERM)
        #expect(try ends.client.readFrame().closeCode == 1012)
        #expect(try ends.upstream.readFrame().closeCode == 1012)
        #expect(try proxy.process.waitForExit() == 0)
    }

    @Test func `a second TERM cuts at once`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address,
            settings: ["drain: { timeout: 600s }", "timeouts: { closing: 600s }"])
        let ends = try proxy.relay(to: backend)
        proxy.process.signal(SIGTERM)
        #expect(try ends.client.readFrame().closeCode == 1001)
        try cut(proxy.process)
        _ = try proxy.process.waitForExit()
        #expect(try ends.client.readUntilEnd().bytes.isEmpty)
    }

    @Test func `a Ctrl-C that reaches the program twice is one signal`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, settings: ["drain: { timeout: 600s }"])
        let ends = try proxy.relay(to: backend)
        // The terminal tells all of a group, and a wrapper its child, as timeout(1) does.
        proxy.process.signal(SIGINT)
        proxy.process.signal(SIGTERM)
        proxy.process.signal(SIGTERM)
        #expect(try ends.client.readFrame().closeCode == 1001)
        #expect(try ends.upstream.readFrame().closeCode == 1001)
        try ends.upstream.send(Frame.close(1001))
        try ends.client.send(Frame.close(1001).masked())
        #expect(try ends.client.expectEnd() == .orderly)
        _ = try proxy.process.waitForExit()
        #expect(!proxy.process.output.contains { $0.contains("everything is cut") })
    }

    @Test func `without relays TERM ends the program at once`() throws {
        let proxy = try ProxyFixture(
            to: try .refusing(), settings: ["drain: { timeout: 600s }"])
        // A connection that has not said anything holds nobody up.
        let silent = try proxy.connect()
        #expect(try proxy.terminate() == 0)
        _ = try silent.readUntilEnd()
    }
}
