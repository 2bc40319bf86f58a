// SPDX-License-Identifier: Apache-2.0
//
// Goal: a route asks Authelia, authentik and oauth2-proxy in the ways that these document. What they are told of a request leads
// people back to it, whom they grant is told to the app, and their own pages are reached beside it.
// Method: a server that answers as their documentation says, and makes its redirects of the fields that it was sent, so that one
// which lacks, comes twice or is a client's own is seen. curl by HTTP/1.1 and HTTP/2, and raw WebSockets.

import Foundation
import TestKit
import Testing

/// One of these servers: how it is asked, and what it answers.
struct LoginServer: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// What it is asked for.
    let path: String
    /// Where its own pages are on the app's host; nil where they have a host of their own.
    let pages: String?
    /// The cookie of somebody who is logged in.
    let cookie: String
    let grant: String
    /// Fields of the grant that are for the app, with their values.
    let fields: [(name: String, value: String)]
    /// The answer to somebody who is not logged in.
    let refusal: @Sendable (HTTPHead) -> String

    /// The URL that was asked for, as it is told; doubled fields are told as such.
    private static func url(_ head: HTTPHead) -> String {
        func told(_ name: String) -> String {
            head.all("X-Forwarded-\(name)").joined(separator: ",")
        }
        return "\(told("Proto"))://\(told("Host"))\(told("Uri"))"
    }

    static func escaped(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    }

    private static func redirect(_ line: String, _ location: String, _ more: String = "") -> String
    {
        "HTTP/1.1 \(line)\r\nLocation: \(location)\r\n\(more)Content-Length: 0\r\n\r\n"
    }

    private static let empty = "Content-Length: 0\r\n\r\n"

    static let all = [
        // People get a redirect, by which a form is sent as GET; whoever wants no page gets 401.
        LoginServer(
            testDescription: "Authelia", path: "/api/authz/forward-auth", pages: nil,
            cookie: "authelia_session=good", grant: "200 OK\r\n",
            fields: [
                ("Remote-User", "john"), ("Remote-Groups", "admins,dev"),
                ("Remote-Email", "john@example.com"), ("Remote-Name", "John Doe"),
            ]
        ) { head in
            let method = head.all("X-Forwarded-Method").joined(separator: ",")
            let location = "https://auth.example/?rd=\(escaped(url(head)))&rm=\(method)"
            guard head["Accept"]?.contains("text/html") == true else {
                return redirect("401 Unauthorized", location)
            }
            return redirect(
                ["GET", "HEAD", "OPTIONS"].contains(method) ? "302 Found" : "303 See Other",
                location)
        },
        LoginServer(
            testDescription: "authentik", path: "/outpost.goauthentik.io/auth/traefik",
            pages: "/outpost.goauthentik.io/*", cookie: "authentik_proxy_4d=good",
            grant:
                "200 OK\r\nUser-Agent: its own\r\nSet-Cookie: authentik_proxy_4d=new; HttpOnly\r\n",
            fields: [
                ("X-authentik-username", "akadmin"), ("X-authentik-groups", "foo|bar|baz"),
                ("X-authentik-email", "root@localhost"),
            ]
        ) { head in
            let host = head.all("X-Forwarded-Host").joined(separator: ",")
            let proto = head.all("X-Forwarded-Proto").joined(separator: ",")
            return redirect(
                "302 Found",
                "\(proto)://\(host)/outpost.goauthentik.io/start?rd=\(escaped(url(head)))",
                "Set-Cookie: authentik_proxy_4d=begun; HttpOnly\r\n")
        },
        LoginServer(
            testDescription: "oauth2-proxy, which only says yes or no", path: "/oauth2/auth",
            pages: "/oauth2/*", cookie: "_oauth2_proxy=good",
            grant: "202 Accepted\r\nGap-Auth: jane@example.com\r\n",
            fields: [
                ("X-Auth-Request-User", "4711"), ("X-Auth-Request-Email", "jane@example.com"),
            ]
        ) { _ in "HTTP/1.1 401 Unauthorized\r\n\(empty)" },
        // With `--upstream=static://202` and `--skip-provider-button=true`.
        LoginServer(
            testDescription: "oauth2-proxy, which sends people to log in", path: "/",
            pages: "/oauth2/*", cookie: "_oauth2_proxy=good", grant: "202 Accepted\r\n",
            fields: [
                ("X-Auth-Request-User", "4711"), ("X-Auth-Request-Email", "jane@example.com"),
            ]
        ) { head in
            // That field would lead anywhere.
            let back = head["X-Auth-Request-Redirect"] ?? url(head)
            return redirect(
                "302 Found", "https://provider.example/authorize?state=4d%3A\(escaped(back))",
                "Set-Cookie: _oauth2_proxy_csrf=begun; HttpOnly\r\n")
        },
    ]

    /// It listens, and grants whoever has the cookie and comes from this machine.
    func started() throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            while let head = try? peer.readHead() {
                if head.target != path {
                    let page = "page \(head.target)"
                    try peer.send(
                        "HTTP/1.1 200 OK\r\nContent-Length: \(page.utf8.count)\r\n\r\n\(page)")
                } else if head["Cookie"]?.contains(cookie) == true,
                    head.all("X-Forwarded-For") == ["127.0.0.1"]
                {
                    let lines = fields.map { "\($0.name): \($0.value)\r\n" }.joined()
                    try peer.send("HTTP/1.1 \(grant)\(lines)\(Self.empty)")
                } else {
                    try peer.send(refusal(head))
                }
            }
        }
    }
}

@Suite struct LoginServerTests {
    /// A Sluice with a route that asks the server, and one for its pages, as the documentation has them.
    private struct Served {
        let sluice: Operated
        let app: ScriptedBackend
        let server: LoginServer

        init(_ server: LoginServer) throws {
            self.server = server
            let login = try server.started()
            app = try ScriptedBackend { peer in
                let head = try peer.readHead()
                // What the app is told: by the server, and by clients who write it otherwise.
                let values = server.fields.map { field in
                    let other = field.name.replacing("-", with: "_")
                    return (head.all(field.name) + head.all(other)).joined(separator: " and ")
                }
                let said = values.joined(separator: "; ")
                if let key = head["Sec-WebSocket-Key"] {
                    try peer.send(WebSocketPeer.switching(key: key) + Frame.text(said).bytes)
                } else {
                    let body = try peer.read(Int(head["Content-Length"] ?? "") ?? 0)
                    try peer.send(
                        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(said.utf8.count + body.count)\r\n\r\n"
                            + said)
                    try peer.send(body)
                    try peer.stream.halfClose()
                }
                _ = try peer.readUntilEnd()
            }
            let names = server.fields.map(\.name).joined(separator: ", ")
            let access =
                "access: { forward: { to: login, path: \(server.path), fields: [\(names)] } }"
            let pages = server.pages.map { ["{ path: \"\($0)\", to: login }"] } ?? []
            sluice = try Operated(
                routes: pages + ["{ path: \"/*\", to: app, \(access) }"], listeners: [.http2()],
                settings: [
                    "upstreams:",
                    "  login: { endpoints: [\"http://127.0.0.1:\(login.address.port)\"] }",
                    "  app: { endpoints: [\"\(app.address)\"] }",
                ])
        }

        /// What a client says of itself that only Sluice and the server may say.
        var forged: [(name: String, value: String)] {
            let told = server.fields.flatMap { field in
                [
                    (name: field.name, value: "forged"),
                    (name: field.name.replacing("-", with: "_"), value: "forged"),
                ]
            }
            return told + [
                ("X-Forwarded-Method", "DELETE"), ("X-Forwarded-Proto", "http"),
                ("X-Forwarded-Host", "evil.test"), ("X-Forwarded-Uri", "/forged"),
                ("X-Forwarded-For", "192.0.2.7"), ("x_forwarded_host", "evil.test"),
                ("X-Original-URL", "https://evil.test/"),
                ("X-Auth-Request-Redirect", "https://evil.test/"),
            ]
        }

        func curl(_ path: String, _ options: [String]) throws -> [String] {
            let authority = try TestCertificates.shared().authority
            return try run(
                ["curl", "-sS", "-D", "-", "-w", "\n%{http_code}", "--cacert", authority]
                    + forged.flatMap { ["-H", "\($0.name): \($0.value)"] }
                    + ["-H", "Accept: text/html"] + options
                    + ["https://localhost:\(sluice.proxy.port())\(path)"])
        }

        /// The URL to which a refusal sends people, as the answer's head has it.
        func location(_ said: [String]) -> String? {
            let line = said.first { $0.lowercased().hasPrefix("location: ") }
            return line.map {
                $0.dropFirst("location: ".count).trimmingCharacters(in: .whitespacesAndNewlines)
            }
        }

        func remove() { Scratch.remove(sluice.folder) }
    }

    @Test(arguments: LoginServer.all)
    func `whom the server knows is let in, and the app is told of whom it speaks`(
        server: LoginServer
    ) throws {
        let served = try Served(server)
        defer { served.remove() }
        let told = server.fields.map(\.value).joined(separator: "; ")
        for version in ["--http1.1", "--http2"] {
            let got = try served.curl("/a?b=c", [version, "-b", server.cookie])
            #expect(got.suffix(2) == [told, "200"], "\(got)")
            let posted = try served.curl("/a", [version, "-b", server.cookie, "-d", "|body"])
            #expect(posted.suffix(2) == [told + "|body", "200"], "\(posted)")
            let cookies = got.filter { $0.lowercased().hasPrefix("set-cookie:") }
            #expect(cookies.count == (server.grant.contains("Set-Cookie") ? 1 : 0), "\(cookies)")
            #expect(!got.contains { $0.lowercased().hasPrefix("gap-auth") }, "\(got)")
        }
        let client = try served.sluice.proxy.open(
            Opening("/socket", extra: served.forged + [("Cookie", server.cookie)]))
        #expect(try client.readFrame().text == told)
        let line = try served.sluice.proxy.process.waitForLine(containing: "200 GET localhost/a")
        #expect(line[0].contains(" user=\(server.fields[0].value) "), "\(line)")
    }

    @Test(arguments: LoginServer.all)
    func `who is not logged in is sent there, and from there back to what was asked for`(
        server: LoginServer
    ) throws {
        let served = try Served(server)
        defer { served.remove() }
        let origin = "https://localhost:\(served.sluice.proxy.port())"
        let back = LoginServer.escaped("\(origin)/a%20b/c?d=e&f=%2F")
        for version in ["--http1.1", "--http2"] {
            let got = try served.curl("/a%20b/c?d=e&f=%2F", [version])
            let posted = try served.curl("/a%20b/c?d=e&f=%2F", [version, "-d", "body"])
            switch (server.testDescription, server.path) {
            case ("Authelia", _):
                #expect(got.last == "302" && posted.last == "303", "\(got) \(posted)")
                #expect(served.location(got) == "https://auth.example/?rd=\(back)&rm=GET")
                #expect(served.location(posted) == "https://auth.example/?rd=\(back)&rm=POST")
            case ("authentik", _):
                for said in [got, posted] {
                    #expect(said.last == "302")
                    #expect(
                        served.location(said)
                            == "\(origin)/outpost.goauthentik.io/start?rd=\(back)")
                    #expect(
                        said.contains {
                            $0.lowercased().hasPrefix("set-cookie: authentik_proxy_4d=begun")
                        }, "\(said)")
                }
            case (_, "/oauth2/auth"):
                #expect(got.last == "401" && posted.last == "401", "\(got) \(posted)")
            default:
                for said in [got, posted] {
                    #expect(said.last == "302")
                    #expect(
                        served.location(said)
                            == "https://provider.example/authorize?state=4d%3A\(back)")
                }
            }
            // Its own pages ask for nothing.
            if let pages = server.pages {
                let path = pages.dropLast() + "start?rd=\(back)"
                let page = try served.curl(String(path), [version])
                #expect(page.suffix(2) == ["page \(path)", "200"], "\(page)")
            }
        }
        // A socket wants no page, and follows nothing.
        let client = try served.sluice.proxy.connect()
        try client.send(Opening("/socket", extra: served.forged).bytes)
        let refusal = try client.readResponse()
        let says401 = server.testDescription == "Authelia" || server.path == "/oauth2/auth"
        #expect(refusal.status == (says401 ? 401 : 302), "\(refusal.head)")
        #expect(served.app.connectionCount == 0)
    }
}
