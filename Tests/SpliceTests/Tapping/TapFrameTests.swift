// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Testing
import Wire

@testable import Splice

/// A frame as a tap should tell it.
struct Told: Equatable, CustomStringConvertible {
    var opcode: UInt8
    var payload: [UInt8]
    var length: UInt64
    var isFinal = true
    var way: TapWay

    init(
        _ opcode: Opcode, _ payload: [UInt8], length: Int? = nil, isFinal: Bool = true,
        _ way: TapWay
    ) {
        self.opcode = opcode.rawValue
        self.payload = payload
        self.length = UInt64(length ?? payload.count)
        self.isFinal = isFinal
        self.way = way
    }

    init(_ frame: TapFrame) {
        opcode = frame.opcode
        payload = frame.payload
        length = frame.payloadLength
        isFinal = frame.isFinal
        way = frame.way
    }

    var description: String {
        "[\(opcode) \(isFinal) \(way.rawValue) \(length) \(payload.prefix(40))]"
    }
}

extension TapReader {
    mutating func frames() -> [TapFrame] {
        take().compactMap { if case .frame(let frame) = $0 { frame } else { nil } }
    }

    mutating func told() -> [Told] { frames().map(Told.init) }
}

extension TapScope {
    static func payloads(_ count: Int = TapScope.payloadBytesMax) -> TapScope {
        var scope = TapScope()
        scope.payloadBytes = count
        return scope
    }
}

/// What a tap tells is what passes, byte for byte.
struct TapFrameTests {
    /// The frames of `RelayPassingTests.stream`.
    static func expected(from side: Side) -> [Told] {
        let way: TapWay = side == .client ? [] : .down
        func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
        return [
            Told(.text, bytes("hello"), way), Told(.binary, [], way),
            Told(.text, bytes("a"), isFinal: false, way), Told(.ping, [1, 2, 3], way),
            Told(.continuation, bytes("b"), isFinal: false, way), Told(.pong, [], way),
            Told(.continuation, [], way),
            Told(.binary, [UInt8](repeating: 0xA5, count: 126), way),
            Told(.text, bytes("bye"), way),
        ]
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `frames split at any byte are told once, in order, without mask`(
        side: Side, end: ClientEnd
    ) throws {
        let stream = RelayPassingTests.stream(from: side)
        let rig = try RelayRig.open(end)
        var reader = TapReader(rig.listen(.payloads()))
        for split in 1..<stream.count {
            rig.exchange(side, Array(stream[..<split]))
            rig.exchange(side, Array(stream[split...]))
            #expect(rig.peer(side.other).takeReceived() == stream, "split at \(split)")
            #expect(reader.told() == Self.expected(from: side), "split at \(split)")
        }
    }

    @Test(arguments: [Side.client, .backend], [false, true])
    func `frames of every size come whole`(side: Side, released: Bool) throws {
        let rig = try RelayRig.open(.tls, released: released, receiveCapacity: 32 * 1024)
        let line = rig.listen(.payloads())
        var reader = TapReader(line)
        for size in [0, 1, 125, 126, 16_383, 65_535, 65_536, 300_000, TapScope.payloadBytesMax] {
            let payload = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ size) }
            // No more than the ring has room for before somebody reads.
            rig.peer(side).enqueue(Frames.from(side, .binary, payload))
            var told: [Told] = []
            var before = -1
            while before != rig.peer(side.other).received.count {
                before = rig.peer(side.other).received.count
                rig.settle()
                _ = rig.client.pump() + rig.backend.pump()
                rig.settle()
                told += reader.told()
            }
            #expect(told == [Told(.binary, payload, side == .client ? [] : .down)], "\(size) bytes")
            _ = rig.peer(side.other).takeReceived()
        }
        #expect(line.lostFrames == 0)
    }

    @Test func `only so much of a payload is told, and its whole length`() throws {
        let rig = try RelayRig.open()
        var reader = TapReader(rig.listen(.payloads(4)))
        let message = Frames.client(.text, Array("0123456789".utf8))
        for split in 1..<message.count {
            rig.exchange(.client, Array(message[..<split]))
            rig.exchange(.client, Array(message[split...]))
            #expect(reader.told() == [Told(.text, Array("0123".utf8), length: 10, [])])
        }
    }

    @Test func `headers alone tell no payload, but the code of a Close`() throws {
        let rig = try RelayRig.open()
        var reader = TapReader(rig.listen(TapScope()))
        rig.exchange(.client, Frames.client(.text, Array("secret".utf8)))
        rig.exchange(.backend, Frames.server(.ping, [1, 2]))
        rig.exchange(.client, Frames.client(.close, [3, 232] + Array("secret".utf8)))
        #expect(
            reader.told() == [
                Told(.text, [], length: 6, []), Told(.ping, [], length: 2, .down),
                Told(.close, [3, 232], length: 8, []),
            ])
    }

    @Test func `opcodes choose messages with their continuations`() throws {
        let rig = try RelayRig.open()
        var scope = TapScope.payloads()
        scope.opcodes = 1 << 2 | 1 << 10
        var reader = TapReader(rig.listen(scope))
        rig.exchange(
            .client,
            Frames.client(.text, [65], isFinal: false) + Frames.client(.pong, [1])
                + Frames.client(.continuation, [66])
                + Frames.client(.binary, [2], isFinal: false) + Frames.client(.ping, [])
                + Frames.client(.continuation, [3]))
        #expect(
            reader.told() == [
                Told(.pong, [1], []), Told(.binary, [2], isFinal: false, []),
                Told(.continuation, [3], []),
            ])
    }

    @Test func `what is in progress when a tap begins is passed over`() throws {
        let rig = try RelayRig.open()
        let stream = Frames.client(.text, Array("before".utf8)) + Frames.client(.text, [65])
        for split in 1..<stream.count {
            rig.exchange(.client, Array(stream[..<split]))
            var reader = TapReader(rig.listen(.payloads()))
            rig.exchange(.client, Array(stream[split...]))
            // A header that is not whole has not passed yet.
            let whole = 6 + 6
            let isBegun = split >= 6
            var expected = [Told(.text, [65], [])]
            if !isBegun { expected.insert(Told(.text, Array("before".utf8), []), at: 0) }
            if split >= whole + 6 { expected = [] }
            #expect(reader.told() == expected, "split at \(split)")
            rig.ignore(bit: 0)
            #expect(!rig.isTapped)
        }
    }

    @Test func `several taps each have their own`() throws {
        let rig = try RelayRig.open()
        var all = TapReader(rig.listen(.payloads(), bit: 0))
        var headers = TapReader(rig.listen(TapScope(), bit: 3))
        rig.exchange(.client, Frames.client(.text, [65]))
        #expect(all.told() == [Told(.text, [65], [])])
        #expect(headers.told() == [Told(.text, [], length: 1, [])])
        rig.ignore(bit: 0)
        #expect(rig.isTapped)
        rig.exchange(.client, Frames.client(.text, [66]))
        #expect(all.told() == [])
        #expect(headers.told() == [Told(.text, [], length: 1, [])])
        rig.ignore(bit: 3)
        #expect(!rig.isTapped)
        rig.exchange(.client, Frames.client(.text, [67]))
        #expect(rig.upCounts.messages == 3)
    }

    @Test func `a tap that comes later misses nothing of what came before it`() throws {
        let rig = try RelayRig.open(reservedBits: 0x40)
        var first = TapReader(rig.listen(.payloads(), bit: 0))
        var compressed = Frames.server(.binary, [1, 2, 3])
        compressed[0] |= 0x40
        rig.exchange(.backend, compressed)
        #expect(first.frames().map(\.followsGap) == [false])
        var second = TapReader(rig.listen(.payloads(), bit: 1))
        rig.exchange(.backend, compressed)
        #expect(first.frames().map(\.followsGap) == [false])
        #expect(second.frames().map(\.followsGap) == [false])
    }

    @Test func `compressed frames are told whole, and those that are not wanted as context`() throws
    {
        let rig = try RelayRig.open(reservedBits: 0x40)
        var scope = TapScope.payloads(1)
        scope.opcodes = 1 << 1
        var reader = TapReader(rig.listen(scope))
        var binary = Frames.server(.binary, [1, 2, 3])
        binary[0] |= 0x40
        var text = Frames.server(.text, [4, 5, 6], isFinal: false)
        text[0] |= 0x40
        rig.exchange(
            .backend,
            binary + text + Frames.server(.continuation, [7, 8]) + Frames.server(.binary, [9])
                + Frames.server(.text, [10, 11]))
        let frames = reader.frames()
        #expect(frames.map(\.payload) == [[1, 2, 3], [4, 5, 6], [7, 8], [10]])
        #expect(frames.map(\.isContext) == [true, false, false, false])
        #expect(frames.map(\.isCompressed) == [true, true, true, false])
        #expect(frames.map(\.followsGap) == [false, false, false, false])
        #expect(frames.map(\.reserved) == [4, 4, 0, 0])
    }
}
