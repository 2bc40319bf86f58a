// SPDX-License-Identifier: Apache-2.0
//
// Goal: connections end as RFC 6455 wants it, and what is no WebSocket is told so in a sentence.
// Method: the app over real sockets; each test reads up to the connection's end.

import Echo
import Reactor
import TestKit
import Testing

@Suite struct EchoEndingTests {
    @Test(arguments: [Frame.close(1000), .close(4321, "bye"), Frame(opcode: 8)])
    func `a Close comes back and the connection ends`(close: Frame) throws {
        let app = try EchoApp()
        let client = try app.open()
        try client.send(Frame.text("last").masked().bytes + close.masked().bytes)
        #expect(try client.readFrame() == Frame.text("last"))
        #expect(try client.readFrame() == close)
        #expect(try client.expectEnd() == .orderly)
    }

    @Test func `what stands behind a Close is not echoed`() throws {
        let app = try EchoApp()
        let client = try app.open()
        try client.send(Frame.close(1000).masked().bytes + Frame.text("late").masked().bytes)
        #expect(try client.readFrame() == Frame.close(1000))
        #expect(try client.expectEnd() == .orderly)
    }

    @Test func `a client that goes without a Close is let go`() throws {
        let app = try EchoApp()
        let client = try app.open()
        try client.stream.halfClose()
        #expect(try client.expectEnd() == .orderly)
    }

    @Test(arguments: [
        ("an unmasked frame", Frame.text("bare").bytes),
        ("a reserved bit", Frame(opcode: 1, reservedBits: 0x40).masked().bytes),
        ("a reserved opcode", Frame(opcode: 3).masked().bytes),
        ("an unfinished Ping", Frame(opcode: 9, isFinal: false).masked().bytes),
        ("a Ping of 126 bytes", Frame(opcode: 9, payload: pattern(126)).masked().bytes),
        ("a continuation of nothing", Frame(opcode: 0).masked().bytes),
        ("a Close of one byte", Frame(opcode: 8, payload: [3]).masked().bytes),
        ("a Close with 1005", Frame.close(1005).masked().bytes),
    ])
    func `a violation is answered with 1002 behind what was right`(
        what: String, wire: [UInt8]
    ) throws {
        let app = try EchoApp()
        let client = try app.open()
        try client.send(Frame.text("right").masked().bytes + wire)
        #expect(try client.readFrame() == Frame.text("right"))
        #expect(try client.readFrame().closeCode == 1002, "\(what)")
        #expect(try client.expectEnd() == .orderly)
    }

    @Test func `a message begun inside another is answered with 1002`() throws {
        let app = try EchoApp()
        let client = try app.open()
        let first = Frame(opcode: 1, payload: [1], isFinal: false)
        try client.send(first.masked().bytes + Frame.text("second").masked().bytes)
        #expect(try client.readFrame() == first)
        #expect(try client.readFrame().closeCode == 1002)
        #expect(try client.expectEnd() == .orderly)
    }

    @Test(arguments: [
        (Opening("/nothing").without("Upgrade"), 404),
        (Opening().with(method: "POST").without("Upgrade"), 405),
        (Opening().with("Sec-WebSocket-Version", "8"), 426),
        (Opening().without("Host"), 400),
        (Opening().without("Sec-WebSocket-Key"), 400),
        (Opening().with("Sec-WebSocket-Key", "short"), 400),
        (Opening().with(method: "POST"), 400),
    ])
    func `a request for something else is refused with a sentence`(
        opening: Opening, status: Int
    ) throws {
        let app = try EchoApp()
        let client = try app.connect()
        let response = try client.refusal(of: opening)
        #expect(response.status == status, "\(response.head)")
        #expect(response.head["Content-Type"]?.hasPrefix("text/plain") == true)
        #expect(response.text.split(separator: " ").count >= 3, "\(response.text)")
        if status == 426 {
            let isTold =
                response.head["Upgrade"] != nil || response.head["Sec-WebSocket-Version"] == "13"
            #expect(isTold, "\(response.head)")
        }
        #expect(try client.expectEnd() == .orderly)
    }

    @Test func `a head that is no HTTP is refused with 400`() throws {
        let app = try EchoApp()
        let client = try app.connect()
        try client.send("hello there\r\n\r\n")
        #expect(try client.readResponse().status == 400)
        #expect(try client.expectEnd() == .orderly)
    }

    @Test func `a unix socket serves as a port does`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let server = try EchoServer.start(listening: ["unix:\(folder)/echo", "127.0.0.1:0"])
        defer { server.stop() }
        for address in [
            PeerAddress.unix("\(folder)/echo"), .tcp(try #require(server.addresses.last).port),
        ] {
            let client = try WebSocketPeer.connect(to: address)
            try client.open()
            try client.send(Frame.text("hello").masked())
            #expect(try client.readFrame() == Frame.text("hello"))
        }
    }

    @Test func `an address that is taken is said with the reason`() throws {
        let app = try EchoApp()
        let taken = try #require(app.server.addresses.first)
        #expect(throws: SystemError.self) { try EchoServer.start(listening: [taken]) }
    }

    @Test func `stopping ends all connections and the listening`() throws {
        let app = try EchoApp()
        let clients = [try app.open(), try app.open()]
        let opening = try app.connect()
        try opening.send("GET /")
        // Answered by the same thread, so the app has accepted all of them.
        try clients[0].send(Frame.ping().masked())
        #expect(try clients[0].readFrame() == Frame.pong())
        app.server.stop()
        for client in clients { #expect(try client.expectEnd() == .orderly) }
        _ = try opening.readUntilEnd()
        #expect(throws: PeerError.self) { try app.connect() }
    }

    @Test func `a server that nobody holds stops`() throws {
        var app: EchoApp? = try EchoApp()
        let client = try #require(try app?.open())
        app = nil
        #expect(try client.expectEnd() == .orderly)
    }
}
