// SPDX-License-Identifier: Apache-2.0
//
// Goal: an operator sees the frames of live sockets as they are, and nobody else does; a tap changes nothing.
// Method: the program's own command and curl, foreign clients and servers with and without compression, over both
// versions of HTTP, messages known byte for byte.

import Foundation
import Glibc
import Tap
import TestKit
import Testing

/// A `sluice tap` that runs.
struct Tapping {
    let process: ChildProcess

    init(_ sluice: Operated, _ arguments: [String] = []) throws {
        process = try ChildProcess(
            [try ProxyFixture.program(), "tap", "--admin", sluice.socket] + arguments)
    }

    /// Ends it as Ctrl-C does; its exit status.
    func stop() throws -> Int32 {
        process.signal(SIGINT)
        return try process.waitForExit()
    }

    var records: [TapRecord] {
        process.output.compactMap { TapRecord(line: Data($0.utf8)) }
    }

    /// Waits until it listens.
    func begun() throws -> Tapping {
        try process.waitForLine(containing: "\"type\":\"tap\"")
        return self
    }
}

extension Operated {
    /// A Sluice with one route, `/Esv/ocp`, whose `admin.tap` is that.
    static func tapped(
        _ backend: PeerAddress, _ level: String = "payloads", options: String = "",
        listeners: [ProxyListener] = [.tls()], settings: [String] = []
    ) throws -> Operated {
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend)\"\(options) }"], listeners: listeners,
            settings: settings)
        try sluice.rewrite("/admin.sock }", "/admin.sock, tap: \(level) }")
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 0, "\(reload.output)")
        return sluice
    }
}

@Suite struct TapTests {
    private static let messages: [Data] = [
        Data("hello".utf8), Data("hello".utf8), Data(), Data("grüß dich\n\u{1b}[31m".utf8),
        Data((0...255).map { UInt8($0) }), Data(repeating: 0x61, count: 126),
        Data((0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }),
        Data("hello".utf8), Data(String(repeating: "ü", count: 40_000).utf8),
    ]

    private static func isText(_ data: Data) -> Bool { String(data: data, encoding: .utf8) != nil }

    /// A message of several frames, put together: what a record says was sent in one direction.
    private static func messages(
        _ records: [TapRecord], _ direction: String
    ) -> [(isText: Bool, data: Data)] {
        var messages: [(isText: Bool, data: Data)] = []
        var open: (isText: Bool, data: Data)?
        for record in records where record.type == .frame && record.direction == direction {
            let data = record.text.map { Data($0.utf8) } ?? record.payloadData
            switch record.opcode {
            case "text", "binary": open = (record.opcode == "text", data)
            case "continuation": open?.data.append(data)
            default: continue
            }
            if record.final == true, let whole = open {
                messages.append(whole)
                open = nil
            }
        }
        return messages
    }

    @Test(arguments: ["h1", "h2"], ["none", "deflate"])
    func `messages are recorded byte for byte`(way: String, extension: String) throws {
        let app = try PythonPeer.start("tap_server.py", [`extension`])
        let line = try app.waitForLine(containing: "port ").first
        let port = try #require(line?.split(separator: " ").last.flatMap { UInt16($0) })
        let sluice = try Operated.tapped(.tcp(port), listeners: [.http2()])
        defer { Scratch.remove(sluice.folder) }
        let file = "\(sluice.folder)/messages.json"
        let list = Self.messages.map {
            Self.isText($0)
                ? ["text": String(decoding: $0, as: UTF8.self)]
                : ["base64": $0.base64EncodedString()]
        }
        try Scratch.write(
            String(decoding: try JSONEncoder().encode(list), as: UTF8.self), to: file)
        let tap = try Tapping(sluice, ["--record", "-"]).begun()
        let authority = try TestCertificates.shared().authority
        try PythonPeer.run(
            "tap_client.py",
            ["\(sluice.proxy.port())", authority, way, `extension`, file])
        try tap.process.waitForLine(containing: "\"type\":\"closed\"")
        #expect(try tap.stop() == 0)
        let records = tap.records
        let expected = Self.messages + [Data("in three frames".utf8)]
        for direction in ["up", "down"] {
            let found = Self.messages(records, direction)
            #expect(found.map(\.data) == expected, "\(direction)")
            #expect(found.map(\.isText) == expected.map(Self.isText))
        }
        let frames = records.filter { $0.type == .frame }
        #expect(frames.allSatisfy { $0.notInflated == nil && $0.truncated == nil })
        #expect(frames.contains { $0.compressed == true } == (`extension` == "deflate"))
        let close = try #require(frames.first { $0.opcode == "close" })
        #expect(close.direction == "up" && close.code == 1000 && close.text == "bye")
        #expect(frames.filter { $0.direction == "up" }.allSatisfy { $0.masked == true })
        #expect(frames.filter { $0.direction == "down" }.allSatisfy { $0.masked == false })
        #expect(frames.map(\.atMicroseconds) == frames.map(\.atMicroseconds).sorted())
        let relay = try #require(records.first { $0.type == .relay })
        #expect(relay.live == false && relay.path == "/Esv/ocp" && relay.scheme == "wss")
        #expect(relay.protocol == (way == "h2" ? "h2" : "http/1.1"))
        #expect(
            relay.extensions?.hasPrefix("permessage-deflate")
                == (`extension` == "deflate" ? true : nil))
        #expect(relay.subprotocol == (way == "h1" ? "chat" : nil))
        let closed = try #require(records.last { $0.type == .closed })
        #expect(closed.code == 1000 && closed.initiator == "client" && closed.reason == "close")
        #expect(closed.upMessages == UInt64(expected.count))
        #expect(!tap.process.output.joined().contains("secret"))
    }

    @Test func `a tap that begins amid a compressed socket says what it can't inflate`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let deflate = [(name: "Sec-WebSocket-Extensions", value: "permessage-deflate")]
        let ends = try sluice.proxy.relay(to: backend, Opening(extra: deflate), extra: deflate)
        // RFC 7692 §7.2.3.2: "Hello", and "Hello" by reference to the first.
        let first = Frame(
            opcode: 1, payload: [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], reservedBits: 0x40)
        let second = Frame(
            opcode: 1, payload: [0xF2, 0x00, 0x11, 0x00, 0x00], reservedBits: 0x40)
        try ends.upstream.send(first)
        _ = try ends.client.readFrame()
        let tap = try Tapping(sluice)
        try tap.process.waitForLine(containing: "live  wss://localhost/Esv/ocp")
        for frame in [second, first, second] {
            try ends.upstream.send(frame)
            _ = try ends.client.readFrame()
        }
        let lines = try tap.process.waitForLines("three frames", count: 3) {
            $0.contains("upstream > client")
        }
        #expect(
            lines[0].hasSuffix(
                "text  5 B  compressed  f2 00 11 00 00  (not inflated: it refers to messages from before"
                    + " this tap began)"), "\(lines)")
        #expect(lines[1].hasSuffix("text  7 B  inflated to 5 B  Hello"), "\(lines)")
        #expect(lines[2].hasSuffix("text  5 B  inflated to 5 B  Hello"), "\(lines)")
        #expect(try tap.stop() == 0)
    }

    @Test func `a tap on one relay ends with it, and others are not in it`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let listed = try sluice.command(["status", "--relays"]).output
        let id = try #require(listed.firstMatch(of: /\d+-\d+-\d+/)?.output).description
        let other = try sluice.proxy.relay(to: backend)
        let tap = try Tapping(sluice, ["--relay", id])
        try tap.process.waitForLine(containing: "\(id)  live")
        try other.exchange("of another")
        try ends.exchange("of this one")
        try ends.client.send(Frame.close(4000, "done").masked())
        _ = try ends.upstream.readFrame()
        try ends.upstream.send(Frame.close(4000))
        #expect(try tap.process.waitForExit() == 0)
        let lines = tap.process.output
        #expect(lines.contains { $0.hasSuffix("client > upstream  text  11 B  of this one") })
        #expect(lines.contains { $0.hasSuffix("close  6 B  4000  done") }, "\(lines)")
        #expect(lines.contains { $0.contains("closed  by client: close 4000") })
        #expect(lines.last?.hasSuffix("The relay has ended.") == true)
        #expect(!lines.contains { $0.contains("of another") })
        let again = try sluice.command(["tap", "--relay", id])
        #expect(again.status == 1)
        #expect(again.output.contains("There is no relay \(id): it has ended"), "\(again.output)")
    }

    @Test func `what is asked for decides what is told`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(
            backend.address, options: ", ping: { every: 200ms, timeout: 10s, to: client }")
        defer { Scratch.remove(sluice.folder) }
        let texts = try Tapping(sluice, ["--opcode", "text", "--max-bytes", "3"])
        let upstream = try Tapping(sluice, ["--side", "upstream", "--record", "-"]).begun()
        let client = try Tapping(sluice, ["--side", "client", "--record", "-"]).begun()
        let elsewhere = try Tapping(sluice, ["--client", "192.0.2.1", "--record", "-"]).begun()
        let fifth = try sluice.command(["tap"])
        #expect(fifth.status == 1)
        #expect(fifth.output.contains("There are 4 taps already"), "\(fifth.output)")
        let ends = try sluice.proxy.relay(to: backend)
        let ping = try ends.client.readFrame()
        #expect(ping.opcode == 9)
        try ends.client.send(Frame(opcode: 10, payload: ping.payload).masked())
        try client.process.waitForLines("the answer to the Ping") {
            $0.contains("\"opcode\":\"pong\"")
        }
        try ends.client.send(Frame.text("hello").masked())
        #expect(try ends.upstream.readFrame().text == "hello")
        let line = try texts.process.waitForLine(containing: "client > upstream").first
        #expect(line?.hasSuffix("text  5 B  hel …") == true, "\(line ?? "")")
        try upstream.process.waitForLine(containing: "\"text\":\"hello\"")
        try client.process.waitForLine(containing: "\"text\":\"hello\"")
        #expect(upstream.records.allSatisfy { $0.from != "sluice" && $0.to != "sluice" })
        let own = try #require(client.records.first { $0.from == "sluice" })
        #expect(own.to == "client" && own.opcode == "ping" && own.bytes == 8)
        let pong = try #require(client.records.first { $0.to == "sluice" })
        #expect(pong.from == "client" && pong.payload == own.payload)
        #expect(!texts.process.output.contains { $0.contains("ping") })
        for tap in [texts, upstream, client, elsewhere] { #expect(try tap.stop() == 0) }
        #expect(elsewhere.records.allSatisfy { $0.type != .relay && $0.type != .frame })
    }

    @Test func `a tap that reads nothing loses frames with a count, and delays none`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let tap = try Tapping(sluice, ["--record", "-"]).begun()
        tap.process.signal(SIGSTOP)
        let message = Frame.text(String(repeating: "x", count: 60_000))
        let count = 400
        for _ in 0..<count {
            try ends.client.send(message.masked())
            #expect(try ends.upstream.readFrame().payload.count == 60_000)
        }
        tap.process.signal(SIGCONT)
        // As long as there is no room, these are lost as well.
        var exchanges = 0
        try eventually("what comes later is told") {
            exchanges += 1
            try ends.exchange("number \(exchanges)")
            return tap.process.output.contains { $0.contains("\"text\":\"number ") }
        }
        // There is room now, so the last one is told, however late it comes.
        exchanges += 1
        try ends.exchange("the last")
        try eventually("the last is told, from both ends") {
            tap.process.output.count { $0.contains("\"text\":\"the last\"") } == 2
        }
        #expect(try tap.stop() == 0)
        let records = tap.records
        let told = records.filter { $0.type == .frame }.count
        let lost = records.filter { $0.type == .lost }.reduce(0) { $0 + Int($1.frames ?? 0) }
        #expect(lost > 0)
        #expect(told + lost == count + 2 * exchanges, "told \(told), lost \(lost)")
        #expect(tap.process.errors.contains { $0.contains("and \(lost) lost") })
    }

    @Test func `headers alone are told by default, and the record says so`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let tap = try Tapping(sluice, ["--record", "-"]).begun()
        let ends = try sluice.proxy.relay(to: backend)
        try ends.exchange("a secret")
        try ends.client.send(Frame.close(4001, "a secret").masked())
        try tap.process.waitForLine(containing: "\"opcode\":\"close\"")
        #expect(try tap.stop() == 0)
        #expect(tap.records.first?.payloads == false)
        #expect(tap.records.first?.redacted == ["query", "fields"])
        let frames = tap.records.filter { $0.type == .frame }
        #expect(frames.map(\.bytes) == [8, 8, 10])
        #expect(frames.last?.code == 4001)
        #expect(!tap.process.output.joined().contains("secret"))
        #expect(tap.process.errors.contains { $0.contains("admin.tap is headers") })
    }

    @Test func `a reload ends what it does not allow any more, and nothing else`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let payloads = try Tapping(sluice, ["--record", "-"]).begun()
        let headers = try Tapping(sluice, ["--record", "-", "--max-bytes", "0"]).begun()
        try sluice.rewrite("tap: payloads", "tap: headers")
        let first = try sluice.command(["reload"])
        #expect(first.status == 0 && first.output.contains("admin.tap"), "\(first.output)")
        #expect(try payloads.process.waitForExit() == 0)
        #expect(payloads.records.last?.reason == "A reload has set admin.tap to headers.")
        try ends.exchange("still")
        try headers.process.waitForLine(containing: "\"opcode\":\"text\"", count: 2)
        try sluice.rewrite("tap: headers", "tap: off")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try headers.process.waitForExit() == 0)
        let refused = try sluice.command(["tap"])
        #expect(refused.status == 1)
        #expect(refused.output.contains("admin.tap is off"), "\(refused.output)")
        try ends.exchange("and still")
    }

    @Test func `a tap learns that Sluice stops, with the last that it says to the peers`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let tap = try Tapping(sluice, ["--record", "-"]).begun()
        sluice.proxy.process.signal(SIGTERM)
        for (peer, frame) in [
            (ends.client, Frame.close(1001).masked()), (ends.upstream, Frame.close(1001)),
        ] {
            #expect(try peer.readFrame().closeCode == 1001)
            try peer.send(frame)
        }
        #expect(try sluice.proxy.process.waitForExit() == 0)
        #expect(try tap.process.waitForExit() == 0)
        let records = tap.records
        let closes = records.filter { $0.opcode == "close" }
        #expect(closes.filter { $0.from == "sluice" }.count == 2)
        #expect(closes.filter { $0.to == "sluice" }.count == 2)
        #expect(records.contains { $0.type == .closed && $0.reason == "drain" })
        #expect(records.last?.type == .end && records.last?.reason == "Sluice has stopped.")
    }

    @Test func `only the admin socket tells of frames, and to those alone who may know`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(backend.address)
        defer { Scratch.remove(sluice.folder) }
        #expect(try sluice.ask("/tap", ["-I"]).output.contains("200 OK"))
        for (target, sentence) in [
            ("/tap?side=middle", "side is client or upstream: found middle."),
            ("/tap?opcode=text,nothing", "found nothing."), ("/tap?opcode=", "opcode is a text"),
            ("/tap?relay=x", "relay is the id of a relay"), ("/tap?route=/no", "There is no route"),
            ("/tap?client=me", "A client is an address"),
            ("/tap?maxBytes=x", "maxBytes is a whole"),
            ("/tap?what=1", "has no parameter \"what\""),
        ] {
            let answer = try sluice.ask(target)
            #expect(answer.output.contains(sentence), "\(target): \(answer.output)")
        }
        // Another user that may open the socket is told nothing (root can become one).
        guard getuid() == 0 else { return }
        chmod(sluice.folder, 0o755)
        chmod(sluice.socket, 0o666)
        let other = try ended([
            "setpriv", "--reuid=65534", "--clear-groups", "curl", "-s", "--max-time", "20",
            "--unix-socket", sluice.socket, "http://localhost/tap",
        ])
        #expect(other.output.contains("to the user alone that Sluice runs as"), "\(other.output)")
    }

    @Test func `the loopback address tells of no frames`() throws {
        let backend = try ManualBackend()
        let port = try HeldPort()
        let proxy = try ProxyFixture(
            to: backend.address,
            settings: ["admin: { address: \"127.0.0.1:\(port.number)\", tap: payloads }"])
        let answer = try ended([
            "curl", "-s", "--max-time", "20", "http://127.0.0.1:\(port.number)/tap",
        ])
        #expect(answer.output.contains("Frames are told at the admin socket"), "\(answer.output)")
        withExtendedLifetime((proxy, port)) {}
    }

    @Test func `files are their owner's alone, and the archive has whole messages`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated.tapped(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let (record, har) = ("\(sluice.folder)/r.jsonl", "\(sluice.folder)/s.har")
        try Scratch.write("of before", to: record)
        let tap = try Tapping(sluice, ["--record", record, "--har", har])
        try tap.process.waitForLine(containing: "Listening.")
        let ends = try sluice.proxy.relay(to: backend)
        try ends.exchange("both ways")
        try eventually("it is recorded") {
            try Scratch.read(record).split(separator: "\n").count >= 4
        }
        #expect(try tap.stop() == 0)
        for path in [record, har] {
            var facts = stat()
            #expect(stat(path, &facts) == 0 && facts.st_mode & 0o777 == 0o600)
        }
        let archive = try JSONSerialization.jsonObject(with: Data(try Scratch.read(har).utf8))
        let log = try #require((archive as? [String: Any])?["log"] as? [String: Any])
        let entry = try #require((log["entries"] as? [[String: Any]])?.first)
        let messages = try #require(entry["_webSocketMessages"] as? [[String: Any]])
        #expect(messages.map { $0["type"] as? String } == ["send", "receive"])
        #expect(messages.allSatisfy { $0["data"] as? String == "both ways" })
        let nowhere = try sluice.command(["tap", "--record", "/proc/no/file"])
        #expect(nowhere.status == 1 && nowhere.output.contains("/proc/no/file"))
    }

    @Test func `quick mode is tapped like any other`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            arguments: [
                "\(backend.address.port)", "--no-check", "--listen", "127.0.0.1:0", "--tap",
                "payloads",
            ])
        let socket = "\(proxy.folder)/sluice-\(geteuid())/sluice.sock"
        let tap = try ChildProcess(
            [try ProxyFixture.program(), "tap", "--record", "-"],
            environment: ["TMPDIR": proxy.folder])
        try tap.waitForLine(containing: "\"type\":\"tap\"")
        #expect(FileManager.default.fileExists(atPath: socket))
        tap.signal(SIGINT)
        #expect(try tap.waitForExit() == 0)
        let record = try #require(tap.output.first.flatMap { TapRecord(line: Data($0.utf8)) })
        #expect(record.payloads == true)
    }
}
