// SPDX-License-Identifier: Apache-2.0
//
// Goal: one path has several routes, by the listener, by what is asked for and by fields and query; nothing that no route
// fits gets in, by HTTP/1.1 and HTTP/2.
// Method: curl, Python's websockets and the library h2; each route answers with its own name.

import Foundation
import TestKit
import Testing

@Suite struct ConditionalRouteTests {
    private func listener(_ name: String) throws -> String {
        let files = try TestCertificates.shared().local
        return
            "{ address: \"127.0.0.1:0\", name: \(name), tls: { certificates: [\(files.setting)] } }"
    }

    private func curl(_ proxy: ProxyFixture, _ path: String, _ options: [String], listener: Int = 0)
        throws -> String
    {
        let authority = try TestCertificates.shared().authority
        let said = try run(
            ["curl", "-sS", "-w", "\n%{http_code}", "--cacert", authority] + options
                + ["https://localhost:\(proxy.port(listener))\(path)"])
        return said.last == "200" ? said.first ?? "" : said.last ?? ""
    }

    @Test func `a page and its sockets share a path, and go to different apps`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: [
                "{ path: /app, to: \"\(backend.address)\", when: { upgrade: true } }",
                "{ path: /app, respond: { body: page }, when: { upgrade: false, methods: [GET, HEAD] } }",
                "{ path: \"/*\", respond: { body: rest } }",
            ], listeners: [.http2()])
        defer { Scratch.remove(sluice.folder) }
        let authority = try TestCertificates.shared().authority
        for version in ["--http1.1", "--http2"] {
            #expect(try curl(sluice.proxy, "/app", [version]) == "page")
            #expect(try curl(sluice.proxy, "/app", [version, "-X", "DELETE"]) == "rest")
            #expect(try curl(sluice.proxy, "/other", [version]) == "rest")
        }
        #expect(backend.connectionCount == 0)
        let said = try PythonPeer.run(
            "login.py", [sluice.proxy.url("/app"), authority, ""])
        #expect(said == ["let in hello"])
        let gate = try PythonPeer.run(
            "h2_client.py", ["\(sluice.proxy.port())", authority, "gate", "/app"])
        #expect(gate == ["socket 200 -", "request 200 -"])
        #expect(backend.connectionCount == 2)
        try sluice.proxy.process.waitForLine(containing: " route=/app[upgrade=true] ")
        let opened = "sluice_relays_opened_total{route=\"/app[upgrade=true]\"}"
        #expect(try sluice.scrape()[opened] == 2)
        let drained = try sluice.command([
            "drain", "--route", "/app[upgrade=true]", "--spread", "0s",
        ])
        #expect(drained.status == 0, "\(drained)")
        #expect(try sluice.proxy.connect().refusal(of: Opening("/app")).status == 503)
        #expect(try curl(sluice.proxy, "/app", []) == "page")
    }

    @Test func `listeners with names have routes of their own`() throws {
        let proxy = try ProxyFixture(
            configuration: """
                listen: [\(try listener("public")), \(try listener("inner"))]
                routes:
                  - { path: /*, respond: { body: everybody } }
                  - { path: /admin/*, listen: [inner], respond: { body: admin } }
                  - { path: /who, listen: [inner], respond: { body: inner } }
                  - { path: /who, listen: [public], respond: { body: public } }

                """, listenerCount: 2)
        for (path, outer, inner) in [
            ("/", "everybody", "everybody"), ("/admin/x", "everybody", "admin"),
            ("/who", "public", "inner"),
        ] {
            for version in ["--http1.1", "--http2"] {
                #expect(try curl(proxy, path, [version]) == outer, "\(path)")
                #expect(try curl(proxy, path, [version], listener: 1) == inner, "\(path)")
            }
        }
        let checked = try ended([
            try ProxyFixture.program(), "check", "-c", proxy.configurationPath,
        ])
        #expect(checked.output.components(separatedBy: "/admin/*").count == 2, "\(checked)")
    }

    @Test func `fields and parameters decide, where they are there once`() throws {
        let proxy = try ProxyFixture(routes: [
            "{ path: /a, respond: { body: beta }, when: { fields: { X-Tier: beta } } }",
            "{ path: /a, respond: { body: any }, when: { fields: { X-Tier: \"*\" } } }",
            "{ path: /b, respond: { body: v2 }, when: { query: { v: \"2*\" } } }",
            "{ path: /b, respond: { body: old } }",
        ])
        for (path, fields, body) in [
            ("/a", ["X-Tier: beta"], "beta"), ("/a", ["x-tier: gold"], "any"),
            ("/a", ["X-Tier;"], "any"),
            ("/a", [], "404"), ("/a", ["X-Tier: beta", "X-Tier: beta"], "404"),
            ("/a", ["X_Tier: beta"], "404"), ("/a", ["X-Tier: beta", "X_Tier: gold"], "404"),
            ("/a", ["x.tier: gold", "X-Tier: beta"], "404"),
            ("/c", [], "404"), ("/b", [], "old"), ("/b?v=2", [], "v2"), ("/b?x=1&v=2.1", [], "v2"),
            ("/b?v=1", [], "old"),
            ("/b?v=2&v=2", [], "old"), ("/b?vv=2", [], "old"), ("/b?v", [], "old"),
            ("/b?V=2", [], "old"),
        ] {
            let options = fields.flatMap { ["-H", $0] }
            #expect(try curl(proxy, path, options) == body, "\(path) \(fields)")
        }
    }

    @Test func `a refusal says that routes ask for something else`() throws {
        let proxy = try ProxyFixture(routes: [
            "{ path: /a, respond: {}, when: { fields: { X-Tier: beta } } }",
            "{ path: /b, respond: {} }",
        ])
        for (path, isAsked) in [("/a", true), ("/c", false)] {
            let refusal = try proxy.connect().refusal(of: Opening(path))
            #expect(refusal.status == 404)
            #expect(refusal.text.contains("routes[].when") == isAsked, "\(refusal.text)")
        }
    }

    @Test func `what could go either way is refused at the load, with both places`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0" }]
            routes:
              - { path: /a, respond: {}, when: { methods: [GET] } }
              - { path: /a, respond: {}, when: { fields: { X-A: b } } }

            """, to: "\(folder)/s.yaml")
        let checked = try ended([try ProxyFixture.program(), "check", "-c", "\(folder)/s.yaml"])
        #expect(checked.status == 1)
        #expect(checked.output.contains("s.yaml:4:5"), "\(checked)")
        #expect(checked.output.contains("s.yaml:3:5 have the same host"), "\(checked)")
    }
}
