// SPDX-License-Identifier: Apache-2.0
//
// Goal: what the documentation tells newcomers to type works as it stands there, and what it says of
// errors is what clients say.
// Method: commands, code and URLs are taken from the pages themselves. Guides are followed in a network
// of their own, since their ports are the usual ones.

import Glibc
import TestKit
import Testing

@Suite struct GuideTests {
    private var docs: String { "\(Scratch.packageFolder)/docs" }

    /// Runs a script where nobody else uses any port.
    private func runAlone(_ script: String, _ arguments: [String]) throws -> [String] {
        let command = ["unshare", getuid() == 0 ? "-n" : "-rn", "sh", "-c"]
        let inside = ["ip link set lo up && exec \"$@\"", "sh"]
        let words = try command + inside + PythonPeer.command(script) + arguments
        return try run(words, by: .after(.seconds(240)))
    }

    @Test(arguments: ["flask-sock", "node-ws", "django-channels"])
    func `a guide's app echoes by wss as a page would see it`(guide: String) throws {
        let said = try runAlone(
            "guide.py", ["\(docs)/guides/\(guide).md", try ProxyFixture.program()])
        #expect(said.last == "ok")
    }

    @Test func `two commands lead from the program to a trusted echo in Chromium`() throws {
        let said = try runAlone("first_echo.py", [try ProxyFixture.program()])
        #expect(said.last == "ok")
        // The README's promise in numbers, for whoever reads the log.
        print(said[0])
    }

    @Test func `Chromium, curl and Python name each error as the page says`() throws {
        let said = try PythonPeer.run(
            "error_names.py", ["\(docs)/ws-and-wss.md", try ProxyFixture.program()],
            by: .after(.seconds(240)))
        #expect(said.last == "ok")
    }
}
