// SPDX-License-Identifier: Apache-2.0
//
// Goal: a relay with a rate moves no faster than that, loses nothing and is not ended for it; others
// beside it are not slowed.
// Method: a client or upstream that sends without pause, counted at the other end against the time
// that has passed; meanwhile a relay without a rate moves far more on the same reactor.

import TestKit
import Testing

@Suite struct PacingTests {
    private static let rate = 256 * 1024

    private func started(_ backend: PeerAddress, listener: ProxyListener) throws -> ProxyFixture {
        try ProxyFixture(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend)\", limits: { bytesPerSecond: 256KiB } }",
                "{ path: /free, to: \"\(backend)\" }",
            ], listeners: [listener], workers: 1)
    }

    @Test(arguments: [(true, true), (true, false), (false, true)])
    func `a relay moves at its rate, and the others as they like`(
        byClient: Bool, isTLS: Bool
    ) throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, listener: isTLS ? .tls() : .plain)
        let paced = try proxy.relay(to: backend)
        let free = try proxy.relay(to: backend, Opening("/free"))
        let (from, to) =
            byClient ? (paced.client, paced.upstream) : (paced.upstream, paced.client)
        // A pattern that shows each byte that is lost or moved.
        let payload = (0..<1_500_000).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 / 251) }
        let message = Frame.binary(payload)
        let bytes = byClient ? message.masked().bytes : message.bytes
        let clock = ContinuousClock()
        let began = clock.now
        let stream = from.stream
        nonisolated(unsafe) let sender = stream
        let sending = TestThread { try sender.send(bytes, by: .after(.seconds(120))) }
        var freeCount = 0
        while to.stream.buffered.count < bytes.count {
            _ = try to.stream.fill(awaiting: "paced bytes", by: .after(.seconds(60)))
            let seconds = (clock.now - began) / .seconds(1)
            let count = Double(to.stream.buffered.count)
            // A second's worth at once, and one record that came whole.
            #expect(count <= Double(Self.rate) * (seconds + 1) + 20_000, "after \(seconds) s")
            // A second's worth each way beside every piece.
            let beside = Frame.binary([UInt8](repeating: UInt8(freeCount & 255), count: Self.rate))
            try free.client.send(beside.masked())
            #expect(try free.upstream.readFrame().payload == beside.payload)
            try free.upstream.send(beside)
            #expect(try free.client.readFrame().payload == beside.payload)
            freeCount += 1
        }
        let seconds = (clock.now - began) / .seconds(1)
        try sending.join()
        // 1.5 MB at 256 KiB in a second, the first of which comes at once.
        #expect(seconds >= 4.5, "\(seconds) s")
        #expect(freeCount * Self.rate > 2 * bytes.count, "\(freeCount) beside in \(seconds) s")
        #expect(try to.readFrame().payload == payload)
        try paced.client.send(Frame.text("still there").masked())
        #expect(try paced.upstream.readFrame().text == "still there")
    }

    @Test func `a client that leaves while it waits is told of`() throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, listener: .tls())
        let ends = try proxy.relay(to: backend)
        let bytes = Frame.binary([UInt8](repeating: 5, count: 400_000)).masked().bytes
        try ends.client.send(bytes)
        ends.client.stream.reset()
        // Cut inside the frame, where there is no place for a Close, or whole with a Close behind.
        let (got, _) = try ends.upstream.readUntilEnd()
        #expect(bytes.starts(with: got.prefix(bytes.count)))
        #expect(got.count < bytes.count || got.dropFirst(bytes.count).first == 0x88)
    }

    @Test func `a drain ends a paced relay behind the frame in progress`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, options: "limits: { bytesPerSecond: 1KiB }")
        let ends = try proxy.relay(to: backend)
        // Two minutes' worth.
        let frame = Frame.binary([UInt8](repeating: 9, count: 120_000))
        try ends.client.send(frame.masked())
        _ = try ends.upstream.read(1_000)
        proxy.process.signal(15)
        let rest = try ends.upstream.read(frame.masked().bytes.count - 1_000)
        #expect(rest.count == frame.masked().bytes.count - 1_000)
        #expect(try ends.upstream.readFrame().closeCode == 1001)
        #expect(try ends.client.readFrame().closeCode == 1001)
    }
}
