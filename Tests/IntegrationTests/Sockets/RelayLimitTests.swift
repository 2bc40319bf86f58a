// SPDX-License-Identifier: Apache-2.0
//
// Goal: who sends too many messages, or one in too many fragments, is told 1008 and why, at a frame
// border; the upstream is told that its peer is gone, and got nothing beyond the limit.
// Method: both ends in the test's hand, and a foreign client that compresses.

import TestKit
import Testing

@Suite struct RelayLimitTests {
    private func started(_ backend: ManualBackend, _ limits: String) throws -> ProxyFixture {
        try ProxyFixture(to: backend.address, options: "limits: { \(limits) }")
    }

    private func opened(_ limits: String) throws -> RelayEnds {
        let backend = try ManualBackend()
        return try started(backend, limits).relay(to: backend)
    }

    /// Frames up to and with a Close.
    private func frames(_ peer: WebSocketPeer) throws -> [Frame] {
        var frames: [Frame] = []
        while frames.last?.closeCode == nil { frames.append(try peer.readFrame()) }
        return frames
    }

    @Test func `a rate exceeded while fragments are under way ends the relay between two of them`()
        throws
    {
        let backend = try ManualBackend()
        let proxy = try started(backend, "messagesPerSecond: 3")
        let ends = try proxy.relay(to: backend)
        let begin = Frame(opcode: 1, payload: [97], isFinal: false)
        let middle = Frame(opcode: 0, payload: [98], isFinal: false)
        // At once, so that no time passes in which more would be allowed.
        let flood =
            [begin, .ping("1"), middle, .ping("2"), middle]
            + [Frame](
                repeating: .ping("3"), count: 200)
        try ends.client.send(flood.flatMap { $0.masked().bytes })
        let told = try ends.client.readFrame()
        #expect(told.closeCode == 1008 && told.closeReason == "too many messages")
        let got = try frames(ends.upstream)
        #expect(got.prefix(5).map(\.opcode) == [1, 9, 0, 9, 0])
        #expect(got.last?.closeCode == 1001)
        #expect(got.count < 100)
        try ends.upstream.send(Frame.close(1001))
        try ends.client.stream.halfClose()
        try proxy.process.waitForLine(containing: "More messages come")
    }

    @Test func `a limit hit inside the upstream's frame waits for its border`() throws {
        let ends = try opened("messagesPerSecond: 1")
        let frame = Frame.binary([UInt8](repeating: 7, count: 70_000))
        try ends.upstream.send(Array(frame.bytes.prefix(30_000)))
        #expect(try ends.client.read(30_000) == Array(frame.bytes.prefix(30_000)))
        let flood = [Frame](repeating: .text("x"), count: 200).flatMap { $0.masked().bytes }
        try ends.client.send(flood)
        #expect(try frames(ends.upstream).last?.closeCode == 1001)
        #expect(try ends.client.stream.hasInput(by: .after(.milliseconds(50))) == false)
        try ends.upstream.send(Array(frame.bytes.dropFirst(30_000)))
        #expect(
            try ends.client.read(frame.bytes.count - 30_000).count == frame.bytes.count - 30_000)
        #expect(try ends.client.readFrame().closeCode == 1008)
    }

    @Test(arguments: [true, false])
    func `a message in too many fragments is not passed on to its end`(byClient: Bool) throws {
        let deflate = (name: "Sec-WebSocket-Extensions", value: "permessage-deflate")
        let backend = try ManualBackend()
        let ends = try started(backend, "fragments: 3")
            .relay(to: backend, Opening(extra: [deflate]), extra: [deflate])
        let (from, to) = byClient ? (ends.client, ends.upstream) : (ends.upstream, ends.client)
        func send(_ frame: Frame) throws { try from.send(byClient ? frame.masked() : frame) }
        // Compressed as a whole: RSV1 stands on the first fragment alone (RFC 7692 §6.1).
        for _ in 0..<2 {
            try send(Frame(opcode: 2, payload: [1, 2], isFinal: false, reservedBits: 0x40))
            try send(.ping())
            try send(Frame(opcode: 0, payload: [3], isFinal: false))
            try send(Frame(opcode: 0, payload: [4]))
        }
        try send(Frame(opcode: 1, payload: [1, 2], isFinal: false, reservedBits: 0x40))
        for _ in 0..<4 { try send(Frame(opcode: 0, payload: [5], isFinal: false)) }
        let told = try from.readFrame()
        #expect(told.closeCode == 1008 && told.closeReason == "a message in too many fragments")
        let got = try frames(to)
        #expect(got.map(\.opcode) == [2, 9, 0, 0, 2, 9, 0, 0, 1, 0, 0, 8])
        #expect(got.last?.closeCode == (byClient ? 1001 : 1014))
    }

    @Test func `a foreign client that compresses is stopped with code and reason`() throws {
        let server = try PythonPeer.start("deflate_server.py")
        let line = try server.waitForLine(containing: "port ", by: .after(.seconds(60)))
        let port = try #require(UInt16(line[0].dropFirst(5)))
        let proxy = try ProxyFixture(
            to: .tcp(port), options: "limits: { messagesPerSecond: 20 }")
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run("flood_client.py", [proxy.url(), authority, "100000"])
        #expect(said.first == "1008 too many messages")
        let echoed = try #require(said.last.flatMap { Int($0) })
        #expect(echoed < 100_000, "\(echoed)")
    }

    @Test func `within its limits a relay is left alone`() throws {
        let ends = try opened("messagesPerSecond: 1000000, fragments: 1000, messageBytes: 1MiB")
        for round in 0..<200 {
            try ends.client.send(Frame.text("up \(round)").masked())
            #expect(try ends.upstream.readFrame().text == "up \(round)")
            try ends.upstream.send(Frame.text("down \(round)"))
            #expect(try ends.client.readFrame().text == "down \(round)")
        }
    }
}
