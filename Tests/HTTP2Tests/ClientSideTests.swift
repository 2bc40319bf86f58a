// SPDX-License-Identifier: Apache-2.0
//
// Goal: the client's side opens WebSockets (RFC 8441), and tells what the server does with them.
// Method: it talks to the server's side in memory, until neither has anything to say.

import HTTP2
import Testing

/// A client and a server, each of which gets what the other has to send.
private final class Conversation {
    let memory = HTTP2Memory()
    let client: HTTP2Client
    let server: TestConnection
    /// What the client was told, in words; of bytes their text.
    private(set) var told: [String] = []
    private(set) var served: [HTTP2Event] = []

    init(streamWindowBytes: Int = 65_535, _ change: (inout HTTP2Limits) -> Void = { _ in }) {
        var limits = HTTP2Limits.usual
        change(&limits)
        client = HTTP2Client(memory, streamWindowBytes: streamWindowBytes)
        server = TestConnection(limits, memory, milliseconds: 0)
    }

    /// Moves bytes until there are none.
    func run() {
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4_096, alignment: 1)
        defer { room.deallocate() }
        while true {
            let up = client.produce(into: room)
            take()
            if up > 0 {
                server.receive(UnsafeRawBufferPointer(rebasing: room[..<up]), milliseconds: 0)
            }
            let down = server.produce(into: room)
            while let event = server.nextEvent() { served.append(event) }
            if down > 0 { client.receive(UnsafeMutableRawBufferPointer(rebasing: room[..<down])) }
            take()
            if up == 0, down == 0 { return }
        }
    }

    private func take() {
        while let event = client.nextEvent() {
            switch event {
            case .settings: told.append("settings")
            case .answer(let answer, let tag): told.append("\(tag): \(answer.status)")
            case .data(let bytes, let tag):
                told.append("\(tag): \(String(decoding: bytes, as: UTF8.self))")
            case .end(let tag): told.append("\(tag): end")
            case .drained(let tag): told.append("\(tag): drained")
            case .closed(let code, let tag): told.append("\(tag): closed \(code)")
            case .goAway(let code): told.append("GOAWAY \(code)")
            case .failed: told.append("failed")
            }
        }
    }

    /// What was told since this was last asked.
    func takeTold() -> [String] {
        defer { told = [] }
        return told
    }

    func request() -> HTTP2Stream {
        served.first { if case .request = $0.kind { true } else { false } }?.stream ?? .absent
    }

    func send(_ stream: HTTP2Stream, _ text: String) -> Bool {
        Array(text.utf8).withUnsafeBytes { server.send(stream, $0) }
    }

    func send(_ id: Int32, _ bytes: [UInt8]) -> Bool {
        bytes.withUnsafeBytes { client.send(id, $0) }
    }
}

@Suite struct ClientSideTests {
    @Test func `a WebSocket opens, carries bytes both ways and ends on both sides`() throws {
        let conversation = Conversation()
        conversation.run()
        #expect(conversation.takeTold() == ["settings"])
        #expect(conversation.client.allowsExtendedConnect)
        #expect(conversation.client.streamsMax == HTTP2Limits.usual.streamsMax)

        let id = try #require(
            conversation.client.openWebSocket(authority: "a:1", path: "/x?y", tag: 7))
        conversation.run()
        let stream = conversation.request()
        let head = try conversation.server.head(stream)
        #expect(head.text(of: head.method) == "CONNECT")
        #expect(head.text(of: head.protocolName) == "websocket")
        #expect(head.text(of: head.scheme) == "https")
        #expect(head.text(of: head.authority) == "a:1")
        #expect(head.text(of: head.path) == "/x?y")
        #expect(head.fields.map { head.text(of: $0.name) } == ["sec-websocket-version"])

        #expect(conversation.server.answer(stream, status: 200, HTTP2Fields(), hasBody: true))
        #expect(conversation.send(stream, "down"))
        conversation.run()
        #expect(conversation.takeTold() == ["7: 200", "7: down"])
        #expect(conversation.send(id, Array("up".utf8)))
        conversation.run()
        #expect(conversation.takeTold() == ["7: drained"])
        #expect(Array(conversation.server.arrived(stream)) == Array("up".utf8))

        conversation.client.finish(id)
        #expect(!conversation.send(id, [1]))
        conversation.run()
        #expect(conversation.server.hasPeerEnded(stream))
        #expect(conversation.server.finish(stream))
        conversation.run()
        #expect(conversation.takeTold() == ["7: end", "7: closed NO_ERROR"])
        conversation.server.forget(stream)
        #expect(conversation.memory.usedBytes == 0)
    }

    @Test func `what the server does not take waits`() throws {
        let conversation = Conversation()
        conversation.run()
        let id = try #require(
            conversation.client.openWebSocket(authority: "a", path: "/", tag: 1))
        conversation.run()
        let stream = conversation.request()
        #expect(conversation.server.answer(stream, status: 200, HTTP2Fields(), hasBody: true))
        #expect(conversation.send(id, [UInt8](repeating: 1, count: 70_000)))
        conversation.run()
        #expect(conversation.client.heldBytes(id) == 70_000 - 65_535)
        conversation.server.consume(stream, 65_535)
        conversation.run()
        #expect(conversation.client.heldBytes(id) == 0)
        #expect(conversation.takeTold().last == "1: drained")
    }

    @Test func `answers, interim ones and trailers are told apart`() throws {
        let conversation = Conversation()
        conversation.run()
        _ = conversation.client.open(
            [(":method", "GET"), (":scheme", "https"), (":path", "/"), (":authority", "a")],
            tag: 3, hasBody: false)
        conversation.run()
        _ = conversation.takeTold()
        let stream = conversation.request()
        #expect(conversation.server.sendInterim(stream, status: 103))
        #expect(conversation.server.answer(stream, status: 404, HTTP2Fields(), hasBody: true))
        var trailers = HTTP2Fields()
        trailers.append("x", "1")
        #expect(conversation.server.finish(stream, trailers: trailers))
        conversation.run()
        #expect(conversation.takeTold() == ["3: 404", "3: end", "3: closed NO_ERROR"])
    }

    @Test func `a stream that is reset is told with its code, by both`() throws {
        let conversation = Conversation()
        conversation.run()
        let id = try #require(
            conversation.client.openWebSocket(authority: "a", path: "/", tag: 1))
        conversation.run()
        _ = conversation.takeTold()
        let stream = conversation.request()
        conversation.server.reset(stream, .refusedStream)
        conversation.run()
        #expect(conversation.takeTold() == ["1: closed REFUSED_STREAM"])
        #expect(!conversation.send(id, [1]))
        conversation.client.reset(id, .cancel)
        conversation.run()
        #expect(conversation.takeTold() == [])
    }

    @Test func `a server without extended CONNECT says so`() {
        let conversation = Conversation { $0.allowsExtendedConnect = false }
        conversation.run()
        #expect(conversation.takeTold() == ["settings"])
        #expect(!conversation.client.allowsExtendedConnect)
    }

    @Test func `bytes that are no HTTP/2 are told once`() {
        let client = HTTP2Client(HTTP2Memory())
        var bytes = Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8)
        var failures = 0
        for _ in 0..<2 {
            bytes.withUnsafeMutableBytes { client.receive($0) }
            var room = [UInt8](repeating: 0, count: 1_000)
            _ = room.withUnsafeMutableBytes { client.produce(into: $0) }
            while let event = client.nextEvent() {
                if case .failed = event { failures += 1 }
            }
        }
        #expect(failures == 1)
    }
}
