// SPDX-License-Identifier: Apache-2.0
//
// Goal: web software that is not ours works behind Sluice as it does without it.
// Method: Python's clients and servers and curl, unchanged, certificates verified; contents compared.

import Foundation
import TestKit
import Testing

@Suite struct ForeignWebTests {
    private func quick(_ port: UInt16) throws -> ProxyFixture {
        try ProxyFixture(arguments: ["\(port)", "--listen", "127.0.0.1:0"])
    }

    private func authority(_ proxy: ProxyFixture) -> String {
        "\(proxy.folder)/data/sluice/ca.pem"
    }

    private func port(_ server: ChildProcess) throws -> UInt16 {
        let line = try server.waitForLine(containing: "port ", by: .after(.seconds(120)))
        return try #require(UInt16(line[0].dropFirst(5)))
    }

    @Test func `pages, uploads, events, long polls and a WebSocket share one port`() throws {
        let server = try PythonPeer.start("web_app.py")
        let proxy = try quick(try port(server))
        let url = "https://localhost:\(proxy.port())"
        let said = try PythonPeer.run("web_client.py", [url, authority(proxy)])
        #expect(said.last == "ok")
    }

    @Test func `a Flask app sees the form, the scheme and the client`() throws {
        let server = try PythonPeer.start("flask_app.py")
        let proxy = try quick(try port(server))
        let url = "https://localhost:\(proxy.port())"
        let curl = ["curl", "-sS", "--cacert", authority(proxy)]
        #expect(try run(curl + [url + "/"]) == ["flask"])
        let form = try run(curl + ["-d", "name=value", url + "/form"])
        #expect(form == ["value by http from 127.0.0.1"])
    }

    @Test func `Python's http.server serves a folder`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let text = String(repeating: "0123456789", count: 300_000)
        try Scratch.write(text, to: "\(folder)/file.txt")
        let server = try ChildProcess([
            "python3", "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "-d", folder,
        ])
        let line = try server.waitForLine(containing: "Serving HTTP on")
        let words = line[0].split(separator: " ")
        let place = try #require(words.firstIndex(of: "port"))
        let proxy = try quick(try #require(UInt16(words[place + 1])))
        let curl = ["curl", "-sS", "--cacert", authority(proxy)]
        let url = "https://localhost:\(proxy.port())/file.txt"
        #expect(try run(curl + [url]).joined() == text)
        let head = try run(curl + ["-I", url])
        #expect(
            head.contains {
                $0.lowercased().trimmingCharacters(in: .whitespacesAndNewlines)
                    == "content-length: \(text.utf8.count)"
            })
        let missing = try run(curl + ["-o", "/dev/null", "-w", "%{http_code}", url + "x"])
        #expect(missing == ["404"])
    }

    @Test func `a large body passes either way in bounded memory`() throws {
        let server = try PythonPeer.start("web_app.py")
        let proxy = try quick(try port(server))
        let url = "https://localhost:\(proxy.port())"
        let curl = ["curl", "-sS", "--cacert", authority(proxy)]
        _ = try run(curl + [url + "/download?blocks=16", "-o", "/dev/null"])
        let before = try residentKilobytes(of: proxy)
        let count = try run(
            curl + [url + "/download?blocks=4096", "-o", "/dev/null", "-w", "%{size_download}"],
            by: .after(.seconds(120)))
        #expect(count == ["268435456"])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try run(["truncate", "-s", "256M", "\(folder)/zeros"])
        let said = try run(
            curl + ["--data-binary", "@\(folder)/zeros", url + "/upload"],
            by: .after(.seconds(120)))
        #expect(said.joined().contains("268435456"))
        #expect(try residentKilobytes(of: proxy) - before < 8_192)
    }
}
