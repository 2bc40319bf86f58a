// SPDX-License-Identifier: Apache-2.0
//
// Goal: a client that floods, or does not speak what was agreed on, loses its connection and nobody else's,
// and the log says what it did.
// Method: each kind of flood through the program; the client's frames by hand.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2AbuseTests {
    private let authority: String

    init() throws { authority = try TestCertificates.shared().authority }

    private func proxy(_ backend: PeerAddress) throws -> ProxyFixture {
        try ProxyFixture(
            routes: [
                "{ path: /pages, respond: { body: \"a page\", type: text/plain } }",
                "{ path: \"/*\", to: \"\(backend)\" }",
            ], listeners: [.http2()])
    }

    private func run(_ proxy: ProxyFixture, _ task: String, _ more: String...) throws -> [String] {
        try PythonPeer.run("h2_faults.py", ["\(proxy.port())", authority, task] + more)
    }

    @Test(arguments: [
        "resets", "provoked", "pings", "settings", "priorities", "empty", "windows", "unknown",
        "continuations",
    ])
    func `a flood ends its connection alone, and the log names it`(kind: String) throws {
        let backend = try ScriptedBackend.silent()
        let proxy = try proxy(backend.address)
        #expect(try run(proxy, "flood", kind) == ["goaway 11"])
        let line = try proxy.process.waitForLine(
            containing: "the client does too much of one thing in HTTP/2")
        #expect(line.count == 1, "\(line)")
        // What a client gives up at once mostly never gets as far as the upstream.
        #expect(backend.connectionCount <= 400, "\(backend.connectionCount)")
    }

    @Test func `what was agreed on by ALPN is what is spoken`() throws {
        let backend = try ScriptedBackend.silent()
        let proxy = try proxy(backend.address)
        let said = try run(proxy, "preface")
        #expect(said == ["preface 505", "ended"] || said == ["preface 400", "ended"], "\(said)")
        try proxy.process.waitForLine(
            containing: "the client agreed on HTTP/2 (ALPN) and does not speak it")
        #expect(backend.connectionCount == 0)
    }

    @Test func `nghttp sees the settings, and gets its pages`() throws {
        let backend = try ScriptedBackend.silent()
        let proxy = try proxy(backend.address)
        let said = try TestKit.run([
            "nghttp", "-vn", "https://localhost:\(proxy.port())/pages",
            "https://localhost:\(proxy.port())/pages?again",
        ])
        for words in [
            "SETTINGS_ENABLE_CONNECT_PROTOCOL(0x08):1", "SETTINGS_MAX_CONCURRENT_STREAMS(0x03):128",
            "SETTINGS_NO_RFC7540_PRIORITIES(0x09):1",
        ] {
            #expect(said.contains { $0.contains(words) }, "\(words): \(said)")
        }
        #expect(said.filter { $0.contains(":status: 200") }.count == 2, "\(said)")
        #expect(!said.contains { $0.contains("PUSH_PROMISE frame") })
    }
}
