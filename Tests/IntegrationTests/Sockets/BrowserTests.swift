// SPDX-License-Identifier: Apache-2.0
//
// Goal: a person opens the page and sees messages go round, page and socket on one origin.
// Method: headless Chromium and Firefox with stores of their own, in front of the real programs.

import TestKit
import Testing

@Suite(.serialized) struct BrowserTests {
    /// `sluice echo`, and Sluice in front of it in quick mode.
    private func demo() throws -> (app: ProxyFixture, proxy: ProxyFixture) {
        let app = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        return (
            app, try ProxyFixture(arguments: ["\(app.port())", "--listen", "127.0.0.1:0"])
        )
    }

    @Test func `Chromium opens the page, its socket and the echo`() throws {
        let (app, proxy) = try demo()
        let url = "https://localhost:\(proxy.port())/"
        let said = try PythonPeer.run(
            "browser.py", [url, "\(proxy.folder)/data/sluice/ca.pem"])
        #expect(said.last == "ok")
        withExtendedLifetime(app) {}
    }

    @Test(arguments: [("Chromium", "browser.py"), ("Firefox", "firefox.py")])
    func `a browser believes after trust, and no more after untrust`(
        browser: String, script: String
    ) throws {
        let (app, proxy) = try demo()
        let url = "https://localhost:\(proxy.port())/"
        func cert(_ command: String) throws -> [String] {
            let child = try ChildProcess(
                [try ProxyFixture.program(), "cert", command, "--only", "browsers"],
                environment: ["HOME": proxy.folder, "XDG_DATA_HOME": "\(proxy.folder)/data"])
            // What is not trusted is no success of `status`.
            let status = try child.waitForExit()
            let isTrusted = !child.output.contains { $0.hasSuffix(": not trusted") }
            #expect(status == (isTrusted ? 0 : 1), "\(child.output) \(child.errors)")
            return child.output
        }
        func expect(_ state: String) throws {
            #expect(try PythonPeer.run(script, [url, state, proxy.folder]).last == "ok")
        }
        func says(_ lines: [String], _ words: String) -> Bool {
            lines.contains { $0.hasPrefix(browser) && $0.hasSuffix(words) }
        }
        try expect("none")
        #expect(says(try cert("status"), ": not trusted"))
        #expect(says(try cert("trust"), ": trusted from now on"))
        try expect("trusted")
        // Both open the page's socket within the connection that brought the page (RFC 8441).
        let opened = try proxy.process.waitForLine(containing: " opened ")
        #expect(opened.allSatisfy { $0.contains(" protocol=h2 ") }, "\(opened)")
        #expect(says(try cert("status"), ": trusted"))
        #expect(says(try cert("untrust"), ": not trusted any more"))
        try expect("none")
        withExtendedLifetime(app) {}
    }

    /// Chromium uses a ticket once (RFC 8446 §C.4), and it is the same session's that the page had.
    @Test func `Chromium takes its session up again with each socket it opens`() throws {
        let app = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let made = "\(folder)/made"
        try run([try ProxyFixture.program(), "cert", "localhost", "--directory", made])
        let identity = TestIdentity(
            chain: "\(made)/localhost.pem", key: "\(made)/localhost-key.pem")
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /, respond: { body: \"<title>page</title>\", type: text/html } }",
                "{ path: /socket, to: \"ws://127.0.0.1:\(app.port())\" }",
            ], listeners: [.http1([identity])], settings: ["log: { format: json }"])
        let said = try PythonPeer.run(
            "browser_resumes.py", ["\(proxy.port())", "\(made)/ca.pem", "10"])
        #expect(said.last == "ok")
        // Lines of sockets that have ended with a Close.
        let lines = try proxy.process.waitForLine(containing: "\"reason\":\"close\"", count: 10)
        // The page's own connection has left a ticket, and each handshake leaves another one.
        let resumed = lines.filter {
            $0.contains("\"version\":\"TLSv1.3\"") && $0.contains("\"resumed\":true")
        }
        #expect(lines.count == 10 && resumed.count >= 9, "\(lines)")
        withExtendedLifetime(app) {}
    }

    /// The server's setting has a browser open a page's socket within the connection that brought the page
    /// (RFC 8441 §3); without it the browser opens a connection for the socket.
    @Test(arguments: [("", "200"), ("websockets: false", "101")])
    func `Chromium opens the page's socket where the server says`(
        keys: String, status: String
    ) throws {
        let app = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let made = "\(folder)/made"
        try run([try ProxyFixture.program(), "cert", "localhost", "--directory", made])
        let identity = TestIdentity(
            chain: "\(made)/localhost.pem", key: "\(made)/localhost-key.pem")
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", to: \"ws://127.0.0.1:\(app.port())\" }"],
            listeners: [.multiplexed(keys, [identity])])
        let url = "https://localhost:\(proxy.port())/"
        let said = try PythonPeer.run("browser.py", [url, "\(made)/ca.pem", "", status])
        #expect(said.last == "ok")
        let opened = try proxy.process.waitForLine(containing: " opened ")[0]
        #expect(opened.contains(" protocol=h2 ") == (status == "200"), "\(opened)")
        let page = try proxy.process.waitForLine(containing: "GET localhost/ ")[0]
        #expect(page.contains(" protocol=h2 "), "\(page)")
        withExtendedLifetime(app) {}
    }

    /// What docs/security.md says of files, and `sluice doctor --page file://…`.
    @Test func `Chromium sends null for a page from a file, and the refusal names the option`()
        throws
    {
        let app = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: app.address, listeners: [.plain])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let page = "<script>new WebSocket('ws://127.0.0.1:\(proxy.port())/Esv/ocp')</script>"
        try Scratch.write(page, to: "\(folder)/page.html")
        try run(
            [
                "chromium", "--headless=new", "--no-sandbox", "--user-data-dir=\(folder)/profile",
                "--virtual-time-budget=5000", "--dump-dom", "file://\(folder)/page.html",
            ], environment: ["HOME": folder])
        let line = try proxy.process.waitForLine(containing: " 403 ")[0]
        #expect(line.contains("origin null (a file that was opened in a browser"), "\(line)")
    }

    /// What docs/ws-and-wss.md says under "Pages of other networks", and `sluice doctor --page`.
    @Test func `Chromium blocks sockets of public pages to this machine until the user says yes`()
        throws
    {
        let app = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let store = "\(folder)/.pki/nssdb"
        try run(["mkdir", "-p", store])
        try run(["certutil", "-N", "-d", "sql:\(store)", "--empty-password"])
        let program = try ProxyFixture.program()
        let home = ["HOME": folder, "XDG_DATA_HOME": "\(folder)/data"]
        try run([program, "cert", "localhost"], environment: home)
        try run([program, "cert", "trust", "--only", "browsers"], environment: home)
        let made = TestIdentity(
            chain: "\(folder)/data/sluice/localhost.pem",
            key: "\(folder)/data/sluice/localhost-key.pem")
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /, respond: { body: \"<title>page</title>\", type: text/html } }",
                "{ path: /socket, to: \"ws://127.0.0.1:\(app.port())\", origins: any }",
            ], listeners: [.tls([made]), .plain, .tls([made])])
        let ports = (0..<3).map { "\(proxy.port($0))" }
        #expect(try PythonPeer.run("local_network.py", ports + [folder]).last == "ok")
        // Of the blocked ones no request came: there are lines of the others alone.
        let lines = try proxy.process.waitForLine(containing: " opened ", count: 4)
        #expect(lines.count == 4, "\(lines)")
        withExtendedLifetime(app) {}
    }

    @Test
    func `the page can be used by keyboard, in any width and light, and comes back by itself`()
        throws
    {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let store = "\(folder)/.pki/nssdb"
        try run(["mkdir", "-p", store])
        try run(["certutil", "-N", "-d", "sql:\(store)", "--empty-password"])
        let program = try ProxyFixture.program()
        try run(
            [program, "cert", "trust", "--only", "browsers"],
            environment: ["HOME": folder, "XDG_DATA_HOME": "\(folder)/data"])
        #expect(try PythonPeer.run("echo_page.py", [program, folder]).last == "ok")
    }

    @Test func `Chromium refuses an authority that it does not trust`() throws {
        let (app, proxy) = try demo()
        let url = "https://localhost:\(proxy.port())/"
        #expect(try PythonPeer.run("browser.py", [url, "none"]).last == "ok")
        withExtendedLifetime(app) {}
    }
}
