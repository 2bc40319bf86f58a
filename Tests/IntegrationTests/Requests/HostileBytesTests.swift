// SPDX-License-Identifier: Apache-2.0
//
// Goal: whatever bytes either peer sends, the process lives and its other relays go on (DESIGN §2, 6).
// Method: random and mutated bytes at each place where a peer can put some, from a seeded generator
// so that a failure comes back; the number of the round is in the failure.

import TestKit
import Testing

@Suite struct HostileBytesTests {
    /// A proxy with a relay that must survive what `attack` does to the other route.
    private func expectSurvival(_ attack: (ProxyFixture, ManualBackend) throws -> Void) throws {
        let (backend, echo) = (try ManualBackend(), try ScriptedBackend.echo())
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\" }",
                "{ path: /echo, to: \"\(echo.address)\" }",
            ], listeners: [.tls(), .plain],
            settings: ["timeouts: { linger: 200ms, closing: 200ms, head: 2s, upgrade: 2s }"])
        let bystander = try proxy.open(Opening("/echo"))
        try attack(proxy, backend)
        try bystander.send(Frame.text("alive").masked())
        #expect(try bystander.readFrame().text == "alive")
        #expect(!proxy.process.hasEnded)
    }

    @Test func `random bytes instead of TLS or a head`() throws {
        var dice = SplitMix(seed: 1)
        try expectSurvival { proxy, _ in
            for round in 0..<60 {
                let client = try proxy.connect(listener: round % 2, security: .plain)
                try? client.send(dice.bytes(Int.random(in: 1...2000, using: &dice)))
                client.stream.close()
            }
        }
    }

    @Test func `mutated ClientHellos and heads`() throws {
        var dice = SplitMix(seed: 2)
        let hello: [UInt8] = [0x16, 3, 1, 0, 0x40, 1, 0, 0, 0x3c, 3, 3] + dice.bytes(58)
        let head = Opening(extra: [("Origin", "https://localhost"), ("Cookie", "a=b")]).bytes
        try expectSurvival { proxy, _ in
            for round in 0..<100 {
                let client = try proxy.connect(listener: round % 2, security: .plain)
                try? client.send(dice.mutate(round % 2 == 0 ? hello : head))
                try? client.stream.halfClose()
                if round % 3 == 0 { client.stream.reset() }
            }
        }
    }

    @Test func `mutated answers of the upstream`() throws {
        var dice = SplitMix(seed: 3)
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        let right = WebSocketPeer.switching(key: "dGhlIHNhbXBsZSBub25jZQ==")
        try expectSurvival { proxy, backend in
            for round in 0..<100 {
                let client = try proxy.connect(listener: round % 2)
                try client.send(Opening().bytes)
                let upstream = try backend.next()
                _ = try upstream.readHead()
                try? upstream.send(dice.mutate(round % 3 == 0 ? Array(chunked.utf8) : right))
                upstream.stream.close()
                _ = try client.readUntilEnd()
            }
        }
    }

    @Test func `mutated frames of both sides`() throws {
        var dice = SplitMix(seed: 4)
        let frames: [Frame] = [
            .text("hello"), .ping("p"), Frame(opcode: 2, payload: dice.bytes(200), isFinal: false),
            Frame(opcode: 0, payload: dice.bytes(70_000)), .close(1000, "bye"),
        ]
        try expectSurvival { proxy, backend in
            for round in 0..<60 {
                let ends = try proxy.relay(to: backend)
                try? ends.client.send(dice.mutate(frames.flatMap { $0.masked().bytes }))
                try? ends.upstream.send(dice.mutate(frames.flatMap(\.bytes)))
                switch round % 4 {
                case 0: ends.client.stream.reset()
                case 1: ends.upstream.stream.reset()
                case 2: try? ends.client.stream.halfClose()
                default: try? ends.upstream.stream.halfClose()
                }
                ends.client.stream.close()
                ends.upstream.stream.close()
            }
        }
    }
}

extension SplitMix {
    /// The bytes with some changed, dropped or doubled.
    fileprivate mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        for _ in 0..<Int.random(in: 1...4, using: &self) where !bytes.isEmpty {
            let place = bytes.indices.randomElement(using: &self) ?? 0
            switch Int.random(in: 0..<4, using: &self) {
            case 0: bytes[place] = UInt8(truncatingIfNeeded: next())
            case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            case 2: bytes.remove(at: place)
            default: bytes.insert(bytes[place], at: place)
            }
        }
        return bytes
    }
}
