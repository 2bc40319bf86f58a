// SPDX-License-Identifier: Apache-2.0
//
// Goal: what one client may send in a second holds for all of its relays on a route together, on
// whatever reactor they are, and for nobody else's.
// Method: clients under addresses of the test's choice, by the PROXY protocol, to a Sluice with two
// reactors; both ends of each relay are in the test's hand.

import TestKit
import Testing

@Suite struct ClientRateTests {
    private static let rate = 256 * 1024

    private func started(_ limits: String, _ backend: ManualBackend) throws -> ProxyFixture {
        try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0", proxyProtocol: required }]
                routes:
                  - { path: /Esv/ocp, to: "\(backend.address)", limits: { \(limits) } }
                  - { path: /other, to: "\(backend.address)" }

                """, arguments: ["--workers", "2"])
    }

    private func relay(
        _ proxy: ProxyFixture, _ backend: ManualBackend, as client: String,
        path: String = "/Esv/ocp"
    ) throws -> (client: WebSocketPeer, upstream: WebSocketPeer) {
        let peer = try proxy.connect()
        try peer.send(Array("PROXY TCP6 \(client) ::1 1000 443\r\n".utf8) + Opening(path).bytes)
        let upstream = try backend.next()
        _ = try upstream.accept()
        #expect(try peer.readHead().status == 101)
        return (peer, upstream)
    }

    @Test func `messages of a client's relays are counted together`() throws {
        let backend = try ManualBackend()
        let proxy = try started("messagesPerSecondPerClient: 5", backend)
        let first = try relay(proxy, backend, as: "2001:db8::1")
        let second = try relay(proxy, backend, as: "2001:db8::2")
        let stranger = try relay(proxy, backend, as: "2001:db8:0:1::1")
        let elsewhere = try relay(proxy, backend, as: "2001:db8::1", path: "/other")
        // A second's worth may come at once: the first relay has it all.
        for _ in 0..<5 { try first.client.send(Frame.text("x").masked()) }
        for _ in 0..<5 { #expect(try first.upstream.readFrame().text == "x") }
        // At once, so that hardly any time passes in which more would be allowed.
        let flood = [Frame](repeating: .text("y"), count: 200).flatMap { $0.masked().bytes }
        try second.client.send(flood)
        let told = try second.client.readFrame()
        #expect(told.closeCode == 1008 && told.closeReason == "too many messages")
        var passed = 0
        while try second.upstream.readFrame().closeCode == nil { passed += 1 }
        #expect(passed < 200)
        // Another client has its own, another route none.
        for _ in 0..<5 { try stranger.client.send(Frame.text("z").masked()) }
        for _ in 0..<5 { #expect(try stranger.upstream.readFrame().text == "z") }
        try elsewhere.client.send(flood)
        for _ in 0..<200 { #expect(try elsewhere.upstream.readFrame().text == "y") }
    }

    @Test func `a relay's own rate holds beside the client's`() throws {
        let backend = try ManualBackend()
        let proxy = try started(
            "messagesPerSecond: 2, messagesPerSecondPerClient: 1000", backend)
        let ends = try relay(proxy, backend, as: "2001:db8::1")
        let flood = [Frame](repeating: .text("y"), count: 200).flatMap { $0.masked().bytes }
        try ends.client.send(flood)
        #expect(try ends.client.readFrame().closeCode == 1008)
    }

    @Test(arguments: [true, false])
    func `bytes of a client's relays flow at one rate, and none is lost`(byClient: Bool) throws {
        let backend = try ManualBackend()
        let proxy = try started("bytesPerSecondPerClient: 256KiB", backend)
        let relays = try (0..<4).map { _ in try relay(proxy, backend, as: "2001:db8::1") }
        let payload = (0..<300_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 / 251) }
        let message = Frame.binary(payload)
        let bytes = byClient ? message.masked().bytes : message.bytes
        let clock = ContinuousClock()
        let began = clock.now
        let received = Monitor(0)
        let threads = relays.map { ends in
            let (from, to) = byClient ? (ends.client, ends.upstream) : (ends.upstream, ends.client)
            nonisolated(unsafe) let (sender, receiver) = (from, to)
            let sending = TestThread { try sender.stream.send(bytes, by: .after(.seconds(120))) }
            return TestThread {
                var count = 0
                while receiver.stream.buffered.count < bytes.count {
                    _ = try receiver.stream.fill(
                        awaiting: "paced bytes", by: .after(.seconds(60)))
                    let more = receiver.stream.buffered.count - count
                    count += more
                    received.update { $0 += more }
                    let seconds = (clock.now - began) / .seconds(1)
                    // A second's worth at once, and what two reactors took in the same moment.
                    let soFar = received.value
                    guard Double(soFar) <= Double(Self.rate) * (seconds + 2) else {
                        throw PeerError("\(soFar) bytes after \(seconds) s")
                    }
                }
                try sending.join()
                return try receiver.readFrame().payload == payload
            }
        }
        for thread in threads { #expect(try thread.join(by: .after(.seconds(120)))) }
        let seconds = (clock.now - began) / .seconds(1)
        // 1.2 MB at 256 KiB in a second, the first of which comes at once.
        #expect(seconds >= 2.4, "\(seconds) s")
        let stranger = try relay(proxy, backend, as: "2001:db8:0:1::1")
        try stranger.client.send(Frame.text("mine").masked())
        #expect(try stranger.upstream.readFrame().text == "mine")
    }
}
