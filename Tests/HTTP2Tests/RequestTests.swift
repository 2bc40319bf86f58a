// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP2

/// What is told of requests, and what a request's head holds.
struct RequestTests {
    @Test func `the server's settings say what it can`() {
        let client = Client()
        let rig = Rig(greets: false)
        client.talk(to: rig)
        #expect(client.settings[3] == 128)
        #expect(client.settings[4] == 65_535)
        #expect(client.settings[6] == 65_536)
        #expect(client.settings[8] == 1)
        #expect(client.settings[9] == 1)
        #expect(client.settings[2] == nil, "a server says nothing of push")
        let without = Client()
        without.talk(to: Rig(greets: false) { $0.allowsExtendedConnect = false })
        #expect(without.settings[8] == nil)
    }

    @Test func `a head has its pseudo fields apart and its fields in order`() throws {
        let rig = Rig()
        rig.receive(
            .headers(1, RawFrame.get + [("accept", "*/*"), ("x-a", "1"), ("x-a", "2"), ("e", "")]))
        let event = try #require(rig.events().first)
        #expect(event.kind == .request(isLast: true) && event.stream.id == 1)
        let head = try rig.connection.head(event.stream)
        #expect(head.text(of: head.method) == "GET")
        #expect(head.text(of: head.scheme) == "https")
        #expect(head.text(of: head.authority) == "example.com")
        #expect(head.text(of: head.path) == "/a?b")
        #expect(head.protocolName.isEmpty && head.fault == nil)
        #expect(head.pairs == [["accept", "*/*"], ["x-a", "1"], ["x-a", "2"], ["e", ""]])
        #expect(rig.connection.hasNoHead(event.stream))
        #expect(rig.connection.hasPeerEnded(event.stream))
    }

    @Test func `pseudo fields may come in any order`() throws {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.get.reversed()))
        let head = try rig.connection.head(stream)
        #expect(head.text(of: head.method) == "GET" && head.text(of: head.scheme) == "https")
        #expect(head.text(of: head.path) == "/a?b")
    }

    @Test func `a cookie that came in parts is one field`() throws {
        let rig = Rig()
        let stream = rig.open(
            .headers(
                1,
                RawFrame.get + [
                    ("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3"), ("z", "w"),
                ]))
        let head = try rig.connection.head(stream)
        #expect(head.pairs == [["cookie", "a=1; b=2; c=3"], ["x", "y"], ["z", "w"]])
    }

    @Test func `host stands for an authority that is not there, and goes beside one`() throws {
        let rig = Rig()
        let withoutAuthority = RawFrame.get.filter { $0.0 != ":authority" }
        var stream = rig.open(.headers(1, withoutAuthority + [("host", "a.example"), ("x", "y")]))
        var head = try rig.connection.head(stream)
        #expect(head.text(of: head.authority) == "a.example" && head.pairs == [["x", "y"]])
        stream = rig.open(.headers(3, RawFrame.get + [("host", "EXAMPLE.com"), ("x", "y")]))
        head = try rig.connection.head(stream)
        #expect(head.text(of: head.authority) == "example.com" && head.pairs == [["x", "y"]])
    }

    @Test func `an extended CONNECT is told with its protocol, whatever that is`() throws {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.webSocket, ends: false))
        let head = try rig.connection.head(stream)
        #expect(head.text(of: head.method) == "CONNECT")
        #expect(head.text(of: head.protocolName) == "websocket")
        #expect(head.text(of: head.path) == "/chat")
        #expect(!rig.connection.hasPeerEnded(stream))
        let other = RawFrame.webSocket.map { $0.0 == ":protocol" ? ($0.0, "connect-udp") : $0 }
        let second = rig.open(.headers(3, other, ends: false))
        let secondHead = try rig.connection.head(second)
        #expect(secondHead.text(of: secondHead.protocolName) == "connect-udp")
    }

    @Test func `a plain CONNECT is told, so that it can be answered with 405`() throws {
        let rig = Rig()
        let connect = [(":method", "CONNECT"), (":authority", "example.com:443")]
        let stream = rig.open(.headers(1, connect, ends: false))
        let head = try rig.connection.head(stream)
        #expect(head.path.isEmpty && head.scheme.isEmpty && head.protocolName.isEmpty)
        rig.answer(stream, 405)
        #expect(rig.frames().on(1).map(\.type) == [RawFrame.Kind.headers])
    }

    @Test func `a body arrives, and is told once until that was taken`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(.data(1, [1, 2]), .data(1, [3]))
        #expect(rig.kinds() == [.data])
        #expect(rig.arrived(stream) == [1, 2, 3])
        rig.connection.consume(stream, 2)
        rig.receive(.data(1, [4], ends: true))
        #expect(rig.kinds() == [.data, .end])
        #expect(rig.arrived(stream) == [3, 4])
        rig.connection.consume(stream, 99)
        #expect(rig.arrived(stream) == [])
    }

    @Test func `padding is no part of a body`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(.padded(1, [1, 2, 3], padding: 200), .padded(1, [], padding: 9, ends: true))
        #expect(rig.arrived(stream) == [1, 2, 3])
        #expect(rig.kinds() == [.data, .end])
    }

    @Test func `trailers are told, and then the end`() throws {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(.data(1, [1]), .headers(1, [("x-sum", "7")]))
        #expect(rig.kinds() == [.data, .trailers, .end])
        #expect(rig.connection.takeTrailerPairs(stream) == [["x-sum", "7"]])
        #expect(rig.connection.takeTrailerPairs(stream) == nil)
    }

    @Test func `events carry the tag that the stream has`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.connection.setTag(stream, 77)
        rig.receive(.data(1, [1]), .reset(1))
        let events = rig.events()
        #expect(events.map(\.tag) == [77, 77])
        #expect(events.map(\.stream) == [stream, stream])
        #expect(events.last?.kind == .closed(.resetByPeer(.cancel)))
    }

    @Test func `what had arrived can be read until a closed stream is forgotten`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.answer(stream)
        _ = rig.frames()
        rig.receive(.data(1, [1, 2, 3], ends: true))
        #expect(rig.kinds().last == .closed(.complete))
        #expect(rig.arrived(stream) == [1, 2, 3] && rig.connection.openStreams == 0)
        rig.connection.forget(stream)
        #expect(rig.arrived(stream) == [])
        #expect(rig.memory.usedBytes == 0)
        let next = rig.open(.headers(3, RawFrame.get))
        #expect(next.id == 3 && rig.connection.hasNoHead(stream))
        #expect(!rig.answer(stream) && !rig.connection.hasNoHead(next))
    }

    @Test func `what waited to be told of a stream that is forgotten is not told`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.receive(.data(1, [1], ends: true), .headers(3, RawFrame.get))
        rig.connection.forget(stream)
        let events = rig.events()
        #expect(events.map(\.kind) == [.request(isLast: true)] && events[0].stream.id == 3)
    }

    @Test func `an open stream that is forgotten is cancelled, and nothing is told of it`() {
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.post, ends: false))
        rig.connection.forget(stream)
        #expect(rig.frames() == [.reset(1, 8)])
        #expect(rig.kinds() == [] && rig.connection.openStreams == 0)
        #expect(!rig.connection.isOpen(stream))
    }

    @Test func `fifty tunnels among requests are all told, and opened again after they closed`() {
        let client = Client()
        let fresh = Rig(greets: false)
        for round in 0..<3 {
            var ids: [Int32] = []
            client.talk(to: fresh)
            for _ in 0..<50 {
                ids.append(client.request(RawFrame.webSocket, hasBody: true))
                ids.append(client.request(RawFrame.get))
            }
            let events = client.talk(to: fresh)
            let requests = events.filter(\.isRequest)
            #expect(requests.map(\.stream.id) == ids)
            for event in requests {
                let isTunnel = event.kind == .request(isLast: false)
                #expect(fresh.answer(event.stream, 200, [("round", "\(round)")], hasBody: isTunnel))
                if isTunnel {
                    fresh.send(event.stream, [1])
                    fresh.connection.finish(event.stream)
                }
            }
            for index in stride(from: 0, to: 100, by: 2) {
                client.upload(ids[index], [], ends: true)
            }
            let closed = client.talk(to: fresh).filter { $0.kind == .closed(.complete) }
            #expect(closed.count == 100)
            for event in closed { fresh.connection.forget(event.stream) }
            #expect(ids.allSatisfy { client.answer($0).isComplete })
        }
        #expect(fresh.connection.openStreams == 0 && fresh.memory.usedBytes == 0)
    }
}
