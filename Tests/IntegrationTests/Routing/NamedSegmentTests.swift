// SPDX-License-Identifier: Apache-2.0
//
// Goal: a segment of the path that has a name takes requests, goes into rewrites, fields and hashing, by HTTP/1.1 and
// HTTP/2; what fields tell of a request is true, and nobody can forge it or make a line of it.
// Method: the app's view of requests by curl, sockets of ours and of the library h2.

import Foundation
import TestKit
import Testing

@Suite struct NamedSegmentTests {
    private static let fields =
        "request: { set: { X-Station: \"{station}\", X-Real-IP: \"{client}\", X-Url: \"{scheme}://{host}:{port}\","
        + " X-Sni: \"{sni}\", X-Who: \"{subject}\" } }, answer: { set: { X-Seen: \"{station} by {client}\" } }"

    @Test func `sockets and requests are told to the app as the route says`() throws {
        let backend = try ManualBackend()
        let proxy = try ProxyFixture(
            routes: [
                "{ path: \"/ocpp/{station}\", to: \"\(backend.address)\", rewrite: \"/v16/{station}/socket\", \(Self.fields) }"
            ])
        let forged = ["X-Real-IP", "x_station", "X-Who", "X-Sni"].map {
            (name: $0, value: "forged")
        }
        let client = try proxy.connect()
        try client.send(Opening("/ocpp/CP%7E1?a=b", host: "a.example:9000", extra: forged).bytes)
        let upstream = try backend.next()
        let head = try upstream.accept()
        #expect(head.target == "/v16/CP%7E1/socket?a=b")
        #expect(head.all("X-Station") == ["CP~1"])
        #expect(head.all("X-Real-IP") == ["127.0.0.1"])
        #expect(head.all("X-Url") == ["https://a.example:9000"])
        #expect(head.all("X-Sni") == ["localhost"])
        // Nobody has proven to be anybody.
        #expect(head.all("X-Who").isEmpty && !head.description.contains("forged"))
        let answer = try client.readHead()
        #expect(answer.status == 101 && answer.all("X-Seen") == ["CP~1 by 127.0.0.1"])
        try client.send(Frame.text("hello").masked())
        #expect(try upstream.readFrame().text == "hello")
    }

    @Test func `requests of curl are told the same by either version, and refused ones too`() throws
    {
        let backend = try ScriptedBackend.answering(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\napp")
        let proxy = try ProxyFixture(
            routes: [
                "{ path: \"/ocpp/{station}\", to: \"\(backend.address)\", \(Self.fields) }",
                "{ path: \"/old/{id}\", redirect: { to: \"/new/{id}/x\" }, answer: { set: { X-Id: \"{id}\" } } }",
                "{ path: \"/api/{version}/*\", respond: { body: api }, answer: { set: { X-V: \"{version}\" } } }",
            ], listeners: [.http2()])
        let authority = try TestCertificates.shared().authority
        func curl(_ path: String, _ version: String) throws -> [String] {
            try run([
                "curl", "-sS", version, "-D", "-", "--path-as-is", "--cacert", authority,
                "https://localhost:\(proxy.port())\(path)",
            ]).map { $0.trimmingCharacters(in: .whitespacesAndNewlines).lowercased() }
        }
        for version in ["--http1.1", "--http2"] {
            let said = try curl("/ocpp/CP-1", version)
            #expect(said.contains("x-seen: cp-1 by 127.0.0.1") && said.contains("app"), "\(said)")
            let moved = try curl("/old/42?q=1", version)
            #expect(
                moved.contains("location: /new/42/x?q=1") && moved.contains("x-id: 42"), "\(moved)")
            let api = try curl("/api/v2/a/b", version)
            #expect(api.contains("x-v: v2") && api.contains("api"), "\(api)")
            for path in ["/ocpp/", "/ocpp/a/b", "/api/v2", "/api//x"] {
                #expect(try curl(path, version).first?.contains(" 404") == true, "\(path)")
            }
            for path in ["/ocpp/a%2Fb", "/ocpp/..%2Fadmin", "/ocpp/a%5Cb", "/api/a%2Fb/c"] {
                #expect(try curl(path, version).first?.contains(" 400") == true, "\(path)")
            }
        }
        #expect(backend.connectionCount == 2)
        let request = String(decoding: backend.received(1), as: UTF8.self)
        #expect(request.contains("X-Station: CP-1\r\n"), "\(request)")
        #expect(request.contains("X-Url: https://localhost:\(proxy.port())\r\n"), "\(request)")
    }

    @Test func `a trusted proxy's word on the way is told, and nobody else's`() throws {
        let backend = try ManualBackend()
        for (trusted, told) in [
            ("127.0.0.1", "192.0.2.7 https://shop.example:8443"),
            ("10.0.0.1", "127.0.0.1 http://localhost:80"),
        ] {
            let proxy = try ProxyFixture(
                configuration: """
                    listen: [{ address: "127.0.0.1:0", trustedProxies: [\(trusted)] }]
                    routes:
                      - path: /*
                        to: "\(backend.address)"
                        request: { set: { X-Told: "{client} {scheme}://{host}:{port}", X-Sni: "{sni}" } }

                    """)
            let said = [
                (name: "X-Forwarded-For", value: "192.0.2.7"),
                (name: "X-Forwarded-Proto", value: "https"),
                (name: "X-Forwarded-Host", value: "shop.example:8443"),
            ]
            let head = try proxy.relay(to: backend, Opening(extra: said)).request
            #expect(head.all("X-Told") == [told])
            #expect(head.all("X-Sni").isEmpty)
        }
    }

    @Test func `a station has the same endpoint by whichever path`() throws {
        let apps = try ["a", "b", "c"].map { name in
            try ScriptedBackend.answering(
                "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n\(name)")
        }
        let list = apps.map { "\"\($0.address)\"" }.joined(separator: ", ")
        let proxy = try ProxyFixture(
            routes: [
                "{ path: \"/ocpp/{station}\", to: app }",
                "{ path: \"/{tenant}/files/{station}/*\", to: app }",
            ],
            settings: ["upstreams: { app: { endpoints: [\(list)], balance: hash(path:station) } }"])
        let authority = try TestCertificates.shared().authority
        func asked(_ path: String) throws -> String {
            try run([
                "curl", "-sS", "--cacert", authority, "https://localhost:\(proxy.port())\(path)",
            ]).first ?? ""
        }
        var seen: Set<String> = []
        for number in 0..<20 {
            let home = try asked("/ocpp/CP-\(number)?x=\(number)")
            seen.insert(home)
            #expect(try asked("/t\(number)/files/CP-\(number)/log/\(number)") == home)
        }
        #expect(seen == ["a", "b", "c"])
    }

    @Test func `what can't be is told at the load`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        for (route, words) in [
            (
                "path: \"/a/{x}\", rewrite: \"/b/{y}\"",
                "has {y}, which its path /a/{x} has not, allowed: {x}"
            ),
            ("path: \"/a/p-{x}\"", "braces stand around a whole segment"),
            ("path: \"/a/{x}/{x}\"", "the name {x} stands there a second time"),
            ("path: \"/a/../{x}\"", "'.' and '..' are resolved in requests"),
            ("path: \"/a/{x}\"", "no route to it has {station} in its path"),
        ] {
            try Scratch.write(
                """
                listen: [{ address: "127.0.0.1:0" }]
                routes: [{ \(route), to: app }]
                upstreams: { app: { endpoints: ["ws://127.0.0.1:1"], balance: hash(path:station) } }

                """, to: "\(folder)/s.yaml")
            let checked = try ended([try ProxyFixture.program(), "check", "-c", "\(folder)/s.yaml"])
            #expect(checked.status == 1 && checked.output.contains(words), "\(route): \(checked)")
        }
    }
}
