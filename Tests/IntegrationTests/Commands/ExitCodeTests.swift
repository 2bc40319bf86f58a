// SPDX-License-Identifier: Apache-2.0
//
// Goal: every command ends with the exit code that docs/operations.md has for each outcome.
// Method: the table's own rows; for each, the real program is brought into that outcome. A row that
// nobody knows how to bring about fails the test.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct ExitCodeTests {
    /// A row of the table.
    private struct Row: Hashable {
        let command: String
        let code: Int32
    }

    /// A home of its own, with certificates, an NSS store, a good and a bad configuration.
    private final class Place {
        let folder: String
        var data: String { "\(folder)/data/sluice" }

        init() throws {
            folder = try Scratch.makeFolder()
            try Scratch.write(
                """
                listen: [{ address: "127.0.0.1:0" }]
                routes: [{ path: /*, to: chat }]
                upstreams: { chat: { endpoints: ["ws://127.0.0.1:9"] } }
                admin: { socket: \(folder)/admin.sock }

                """, to: "\(folder)/good.yaml")
            try Scratch.write("nonsense: 1\n", to: "\(folder)/bad.yaml")
        }

        deinit { Scratch.remove(folder) }

        /// Runs a command to its end; its exit code.
        func code(_ arguments: [String]) throws -> Int32 {
            try start(arguments).waitForExit()
        }

        func start(_ arguments: [String], more: [String: String] = [:]) throws -> ChildProcess {
            try ChildProcess(
                [try ProxyFixture.program()] + arguments,
                environment: [
                    "HOME": folder, "XDG_DATA_HOME": "\(folder)/data", "TMPDIR": folder,
                    "XDG_RUNTIME_DIR": "",
                ].merging(more) { $1 })
        }

        /// Starts a server, waits for a line of it, and ends it by a signal; its exit code.
        func codeWhenTold(_ arguments: [String], _ line: String) throws -> Int32 {
            let serving = try start(arguments)
            try serving.waitForLine(containing: line)
            serving.signal(SIGTERM)
            return try serving.waitForExit()
        }
    }

    private func rows() throws -> [Row] {
        let text = try Scratch.read("\(Scratch.packageFolder)/docs/operations.md")
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let start = try #require(lines.firstIndex(of: "| command | exit code | when |"))
        return lines[(start + 2)...].prefix { $0.hasPrefix("|") }.flatMap { line in
            let cells = line.split(separator: "|")
            let code = Int32(cells[1].trimmingCharacters(in: .whitespaces)) ?? -1
            return cells[0].matches(of: /`([^`]+)`/).map {
                Row(command: String($0.output.1), code: code)
            }
        }
    }

    @Test func `every row of the table is met`() throws {
        var met: [Row: Int32] = [:]
        func meet(_ command: String, _ code: Int32, _ found: Int32) {
            met[Row(command: command, code: code)] = found
        }
        try servers(meet)
        try certificates(meet)
        try operating(meet)
        try loads(meet)
        for row in try rows() {
            #expect(met[row] == row.code, "\(row)")
        }
        #expect(Set(met.keys) == Set(try rows()))
    }

    @Test func `a wrong command line is 64 for every command`() throws {
        let place = try Place()
        for command in Set(try rows().map(\.command)) {
            let words = command.split(separator: " ").map(String.init)
            #expect(try place.code(words + ["--nonsense"]) == 64, "\(command)")
        }
        for arguments in [
            ["99999"], ["3000", "--app-ca", "a.pem"], ["3000", "--listen", "app.test:443"],
            ["echo", "--listen", "x"], ["status", "--admin", "nonsense"],
            ["drain", "--code", "1005"], ["load"],
            ["load", "ws://a.test/", "--mode", "hold", "--rate", "5/s"],
            ["rebalance", "--upstream", "chat", "--code", "1"],
            ["status", "--close", "0-0-0", "--code", "999"],
            ["drain", "--reason", String(repeating: "x", count: 124)],
        ] {
            #expect(try place.code(arguments) == 64, "\(arguments)")
        }
    }

    private func loads(_ meet: (String, Int32, Int32) -> Void) throws {
        let place = try Place()
        let app = try ScriptedBackend.echo()
        defer { app.stop() }
        let (url, report) = ("ws://127.0.0.1:\(app.address.port)/", "\(place.folder)/a.json")
        let few = ["load", url, "--connections", "1", "--messages", "3"]
        meet("load test", 0, try place.code(few + ["--json", report]))
        meet("load test", 1, try place.code(few + ["--expect", "received > 3"]))
        meet("load test", 2, try place.code(["load", "http://127.0.0.1:1/"]))
        // More messages in a second than one core can write.
        meet(
            "load test", 3,
            try place.code([
                "load", url, "--connections", "1", "--rate", "50000000/s", "--messages", "200000",
                "--strict",
            ]))
        meet("load compare", 0, try place.code(["load", "compare", report, report]))
        let other = "\(place.folder)/b.json"
        let more = ["load", url, "--connections", "2", "--messages", "3", "--json", other]
        #expect(try place.code(more) == 0)
        meet("load compare", 1, try place.code(["load", "compare", report, other]))
        meet("load compare", 2, try place.code(["load", "compare", report, "/nowhere"]))
    }

    private func servers(_ meet: (String, Int32, Int32) -> Void) throws {
        let place = try Place()
        let (good, bad) = ("\(place.folder)/good.yaml", "\(place.folder)/bad.yaml")
        meet("check", 0, try place.code(["check", "-c", good]))
        meet("check", 1, try place.code(["check", "-c", bad]))
        meet("schema", 0, try place.code(["schema"]))
        meet("run", 0, try place.codeWhenTold(["run", "-c", good], "is ready"))
        meet("run", 1, try place.code(["run", "-c", bad]))
        meet("echo", 0, try place.codeWhenTold(["echo", "--listen", "0"], "listening "))
        let taken = try ScriptedBackend.silent()
        let port = "\(taken.address.port)"
        meet("echo", 1, try place.code(["echo", "--listen", port]))
        meet("quick", 0, try place.codeWhenTold([port, "--listen", "0", "--no-check"], "is ready"))
        meet("quick", 1, try place.code(["1", "--listen", port, "--no-check"]))
        withExtendedLifetime(taken) {}
    }

    private func certificates(_ meet: (String, Int32, Int32) -> Void) throws {
        let place = try Place()
        let empty = ["--directory", "\(place.folder)/nowhere"]
        for command in ["list", "renew", "export", "status", "trust"] {
            meet("cert \(command)", 1, try place.code(["cert", command] + empty))
        }
        meet("cert show", 1, try place.code(["cert", "show", "\(place.folder)/nowhere.pem"]))
        // A file stands where the folder should be made.
        meet(
            "cert make", 1,
            try place.code(["cert", "make", "--directory", "\(place.folder)/good.yaml/x"]))
        meet("cert make", 0, try place.code(["cert", "make"]))
        for command in ["list", "renew", "export"] {
            meet("cert \(command)", 0, try place.code(["cert", command]))
        }
        meet("cert show", 0, try place.code(["cert", "show", "\(place.data)/ca.pem"]))

        let store = "\(place.folder)/.pki/nssdb"
        try run(["mkdir", "-p", store])
        try run(["certutil", "-N", "-d", "sql:\(store)", "--empty-password"])
        func browsers(_ command: String) throws -> Int32 {
            try place.code(["cert", command, "--only", "browsers"])
        }
        #expect(try browsers("status") == 1, "a store that does not trust is no success")
        meet("cert trust", 0, try browsers("trust"))
        meet("cert status", 0, try browsers("status"))
        meet("cert untrust", 0, try browsers("untrust"))
        #expect(try browsers("trust") == 0)
        // Without certutil nothing can be taken out.
        let lacking = try place.start(
            ["cert", "untrust", "--only", "browsers"], more: ["PATH": place.folder])
        meet("cert untrust", 1, try lacking.waitForExit())
    }

    private func operating(_ meet: (String, Int32, Int32) -> Void) throws {
        let place = try Place()
        let asking = [
            ["status"], ["reload"], ["drain", "--route", "/*"],
            ["rebalance", "--upstream", "chat"], ["chaos", "off"], ["upgrade"], ["tap"],
            ["top", "--once"],
        ]
        for arguments in asking {
            let nobody = arguments + ["--admin", "\(place.folder)/none.sock"]
            meet(arguments[0], 70, try place.code(nobody))
            // The usual places are empty too.
            #expect(try place.code(arguments) == 70, "\(arguments)")
        }
        let configuration = "\(place.folder)/good.yaml"
        let serving = try place.start(["run", "-c", configuration])
        try serving.waitForLine(containing: "is ready")
        func ask(_ arguments: String...) throws -> Int32 {
            try place.code(arguments + ["--admin", "\(place.folder)/admin.sock"])
        }
        meet("status", 0, try ask("status"))
        meet("status", 1, try ask("status", "--route", "/none"))
        meet("top", 0, try ask("top", "--once"))
        meet("top", 1, try ask("top"))
        meet("tap", 1, try ask("tap", "--route", "/none"))
        let tap = ["tap", "--record", "-", "--admin", "\(place.folder)/admin.sock"]
        meet("tap", 0, try place.codeWhenTold(tap, "Listening."))
        meet("reload", 0, try ask("reload"))
        meet("chaos", 0, try ask("chaos", "off"))
        meet("chaos", 1, try ask("chaos", "--cut", "1%"))
        meet("rebalance", 0, try ask("rebalance", "--upstream", "chat"))
        meet("rebalance", 1, try ask("rebalance", "--upstream", "none"))
        meet("drain", 1, try ask("drain", "--endpoint", "127.0.0.1:1"))
        meet("drain", 0, try ask("drain", "--endpoint", "127.0.0.1:9"))
        let good = try Scratch.read(configuration)
        try Scratch.write(good + "nonsense: 1\n", to: configuration)
        meet("reload", 1, try ask("reload"))
        meet("upgrade", 1, try ask("upgrade"))
        try Scratch.write(good, to: configuration)
        meet("upgrade", 0, try ask("upgrade"))
        // The new one serves at the same socket; told to stop, it is gone when the command is.
        #expect(try ask("status") == 0)
        #expect(try ask("drain") == 0)
        #expect(try ask("status") == 70)
        // Its output is that of the first one, which has ended in order before.
        #expect(try serving.waitForExit() == 0)
    }
}
