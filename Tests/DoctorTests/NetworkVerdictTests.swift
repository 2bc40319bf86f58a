// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import TestKit
import Testing

@testable import Doctor

/// Goal: what is wrong before any WebSocket is spoken is told apart, against real servers in that state.
///
/// Method: the program itself; `openssl s_server` with certificates of every kind.
struct NetworkVerdictTests {
    @Test func `a healthy server is healthy, by TLS and without`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let authority = try TestCertificates.shared().authority
        let secure = try diagnose(proxy.url(), ["--ca", authority])
        expect(secure, .healthy, at: "ping")
        #expect(
            secure.steps.map(\.name)
                == ["name", "TCP", "TLS", "certificate", "upgrade", "ping", "HTTP/2"])
        let plain = try diagnose("ws://127.0.0.1:\(backend.address.port)/")
        expect(plain, .healthy, at: "ping")
        #expect(plain.steps.map(\.name) == ["name", "TCP", "upgrade", "ping"])
    }

    @Test func `plain HTTP on the port is the browser's protocol error`() throws {
        let backend = try ScriptedBackend.echo()
        let finding = try diagnose("wss://127.0.0.1:\(backend.address.port)/Esv/ocp")
        expect(
            finding, .plainHTTP, at: "TLS", "ERR_SSL_PROTOCOL_ERROR",
            "ws://127.0.0.1:\(backend.address.port)/Esv/ocp works", "sluice ")
        let app = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        expect(try diagnose("wss://127.0.0.1:\(app.port())/"), .plainHTTP, at: "TLS", "HTTP")
    }

    @Test func `an app that is asked without TLS is left with a Close`() throws {
        let closes = Monitor<[Int?]>([])
        let backend = try ScriptedBackend { peer in
            guard let key = try peer.readHead()["Sec-WebSocket-Key"] else { return }
            try peer.send(WebSocketPeer.switching(key: key))
            let code = try peer.readFrame().closeCode
            closes.update { $0.append(code) }
        }
        expect(
            try diagnose("wss://127.0.0.1:\(backend.address.port)/Esv/ocp"), .plainHTTP, at: "TLS",
            "works")
        try closes.wait(for: "the Close") { $0 == [1001] }
    }

    @Test func `nobody, nothing, no name`() throws {
        let refusing = try PeerAddress.refusing()
        expect(try diagnose("wss://127.0.0.1:\(refusing.port)/"), .refused, at: "TCP", "listens")
        let unreachable = try UnreachableBackend()
        expect(
            try diagnose("wss://127.0.0.1:\(unreachable.address.port)/", ["--timeout", "1"]),
            .unreachable, at: "TCP", "packet filter")
        // A label of 64 characters can't exist, so no name server is asked.
        let label = String(repeating: "x", count: 64)
        expect(
            try diagnose("wss://\(label).invalid/"), .nameNotFound, at: "name", "no address")
    }

    @Test func `localhost on one of IPv4 and IPv6 alone`() throws {
        let echo = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        let url = "ws://localhost:\(echo.port())/"
        let v4 = ["--resolve", "localhost:127.0.0.1"]
        let v6 = ["--resolve", "localhost:::1"]
        // The order is the system's, and decides: clients that take one address take the first.
        let first = try diagnose(url, v6 + v4)
        expect(
            first, .oneFamily, at: "ping", "answers on IPv4 only", "::1 refuses",
            "listen on ::1 too")
        let second = try diagnose(url, v4 + v6)
        expect(second, .healthy, at: "ping")
        #expect(second.notes.contains { $0.contains("IPv4 only, not on ::1") }, "\(second)")
        // A worse fault is the verdict, and one that nobody serves is no matter of families.
        expect(
            try diagnose(url + "?", v6 + v4 + ["--extension", "x"]), .oneFamily, at: "ping")
        let refusing = try PeerAddress.refusing()
        expect(
            try diagnose("ws://localhost:\(refusing.port)/", v6 + v4), .refused, at: "TCP",
            "Nobody listens")
        // openssl listens on both.
        let papers = try Papers()
        defer { papers.remove() }
        let both = try SecureServer(try papers.issue("good"))
        let found = try diagnose(both.url(), v6 + v4 + ["--ca", papers.authority])
        #expect(found.notes.isEmpty && found.steps[1].found.hasPrefix("::1"), "\(found)")
    }

    @Test func `a name below localhost is this machine, also where the system does not know it`()
        throws
    {
        let backend = try ScriptedBackend.echo()
        // No name server is asked for a label of 64 characters, and no hosts file has it.
        let name = String(repeating: "x", count: 64) + ".localhost"
        let found = try diagnose("ws://\(name):\(backend.address.port)/")
        expect(found, .healthy, at: "ping")
        #expect(found.steps.first?.found == "\(name) is 127.0.0.1, ::1 for browsers", "\(found)")
        #expect(found.notes.contains { $0.contains("`127.0.0.1 \(name)` to /etc/hosts") })
        for host in [name, "localhost", "LOCALHOST"] {
            let all = try ResolvedAddress.find(host, port: 1, by: .infinity).get()
            #expect(!all.isEmpty && all.allSatisfy(\.isLoopback), "\(all)")
        }
        let elsewhere = try #require(
            try ResolvedAddress.find("192.0.2.1", port: 1, by: .infinity).get().first)
        #expect(!elsewhere.isLoopback && elsewhere.text == "192.0.2.1")
    }

    @Test func `no way there, and no leave to go, are told from a port that nobody has`() throws {
        // A network of its own, without any way out but one that is forbidden.
        let alone = [
            "unshare", getuid() == 0 ? "-n" : "-rn", "sh", "-c",
            "ip link set lo up && ip route add prohibit 192.0.2.0/24 && exec \"$@\"", "sh",
        ]
        let wayless = try diagnose("wss://198.51.100.1/", wrapper: alone)
        expect(wayless, .unreachable, at: "TCP", "has no way to 198.51.100.1", "has IPv4")
        let forbidden = try diagnose("wss://192.0.2.1/", wrapper: alone)
        expect(forbidden, .unreachable, at: "TCP", "Permission denied", "forbids it")
    }

    @Test func `a plain server that waits behind a handshake is asked once more, and no oftener`()
        throws
    {
        let backend = try ScriptedBackend { peer in
            if try peer.read(1) == [0x16] {
                _ = try peer.readUntilEnd()
                return
            }
            try peer.send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            _ = try peer.readUntilEnd()
        }
        let finding = try diagnose(
            "wss://127.0.0.1:\(backend.address.port)/", ["--timeout", "1"])
        expect(finding, .plainHTTP, at: "TLS", "without TLS, it answers 404")
        #expect(backend.connectionCount == 2)
    }

    @Test func `a name may be given an address`() throws {
        let backend = try ScriptedBackend.echo()
        let finding = try diagnose(
            "ws://app.invalid:\(backend.address.port)/", ["--resolve", "app.invalid:127.0.0.1"])
        expect(finding, .healthy, at: "ping")
    }

    @Test func `another protocol is quoted`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.send("SSH-2.0-Example\r\n")
            _ = try peer.readUntilEnd()
        }
        for scheme in ["wss", "ws"] {
            let finding = try diagnose("\(scheme)://127.0.0.1:\(backend.address.port)/")
            expect(
                finding, .otherProtocol, at: scheme == "ws" ? "upgrade" : "TLS", "SSH-2.0-Example")
        }
    }

    @Test func `a port that closes in the handshake, or swallows it`() throws {
        let closing = try ScriptedBackend { peer in _ = try peer.read(1) }
        expect(
            try diagnose("wss://127.0.0.1:\(closing.address.port)/"), .handshakeCut, at: "TLS")
        // What TLS servers say to plain HTTP is no proof that it is spoken there.
        let secure = try ScriptedBackend { peer in
            if try peer.read(1) == [0x16] { return }
            try peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            _ = try peer.readUntilEnd()
        }
        expect(
            try diagnose("wss://127.0.0.1:\(secure.address.port)/"), .handshakeCut, at: "TLS")
        let silent = try ScriptedBackend.silent()
        expect(
            try diagnose("wss://127.0.0.1:\(silent.address.port)/", ["--timeout", "1"]),
            .handshakeCut, at: "TLS", "does not answer")
    }

    @Test func `mixed content is told without asking the server`() throws {
        let finding = try diagnose("ws://app.invalid/", ["--page", "https://app.invalid/"])
        expect(finding, .mixedContent, at: "page", "mixed content", "Use wss://app.invalid/ in")
        let other = try diagnose("ws://app.invalid:81/", ["--page", "https://app.invalid/"])
        expect(other, .mixedContent, at: "page", "Use wss://app.invalid:81/ in")
        // This machine is let through by most browsers, and said to be.
        let backend = try ScriptedBackend.echo()
        let local = try diagnose(
            "ws://127.0.0.1:\(backend.address.port)/", ["--page", "https://App.test:443/x"])
        expect(local, .healthy, at: "ping")
        #expect(local.notes.contains { $0.contains("Safari") }, "\(local)")
        let request = String(decoding: backend.received(), as: UTF8.self)
        #expect(request.contains("\r\nOrigin: https://app.test\r\n"), "\(request)")
    }

    @Test func `what may be secret stays here where the server is not believed`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let files = try papers.issue("good")
        let server = try PythonServer("tell", [files[1], files[3]])
        let secret = ["--header", "Cookie: secret=1", "--timeout", "1"]
        let finding = try diagnose(
            "wss://app.test:\(server.port)/chat?token=secret",
            secret + ["--resolve", "app.test:127.0.0.1"])
        expect(finding, .untrustedAuthority, at: "certificate", "Root")
        #expect(finding.beyond?.verdict == "not-upgraded", "\(finding)")
        #expect(finding.notes.contains { $0.contains("may be secret") }, "\(finding)")
        try server.process.waitForLine(containing: "GET /chat HTTP/1.1")
        try server.process.waitForLine(containing: "Sec-WebSocket-Version: 13")
        #expect(!server.process.output.contains { $0.contains("secret") })
        // Nor does it go over a wire in the clear that was meant to be TLS.
        let backend = try ScriptedBackend.echo()
        expect(
            try diagnose(
                "wss://app.test:\(backend.address.port)/chat?token=secret",
                secret + ["--resolve", "app.test:127.0.0.1"]), .plainHTTP, at: "TLS")
        for index in 0..<backend.connectionCount {
            let text = String(decoding: backend.received(index), as: UTF8.self)
            #expect(!text.contains("secret"), "\(text)")
        }
    }

    @Test func `ws on a TLS port`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let server = try SecureServer(try papers.issue("good"))
        let finding = try diagnose("ws://localhost:\(server.port)/")
        expect(finding, .speaksTLS, at: "upgrade", "wss://localhost:\(server.port)/")
        // Sluice answers plain HTTP there in plain HTTP, with 400.
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let other = try diagnose("ws://localhost:\(proxy.port())/Esv/ocp")
        expect(other, .speaksTLS, at: "upgrade", "wss://localhost:\(proxy.port())/Esv/ocp")
    }

    @Test func `a port is the same whether its scheme is named or found out, however slow it is`()
        throws
    {
        let papers = try Papers()
        defer { papers.remove() }
        let server = try SecureServer(try papers.issue("slow"))
        let ca = ["--ca", papers.authority, "--timeout", "12"]
        let sleeping = server.sleep(forSeconds: 3)
        let found = try diagnose("localhost:\(server.port)", ca)
        _ = try sleeping.join()
        let named = try diagnose(server.url(), ca)
        #expect(found.url == named.url && found.verdict == named.verdict, "\(found) \(named)")
        #expect(found.notes.contains { $0.contains("since that port speaks TLS") }, "\(found)")
    }

    @Test(arguments: [
        (["ws://127.0.0.1:9/", "--resolve", "app.test:127.0.0.1"], "app.test", "127.0.0.1"),
        (["ws://app.test:9/", "--resolve", "ap.test:127.0.0.1"], "ap.test", "app.test"),
    ])
    func `an address for a name that nothing asks for is wrong usage`(
        arguments: [String], name: String, host: String
    ) throws {
        let child = try ChildProcess([try ProxyFixture.program(), "doctor"] + arguments)
        #expect(try child.waitForExit() == 64)
        let words = child.errors.joined(separator: "\n")
        #expect(words.contains("--resolve gives \(name) an address"), "\(words)")
        #expect(words.contains("did you mean --resolve \(host):ADDRESS?"), "\(words)")
    }
}
