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

    @Test(arguments: [
        ("wss://localhost:8443/Esv/ocp", true, "localhost", 8443, "/Esv/ocp"),
        ("WS://a.test", false, "a.test", 80, "/"),
        ("wss://a.test?x=1", true, "a.test", 443, "/?x=1"),
        ("ws://[::1]:3000/a?b#c", false, "::1", 3000, "/a?b"),
        ("https://a.test/x", true, "a.test", 443, "/x"),
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
        "wss://a b/", "wss://a/ b", "wss://::1/", "wss://u@a/",
    ])
    func `what is no URL is refused`(text: String) {
        #expect(SocketURL(text) == nil)
    }
}
