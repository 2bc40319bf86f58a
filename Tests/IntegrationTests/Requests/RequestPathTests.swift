// SPDX-License-Identifier: Apache-2.0
//
// Goal: a path goes on byte for byte as it came where nothing has to be resolved (RFC 3986 §6.2.2 says
// which changes would be lawful; signatures do not survive them), an escaped slash stays an escape, and
// no escape opens another route.
// Method: raw requests, curl and Python's http.client and websockets; the backend says which target
// came. Each target goes as an ordinary request and as an upgrade.

import Foundation
import TestKit
import Testing

@Suite struct RequestPathTests {
    /// A backend that answers each request, an upgrade too, with its target as the body.
    private func mirror() throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            while true {
                let target = try peer.readHead().target
                try peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: \(target.utf8.count)\r\n\r\n\(target)")
            }
        }
    }

    private func ask(_ proxy: ProxyFixture, _ target: [UInt8], isUpgrade: Bool) throws
        -> HTTPResponse
    {
        let client = try proxy.connect()
        let lines =
            isUpgrade
            ? "Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
            : "Host: localhost\r\nConnection: close"
        try client.send(
            Array("GET ".utf8) + target + Array(" HTTP/1.1\r\n\(lines)\r\n\r\n".utf8))
        return try client.readResponse()
    }

    private func ask(_ proxy: ProxyFixture, _ target: String, isUpgrade: Bool = false) throws
        -> HTTPResponse
    {
        try ask(proxy, Array(target.utf8), isUpgrade: isUpgrade)
    }

    /// Each target and what the app gets.
    static let targets: [(String, String)] = [
        ("/%7Eu/%3a/x|y/[1]", "/%7Eu/%3a/x|y/[1]"),
        ("/a%2fb/%2F?q=%2f", "/a%2fb/%2F?q=%2f"),
        ("/api/queues/%2F/orders", "/api/queues/%2F/orders"),
        ("/@scope%2fname", "/@scope%2fname"),
        ("/a%5Cb", "/a%5Cb"),
        ("/%61/{b}/\"c\"/^`/<d>", "/%61/{b}/\"c\"/^`/<d>"),
        ("/a/./%7E/../b%3a//c?x=/../y", "/a/b%3a//c?x=/../y"),
        ("/x%2D/%2e%2E/%41", "/%41"),
        ("/caf\u{E9}/x?n=\u{FC}", "/caf%C3%A9/x?n=%C3%BC"),
        ("/%c3%a9?\u{1F600}", "/%c3%a9?%F0%9F%98%80"),
    ]

    @Test(arguments: [false, true])
    func `the path goes on as it came`(isUpgrade: Bool) throws {
        let backend = try mirror()
        let proxy = try ProxyFixture(routes: ["{ path: /*, to: \"\(backend.address)\" }"])
        for (target, expected) in Self.targets {
            let answer = try ask(proxy, target, isUpgrade: isUpgrade)
            #expect(answer.status == 200 && answer.text == expected, "\(target): \(answer.text)")
        }
        let bytes = try ask(proxy, [0x2F, 0xFF, 0xC0, 0xAF], isUpgrade: isUpgrade)
        #expect(bytes.text == "/%FF%C0%AF")
    }

    @Test(arguments: [false, true])
    func `behind a rewritten prefix the rest goes on as it came`(isUpgrade: Bool) throws {
        let backend = try mirror()
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /~u/*, to: \"\(backend.address)\", rewrite: /%2F/* }",
                "{ path: /one/*, to: \"\(backend.address)\", rewrite: /two }",
            ])
        for (target, expected) in [
            ("/%7eu/%3a|%2f/%41?q", "/%2F/%3a|%2f/%41?q"), ("/~u/", "/%2F/"),
            ("/x/../%7Eu/./a%2Fb/c", "/%2F/a%2Fb/c"), ("/one/%41", "/two"),
        ] {
            let answer = try ask(proxy, target, isUpgrade: isUpgrade)
            #expect(answer.text == expected, "\(target): \(answer.text)")
        }
        // Read with slashes this leaves what the rewrite confines it to, though the route is the same.
        let climbing = try ask(proxy, "/~u/a%2F..%2F..%2F~u%2Fb", isUpgrade: isUpgrade)
        #expect(climbing.status == 400)
    }

    @Test(arguments: [false, true])
    func `an escaped slash that would lead to another route is refused`(isUpgrade: Bool) throws {
        let backend = try mirror()
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /*, to: \"\(backend.address)\" }",
                "{ path: /pub/*, to: \"\(backend.address)\" }",
                "{ path: /admin/*, to: \"\(backend.address)\" }",
                "{ path: /admin/keys, respond: { status: 403 } }",
                "{ path: /strict/*, to: \"\(backend.address)\", escapedSlash: reject }",
                "{ path: /x/*, host: localhost, to: \"\(backend.address)\" }",
            ])
        for target in [
            "/pub%2Fa", "/pub/..%2fadmin/x", "/pub/..%2Fx", "/pub%2f..%2Fadmin%2Fx",
            "/admin%2fkeys", "/admin%5Ckeys", "/admin/x%2f..%2Fkeys", "/admin/%2e%2e%2Fpub%2fx",
            "/x%2Fa", "/..%2f..%2f..", "/..%5c..%5c", "/pub/x%2f..;a/b",
            // nginx takes slashes in a row for one before it resolves dot segments.
            "/pub/%2F..%2Fadmin/x",
            "/strict/a%2Fb", "/strict/a%5cb",
            // Read with both as slashes the route is the same; an app that takes only one for a slash
            // would see another.
            "/pub%2F..%2Fadmin%2Fx%5C..%5C..%5Cpub2",
        ] {
            let answer = try ask(proxy, target, isUpgrade: isUpgrade)
            #expect(answer.status == 400, "\(target): \(answer.status) \(answer.text)")
            #expect(answer.text.contains("%2F"), "\(target): \(answer.text)")
        }
        #expect(backend.connectionCount == 0)
        for target in ["/pub/a%2Fb", "/pub/a%2F..%2Fb", "/admin/keys%2f", "/z%2Fa", "/x/%5C"] {
            let answer = try ask(proxy, target, isUpgrade: isUpgrade)
            #expect(answer.status == 200 && answer.text == target, "\(target): \(answer.text)")
        }
    }

    @Test(arguments: [false, true])
    func `slashes in a row and parameters open no other route`(isUpgrade: Bool) throws {
        let backend = try mirror()
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /*, to: \"\(backend.address)\" }",
                "{ path: /admin/*, respond: { status: 403 } }",
                "{ path: /own/*, to: \"\(backend.address)\" }",
            ])
        for target in [
            "//admin/x", "/x/..//admin/x", "///admin//x", "/admin;v=1/x", "/;a/admin/x",
            "/;/admin;/x", "//own/x", "/own/..//admin/x", "/./;a//admin/",
        ] {
            let answer = try ask(proxy, target, isUpgrade: isUpgrade)
            #expect(answer.status == 400, "\(target): \(answer.status) \(answer.text)")
            #expect(answer.text.contains("'//' or ';'"), "\(target): \(answer.text)")
        }
        #expect(backend.connectionCount == 0)
        for target in ["/own//x;a=1/", "/a;b", "//", "/x//y", "/x;own/a", "/administrator//x"] {
            let answer = try ask(proxy, target, isUpgrade: isUpgrade)
            #expect(answer.status == 200 && answer.text == target, "\(target): \(answer.text)")
        }
    }

    @Test func `answers and redirects of Sluice's own go by the same rule`() throws {
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /own/*, respond: { body: own } }",
                "{ path: /own/secret, respond: { body: secret } }",
                "{ path: /old/*, redirect: { to: \"https://new.example/n/*\" } }",
                "{ path: /here/*, redirect: { to: /* } }",
            ])
        #expect(try ask(proxy, "/own/a%2Fb").text == "own")
        #expect(try ask(proxy, "/own%2Fsecret").status == 404)
        #expect(try ask(proxy, "/own/x/..%2fsecret").status == 400)
        let old = try ask(proxy, "/%6fld/%3a/%41%2f|?a=\u{E9}")
        #expect(old.head["Location"] == "https://new.example/n/%3a/%41%2f|?a=%C3%A9")
        // A Location that begins with two slashes would name another host (RFC 3986 §4.2).
        let other = try ask(proxy, "/here//evil.example/x")
        #expect(other.head["Location"] == "/.//evil.example/x")
    }

    @Test func `the plain port leads to the same path by https`() throws {
        let proxy = try ProxyFixture(
            configuration: """
                listen:
                  - \(try ProxyListener.tls().settingText())
                  - { address: "127.0.0.1:0", redirect: https }
                routes: [{ path: /a, respond: {} }]
                """, listenerCount: 2)
        let client = try proxy.connect(listener: 1)
        try client.send("GET /%7Eu/%2f/x|y HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let location = try client.readResponse().head["Location"]
        #expect(location == "https://localhost:\(proxy.port(0))/%7Eu/%2f/x|y")
    }

    @Test func `curl, http.client and websockets reach the path that they sign`() throws {
        let backend = try mirror()
        let proxy = try ProxyFixture(routes: ["{ path: /*, to: \"\(backend.address)\" }"])
        let authority = try TestCertificates.shared().authority
        let said = try run([
            "curl", "-sS", "--path-as-is", "--globoff", "--cacert", authority,
            "https://localhost:\(proxy.port())/api/queues/%2F/a%7eb/[1]?X-Amz-Signature=%2f",
        ])
        #expect(said == ["/api/queues/%2F/a%7eb/[1]?X-Amz-Signature=%2f"])
        let heard = try PythonPeer.run(
            "paths.py", ["\(proxy.port())", authority, "/%7Eu/%3a/x|y/[1]", "/a%2Fb%5c"])
        #expect(
            heard == [
                "http.client /%7Eu/%3a/x|y/[1]", "websockets /%7Eu/%3a/x|y/[1]",
                "http.client /a%2Fb%5c", "websockets /a%2Fb%5c",
            ])
    }
}
