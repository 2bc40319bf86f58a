// SPDX-License-Identifier: Apache-2.0
//
// Goal: nobody holds a slot by being slow: each step before the relay has its deadline (DESIGN §8).
// Method: peers that stop at each step; the deadlines are configured short.

import TestKit
import Testing

@Suite struct DeadlineTests {
    private func start(_ timeouts: String) throws -> ProxyFixture {
        try ProxyFixture(to: try .refusing(), settings: ["timeouts: { \(timeouts) }"])
    }

    @Test func `who says nothing on the TLS port is let go`() throws {
        let client = try start("clientHello: 300ms").connect(security: .plain)
        _ = try client.expectEnd()
    }

    @Test func `who says nothing on a plain port is let go`() throws {
        let proxy = try ProxyFixture(
            to: try .refusing(), listeners: [.plain], settings: ["timeouts: { head: 300ms }"])
        _ = try proxy.connect().readUntilEnd()
    }

    @Test func `who stops inside the ClientHello is let go`() throws {
        let proxy = try start("clientHello: 300ms, handshake: 600ms")
        let client = try proxy.connect(security: .plain)
        try client.send([0x16, 3, 1, 0, 0xf0, 1, 0, 0])
        _ = try client.readUntilEnd()
    }

    @Test func `who does not ask anything after the handshake is let go`() throws {
        _ = try start("head: 300ms").connect().readUntilEnd()
    }

    @Test func `a head that drips is cut at the deadline`() throws {
        let client = try start("head: 500ms").connect()
        let bytes = Opening(extra: [("X-Drip", String(repeating: "x", count: 5000))]).bytes
        var isAnswered = false
        for byte in bytes where !isAnswered {
            do { try client.send([byte]) } catch { break }
            isAnswered = try client.stream.hasInput(by: .after(.milliseconds(20)))
        }
        #expect(isAnswered)
        let (answer, _) = try client.readUntilEnd()
        #expect(String(decoding: answer, as: UTF8.self).contains(" 408 "))
    }

    @Test func `an open relay outlives every deadline`() throws {
        let backend = try ManualBackend()
        let short =
            "clientHello: 200ms, handshake: 200ms, head: 200ms, connect: 200ms, upgrade: 200ms"
        let proxy = try ProxyFixture(to: backend.address, settings: ["timeouts: { \(short) }"])
        let ends = try proxy.relay(to: backend)
        // A connection made later runs into its deadline, so all those of the relay are long past.
        _ = try proxy.connect(security: .plain).expectEnd()
        _ = try proxy.connect().readUntilEnd()
        try ends.client.send(Frame.text("still here").masked())
        #expect(try ends.upstream.readFrame().text == "still here")
    }
}
