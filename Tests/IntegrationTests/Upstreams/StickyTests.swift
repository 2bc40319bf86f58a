// SPDX-License-Identifier: Apache-2.0
//
// Goal: with a cookie a client comes back to the endpoint that it had, by requests and sockets, over restarts; where that
// is gone it gets another one, and a new cookie.
// Method: apps that say their own name, curl with a jar of cookies, and Socket.IO of two processes with its own client.

import Foundation
import TestKit
import Testing

@Suite struct StickyTests {
    private struct Apps {
        let names = ["a", "b", "c"]
        let backends: [ScriptedBackend]

        init() throws {
            backends = try names.map { name in
                try ScriptedBackend { peer in
                    let head = try peer.readHead()
                    if let key = head["Sec-WebSocket-Key"] {
                        try peer.send(WebSocketPeer.switching(key: key) + Frame.text(name).bytes)
                        _ = try peer.readUntilEnd()
                    } else {
                        try peer.send(
                            "HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: own=1\r\nContent-Length: 1\r\n\r\n\(name)"
                        )
                        try peer.stream.halfClose()
                        _ = try peer.readUntilEnd()
                    }
                }
            }
        }

        func started(
            _ sticky: String, listeners: [ProxyListener] = [.http2()], reversed: Bool = false
        )
            throws -> Operated
        {
            let order = reversed ? backends.reversed() : backends
            let list = order.map { "\"\($0.address)\"" }.joined(separator: ", ")
            return try Operated(
                routes: ["{ path: /*, to: app }"], listeners: listeners,
                settings: [
                    "upstreams: { app: { endpoints: [\(list)], balance: roundRobin, sticky: \(sticky) } }"
                ])
        }
    }

    private func curl(_ sluice: Operated, _ options: [String]) throws -> [String] {
        let authority = try TestCertificates.shared().authority
        return try run(
            ["curl", "-sS", "-w", "\n", "--cacert", authority] + options
                + ["https://localhost:\(sluice.proxy.port())/x"]
        ).map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }.filter { !$0.isEmpty }
    }

    @Test func `a client with the cookie stays where it was, by either version and by sockets`()
        throws
    {
        let apps = try Apps()
        let sluice = try apps.started("{ cookie: srv, maxAge: 1h, path: /, sameSite: strict }")
        defer { Scratch.remove(sluice.folder) }
        var cookies: [String: String] = [:]
        for _ in 0..<3 {
            let said = try curl(sluice, ["--http1.1", "-D", "-"])
            let name = try #require(said.last)
            let line = try #require(said.first { $0.hasPrefix("Set-Cookie: srv=") })
            let match = try #require(
                line.wholeMatch(
                    of:
                        /Set-Cookie: (srv=[0-9a-f]{16}); Path=\/; Max-Age=3600; SameSite=Strict; HttpOnly; Secure/
                ))
            cookies[name] = String(match.output.1)
            // The app's own is there too.
            #expect(said.contains("Set-Cookie: own=1"))
        }
        #expect(Set(cookies.keys) == ["a", "b", "c"] && Set(cookies.values).count == 3)
        let other = try apps.started("{ cookie: srv }", reversed: true)
        defer { Scratch.remove(other.folder) }
        for running in [sluice, other] {
            for (name, cookie) in cookies {
                for version in ["--http1.1", "--http2"] {
                    let said = try curl(
                        running, [version, "-D", "-", "-H", "Cookie: x=1; \(cookie)"])
                    #expect(said.last == name)
                    #expect(
                        !said.contains { $0.lowercased().hasPrefix("set-cookie: srv") }, "\(said)")
                }
                let socket = try running.proxy.connect()
                let head = try socket.open(Opening("/x", extra: [("Cookie", cookie)]))
                #expect(head["Set-Cookie"] == nil)
                #expect(try socket.readFrame().text == name)
            }
        }
        // Whatever else is in the cookie is as good as none.
        for value in [
            "", "0", "zzzzzzzzzzzzzzzz", "0000000000000000", String(repeating: "f", count: 4_000),
        ] {
            let said = try curl(sluice, ["-D", "-", "-H", "Cookie: srv=\(value)"])
            #expect(said.contains { $0.lowercased().hasPrefix("set-cookie: srv=") }, "\(said)")
        }
        let socket = try sluice.proxy.connect()
        let head = try socket.open(Opening("/x"))
        #expect(head["Set-Cookie"]?.hasPrefix("srv=") == true)
        let name = try socket.readFrame().text
        #expect(head["Set-Cookie"]?.hasPrefix(cookies[name] ?? "?") == true)
        let authority = try TestCertificates.shared().authority
        let gate = try PythonPeer.run(
            "h2_client.py",
            ["\(sluice.proxy.port())", authority, "cookies", "/x", cookies["b"] ?? ""])
        #expect(gate == ["socket none", "request none"])
    }

    @Test func `where the endpoint is gone or rests, another one is taken and kept`() throws {
        let apps = try Apps()
        let sluice = try apps.started("{}")
        defer { Scratch.remove(sluice.folder) }
        let jar = "\(sluice.folder)/jar"
        let options = ["-b", jar, "-c", jar]
        let first = try #require(try curl(sluice, options).last)
        for _ in 0..<5 { #expect(try curl(sluice, options).last == first) }
        let index = try #require(apps.names.firstIndex(of: first))
        let address = "\(apps.backends[index].address)"
        #expect(
            try sluice.command(["drain", "--endpoint", address, "--spread", "0s"]).status == 0)
        let second = try #require(try curl(sluice, options).last)
        #expect(second != first)
        for _ in 0..<5 { #expect(try curl(sluice, options).last == second) }
        let next = try #require(apps.names.firstIndex(of: second))
        try sluice.rewrite("\"\(apps.backends[next].address)\"", "\"ws://127.0.0.1:1\"")
        #expect(try sluice.command(["reload"]).status == 0)
        let third = try #require(try curl(sluice, options).last)
        #expect(third != second && third != first)
        for _ in 0..<5 { #expect(try curl(sluice, options).last == third) }
    }

    @Test func `of two cookies the first one counts`() throws {
        let apps = try Apps()
        let sluice = try apps.started("{ cookie: srv }")
        defer { Scratch.remove(sluice.folder) }
        var cookies: [String: String] = [:]
        for _ in 0..<3 {
            let said = try curl(sluice, ["-D", "-"])
            let line = try #require(
                said.first { $0.lowercased().hasPrefix("set-cookie: srv=") })
            let pair = line.dropFirst("set-cookie: ".count).prefix { $0 != ";" }
            cookies[try #require(said.last)] = String(pair)
        }
        for (first, second) in [("a", "b"), ("b", "a"), ("c", "a")] {
            let (one, other) = (try #require(cookies[first]), try #require(cookies[second]))
            for version in ["--http1.1", "--http2"] {
                for sent in [
                    ["-H", "Cookie: \(one); \(other)"],
                    ["-H", "Cookie: x=1; \(one)", "-H", "Cookie: \(other); y=2"],
                ] {
                    #expect(try curl(sluice, [version] + sent).last == first, "\(version) \(sent)")
                }
            }
            for fields in [
                [("Cookie", "\(one); \(other)")], [("Cookie", one), ("Cookie", other)],
            ] {
                let socket = try sluice.proxy.connect()
                let head = try socket.open(Opening("/x", extra: fields))
                #expect(head["Set-Cookie"] == nil)
                #expect(try socket.readFrame().text == first, "\(fields)")
            }
        }
    }

    @Test func `without TLS the cookie is not for TLS alone`() throws {
        let apps = try Apps()
        let sluice = try apps.started("{}", listeners: [.plain])
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.connect()
        let line = try client.open(Opening("/x"))["Set-Cookie"]
        #expect(line?.hasSuffix("; Path=/; SameSite=Lax; HttpOnly") == true, "\(line ?? "")")
    }

    @Test func `Socket IO of two processes works with polls and the upgrade`() throws {
        let servers = try (0..<2).map { _ in try PythonPeer.start("socketio_app.py") }
        let ports = try servers.map { server in
            let line = try server.waitForLine(containing: "port ", by: .after(.seconds(120)))[0]
            return try #require(line.split(separator: " ").last)
        }
        let list = ports.map { "\"http://127.0.0.1:\($0)\"" }.joined(separator: ", ")
        let authority = try TestCertificates.shared().authority
        let sluice = try Operated(
            routes: ["{ path: \"/*\", to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\(list)], balance: roundRobin, sticky: { cookie: io } } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        let url = "https://localhost:\(sluice.proxy.port())"
        #expect(
            try PythonPeer.run("sticky_socketio.py", [url, authority, "4"])
                == Array(repeating: "websocket", count: 4))
        let state = try sluice.scrape()
        #expect(state["sluice_relays_opened_total{route=\"/*\"}"] == 4)
    }
}
