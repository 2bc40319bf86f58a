// SPDX-License-Identifier: Apache-2.0
//
// Goal: web software that is not ours works over HTTP/2 as it does over HTTP/1.1.
// Method: the library h2, curl and h2load as clients, an aiohttp app behind; contents are compared.

import Foundation
import TestKit
import Testing

@Suite struct HTTP2RequestTests {
    private let server: ChildProcess
    private let proxy: ProxyFixture
    private let authority: String

    init() throws {
        server = try PythonPeer.start("web_app.py")
        let line = try server.waitForLine(containing: "port ", by: .after(.seconds(120)))
        let port = try #require(UInt16(line[0].dropFirst(5)))
        proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", to: \"http://127.0.0.1:\(port)\" }"], listeners: [.http2()])
        authority = try TestCertificates.shared().authority
    }

    private var url: String { "https://localhost:\(proxy.port())" }

    @Test func `pages, uploads, downloads, events and long polls share one connection`() throws {
        let said = try PythonPeer.run("h2_client.py", ["\(proxy.port())", authority, "web"])
        #expect(said == ["served"])
        let line = try proxy.process.waitForLine(containing: "GET localhost/poll")
        #expect(line[0].contains(" protocol=h2 "), "\(line)")
    }

    @Test func `curl gets HTTP/2 where it offers it, and HTTP/1.1 where it does not`() throws {
        for (option, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
            let said = try run([
                "curl", "-sS", option, "--cacert", authority, "-w", "\n%{http_version}",
                "\(url)/?by=curl",
            ])
            #expect(said == ["page by=curl", version])
        }
    }

    @Test func `curl uploads with Expect, and a body of unknown length`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(String(repeating: "0123456789", count: 200_000), to: "\(folder)/body")
        let curl = ["curl", "-sS", "--http2", "--cacert", authority]
        for options in [
            ["-H", "Expect: 100-continue", "--data-binary", "@\(folder)/body"],
            ["-X", "POST", "-H", "Content-Length:", "-T", "\(folder)/body"],
        ] {
            let said = try run(curl + options + ["\(url)/upload"])
            #expect(said.joined().contains("\"count\": 2000000"), "\(said)")
        }
    }

    @Test func `h2load's requests are all answered`() throws {
        let said = try run([
            "h2load", "-n", "2000", "-c", "4", "-m", "50", "\(url)/?of=h2load",
        ])
        #expect(said.contains { $0.contains("2000 succeeded, 0 failed, 0 errored") }, "\(said)")
    }

    @Test func `a Flask app and Python's http.server are served as over HTTP/1.1`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let text = String(repeating: "0123456789", count: 300_000)
        try Scratch.write(text, to: "\(folder)/file.txt")
        let flask = try PythonPeer.start("flask_app.py")
        let files = try ChildProcess([
            "python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", folder,
        ])
        let flaskLine = try flask.waitForLine(containing: "port ", by: .after(.seconds(120)))
        let words = try files.waitForLine(containing: "Serving HTTP on")[0].split(separator: " ")
        let place = try #require(words.firstIndex(of: "port"))
        let proxy = try ProxyFixture(
            routes: [
                "{ path: /file.txt, to: \"http://127.0.0.1:\(words[place + 1])\" }",
                "{ path: \"/*\", to: \"http://127.0.0.1:\(flaskLine[0].dropFirst(5))\" }",
            ], listeners: [.http2()])
        let url = "https://localhost:\(proxy.port())"
        let curl = ["curl", "-sS", "--http2", "--cacert", authority]
        #expect(
            try run(curl + ["-d", "name=value", "\(url)/form"]) == ["value by http from 127.0.0.1"]
        )
        #expect(try run(curl + ["\(url)/file.txt"]).joined() == text)
        let head = try run(curl + ["-I", "\(url)/file.txt"])
        #expect(head.first?.hasPrefix("HTTP/2 200") == true, "\(head)")
        #expect(head.contains { $0.hasPrefix("content-length: 3000000") }, "\(head)")
        // A part of it, and what has not changed.
        #expect(
            try run(
                curl + [
                    "-o", "/dev/null", "-w", "%{http_code}", "-H",
                    "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT", "\(url)/file.txt",
                ]) == ["304"])
    }

    /// Twenty answers of 131 MB each are asked for and none is taken.
    @Test func `streams that nobody reads stop nobody else, and hold little`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let client = try PythonPeer.start(
            "h2_client.py", ["\(proxy.port())", authority, "stalled", "\(folder)/go"])
        try client.waitForLine(containing: "answered")
        let resident = try residentKilobytes(of: proxy)
        #expect(resident < 120 << 10, "\(resident)")
        try Scratch.write("", to: "\(folder)/go")
        try client.waitForLine(containing: "answered after")
        #expect(try client.waitForExit() == 0)
    }
}
