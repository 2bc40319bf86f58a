// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestKit
import Testing

@testable import Doctor

/// Goal: the states in which people find real servers are told apart.
///
/// Method: the program itself against nginx, Python's `websockets` and `http.server`, and Sluice.
struct ForeignVerdictTests {
    /// What stands in a location that passes WebSockets on.
    private static let passing = """
        proxy_http_version 1.1;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
        """

    @Test func `nginx's answers that open no socket`() throws {
        let refusing = try PeerAddress.refusing()
        let silent = try ScriptedBackend.silent()
        let nginx = try Nginx(
            """
            location = /page { return 200 "page"; }
            location = /moved { return 302 wss://other.test/socket; }
            location = /login { add_header WWW-Authenticate 'Basic realm="x"' always; return 401; }
            location = /never { return 403; }
            location = /upgrade { return 426; }
            location = /many { add_header Retry-After 7 always; return 429; }
            location = /broken { return 500; }
            location = /closed { return 503; }
            location = /gone { proxy_pass http://127.0.0.1:\(refusing.port); }
            location = /asleep {
                proxy_read_timeout 300ms;
                proxy_pass http://127.0.0.1:\(silent.address.port);
            }
            """)
        let cases: [(String, Verdict, [String])] = [
            ("/page", .notUpgraded, ["ordinary page", "proxy_http_version"]),
            ("/moved", .redirected, ["Use wss://other.test:443/socket"]),
            ("/login", .unauthorized, ["by Basic realm=\"x\"", "--header"]),
            ("/never", .forbidden, ["nginx itself refuses /never (403)", "proxy_pass"]),
            ("/nothing", .notFound, ["The server has nothing at /nothing (404)"]),
            ("/upgrade", .upgradeRequired, ["(426)"]),
            ("/many", .tooManyRequests, ["in 7 s"]),
            ("/broken", .refusedUpgrade, ["500 Internal Server Error"]),
            ("/closed", .unavailable, ["503"]), ("/gone", .badGateway, ["502", "Start the app"]),
            ("/asleep", .gatewayTimeout, ["504", "in time"]),
        ]
        for (path, verdict, words) in cases {
            let finding = try diagnose(nginx.url(path))
            expect(finding, verdict, at: "upgrade")
            for word in words {
                #expect((finding.sentence + " " + finding.remedy).contains(word), "\(finding)")
            }
        }
    }

    @Test func `upgrade fields that a proxy takes out`() throws {
        let app = try PythonServer("echo")
        let nginx = try Nginx(
            """
            location /default { proxy_pass http://127.0.0.1:\(app.port); }
            location /stripped {
                proxy_http_version 1.1;
                proxy_pass http://127.0.0.1:\(app.port);
            }
            location / { \(Self.passing) proxy_pass http://127.0.0.1:\(app.port); }
            """)
        expect(
            try diagnose(nginx.url("/default")), .fieldsStripped, at: "upgrade",
            "speaks HTTP/1.0 to it", "proxy_http_version 1.1")
        expect(
            try diagnose(nginx.url("/stripped")), .fieldsStripped, at: "upgrade",
            "takes the fields Upgrade and Connection out", "proxy_set_header Upgrade")
        expect(try diagnose(nginx.url("/")), .healthy, at: "ping")
    }

    @Test func `a proxy that cuts idle sockets`() throws {
        let app = try PythonServer("echo")
        let nginx = try Nginx(
            """
            location / {
                \(Self.passing)
                proxy_read_timeout 1s;
                proxy_pass http://127.0.0.1:\(app.port);
            }
            """)
        let finding = try diagnose(nginx.url(), ["--idle", "30"])
        expect(
            finding, .diesIdle, at: "idle", "the connection ends", "proxy_read_timeout",
            "s of silence")
        // It died after a second, and is not waited for.
        #expect(!finding.sentence.contains("30 s"))
    }

    @Test func `nginx that wants a client certificate, or does not know the name`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let files = try papers.issue("good")
        let ca = ["--ca", papers.authority]
        let certificate = "ssl_certificate \(files[1]); ssl_certificate_key \(files[3]);"
        let asking = try Nginx(
            listen: "ssl",
            "\(certificate) ssl_client_certificate \(papers.authority); ssl_verify_client on;")
        expect(
            try diagnose(asking.url(scheme: "wss"), ca), .clientCertificate, at: "upgrade",
            "only clients that show a certificate")
        let rejecting = try Nginx(listen: "ssl", "ssl_reject_handshake on;")
        expect(
            try diagnose(rejecting.url(scheme: "wss"), ca), .tlsAlert, at: "TLS",
            "knows no localhost")
        // And the browser's error in the other direction: nginx's words for plain HTTP on a TLS port.
        expect(
            try diagnose(asking.url(scheme: "ws")), .speaksTLS, at: "upgrade", "Use wss://localhost"
        )
    }

    @Test func `Python's sockets that are closed at once, with code and reason in words`() throws {
        let policy = try PythonServer("policy")
        expect(
            try diagnose(policy.url()), .closedAtOnce, at: "ping",
            "Close 1008 (against its policy): log in first")
        let own = try PythonServer("own-code")
        expect(
            try diagnose(own.url()), .closedAtOnce, at: "ping",
            "Close 4401 (a code of the application): token expired")
        let crash = try PythonServer("crash")
        expect(try diagnose(crash.url()), .closedAtOnce, at: "ping", "without a Close")
    }

    @Test func `a Python server whose event loop is blocked, before the answer or after`() throws {
        let asleep = try PythonServer("asleep")
        expect(
            try diagnose(asleep.url(), ["--timeout", "1"]), .noAnswer, at: "upgrade",
            "does not answer")
        let stuck = try PythonServer("stuck")
        expect(
            try diagnose(stuck.url(), ["--timeout", "1"]), .noPong, at: "ping",
            "opens but does not answer a ping")
    }

    @Test func `Python's subprotocols and extensions`() throws {
        let chat = try PythonServer("chat")
        expect(
            try diagnose(chat.url(), ["--subprotocol", "chat.v2"]), .healthy, at: "ping")
        expect(
            try diagnose(chat.url(), ["--subprotocol", "chat.v1"]), .refusedUpgrade, at: "upgrade",
            "400")
        let plain = try PythonServer("echo")
        let refused = try diagnose(plain.url(), ["--subprotocol", "chat.v1"])
        expect(refused, .subprotocolRefused, at: "upgrade", "grants no subprotocol")
        #expect(refused.beyond?.verdict == "healthy", "\(refused)")
        let offer = ["--extension", "permessage-deflate; client_max_window_bits"]
        expect(
            try diagnose(plain.url(), offer), .extensionRefused, at: "ping",
            "does not grant permessage-deflate", "Enable the extension")
        let deflating = try PythonServer("deflate")
        let granted = try diagnose(deflating.url(), offer)
        expect(granted, .healthy, at: "ping")
        #expect(granted.steps.contains { $0.found.contains("extension permessage-deflate") })
        for (state, words) in [
            ("protocol", "the subprotocol chat"), ("extension", "the extension permessage-deflate"),
        ] {
            let server = try PythonServer(state)
            expect(
                try diagnose(server.url()), .unrequested, at: "upgrade", words, "RFC 6455 §4.1")
        }
    }

    @Test func `a Python server that hashes another key`() throws {
        let server = try PythonServer("wrong-accept")
        expect(
            try diagnose(server.url()), .wrongAccept, at: "upgrade", "does not belong to the key")
    }

    @Test func `a certificate that is valid by the server's clock and not by this one's`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let files = try papers.issue("young", from: "20480101000000Z", to: "20481231000000Z")
        let server = try PythonServer(
            "https", [files[1], files[3]], clock: "2048-03-01 12:00:00")
        let finding = try diagnose(server.url("wss"), ["--ca", papers.authority])
        expect(
            finding, .clockOff, at: "certificate", "at the server 2048-03-01",
            "2048-01-01 to 2048-12-31", "timedatectl")
        #expect(finding.beyond?.verdict == "not-upgraded", "\(finding)")
        // An intermediate that is over by both clocks is no matter of clocks.
        _ = try papers.issue("between", to: "20250101000000Z", extensions: "signer")
        let late = try papers.issue(
            "late", from: "20480101000000Z", to: "20481231000000Z", by: "between")
        let chain = "\(papers.folder)/chain.pem"
        try Scratch.write(
            try Scratch.read(late[1]) + Scratch.read("\(papers.folder)/between.pem"), to: chain)
        let other = try PythonServer("https", [chain, late[3]], clock: "2048-03-01 12:00:00")
        let both = try diagnose(other.url("wss"), ["--ca", papers.authority])
        #expect(["expired", "not-yet-valid"].contains(both.verdict), "\(both)")
    }

    @Test func `a server that speaks HTTP/2 alone`() throws {
        let papers = try Papers()
        defer { papers.remove() }
        let files = try papers.issue("good")
        let server = try GnuTLSServer(
            certificate: files[1], key: files[3], ["--alpn", "h2", "--alpn-fatal"])
        expect(
            try diagnose("wss://localhost:\(server.port)/", ["--ca", papers.authority]), .tlsAlert,
            at: "TLS", "does not speak HTTP/1.1")
    }

    @Test func `what Sluice's Proxy-Status says is put into words`() throws {
        let proxy = try ProxyFixture(to: try PeerAddress.refusing())
        let finding = try diagnose(proxy.url(), ["--ca", try TestCertificates.shared().authority])
        expect(
            finding, .badGateway, at: "upgrade", "connection_refused",
            "nobody listens where sluice looks for the app")
        #expect(finding.notes.contains { $0.hasPrefix("The answer says: ") }, "\(finding)")
    }
}
