// SPDX-License-Identifier: Apache-2.0
//
// Goal: browsers keep a page's sockets within its HTTP/2 connection, whatever happens to them.
// Method: Chromium and Firefox with the protocol that they report themselves, and an app that records.

import Foundation
import TestKit
import Testing

extension BrowserTests {
    /// A page whose sockets go to `backend`: /socket, /pinged with pings, and /refused.
    private func page(
        to backend: ScriptedBackend, _ folder: String,
        listener: ([TestIdentity]) -> ProxyListener = { .http2($0) }
    ) throws -> ProxyFixture {
        try run([
            try ProxyFixture.program(), "cert", "localhost", "--directory", "\(folder)/made",
        ])
        let identity = TestIdentity(
            chain: "\(folder)/made/localhost.pem", key: "\(folder)/made/localhost-key.pem")
        let pings = "ping: { every: 30s, timeout: 10s }"
        return try ProxyFixture(
            routes: [
                "{ path: /, respond: { body: \"<title>page</title>\", type: text/html } }",
                "{ path: /pinged, to: \"\(backend.address)\", \(pings) }",
                "{ path: \"/*\", to: \"\(backend.address)\" }",
            ], listeners: [listener([identity])])
    }

    /// An app that echoes, closes with 4000 when it is told to, and refuses /refused; `closes` has the code
    /// of each Close of a client's that ended its socket in order.
    private func app(_ closes: Monitor<[Int]>) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            let head = try peer.readHead()
            // A browser asks for its icon, too.
            guard let key = head["Sec-WebSocket-Key"], head.target != "/refused" else {
                try peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
                _ = try peer.readUntilEnd()
                return
            }
            try peer.send(WebSocketPeer.switching(key: key))
            while true {
                let frame = try peer.readFrame(by: .after(.seconds(600)))
                if frame.opcode == 8 {
                    closes.update { $0.append(frame.closeCode ?? 1005) }
                    try peer.send(Frame.close(frame.closeCode ?? 1000))
                    break
                }
                if frame.opcode == 1, frame.text == "close" {
                    try peer.send(Frame.close(4000))
                    let answer = try peer.readFrame()
                    closes.update { $0.append(answer.closeCode ?? 1005) }
                    break
                }
                if frame.opcode == 1 { try peer.send(Frame.text(frame.text)) }
            }
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
    }

    /// A browser that loses its trust in a server's HTTP/2 goes back to HTTP/1.1, which it would report.
    @Test(arguments: ["chromium", "firefox"])
    func `a page's sockets stay within its HTTP/2 connection, however they end`(browser: String)
        throws
    {
        let closes = Monitor<[Int]>([])
        let backend = try app(closes)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let proxy = try page(to: backend, folder)
        let said = try PythonPeer.run(
            "h2_browser.py", [browser, "\(proxy.port())", "\(folder)/made/ca.pem", "sockets"])
        #expect(said == ["sockets 81 h2"])
        // Clean at the upstream's end, too, and so it stands in the log.
        #expect(closes.value.filter { $0 == 1000 }.count == 56)
        #expect(closes.value.filter { $0 == 4000 }.count == 25)
        #expect(backend.failures.isEmpty)
        let opened = try proxy.process.waitForLine(containing: " opened ", count: 81)
        let ended = try proxy.process.waitForLine(containing: " reason=close ", count: 81)
        #expect((opened + ended).allSatisfy { $0.contains(" protocol=h2 ") })
    }

    @Test(arguments: ["chromium", "firefox"])
    func `sockets that HTTP/2 is not to carry go beside it, by HTTP/1.1`(browser: String) throws {
        let closes = Monitor<[Int]>([])
        let backend = try app(closes)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let proxy = try page(to: backend, folder) { .multiplexed("websockets: false", $0) }
        let said = try PythonPeer.run(
            "h2_browser.py", [browser, "\(proxy.port())", "\(folder)/made/ca.pem", "beside"])
        #expect(said == ["sockets 13 http/1.1"])
        #expect(closes.value.filter { $0 == 1000 }.count == 13)
        #expect(backend.failures.isEmpty)
        let lines = try proxy.process.waitForLine(containing: " reason=close ", count: 13)
        #expect(lines.allSatisfy { !$0.contains(" protocol=h2 ") }, "\(lines)")
    }

    /// Firefox has a limit of five minutes for connections that say nothing, which must not end sockets.
    @Test(
        .enabled(
            if: ProcessInfo.processInfo.environment["SLUICE_SOAK"] != nil,
            "it takes six minutes; SLUICE_SOAK=1 runs it"),
        arguments: ["chromium", "firefox"])
    func `sockets within HTTP/2 that say nothing outlive six minutes, with and without pings`(
        browser: String
    ) throws {
        let closes = Monitor<[Int]>([])
        let backend = try app(closes)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let proxy = try page(to: backend, folder)
        let said = try PythonPeer.run(
            "h2_browser.py", [browser, "\(proxy.port())", "\(folder)/made/ca.pem", "soak"],
            by: .after(.seconds(600)))
        #expect(said == ["open", "sockets 2 h2"])
        #expect(closes.value == [1000, 1000])
        let lines = try proxy.process.waitForLine(containing: " reason=close ", count: 2)
        #expect(lines.allSatisfy { $0.contains(" protocol=h2 ") }, "\(lines)")
    }

    @Test(arguments: ["h2, http/1.1", "http/1.1"])
    func `socket.io polls, takes a WebSocket and is disconnected by its server`(
        protocols: String
    ) throws {
        let app = try PythonPeer.start("socketio_app.py")
        let line = try app.waitForLine(containing: "port ", by: .after(.seconds(300)))
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try run([
            try ProxyFixture.program(), "cert", "localhost", "--directory", "\(folder)/made",
        ])
        let made = "chain: \(folder)/made/localhost.pem, key: \(folder)/made/localhost-key.pem"
        let proxy = try ProxyFixture(
            configuration: """
                listen:
                  - address: "127.0.0.1:0"
                    tls: { certificates: [{ \(made) }], protocols: [\(protocols)] }
                routes:
                  - { path: "/*", to: "http://127.0.0.1:\(line[0].dropFirst(5))" }

                """)
        let name = protocols.hasPrefix("h2") ? "h2" : "http/1.1"
        let said = try PythonPeer.run(
            "socketio_page.py", ["\(proxy.port())", "\(folder)/made/ca.pem", name])
        #expect(said == ["ok"])
        let transports = try app.waitForLine(containing: "transport ", count: 3)
        #expect(
            transports == ["transport polling", "transport websocket", "transport websocket"])
        let closed = try proxy.process.waitForLine(containing: " opened ", count: 2)
        #expect(closed.allSatisfy { $0.contains(" protocol=h2 ") == (name == "h2") }, "\(closed)")
    }
}
