// SPDX-License-Identifier: Apache-2.0
//
// Goal: a route is used from the addresses that its `access` lets in and from no other: by sockets and requests, in
// HTTP/1.1 and HTTP/2, and by the address that a trusted proxy or the PROXY protocol names.
// Method: curl, Python's websockets and the library h2 against the real program; the backend counts what reaches it.

import Foundation
import TestKit
import Testing

@Suite struct AddressAccessTests {
    private static let away = "access: { addresses: { allow: [192.0.2.0/24] } }"
    private static let here =
        "access: { addresses: { allow: [127.0.0.0/8], deny: [127.0.0.9] } }"

    /// What curl is answered, by the status.
    private func status(_ proxy: ProxyFixture, _ path: String, _ options: String...) throws
        -> String
    {
        let authority = try TestCertificates.shared().authority
        return try run(
            ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", authority]
                + options + ["https://localhost:\(proxy.port())\(path)"]
        ).last ?? ""
    }

    @Test func `nothing of a request from another address goes upstream, by either version`() throws
    {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: [
                "{ path: /away, to: \"\(backend.address)\", \(Self.away) }",
                "{ path: /here, to: \"\(backend.address)\", \(Self.here) }",
                "{ path: /page, respond: { body: page }, \(Self.away) }",
                "{ path: /moved, redirect: { to: /page }, \(Self.away) }",
            ], listeners: [.http2()])
        defer { Scratch.remove(sluice.folder) }
        let proxy = sluice.proxy
        for version in ["--http1.1", "--http2"] {
            for path in ["/away", "/page", "/moved"] {
                #expect(try status(proxy, path, version) == "403", "\(path) \(version)")
            }
            #expect(try status(proxy, "/away", version, "-X", "POST", "-d", "a=1") == "403")
            #expect(try status(proxy, "/away", version, "-I") == "403")
        }
        let authority = try TestCertificates.shared().authority
        let client = { (path: String) in
            try PythonPeer.run("h2_client.py", ["\(proxy.port())", authority, "gate", path])
        }
        #expect(try client("/away") == ["socket 403 -", "request 403 -"])
        let refused = try proxy.connect()
        let refusal = try refused.refusal(of: Opening("/away"))
        try expectRefusal(refusal, 403, on: refused)
        #expect(refusal.head["Proxy-Status"]?.contains("http_request_denied") == true)
        for word in ["127.0.0.1", "/away", "routes[].access.addresses"] {
            #expect(refusal.text.contains(word), "\(refusal.text)")
        }
        #expect(backend.connectionCount == 0)
        let line = try proxy.process.waitForLine(containing: " 403 GET localhost/away")
        #expect(line[0].contains(" access=addresses "), "\(line)")
        let counts = try sluice.scrape()
        let refusals = { (route: String) in
            counts["sluice_access_refused_total{route=\"\(route)\",rule=\"addresses\"}"]
        }
        #expect(refusals("/away") == 9)
        #expect(refusals("/page") == 2 && refusals("/moved") == 2 && refusals("/here") == nil)
        _ = try proxy.open(Opening("/here"))
        #expect(backend.connectionCount == 1)
    }

    @Test func `a reload takes another list, and live sockets stay`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\", \(Self.here) }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        try sluice.rewrite("allow: [127.0.0.0/8]", "allow: [192.0.2.0/24]")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try sluice.proxy.connect().refusal(of: Opening()).status == 403)
        try ends.exchange("still here")
        try sluice.rewrite("deny: [127.0.0.9]", "deny: [192.0.2.0/24]")
        let broken = try sluice.command(["reload"])
        #expect(broken.status != 0)
        #expect(
            broken.output.contains("deny: found '192.0.2.0/24', which 'allow' has at"), "\(broken)")
        #expect(broken.output.contains("allowed: one of the two"))
    }

    @Test func `the address is the one that a trusted proxy names`() throws {
        let backend = try ScriptedBackend.echo()
        for (trusted, status) in [("127.0.0.1", 101), ("10.0.0.1", 403)] {
            let proxy = try ProxyFixture(
                configuration: """
                    listen: [{ address: "127.0.0.1:0", trustedProxies: [\(trusted)] }]
                    routes: [{ path: /*, to: "\(backend.address)", \(Self.away) }]

                    """)
            func answer(_ fields: [(name: String, value: String)]) throws -> Int {
                let client = try proxy.connect()
                try client.send(Opening(extra: fields).bytes)
                return try client.readHead().status
            }
            #expect(try answer([("X-Forwarded-For", "192.0.2.7")]) == status)
            #expect(try answer([("X-Forwarded-For", "192.0.2.7, 198.51.100.1")]) == 403)
            #expect(try answer([]) == 403)
        }
    }

    @Test func `who is hidden by a trusted proxy is not let in as that proxy`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0", trustedProxies: [127.0.0.1] }]
                routes:
                  - { path: /*, to: "\(backend.address)", access: { addresses: { allow: [127.0.0.0/8] } } }
                  - { path: /page, respond: {}, access: { addresses: { deny: [192.0.2.0/24] } } }

                """)
        for (value, status) in [
            (nil, 101), ("127.0.0.9", 101), ("unknown", 403), ("unknown, 127.0.0.1", 403),
        ] {
            let fields = value.map { [("X-Forwarded-For", $0)] } ?? []
            let client = try proxy.connect()
            try client.send(Opening(extra: fields).bytes)
            #expect(try client.readHead().status == status, "\(value ?? "none")")
        }
        let client = try proxy.connect()
        try client.send("GET /page HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: _x\r\n\r\n")
        #expect(try client.readHead().status == 403)
    }

    @Test func `the address is the one that the PROXY protocol names`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0", proxyProtocol: required }]
                routes:
                  - path: /*
                    to: "\(backend.address)"
                    access:
                      addresses: { allow: [192.0.2.0/24, "2001:db8::/32"], deny: ["2001:db8:0:1::/64"] }

                """)
        for (family, client, status) in [
            ("TCP4", "192.0.2.7", 101), ("TCP4", "192.0.3.7", 403),
            ("TCP6", "2001:db8:ffff::7", 101), ("TCP6", "2001:db9::7", 403),
            // The denied block within is longer, and decides.
            ("TCP6", "2001:db8:0:1::7", 403),
            // IPv4 in the form of IPv6 is IPv4.
            ("TCP6", "::ffff:192.0.2.7", 101), ("TCP6", "::ffff:192.0.3.7", 403),
        ] {
            let peer = try proxy.connect()
            let own = family == "TCP4" ? "10.0.0.1" : "2001:db8::1"
            try peer.send("PROXY \(family) \(client) \(own) 4711 443\r\n")
            try peer.send(Opening().bytes)
            #expect(try peer.readHead().status == status, "\(client)")
        }
    }
}
