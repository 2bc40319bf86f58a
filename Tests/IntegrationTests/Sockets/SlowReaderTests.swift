// SPDX-License-Identifier: Apache-2.0
//
// Goal: a peer that does not read stops the other from sending; the program holds a bounded amount
// for it and other relays go on (DESIGN §2, 4).
// Method: 64 MiB are offered towards an end that reads nothing and has a small receive buffer. The
// offer must come to a stand, resident memory must not have grown by more than a few MiB, and once
// the end reads, every byte is there.

import TestKit
import Testing

@Suite struct SlowReaderTests {
    private static let offerBytes = 64 << 20
    private static let growthKilobytesMax = 6 * 1024

    /// Offers frames from one end until it takes no more; returns the bytes offered.
    private func fill(_ end: WebSocketPeer, with frame: [UInt8]) throws -> Int {
        end.stream.stopsReading = true
        var offered = 0
        while offered < Self.offerBytes {
            offered += frame.count
            if try !end.stream.offer(frame) { break }
        }
        return offered
    }

    @Test func `a client that does not read stops the upstream`() throws {
        let (backend, echo) = (try ManualBackend(), try ScriptedBackend.echo())
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\" }",
                "{ path: /echo, to: \"\(echo.address)\" }",
            ])
        let ends = try proxy.relay(to: backend, receiveBufferBytes: 16_384)
        let before = try residentKilobytes(of: proxy)
        let frame = Frame.binary([UInt8](repeating: 6, count: 16_380)).bytes
        let offered = try fill(ends.upstream, with: frame)
        #expect(offered < Self.offerBytes)
        #expect(try residentKilobytes(of: proxy) - before < Self.growthKilobytesMax)

        // The worker is not spinning on the relay that stands still, and serves others.
        let ticks = try processorTicks(of: proxy)
        let other = try proxy.open(Opening("/echo"))
        try other.send(Frame.text("meanwhile").masked())
        #expect(try other.readFrame() == Frame.text("meanwhile"))
        #expect(try processorTicks(of: proxy) - ticks < 50)

        // What the last offer left unsent is lost with it; all before it must arrive whole.
        for _ in 0..<(offered / frame.count - 1) {
            try #require(try ends.client.read(frame.count) == frame)
        }
    }

    @Test func `an upstream that does not read stops the client`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let ends = try proxy.relay(to: backend, receiveBufferBytes: 16_384)
        let before = try residentKilobytes(of: proxy)
        let frame = Frame.binary([UInt8](repeating: 6, count: 16_376)).masked([0, 0, 0, 0]).bytes
        let offered = try fill(ends.client, with: frame)
        #expect(offered < Self.offerBytes)
        #expect(try residentKilobytes(of: proxy) - before < Self.growthKilobytesMax)
        for _ in 0..<(offered / frame.count - 1) {
            try #require(try ends.upstream.read(frame.count) == frame)
        }
    }

    @Test func `a slow reader loses nothing of a large message`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let ends = try proxy.relay(to: backend, receiveBufferBytes: 16_384)
        let payload = (0..<(8 << 20)).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        let address = ends.upstream
        let frame = Frame.binary(payload).bytes
        var sent = 0
        var received: [UInt8] = []
        received.reserveCapacity(frame.count)
        address.stream.stopsReading = true
        while received.count < frame.count {
            let end = min(sent + 65_536, frame.count)
            if sent < end { try address.send(Array(frame[sent..<end])) }
            sent = end
            received += try ends.client.read(min(65_536, frame.count - received.count))
        }
        #expect(received == frame)
    }

    @Test func `a peer that stops reading is cut when the relay must end`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, settings: ["timeouts: { closing: 300ms, linger: 300ms }"])
        let ends = try proxy.relay(to: backend, receiveBufferBytes: 16_384)
        let frame = Frame.binary([UInt8](repeating: 6, count: 16_380)).bytes
        _ = try fill(ends.upstream, with: frame)
        let before = try openDescriptors(of: proxy)
        ends.upstream.stream.reset()
        // The client still reads nothing; the program must give up on it and not keep the slot.
        try eventually("the relay's sockets are closed") {
            try openDescriptors(of: proxy) <= before - 2
        }
    }
}
