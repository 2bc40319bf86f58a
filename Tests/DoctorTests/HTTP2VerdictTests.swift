// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestKit
import Testing

@testable import Doctor

/// Goal: the doctor says whether sockets open in HTTP/2, and which way a browser takes.
///
/// Method: the program against Sluice, HAProxy, nghttpx and nginx, before an app that speaks HTTP/1.1.
struct HTTP2VerdictTests {
    private let app: ScriptedBackend
    private let authority: [String]

    init() throws {
        app = try .echo()
        authority = ["--ca", try TestCertificates.shared().authority]
    }

    /// What the step of HTTP/2 says; it comes last.
    private func found(_ finding: Finding) throws -> String {
        let step = try #require(finding.steps.last, "\(finding)")
        #expect(step.name == "HTTP/2", "\(finding)")
        return step.found
    }

    @Test(arguments: [
        (ProxyListener.tls(), "which work: browsers open the socket there if they have the page"),
        (.multiplexed("websockets: false"), "without WebSockets in it (RFC 8441): browsers open"),
        (.http1(), "not offered (ALPN): browsers open the socket by HTTP/1.1"),
    ])
    func `Sluice, by what its listener says`(listener: ProxyListener, words: String) throws {
        let proxy = try ProxyFixture(to: app.address, listeners: [listener])
        let finding = try diagnose(proxy.url(), authority)
        expect(finding, .healthy, at: "ping")
        #expect(try found(finding).contains(words), "\(finding)")
        // The second socket is closed in order as the first one is.
        let count = words.hasPrefix("which") ? 2 : 1
        let lines = try proxy.process.waitForLine(containing: "reason=close", count: count)
        #expect(lines.filter { $0.contains(" protocol=h2 ") }.count == count - 1, "\(lines)")
    }

    @Test func `with silence in between it is looked at all the same`() throws {
        let proxy = try ProxyFixture(to: app.address)
        let finding = try diagnose(proxy.url(), authority + ["--idle", "6"])
        expect(finding, .healthy, at: "idle")
        #expect(try found(finding).contains("which work"), "\(finding)")
    }

    @Test func `HAProxy passes them on, refuses one, or wants another ticket`() throws {
        for (rule, verdict, words) in [
            ("", Verdict.healthy, "which work"),
            (
                "http-request return status 404 if { fc_http_major 2 }", .http2Fails,
                "one is answered 404"
            ),
            (
                "http-request return status 403 if { fc_http_major 2 }", .healthy,
                "a second socket is answered 403"
            ),
        ] {
            let proxy = try HAProxy(to: app.address.port, rule)
            let finding = try diagnose("wss://localhost:\(proxy.port)/chat", authority)
            expect(finding, verdict, at: verdict == .healthy ? "ping" : "HTTP/2")
            #expect(try found(finding).contains(words), "\(finding)")
            if verdict == .http2Fails {
                #expect(finding.sentence.contains("answers one with 404 there"), "\(finding)")
                #expect(finding.exitCode == 57)
            }
        }
    }

    @Test func `nghttpx passes them on`() throws {
        let proxy = try NGHTTPX(to: app.address.port)
        let finding = try diagnose("wss://localhost:\(proxy.port)/chat", authority)
        expect(finding, .healthy, at: "ping")
        #expect(try found(finding).contains("which work"), "\(finding)")
    }

    @Test func `nginx speaks HTTP/2 and opens no sockets in it`() throws {
        let files = try TestCertificates.shared().local
        let nginx = try Nginx(
            listen: "ssl http2",
            """
            ssl_certificate \(files.chain); ssl_certificate_key \(files.key);
            location / {
                proxy_http_version 1.1;
                proxy_set_header Upgrade $http_upgrade;
                proxy_set_header Connection upgrade;
                proxy_pass http://127.0.0.1:\(app.address.port);
            }
            """)
        let finding = try diagnose(nginx.url("/chat", scheme: "wss"), authority)
        expect(finding, .healthy, at: "ping")
        #expect(try found(finding).contains("without WebSockets in it"), "\(finding)")
    }

    /// A server that agrees on HTTP/2 and then says something else.
    @Test func `a server that does not speak what it agreed on fails browsers`() throws {
        let server = try PythonServer("claims-h2", Self.files())
        let finding = try diagnose("wss://localhost:\(server.port)/chat", authority)
        expect(finding, .http2Fails, at: "HTTP/2", "agrees on HTTP/2 (ALPN) and does not speak it")
    }

    private static func files() throws -> [String] {
        let local = try TestCertificates.shared().local
        return [local.chain, local.key]
    }
}

/// HAProxy with HTTP/2 on a port of its own, before an app that speaks HTTP/1.1.
private final class HAProxy {
    private let process: ChildProcess
    private let folder: String
    let port: UInt16

    init(to app: UInt16, _ rule: String) throws {
        folder = try Scratch.makeFolder()
        let files = try TestCertificates.shared().local
        try Scratch.write(
            try Scratch.read(files.chain) + Scratch.read(files.key), to: "\(folder)/local.pem")
        port = try PeerAddress.refusing().port
        try Scratch.write(
            """
            defaults
                mode http
                timeout connect 60s
                timeout client 60s
                timeout server 60s
            frontend front
                bind 127.0.0.1:\(port) ssl crt \(folder)/local.pem alpn h2,http/1.1
                \(rule)
                default_backend app
            backend app
                server app 127.0.0.1:\(app)

            """, to: "\(folder)/haproxy.cfg")
        process = try ChildProcess(["haproxy", "-db", "-f", "\(folder)/haproxy.cfg"])
        try Nginx.waitFor(port, process)
    }

    deinit {
        process.signal(SIGKILL)
        Scratch.remove(folder)
    }
}

/// nghttpx with HTTP/2 on a port of its own, before an app that speaks HTTP/1.1.
private final class NGHTTPX {
    private let process: ChildProcess
    let port: UInt16

    init(to app: UInt16) throws {
        let files = try TestCertificates.shared().local
        port = try PeerAddress.refusing().port
        process = try ChildProcess([
            "nghttpx", "--conf=/dev/null", "--single-process", "--workers=1", "-f127.0.0.1,\(port)",
            "-b127.0.0.1,\(app)", files.key, files.chain,
        ])
        try Nginx.waitFor(port, process)
    }

    deinit { process.signal(SIGKILL) }
}
