// SPDX-License-Identifier: Apache-2.0
//
// Goal: another server says who may use a route; whatever it does wrong, nobody is let in; what it grants reaches the app, and
// nobody else can write it.
// Method: a server that answers by a cookie; curl, the library h2 and raw sockets as clients.

import Foundation
import Glibc
import Synchronization
import TestKit
import Testing

/// A server that says who may pass: it knows the cookie `sid=good` until it is told otherwise.
final class Verifier: Sendable {
    private struct State {
        var asked: [String] = []
        var isGranting = true
        var turns = 0
        var mayAnswer = false
    }

    private final class Record: Sendable {
        let state = Mutex(State())

        /// Waits until it may answer; each answer has a number of its own, and every second one refuses.
        func turn() throws -> String {
            let number = state.withLock { state in
                state.turns += 1
                return state.turns
            }
            try eventually("it may answer") { state.withLock { $0.mayAnswer } }
            let line = number % 2 == 1 ? "200 OK" : "403 Forbidden"
            return "HTTP/1.1 \(line)\r\nSet-Cookie: turn=\(number)\r\nContent-Length: 0\r\n\r\n"
        }
    }

    private let record = Record()
    let server: ScriptedBackend

    init() throws {
        let record = record
        server = try ScriptedBackend { peer in
            while let head = try? peer.readHead() {
                let names = [
                    "X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Proto",
                    "X-Original-URL", "Content-Length", "Remote-User",
                ]
                if head["Cookie"] == "sid=turn" {
                    try peer.send(record.turn())
                    continue
                }
                let isGranting = record.state.withLock { state in
                    let said = names.map { head[$0] ?? "-" }.joined(separator: " ")
                    state.asked.append("\(head.target) \(said)")
                    return state.isGranting
                }
                try peer.send(Self.answer(head["Cookie"] ?? "", isGranting))
                if head["Cookie"]?.contains("huge") == true {
                    // It is cut long before that.
                    for _ in 0..<2_000 {
                        guard (try? peer.send([UInt8](repeating: 0x78, count: 65_536))) != nil
                        else { return }
                    }
                }
                if head["Cookie"]?.contains("last") == true { return }
            }
        }
    }

    private static func answer(_ cookie: String, _ isGranting: Bool) -> String {
        switch cookie {
        case "sid=good" where isGranting:
            "HTTP/1.1 200 OK\r\nRemote-User: ann\r\nRemote-Groups: a,b\r\nX-Other: no\r\n"
                + "Connection: keep-alive, x-hop\r\nX-Hop: no\r\nX-Odd: a\u{1}b\r\nKeep-Alive: x\r\n"
                + "Content-Length: 2\r\n\r\nok"
        case "sid=renew":
            "HTTP/1.1 202 Accepted\r\nRemote-User: ann\r\nSet-Cookie: sid=good; Path=/\r\n"
                + "X-Hop: yes\r\nX-Odd: even\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
        case "sid=last": "HTTP/1.1 200 OK\r\nRemote-User: last\r\n\r\n"
        case "sid=huge":
            "HTTP/1.1 200 OK\r\nRemote-User: huge\r\nContent-Length: 1000000000\r\n\r\n"
        case "sid=none":
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nRemote-User: ann\r\n"
                + "Set-Cookie: try=1\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nlogin"
        case "sid=odd": "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"
        case "sid=unchanged": "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        case "sid=broken": "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"
        case "sid=two":
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n"
        case "sid=twice":
            "HTTP/1.1 200 OK\r\nRemote-User: ann\r\nRemote-Groups: a\r\nremote-user: bob\r\n"
                + "Content-Length: 0\r\n\r\n"
        case "sid=slow": "HTTP/1.1 100 Continue\r\n\r\n"
        default:
            "HTTP/1.1 302 Found\r\nLocation: https://auth.example/?rd=x\r\nContent-Length: 4\r\n"
                + "Content-Type: text/html\r\n\r\nhere"
        }
    }

    /// What it was asked, in order.
    var asked: [String] { record.state.withLock { $0.asked } }
    /// Questions with `sid=turn`, which are answered when `answerTurns` was called.
    var turns: Int { record.state.withLock { $0.turns } }
    func answerTurns() { record.state.withLock { $0.mayAnswer = true } }
    /// From now on it grants, or refuses, who has the cookie.
    func grants(_ isGranting: Bool) { record.state.withLock { $0.isGranting = isGranting } }
}

@Suite struct ForwardAccessTests {
    private struct Served {
        let sluice: Operated
        let verifier: Verifier
        let app: ScriptedBackend

        init(_ keys: String = "", listeners: [ProxyListener] = [.http2()]) throws {
            verifier = try Verifier()
            app = try ScriptedBackend { peer in
                let head = try peer.readHead()
                if let key = head["Sec-WebSocket-Key"] {
                    try peer.send(WebSocketPeer.switching(key: key))
                    while true {
                        let frame = try peer.readFrame()
                        if frame.closeCode != nil { return }
                        try peer.send(Frame.text("\(head["Remote-User"] ?? "-")").bytes)
                    }
                }
                let length = Int(head["Content-Length"] ?? "") ?? 0
                let body = try peer.read(length)
                let hops = (head.all("X-Hop") + head.all("X-Odd")).joined(separator: " ")
                let said = [
                    head["Remote-User"] ?? "-", head["Remote-Groups"] ?? "-",
                    head["X-Other"] ?? "-", hops.isEmpty ? "-" : hops, head["X-User"] ?? "-",
                    "\(body.count)",
                ].joined(separator: "|")
                try peer.send(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(said.utf8.count)\r\n\r\n"
                        + said)
                try peer.stream.halfClose()
                _ = try peer.readUntilEnd()
            }
            let access =
                "access: { forward: { to: \"http://127.0.0.1:\(verifier.server.address.port)\", path: /verify?x=1,"
                + " fields: [Remote-User, Remote-Groups, X-Hop, X-Odd]\(keys) } }"
            sluice = try Operated(
                routes: [
                    "{ path: \"/*\", to: \"\(app.address)\", \(access),"
                        + " request: { set: { X-User: \"{subject}\" } } }",
                    "{ path: /page, respond: { body: page }, \(access) }",
                ], listeners: listeners, settings: ["workers: 1"])
        }

        func curl(_ path: String, _ cookie: String, _ options: String...) throws -> [String] {
            let authority = try TestCertificates.shared().authority
            return try run(
                ["curl", "-sS", "-w", "\n%{http_code}", "--cacert", authority, "-b", cookie]
                    + ["-H", "Remote-User: forged", "-H", "remote_groups: forged"]
                    + ["-H", "X-Forwarded-Uri: /forged", "-H", "X-Hop: forged"] + options
                    + ["https://localhost:\(sluice.proxy.port())\(path)"])
        }

        func remove() { Scratch.remove(sluice.folder) }
    }

    @Test func `who is granted is let in, and the app learns of whom from the other server alone`()
        throws
    {
        let served = try Served()
        defer { served.remove() }
        for version in ["--http1.1", "--http2"] {
            #expect(
                try served.curl("/a?b=c", "sid=good", version) == ["ann|a,b|-|-|ann|0", "200"])
            #expect(
                try served.curl("/a", "sid=good", version, "-d", "some body")
                    == ["ann|a,b|-|-|ann|9", "200"])
            #expect(try served.curl("/page", "sid=good", version) == ["page", "200"])
            #expect(try served.curl("/a", "sid=last", version)[0] == "last|-|-|-|last|0")
            for path in ["/a", "/page"] {
                let renewed = try served.curl(path, "sid=renew", version, "-D", "-")
                #expect(renewed.last == "200")
                // Fields that are neither for one hop nor broken do go on.
                let body = renewed.dropLast().last
                #expect(body == (path == "/page" ? "page" : "ann|-|-|yes even|ann|0"))
                #expect(
                    renewed.count { $0.lowercased().hasPrefix("set-cookie: sid=good") } == 1,
                    "\(renewed)")
            }
        }
        let port = served.sluice.proxy.port()
        let asked = served.verifier.asked
        #expect(
            asked.first
                == "/verify?x=1 GET /a?b=c https https://localhost:\(port)/a?b=c - -", "\(asked)")
        #expect(
            asked.contains("/verify?x=1 POST /a https https://localhost:\(port)/a - -"), "\(asked)")
        let line = try served.sluice.proxy.process.waitForLine(containing: "200 GET localhost/a")
        #expect(line[0].contains(" user=ann "), "\(line)")
        // Its connections are used again.
        #expect(served.verifier.server.connectionCount < asked.count)
    }

    @Test func `a refusal goes on to the client, and nothing to the app`() throws {
        let served = try Served()
        defer { served.remove() }
        for version in ["--http1.1", "--http2"] {
            let away = try served.curl("/a", "", version, "-D", "-")
            #expect(away.last == "302" && away.dropLast().last == "here", "\(away)")
            #expect(
                away.contains {
                    $0.lowercased().hasPrefix("location: https://auth.example/?rd=x")
                }, "\(away)")
            let login = try served.curl("/a", "sid=none", version, "-D", "-")
            #expect(login.last == "401" && login.dropLast().last == "login", "\(login)")
            for field in [
                "www-authenticate: basic realm=\"x\"", "set-cookie: try=1", "proxy-status: sluice",
            ] {
                #expect(login.contains { $0.lowercased().hasPrefix(field) }, "\(field): \(login)")
            }
            #expect(!login.contains { $0.lowercased().hasPrefix("remote-user") }, "\(login)")
        }
        let client = try served.sluice.proxy.connect()
        try client.send(Opening(extra: [("Cookie", "sid=none")]).bytes)
        let refused = try client.readResponse()
        #expect(refused.status == 401 && refused.text == "login", "\(refused.head)")
        #expect(refused.head["WWW-Authenticate"] == "Basic realm=\"x\"")
        #expect(served.app.connectionCount == 0)
        let line = try served.sluice.proxy.process.waitForLine(containing: " 401 GET localhost/a")
        #expect(line[0].contains(" access=forward "), "\(line)")
        let counted = "sluice_access_refused_total{route=\"/*\",rule=\"forward\"}"
        #expect(try served.sluice.scrape()[counted] == 5)
    }

    @Test func `whatever the other server does wrong, nobody is let in`() throws {
        let served = try Served(", timeout: 1s")
        defer { served.remove() }
        for (cookie, status, words) in [
            ("sid=odd", "502", "has answered 500, which neither grants nor refuses"),
            ("sid=unchanged", "502", "has answered 404"),
            ("sid=broken", "502", "can't be used"), ("sid=two", "502", "can't be used"),
            ("sid=twice", "502", "has answered with 'remote-user' more than once"),
            ("sid=slow", "504", "No answer came in time"),
        ] {
            let said = try served.curl("/a", cookie, "-D", "-")
            #expect(said.last == status, "\(cookie): \(said)")
            #expect(
                said.contains { $0.contains(words) && $0.contains("access.forward") }, "\(said)")
            #expect(said.contains { $0.lowercased().hasPrefix("proxy-status: sluice; error=") })
        }
        #expect(served.app.connectionCount == 0)
        let counted = "sluice_access_refused_total{route=\"/*\",rule=\"forward\"}"
        #expect(try served.sluice.scrape()[counted] == 6)
        let lines = try served.sluice.proxy.process.waitForLine(
            containing: " access=forward ", count: 6)
        #expect(lines.allSatisfy { !$0.contains(" user=") }, "\(lines)")
        // Of a body without end nothing is read that nobody needs.
        #expect(try served.curl("/a", "sid=huge") == ["huge|-|-|-|huge|0", "200"])
        // Nobody listens there.
        let held = try HeldPort()
        try served.sluice.rewrite(
            "http://127.0.0.1:\(served.verifier.server.address.port)",
            "http://127.0.0.1:\(held.number)")
        #expect(try served.sluice.command(["reload"]).status == 0)
        let down = try served.curl("/a", "sid=good", "-D", "-")
        #expect(down.last == "503" && down.contains { $0.contains("There is no connection to") })
        #expect(served.app.connectionCount == 1)
    }

    @Test func `who was granted gets the cookie also where no socket opens behind that`() throws {
        let served = try Served()
        defer { served.remove() }
        let held = try HeldPort()
        try served.sluice.rewrite(
            "path: \"/*\", to: \"\(served.app.address)\"",
            "path: \"/*\", to: \"ws://127.0.0.1:\(held.number)\"")
        #expect(try served.sluice.command(["reload"]).status == 0)
        let client = try served.sluice.proxy.connect()
        try client.send(Opening(extra: [("Cookie", "sid=renew")]).bytes)
        let refused = try client.readResponse()
        #expect(refused.status == 502 && refused.head["Set-Cookie"] == "sid=good; Path=/")
        let authority = try TestCertificates.shared().authority
        let said = try PythonPeer.run(
            "h2_client.py",
            [
                "\(served.sluice.proxy.port())", authority, "cookies", "/Esv/ocp", "sid=renew",
            ])
        #expect(said == ["socket sid=good; Path=/", "request sid=good; Path=/"])
    }

    @Test func `sockets are asked about too, by either version, and again while they live`() throws
    {
        let served = try Served(", recheck: 200ms, code: 4401", listeners: [.http2()])
        defer { served.remove() }
        let authority = try TestCertificates.shared().authority
        let client = try served.sluice.proxy.open(Opening(extra: [("Cookie", "sid=good")]))
        try client.send(Frame.text("who").masked())
        #expect(try client.readFrame().text == "ann")
        let port = served.sluice.proxy.port()
        let child = try PythonPeer.start(
            "h2_client.py", ["\(port)", authority, "gate", "/Esv/ocp", "cookie:sid=good"])
        try child.waitForLine(containing: "socket 200 -")
        let asked = served.verifier.asked.count
        try eventually("it is asked again") { served.verifier.asked.count > asked + 2 }
        try client.send(Frame.text("who").masked())
        #expect(try client.readFrame().text == "ann")
        // Where it goes on, it is asked about further.
        let report = try MovedSocketsTests.upgrade(served.sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved >= 1 && report.lost == 0)
        try client.send(Frame.text("who").masked())
        #expect(try client.readFrame().text == "ann")
        served.verifier.grants(false)
        #expect(try client.readFrame().closeCode == 4_401)
    }

    @Test func `what was granted holds for a while for the same client alone`() throws {
        let served = try Served(", cache: 600s")
        defer { served.remove() }
        for _ in 0..<3 { #expect(try served.curl("/a", "sid=good").last == "200") }
        #expect(served.verifier.asked.count == 1)
        #expect(try served.curl("/b", "sid=good").last == "200")
        #expect(try served.curl("/a", "sid=good", "-d", "x").last == "200")
        #expect(try served.curl("/a", "sid=none").last == "401")
        #expect(try served.curl("/a", "sid=none").last == "401")
        // One that comes with a cookie for somebody is nobody else's.
        for _ in 0..<2 { #expect(try served.curl("/a", "sid=renew").last == "200") }
        #expect(served.verifier.asked.count == 7)
        // Nor does it hold for what the server is told otherwise.
        for _ in 0..<2 {
            #expect(try served.curl("/a?token=x", "sid=good").last == "200")
            #expect(try served.curl("/a", "sid=good", "-H", "X-Api-Key: 1").last == "200")
        }
        #expect(served.verifier.asked.count == 9)
        #expect(
            try served.curl("/a", "sid=good", "-A", "another", "-H", "Accept: text/html").last
                == "200")
        #expect(served.verifier.asked.count == 9)
    }

    @Test func `who waits for another's answer gets neither its cookie nor its refusal`() throws {
        let served = try Served(", cache: 600s", listeners: [.tls()])
        defer { served.remove() }
        func ask(_ path: String) throws -> WebSocketPeer {
            let client = try served.sluice.proxy.connect()
            try client.send("GET \(path) HTTP/1.1\r\nHost: localhost\r\nCookie: sid=turn\r\n\r\n")
            return client
        }
        let first = try ask("/a")
        try eventually("the first is asked about") { served.verifier.turns == 1 }
        let others = try (0..<3).map { _ in try ask("/a") }
        // Behind these, with the one worker.
        let last = try ask("/b")
        try eventually("the last is asked about") { served.verifier.turns == 2 }
        served.verifier.answerTurns()
        var cookies: Set<String> = []
        for client in [first, last] + others {
            let answer = try client.readResponse()
            let cookie = try #require(answer.head["Set-Cookie"])
            #expect(cookies.insert(cookie).inserted, "\(cookie)")
        }
        #expect(served.verifier.turns == 5)
    }

    @Test func `a login of the connection is on none that others use`() throws {
        let served = try Served()
        defer { served.remove() }
        for _ in 0..<2 { #expect(try served.curl("/page", "sid=good").last == "200") }
        #expect(served.verifier.server.connectionCount == 1)
        for count in 2...3 {
            #expect(
                try served.curl("/page", "sid=good", "-H", "Authorization: Negotiate YII=").last
                    == "200")
            #expect(served.verifier.server.connectionCount == count)
        }
        #expect(try served.curl("/page", "sid=good").last == "200")
        #expect(served.verifier.server.connectionCount == 3)
    }

    @Test func `a reload in between changes nothing for a request that is asked about`() throws {
        let served = try Served(", cache: 600s", listeners: [.tls()])
        defer { served.remove() }
        let client = try served.sluice.proxy.connect()
        try client.send("GET /page HTTP/1.1\r\nHost: localhost\r\nCookie: sid=turn\r\n\r\n")
        try eventually("it is asked about") { served.verifier.turns == 1 }
        try served.sluice.rewrite("body: page", "body: other")
        #expect(try served.sluice.command(["reload"]).status == 0)
        served.verifier.answerTurns()
        let answer = try client.readResponse()
        #expect(answer.status == 200 && answer.text == "page", "\(answer.head)")
    }

    @Test func `live sockets are asked about as the present configuration says`() throws {
        let served = try Served(", recheck: 200ms, code: 4401", listeners: [.tls()])
        defer { served.remove() }
        let client = try served.sluice.proxy.open(Opening(extra: [("Cookie", "sid=good")]))
        let other = try Verifier()
        try served.sluice.rewrite(
            "http://127.0.0.1:\(served.verifier.server.address.port)",
            "http://127.0.0.1:\(other.server.address.port)")
        try served.sluice.rewrite(", recheck: 200ms, code: 4401", ", code: 4402")
        #expect(try served.sluice.command(["reload"]).status == 0)
        try eventually("the other is asked") { other.asked.count > 2 }
        let before = served.verifier.asked.count
        try eventually("it is asked again") { other.asked.count > 4 }
        #expect(served.verifier.asked.count == before)
        other.grants(false)
        #expect(try client.readFrame().closeCode == 4_402)
    }

    @Test func `a socket that is asked about stays behind where its route is gone`() throws {
        let served = try Served(", recheck: 200ms, code: 4401", listeners: [.tls()])
        defer { served.remove() }
        let client = try served.sluice.proxy.open(Opening(extra: [("Cookie", "sid=good")]))
        try client.send(Frame.text("who").masked())
        #expect(try client.readFrame().text == "ann")
        try served.sluice.rewrite("path: \"/*\"", "path: \"/elsewhere/*\"")
        let report = try MovedSocketsTests.upgrade(served.sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 0 && report.stayed == 1 && report.lost == 0)
    }
}
