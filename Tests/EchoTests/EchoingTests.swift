// SPDX-License-Identifier: Apache-2.0
//
// Goal: what a client sends comes back exact, however it is cut, and nothing is collected on the way.
// Method: the app over real sockets, with a client that sends the bytes it is told to.

import TestKit
import Testing

@Suite struct EchoingTests {
    @Test(arguments: [0, 1, 125, 126, 127, 65_535, 65_536, 300_000])
    func `a binary message comes back as it was`(count: Int) throws {
        let app = try EchoApp()
        let client = try app.open()
        let message = Frame.binary(pattern(count))
        for key: [UInt8] in [[0, 0, 0, 0], [1, 2, 3, 4], [0xff, 0, 0x80, 0x7f]] {
            try client.send(message.masked(key))
            #expect(try client.readFrame() == message)
        }
    }

    @Test func `a text message comes back as text`() throws {
        let app = try EchoApp()
        let client = try app.open()
        try client.send(Frame.text("grüße, 世界").masked())
        #expect(try client.readFrame() == Frame.text("grüße, 世界"))
    }

    /// The client's own fields are no matter: it tells itself what it hears.
    @Test func `a client that asks is told first what stood in the fields of the proxy in front`()
        throws
    {
        let app = try EchoApp()
        let asked = ("Sec-WebSocket-Protocol", "chat, connection-note.echo.sluice")
        let told = [
            ("X-TLS-Version", "TLSv1.3"), ("X-Other", "1"), ("X-TLS-Group", "X25519"),
            ("X-TLS-ALPN", "one"), ("X-TLS-ALPN", "two"),
        ]
        let client = try app.connect()
        let head = try client.open(
            Opening(extra: told + [asked]), early: Frame.text("early").masked().bytes)
        #expect(head.all("Sec-WebSocket-Protocol") == ["connection-note.echo.sluice"])
        #expect(
            try client.readFrame() == Frame.text("x-tls-version: TLSv1.3\nx-tls-group: X25519\n"))
        #expect(try client.readFrame() == Frame.text("early"))

        let alone = try app.connect()
        try alone.open(Opening(extra: [asked]))
        #expect(try alone.readFrame() == Frame.text(""))

        let other = try app.connect()
        let plain = try other.open(
            Opening(extra: told + [("Sec-WebSocket-Protocol", "chat")]),
            early: Frame.text("echo").masked().bytes)
        #expect(plain.all("Sec-WebSocket-Protocol").isEmpty)
        #expect(try other.readFrame() == Frame.text("echo"))
    }

    @Test func `fragments come back one by one with a Pong in between`() throws {
        let app = try EchoApp()
        let client = try app.open()
        let frames = [
            Frame(opcode: 1, payload: [104, 101], isFinal: false), .ping("now"),
            Frame(opcode: 0, payload: [], isFinal: false),
            Frame(opcode: 0, payload: [121], isFinal: true), .binary([7]),
        ]
        try client.send(frames.flatMap { $0.masked().bytes })
        for frame in frames {
            let expected = frame.opcode == 9 ? Frame.pong("now") : frame
            #expect(try client.readFrame() == expected)
        }
    }

    @Test(arguments: [5, 200, 66_000])
    func `a frame may be cut at every byte of its header`(count: Int) throws {
        let app = try EchoApp()
        let client = try app.open()
        let message = Frame.binary(pattern(count))
        let wire = message.masked([9, 8, 7, 6]).bytes
        let headerBytes = wire.count - count
        for place in 1...headerBytes + 3 {
            // Once the Pong is here, the beginning of the message has been read by itself.
            try client.send(Frame.ping("cut").masked().bytes + wire[..<place])
            #expect(try client.readFrame() == Frame.pong("cut"))
            try client.send(Array(wire[place...]))
            #expect(try client.readFrame() == message)
        }
    }

    @Test func `a conversation sent byte by byte comes back whole`() throws {
        let app = try EchoApp()
        let client = try app.connect()
        let opening = Opening()
        let messages = [Frame.text("one"), .binary(pattern(130)), .text("")]
        let wire = opening.bytes + messages.flatMap { $0.masked().bytes }
        try client.send(wire, splitAt: Array(1..<wire.count))
        #expect(try client.readHead().status == 101)
        for message in messages { #expect(try client.readFrame() == message) }
    }

    @Test func `frames glued to the request are echoed behind the answer`() throws {
        let app = try EchoApp()
        let client = try app.connect()
        try client.open(early: Frame.text("early").masked().bytes)
        #expect(try client.readFrame() == Frame.text("early"))
    }

    @Test func `a Ping is answered and a Pong is not`() throws {
        let app = try EchoApp()
        let client = try app.open()
        try client.send(Frame.pong("unasked").masked().bytes + Frame.ping("asked").masked().bytes)
        #expect(try client.readFrame() == Frame.pong("asked"))
        try client.send(Frame.ping().masked())
        #expect(try client.readFrame() == Frame.pong())
    }

    @Test func `a message streams back long before it is whole`() throws {
        let app = try EchoApp()
        let client = try app.open()
        // One frame of 2⁴⁰ bytes: whoever wanted to collect it would answer nothing.
        let length: [UInt8] = [0, 0, 1, 0, 0, 0, 0, 0]
        try client.send([0x82, 0xff] + length + [1, 2, 3, 4])
        #expect(try client.read(10) == [0x82, 0x7f] + length)
        let piece = [UInt8](repeating: 0, count: 65_536)
        let unmasked = (0..<65_536).map { UInt8($0 % 4 + 1) }
        for _ in 0..<128 {
            try client.send(piece)
            #expect(try client.read(piece.count) == unmasked)
        }
    }

    @Test func `a client that does not read stops being read and loses nothing`() throws {
        let app = try EchoApp()
        let client = try app.open(receiveBufferBytes: 65_536)
        client.stream.stopsReading = true
        let message = Frame.binary(pattern(65_000))
        let wire = message.masked().bytes
        var count = 0
        while count < 2_000, try client.stream.offer(wire, patience: .milliseconds(500)) {
            count += 1
        }
        #expect(count < 2_000, "128 MiB were taken")
        for _ in 0..<count { #expect(try client.readFrame() == message) }
    }

    @Test func `one client's silence does not hold up another`() throws {
        let app = try EchoApp()
        let half = try app.open()
        try half.send([0x81])
        let waiting = try app.connect()
        try waiting.send("GET / HT")
        let client = try app.open()
        try client.send(Frame.text("here").masked())
        #expect(try client.readFrame() == Frame.text("here"))
    }
}
