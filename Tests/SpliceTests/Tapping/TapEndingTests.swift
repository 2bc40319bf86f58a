// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Testing
import Wire

@testable import Splice

/// Frames of Sluice's own, relays that end, and taps that are too slow.
struct TapEndingTests {
    private static func scope(_ legs: TapScope.Legs) -> TapScope {
        var scope = TapScope.payloads()
        scope.legs = legs
        return scope
    }

    @Test func `Pings of Sluice's own and their answers stand on one connection alone`() throws {
        let rules = RelayRules(
            pingMilliseconds: 1_000, pongMilliseconds: 500, pingsClient: true, pingsUpstream: true)
        let rig = try RelayRig.open(rules: rules)
        var all = TapReader(rig.listen(Self.scope(.all), bit: 0))
        var client = TapReader(rig.listen(Self.scope(.client), bit: 1))
        var upstream = TapReader(rig.listen(Self.scope(.upstream), bit: 2))
        rig.passDeadline()
        rig.exchange()
        let toClient = try #require(Frames.parse(rig.client.takeReceived())?.first)
        let toUpstream = try #require(Frames.parse(rig.backend.takeReceived())?.first)
        rig.exchange(.client, Frames.client(.pong, toClient.payload))
        rig.exchange(.backend, Frames.server(.pong, toUpstream.payload))
        rig.exchange(.client, Frames.client(.text, [65]))
        let ownDown = Told(.ping, toClient.payload, [.down, .own])
        let ownUp = Told(.ping, toUpstream.payload, .own)
        let fromClient = Told(.pong, toClient.payload, .swallowed)
        let fromUpstream = Told(.pong, toUpstream.payload, [.down, .swallowed])
        let relayed = Told(.text, [65], [])
        #expect(all.told() == [ownDown, ownUp, fromClient, fromUpstream, relayed])
        #expect(client.told() == [ownDown, fromClient, relayed])
        #expect(upstream.told() == [ownUp, fromUpstream, relayed])
        #expect(rig.backend.takeReceived() == Frames.client(.text, [65]))
    }

    @Test func `Closes of Sluice's own are told, and the answers that go nowhere`() throws {
        let rig = try RelayRig.open()
        var reader = TapReader(rig.listen(.payloads()))
        rig.drain(code: 1012)
        rig.exchange(.client, Frames.client(.text, [65]) + Frames.close(from: .client, 1012))
        rig.exchange(.backend, Frames.close(from: .backend, 1012))
        let told = reader.told()
        #expect(
            told.map(\.way) == [
                [.down, .own], .own, .swallowed, .swallowed, [.down, .swallowed],
            ])
        #expect(told.map(\.opcode) == [8, 8, 1, 8, 8])
        #expect(told.filter { $0.opcode == 8 }.allSatisfy { $0.payload == [3, 244] })
    }

    @Test func `a relay that ends tells of the frame that was in progress`() throws {
        let rig = try RelayRig.open()
        let line = rig.listen(.payloads())
        var reader = TapReader(line)
        let message = Frames.client(.text, Array("hello".utf8))
        rig.exchange(.client, Array(message.dropLast(2)))
        #expect(reader.told() == [])
        line.ended(rig.end(bit: 0))
        let news = reader.take()
        #expect(news.count == 2)
        guard case .frame(let frame)? = news.first, case .ended(let end)? = news.last else {
            Issue.record("\(news)")
            return
        }
        #expect(frame.isCut)
        #expect(frame.payload == Array("hel".utf8))
        #expect(frame.payloadLength == 5)
        #expect(end.code == 1001)
    }

    @Test func `a tap that nobody reads loses frames with a count, and the relay loses none`()
        throws
    {
        let rig = try RelayRig.open()
        let line = rig.listen(.payloads(), capacity: 4_096)
        var reader = TapReader(line)
        let message = Frames.client(.text, [UInt8](repeating: 65, count: 1_000))
        for _ in 0..<100 { rig.exchange(.client, message) }
        #expect(rig.upCounts.messages == 100)
        #expect(rig.backend.takeReceived().count == 100 * message.count)
        let told = reader.told()
        #expect(told.count == 3)
        #expect(line.lostFrames == 97)
        // What comes later has room again.
        rig.exchange(.client, message)
        #expect(reader.told().count == 1)
        #expect(line.lostFrames == 97)
    }

    @Test func `a frame that loses a piece is lost whole, and counts once`() throws {
        let rig = try RelayRig.open(receiveCapacity: 2_048)
        let line = rig.listen(.payloads(), capacity: 4_096)
        var reader = TapReader(line)
        let long = [UInt8](repeating: 65, count: 20_000)
        rig.exchange(.backend, Frames.server(.binary, long))
        #expect(rig.client.takeReceived() == Frames.server(.binary, long))
        #expect(reader.told() == [])
        #expect(line.lostFrames == 1)
        rig.exchange(.backend, Frames.server(.text, [66]))
        #expect(reader.told() == [Told(.text, [66], .down)])
    }

    @Test func `a loss among compressed frames shows in the next one`() throws {
        let rig = try RelayRig.open(reservedBits: 0x40)
        let line = rig.listen(.payloads(), capacity: 4_096)
        var reader = TapReader(line)
        func compressed(_ count: Int) -> [UInt8] {
            var frame = Frames.server(.binary, [UInt8](repeating: 1, count: count))
            frame[0] |= 0x40
            return frame
        }
        rig.exchange(.backend, compressed(10))
        rig.exchange(.backend, compressed(4_500))
        #expect(reader.frames().map(\.followsGap) == [false])
        rig.exchange(.backend, compressed(10) + compressed(10))
        #expect(reader.frames().map(\.followsGap) == [true, false])
    }

    @Test func `a compressed frame that loses its end is a loss for the next one, and is not cut`()
        throws
    {
        let rig = try RelayRig.open(reservedBits: 0x40, receiveCapacity: 2_048)
        let line = rig.listen(.payloads(), capacity: 4_096)
        var reader = TapReader(line)
        func compressed(_ count: Int) -> [UInt8] {
            var frame = Frames.server(.binary, [UInt8](repeating: 1, count: count))
            frame[0] |= 0x40
            return frame
        }
        rig.exchange(.backend, compressed(10))
        // Its begin has room, and some of its rest; its end has none.
        rig.exchange(.backend, compressed(9_000))
        #expect(reader.frames().map(\.followsGap) == [false])
        #expect(line.lostFrames == 1)
        rig.exchange(.backend, compressed(10))
        #expect(reader.frames().map(\.followsGap) == [true])
        // Another one has no end that was told, and behind it nothing comes.
        rig.exchange(.backend, compressed(9_000))
        #expect(line.lostFrames == 2)
        line.ended(rig.end(bit: 0))
        let news = reader.take()
        #expect(news.count == 1, "\(news)")
        guard case .ended? = news.first else {
            Issue.record("\(news)")
            return
        }
    }

    @Test func `frames in progress have a bound together, however many relays there are`() throws {
        let line = TapLine(.payloads())
        var reader = TapReader(line)
        let payload = [UInt8](repeating: 65, count: 512 * 1_024)
        let count: UInt32 = 100
        for index in 0..<count {
            var event = TapEvent(
                size: UInt32(TapEvent.size(payload: payload.count)), kind: .frame)
            event.firstByte = 0x82
            event.token = Token(index: index, generation: 0).rawValue
            event.payloadLength = UInt64(payload.count + 1)
            event.count = UInt32(payload.count)
            let isWritten = payload.withUnsafeBufferPointer { line.write(event, $0.baseAddress) }
            #expect(isWritten)
            #expect(reader.frames() == [])
        }
        for index in 0..<count {
            line.ended(
                TapEnd(
                    id: RelayID(worker: 0, token: Token(index: index, generation: 0)),
                    nanoseconds: 1, code: 0, initiator: .none, reason: .none, detail: "",
                    up: DirectionCounts(), down: DirectionCounts()))
        }
        let told = reader.frames()
        #expect(told.count == Int(count) && told.allSatisfy(\.isCut))
        let kept = told.reduce(0) { $0 + $1.payload.count }
        #expect((payload.count...TapReader.pendingBytesMax).contains(kept), "\(kept)")
    }

    @Test func `a ring hands out what was put in, wherever it wraps`() {
        let ring = TapRing(capacity: 512)
        var next: UInt8 = 0
        for size in 0..<200 {
            let payload = (0..<size).map { _ -> UInt8 in
                next &+= 1
                return next
            }
            var event = TapEvent(size: UInt32(TapEvent.size(payload: size)), kind: .frame)
            event.count = UInt32(size)
            event.token = UInt64(size)
            let isWritten = payload.withUnsafeBufferPointer { ring.write(event, $0.baseAddress) }
            #expect(isWritten)
            var found: [[UInt8]] = []
            ring.read(to: ring.position) { event, bytes in
                #expect(event.token == UInt64(size))
                found.append(Array(bytes))
            }
            #expect(found == [payload])
        }
    }

    @Test func `what relays have agreed on is kept once, and bounded`() {
        var names = AgreedNames()
        let first = names.take(subprotocol: "chat", extensions: nil)
        #expect(first === names.take(subprotocol: "chat", extensions: nil))
        #expect(names.take(subprotocol: nil, extensions: nil) === Agreed.nothing)
        for number in 0..<1_000 { _ = names.take(subprotocol: "p\(number)", extensions: nil) }
        #expect(names.take(subprotocol: "another", extensions: nil) == nil)
        #expect(
            names.take(subprotocol: String(repeating: "x", count: 600), extensions: nil) == nil)
        #expect(first === names.take(subprotocol: "chat", extensions: nil))
    }
}
