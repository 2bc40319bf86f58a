// SPDX-License-Identifier: Apache-2.0
//
// Goal: the origins that apps, extensions and devices send can be let in (RFC 3986 §3.1, RFC 6454), a
// refusal names both sides of the comparison and the key, and behind a trusted proxy the host that the
// page knows is the one that counts.
// Method: upgrades with an Origin each, to the real program; Python's websockets once.

import Foundation
import TestKit
import Testing

@Suite struct OriginTests {
    private func status(
        _ proxy: ProxyFixture, _ origin: String, host: String = "localhost",
        extra: [(name: String, value: String)] = []
    ) throws -> Int {
        let client = try proxy.connect()
        try client.send(Opening(host: host, extra: [("Origin", origin)] + extra).bytes)
        return try client.readHead().status
    }

    @Test func `each kind of origin can be listed`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            to: backend.address,
            options: """
                origins: ["chrome-extension://abcdefgh", "vscode-webview://*", "file://", \
                "https://*.example.com", "https://github.com/gilmaimon/TinyWebsockets", \
                "capacitor://localhost", "app+v1.2-x://-"]
                """)
        for origin in [
            "chrome-extension://abcdefgh", "vscode-webview://0a1b2c-3d", "vscode-webview://x",
            "file://", "https://a.example.com", "HTTPS://B.Example.com:443",
            "https://github.com/gilmaimon/TinyWebsockets", "capacitor://localhost",
            "app+v1.2-x://-",
        ] {
            #expect(try status(proxy, origin) == 101, "\(origin)")
        }
        for origin in [
            "chrome-extension://abcdefghi", "vscode-webview://", "vscode-webview2://x",
            "https://example.com", "https://a.b.example.com", "http://a.example.com",
            "https://a.example.com:444", "https://a.example.com.evil", "https://github.com",
            "https://github.com/gilmaimon/tinywebsockets", "null", "https://localhost",
            "https://evil/.example.com", "https://x@a.example.com",
        ] {
            #expect(try status(proxy, origin) == 403, "\(origin)")
        }
    }

    @Test func `names and addresses of loopback are one host`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let loopback = ["localhost", "app.localhost", "127.0.0.1", "127.1.2.3", "[::1]"]
        for host in loopback {
            for page in loopback {
                #expect(try status(proxy, "http://\(page):3000", host: "\(host):8443") == 101)
            }
            for page in ["localhost.evil", "xlocalhost", "128.0.0.1", "127.0.0.1.evil", "[::2]"] {
                #expect(try status(proxy, "http://\(page)", host: host) == 403, "\(page)")
            }
        }
    }

    @Test func `a refusal names both sides and the key, and so does the log`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address, options: "origins: [same]")
        let client = try proxy.connect()
        let refused = try client.refusal(
            of: Opening(host: "a.example:8443", extra: [("Origin", "https://evil.example")]))
        try expectRefusal(refused, 403, on: client)
        for word in ["https://evil.example", "a.example", "/Esv/ocp", "origins"] {
            #expect(refused.text.contains(word), "\(refused.text)")
        }
        let line = try proxy.process.waitForLine(containing: " 403 ").last ?? ""
        #expect(line.contains("https://evil.example") && line.contains("origins"), "\(line)")
        let long = String(repeating: "x", count: 8_000)
        let other = try proxy.connect()
        let bounded = try other.refusal(of: Opening(extra: [("Origin", "https://\(long)")]))
        #expect(bounded.status == 403 && bounded.text.utf8.count < 1_000)
    }

    @Test func `behind a trusted proxy the host is the one that it names`() throws {
        let backend = try ScriptedBackend.echo()
        let said = [(name: "X-Forwarded-Host", value: "shop.example")]
        for (trusted, page, forged) in [("127.0.0.1", 101, 403), ("10.0.0.1", 403, 101)] {
            let proxy = try ProxyFixture(
                configuration: """
                    listen: [{ address: "127.0.0.1:0", trustedProxies: [\(trusted)] }]
                    routes: [{ path: /*, to: "\(backend.address)" }]

                    """)
            let origin = "https://shop.example"
            #expect(try status(proxy, origin, host: "inner.example", extra: said) == page)
            let inner = "https://inner.example"
            #expect(try status(proxy, inner, host: "inner.example", extra: said) == forged)
            #expect(try status(proxy, inner, host: "inner.example") == 101)
        }
    }

    @Test
    func `a refusal behind a trusted proxy names the host that was compared, and why that one`()
        throws
    {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0", trustedProxies: [127.0.0.1] }]
                routes: [{ path: /*, to: "\(backend.address)" }]

                """)
        func refused(_ fields: [(name: String, value: String)]) throws -> String {
            let client = try proxy.connect()
            let extra = [(name: "Origin", value: "https://evil.example")] + fields
            let refusal = try client.refusal(of: Opening(host: "inner.example", extra: extra))
            try expectRefusal(refusal, 403, on: client)
            return refusal.text
        }
        let unclear = "by Host: the proxy's X-Forwarded-Host is not one host"
        let one = try refused([(name: "X-Forwarded-Host", value: "shop.example")])
        #expect(one.contains("(shop.example)") && !one.contains("inner.example"), "\(one)")
        for list in ["shop.example, other.example", "a b", ""] {
            let several = try refused([(name: "X-Forwarded-Host", value: list)])
            #expect(several.contains("(inner.example, \(unclear))"), "\(several)")
        }
        let twice = try refused([
            (name: "X-Forwarded-Host", value: "shop.example"),
            (name: "X-Forwarded-Host", value: "shop.example"),
        ])
        #expect(twice.contains("(inner.example, \(unclear))"), "\(twice)")
        let none = try refused([])
        #expect(none.contains("(inner.example)"), "\(none)")
        let lines = try proxy.process.waitForLine(containing: unclear, count: 4)
        #expect(lines.allSatisfy { $0.contains("inner.example") })
    }

    @Test func `an empty Origin is told as that, and is let in where nobody is asked`() throws {
        let backend = try ScriptedBackend.echo()
        for (options, isLetIn) in [("origins: [same]", false), ("origins: any", true)] {
            let proxy = try ProxyFixture(to: backend.address, options: options)
            let client = try proxy.connect()
            let opening = Opening(extra: [("Origin", "")])
            if isLetIn {
                #expect(try client.open(opening).status == 101)
            } else {
                let refusal = try client.refusal(of: opening)
                try expectRefusal(refusal, 403, on: client)
                #expect(refusal.text.contains("The Origin field is empty"), "\(refusal.text)")
            }
        }
    }

    @Test func `a preflight for private networks is answered for pages that are let in`() throws {
        let app = try ScriptedBackend.answering(
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        let proxy = try ProxyFixture(
            to: app.address, options: "origins: [same, \"https://shop.example\"]")
        func ask(_ origin: String, _ method: String = "GET", _ more: String = "") throws -> HTTPHead
        {
            let client = try proxy.connect()
            try client.send(
                "OPTIONS /Esv/ocp HTTP/1.1\r\nHost: localhost\r\nOrigin: \(origin)\r\n"
                    + "Access-Control-Request-Method: \(method)\r\n"
                    + "Access-Control-Request-Private-Network: true\r\n\(more)\r\n")
            return try client.readHead()
        }
        for origin in ["https://shop.example", "http://localhost:3000"] {
            let allowed = try ask(origin)
            #expect(allowed.status == 204)
            #expect(allowed["Access-Control-Allow-Private-Network"] == "true")
            #expect(allowed["Access-Control-Allow-Origin"] == origin)
            #expect(allowed["Access-Control-Allow-Credentials"] == "true")
            #expect(allowed["Vary"] == "Origin")
        }
        #expect(app.connectionCount == 0)
        // Who is not let in, and what no WebSocket needs, the app has to answer for.
        for answer in [
            try ask("https://evil.example"), try ask("https://shop.example", "DELETE"),
            try ask("https://shop.example", "GET", "Access-Control-Request-Headers: x-a\r\n"),
        ] {
            #expect(answer.status == 404)
            #expect(answer["Access-Control-Allow-Private-Network"] == nil)
        }
        #expect(app.connectionCount == 3)
    }

    @Test func `Python's websockets is let in by its origin`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            to: backend.address, options: "origins: \"vscode-webview://*\"")
        let heard = try PythonPeer.run(
            "origins.py",
            [
                proxy.url(), try TestCertificates.shared().authority,
                "vscode-webview://1a2b", "https://localhost",
            ])
        #expect(heard == ["vscode-webview://1a2b open", "https://localhost 403"])
    }
}
