// SPDX-License-Identifier: Apache-2.0
//
// Goal: `sluice PORT` says what is going on: an app that is not up yet, one that does not fit, a port
// that is taken, names of one's own; and on a terminal it shows what passes.
// Method: the real program with apps in each of these states, and on a real pseudo-terminal.

import Glibc
import TestKit
import Testing

@Suite struct StartUpTests {
    private func lines(_ proxy: ProxyFixture, _ text: String) -> [String] {
        (proxy.process.output + proxy.process.errors).filter { $0.contains(text) }
    }

    private func security(_ proxy: ProxyFixture, _ name: String = "localhost") -> ClientSecurity {
        .tls(name: name, authority: "\(proxy.folder)/data/sluice/ca.pem")
    }

    @Test func `an app that comes up later is waited for and greeted once`() throws {
        let port = try HeldPort()
        let proxy = try ProxyFixture(arguments: [
            "127.0.0.1:\(port.number)", "--listen", "127.0.0.1:0",
        ])
        try proxy.process.waitForLine(containing: "nothing listens at ws://127.0.0.1:")
        // Sluice listens at once, and who comes too early is told why.
        let early = try proxy.connect(security: security(proxy))
        let refusal = try early.refusal(of: Opening("/"))
        #expect(refusal.status == 502)
        #expect(refusal.text.contains("No connection to the upstream"))
        for round in 1...2 {
            let echo = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:\(port.number)"])
            try proxy.process.waitForLine(containing: "\(port.number) is up", count: round)
            let client = try proxy.connect(security: security(proxy))
            try client.open(Opening("/"))
            try client.send(Frame.text("hello").masked())
            #expect(try client.readFrame() == Frame.text("hello"))
            try client.send(Frame.close(1000).masked())
            #expect(try client.readFrame().closeCode == 1000)
            echo.process.signal(SIGKILL)
            try echo.process.waitForExit()
            // That it is gone shows with the next request.
            let late = try proxy.connect(security: security(proxy))
            #expect(try late.refusal(of: Opening("/")).status == 502)
            try proxy.process.waitForLine(containing: "nothing listens at", count: round + 1)
        }
        #expect(lines(proxy, "nothing listens at").count == 3)
        #expect(lines(proxy, " is up").count == 2)
    }

    @Test func `an app that speaks TLS itself is noticed`() throws {
        let files = try TestCertificates.shared().local
        let app = try ChildProcess([
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-cert", files.chain, "-key",
            files.key,
        ])
        let line = try app.waitForLine(containing: "ACCEPT ")[0]
        let port = try #require(line.split(separator: ":").last)
        let proxy = try ProxyFixture(arguments: [
            "127.0.0.1:\(port)", "--listen", "127.0.0.1:0",
        ])
        let notice = try proxy.process.waitForLine(containing: "speaks TLS itself")[0]
        #expect(notice.hasPrefix("notice    ws://127.0.0.1:\(port) speaks TLS itself"))
        #expect(notice.contains("switch TLS off"))
        #expect(notice.contains("start `sluice https://127.0.0.1:\(port)`"))
    }

    @Test func `an app that speaks TLS is served, and what to add for its certificate is said`()
        throws
    {
        let app = try TLSApp("selfsigned")
        let url = "https://localhost:\(app.port)/x"
        let wary = try ProxyFixture(arguments: [url, "--listen", "127.0.0.1:0"])
        let notice = try wary.process.waitForLine(containing: "--app-ca")[0]
        #expect(notice.contains("openssl s_client -connect localhost:\(app.port) "), "\(notice)")
        let trusting = try ProxyFixture(arguments: [
            url, "--listen", "127.0.0.1:0", "--app-ca",
            "\(try TLSApp.certificates())/selfsigned.pem",
        ])
        try trusting.process.waitForLine(containing: "takes a WebSocket at /x")
    }

    @Test func `an app that has its certificate of Sluice's own authority is trusted`() throws {
        let home = try Scratch.makeFolder()
        defer { Scratch.remove(home) }
        // Quick mode makes the authority, and a certificate that the app serves then.
        let first = try ProxyFixture(
            arguments: ["127.0.0.1:1", "--listen", "127.0.0.1:0", "--no-check"], home: home)
        _ = try first.terminate()
        let folder = "\(home)/data/sluice"
        let app = try TLSApp(
            chain: "\(folder)/localhost.pem", key: "\(folder)/localhost-key.pem")
        let proxy = try ProxyFixture(
            arguments: ["https://localhost:\(app.port)/x", "--listen", "127.0.0.1:0"], home: home)
        try proxy.process.waitForLine(containing: "takes a WebSocket at /x")
    }

    @Test func `an app that lets in its own pages alone is told of`()
        throws
    {
        // A peer that takes one origin, as `websockets.serve(origins=[…])` does.
        let app = try ScriptedBackend { peer in
            let head = try peer.readHead()
            guard head["Origin"]?.hasPrefix("http://127.0.0.1:") == true else {
                try peer.send(
                    "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                return
            }
            try peer.send(WebSocketPeer.switching(key: head["Sec-WebSocket-Key"] ?? ""))
            let ping = try peer.readFrame()
            try peer.send(Frame(opcode: 10, payload: ping.payload))
            _ = try peer.readUntilEnd()
        }
        defer { app.stop() }
        let port = app.address.port
        let proxy = try ProxyFixture(arguments: ["127.0.0.1:\(port)", "--listen", "127.0.0.1:0"])
        let line = try proxy.process.waitForLine(containing: "takes a WebSocket at /")[0]
        #expect(
            line.hasSuffix(
                "from pages of http://127.0.0.1:\(port), and answers those of"
                    + " https://localhost:\(proxy.port()) with 403: let the app take that origin too."
            ),
            "\(line)")
    }

    /// An app, and the line that the start has on it.
    struct Answering: Sendable {
        let words: String
        let make: @Sendable () throws -> ScriptedBackend
    }

    private static let answering = [
        Answering(words: "takes a WebSocket at / and answers a ping") {
            try ScriptedBackend { peer in
                try peer.accept()
                let ping = try peer.readFrame()
                try peer.send(Frame(opcode: 10, payload: ping.payload))
                _ = try peer.readUntilEnd()
            }
        },
        Answering(
            words: "answers a WebSocket at / with 404 Not Found; the socket may be at another path"
        ) {
            try .answering(
                "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        },
        Answering(
            words: "answers a WebSocket at / with 403 Forbidden (no such origin): the app refuses"
                + " pages of https://localhost:"
        ) {
            try .answering(
                "HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n"
                    + "Connection: close\r\n\r\nno such origin")
        },
        Answering(
            words: "answers a WebSocket at / with 500 Internal Server Error: see its log"
        ) {
            try .answering(
                "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close"
                    + "\r\n\r\n")
        },
        Answering(
            words: "whether it takes a WebSocket could not be told. The server takes the request"
                + " and closes the connection"
        ) {
            try ScriptedBackend { peer in
                _ = try peer.readHead()
                peer.stream.close()
            }
        },
        Answering(words: "whether it takes a WebSocket could not be told. ") { try .silent() },
    ]

    @Test(arguments: answering)
    func `the start says in one line what the app answers`(app: Answering) throws {
        let backend = try app.make()
        defer { backend.stop() }
        let label = "app       ws://127.0.0.1:\(backend.address.port) "
        let proxy = try ProxyFixture(arguments: [
            "127.0.0.1:\(backend.address.port)", "--listen", "127.0.0.1:0",
        ])
        let line = try proxy.process.waitForLine(
            containing: app.words, by: .after(.seconds(60)))[0]
        #expect(line.hasPrefix(label), "\(line)")
        #expect(lines(proxy, label).count == 1)
    }

    @Test func `a path that is named and serves no socket is noticed at the start`() throws {
        let app = try ScriptedBackend.answering(
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        defer { app.stop() }
        let proxy = try ProxyFixture(arguments: [
            "ws://127.0.0.1:\(app.address.port)/Esv/ocp", "--listen", "127.0.0.1:0",
        ])
        let notice = try proxy.process.waitForLine(
            containing: "the WebSocket at /Esv/ocp with 404")[0]
        #expect(notice.contains("correct the path"))
    }

    @Test func `an upgrade that is answered with something else is noticed once for each path`()
        throws
    {
        let app = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        defer { app.stop() }
        let proxy = try ProxyFixture(arguments: [
            "127.0.0.1:\(app.address.port)", "--listen", "127.0.0.1:0", "--no-check",
        ])
        for path in ["/a", "/a", "/b"] {
            let client = try proxy.connect(security: security(proxy))
            #expect(try client.refusal(of: Opening(path)).status == 200)
        }
        try proxy.process.waitForLine(containing: "the WebSocket at /b with 200 and not 101")
        #expect(lines(proxy, "the WebSocket at /a with 200 and not 101").count == 1)
        // Without a check the app sees those who come and nobody else.
        #expect(app.received(0).starts(with: Array("GET /a ".utf8)) || app.received(0).isEmpty)
    }

    @Test func `names of one's own are in the URLs and in the certificate`() throws {
        let app = try ScriptedBackend.echo()
        defer { app.stop() }
        let proxy = try ProxyFixture(arguments: [
            "127.0.0.1:\(app.address.port)", "--listen", "127.0.0.1:0", "--host",
            "myapp.localhost", "--host", "gone.test",
        ])
        let port = proxy.port()
        for name in ["myapp.localhost", "gone.test"] {
            try proxy.process.waitForLine(containing: "route     wss://\(name):\(port)/… -> ws://")
            let client = try proxy.connect(security: security(proxy, name))
            try client.open(Opening("/"))
        }
        try proxy.process.waitForLine(containing: "127.0.0.1 gone.test` to /etc/hosts")
        // Browsers know names below localhost by themselves; the system knows them or does not.
        let isKnown =
            try ChildProcess([
                "python3", "-c", "import socket; socket.getaddrinfo('myapp.localhost', 80)",
            ]).waitForExit() == 0
        #expect(lines(proxy, "`127.0.0.1 myapp.localhost` to /etc/hosts").isEmpty == isKnown)
    }

    @Test func `all that is served is printed, and whose the query of the app's URL is`()
        throws
    {
        let app = try ScriptedBackend.echo()
        defer { app.stop() }
        let proxy = try ProxyFixture(arguments: [
            "ws://127.0.0.1:\(app.address.port)/socket?q=1", "--listen", "127.0.0.1:0",
        ])
        let port = proxy.port()
        try proxy.process.waitForLine(containing: "route     wss://localhost:\(port)/… -> ws://")
        try proxy.process.waitForLine(containing: "socket    wss://localhost:\(port)/socket?q=1")
        #expect(lines(proxy, "adds the query ?q=1 to no request").count == 1)
        let client = try proxy.connect(security: security(proxy))
        try client.open(Opening("/elsewhere"))
    }

    @Test func `a port that is taken is told with its owner and the next free one`() throws {
        let app = try ScriptedBackend.silent()
        defer { app.stop() }
        let child = try ChildProcess([
            try ProxyFixture.program(), "1", "--listen", "127.0.0.1:\(app.address.port)",
        ])
        #expect(try child.waitForExit() == 1)
        let errors = child.errors.joined(separator: "\n")
        #expect(
            errors.contains(
                "--listen 127.0.0.1:\(app.address.port): 127.0.0.1:\(app.address.port) is taken by "
            ), "\(errors)")
        #expect(errors.contains("(process \(getpid()))"), "\(errors)")
        #expect(
            errors.contains(/stop that program, or listen on port \d+, which is free/), "\(errors)")
    }

    @Test func `without a terminal there are plain lines only`() throws {
        let app = try ScriptedBackend.echo()
        defer { app.stop() }
        let proxy = try ProxyFixture(arguments: [
            "127.0.0.1:\(app.address.port)", "--listen", "127.0.0.1:0",
        ])
        let client = try proxy.connect(security: security(proxy))
        try client.open(Opening("/"))
        try client.send(Frame.close(1000).masked())
        try proxy.process.waitForLine(containing: " 101 localhost/ ")
        #expect(try proxy.terminate() == 0)
        #expect(lines(proxy, "\u{1B}").isEmpty)
        #expect(lines(proxy, "sockets open").isEmpty)
    }

    @Test(arguments: ["status", "plain", "dumb"])
    func `a terminal has a live line, colours where they are wanted, and whole lines`(
        kind: String
    ) throws {
        let app = try ScriptedBackend.echo()
        defer { app.stop() }
        let said = try PythonPeer.run(
            "terminal.py",
            [try ProxyFixture.program(), "127.0.0.1:\(app.address.port)", kind])
        #expect(said.last == "ok")
    }

    @Test func `a phone is shown the address in the network, and can read it`() throws {
        // A network of the test's own, with an address as at home.
        let inside = """
            ip link set lo up && ip addr add 192.168.77.5/24 dev lo && exec "$@"
            """
        let isRoot = getuid() == 0
        let words =
            try ["unshare", isRoot ? "-n" : "-rn", "sh", "-c", inside, "sh"]
            + PythonPeer.command("terminal.py")
            + [ProxyFixture.program(), "127.0.0.1:9", "phone"]
        let said = try run(words, by: .after(.seconds(120)))
        #expect(said.last == "ok")
    }
}
