// SPDX-License-Identifier: Apache-2.0
//
// Goal: "healthy" means that a page gets in: by its origin, with a certificate that this user's browsers
// believe, and from a network from which Chromium lets it; and what people write is read as they mean it.
// Method: the program against Sluice and against apps that judge origins, with homes that have browsers.

import Foundation
import Glibc
import TestKit
import Testing

@testable import Doctor

@Suite struct PageVerdictTests {
    /// Quick mode in front of an echo app, with a home of its own.
    private static func quick() throws -> (proxy: ProxyFixture, echo: ProxyFixture) {
        let echo = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        let proxy = try ProxyFixture(arguments: ["\(echo.port())", "--listen", "127.0.0.1:0"])
        return (proxy, echo)
    }

    private static func home(_ proxy: ProxyFixture) -> [String: String] {
        ["HOME": proxy.folder, "XDG_DATA_HOME": "\(proxy.folder)/data"]
    }

    @Test func `browsers that do not trust the authority have a verdict of their own`() throws {
        let (proxy, echo) = try Self.quick()
        let home = Self.home(proxy)
        // Somebody who has used Chromium.
        try FileManager.default.createDirectory(
            atPath: "\(proxy.folder)/.config/chromium", withIntermediateDirectories: true)
        let before = try diagnose(proxy.url("/"), environment: home)
        expect(
            before, .untrustedByBrowsers, at: "ping",
            "no browser of this user trusts that (Chromium ",
            "ERR_CERT_AUTHORITY_INVALID", "sluice cert trust")
        let trusting = try ChildProcess(
            [try ProxyFixture.program(), "cert", "trust", "--only", "browsers"], environment: home)
        #expect(try trusting.waitForExit() == 0, "\(trusting.output)")
        let after = try diagnose(proxy.url("/"), environment: home)
        expect(after, .healthy, at: "ping")
        #expect(after.notes.contains { $0.contains("this user's browsers trust that: Chromium") })
        // One that does not is a note beside one that does.
        try FileManager.default.createDirectory(
            atPath: "\(proxy.folder)/.mozilla/firefox/a.default", withIntermediateDirectories: true)
        try run([
            "certutil", "-N", "-d", "sql:\(proxy.folder)/.mozilla/firefox/a.default",
            "--empty-password",
        ])
        let both = try diagnose(proxy.url("/"), environment: home)
        expect(both, .healthy, at: "ping")
        #expect(
            both.notes.contains {
                $0.contains("not all of this user's browsers trust that: Firefox ")
            }, "\(both)")
        withExtendedLifetime(echo) {}
    }

    @Test func `a page of a public network is told what Chromium asks for`() throws {
        let backend = try PoliteApp.start()
        defer { backend.stop() }
        let proxy = try ProxyFixture(to: backend.address, options: "origins: any")
        let ca = ["--ca", try TestCertificates.shared().authority]
        let address = ["--resolve", "shop.test:203.0.113.9", "--resolve", "localhost:127.0.0.1"]
        let plain = try diagnose(proxy.url(), ca + address + ["--page", "http://shop.test/"])
        expect(
            plain, .localNetwork, at: "ping", "by plain http from shop.test",
            "ERR_BLOCKED_BY_LOCAL_NETWORK_ACCESS_CHECKS", "Serve the page by https")
        let secure = try diagnose(proxy.url(), ca + address + ["--page", "https://shop.test/"])
        expect(secure, .healthy, at: "ping")
        #expect(
            secure.notes.contains { $0.contains("allow=\"loopback-network\"") }, "\(secure.notes)")
        // Chromium lets these open it, as BrowserTests see.
        let near = ["--resolve", "near.test:192.168.1.20", "--resolve", "localhost:127.0.0.1"]
        for scheme in ["http", "https"] {
            let neighbour = try diagnose(
                proxy.url(), ca + near + ["--page", "\(scheme)://near.test/"])
            expect(neighbour, .healthy, at: "ping")
            #expect(
                neighbour.notes.contains { $0.contains("Chromium 156 does not") },
                "\(neighbour.notes)")
        }
        // Without an address of the page nothing can be said of it, and that is said.
        let unknown = try diagnose(proxy.url(), ca + ["--page", "https://nowhere.invalid/"])
        expect(unknown, .healthy, at: "ping")
        #expect(
            unknown.notes.contains { $0.contains("nowhere.invalid has no address here") },
            "\(unknown.notes)")
        // Pages of this machine are asked nothing.
        let own = try diagnose(proxy.url(), ca + ["--page", "http://localhost:3000/"])
        expect(own, .healthy, at: "ping")
        #expect(!own.notes.contains { $0.contains("Local Network Access") }, "\(own.notes)")
    }

    @Test func `a refusal because of the origin is told from any other`() throws {
        let judging = try ScriptedBackend { peer in
            let head = try peer.readHead()
            let isProgram = head["Origin"] == nil
            try peer.send(
                isProgram
                    ? "HTTP/1.1 101 Switching Protocols\r\n\r\n"
                    : "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        defer { judging.stop() }
        let url = "ws://127.0.0.1:\(judging.address.port)/"
        let origin = "http://127.0.0.1:\(judging.address.port)"
        expect(
            try diagnose(url), .forbidden, at: "upgrade",
            "refuses pages of the origin \(origin) (403)",
            "without an Origin, as programs connect, the socket opens")
        let never = try ScriptedBackend.answering(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        defer { never.stop() }
        let other = "ws://127.0.0.1:\(never.address.port)/"
        expect(
            try diagnose(other), .forbidden, at: "upgrade", "and without one",
            "--origin tries another")
        expect(
            try diagnose(other, ["--origin", "none"]), .forbidden, at: "upgrade", "had no Origin")
    }

    @Test func `a page from a file asks as browsers do, and that some programs send file is told`()
        throws
    {
        let backend = try PoliteApp.start()
        defer { backend.stop() }
        let ca = ["--ca", try TestCertificates.shared().authority]
        let proxy = try ProxyFixture(to: backend.address, options: "origins: [\"null\"]")
        let page = ["--page", "file:///home/me/page.html"]
        let found = try diagnose(proxy.url(), ca + page)
        expect(found, .healthy, at: "ping")
        #expect(
            found.notes.contains { $0.contains("--origin file:// asks as these do") }, "\(found)")
        let other = try diagnose(proxy.url(), ca + page + ["--origin", "file://"])
        expect(other, .forbidden, at: "upgrade", "the origin file://")
        #expect(!other.notes.contains { $0.contains("--origin file://") }, "\(other)")
    }

    @Test func `healthy means that a page of the same host gets in`() throws {
        let backend = try PoliteApp.start()
        defer { backend.stop() }
        let ca = ["--ca", try TestCertificates.shared().authority]
        let narrow = try ProxyFixture(
            to: backend.address, options: "origins: [\"https://shop.test\"]")
        let refused = try diagnose(narrow.url(), ca)
        expect(
            refused, .forbidden, at: "upgrade",
            "Sluice refuses a page of the origin https://localhost:\(narrow.port())",
            "'origins' of the route /Esv/ocp does not list it")
        // Once in words, and what to do; not the answer and its fields again.
        #expect(refused.notes.isEmpty, "\(refused)")
        #expect(!"\(refused)".contains("Proxy-Status"), "\(refused)")
        expect(
            try diagnose(narrow.url(), ca + ["--page", "https://shop.test/"]), .healthy, at: "ping")
        expect(try diagnose(narrow.url(), ca + ["--origin", "none"]), .healthy, at: "ping")
        let usual = try ProxyFixture(to: backend.address)
        expect(try diagnose(usual.url(), ca), .healthy, at: "ping")
    }

    @Test func `what people write is read as they mean it, and said`() throws {
        let (proxy, echo) = try Self.quick()
        let home = Self.home(proxy)
        for text in [
            "\(echo.port())", "localhost:\(echo.port())", "http://localhost:\(echo.port())/",
        ] {
            let found = try diagnose(text, environment: home)
            #expect(found.url == "ws://localhost:\(echo.port())/", "\(found)")
            expect(found, .healthy, at: "ping")
            #expect(found.notes.first?.hasPrefix("\(text) is read as ws://") == true, "\(found)")
        }
        for text in ["localhost:\(proxy.port())/a?b", "https://localhost:\(proxy.port())/a?b"] {
            let found = try diagnose(text, environment: home)
            #expect(found.url == "wss://localhost:\(proxy.port())/a?b", "\(found)")
            #expect(found.notes.first?.contains(" is read as wss://") == true, "\(found)")
        }
        let nobody = try PeerAddress.refusing()
        let closed = try diagnose("localhost:\(nobody.port)")
        #expect(closed.verdict == "refused" && closed.url.hasPrefix("ws://"), "\(closed)")
        let named = try diagnose("no.such.invalid", ["--resolve", "no.such.invalid:127.0.0.1"])
        #expect(named.url == "wss://no.such.invalid:443/", "\(named)")
    }

    @Test(.enabled(if: geteuid() == 0, "makes a network of its own"))
    func `a name server that says nothing does not hold up the walk`() throws {
        // One that takes questions and never answers; the system's resolver would wait for minutes.
        let inside = """
            ip link set lo up && printf 'nameserver 127.0.0.1\\noptions timeout:30 attempts:5\\n' > "$0" \
            && mount --bind "$0" /etc/resolv.conf && exec python3 -c 'import socket, subprocess, sys
            mute = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            mute.bind(("127.0.0.1", 53))
            sys.exit(subprocess.call(sys.argv[1:]))' "$@"
            """
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let found = try diagnose(
            "wss://app.test/", ["--timeout", "2"],
            wrapper: ["unshare", "-n", "-m", "sh", "-c", inside, "\(folder)/resolv.conf"])
        #expect(found.verdict == "name-not-found", "\(found)")
        #expect(found.sentence.contains("no name server answers in time"), "\(found)")
        #expect(found.remedy.contains("resolvectl status"))
    }
}

/// An app that answers pings and lets everybody in.
private enum PoliteApp {
    static func start() throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            try peer.accept()
            while true {
                let frame = try peer.readFrame()
                if frame.opcode == 9 { try peer.send(Frame(opcode: 10, payload: frame.payload)) }
                if frame.closeCode != nil { return }
            }
        }
    }
}
