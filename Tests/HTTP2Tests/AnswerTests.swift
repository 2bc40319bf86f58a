// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP2

/// Answers, as a foreign client reads them.
struct AnswerTests {
    private let client = Client()
    private let rig = Rig(greets: false)

    /// Sends a request and returns its stream at the server and its number.
    private func ask(
        _ fields: [(String, String)] = RawFrame.get, hasBody: Bool = false
    ) throws -> (HTTP2Stream, Int32) {
        let id = client.request(fields, hasBody: hasBody)
        let events = client.talk(to: rig)
        let event = try #require(events.first { $0.isRequest && $0.stream.id == id })
        return (event.stream, id)
    }

    @Test func `an answer without a body is one frame`() throws {
        let (stream, id) = try ask()
        #expect(rig.answer(stream, 404, [("Content-Type", "text/plain"), ("x", "")]))
        let events = client.talk(to: rig)
        #expect(events.map(\.kind) == [.sent, .closed(.complete)])
        let answer = client.answer(id)
        #expect(answer.status == "404" && answer.isComplete && answer.body == [])
        #expect(answer.fields == [["content-type", "text/plain"], ["x", ""]])
        #expect(client.dataSizes == [])
        #expect(!rig.answer(stream, 200), "a stream that is complete takes no answer")
    }

    @Test func `an answer has a body in pieces, and trailers behind it`() throws {
        let (stream, id) = try ask()
        #expect(rig.answer(stream, 200, hasBody: true))
        client.talk(to: rig)
        #expect(client.answer(id).status == "200" && !client.answer(id).isComplete)
        rig.send(stream, [1, 2])
        client.talk(to: rig)
        #expect(client.answer(id).body == [1, 2])
        rig.send(stream, [3])
        rig.send(stream, [])
        rig.connection.finish(stream, trailers: Rig.fields([("x-sum", "6")]))
        #expect(!rig.send(stream, [9]) && !rig.connection.finish(stream))
        let events = client.talk(to: rig)
        #expect(events.map(\.kind) == [.sent, .closed(.complete)])
        #expect(client.answer(id).body == [1, 2, 3] && client.answer(id).isComplete)
        #expect(client.answer(id).trailers == [["x-sum", "6"]])
    }

    @Test func `trailers stand behind all of a long body`() throws {
        let (stream, id) = try ask()
        rig.answer(stream, 200, hasBody: true)
        let body = RawFrame.bytes(300_000)
        rig.send(stream, body)
        rig.connection.finish(stream, trailers: Rig.fields([("a", "b")]))
        client.talk(to: rig)
        #expect(client.answer(id).body == body && client.answer(id).trailers == [["a", "b"]])
        #expect(client.dataSizes.max() == HTTP2Connection.dataBytesMax)
        #expect(rig.memory.usedBytes == 0)
    }

    @Test func `an answer that ends without a byte has an empty body`() throws {
        let (stream, id) = try ask()
        rig.answer(stream, 200, hasBody: true)
        rig.connection.finish(stream)
        client.talk(to: rig)
        #expect(client.answer(id).isComplete && client.answer(id).body == [])
    }

    @Test func `interim answers come before the final one, and not behind it`() throws {
        let (stream, id) = try ask(RawFrame.post, hasBody: true)
        #expect(rig.connection.sendInterim(stream, status: 100))
        #expect(rig.connection.sendInterim(stream, status: 103, Rig.fields([("link", "<a>")])))
        #expect(!rig.connection.sendInterim(stream, status: 101))
        #expect(!rig.connection.sendInterim(stream, status: 200))
        rig.answer(stream, 201)
        #expect(!rig.connection.sendInterim(stream, status: 100))
        #expect(!rig.answer(stream, 200), "there is one final answer")
        client.talk(to: rig)
        #expect(client.answer(id).interim == ["100", "103"] && client.answer(id).status == "201")
    }

    @Test func `what may not stand in HTTP/2 is left out of an answer`() throws {
        let (stream, id) = try ask()
        var fields = HTTP2Fields()
        let unlawful = [
            ("Connection", "x"), ("Keep-Alive", "x"), ("Proxy-Connection", "x"),
            ("Transfer-Encoding", "x"), ("Upgrade", "x"), (":status", "x"), ("a b", "x"), ("", "x"),
            ("x", "a\r\nb"), ("x", " a"), ("x", "a\0"),
        ]
        for (name, value) in unlawful {
            let isIn = fields.append(name, value)
            #expect(!isIn, "\(name): \(value)")
        }
        for (name, value) in [("Set-Cookie", "a=b"), ("set-cookie", "c=d")] {
            let isIn = fields.append(name, value)
            #expect(isIn, "\(name): \(value)")
        }
        #expect(fields.count == 2)
        rig.connection.answer(stream, status: 200, fields, hasBody: false)
        client.talk(to: rig)
        #expect(client.answer(id).fields == [["set-cookie", "a=b"], ["set-cookie", "c=d"]])
        fields.removeAll()
        #expect(fields.count == 0)
    }

    @Test func `a head of 100 KB passes`() throws {
        let (stream, id) = try ask()
        let long = String(repeating: "x", count: 50_000)
        rig.answer(stream, 200, (0..<2).map { ("x-\($0)", long) })
        client.talk(to: rig)
        #expect(client.answer(id).fields.map { $0[1].count } == [50_000, 50_000])
        let (next, nextID) = try ask()
        rig.answer(next, 204)
        client.talk(to: rig)
        #expect(client.answer(nextID).status == "204")
    }

    @Test func `a head that can't be sent resets its stream, and is not waited for`() throws {
        let (stream, id) = try ask()
        let long = String(repeating: "x", count: 60_000)
        rig.answer(stream, 200, (0..<80).map { ("x-\($0)", long) })
        let events = client.talk(to: rig)
        #expect(events.map(\.kind) == [.closed(.resetHere(.internalError))])
        #expect(client.answer(id).resetCode == 2)
    }

    @Test func `a stream is reset with the code that is asked for, and drops what is held`() throws
    {
        let (stream, id) = try ask()
        rig.answer(stream, 200, hasBody: true)
        rig.send(stream, RawFrame.bytes(1_000))
        rig.connection.reset(stream, .refusedStream)
        #expect(!rig.connection.isOpen(stream) && !rig.send(stream, [1]))
        let events = client.talk(to: rig)
        #expect(events.map(\.kind) == [.closed(.resetHere(.refusedStream))])
        #expect(client.answer(id).resetCode == 7 && client.answer(id).body == [])
        #expect(rig.memory.usedBytes == 0)
    }

    @Test func `after the whole answer NO_ERROR ends a request that is not over`() throws {
        let (stream, id) = try ask(RawFrame.post, hasBody: true)
        rig.answer(stream, 413, hasBody: true)
        rig.send(stream, [1, 2, 3])
        rig.connection.finish(stream)
        #expect(client.talk(to: rig).map(\.kind) == [.sent])
        #expect(client.answer(id).isComplete && client.answer(id).resetCode == nil)
        rig.connection.reset(stream, .noError)
        #expect(client.talk(to: rig).map(\.kind) == [.closed(.resetHere(.noError))])
        #expect(client.answer(id).resetCode == 0 && client.answer(id).body == [1, 2, 3])
    }

    @Test func `a tunnel carries bytes both ways at once, and each side ends by itself`() throws {
        let (stream, id) = try ask(RawFrame.webSocket, hasBody: true)
        rig.answer(stream, 200, hasBody: true)
        client.upload(id, [1, 2, 3])
        rig.send(stream, [9])
        #expect(client.talk(to: rig).map(\.kind) == [.data])
        #expect(rig.arrived(stream) == [1, 2, 3] && client.answer(id).body == [9])
        rig.connection.finish(stream)
        #expect(client.talk(to: rig).map(\.kind) == [.sent])
        client.upload(id, [4], ends: true)
        #expect(client.talk(to: rig).map(\.kind) == [.data, .end, .closed(.complete)])
        #expect(rig.arrived(stream) == [1, 2, 3, 4])
    }

    @Test func `streams take turns, whatever priority the client asks for`() throws {
        let streams = try (0..<3).map { index in
            try ask(RawFrame.get + [("priority", index == 0 ? "u=0" : "u=7")]).0
        }
        for stream in streams {
            rig.answer(stream, 200, hasBody: true)
            rig.send(stream, RawFrame.bytes(50_000))
        }
        let order = rig.frames().of(RawFrame.Kind.data).prefix(3).map(\.stream)
        #expect(Set(order) == [1, 3, 5], "\(order)")
    }

    @Test func `what is produced does not depend on the room`() throws {
        func output(room: Int) -> [UInt8] {
            let rig = Rig()
            let stream = rig.open(.headers(1, RawFrame.get))
            rig.answer(stream, 200, [("a", "b")], hasBody: true)
            rig.send(stream, RawFrame.bytes(40_000))
            rig.connection.finish(stream)
            return rig.output(room: room)
        }
        let whole = output(room: 1 << 20)
        #expect(whole.count > 40_000)
        for room in [1, 2, 9, 10, 16_383, 16_384, 16_385] {
            #expect(output(room: room) == whole, "\(room)")
        }
    }

    @Test func `no room produces nothing, and loses nothing`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.answer(stream, 200)
        #expect(rig.connection.wantsToProduce)
        #expect(
            rig.connection.produce(into: UnsafeMutableRawBufferPointer(start: nil, count: 0)) == 0)
        #expect(rig.connection.wantsToProduce)
        #expect(rig.frames().count == 1 && !rig.connection.wantsToProduce)
    }

    @Test func `a stream that the client resets while its frame leaves is whole on the wire`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.get))
        rig.answer(stream, 200, hasBody: true)
        rig.send(stream, RawFrame.bytes(10_000))
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 5_000, alignment: 1)
        defer { room.deallocate() }
        var output = Array(room[..<rig.connection.produce(into: room)])
        rig.receive(.reset(1))
        #expect(rig.kinds().last == .closed(.resetByPeer(.cancel)))
        rig.connection.forget(stream)
        output += rig.output()
        let frames = RawFrame.all(in: output)
        #expect(frames.map(\.type) == [RawFrame.Kind.headers, RawFrame.Kind.data])
        #expect(frames.last?.payload == RawFrame.bytes(10_000))
    }
}
