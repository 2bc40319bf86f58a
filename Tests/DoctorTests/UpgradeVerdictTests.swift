// SPDX-License-Identifier: Apache-2.0
import Foundation
import TLS
import TestKit
import Testing

@testable import Doctor

/// Goal: what is wrong with the WebSocket itself is told apart, to the last step.
struct UpgradeVerdictTests {
    @Test(arguments: [
        (
            "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection Upgrade\r\n\r\n",
            "begins like"
        ),
        ("HTTP/1.1 200 OK\nContent-Length: 0\n\n", "begins like"), ("SSH-2.0-x\r\n", "SSH-2.0-x"),
    ])
    func `what will never be a head is not waited for`(answer: String, words: String) throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send(answer)
            _ = try peer.readUntilEnd(by: .after(.seconds(600)))
        }
        // Waited for, it would end long after the test has given up.
        let finding = try diagnose(
            "ws://127.0.0.1:\(backend.address.port)/", ["--timeout", "600"])
        expect(finding, .otherProtocol, at: "upgrade", words)
    }

    @Test func `an answer that ends in its head is said to`() throws {
        let backend = try ScriptedBackend.answering("HTTP/1.1 200 OK\r\nContent-")
        let finding = try diagnose("ws://127.0.0.1:\(backend.address.port)/")
        expect(finding, .otherProtocol, at: "upgrade", "in the middle of its head")
    }

    private func url(_ backend: ScriptedBackend) -> String {
        "ws://127.0.0.1:\(backend.address.port)/chat"
    }

    @Test(arguments: [
        ("404 Not Found", Verdict.notFound, "/chat"), ("403 Forbidden", .forbidden, "origin"),
        ("401 Unauthorized", .unauthorized, "--header"),
        ("426 Upgrade Required", .upgradeRequired, "(426)"),
        ("429 Too Many Requests\r\nRetry-After: 7", .tooManyRequests, "in 7 s"),
        (
            "502 Bad Gateway\r\nProxy-Status: sluice; error=connection_refused", .badGateway,
            "connection_refused"
        ),
        ("503 Service Unavailable", .unavailable, "Start the app"),
        ("504 Gateway Timeout", .gatewayTimeout, "in time"),
        ("302 Found\r\nLocation: https://a.test/", .redirected, "Use wss://a.test:443/"),
        ("308 Permanent Redirect\r\nLocation: /new", .redirected, "/new, if that"),
        ("426 Upgrade Required\r\nSec-WebSocket-Version: 8", .upgradeRequired, "version 8"),
        ("426 Upgrade Required\r\nUpgrade: TLS/1.2, HTTP/1.1", .upgradeRequired, "Use wss://"),
        ("426 Upgrade Required\r\nUpgrade: websocket", .fieldsStripped, "proxy_http_version"),
        ("503 No\r\nRetry-After: Fri, 01 Jan 2027 00:00:00 GMT", .unavailable, "after Fri, 01"),
        ("200 OK", .notUpgraded, "ordinary page"), ("500 Oh", .refusedUpgrade, "500 Oh"),
        (
            "101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=", .wrongAccept, "key"
        ),
        ("101 Switching Protocols", .fieldsStripped, "Upgrade: websocket"),
    ])
    func `answers that open no socket`(status: String, verdict: Verdict, words: String) throws {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\r\n")
        expect(try diagnose(url(backend)), verdict, at: "upgrade", words)
    }

    @Test func `Sluice itself says where it failed`() throws {
        let refusing = try PeerAddress.refusing()
        let proxy = try ProxyFixture(to: refusing)
        let ca = ["--ca", try TestCertificates.shared().authority]
        expect(
            try diagnose(proxy.url(), ca), .badGateway, at: "upgrade", "connection_refused")
        expect(try diagnose(proxy.url("/other"), ca), .notFound, at: "upgrade", "/other")
        expect(
            try diagnose(proxy.url(), ca + ["--origin", "https://evil.test"]), .forbidden,
            at: "upgrade", "https://evil.test")
    }

    @Test(arguments: [
        (
            "The route /a is being drained and takes no new WebSockets.",
            "sluice drain --route /a --resume opens it again."
        ),
        ("Every endpoint of chat is being drained.", "sluice drain --endpoint NAME --resume"),
        // It goes away: nothing is to be resumed.
        ("This server is shutting down.", "Start the app"),
    ])
    func `what an operator drains is opened again by the operator`(
        answer: String, remedy: String
    ) throws {
        let head =
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain\r\n"
            + "Proxy-Status: sluice; error=destination_unavailable\r\n"
        let backend = try ScriptedBackend.answering(
            "\(head)Content-Length: \(answer.utf8.count)\r\n\r\n\(answer)")
        expect(try diagnose(url(backend)), .unavailable, at: "upgrade", remedy)
        // An app may say the same of itself: there is no Sluice to be asked.
        let app = try ScriptedBackend.answering(
            "HTTP/1.1 503 No\r\nContent-Type: text/plain\r\n"
                + "Content-Length: \(answer.utf8.count)\r\n\r\n\(answer)")
        expect(try diagnose(url(app)), .unavailable, at: "upgrade", "Start the app")
    }

    @Test func `no answer, in time or at all`() throws {
        let silent = try ScriptedBackend.silent()
        expect(
            try diagnose(url(silent), ["--timeout", "1"]), .noAnswer, at: "upgrade",
            "does not answer")
        let closing = try ScriptedBackend { peer in _ = try peer.readHead() }
        expect(try diagnose(url(closing)), .noAnswer, at: "upgrade", "closes the connection")
    }

    @Test func `subprotocols`() throws {
        let backend = try ScriptedBackend { peer in
            try peer.accept(extra: [("Sec-WebSocket-Protocol", "b")])
            try peer.echo()
        }
        expect(
            try diagnose(url(backend), ["--subprotocol", "a", "--subprotocol", "b"]), .healthy,
            at: "ping")
        expect(
            try diagnose(url(backend), ["--subprotocol", "a"]), .subprotocolRefused,
            at: "upgrade", "the subprotocol b")
    }

    @Test func `sockets that do not stay`() throws {
        let closing = try ScriptedBackend { peer in
            try peer.accept()
            try peer.send(Frame.close(1011, "no database"))
            _ = try peer.readUntilEnd()
        }
        expect(
            try diagnose(url(closing)), .closedAtOnce, at: "ping", "1011", "no database",
            "an error in the server")
        let ending = try ScriptedBackend { peer in try peer.accept() }
        expect(try diagnose(url(ending)), .closedAtOnce, at: "ping", "without a Close")
        let deaf = try ScriptedBackend { peer in
            try peer.accept()
            _ = try peer.readUntilEnd()
        }
        expect(try diagnose(url(deaf), ["--timeout", "1"]), .noPong, at: "ping", "RFC 6455")
        let tired = try ScriptedBackend { peer in
            try peer.accept()
            let ping = try peer.readFrame()
            try peer.send(Frame(opcode: 10, payload: ping.payload))
            try peer.send(Frame.close(1001))
            _ = try peer.readUntilEnd()
        }
        expect(
            try diagnose(url(tired), ["--idle", "3"]), .diesIdle, at: "idle",
            "Close 1001 (going away)")
    }

    /// Pings, which help elsewhere, do not count for it.
    @Test func `the idle limit of a Sluice has its own cure, which helps`() throws {
        let backend = try ScriptedBackend.echo()
        defer { backend.stop() }
        func proxy(_ idle: String) throws -> ProxyFixture {
            try ProxyFixture(
                to: backend.address, options: "idle: \(idle)", listeners: [.plain])
        }
        let short = try proxy("500ms")
        let finding = try diagnose(short.url(), ["--idle", "5"])
        expect(
            finding, .diesIdle, at: "idle", "idle for too long", "raise idle of its route",
            "send a message more often", "pings do not count for it")
        let long = try proxy("60s")
        let followed = try diagnose(long.url(), ["--idle", "1"])
        #expect(followed.verdict == Verdict.healthy.rawValue, "\(followed)")
    }

    @Test func `a socket that is gone after the silence without a word`() throws {
        let deaf = try ScriptedBackend { peer in
            try peer.accept()
            let ping = try peer.readFrame()
            try peer.send(Frame(opcode: 10, payload: ping.payload))
            _ = try peer.readUntilEnd()
        }
        expect(
            try diagnose(url(deaf), ["--idle", "0.2", "--timeout", "1"]), .diesIdle, at: "idle",
            "0.2 s of silence: no answer to a ping")
    }

    @Test func `a socket that outlives the silence is healthy`() throws {
        let backend = try ScriptedBackend.echo()
        let finding = try diagnose(url(backend), ["--idle", "0.3"])
        expect(finding, .healthy, at: "idle")
    }

    @Test func `the fields asked for are sent`() throws {
        let backend = try ScriptedBackend.echo()
        let finding = try diagnose(
            url(backend),
            ["--header", "Cookie: a=b", "--page", "http://a.test:81/x/y", "--header", "X-Y:z"])
        expect(finding, .healthy, at: "ping")
        let request = String(decoding: backend.received(), as: UTF8.self)
        for line in ["Cookie: a=b", "X-Y: z", "Origin: http://a.test:81"] {
            #expect(request.contains("\r\n\(line)\r\n"), "\(request)")
        }
    }

    @Test func `what takes long is said to, and where`() throws {
        let backend = try ScriptedBackend.echo()
        let finding = try diagnose(url(backend), ["--slow", "0"])
        expect(finding, .slow, at: "ping", "It works, but opening took")
        let slowest = try #require(finding.steps.max { $0.milliseconds < $1.milliseconds })
        #expect(finding.sentence.hasSuffix("most of it for \(slowest.name)."), "\(finding)")
        #expect(finding.remedy.hasPrefix("See "))
        expect(try diagnose(url(backend), ["--slow", "60"]), .healthy, at: "ping")
    }

    @Test func `garbage ends with a verdict`() throws {
        for seed in 0..<40 {
            let garbage = (0..<300).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 7919 >> 3) }
            let backend = try ScriptedBackend { peer in
                if seed % 2 == 0 { try peer.accept() }
                try peer.send(garbage)
            }
            var options = Doctor.Options()
            options.timeoutSeconds = 1
            for scheme in ["ws", "wss"] {
                let url = try #require(
                    SocketURL("\(scheme)://127.0.0.1:\(backend.address.port)/"))
                #expect(try Doctor.examine(url, options).verdict != .healthy)
            }
        }
    }
}
