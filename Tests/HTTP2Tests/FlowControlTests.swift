// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP2

/// Windows in both directions, at each of their bounds (RFC 9113 §5.2, §6.9).
struct FlowControlTests {
    // MARK: What the server may send

    @Test(arguments: [0, 1, 9, 16_375, 16_376, 65_535])
    func `no more is produced than the stream's window lets through`(window: Int) {
        let rig = Rig(settings: [(4, UInt32(window))])
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.answer(stream, 200, hasBody: true)
        #expect(rig.connection.windowBytes(stream) == window)
        for extra in [-1, 0, 1] where window + extra > 0 && window + extra <= 65_535 {
            let rig = Rig(settings: [(4, UInt32(window))])
            let stream = rig.open(.headers(1, RawFrame.get))
            rig.answer(stream, 200, hasBody: true)
            let body = RawFrame.bytes(window + extra)
            rig.send(stream, body)
            rig.connection.finish(stream)
            let sent = rig.frames().of(RawFrame.Kind.data)
            let payload = sent.flatMap(\.payload)
            #expect(payload == Array(body.prefix(window)))
            #expect(sent.allSatisfy { $0.payload.count <= 16_375 })
            #expect(rig.connection.heldBytes(stream) == max(0, extra))
            #expect(rig.kinds().contains(.sent) == (extra <= 0))
            guard extra == 1 else { continue }
            #expect(!rig.connection.wantsToProduce && rig.output() == [])
            rig.receive(.windowUpdate(1, 1))
            let rest = rig.frames()
            #expect(rest.map(\.payload) == [[body[window]]] && rest[0].flags == 1)
            #expect(rig.connection.heldBytes(stream) == 0)
        }
    }

    @Test func `an end that comes behind a full window waits for it, as nghttp2 has it`() {
        let rig = Rig(settings: [(4, 10)])
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.answer(stream, 200, hasBody: true)
        rig.send(stream, RawFrame.bytes(10))
        #expect(rig.frames().last == .data(1, RawFrame.bytes(10)))
        rig.connection.finish(stream)
        #expect(rig.frames() == [])
        rig.receive(.windowUpdate(1, 1))
        #expect(rig.frames() == [.data(1, [], ends: true)])
        #expect(rig.kinds().contains(.closed(.complete)))
    }

    @Test func `the connection's window holds all streams, and its growth serves each`() {
        let rig = Rig(settings: [(4, 1 << 20)])
        let streams = [1, 3].map { rig.open(.headers($0, RawFrame.get)) }
        for stream in streams {
            rig.answer(stream, 200, hasBody: true)
            rig.send(stream, RawFrame.bytes(60_000))
        }
        let first = rig.frames().of(RawFrame.Kind.data)
        #expect(first.map(\.payload.count).reduce(0, +) == 65_535)
        #expect(Set(first.map(\.stream)) == [1, 3])
        #expect(!rig.connection.wantsToProduce)
        #expect(rig.connection.windowBytes(streams[0]) == 0)
        rig.receive(.windowUpdate(0, 54_465))
        let second = rig.frames().of(RawFrame.Kind.data)
        for stream in [UInt32(1), 3] {
            #expect((first + second).on(stream).flatMap(\.payload) == RawFrame.bytes(60_000))
        }
        #expect(rig.connection.windowBytes(streams[0]) == 0)
    }

    @Test func `a stream whose window is full stops nobody else`() {
        let rig = Rig(settings: [(4, 5)])
        let stalled = rig.open(.headers(1, RawFrame.get))
        rig.answer(stalled, 200, hasBody: true)
        rig.send(stalled, RawFrame.bytes(100))
        let other = rig.open(.headers(3, RawFrame.get))
        rig.answer(other, 200, hasBody: true)
        rig.send(other, [1, 2, 3])
        rig.connection.finish(other)
        let frames = rig.frames()
        #expect(frames.on(1).of(0).flatMap(\.payload).count == 5)
        #expect(frames.on(3).last == .data(3, [1, 2, 3], ends: true))
        #expect(rig.connection.heldBytes(stalled) == 95)
    }

    @Test func `a window that shrinks below zero holds until it is open again`() {
        let rig = Rig(settings: [(4, 100)])
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.answer(stream, 200, hasBody: true)
        rig.send(stream, RawFrame.bytes(150))
        #expect(rig.frames().of(0).flatMap(\.payload).count == 100)
        // 100 are used, so a window of 40 is one of -60 now.
        rig.receive(.settings([(4, 40)]))
        #expect(rig.frames() == [.settingsAcknowledged])
        #expect(rig.connection.windowBytes(stream) == 0)
        rig.receive(.windowUpdate(1, 60))
        #expect(rig.frames() == [])
        rig.receive(.windowUpdate(1, 1))
        #expect(rig.frames() == [.data(1, [RawFrame.bytes(150)[100]])])
        rig.receive(.settings([(4, 1_000)]))
        #expect(rig.frames().of(0).flatMap(\.payload) == Array(RawFrame.bytes(150)[101...]))
    }

    @Test func `a window beyond 2^31 resets the stream, by an update or by a setting`() {
        let rig = Rig()
        _ = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(.windowUpdate(1, 0x7FFF_FFFF))
        #expect(rig.frames() == [.reset(1, 3)])
        #expect(rig.kinds() == [.closed(.resetHere(.flowControlError))])
        let other = Rig()
        _ = other.open(.headers(1, RawFrame.post, ends: false))
        other.receive(.windowUpdate(1, 0x7FFF_0000), .settings([(4, 0x7FFF_FFFF)]))
        // RFC 9113 §6.9.2 asks for a connection error here; nghttp2 makes it one of the stream.
        #expect(other.frames().contains(.reset(1, 3)))
        #expect(other.kinds() == [.closed(.resetHere(.flowControlError))])
    }

    @Test func `that all is produced is told to who asks`() {
        let rig = Rig(settings: [(4, 10)])
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.answer(stream, 200, hasBody: true)
        rig.connection.tellWhenDrained(stream)
        _ = rig.output()
        #expect(rig.kinds() == [], "nothing is held, so nothing drains")
        rig.send(stream, RawFrame.bytes(15))
        rig.connection.tellWhenDrained(stream)
        _ = rig.output()
        #expect(rig.kinds() == [])
        rig.receive(.windowUpdate(1, 5))
        _ = rig.output()
        #expect(rig.kinds() == [.drained])
        rig.receive(.windowUpdate(1, 5))
        rig.send(stream, [1])
        _ = rig.output()
        #expect(rig.kinds() == [], "once")
    }

    // MARK: What the client may send

    @Test func `a stream's window comes back for what is consumed, and not before`() {
        let rig = Rig { $0.streamWindowBytes = 1_000 }
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(.data(1, RawFrame.bytes(1_000)))
        #expect(rig.frames().on(1) == [])
        rig.connection.consume(stream, 499)
        #expect(rig.frames().on(1) == [], "small amounts are collected")
        rig.connection.consume(stream, 1)
        #expect(rig.frames().on(1) == [.windowUpdate(1, 500)])
        #expect(rig.arrived(stream) == Array(RawFrame.bytes(1_000)[500...]))
        rig.connection.take(stream, 500)
        #expect(rig.arrived(stream) == [] && rig.frames() == [])
        rig.connection.giveBack(stream, 500)
        #expect(rig.frames() == [.windowUpdate(1, 500)])
    }

    @Test(arguments: [999, 1_000, 1_001])
    func `a stream may send its window, and not a byte more`(count: Int) {
        let rig = Rig { $0.streamWindowBytes = 1_000 }
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(.data(1, RawFrame.bytes(count)))
        let frames = rig.frames().on(1)
        #expect(frames == (count > 1_000 ? [.reset(1, 3)] : []))
        #expect(rig.connection.isOpen(stream) == (count <= 1_000))
        #expect(rig.connection.end == nil)
        #expect(rig.arrived(stream).count <= 65_535)
    }

    @Test func `padding uses the window and gives it back by itself`() {
        let rig = Rig { $0.streamWindowBytes = 1_000 }
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        for _ in 0..<20 { rig.receive(.padded(1, [7], padding: 255)) }
        #expect(
            rig.arrived(stream).count < 20, "the window was passed, since nobody awaited updates")
        let patient = Rig { $0.streamWindowBytes = 1_000 }
        let second = patient.open(.headers(1, RawFrame.post, ends: false))
        var window = 1_000
        for _ in 0..<20 {
            patient.receive(.padded(1, [7], padding: 255))
            window -= 257
            for update in patient.frames().on(1) { window += Int(update.word) }
            #expect(window >= 257)
        }
        #expect(patient.arrived(second) == [UInt8](repeating: 7, count: 20))
    }

    @Test func `the connection's window comes back at once, whoever stalls`() {
        let rig = Rig {
            $0.streamWindowBytes = 60_000
            $0.connectionWindowBytes = 100_000
        }
        var window = 100_000
        for id in stride(from: UInt32(1), to: 41, by: 2) {
            _ = rig.open(.headers(id, RawFrame.post, ends: false))
            for _ in 0..<4 {
                #expect(window >= 15_000, "20 stalled streams hold nobody up")
                rig.receive(.data(id, RawFrame.bytes(15_000)))
                window -= 15_000
                for update in rig.frames().on(0).of(8) { window += Int(update.word) }
            }
        }
        #expect(rig.connection.end == nil && rig.connection.openStreams == 20)
        // Each holds its window and no more: 60,000 bytes in a block of 64 KiB.
        #expect(rig.memory.usedBytes == 20 * 65_536)
    }

    @Test(arguments: [65_535, 65_536])
    func `a client may use the connection's window up, and not pass it`(count: Int) {
        // The window comes back only when half of it was used, and here the client can't know of that.
        let rig = Rig(greets: false) { $0.streamWindowBytes = 1 << 20 }
        _ = rig.output()
        rig.receive(
            RawFrame.preface + RawFrame.settings().bytes + RawFrame.settingsAcknowledged.bytes)
        let first = rig.open(.headers(1, RawFrame.post, ends: false))
        // One call, so that nothing is given back in between.
        let frames = [16_384, 16_384, 16_384, 16_383, count - 65_535].filter { $0 > 0 }
            .map { RawFrame.data(1, RawFrame.bytes($0)) }
        rig.receive(frames.bytes)
        #expect(rig.connection.end == nil, "1 MiB is granted at the start")
        #expect(rig.arrived(first).count == count)
    }

    @Test func `a closed stream's bytes burden the connection's window no more`() {
        let rig = Rig { $0.connectionWindowBytes = 65_535 }
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.connection.reset(stream, .cancel)
        var window = 65_535
        for _ in 0..<20 {
            #expect(window >= 16_000)
            rig.receive(.data(1, RawFrame.bytes(16_000)))
            window -= 16_000
            for update in rig.frames().on(0).of(8) { window += Int(update.word) }
        }
        #expect(rig.connection.end == nil && rig.memory.usedBytes == 0)
    }

    @Test func `a large upload goes through while it is consumed`() throws {
        let client = Client()
        let rig = Rig(greets: false)
        let id = client.request(RawFrame.post, hasBody: true)
        let body = RawFrame.bytes(1_000_000)
        client.upload(id, body, ends: true)
        var got: [UInt8] = []
        var hasEnded = false
        while !hasEnded {
            let up = client.output()
            rig.receive(up)
            client.receive(rig.output())
            let events = rig.events()
            try #require(!up.isEmpty || !events.isEmpty, "it came to a stop at \(got.count)")
            for event in events {
                if event.kind == .end { hasEnded = true }
                guard event.kind == .data else { continue }
                let bytes = rig.arrived(event.stream)
                #expect(bytes.count <= 65_535)
                got += bytes
                rig.connection.consume(event.stream, bytes.count)
            }
            client.receive(rig.output())
        }
        #expect(got == body && rig.memory.usedBytes == 0)
    }

    @Test func `a large answer goes through as the client gives window back`() throws {
        let client = Client(initialWindow: 1_000)
        let rig = Rig(greets: false)
        let id = client.request(RawFrame.get)
        let stream = try #require(client.talk(to: rig).first).stream
        rig.answer(stream, 200, hasBody: true)
        let body = RawFrame.bytes(500_000)
        rig.send(stream, body)
        rig.connection.finish(stream)
        client.talk(to: rig)
        #expect(client.answer(id).body == body && client.answer(id).isComplete)
        #expect(client.dataSizes.allSatisfy { $0 <= 1_000 })
    }

    @Test func `a client that changes its window midway gets as much as it allows`() throws {
        let client = Client(initialWindow: 0, updatesWindows: false)
        let rig = Rig(greets: false)
        let id = client.request(RawFrame.get)
        let stream = try #require(client.talk(to: rig).first).stream
        rig.answer(stream, 200, hasBody: true)
        let body = RawFrame.bytes(60_000)
        rig.send(stream, body)
        rig.connection.finish(stream)
        client.talk(to: rig)
        #expect(client.answer(id).status == "200" && client.answer(id).body == [])
        var most = 0
        for window in [1, 10, 5_000, 3, 4_999, 5_001, 16_376, 60_001] as [UInt32] {
            client.setInitialWindow(window)
            client.talk(to: rig)
            most = min(body.count, max(most, Int(window)))
            #expect(client.answer(id).body == Array(body[..<most]))
            #expect(client.answer(id).isComplete == (most == body.count))
            #expect(rig.connection.heldBytes(stream) == body.count - most)
        }
    }
}
