// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Testing

/// Goal: bodies that lie with the connection's owner arrive whole and in order, whatever windows and rooms
/// there are, and what is said of their end is true.
struct BodySourceTests {
    /// Bodies by the tags of their streams.
    private final class Bodies {
        var bytes: [UInt64: [UInt8]] = [:]
        /// Whose the tags are, where a test says so.
        var ids: [UInt64: Int32] = [:]
        /// How often bytes were taken.
        var takes = 0

        /// The bodies' owner has to outlive the source.
        var source: HTTP2BodySource {
            HTTP2BodySource(
                owner: Unmanaged.passUnretained(self).toOpaque(),
                count: { Bodies.of($0).count($1, $2) },
                take: { owner, tag, id, place, count in
                    let bodies = Bodies.of(owner)
                    guard bodies.count(tag, id) > 0 else { return 0 }
                    guard let body = bodies.bytes[tag], body.count >= count else { return 0 }
                    body.withUnsafeBytes {
                        guard let start = $0.baseAddress else { return }
                        place.copyMemory(from: start, byteCount: count)
                    }
                    bodies.bytes[tag] = Array(body[count...])
                    bodies.takes += 1
                    return count
                })
        }

        /// How many bytes there are; none where the tag is another stream's.
        private func count(_ tag: UInt64, _ id: Int32) -> Int {
            if let owner = ids[tag], owner != id { return 0 }
            return bytes[tag]?.count ?? 0
        }

        private static func of(_ owner: UnsafeMutableRawPointer) -> Bodies {
            Unmanaged<Bodies>.fromOpaque(owner).takeUnretainedValue()
        }
    }

    private let bodies = Bodies()
    private let rig: Rig
    private let client: Client

    init() throws {
        client = Client(initialWindow: 65_535, updatesWindows: false)
        rig = Rig(source: bodies.source, greets: false)
        client.talk(to: rig)
    }

    private func ask(_ tag: UInt64) throws -> (HTTP2Stream, Int32) {
        let id = client.request(RawFrame.get)
        let stream = try #require(client.talk(to: rig).first).stream
        rig.connection.setTag(stream, tag)
        return (stream, id)
    }

    @Test func `a body is taken as it is offered, and the end stands in its last frame`() throws {
        let (stream, id) = try ask(7)
        bodies.bytes[7] = [1, 2]
        #expect(!rig.connection.offer(stream), "a body needs a head")
        rig.answer(stream, 200, hasBody: true)
        #expect(rig.connection.offer(stream))
        client.talk(to: rig)
        #expect(client.answer(id).body == [1, 2])
        let body = RawFrame.bytes(40_000)
        bodies.bytes[7] = body
        #expect(rig.connection.offer(stream))
        rig.connection.finish(stream)
        let frames = rig.frames()
        #expect(frames.map(\.payload.count) == [16_375, 16_375, 7_250])
        #expect(frames.map { $0.flags & 1 } == [0, 0, 1])
        #expect(frames.flatMap(\.payload) == body)
        #expect(rig.events().map(\.kind) == [.sent, .closed(.complete)])
        #expect(!rig.connection.offer(stream) && rig.memory.usedBytes == 0)
    }

    @Test(arguments: [1, 8, 9, 10, 100, 16_384, 16_385, 20_000, 65_536])
    func `it comes whole through rooms of every size`(room: Int) throws {
        let (stream, _) = try ask(3)
        rig.answer(stream, 200, hasBody: true)
        _ = rig.output()
        let body = RawFrame.bytes(50_000)
        bodies.bytes[3] = body
        rig.connection.offer(stream)
        rig.connection.finish(stream)
        let frames = RawFrame.all(in: rig.output(room: room))
        #expect(frames.flatMap(\.payload) == body)
        #expect(frames.allSatisfy { $0.payload.count <= HTTP2Connection.dataBytesMax })
        #expect(frames.last.map { $0.flags & 1 } == 1)
        #expect(frames.dropLast().allSatisfy { $0.flags & 1 == 0 })
    }

    @Test func `what was sent goes before what lies at the source, and trailers behind both`()
        throws
    {
        let (stream, id) = try ask(1)
        rig.answer(stream, 200, hasBody: true)
        bodies.bytes[1] = [4, 5]
        rig.send(stream, [1, 2, 3])
        rig.connection.offer(stream)
        rig.connection.finish(stream, trailers: Rig.fields([("x-sum", "6")]))
        client.talk(to: rig)
        #expect(client.answer(id).body == [1, 2, 3, 4, 5] && client.answer(id).isComplete)
        #expect(client.answer(id).trailers == [["x-sum", "6"]])
    }

    @Test func `a window holds back what lies at the source, and one event tells when it has gone`()
        throws
    {
        let (stream, id) = try ask(5)
        client.setInitialWindow(1_000)
        client.talk(to: rig)
        rig.answer(stream, 200, hasBody: true)
        bodies.bytes[5] = RawFrame.bytes(3_000)
        rig.connection.offer(stream)
        client.talk(to: rig)
        #expect(client.answer(id).body.count == 1_000 && bodies.bytes[5]?.count == 2_000)
        rig.connection.tellWhenDrained(stream)
        client.setInitialWindow(2_999)
        #expect(!client.talk(to: rig).map(\.kind).contains(.drained))
        client.setInitialWindow(60_000)
        #expect(client.talk(to: rig).map(\.kind).filter { $0 == .drained }.count == 1)
        #expect(client.answer(id).body == RawFrame.bytes(3_000))
        rig.connection.tellWhenDrained(stream)
        #expect(client.talk(to: rig).isEmpty, "nothing is left to be told of")
    }

    @Test func `streams take turns, and none takes of another's`() throws {
        let (first, one) = try ask(11)
        let (second, two) = try ask(12)
        for stream in [first, second] { rig.answer(stream, 200, hasBody: true) }
        _ = rig.output()
        bodies.bytes[11] = [UInt8](repeating: 1, count: 30_000)
        bodies.bytes[12] = [UInt8](repeating: 2, count: 30_000)
        for stream in [first, second] { rig.connection.offer(stream) }
        let frames = rig.frames()
        #expect(frames.map(\.stream) == [one, two, one, two].map { UInt32($0) })
        #expect(
            frames.map { Set($0.payload) } == [[1], [2], [1], [2]] && bodies.takes == 4,
            "each frame is taken in one piece")
    }

    @Test(arguments: [false, true])
    func `a stream without a tag, or with another's, gets no bytes of others`(hasTag: Bool) throws {
        let (mine, id) = try ask(5)
        let another = client.request(RawFrame.get)
        let stream = try #require(client.talk(to: rig).first).stream
        if hasTag { rig.connection.setTag(stream, 5) }
        bodies.ids[5] = id
        for tag in [0, 5, UInt64.max] { bodies.bytes[tag] = [1, 2, 3] }
        for stream in [mine, stream] {
            rig.answer(stream, 200, hasBody: true)
            rig.connection.offer(stream)
            rig.connection.finish(stream)
        }
        client.talk(to: rig)
        #expect(client.answer(id).body == [1, 2, 3] && client.answer(id).isComplete)
        #expect(client.answer(another).body.isEmpty && client.answer(another).isComplete)
    }

    @Test func `what was offered for a stream that the client resets is not taken`() throws {
        let (stream, id) = try ask(9)
        client.setInitialWindow(10)
        client.talk(to: rig)
        rig.answer(stream, 200, hasBody: true)
        bodies.bytes[9] = RawFrame.bytes(100)
        rig.connection.offer(stream)
        client.talk(to: rig)
        rig.receive(.reset(UInt32(id)), .windowUpdate(UInt32(id), 1_000))
        _ = rig.output()
        #expect(bodies.bytes[9]?.count == 90 && !rig.connection.offer(stream))
    }
}
