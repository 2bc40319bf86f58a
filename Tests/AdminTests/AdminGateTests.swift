// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing
import Wire

@testable import Admin

/// Goal: the gate lets in programs and the own page, and nobody whom a browser asks for.
///
/// Method: heads as programs, the dashboard, other pages and rebound names send them.
struct AdminGateTests {
    private static let token = "a-token-of-24-characters"

    private func head(_ method: String, _ target: String, _ fields: [String]) throws -> RequestHead
    {
        let lines = ["\(method) \(target) HTTP/1.1"] + fields + ["", ""]
        var parser = RequestHeadParser(limits: .builtIn)
        let result = Array(lines.joined(separator: "\r\n").utf8).withUnsafeBytes {
            parser.append($0)
        }
        guard case .complete(let head, _) = result else { throw PeerError("no head: \(result)") }
        return head
    }

    /// The status of the refusal; nil where it is let in.
    private func refusal(
        _ method: String, _ fields: [String], hasPage: Bool = true, token: AdminToken? = nil
    ) throws -> Int? {
        try refusal(method, "/live", fields, hasPage: hasPage, token: token)
    }

    private func refusal(
        _ method: String, _ target: String, _ fields: [String], hasPage: Bool = true,
        token: AdminToken? = nil
    ) throws -> Int? {
        let gate = AdminGate(isForThisMachine: true, hasPage: hasPage, token: token)
        let head = try head(method, target, fields)
        do throws(AdminRefusal) {
            try gate.check(head)
            return nil
        } catch {
            return error.status
        }
    }

    private static let own = "Host: localhost:9901"

    @Test func `programs ask and act without a token, as ever`() throws {
        for host in ["localhost", "localhost:9901", "127.0.0.1:9901", "[::1]:9901"] {
            #expect(try refusal("GET", ["Host: \(host)"]) == nil)
            #expect(try refusal("POST", "/reload", ["Host: \(host)"]) == nil)
        }
    }

    @Test(arguments: [
        "evil.example", "evil.example:9901", "localhost.evil.example",
        "127.0.0.1.evil.example:9901",
        "127.0.0.2:9901", "app.localhost:9901", "",
    ])
    func `a name that was bound to this machine is not this machine`(host: String) throws {
        for method in ["GET", "POST"] {
            #expect(try refusal(method, ["Host: \(host)"]) == 403)
            // As the browser of a rebound page sends it: of one origin, by the browser's view.
            let same = ["Host: \(host)", "Origin: http://\(host)", "Sec-Fetch-Site: same-origin"]
            #expect(try refusal(method, same) == 403)
        }
        #expect(try refusal("GET", [Self.own, "Host: \(host)"]) == 403)
    }

    @Test(arguments: [
        "http://localhost:3000", "http://evil.example", "https://localhost:9901", "null",
        "http://localhost", "http://localhost:9901.evil.example", "http://127.0.0.1:9901", "",
    ])
    func `another page is refused, whatever it asks for`(origin: String) throws {
        for method in ["GET", "POST"] {
            #expect(try refusal(method, [Self.own, "Origin: \(origin)"]) == 403)
        }
        let twice = [Self.own, "Origin: http://localhost:9901", "Origin: \(origin)"]
        #expect(try refusal("GET", twice) == 403)
    }

    @Test func `what the browser says of a page's site is heeded`() throws {
        for site in ["same-site", "cross-site", "Cross-Site", "anything"] {
            #expect(try refusal("GET", [Self.own, "Sec-Fetch-Site: \(site)"]) == 403)
            let visit = [
                Self.own, "Sec-Fetch-Site: \(site)", "Sec-Fetch-Mode: navigate",
                "Sec-Fetch-Dest: document",
            ]
            // Somebody follows a link to the page; into a frame it is not shown, and other paths are not served.
            #expect(try refusal("GET", "/", visit) == nil)
            #expect(try refusal("GET", "/state", visit) == 403)
            #expect(try refusal("POST", "/", visit) == 403)
            let frame = visit.dropLast() + ["Sec-Fetch-Dest: iframe"]
            #expect(try refusal("GET", "/", Array(frame)) == 403)
        }
        #expect(try refusal("GET", [Self.own, "Sec-Fetch-Site: none"]) == nil)
        #expect(try refusal("POST", [Self.own, "Sec-Fetch-Site: none"]) == 403)
    }

    @Test func `the own page may look, and act with a token alone`() throws {
        let page = [Self.own, "Origin: http://localhost:9901", "Sec-Fetch-Site: same-origin"]
        #expect(try refusal("GET", page) == nil)
        #expect(try refusal("POST", "/reload", page) == 403)
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write("\n \(Self.token)\n", to: "\(folder)/token")
        let token = AdminToken(path: "\(folder)/token")
        #expect(try refusal("GET", page, token: token) == nil)
        #expect(try refusal("POST", page, token: token) == 401)
        let right = page + ["Authorization: Bearer \(Self.token)"]
        #expect(try refusal("POST", right, token: token) == nil)
    }

    @Test func `a token is needed by all, and nothing but the token will do`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let path = "\(folder)/token"
        try Scratch.write(Self.token, to: path)
        let token = AdminToken(path: path)
        func post(_ fields: String...) throws -> Int? {
            try refusal("POST", "/reload", [Self.own] + fields, token: token)
        }
        #expect(try post() == 401)
        for wrong in [
            "Bearer", "Bearer ", "Bearer x", "Bearer \(Self.token)x",
            "Bearer \(Self.token.dropLast())", "Basic \(Self.token)", Self.token,
            "Bearer \(Self.token.uppercased())", "Bearer x \(Self.token)",
        ] {
            #expect(try post("Authorization: \(wrong)") == 401, "\(wrong)")
        }
        #expect(try post("Authorization: Bearer \(Self.token)") == nil)
        #expect(try post("authorization: bearer  \(Self.token)") == nil)
        let own = "Authorization: Bearer \(Self.token)"
        #expect(try post(own, own) == 401)
        #expect(try refusal("GET", [Self.own], token: token) == nil)
        // A new token holds at once, and the old one no more.
        try Scratch.write("another-token-of-more-characters", to: path)
        #expect(try post(own) == 401)
        #expect(try post("Authorization: Bearer another-token-of-more-characters") == nil)
        // Without a token nobody has it, not even who sends none.
        for unfit in ["", "\n", "short", "two words of a long sentence", "käse-käse-käse-käse"] {
            try Scratch.write(unfit, to: path)
            #expect(try post(own) == 503)
            if unfit != "\n" { #expect(try post("Authorization: Bearer \(unfit)") == 503) }
            #expect(try post() == 503)
        }
        Scratch.remove(path)
        #expect(try post(own) == 503)
    }

    @Test func `a server without a page serves no page`() throws {
        let page = [Self.own, "Origin: http://localhost:9901"]
        #expect(try refusal("GET", page, hasPage: false) == 403)
        // By the address bar somebody asks, and no page.
        let typed = [Self.own, "Sec-Fetch-Site: none"]
        #expect(try refusal("GET", typed, hasPage: false) == nil)
        #expect(try refusal("POST", typed, hasPage: false) == 403)
        #expect(try refusal("GET", typed + ["Sec-Fetch-Site: none"], hasPage: false) == 403)
        #expect(try refusal("GET", typed + ["Origin: null"], hasPage: false) == 403)
        #expect(
            try refusal("GET", [Self.own, "Sec-Fetch-Site: cross-site"], hasPage: false) == 403)
        #expect(try refusal("GET", [Self.own], hasPage: false) == nil)
    }
}
