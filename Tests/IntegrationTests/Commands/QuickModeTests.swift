// SPDX-License-Identifier: Apache-2.0
//
// Goal: `sluice PORT` is all that a newcomer needs: a wss URL, with a certificate made for it.
// Method: the program with arguments alone, its data in a scratch folder; the certificate that it
// made is verified against the authority that it left there.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct QuickModeTests {
    private func authority(below folder: String) throws -> String {
        let files = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String }
        let found = try #require(files?.first { $0.hasSuffix("ca.pem") }, "\(files ?? [])")
        return "\(folder)/\(found)"
    }

    private func expectEcho(_ client: WebSocketPeer, _ opening: Opening) throws {
        try client.open(opening)
        try client.send(Frame.text("hello").masked())
        #expect(try client.readFrame() == Frame.text("hello"))
    }

    @Test(arguments: ["", "127.0.0.1:", "ws://127.0.0.1:"])
    func `a port or address or URL suffices`(prefix: String) throws {
        let backend = try ScriptedBackend.echo()
        let upstream = "\(prefix)\(backend.address.port)"
        let proxy = try ProxyFixture(arguments: [upstream, "--listen", "127.0.0.1:0"])
        #expect(proxy.urls[0].hasPrefix("wss://"))
        let file = try authority(below: proxy.folder)
        for name in ["localhost", "127.0.0.1"] {
            let client = try proxy.connect(security: .tls(name: name, authority: file))
            try expectEcho(client, Opening("/any/path"))
        }
    }

    @Test func `the certificate is made once and its key is private`() throws {
        let backend = try ScriptedBackend.echo()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let arguments = ["\(backend.address.port)", "--listen", "127.0.0.1:0"]
        var seen: [String] = []
        for _ in 0..<2 {
            let proxy = try ProxyFixture(arguments: arguments, home: folder)
            let file = try authority(below: folder)
            try expectEcho(try proxy.connect(security: .tls(authority: file)), Opening("/"))
            seen.append(try Scratch.read(file))
        }
        #expect(seen[0] == seen[1])
        let files = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String }
        for name in files ?? [] where name.hasSuffix(".key") || name.hasSuffix("key.pem") {
            let attributes = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")
            #expect(attributes[.posixPermissions] as? Int == 0o600, "\(name)")
        }
    }

    @Test func `own certificate and path are taken`() throws {
        let backend = try ScriptedBackend.echo()
        let files = try TestCertificates.shared().local
        let proxy = try ProxyFixture(arguments: [
            "\(backend.address.port)", "--listen", "127.0.0.1:0", "--path", "/Esv/ocp",
            "--cert", files.chain, "--key", files.key,
        ])
        try expectEcho(try proxy.connect(), Opening("/Esv/ocp"))
        let client = try proxy.connect()
        #expect(try client.refusal(of: Opening("/other")).status == 404)
    }

    @Test func `faults are refused with who runs, and what to run for them`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(arguments: [
            "\(backend.address.port)", "--listen", "127.0.0.1:0",
        ])
        let place = try ended([
            "sh", "-c", "find '\(proxy.folder)' -type s",
        ]).output.split(separator: "\n").first.map(String.init)
        let said = try ended([
            try ProxyFixture.program(), "chaos", "--cut", "1%", "--admin", try #require(place),
        ])
        #expect(said.status == 1)
        let who = "(pid \(proxy.process.identifier)) runs in quick mode"
        #expect(said.output.contains(who), "\(said)")
        #expect(said.output.contains("'allowFaults: true'"), "\(said)")
        #expect(said.output.contains("`sluice run -c FILE`"), "\(said)")
    }

    private func status(_ proxy: ProxyFixture, _ origin: String) throws -> Int {
        let security = ClientSecurity.tls(authority: try authority(below: proxy.folder))
        let client = try proxy.connect(security: security)
        let opening = Opening("/", host: "localhost:\(proxy.port())", extra: [("Origin", origin)])
        try client.send(opening.bytes)
        return try client.readHead().status
    }

    @Test func `pages of this machine are let in, and no site's frame`() throws {
        let backend = try ScriptedBackend.echo()
        let port = "\(backend.address.port)"
        let proxy = try ProxyFixture(arguments: [port, "--listen", "127.0.0.1:0"])
        for origin in ["http://localhost:3000", "http://127.0.0.1:3000", "file://"] {
            #expect(try status(proxy, origin) == 101, "\(origin)")
        }
        for origin in ["null", "https://site.example", "file://x"] {
            #expect(try status(proxy, origin) == 403, "\(origin)")
        }
        // Where others can connect, a file may be theirs.
        let open = try ProxyFixture(arguments: [port, "--listen", "0.0.0.0:0"])
        #expect(try status(open, "http://localhost:3000") == 101)
        #expect(try status(open, "file://") == 403)
    }

    @Test func `a page that is refused is let in by the option that the refusal names`() throws {
        let backend = try ScriptedBackend.echo()
        let arguments = ["\(backend.address.port)", "--listen", "127.0.0.1:0"]
        let proxy = try ProxyFixture(arguments: arguments)
        let security = ClientSecurity.tls(authority: try authority(below: proxy.folder))
        for origin in ["https://site.example:8080", "null"] {
            let client = try proxy.connect(security: security)
            let refusal = try client.refusal(of: Opening("/", extra: [("Origin", origin)]))
            let cure = "To let it in, start sluice with --origin \(origin)."
            #expect(refusal.status == 403 && refusal.text.contains(cure), "\(refusal.text)")
            try proxy.process.waitForLine(containing: cure)
            let other = try ProxyFixture(arguments: arguments + ["--origin", origin])
            #expect(try status(other, origin) == 101)
            #expect(try status(other, "https://other.example") == 403)
            #expect(try status(other, "http://localhost:3000") == 101)
        }
        // What a terminal would obey is not offered for copying.
        // Nor is what the option would refuse.
        for (origin, advice) in [
            ("x://y/;reboot", "--origin ORIGIN."), ("x;reboot", "--origin any,"),
            ("garbage", "--origin any,"),
        ] {
            let client = try proxy.connect(security: security)
            let refusal = try client.refusal(of: Opening("/", extra: [("Origin", origin)]))
            #expect(refusal.text.contains(advice), "\(refusal.text)")
        }
        let any = try ProxyFixture(arguments: arguments + ["--origin", "any"])
        for origin in ["null", "https://site.example"] {
            #expect(try status(any, origin) == 101, "\(origin)")
        }
    }

    @Test func `what is no origin is refused with a suggestion`() throws {
        for (words, said) in [
            (["site.example"], "did you mean 'https://site.example'?"),
            (["any", "https://site.example"], "'any' lets every page in"),
            (["*"], "did you mean 'any'?"),
        ] {
            let child = try ChildProcess(
                [try ProxyFixture.program(), "3000"] + words.flatMap { ["--origin", $0] })
            #expect(try child.waitForExit() == 64, "\(words)")
            let errors = child.errors.joined(separator: "\n")
            #expect(errors.contains(said), "\(errors)")
        }
    }

    @Test(
        .enabled(if: geteuid() == 0, "sudo makes root of whoever calls it"),
        arguments: [true, false])
    func `by sudo it says whose the authority is, unless it makes none`(isMade: Bool) throws {
        let backend = try ScriptedBackend.echo()
        let files = try TestCertificates.shared().local
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let program = try ChildProcess(
            [
                try ProxyFixture.program(), "\(backend.address.port)", "--listen", "127.0.0.1:0",
            ] + (isMade ? [] : ["--cert", files.chain, "--key", files.key]),
            environment: ["HOME": folder, "SUDO_USER": "daemon"])
        defer { program.signal(SIGKILL) }
        // Notices stand above what is listened at.
        try program.waitForLine(containing: "listening wss://")
        let notices = program.output.filter { $0.contains("no browser of daemon believes") }
        #expect(notices.count == (isMade ? 1 : 0), "\(program.output)")
        for notice in notices {
            #expect(notice.contains("cap_net_bind_service=+ep \(try ProxyFixture.program())"))
        }
    }

    @Test func `a policy for https of the app's own binds no browser to this machine's names`()
        throws
    {
        let app = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-App: 1\r\n"
                + "Strict-Transport-Security: max-age=600\r\n\r\n")
        let own = try TestCertificates.shared().local
        for isMade in [true, false] {
            let proxy = try ProxyFixture(
                arguments: ["\(app.address.port)", "--listen", "0", "--no-check"]
                    + (isMade ? [] : ["--cert", own.chain, "--key", own.key]))
            let head = try run(["curl", "-skD-", "https://localhost:\(proxy.port())/"])
                .map { $0.lowercased() }
            #expect(head.contains { $0.hasPrefix("x-app: 1") }, "\(head)")
            // A certificate of one's own may have names that are one's own too.
            let isThere = head.contains { $0.hasPrefix("strict-transport-security: ") }
            #expect(isThere == !isMade, "\(head)")
        }
    }

    @Test func `the echo app answers behind quick mode`() throws {
        let echo = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        #expect(echo.urls[0].hasPrefix("ws://"))
        let proxy = try ProxyFixture(arguments: [
            "\(echo.port())", "--listen", "127.0.0.1:0",
        ])
        let file = try authority(below: proxy.folder)
        let client = try proxy.connect(security: .tls(authority: file))
        try expectEcho(client, Opening("/"))
        try client.send(Frame.close(1000).masked())
        #expect(try client.readFrame().closeCode == 1000)
    }

    @Test func `an upstream that makes no sense is refused with a sentence`() throws {
        for upstream in ["70000", "127.0.0.1:70000", "ws://", "wss://localhost:70000", "unix:"] {
            let child = try ChildProcess([
                try ProxyFixture.program(), upstream, "--listen", "127.0.0.1:0",
            ])
            #expect(try child.waitForExit() != 0, "\(upstream)")
            #expect(!child.errors.isEmpty)
        }
    }
}
