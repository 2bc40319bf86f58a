// SPDX-License-Identifier: Apache-2.0
//
// Goal: whatever a client of HTTP/2 asks for in whatever frames, the upstream is asked for the same as by a
// client of HTTP/1.1: fields, bodies and their order.
// Method: random valid conversations, cut anywhere into reads, against an app that keeps what it was asked.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2ConversationTests {
    /// `SLUICE_SEED` repeats a conversation, and `SLUICE_ROUNDS` has more of them than usual.
    private static func number(_ name: String) -> Int? {
        ProcessInfo.processInfo.environment[name].flatMap { Int($0) }
    }

    @Test func `random conversations ask the upstream for what HTTP/1.1 would`() throws {
        let seed = Self.number("SLUICE_SEED") ?? Int.random(in: 1...999_999)
        let rounds = Self.number("SLUICE_ROUNDS") ?? 30
        let app = try PythonPeer.start("recording_app.py")
        let port = try #require(
            try app.waitForLine(containing: "port ", by: .after(.seconds(120)))[0]
                .split(separator: " ").last)
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", to: \"http://127.0.0.1:\(port)\" }"], listeners: [.http2()])
        let client = try PythonPeer.start(
            "h2_conversation.py",
            [
                "\(proxy.port())", try TestCertificates.shared().authority, String(port), "\(seed)",
                "\(rounds)",
            ])
        let status = try client.waitForExit(by: .after(.seconds(300)))
        let said = client.output + client.errors
        #expect(status == 0, "SLUICE_SEED=\(seed): \(said.joined(separator: "\n"))")
        let compared = client.output.last.flatMap { Int($0.dropFirst(5)) } ?? 0
        #expect(compared >= rounds, "SLUICE_SEED=\(seed): \(compared) requests were compared")
        print("The seed of HTTP2ConversationTests was \(seed); \(compared) requests were compared.")
    }
}
