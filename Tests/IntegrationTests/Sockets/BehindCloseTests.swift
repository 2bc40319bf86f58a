// SPDX-License-Identifier: Apache-2.0
//
// Goal: who has sent its Close may still answer what was on its way, and gets all that the other
// says before its own Close; the access line tells whose Close it was (RFC 6455 §1.4, §5.5.1,
// §5.5.2).
// Method: Python's websockets, which answers a Ping behind its Close, on either side; and a thousand
// of it behind a line of 200 ms, closing around the time of a Ping of Sluice's own.

import TestKit
import Testing

@Suite struct BehindCloseTests {
    @Test func `a foreign client that has closed answers a Ping and gets the last message`() throws
    {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(to: backend.address)
        let authority = try TestCertificates.shared().authority
        let client = try PythonPeer.start("closing_client.py", [proxy.url(), authority])
        let upstream = try backend.next(by: .after(.seconds(60)))
        try upstream.accept()
        _ = try client.waitForLine(containing: "closing")
        try upstream.send(Frame(opcode: 9, payload: [1]))
        // Its Pong is there before the message.
        _ = try client.waitForLine(containing: "ping")
        try upstream.send(Frame.text("last message"))
        try upstream.send(Frame.close(4001, "done"))
        #expect(try upstream.readFrame().closeCode == 1000)
        try upstream.stream.halfClose()
        #expect(try upstream.expectEnd() == .orderly, "the Pong does not pass")
        #expect(try client.waitForExit() == 0, "\(client.errors)")
        #expect(client.output == ["closing", "ping", "text last message", "close 4001 done"])
        let line = try proxy.process.waitForLine(containing: "reason=close")
        #expect(line.contains { $0.contains("close=1000") && $0.contains("by=client") }, "\(line)")
    }

    @Test func `a foreign server that has closed answers a Ping and gets the last message`() throws
    {
        let server = try PythonPeer.start("closing_server.py")
        let announced = try server.waitForLine(containing: "port ", by: .after(.seconds(60)))
        let port = try #require(UInt16(announced[0].dropFirst(5)))
        let proxy = try ProxyFixture(to: .tcp(port))
        let client = try proxy.open()
        #expect(try client.readFrame().closeCode == 4000)
        try client.send(Frame(opcode: 9, payload: [1]).masked())
        _ = try server.waitForLine(containing: "ping")
        try client.send(Frame.text("last message").masked())
        try client.send(Frame.close(4000).masked())
        #expect(try client.expectEnd() == .orderly, "the Pong does not pass")
        #expect(try server.waitForExit() == 0, "\(server.errors)")
        #expect(Array(server.output.dropFirst()) == ["ping", "text last message", "close 4000 "])
        let line = try proxy.process.waitForLine(containing: "reason=close")
        #expect(
            line.contains { $0.contains("close=4000") && $0.contains("by=upstream") }, "\(line)")
    }

    @Test func `of a thousand closes around a Ping of ours none costs a message`() throws {
        let server = try PythonPeer.start("last_words_server.py")
        let announced = try server.waitForLine(containing: "port ", by: .after(.seconds(60)))
        let port = try #require(UInt16(announced[0].dropFirst(5)))
        let proxy = try ProxyFixture(
            to: .tcp(port), options: "ping: { every: 1s, to: client }", listeners: [.plain])
        let said = try PythonPeer.run("closing_swarm.py", ["\(proxy.port())", "1000"])
        // How many were asked in the moment that matters depends on the machine, but some were.
        let counts = try #require(said.last?.split(separator: " ").compactMap { Int($0) })
        try #require(counts.count == 3, "\(said)")
        #expect(counts[0] == 1_000, "closed")
        #expect(counts[1] == 1_000, "got the last message and the upstream's Close")
        #expect(counts[2] > 0, "were asked behind their Close")
        let lines = try proxy.process.waitForLines("1,000 access lines", count: 1_000) {
            $0.contains("reason=close") && $0.contains("close=1000") && $0.contains("by=client")
        }
        #expect(lines.count >= 1_000)
    }

    @Test(arguments: [true, false])
    func `an unmasked Pong that only our Ping provoked is said to be that`(isOurs: Bool) throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            to: backend.address, options: "ping: { every: 200ms, timeout: 10s }")
        let ends = try proxy.relay(to: backend)
        let ping = try ends.client.readFrame()
        #expect(ping.opcode == 9)
        // A client's frames must be masked (RFC 6455 §5.1).
        try ends.client.send(Frame(opcode: 10, payload: isOurs ? ping.payload : [1, 2]))
        #expect(try ends.client.readFrame().closeCode == 1002)
        #expect(try ends.upstream.readFrame().closeCode == 1001)
        try ends.upstream.send(Frame.close(1001))
        let line = try proxy.process.waitForLine(containing: "reason=violation")
        let detail = "detail=\"A frame from the client is not masked."
        let more = " It is the Pong to a Ping of Sluice's own"
        #expect(line.contains { $0.contains(detail) }, "\(line)")
        #expect(line.contains { $0.contains(detail + more) } == isOurs, "\(line)")
    }
}
