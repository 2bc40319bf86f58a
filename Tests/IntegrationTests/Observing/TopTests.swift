// SPDX-License-Identifier: Apache-2.0
//
// Goal: `sluice top` shows what a running Sluice does, on a terminal of any size, and gives the terminal back.
// Method: the program in tmux, at 80×24 and resized, with keys pressed and the screen read; relays by real peers.

import Foundation
import TestKit
import Testing

@Suite struct TopTests {
    private static let help = "1-4 or Tab view"

    private static func started(_ backend: ManualBackend) throws -> Operated {
        try Operated(routes: [
            "{ path: /Esv/ocp, to: \"\(backend.address)\" }",
            "{ path: /pages, respond: { body: \"a page\", type: text/plain } }",
        ])
    }

    private static func command(_ sluice: Operated, _ more: String = "") throws -> String {
        "\(try ProxyFixture.program()) top --every 0.2 --admin \(sluice.socket) \(more)"
    }

    @Test func `at 80 by 24 each view shows what peers do, and keys sort, filter, pause and quit`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        for text in ["one", "two", "three"] { try ends.exchange(text) }
        let terminal = try Tmux()
        try terminal.enter("echo before; \(try Self.command(sluice)); echo left with $?")
        try terminal.expect("the routes") { lines in
            lines.count == 24 && lines[0].hasPrefix("sluice ") && lines[0].contains("/sluice.yaml")
                && lines[1].hasPrefix("1 relays  1 connections") && lines[5].hasPrefix("[1 routes]")
                && lines[6].hasPrefix("ROUTE") && lines[23].hasPrefix(Self.help)
        }
        var lines = try terminal.lines()
        #expect(lines.allSatisfy { $0.count <= 80 })
        #expect(lines.contains { $0.hasPrefix("/Esv/ocp ") && $0.contains(" 1 ") })
        #expect(lines.contains { $0.hasPrefix("/pages ") })
        #expect(!lines.contains { $0.contains("before") }, "the screen is its own")
        // A message that passes is seen in a rate.
        try eventually("a rate") {
            try ends.exchange("more")
            return try terminal.lines()[2].firstMatch(of: /messages\/s [1-9\d.]+ up [1-9\d.]+ down/)
                != nil
        }

        try terminal.press("2")
        try terminal.expect("the endpoints") { lines in
            lines[5].contains("[2 endpoints]")
                && lines.contains {
                    $0.contains("\(backend.address)".suffix(10)) && $0.contains(" ok ")
                }
        }
        try terminal.press("3")
        let port = try #require(
            try sluice.command(["status", "--relays"]).output.firstMatch(of: /127\.0\.0\.1:\d+/)
        ).output
        try terminal.expect("the relay") { lines in
            lines[5].contains("[3 relays]") && lines.contains { $0.contains(port) }
        }
        try terminal.press("4")
        try terminal.expect("the client") { lines in
            lines[5].contains("[4 clients]") && lines[7].hasPrefix("127.0.0.1 ")
        }
        try terminal.press("Tab")
        try terminal.expect("the routes again") { $0[5].contains("2 by messages") }

        try terminal.press("s", "s", "S")
        try terminal.expect("another order") { $0[5].contains("2 by relays, reversed") }
        lines = try terminal.lines()
        #expect(lines[7].hasPrefix("/pages") && lines[8].hasPrefix("/Esv/ocp"), "\(lines)")
        try terminal.press("/", "P", "A", "G")
        try terminal.expect("what is typed") {
            $0[23].hasPrefix("filter: PAG") && $0[7].hasPrefix("/pages")
        }
        try terminal.press("q", "x", "Enter")
        try terminal.expect("that a filter may hold any letter") { lines in
            lines.contains { $0.hasPrefix("Nothing of it matches PAGqx.") }
        }
        try terminal.press("Escape")
        try terminal.expect("all of them") {
            $0[5].contains("2 by relays") && !$0[5].contains("/PAG")
        }
        try terminal.press("p")
        try terminal.expect("the pause") { $0[5].hasSuffix("PAUSED") }
        let paused = try terminal.lines()
        try ends.exchange("unseen")
        #expect(try terminal.lines() == paused)
        try terminal.press("q")
        try terminal.expect("the shell") { $0.contains { $0.hasPrefix("left with 0") } }
        #expect(
            try terminal.lines().contains { $0.hasPrefix("before") }, "the screen before is back")
        try Self.expectOrdinary(terminal)
    }

    @Test func `it takes the size that the terminal is given`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        let terminal = try Tmux()
        try terminal.enter(try Self.command(sluice))
        try terminal.expect("the first screen") { $0.last?.hasPrefix(Self.help) == true }
        try terminal.resize(columns: 130, rows: 40)
        try terminal.expect("the larger one") { lines in
            lines.count == 40 && lines[39].hasPrefix(Self.help)
                && lines[6].contains("REFUSED/S") && lines[6].contains("CLOSED/S")
        }
        for (columns, rows) in [(50, 12), (20, 5), (10, 2), (80, 24)] {
            try terminal.resize(columns: columns, rows: rows)
            try terminal.expect("\(columns) × \(rows)") { lines in
                lines.count == rows && lines[rows - 1].hasPrefix(Self.help.prefix(columns))
                    && lines.allSatisfy { $0.count <= columns }
            }
        }
        try terminal.press("C-c")
        try terminal.expect("the shell") { $0.contains { $0.hasPrefix("ready>") } }
        try Self.expectOrdinary(terminal)
    }

    @Test(arguments: ["TERM", "HUP", "INT"])
    func `a signal ends it, and the terminal is as before`(name: String) throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        let terminal = try Tmux()
        let pid = "\(sluice.folder)/pid"
        try terminal.enter(
            "(sh -c 'echo $$ > \(pid).new; mv \(pid).new \(pid); exec \(try Self.command(sluice))'); echo left with $?"
        )
        try terminal.expect("the first screen") { $0.last?.hasPrefix(Self.help) == true }
        let number = try #require(
            Int32(try Scratch.read(pid).trimmingCharacters(in: .whitespacesAndNewlines)))
        let signals = ["TERM": SIGTERM, "HUP": SIGHUP, "INT": SIGINT]
        let signal = try #require(signals[name])
        kill(number, signal)
        try terminal.expect("the shell") { lines in
            lines.contains {
                $0.hasPrefix("left with \(128 + signal)") || name == "INT" && $0.hasPrefix("ready>")
            }
        }
        try Self.expectOrdinary(terminal)
    }

    @Test func `Ctrl-Z gives the terminal to the shell, and fg takes it back`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        let terminal = try Tmux()
        try terminal.enter(try Self.command(sluice))
        try terminal.expect("the first screen") { $0.last?.hasPrefix(Self.help) == true }
        try terminal.press("C-z")
        try terminal.expect("that it is stopped") { $0.contains { $0.contains("Stopped") } }
        try Self.expectOrdinary(terminal)
        try terminal.enter("fg")
        try terminal.expect("the screen again") { $0.last?.hasPrefix(Self.help) == true }
        try terminal.press("2")
        try terminal.expect("that keys are taken") { $0[5].contains("[2 endpoints]") }
        try terminal.press("q")
        try terminal.expect("the shell") { $0.contains { $0.hasPrefix("ready>") } }
        try Self.expectOrdinary(terminal)
    }

    @Test func `colours are left out where nobody wants them`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        for (environment, hasColor) in [([:], true), (["NO_COLOR": "1"], false)] {
            let terminal = try Tmux(environment: environment)
            try terminal.enter(try Self.command(sluice, "--view endpoints"))
            try terminal.expect("the endpoint") { $0.contains { $0.contains(" ok ") } }
            let row = try terminal.lines(isRaw: true).first { $0.contains(" ok ") }
            #expect(row?.contains("\u{1B}[32m") == hasColor, "\(row ?? "")")
        }
    }

    @Test func `a Sluice that goes away is told of, and one that comes to its place is shown`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"], isReplaceable: true)
        defer { Scratch.remove(sluice.folder) }
        let terminal = try Tmux()
        try terminal.enter(try Self.command(sluice))
        let first = sluice.proxy.process.identifier
        try terminal.expect("the first process") { $0[0].contains("pid \(first) ") }
        let upgrade = try sluice.command(["upgrade"])
        #expect(upgrade.status == 0, "\(upgrade.output)")
        var second: Int32 = 0
        try terminal.expect("its successor") { lines in
            second = lines[0].firstMatch(of: /pid (\d+)/).flatMap { Int32($0.output.1) } ?? 0
            return second > 0 && second != first
        }
        defer { kill(second, SIGKILL) }
        kill(second, SIGKILL)
        try terminal.expect("that nobody answers") { !$0[4].isEmpty && $0[23].hasPrefix(Self.help) }
        try terminal.press("q")
        try terminal.expect("the shell") { $0.contains { $0.hasPrefix("ready>") } }
    }

    @Test func `once it prints a table, or JSON with rates`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        try ends.exchange("hello")
        func once(_ more: String...) throws -> (status: Int32, output: String) {
            try sluice.command(["top", "--once", "--every", "0.2"] + more)
        }
        let table = try once()
        #expect(table.status == 0)
        #expect(table.output.contains("\n/Esv/ocp "), "\(table.output)")
        #expect(!table.output.contains("\u{1B}"))
        #expect(try once("--view", "relays").output.contains("  /Esv/ocp  "))
        #expect(try once("--view", "relays", "--filter", "nobody").output.contains("ID") == true)
        #expect(try !once("--filter", "PAGES").output.contains("/Esv/ocp"))
        #expect(try once("--sort", "name").output.contains("\n/Esv/ocp "))

        let json = try once("--json")
        #expect(json.status == 0)
        let object = try #require(
            JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
        #expect(object["form"] as? Int == 1)
        #expect(object["pid"] as? Int32 == sluice.proxy.process.identifier)
        let totals = try #require(object["totals"] as? [String: Any])
        #expect(totals["relays"] as? Int == 1)
        let rates = try #require(object["rates"] as? [String: Any])
        #expect((rates["seconds"] as? Double).map { $0 >= 0.2 } == true)
        let routes = try #require(rates["routes"] as? [String: [String: Double]])
        #expect(routes["/Esv/ocp"]?["upMessages"] == 0)
        #expect(Set(routes.keys) == ["/Esv/ocp", "/pages"])
    }

    @Test func `without a terminal it says what to do`() throws {
        let backend = try ManualBackend()
        let sluice = try Self.started(backend)
        defer { Scratch.remove(sluice.folder) }
        let piped = try sluice.command(["top"])
        #expect(piped.status == 1)
        #expect(piped.output.contains("with --once it prints what there is and ends"), "\(piped)")
        for wrong in [
            ["--json"], ["--every", "0"], ["--every", "61"], ["--view", "x"], ["--sort", "rtt"],
        ] {
            #expect(try sluice.command(["top"] + wrong).status == 64, "\(wrong)")
        }
        let sorts = try sluice.command(["top", "--once", "--view", "clients", "--sort", "opened"])
        #expect(
            sorts.output.contains(
                "--sort takes, of clients, bytes, messages, relays, name; found opened."))
    }

    @Test func `in quick mode it finds the process as status does`() throws {
        let backend = try ManualBackend()
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let quick = try ProxyFixture(
            arguments: ["\(backend.address)", "--listen", "127.0.0.1:0", "--no-check"], home: folder
        )
        try eventually("quick mode says how to ask it") {
            quick.process.output.contains { $0.contains("status    ") }
        }
        let program = try ProxyFixture.program()
        let line = try #require(quick.process.output.first { $0.contains("status    ") })
        // The line that quick mode prints for `status` reaches it with `top` too.
        let words = line.split(separator: " ").map(String.init)
        let more = words.firstIndex(of: "--admin").map { Array(words[$0...]) } ?? []
        let environment = ["HOME": folder, "TMPDIR": quick.folder, "XDG_RUNTIME_DIR": ""]
        let said = try run(
            [program, "top", "--once", "--every", "0.2"] + more, environment: environment)
        #expect(
            said.first?.contains("pid \(quick.process.identifier)  quick mode") == true, "\(said)")
    }

    /// The terminal has its lines, its echo and its cursor.
    private static func expectOrdinary(
        _ terminal: Tmux, _ sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        try terminal.enter(
            "clear; stty -a | tr ' ;' '\\n\\n' | grep -xE -e '-?(icanon|echo|isig|ixon)' | paste -sd,"
        )
        try terminal.expect("the settings of the terminal") { lines in
            lines.contains { $0.contains(",") && $0.contains("icanon") }
        }
        let settings =
            try terminal.lines().first { $0.contains(",") && $0.contains("icanon") } ?? ""
        #expect(
            Set(settings.split(separator: ",")) == ["icanon", "echo", "isig", "ixon"],
            "\(settings)",
            sourceLocation: sourceLocation)
    }
}
