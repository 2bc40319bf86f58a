// SPDX-License-Identifier: Apache-2.0
//
// Goal: streams that have ended leave nothing behind, and streams that stall hold little.
// Method: the program's own allocations, counted in bytes, and not its resident pages.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2MemoryTests {
    private let meter: MemoryMeter
    private let authority: String

    init() throws {
        meter = try MemoryMeter()
        authority = try TestCertificates.shared().authority
    }

    /// The bytes once they have not changed for a while: queues of the log and of timers have run dry.
    private func settledBytes() throws -> Int {
        var last = try meter.bytes()
        var since = ContinuousClock.now
        try eventually("the program's memory rests", by: .after(.seconds(60))) {
            let now = try meter.bytes()
            if now != last { (last, since) = (now, .now) }
            return ContinuousClock.now - since > .milliseconds(500)
        }
        return last
    }

    @Test func `10,000 streams opened and closed on one connection leave nothing behind`() throws {
        let backend = try ScriptedBackend { peer in
            while true {
                let head = try peer.readHead()
                if let key = head["Sec-WebSocket-Key"] {
                    try peer.send(WebSocketPeer.switching(key: key))
                    return try peer.echo()
                }
                _ = try peer.read(Int(head["Content-Length"] ?? "") ?? 0)
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        }
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", to: \"\(backend.address)\" }"], listeners: [.http2()],
            settings: ["log: { access: off }"], workers: 1, wrapper: meter.wrapper)
        func churn(_ rounds: Int, _ streams: Int) throws -> [Int] {
            let folder = try Scratch.makeFolder()
            defer { Scratch.remove(folder) }
            let client = try PythonPeer.start(
                "h2_faults.py",
                ["\(proxy.port())", authority, "churn", "\(rounds)", "\(streams)", folder])
            var marks: [Int] = []
            for round in 1...rounds {
                try client.waitForLine(containing: "round \(round)", by: .after(.seconds(240)))
                marks.append(try settledBytes())
                try Scratch.write("", to: "\(folder)/\(round)")
            }
            #expect(try client.waitForExit(by: .after(.seconds(60))) == 0)
            return marks
        }
        // The first connection makes what is kept for further use.
        _ = try churn(1, 400)
        let before = try settledBytes()
        let marks = try churn(5, 2_000)
        let after = try settledBytes()
        let growth = (marks.last ?? .max) - marks[0]
        #expect(growth < 8_000, "less than a byte for each stream: \(before) \(marks) \(after)")
        // With the connection all of it goes.
        #expect(after - before < 64 << 10, "\(before) \(marks) \(after)")
    }

    @Test func `20 streams that nobody reads hold their bounds and not more`() throws {
        let server = try PythonPeer.start("web_app.py")
        let line = try server.waitForLine(containing: "port ", by: .after(.seconds(120)))
        let port = try #require(UInt16(line[0].dropFirst(5)))
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", to: \"http://127.0.0.1:\(port)\" }"], listeners: [.http2()],
            workers: 1, wrapper: meter.wrapper)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        func stall(_ round: Int) throws -> (held: Int, after: Int) {
            let before = try settledBytes()
            let client = try PythonPeer.start(
                "h2_client.py", ["\(proxy.port())", authority, "stalled", "\(folder)/\(round)"])
            try client.waitForLine(containing: "answered", by: .after(.seconds(60)))
            let held = try settledBytes() - before
            try Scratch.write("", to: "\(folder)/\(round)")
            try client.waitForLine(containing: "answered after", by: .after(.seconds(60)))
            #expect(try client.waitForExit() == 0)
            return (held, try settledBytes())
        }
        // What is made once is made before: slabs, and the program's own.
        try PythonPeer.run("h2_client.py", ["\(proxy.port())", authority, "web"])
        // 131 MB are asked for on each stream. It holds what was handed to its connection, and one receive
        // from its upstream behind that.
        let first = try stall(1)
        #expect(first.held < 20 * 256 << 10, "\(first)")
        // What a reactor keeps of it for further use is kept once.
        let second = try stall(2)
        #expect(second.held < 20 * 256 << 10, "\(first) \(second)")
        #expect(second.after - first.after < 512 << 10, "\(first) \(second)")
    }
}
