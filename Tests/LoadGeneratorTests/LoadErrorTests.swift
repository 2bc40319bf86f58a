// SPDX-License-Identifier: Apache-2.0
//
// Goal: a server that does wrong is not measured as if it did right.
// Method: servers scripted to fail in one way each; the report's first error names it.

import LoadGenerator
import Reactor
import TestKit
import Testing

@Suite struct LoadErrorTests {
    /// Runs one echo connection against a server and returns its report.
    ///
    /// The address is given beside the URL, so that nothing connects before the load does.
    private func report(of backend: ScriptedBackend) throws -> LoadReport {
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .echo)
        try plan.target.connect(to: "127.0.0.1:\(backend.address.port)")
        plan.openingSeconds = 0.3
        return try LoadGenerator.run(plan)
    }

    private func expectError(
        _ words: String, of backend: ScriptedBackend,
        _ sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let report = try report(of: backend)
        #expect(report.errors == 1, sourceLocation: sourceLocation)
        #expect(report.messages == 0, sourceLocation: sourceLocation)
        #expect(
            report.firstError?.contains(words) == true, "\(report.firstError ?? "none")",
            sourceLocation: sourceLocation)
    }

    /// A server that upgrades, reads one message, and answers it with these bytes.
    private func answering(
        _ answer: @escaping @Sendable (Frame) -> [UInt8]
    ) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            try peer.accept()
            let frame = try peer.readFrame()
            try peer.send(answer(frame))
            _ = try peer.readUntilEnd()
        }
    }

    @Test func `an ordinary answer is an error that names it`() throws {
        let answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        try expectError("404 Not Found", of: try .answering(answer))
    }

    @Test func `a wrong accept value is an error`() throws {
        let answer = WebSocketPeer.switching(key: "AAAAAAAAAAAAAAAAAAAAAA==")
        try expectError(
            "Sec-WebSocket-Accept", of: try .answering(String(decoding: answer, as: UTF8.self)))
    }

    @Test func `an answer that is no HTTP is an error`() throws {
        try expectError("the answer's head", of: try .answering("hello\r\n\r\n"))
    }

    @Test func `an upgrade without an answer is an error after its time`() throws {
        try expectError("not answered in time", of: try .silent())
    }

    @Test func `a connection cut before the answer is an error`() throws {
        try expectError(
            "without a Close", of: try ScriptedBackend { peer in _ = try peer.readHead() })
    }

    @Test func `a Close out of turn is an error with its code`() throws {
        try expectError("1001", of: try answering { _ in Frame.close(1001).bytes })
    }

    @Test func `an altered message is an error`() throws {
        let backend = try answering { frame in
            var answer = frame
            answer.maskKey = nil
            answer.payload[frame.payload.count - 1] ^= 1
            return answer.bytes
        }
        try expectError("altered", of: backend)
    }

    @Test func `a shortened message is an error`() throws {
        let backend = try answering { frame in
            Frame(opcode: frame.opcode, payload: Array(frame.payload.dropLast())).bytes
        }
        try expectError("127 of 128 bytes", of: backend)
    }

    @Test func `a lengthened message is an error`() throws {
        let backend = try answering { frame in
            Frame(opcode: frame.opcode, payload: frame.payload + [0]).bytes
        }
        try expectError("no echo", of: backend)
    }

    @Test func `a message of the other kind is an error`() throws {
        try expectError(
            "a binary message came back as a text one",
            of: try answering { frame in Frame(opcode: 1, payload: frame.payload).bytes })
        try expectError(
            "a frame of an unknown kind",
            of: try answering { frame in Frame(opcode: 3, payload: frame.payload).bytes })
    }

    @Test func `a compressed message of the other kind is an error`() throws {
        let fields = "permessage-deflate; client_no_context_takeover; server_no_context_takeover"
        let backend = try ScriptedBackend { peer in
            try peer.accept(extra: [(name: "Sec-WebSocket-Extensions", value: fields)])
            let frame = try peer.readFrame()
            try peer.send(Frame(opcode: 1, payload: frame.payload, reservedBits: 0x40))
            _ = try peer.readUntilEnd()
        }
        defer { backend.stop() }
        var plan = try plan(backend.address.port, .echo)
        plan.dialing.offersDeflate = true
        plan.message.isCompressible = true
        let report = try LoadGenerator.run(plan)
        #expect(
            report.firstError?.contains("a binary message came back as a text one") == true,
            "\(report.firstError ?? "none")")
    }

    @Test func `a message twice is an error`() throws {
        let backend = try answering { frame in
            var answer = frame
            answer.maskKey = nil
            return answer.bytes + answer.bytes
        }
        let report = try report(of: backend)
        #expect(report.errors == 1, "\(report)")
        #expect(report.messages == 1)
    }

    @Test func `a masked answer is an error`() throws {
        try expectError("masked", of: try answering { $0.masked().bytes })
    }

    @Test func `a Ping is answered and no error`() throws {
        let asked = Gate("the Pong")
        let asking = try ScriptedBackend { peer in
            try peer.accept()
            var frame = try peer.readFrame()
            try peer.send(Frame.ping("still there?"))
            let pong = try peer.readFrame()
            if pong.opcode == 10, pong.text == "still there?" { asked.open() }
            frame.maskKey = nil
            try peer.send(frame)
            try peer.echo()
        }
        let report = try report(of: asking)
        try asked.wait()
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.messages == 20)
    }

    @Test func `a Ping in pieces is an error`() throws {
        let backend = try answering { _ in
            Frame(opcode: 9, payload: [0x61], isFinal: false).bytes
        }
        try expectError("a control frame came that is not whole", of: backend)
    }

    @Test func `where nobody listens the load does not begin`() throws {
        let port = try PeerAddress.refusing().port
        let fault = #expect(throws: LoadFault.self) {
            try LoadGenerator.run(try plan(port, .echo))
        }
        #expect(fault?.sentence.contains("127.0.0.1:\(port)") == true, "\(fault?.sentence ?? "")")
    }

    @Test(arguments: [LoadPlan.Mode.echo, .connect(resumes: false)])
    func `connects that are refused are counted and end the run`(mode: LoadPlan.Mode) throws {
        let port = try PeerAddress.refusing().port
        var plan = try plan(port, mode, connections: 3)
        try plan.target.connect(to: "127.0.0.1:\(port)")
        let report = try LoadGenerator.run(plan)
        #expect(report.errors >= 3)
        #expect(report.messages == 0)
        #expect(report.handshakes == 0)
        #expect(report.firstError?.contains("127.0.0.1:\(port)") == true)
    }

    @Test func `a plan that makes no sense is refused with a sentence`() throws {
        let good = try plan(1, .echo)
        var plans = [good, good, good, good, good, good, good, good, good]
        plans[0].connections = 0
        plans[1].messageBytes = -1
        plans[2].warmupSeconds = -1
        plans[3].end = .seconds(0)
        plans[4].end = .standardInputCloses
        plans[5].mode = .rate(messagesPerSecond: 0)
        plans[6].dialing.offersDeflate = true
        plans[6].messageBytes = 20 << 20
        plans[7].connections = 20_000_000
        plans[8].connections = 1_000_000
        plans[8].mode = .closed(inFlight: 1_000_000)
        for plan in plans {
            let fault = #expect(throws: LoadFault.self) { try LoadGenerator.run(plan) }
            #expect((fault?.sentence.split(separator: " ").count ?? 0) >= 3)
        }
    }

    @Test(arguments: [
        "http://localhost", "ws://", "ws://:80", "ws://localhost:99999", "ws://[::1", "ws://a@b/",
        "ws://localhost/ä",
    ])
    func `a URL that is none is refused`(url: String) {
        #expect(throws: LoadFault.self) { try LoadTarget(parsing: url) }
    }

    @Test func `a URL is read into its parts`() throws {
        let secure = try LoadTarget(parsing: "wss://chat.example/Esv/ocp?a=b#c")
        #expect(secure.isSecure)
        #expect(secure.host == "chat.example")
        #expect(secure.port == 443)
        #expect(secure.target == "/Esv/ocp?a=b")
        let plain = try LoadTarget(parsing: "ws://[::1]:8080")
        #expect(!plain.isSecure)
        #expect(plain.host == "::1")
        #expect(plain.port == 8080)
        #expect(plain.target == "/")
    }
}
