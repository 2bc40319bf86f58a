// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestKit
import Testing

@testable import Doctor

/// Goal: verdicts have names and codes of their own, and the reference has them all.
struct ReferenceTests {
    @Test func `every verdict has a code of its own, and a row in the reference`() throws {
        let codes = Verdict.allCases.map(\.exitCode)
        #expect(Set(codes).count == codes.count)
        #expect(codes.filter { $0 == 0 } == [0])
        let reference = try Scratch.read("\(Scratch.packageFolder)/docs/doctor.md")
        let rows = reference.split(separator: "\n").filter {
            $0.hasPrefix("| `") && !$0.hasPrefix("| `--")
        }
        #expect(rows.count == Verdict.allCases.count)
        for verdict in Verdict.allCases {
            let begin = "| `\(verdict.rawValue)` | \(verdict.exitCode) | "
            #expect(rows.contains { $0.hasPrefix(begin) }, "no row begins \(begin)")
        }
    }

    @Test func `every option stands in the reference`() throws {
        let reference = try Scratch.read("\(Scratch.packageFolder)/docs/doctor.md")
        let help = try run([try ProxyFixture.program(), "doctor", "--help"]).joined(separator: "\n")
        let options = help.matches(of: /^ +(?:-\w, )?(--[a-z]+)/.anchorsMatchLineEndings())
            .map { String($0.output.1) }.filter { $0 != "--help" && $0 != "--version" }
        #expect(options.count > 10, "\(help)")
        for option in options {
            #expect(reference.contains("`\(option)"), "\(option) is not there")
        }
    }

    @Test func `every verdict is met in a test`() throws {
        let folder = "\(Scratch.packageFolder)/Tests"
        var text = ""
        for name in try FileManager.default.subpathsOfDirectory(atPath: folder)
        where name.hasPrefix("DoctorTests/") && !name.hasSuffix("ReferenceTests.swift") {
            text += try Scratch.read("\(folder)/\(name)")
        }
        for verdict in Verdict.allCases {
            #expect(
                text.contains(".\(verdict),") || text.contains("\"\(verdict.rawValue)\""),
                "no test meets \(verdict)")
        }
    }

    @Test(arguments: [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sunday, 06-Nov-94 08:49:37 GMT", nil), ("", nil), ("Sun, 06 Nov 1994 25:49:37 GMT", nil),
        ("Sun, 99 Nov 1994 08:49:37 GMT", nil), ("Sun, 06 Nov 99999999999 08:49:37 GMT", nil),
    ])
    func `dates are read`(text: String, seconds: Int64?) {
        #expect(Doctor.seconds(ofDate: text) == seconds)
    }

    @Test(arguments: [
        ("sluice; error=connection_refused", "nobody listens where sluice looks for the app"),
        (
            "\"a, b\"; error=dns_error; details=\"x; y\", outer; error=dns_timeout",
            "a, b finds no address"
        ),
        ("outer; received-status=502", "Proxy-Status says: outer; received-status=502."),
        ("x; error=unheard_of", "Proxy-Status says: x; error=unheard_of."),
        (";;,\"", "Proxy-Status says: "),
    ])
    func `Proxy-Status is put into words`(value: String, words: String) {
        let sentence = ProxyStatus.sentence(value)
        #expect(sentence.contains(words) && sentence.contains(value), "\(sentence)")
    }

    @Test(arguments: [
        ("https://App.test/x?y", "https://app.test"), ("http://a.test:80/", "http://a.test"),
        ("https://[::1]:8443/", "https://[::1]:8443"), ("http://a.test:443", "http://a.test:443"),
    ])
    func `origins are those of a page`(page: String, origin: String) {
        #expect(SocketURL(page)?.origin == origin)
    }

    @Test func `what peers chose steers no terminal`() throws {
        #expect("a\u{1B}[2Jb\u{9B}c\u{202E}d\ne".harmless == "a.[2Jb.c.d.e")
        #expect("Grüße, 日本".harmless == "Grüße, 日本")
        let closing = try ScriptedBackend { peer in
            try peer.accept()
            try peer.send(Frame.close(4000, "\u{1B}]0;title\u{7}"))
            _ = try peer.readUntilEnd()
        }
        let url = try #require(SocketURL("ws://127.0.0.1:\(closing.address.port)/"))
        let diagnosis = try Doctor.examine(url, Doctor.Options())
        #expect(diagnosis.sentence.hasSuffix(": .]0;title.."), "\(diagnosis)")
    }

    @Test(arguments: [
        ("localhost", true), ("app.localhost", true), ("127.8.0.1", true), ("[::1]", true),
        ("127.evil.test", false), ("localhost.test", false), ("10.0.0.1", false),
    ])
    func `what is this machine`(host: String, isLocal: Bool) {
        #expect(SocketURL("wss://\(host)/")?.isLocal == isLocal)
    }

    @Test(arguments: [
        ("wss://localhost:8443/Esv/ocp", true, "localhost", 8443, "/Esv/ocp"),
        ("WS://a.test", false, "a.test", 80, "/"),
        ("wss://a.test?x=1", true, "a.test", 443, "/?x=1"),
        ("ws://[::1]:3000/a?b#c", false, "::1", 3000, "/a?b"),
        ("https://a.test/x", true, "a.test", 443, "/x"),
        ("wss://user:p@w@a.test:8443/x", true, "a.test", 8443, "/x"),
    ])
    func `URLs are read`(
        text: String, isSecure: Bool, host: String, port: UInt16, target: String
    ) throws {
        let url = try #require(SocketURL(text))
        #expect(url.isSecure == isSecure && url.host == host)
        #expect(url.port == port && url.target == target)
    }

    @Test(arguments: [
        "localhost:3000", "ftp://a/", "wss://", "wss:///x", "wss://a:0/", "wss://a:70000/",
        "wss://a b/", "wss://a/ b", "wss://::1/", "wss://u@/",
    ])
    func `what is no URL is refused`(text: String) {
        #expect(SocketURL(text) == nil)
    }
}
