// SPDX-License-Identifier: Apache-2.0
//
// Goal: a WebSocket ends with its token, at a frame border and with a reason, unless it is given more time; also where
// it goes on in another process, or within HTTP/2.
// Method: tokens of some seconds from joserfc; the peers read the Close that each of them gets.

import Foundation
import TestKit
import Testing

@Suite struct TokenEndTests {
    private static func sluice(
        _ issuer: TokenIssuer, _ backend: PeerAddress, _ end: String = "{ code: 4401 }",
        listeners: [ProxyListener] = [.tls()]
    ) throws -> Operated {
        try Operated(
            routes: [
                """
                { path: /Esv/ocp, to: "\(backend)", access: { jwt: { keys: \(issuer.keys), \
                endsWithToken: \(end) } } }
                """
            ], listeners: listeners, settings: ["drain: { timeout: 20s, code: 1012 }"])
    }

    private static func opening(_ token: String) -> Opening {
        Opening(extra: [("Authorization", "Bearer \(token)")])
    }

    /// The list of live relays, without white space.
    private static func relays(_ sluice: Operated) throws -> String {
        try sluice.ask("/relays").output.filter { !$0.isWhitespace }
    }

    private static func name(_ sluice: Operated) throws -> String {
        let relays = try relays(sluice)
        return String(try #require(relays.firstMatch(of: /"id":"([0-9-]+)"/)).1)
    }

    private static func extend(_ sluice: Operated, _ id: String, _ body: String) throws -> String {
        try sluice.ask(
            "/relays/\(id)/extend", ["-X", "POST", "-w", " %{http_code}", "-d", body]
        ).output.trimmingCharacters(in: .newlines)
    }

    @Test func `both sides get the Close when the token ends, at a frame border`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ManualBackend()
        let sluice = try Self.sluice(issuer, backend.address)
        defer { Scratch.remove(sluice.folder) }
        let began = Date()
        let ends = try sluice.proxy.relay(
            to: backend, Self.opening(try issuer.sign(#"{"sub":"ann","in":4}"#)))
        try ends.exchange("hello")
        // A frame to the client that is not whole: its Close comes behind that.
        let frame = Frame.text(String(repeating: "x", count: 1_000)).bytes
        try ends.upstream.send(Array(frame.prefix(500)))
        let close = try ends.upstream.readFrame()
        #expect(close.closeCode == 4_401)
        #expect(
            String(decoding: close.payload.dropFirst(2), as: UTF8.self) == "the token has expired")
        let lived = Date().timeIntervalSince(began)
        #expect(lived > 2 && lived < 15, "\(lived)")
        try ends.upstream.send(Array(frame.dropFirst(500)))
        #expect(try ends.client.readFrame().text.count == 1_000)
        #expect(try ends.client.readFrame().closeCode == 4_401)
        try ends.client.send(Frame.close(4_401).masked())
        try ends.upstream.send(Frame.close(4_401))
        let line = try sluice.proxy.process.waitForLine(containing: "reason=token")
        #expect(line[0].contains("close=4401") && line[0].contains("user=ann"), "\(line)")
        let samples = try sluice.scrape()
        #expect(
            samples.contains {
                $0.key.hasPrefix("sluice_relays_closed_total")
                    && $0.key.contains("reason=\"token\"") && $0.value == 1
            })
    }

    @Test func `a token with too little time, or without an end, opens no socket`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.sluice(issuer, backend.address, "{ before: 60s }")
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([#"{"in":50}"#, #"{"in":null}"#, #"{"in":600}"#])
        for (token, words) in zip(tokens, ["ends too soon", "does not say when it ends"]) {
            let refusal = try sluice.proxy.connect().refusal(of: Self.opening(token))
            #expect(refusal.status == 401 && refusal.text.contains(words), "\(refusal.text)")
        }
        let client = try sluice.proxy.open(Self.opening(tokens[2]))
        let seconds = try #require(
            try Self.relays(sluice).firstMatch(of: /"secondsLeft":([0-9]+)/)
        ).1
        #expect((500...540).contains(try #require(Int(seconds))), "\(seconds)")
        withExtendedLifetime(client) {}
    }

    @Test func `a later token or a number of seconds gives more time`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ManualBackend()
        let sluice = try Self.sluice(issuer, backend.address)
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([
            #"{"sub":"ann","in":600}"#, #"{"sub":"ann","in":7200}"#, #"{"sub":"bob","in":7200}"#,
            #"{"sub":"ann","in":-60}"#, #"{"sub":"ann","in":null}"#,
        ])
        let ends = try sluice.proxy.relay(to: backend, Self.opening(tokens[0]))
        let id = try Self.name(sluice)
        for (body, status, words) in [
            ("{\"token\":\"\(tokens[2])\"}", 403, "another subject"),
            ("{\"token\":\"\(tokens[3])\"}", 403, "has expired"),
            ("{\"token\":\"\(tokens[4])\"}", 403, "does not say when it ends"),
            ("{\"token\":\"nonsense\"}", 403, "no JWT"), ("{}", 400, "one of the two"),
            ("{\"token\":\"x\",\"seconds\":5}", 400, "one of the two"),
            ("{\"seconds\":0}", 400, "a whole number"), ("{\"minutes\":5}", 400, "has no key"),
        ] {
            let answer = try Self.extend(sluice, id, body)
            #expect(answer.hasSuffix(" \(status)") && answer.contains(words), "\(answer)")
        }
        #expect(try Self.extend(sluice, "0-9999-1", "{\"seconds\":5}").hasSuffix(" 404"))
        let more = try Self.extend(sluice, id, "{\"token\":\"\(tokens[1])\"}")
        #expect(more.hasSuffix(" 200") && more.contains("\"ends\""), "\(more)")
        let left = try #require(
            try Self.relays(sluice).firstMatch(of: /"secondsLeft":([0-9]+)/)
        ).1
        #expect((7_000...7_200).contains(try #require(Int(left))), "\(left)")
        try ends.exchange("still here")
        // Also less time: it ends in a second.
        #expect(try Self.extend(sluice, id, "{\"seconds\":1}").hasSuffix(" 200"))
        #expect(try ends.client.readFrame().closeCode == 4_401)
        #expect(try ends.upstream.readFrame().closeCode == 4_401)
    }

    @Test func `a socket ends with its token in the next process, and keeps it over a reload`()
        throws
    {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ManualBackend()
        let sluice = try Self.sluice(issuer, backend.address, "{ code: 4001 }")
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([#"{"sub":"ann","in":900}"#, #"{"sub":"ann","in":1800}"#])
        let ends = try sluice.proxy.relay(to: backend, Self.opening(tokens[0]))
        try sluice.rewrite("code: 4001", "code: 4002")
        #expect(try sluice.command(["reload"]).status == 0)
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1 && report.lost == 0)
        try ends.exchange("moved")
        let state = try Self.relays(sluice)
        #expect(
            state.contains("\"subject\":\"ann\"") && state.contains("\"secondsLeft\""), "\(state)")
        let id = try Self.name(sluice)
        #expect(
            try Self.extend(sluice, id, "{\"token\":\"\(tokens[1])\"}").hasSuffix(" 200"))
        #expect(try Self.extend(sluice, id, "{\"seconds\":1}").hasSuffix(" 200"))
        #expect(try ends.client.readFrame().closeCode == 4_001)
    }

    @Test func `sockets within HTTP 2 end with the token that they share`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ScriptedBackend.echo()
        let sluice = try Self.sluice(issuer, backend.address, listeners: [.http2()])
        defer { Scratch.remove(sluice.folder) }
        let authority = try TestCertificates.shared().authority
        let token = try issuer.sign(#"{"in":10}"#)
        let said = try PythonPeer.run(
            "h2_client.py",
            [
                "\(sluice.proxy.port())", authority, "token", "/Esv/ocp", "50",
                "authorization:Bearer \(token)",
            ])
        #expect(said == ["open 200", "closed 4401"])
    }

    @Test func `hundreds that end with one token keep nobody else waiting`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: [
                """
                { path: /Esv/ocp, to: "\(backend.address)", access: { jwt: { keys: \(issuer.keys), \
                endsWithToken: { code: 4401 } } } }
                """, "{ path: /open, to: \"\(backend.address)\" }",
            ], listeners: [.plain], settings: ["workers: 1"])
        defer { Scratch.remove(sluice.folder) }
        let other = try sluice.proxy.open(Opening("/open"))
        let token = try issuer.sign(#"{"in":40}"#)
        // More than end in one turn of a reactor.
        let clients = try (0..<300).map { _ in try sluice.proxy.open(Self.opening(token)) }
        #expect(try clients[0].readFrame(by: .after(.seconds(90))).closeCode == 4_401)
        try other.send(Frame.text("still here").masked())
        #expect(try other.readFrame().text == "still here")
        for client in clients.dropFirst() { #expect(try client.readFrame().closeCode == 4_401) }
        for client in clients { try client.send(Frame.close(4_401).masked()) }
        let lines = try sluice.proxy.process.waitForLine(containing: "reason=token", count: 300)
        #expect(lines.allSatisfy { $0.contains("close=4401") })
    }

    @Test func `a socket is given time by its token's subject, whoever its user is`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ManualBackend()
        // It says that everybody is bob.
        let verifier = try ScriptedBackend { peer in
            while (try? peer.readHead()) != nil {
                try peer.send("HTTP/1.1 200 OK\r\nX-Name: bob\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let sluice = try Operated(
            routes: [
                """
                { path: /Esv/ocp, to: "\(backend.address)", access: { jwt: { keys: \(issuer.keys), \
                endsWithToken: {} }, forward: { to: "http://127.0.0.1:\(verifier.address.port)", \
                fields: [X-Name] } } }
                """
            ])
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([
            #"{"sub":"ann","in":600}"#, #"{"sub":"ann","in":1800}"#, #"{"sub":"bob","in":1800}"#,
            #"{"in":600}"#,
        ])
        let ends = try sluice.proxy.relay(to: backend, Self.opening(tokens[0]))
        #expect(try Self.relays(sluice).contains("\"subject\":\"bob\""))
        func judge() throws {
            let id = try Self.name(sluice)
            let other = try Self.extend(sluice, id, "{\"token\":\"\(tokens[2])\"}")
            #expect(other.hasSuffix(" 403") && other.contains("another subject"), "\(other)")
            let none = try Self.extend(sluice, id, "{\"token\":\"\(tokens[3])\"}")
            #expect(none.hasSuffix(" 403") && none.contains("another subject"), "\(none)")
            let own = try Self.extend(sluice, id, "{\"token\":\"\(tokens[1])\"}")
            #expect(own.hasSuffix(" 200"), "\(own)")
        }
        try judge()
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.moved == 1 && report.lost == 0)
        try judge()
        try ends.exchange("still here")
        // Either name ends it.
        func close(_ subject: String) throws -> String {
            try sluice.ask(
                "/relays/close", ["-X", "POST", "-d", "{\"subject\": \"\(subject)\"}"]
            ).output.filter { !$0.isWhitespace }
        }
        #expect(try close("carl") == "{\"closed\":0}")
        let second = try sluice.proxy.relay(to: backend, Self.opening(tokens[0]))
        #expect(try close("ann") == "{\"closed\":2}")
        #expect(try ends.client.readFrame().closeCode == 1_008)
        #expect(try second.client.readFrame().closeCode == 1_008)
        let third = try sluice.proxy.relay(to: backend, Self.opening(tokens[0]))
        #expect(try close("bob") == "{\"closed\":1}")
        #expect(try third.client.readFrame().closeCode == 1_008)
    }

    @Test func `a token of nobody gives no time to a socket of nobody`() throws {
        let issuer = try TokenIssuer()
        defer { issuer.remove() }
        let backend = try ManualBackend()
        let sluice = try Self.sluice(issuer, backend.address)
        defer { Scratch.remove(sluice.folder) }
        let tokens = try issuer.sign([#"{"in":600}"#, #"{"in":1800}"#])
        let ends = try sluice.proxy.relay(to: backend, Self.opening(tokens[0]))
        let id = try Self.name(sluice)
        let answer = try Self.extend(sluice, id, "{\"token\":\"\(tokens[1])\"}")
        #expect(answer.hasSuffix(" 403") && answer.contains("says whose it is"), "\(answer)")
        #expect(try Self.extend(sluice, id, "{\"seconds\":600}").hasSuffix(" 200"))
        try ends.exchange("still here")
    }
}
