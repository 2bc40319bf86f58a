// SPDX-License-Identifier: Apache-2.0
//
// Goal: where there is no TLS with an app, the client gets 502 or 504 with the type of RFC 9209, and the log a
// sentence that says what was found, where, and what to do; the endpoint counts as one that can't be reached.
// Method: certificates that are wrong in each way, and apps that break the handshake at each step.

import TLS
import TestKit
import Testing

@Suite struct UpstreamTLSFaultTests {
    private func expectRefused(
        by url: String, _ status: Int, _ error: String, _ words: String, settings: [String] = [],
        tls: String = "", _ source: SourceLocation = #_sourceLocation,
        during: () throws -> Void = {}
    ) throws {
        let sluice = try Operated(
            routes: ["{ path: \"/*\", to: app }"],
            settings: [try TLSApp.upstream([url], tls: tls)] + settings)
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.connect()
        try client.send(Opening("/any").bytes)
        try during()
        let response = try client.readResponse()
        #expect(response.status == status, sourceLocation: source)
        let proxyStatus = response.head["Proxy-Status"] ?? ""
        #expect(proxyStatus.contains("error=\(error);"), "\(proxyStatus)", sourceLocation: source)
        #expect(response.text.contains(words), "\(response.text)", sourceLocation: source)
        // It is told of like an endpoint that can't be reached.
        let line = try sluice.proxy.process.waitForLine(
            containing: "The endpoint \(url) of app fails: ")
        #expect(line[0].contains(words), "\(line)", sourceLocation: source)
        #expect(try sluice.command(["status"]).output.contains(words), sourceLocation: source)
    }

    @Test(arguments: [
        ("expired", "has expired on 20"), ("early", "is not valid before 20"),
        ("other", "is for app.internal and not for localhost"),
        ("purpose", "not for servers"), ("selfsigned", "is self-signed: name its file as tls.ca"),
        ("stranger", "that is not trusted here (CN=Nobody's authority)"),
        ("long", "more than 8 others between itself"),
    ])
    func `a certificate that can't be believed is refused`(kind: String, words: String) throws {
        let app = try TLSApp(kind)
        try expectRefused(by: app.url, 502, "tls_certificate_error", words)
    }

    @Test func `an app that speaks no TLS is found out`() throws {
        let backend = try ManualBackend()
        guard case .tcp(let port) = backend.address else { return }
        try expectRefused(
            by: "wss://127.0.0.1:\(port)", 502, "tls_protocol_error", "it answered in plain HTTP"
        ) {
            let peer = try backend.next()
            #expect(try peer.read(1) == [0x16])
            try peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        }
    }

    @Test func `an app that closes within the handshake is found out`() throws {
        let backend = try ManualBackend()
        guard case .tcp(let port) = backend.address else { return }
        try expectRefused(
            by: "wss://127.0.0.1:\(port)", 502, "tls_protocol_error",
            "it closed the connection within the TLS handshake"
        ) {
            let peer = try backend.next()
            #expect(try peer.read(1) == [0x16])
            // A part of an answer, and then the end.
            try peer.send([0x16, 3, 3, 0, 122, 2, 0, 0])
            peer.stream.close()
        }
    }

    @Test func `an alert is passed on by its number`() throws {
        let backend = try ManualBackend()
        guard case .tcp(let port) = backend.address else { return }
        try expectRefused(
            by: "wss://127.0.0.1:\(port)", 502,
            "tls_alert_received; alert-id=112; alert-message=\"unrecognized name\"",
            "it does not know the name 127.0.0.1"
        ) {
            let peer = try backend.next()
            #expect(try peer.read(1) == [0x16])
            try peer.send([0x15, 3, 3, 0, 2, 2, 112])
        }
    }

    @Test func `bytes that are no handshake are refused`() throws {
        let backend = try ManualBackend()
        guard case .tcp(let port) = backend.address else { return }
        try expectRefused(
            by: "wss://127.0.0.1:\(port)", 502, "tls_protocol_error", "the TLS handshake failed ("
        ) {
            let peer = try backend.next()
            #expect(try peer.read(1) == [0x16])
            try peer.send([0x16, 3, 3, 0, 4, 99, 0, 0, 0])
        }
    }

    /// HelloRequest is a message that a client passes over while its handshake is under way (RFC 5246 §7.4.1.1).
    @Test func `a handshake without end is ended`() throws {
        let backend = try ManualBackend()
        guard case .tcp(let port) = backend.address else { return }
        try expectRefused(
            by: "wss://127.0.0.1:\(port)", 502, "tls_protocol_error", "its TLS handshake has no end"
        ) {
            let peer = try backend.next()
            #expect(try peer.read(1) == [0x16])
            let request: [UInt8] = [0x16, 3, 3, 0, 4, 0, 0, 0, 0]
            let many = Array(repeatElement(request, count: 4_000).joined())
            // It is closed before all has gone.
            for _ in 0..<40 { guard (try? peer.send(many)) != nil else { break } }
        }
    }

    /// What the failed handshake has not read stays out of that of the next one's.
    @Test func `a check that fails leaves the next ones alone`() throws {
        let bad = try TLSApp("expired")
        let good = try TLSApp()
        let sluice = try Operated(
            routes: ["{ path: \"/*\", to: app }"],
            settings: [
                try TLSApp.upstream(
                    [bad.url, good.url], ", health: { path: /, every: 100ms, fall: 1, rise: 1 }")
            ])
        defer { Scratch.remove(sluice.folder) }
        try sluice.proxy.process.waitForLine(
            containing: "The endpoint \(bad.url) of app is unhealthy", by: .after(.seconds(60)))
        // Each check is a connection of its own.
        try eventually("the other is checked", by: .after(.seconds(60))) {
            try sluice.proxy.connect().told().connections > 10
        }
        #expect(sluice.proxy.count(of: "The endpoint \(good.url) of app is unhealthy") == 0)
    }

    @Test func `an app that says nothing has the time for connecting, for TCP and TLS together`()
        throws
    {
        let backend = try ManualBackend()
        guard case .tcp(let port) = backend.address else { return }
        try expectRefused(
            by: "wss://127.0.0.1:\(port)", 504, "connection_timeout",
            "its TLS handshake was not done in time",
            settings: ["timeouts: { connect: 500ms }"])
    }

    @Test func `a version that is too old is refused`() throws {
        let folder = try TLSApp.certificates()
        let server = try ChildProcess([
            "openssl", "s_server", "-accept", "127.0.0.1:0", "-www", "-tls1_2", "-cert",
            "\(folder)/good.pem", "-key", "\(folder)/good.key",
        ])
        let line = try server.waitForLine(containing: "ACCEPT ")[0]
        let port = try #require(line.split(separator: ":").last)
        try expectRefused(
            by: "wss://127.0.0.1:\(port)", 502,
            "tls_alert_received; alert-id=70; alert-message=\"protocol version\"",
            "no version of TLS", tls: ", minimumVersion: \"1.3\"")
    }

    @Test func `an endpoint whose TLS fails is passed over`() throws {
        let bad = try TLSApp("expired")
        let good = try TLSApp()
        let sluice = try Operated(
            routes: ["{ path: \"/*\", to: app }"],
            settings: [try TLSApp.upstream([bad.url, good.url], ", balance: roundRobin")])
        defer { Scratch.remove(sluice.folder) }
        for _ in 0..<6 { #expect(try sluice.proxy.connect().get().status == 200) }
        #expect(sluice.proxy.count(of: "The endpoint \(bad.url) of app fails: No TLS") == 1)
    }
}
