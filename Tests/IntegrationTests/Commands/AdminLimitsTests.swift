// SPDX-License-Identifier: Apache-2.0
//
// Goal: no number and no pace of a request to the admin socket harms the process or keeps questions about
// its health from being answered.
// Method: every door for numbers with the extremes of every type; many requests that come byte by byte;
// as many requests under way as there may be.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct AdminLimitsTests {
    private static func started(_ settings: [String] = [], wrapper: [String] = []) throws
        -> Operated
    {
        try Operated(
            routes: [
                "{ path: /*, respond: { body: hello } }", "{ path: /ws, to: \"ws://127.0.0.1:9\" }",
            ],
            listeners: [.plain], settings: settings, wrapper: wrapper)
    }

    /// 0 and 1 of every kind, the ends of every type and what lies beyond, and what is no whole number.
    private static let numbers = [
        "0", "1", "-1", "255", "256", "65535", "65536", "2147483647", "2147483648", "-2147483649",
        "4294967295", "4294967296", "9223372036854775807", "9223372036854775808",
        "-9223372036854775808", "18446744073709551615", "18446744073709551616", "0.5", "1.5", "1e3",
        "1e308", "-1e308", "1e999", "NaN", "Infinity", "\"1\"", "null", "{}", "",
        String(repeating: "9", count: 400), "0x10", "+1", " 1", "00",
    ]

    /// What is answered to a request with these bytes; nil where the process closes it unanswered.
    private func ask(_ sluice: Operated, _ request: String) throws -> HTTPResponse? {
        let client = try WebSocketPeer.connect(to: .unix(sluice.socket))
        try client.send(request)
        return try? client.readResponse()
    }

    private func post(_ target: String, _ body: String = "") -> String {
        "POST \(target) HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    private func escaped(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
    }

    @Test func `the longest time that can be written does no harm`() throws {
        let sluice = try Self.started()
        defer { Scratch.remove(sluice.folder) }
        for key in ["timeoutMilliseconds", "spreadMilliseconds"] {
            let answer = try ask(
                sluice, post("/drain", "{\"everything\":true,\"\(key)\":18446744073709551615}"))
            #expect(answer?.status == 422)
            #expect(answer?.text.contains("7 days at most") == true, "\(answer?.text as Any)")
        }
        #expect(try sluice.ask("/readyz").output == "ready\n")
    }

    @Test func `no number in a body harms the process`() throws {
        let sluice = try Self.started()
        defer { Scratch.remove(sluice.folder) }
        for number in Self.numbers {
            for key in ["timeoutMilliseconds", "spreadMilliseconds", "code"] {
                let body = "{\"route\":\"/ws\",\"\(key)\":\(number)}"
                let answer = try ask(sluice, post("/drain", body))
                #expect([200, 400, 422].contains(answer?.status), "\(key) \(number)")
                #expect([200, 400, 422].contains(try ask(sluice, post("/resume", body))?.status))
            }
            for key in ["perSecond", "code"] {
                let other = key == "code" ? "\"perSecond\":1," : ""
                let body = "{\"upstream\":\"ws://127.0.0.1:9\",\(other)\"\(key)\":\(number)}"
                let answer = try ask(sluice, post("/rebalance", body))
                #expect([200, 400, 422].contains(answer?.status), "\(key) \(number)")
            }
        }
        #expect(try sluice.ask("/healthz").output == "ok\n")
        #expect(try sluice.command(["status"]).status == 0)
    }

    @Test func `no number in a target harms the process`() throws {
        let sluice = try Self.started()
        defer { Scratch.remove(sluice.folder) }
        for number in Self.numbers {
            let text = escaped(number)
            let get = "GET /relays?limit=\(text) HTTP/1.1\r\nHost: localhost\r\n\r\n"
            #expect([200, 400].contains(try ask(sluice, get)?.status), "\(number)")
            let drains = "GET /drains/\(text) HTTP/1.1\r\nHost: localhost\r\n\r\n"
            #expect(try ask(sluice, drains)?.status == 404, "\(number)")
            for id in ["\(text)-0-0", "0-\(text)-0", "0-0-\(text)"] {
                let close = post("/relays/\(id)/close?code=1000")
                #expect(try ask(sluice, close)?.status == 404, "\(id)")
            }
            let code = post("/relays/0-0-0/close?code=\(text)")
            #expect([400, 404].contains(try ask(sluice, code)?.status), "\(number)")
            // Those that are allowed would begin to upgrade.
            if let allowed = Int(number), (1...3_600_000).contains(allowed) { continue }
            let upgrade = post("/upgrade?timeoutMilliseconds=\(text)")
            #expect(try ask(sluice, upgrade)?.status == 400, "\(number)")
        }
        #expect(try sluice.ask("/healthz").output == "ok\n")
    }

    @Test func `no length of a body harms the process`() throws {
        let sluice = try Self.started()
        defer { Scratch.remove(sluice.folder) }
        for number in Self.numbers
        where number != "1" && Int(number).map({ $0 > 65_536 || $0 <= 0 }) ?? true {
            let head =
                "POST /drain HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(number)\r\n\r\n"
            if number == "0" || number == "00" || number.isEmpty || number == " 1"
                || number == "null"
            {
                continue
            }
            let answer = try ask(sluice, head)
            #expect([400, 413].contains(answer?.status), "\(number)")
        }
        #expect(try sluice.ask("/healthz").output == "ok\n")
    }

    @Test func `no number in the environment harms the process`() throws {
        for number in [
            "0", "1", "-1", "18446744073709551615", "18446744073709551616", "1e9", "NaN",
        ] {
            let sluice = try Self.started(
                wrapper: [
                    "env", "WATCHDOG_USEC=\(number)", "LISTEN_FDS=\(number)", "LISTEN_PID=1",
                    "NOTIFY_SOCKET=/nowhere/notify",
                ])
            defer { Scratch.remove(sluice.folder) }
            // The first beat comes half a second after the start at the latest.
            for _ in 0..<60 {
                #expect(
                    try ask(sluice, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")?.status
                        == 200)
                usleep(20_000)
            }
            #expect(try sluice.proxy.terminate() == 0)
        }
    }

    @Test func `numbers of commands are judged before anybody is asked`() throws {
        let sluice = try Self.started()
        defer { Scratch.remove(sluice.folder) }
        for number in Self.numbers where !number.isEmpty && number != " 1" {
            for arguments in [
                ["status", "--relays", "--limit=\(number)"],
                ["status", "--close=0-0-0", "--code=\(number)"],
                ["drain", "--route=/ws", "--background", "--timeout=\(number)s"],
                ["drain", "--route=/ws", "--background", "--spread=\(number)d"],
                ["rebalance", "--upstream=none", "--rate=\(number)/s"],
                ["upgrade", "--timeout=\(number)d"],
            ] where !(arguments[0] == "upgrade") || number != "1" {
                let said = try sluice.command(arguments)
                #expect([0, 1, 64].contains(said.status), "\(arguments): \(said)")
            }
        }
        #expect(try sluice.ask("/healthz").output == "ok\n")
    }

    // MARK: Paces

    @Test func `requests that come byte by byte keep nobody from being answered`() throws {
        let sluice = try Self.started()
        defer { Scratch.remove(sluice.folder) }
        // More than there are places, each with a part of a head.
        let slow = try (0..<60).map { _ in try WebSocketPeer.connect(to: .unix(sluice.socket)) }
        // One that was told to make room before it has said anything can send nothing any more.
        for client in slow { try? client.send("GET /st") }
        for _ in 0..<3 {
            #expect(try sluice.ask("/readyz").output == "ready\n")
            #expect(try sluice.ask("/healthz").output == "ok\n")
        }
        #expect(try sluice.command(["status"]).status == 0)
        for client in slow { client.stream.close() }
    }

    @Test func `health is answered behind 600 connections that send nothing`() throws {
        let sluice = try Self.started()
        defer { Scratch.remove(sluice.folder) }
        let idle = try (0..<600).map { _ in try WebSocketPeer.connect(to: .unix(sluice.socket)) }
        for path in ["/healthz", "/readyz"] {
            let answer = try ask(sluice, "GET \(path) HTTP/1.1\r\nHost: localhost\r\n\r\n")
            #expect(answer?.status == 200, "\(answer?.text as Any)")
        }
        // Who stood in front was let in before, and told to make room: none has waited for its own 5 s.
        let told = try idle.filter { try $0.stream.hasInput(by: .after(.zero)) }
        #expect(told.count >= 584, "\(told.count)")
        #expect(
            try told.prefix(584).allSatisfy { try $0.readResponse().text.contains("others wait") })
    }

    @Test func `a wrong pace or code of a rebalance is told by its own name`() throws {
        let sluice = try Self.started()
        defer { Scratch.remove(sluice.folder) }
        for (body, status, words) in [
            ("\"perSecond\":0", 422, "perSecond is 1 to 1000000, found 0."),
            ("\"perSecond\":-7", 422, "perSecond is 1 to 1000000, found -7."),
            (
                "\"perSecond\":0.5", 400,
                "perSecond is a whole number, 1 to 1000000: found a fraction"
            ),
            ("\"code\":1000", 400, "perSecond (a whole number, 1 to 1000000)"),
            ("\"perSecond\":1,\"code\":1005", 422, "3000 to 4999, found 1005."),
        ] {
            let answer = try ask(
                sluice, post("/rebalance", "{\"upstream\":\"ws://127.0.0.1:9\",\(body)}"))
            #expect(answer?.status == status, "\(body)")
            #expect(answer?.text.contains(words) == true, "\(answer?.text as Any)")
            // What is right, or was left out, is not blamed.
            #expect(answer?.text.hasPrefix("The code") != true || body.contains("1005"))
        }
    }

    @Test func `a request has a time for all of it, however often a byte comes`() throws {
        let sluice = try Self.started()
        defer { Scratch.remove(sluice.folder) }
        let slow = try WebSocketPeer.connect(to: .unix(sluice.socket))
        try slow.send("GET /state HTTP/1.1\r\nHost: localhost\r\nX: ")
        // A byte each time: what counts is that there is an end, not when.
        var answer: HTTPResponse?
        for _ in 0..<600 where answer == nil {
            try? slow.send("x")
            if try slow.stream.hasInput(by: .after(.milliseconds(100))) {
                answer = try slow.readResponse()
            }
        }
        #expect(answer?.status == 408)
    }

    @Test func `health is answered beside as many requests as there may be`() throws {
        let sluice = try Operated(
            routes: ["{ path: /*, respond: { body: hello } }"], listeners: [.plain],
            isReplaceable: true)
        defer { Scratch.remove(sluice.folder) }
        // A successor that does not come keeps those waiting who have asked for it.
        let program = "\(sluice.folder)/sluice"
        try FileManager.default.removeItem(atPath: program)
        let started = "\(sluice.folder)/started"
        try Scratch.writeProgram("#!/bin/sh\n: >'\(started)'\nexec sleep 60\n", to: program)
        // Each says at once what it wants: who is silent loses its place to those who come.
        var waiting: [WebSocketPeer] = []
        func want(_ target: String) throws {
            let client = try WebSocketPeer.connect(to: .unix(sluice.socket))
            try client.send(post(target))
            waiting.append(client)
        }
        try want("/upgrade?timeoutMilliseconds=60000")
        try eventually("the successor runs") { access(started, F_OK) == 0 }
        // Changes come one after the other.
        for _ in 0..<50 { try want("/reload") }
        for _ in 0..<3 {
            #expect(try sluice.ask("/readyz").output == "ready\n")
            #expect(try sluice.ask("/healthz").output == "ok\n")
        }
        // Who finds no place is told so.
        let refused = try ask(sluice, "GET /state HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(refused?.status == 503 && refused?.text.contains("ask again") == true)
        withExtendedLifetime(waiting) {}
    }
}
