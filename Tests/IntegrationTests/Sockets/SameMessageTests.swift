// SPDX-License-Identifier: Apache-2.0
//
// Goal: whatever lawful message is sent, however it is framed and split, the other side sees the same
// message as without Sluice: line, own fields, body, trailers.
// Method: random messages from a seed, both ends in the test's hand, read by a reader of the test's own.

import TestKit
import Testing

@Suite struct SameMessageTests {
    /// A message without its framing.
    struct Message: Equatable {
        var startLine: String
        var fields: [String]
        var body: [UInt8]
        var trailers: [String]
    }

    enum Framing: CaseIterable { case none, length, chunked, untilClose }

    private static func random(
        _ startLine: String, _ framing: Framing, _ generator: inout SplitMix
    ) -> Message {
        let characters = Array("abcXYZ019 ,;=\"/-_~!\u{E4}")
        func word(_ range: ClosedRange<Int>) -> String {
            let count = Int.random(in: range, using: &generator)
            return String(
                (0..<count).map { _ in characters.randomElement(using: &generator) ?? "a" }
            )
            .trimmingSpaces
        }
        let fields = (0..<Int.random(in: 0...6, using: &generator)).map {
            "X-F\($0 % 3): \(word(0...40))"
        }
        let sizes = [0, 1, 100, 5_000, 20_000, 70_000, 100_000]
        let size = framing == .none ? 0 : sizes.randomElement(using: &generator) ?? 0
        let body = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ size) }
        let trailers =
            framing == .chunked
            ? (0..<Int.random(in: 0...2, using: &generator)).map { "X-T\($0): \(word(0...10))" }
            : []
        return Message(startLine: startLine, fields: fields, body: body, trailers: trailers)
    }

    /// The message on the wire; `extra` fields belong to the hop.
    private static func wire(
        _ message: Message, _ framing: Framing, extra: [String], _ generator: inout SplitMix
    ) -> [UInt8] {
        var lines = [message.startLine] + extra + message.fields
        var body = message.body
        switch framing {
        case .none, .untilClose: break
        case .length: lines.append("Content-Length: \(message.body.count)")
        case .chunked:
            lines.append("Transfer-Encoding: chunked")
            body = []
            var rest = message.body[...]
            while !rest.isEmpty {
                let count = min(rest.count, Int.random(in: 1...40_000, using: &generator))
                let suffix = Bool.random(using: &generator) ? ";a=\"b\"" : ""
                body += Array((String(count, radix: 16) + suffix + "\r\n").utf8)
                body += rest.prefix(count)
                body += [13, 10]
                rest = rest.dropFirst(count)
            }
            body += Array("0\r\n".utf8)
            for trailer in message.trailers { body += Array((trailer + "\r\n").utf8) }
            body += [13, 10]
        }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body
    }

    /// Reads a message and takes its framing and what belongs to the hop away.
    private static func read(_ peer: WebSocketPeer) throws -> Message {
        let head = try peer.readHead()
        var body: [UInt8] = []
        var trailers: [String] = []
        func line() throws -> String {
            var bytes: [UInt8] = []
            while bytes.suffix(2) != [13, 10] { bytes += try peer.read(1) }
            return String(decoding: bytes.dropLast(2), as: UTF8.self)
        }
        if head["Transfer-Encoding"] == "chunked" {
            while let count = Int(try line(), radix: 16), count > 0 {
                body += try peer.read(count)
                #expect(try line() == "")
            }
            while case let trailer = try line(), !trailer.isEmpty { trailers.append(trailer) }
        } else if let length = head["Content-Length"].flatMap({ Int($0) }) {
            body = try peer.read(length)
        }
        let fields = head.fields.filter { $0.name.hasPrefix("X-F") && $0.name.count == 4 }
        return Message(
            startLine: head.startLine, fields: fields.map { "\($0.name): \($0.value)" }, body: body,
            trailers: trailers)
    }

    private static func send(
        _ bytes: [UInt8], to peer: WebSocketPeer, _ generator: inout SplitMix
    ) throws {
        let cuts = (0..<Int.random(in: 0...5, using: &generator))
            .map { _ in Int.random(in: 0...bytes.count, using: &generator) }
        let inHead = Int.random(in: 0...min(bytes.count, 200), using: &generator)
        try peer.send(bytes, splitAt: (cuts + [inHead]).sorted())
    }

    @Test(arguments: [0, 1], 1...4)
    func `both sides see the same messages as without Sluice`(listener: Int, seed: Int) throws {
        var generator = SplitMix(seed: UInt64(seed * 2 + listener))
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: \"\(backend.address)\" }"], listeners: [.tls(), .plain],
            workers: 1)
        let client = try proxy.connect(listener: listener)
        var upstream: WebSocketPeer?
        for round in 0..<40 {
            let framing =
                [Framing.none, .length, .chunked].randomElement(using: &generator) ?? .none
            let method = framing == .none ? "GET" : "POST"
            let request = Self.random("\(method) /p/\(round)?q HTTP/1.1", framing, &generator)
            let bytes = Self.wire(request, framing, extra: ["Host: localhost"], &generator)
            // What the system and the proxy hold takes the whole of it, so one thread is enough.
            try Self.send(bytes, to: client, &generator)
            let peer = try upstream ?? backend.next()
            upstream = peer
            #expect(try Self.read(peer) == request)
            let back = Framing.allCases.dropFirst().randomElement(using: &generator) ?? .length
            let answer = Self.random("HTTP/1.1 200 Fine \(round)", back, &generator)
            let reply = Self.wire(answer, back, extra: [], &generator)
            try Self.send(reply, to: peer, &generator)
            if back == .untilClose { try peer.stream.halfClose() }
            #expect(try Self.read(client) == answer)
            if back == .untilClose {
                _ = try peer.readUntilEnd()
                upstream = nil
            }
        }
    }
}

extension String {
    fileprivate var trimmingSpaces: String {
        var text = self[...]
        while text.first == " " { text.removeFirst() }
        while text.last == " " { text.removeLast() }
        return String(text)
    }
}
