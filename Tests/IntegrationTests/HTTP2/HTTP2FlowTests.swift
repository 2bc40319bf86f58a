// SPDX-License-Identifier: Apache-2.0
//
// Goal: whoever does not take, on either side, holds up his own stream and nobody else, and costs little.
// Method: clients that open no window, upstreams that do not read, on one connection with streams that go on.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2FlowTests {
    private let authority: String

    init() throws { authority = try TestCertificates.shared().authority }

    private func proxy(
        _ backend: PeerAddress, more: [String] = [], settings: [String] = [],
        wrapper: [String] = []
    ) throws -> ProxyFixture {
        try ProxyFixture(
            routes: more + [
                "{ path: /pages, respond: { body: \"a page\", type: text/plain } }",
                "{ path: \"/*\", to: \"\(backend)\" }",
            ], listeners: [.http2()], settings: settings, wrapper: wrapper)
    }

    private func run(_ proxy: ProxyFixture, _ script: String, _ task: String, _ more: String...)
        throws -> [String]
    {
        try PythonPeer.run(script, ["\(proxy.port())", authority, task] + more)
    }

    @Test func `a client that opens no window gets heads, and bytes as it opens one`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try proxy(backend.address)
        #expect(try run(proxy, "h2_faults.py", "closed_window") == ["held back"])
        let line = try proxy.process.waitForLine(containing: "reason=close")
        #expect(line[0].contains("close=1000 by=client"), "\(line)")
    }

    @Test func `a client that never opens a window loses its stream and no other`() throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            try? peer.send([UInt8](repeating: 1, count: 1_000_000))
            _ = try peer.readUntilEnd()
        }
        let proxy = try proxy(backend.address, settings: ["timeouts: { answerBody: 2s }"])
        let said = try run(proxy, "h2_faults.py", "never")
        #expect(said.first?.hasPrefix("reset ") == true, "\(said)")
    }

    /// Both an upload and a socket of one connection go to an app that reads nothing.
    @Test func `a deaf upstream stops its own streams and no other, and holds little`() throws {
        let deaf = try ManualBackend()
        let backend = try ScriptedBackend { peer in
            while true {
                let head = try peer.readHead()
                if let key = head["Sec-WebSocket-Key"] {
                    try peer.send(WebSocketPeer.switching(key: key))
                    return try peer.echo()
                }
                _ = try peer.read(Int(head["Content-Length"] ?? "") ?? 0)
                try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let meter = try MemoryMeter()
        let proxy = try proxy(
            backend.address, more: ["{ path: /deaf, to: \"\(deaf.address)\" }"],
            wrapper: meter.wrapper)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        // What is made once is made before.
        #expect(try run(proxy, "h2_client.py", "again", "5") == ["echoed 5"])
        let before = try meter.bytes()
        let client = try PythonPeer.start(
            "h2_client.py", ["\(proxy.port())", authority, "deaf", "\(folder)/go"])
        var uploads: [WebSocketPeer] = []
        var socket: WebSocketPeer?
        for _ in 0..<4 {
            let peer = try deaf.next(receiveBufferBytes: 4_096, by: .after(.seconds(120)))
            let head = try peer.readHead()
            if let key = head["Sec-WebSocket-Key"] {
                try peer.send(WebSocketPeer.switching(key: key))
                socket = peer
            } else {
                uploads.append(peer)
            }
        }
        // From here on nobody reads what has come, and the client is held up on four streams.
        try client.waitForLine(containing: "stalled", by: .after(.seconds(60)))
        try client.waitForLine(containing: "served meanwhile", by: .after(.seconds(60)))
        // Each holds its window of 128 KiB, and what its relay or its request may hold beside it; nine
        // megabytes are to come on each.
        let held = try meter.bytes() - before
        #expect(held < 4 * 512 << 10, "\(held)")
        try Scratch.write("", to: "\(folder)/go")
        // Now all of it is read, and nothing is missing.
        for peer in uploads {
            _ = try peer.read(9_000_000, by: .after(.seconds(60)))
            try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        }
        let open = try #require(socket)
        var count = 0
        while count < 9_000_000 {
            count += try open.readFrame(by: .after(.seconds(60))).payload.count
        }
        #expect(count == 9_000_000)
        try open.send(Frame.close(1000))
        try client.waitForLine(containing: "taken 4", by: .after(.seconds(60)))
        #expect(try client.waitForExit() == 0)
    }
}
