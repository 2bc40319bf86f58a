// SPDX-License-Identifier: Apache-2.0
//
// Goal: a slip in a request to the admin socket is refused and named, and does nothing; above all it does not stop
// the process.
// Method: requests by curl, and by the commands, to a program with a live relay.

import TestKit
import Testing

@Suite struct AdminRequestTests {
    private static func started(_ backend: ManualBackend) throws -> Operated {
        try Operated(routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"])
    }

    /// The status and the text of an answer.
    private func ask(
        _ sluice: Operated, _ target: String, _ arguments: [String] = []
    ) throws -> (status: String, text: String) {
        let answer = try sluice.ask(target, ["-w", "%{http_code}"] + arguments).output
        return (String(answer.dropLast().suffix(3)), String(answer.dropLast(4)))
    }

    @Test func `a slip in a body or a query is refused by its name, and nothing is done`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        let relay = try sluice.proxy.relay(to: backend)
        for (target, body, words) in [
            (
                "/drain", "{\"rout\":\"/one\"}",
                "POST /drain has no key \"rout\", so nothing was done. Did you mean route?"
            ),
            ("/drain", "{\"route\":null}", "route is null."),
            (
                "/drain", "{\"Endpoint\":\"a:1\"}",
                "Did you mean endpoint? It has route, endpoint, everything"
            ),
            ("/drain", "{\"route\":\"\"}", "route is a text: found \"\"."),
            ("/drain", "{\"route\":7}", "route is a text: found 7."),
            ("/drain", "{\"route\":[\"/Esv/ocp\"]}", "route is a text: found a fraction, a list"),
            ("/drain", "{\"everything\":false}", "everything is true, or left out: found false."),
            ("/drain", "{\"everything\":\"true\"}", "everything is true, or left out"),
            ("/drain", "{\"everything\":true,\"code\":70000}", "code is 1000"),
            (
                "/drain", "{\"everything\":true,\"timeoutMilliseconds\":-1}",
                "timeoutMilliseconds is a whole number"
            ),
            ("/drain", "{\"everything\":true,\"route\":\"/Esv/ocp\"}", "does not go together"),
            ("/drain", "{}", "{\"everything\": true} to drain all and stop Sluice"),
            ("/drain", "{\"code\":1012}", "Nothing is named, so nothing was done."),
            ("/drain", "[]", "The body is a JSON object with route"),
            ("/drain?route=/Esv/ocp", "", "POST /drain has no parameter \"route\""),
            ("/resume", "{\"rute\":\"/Esv/ocp\"}", "Did you mean route? It has route, endpoint."),
            ("/resume", "{\"everything\":true}", "POST /resume has no key \"everything\""),
            ("/rebalance", "{\"upstream\":\"a\",\"persecond\":1}", "Did you mean perSecond?"),
            ("/rebalance", "{\"upstream\":\"a\"}", "perSecond is missing."),
            (
                "/reload", "{\"file\":\"/etc/other\"}",
                "POST /reload has no key \"file\", so nothing was done. It has none."
            ),
            ("/upgrade?timeout=1", "", "Did you mean timeoutMilliseconds?"),
            ("/upgrade?timeoutMilliseconds=", "", "timeoutMilliseconds is a whole number"),
        ] {
            let answer = try ask(sluice, target, ["-d", body])
            #expect(answer.status == "400", "\(target) \(body) \(answer)")
            #expect(answer.text.contains(words), "\(target) \(body) \(answer)")
            #expect(!answer.text.contains("isDone"), "nothing has begun: \(answer)")
        }
        let empty = try ask(sluice, "/drain", ["-X", "POST"])
        #expect(empty.status == "400" && empty.text.contains("Nothing is named"), "\(empty)")
        for (target, words) in [
            ("/relays?rout=/one", "GET /relays has no parameter \"rout\""),
            ("/relays?route=", "route is a text: found \"\"."),
            ("/relays?limit=1&limit=2", "limit is there twice"),
            (
                "/state?verbose=1",
                "GET /state has no parameter \"verbose\", so nothing was done. It has none."
            ),
            ("/healthz?a", "GET /healthz has no parameter \"a\""),
        ] {
            let answer = try ask(sluice, target)
            #expect(answer.status == "400" && answer.text.contains(words), "\(target) \(answer)")
        }
        let none = try ask(sluice, "/drain", ["-d", "{\"route\":\"/nowhere\"}"])
        #expect(
            none.status == "422" && none.text.hasPrefix("There is no route /nowhere"), "\(none)")
        try relay.exchange("nobody was told anything")
        #expect(try sluice.ask("/readyz").output == "ready\n")
    }

    @Test
    func `a path that is asked for by another method names that, and an unknown one what there is`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        for (method, target, allow) in [
            ("GET", "/reload", "POST"), ("GET", "/drain", "POST"),
            ("POST", "/metrics", "GET, HEAD"),
            ("PUT", "/relays", "GET, HEAD"), ("DELETE", "/relays/0-0-0/close", "POST"),
        ] {
            let answer = try sluice.ask(target, ["-i", "-X", method]).output
            #expect(answer.hasPrefix("HTTP/1.1 405 "), "\(answer)")
            #expect(answer.contains("Allow: \(allow)\r\n"), "\(answer)")
        }
        let unknown = try ask(sluice, "/drian", ["-d", "{}"])
        #expect(
            unknown.status == "404" && unknown.text.contains("POST /reload, /drain, /resume"),
            "\(unknown)")
    }

    @Test func `all is stopped by the word for it, and by the command, which says it`() throws {
        for isCommand in [false, true] {
            let backend = try ManualBackend()
            let sluice = try Self.started(backend)
            defer { Scratch.remove(sluice.folder) }
            if isCommand {
                #expect(try sluice.command(["drain"]).status == 0)
            } else {
                let answer = try ask(sluice, "/drain", ["-d", "{\"everything\":true}"])
                #expect(
                    answer.status == "200" && answer.text.contains("Sluice stops."), "\(answer)")
            }
            #expect(try sluice.proxy.process.waitForExit(by: .after(.seconds(30))) == 0)
        }
    }
}
