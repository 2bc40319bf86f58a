// SPDX-License-Identifier: Apache-2.0
//
// Goal: an app that logs somebody out ends that user's sockets by one request to the admin socket, and no others; a
// request that names nobody ends nobody's.
// Method: curl asks; the clients read the Close that each of them gets.

import Foundation
import TestKit
import Testing

@Suite struct CloseRelaysTests {
    private func ask(_ sluice: Operated, _ body: String) throws -> String {
        try sluice.ask("/relays/close", ["-X", "POST", "-d", body]).output
            .filter { !$0.isWhitespace }
    }

    @Test func `a user's sockets end with the code and the reason, and nobody else's`() throws {
        let backend = try ScriptedBackend.echo()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let lines = try [("ann", "one"), ("bob", "two")].map { user, password in
            let hash = try run(["openssl", "passwd", "-6", "-salt", "salt", password]).first ?? ""
            return "\(user):\(hash)\n"
        }
        try Scratch.write(lines.joined(), to: "\(folder)/users")
        let access = "access: { basic: { file: \(folder)/users } }"
        let sluice = try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\", \(access) }",
                "{ path: /other, to: \"\(backend.address)\", \(access) }",
            ], settings: ["workers: 2"])
        defer { Scratch.remove(sluice.folder) }
        func open(_ login: String, _ path: String = "/Esv/ocp") throws -> WebSocketPeer {
            let token = Data(login.utf8).base64EncodedString()
            return try sluice.proxy.open(
                Opening(path, extra: [("Authorization", "Basic \(token)")]))
        }
        let ann = try (0..<5).map { _ in try open("ann:one") }
        let other = try open("ann:one", "/other")
        let bob = try open("bob:two")
        #expect(try sluice.ask("/relays").output.contains("\"subject\""))
        #expect(
            try ask(
                sluice,
                "{\"subject\": \"ann\", \"route\": \"/Esv/ocp\", \"code\": 4401, \"reason\": \"bye\"}"
            )
                == "{\"closed\":5}")
        for client in ann {
            let close = try client.readFrame()
            #expect(close.closeCode == 4_401)
            #expect(String(decoding: close.payload.dropFirst(2), as: UTF8.self) == "bye")
        }
        for client in [other, bob] {
            try client.send(Frame.text("still here").masked())
            #expect(try client.readFrame().text == "still here")
        }
        #expect(
            try ask(sluice, "{\"subject\": \"ann\", \"client\": \"127.0.0.1\"}") == "{\"closed\":1}"
        )
        #expect(try other.readFrame().closeCode == 1_008)
        #expect(try ask(sluice, "{\"subject\": \"carl\"}") == "{\"closed\":0}")
        #expect(try ask(sluice, "{\"client\": \"192.0.2.1\"}") == "{\"closed\":0}")
        try sluice.proxy.process.waitForLine(containing: "5 relays were told 4401")
        try bob.send(Frame.text("still here").masked())
        #expect(try bob.readFrame().text == "still here")
    }

    @Test func `a client is named with its port or without, and sockets of HTTP 2 end too`() throws
    {
        let backend = try ScriptedBackend.echo()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"], listeners: [.http2()])
        defer { Scratch.remove(sluice.folder) }
        let clients = try (0..<3).map { _ in try sluice.proxy.open() }
        let state = try sluice.ask("/relays").output
        let name = try #require(state.firstMatch(of: /127\.0\.0\.1:[0-9]+/)).output
        #expect(try ask(sluice, "{\"client\": \"\(name)\"}") == "{\"closed\":1}")
        #expect(try ask(sluice, "{\"client\": \"127.0.0.1\", \"code\": 1012}") == "{\"closed\":2}")
        let codes = try clients.map { try $0.readFrame().closeCode }
        #expect(codes.count { $0 == 1_012 } == 2 && codes.count { $0 == 1_008 } == 1, "\(codes)")
    }

    @Test func `a socket that is ending already is not said to be told another code`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["timeouts: { closing: 60s }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let relays = try sluice.ask("/relays").output
        let id = try #require(relays.firstMatch(of: /\d+-\d+-\d+/)).output
        func close(_ code: Int) throws -> String {
            try sluice.ask(
                "/relays/\(id)/close?code=\(code)", ["-X", "POST", "-w", " %{http_code}"]
            ).output.trimmingCharacters(in: .newlines)
        }
        #expect(try close(4_001).hasSuffix(" 200"))
        #expect(try ends.client.readFrame().closeCode == 4_001)
        let again = try close(4_002)
        #expect(again.contains("is ending already") && again.hasSuffix(" 409"), "\(again)")
        let command = try sluice.command(["status", "--close", String(id)])
        #expect(command.status == 1 && command.output.contains("is ending already"), "\(command)")
    }

    @Test(arguments: [
        ("{}", "Which relays? Name a route, a client or a subject"),
        ("{\"code\": 1001}", "Which relays?"), ("", "Which relays?"),
        ("{\"subjct\": \"ann\"}", "Did you mean subject?"),
        ("{\"subject\": \"\"}", "subject is a text"),
        ("{\"client\": \"ann\"}", "A client is an address"), ("{\"route\": \"/none\"}", "/none"),
        ("{\"subject\": \"a\", \"code\": 1006}", "The code is"),
        ("[]", "The body is a JSON object"),
        (
            "{\"subject\": \"a\", \"reason\": \"\(String(repeating: "x", count: 124))\"}",
            "longer than 123 bytes"
        ),
    ])
    func `a request that names nobody, or nobody right, ends nobody's`(body: String, words: String)
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let answer = try sluice.ask("/relays/close", ["-X", "POST", "-d", body]).output
        #expect(answer.contains(words), "\(answer)")
        try ends.exchange("still here")
    }
}
