// SPDX-License-Identifier: Apache-2.0
//
// Goal: one line per ended relay says who came, where to, and how it ended, without what is secret:
// no query string, no cookie, no authorization (DESIGN §8).
// Method: a relay full of secrets; then the program's output is searched for them.

import Foundation
import TestKit
import Testing

@Suite struct AccessLineTests {
    private func accessLine(settings: [String]) throws -> (line: String, all: [String]) {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address, settings: settings)
        let client = try proxy.open(
            Opening(
                "/Esv/ocp?token=secret-query",
                extra: [
                    ("Cookie", "sid=secret-cookie"), ("Authorization", "Bearer secret-bearer"),
                ]))
        try client.send(Frame.text("secret-payload").masked())
        _ = try client.readFrame()
        try client.send(Frame.close(4567, "secret-reason").masked())
        _ = try client.readFrame()
        _ = try client.expectEnd()
        func isAccess(_ line: String) -> Bool {
            line.contains("/Esv/ocp") && !line.hasPrefix("route ") && !line.hasPrefix("listening ")
        }
        try proxy.process.waitForLines("an access line", where: isAccess)
        #expect(try proxy.terminate() == 0)
        let all = proxy.process.output + proxy.process.errors
        let lines = all.filter(isAccess)
        #expect(lines.count == 2, "\(lines)")
        #expect(lines.first?.contains("open") == true, "\(lines)")
        return (try #require(lines.last), all)
    }

    @Test func `a text line names path and code and no secret`() throws {
        let (line, all) = try accessLine(settings: ["log: { access: stdout }"])
        #expect(line.contains("4567"), "\(line)")
        #expect(line.contains("127.0.0.1"), "\(line)")
        #expect(all.allSatisfy { !$0.contains("secret") }, "\(all)")
    }

    @Test func `a JSON line names path and code and no secret`() throws {
        let (line, all) = try accessLine(settings: ["log: { format: json, access: stdout }"])
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
        #expect(object is [String: Any])
        #expect(line.contains("4567"), "\(line)")
        #expect(all.allSatisfy { !$0.contains("secret") }, "\(all)")
    }

    @Test func `a path can't forge a line`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            routes: ["{ path: \"/*\", to: \"\(backend.address)\" }"],
            settings: ["log: { access: stdout }"])
        let client = try proxy.open(Opening("/a%0Aforged%0d%1b[2J"))
        try client.send(Frame.close(1000).masked())
        _ = try client.readFrame()
        _ = try client.expectEnd()
        try proxy.process.waitForLine(containing: "forged")
        let lines = proxy.process.output + proxy.process.errors
        #expect(lines.allSatisfy { !$0.hasPrefix("forged") && !$0.contains("\u{1b}") }, "\(lines)")
    }
}
