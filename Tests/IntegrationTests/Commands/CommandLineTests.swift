// SPDX-License-Identifier: Apache-2.0
//
// Goal: the program's commands say what they do, and what is wrong, with an exit status to match.
// Method: the real program with arguments alone, run to its end.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct CommandLineTests {
    /// What the program printed, and its exit status.
    private struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    /// Runs the program to its end.
    private func sluice(_ arguments: String...) throws -> Outcome { try sluice(arguments) }

    private func sluice(_ arguments: [String]) throws -> Outcome {
        let child = try ChildProcess([try ProxyFixture.program()] + arguments)
        let status = try child.waitForExit()
        return Outcome(
            status: status, output: child.output.joined(separator: "\n"),
            errors: child.errors.joined(separator: "\n"))
    }

    /// Writes a configuration with this listener into a folder and returns its path.
    private func configuration(_ address: String, more: String = "", in folder: String) throws
        -> String
    {
        let text = """
            listen:
              - { address: "\(address)" }
            routes:
              - { path: /Esv/ocp, to: "ws://127.0.0.1:9" }

            """
        return try Scratch.write(text + more, to: "\(folder)/sluice.yaml")
    }

    private func withFolder(_ body: (String) throws -> Void) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try body(folder)
    }

    @Test func `the version is one line`() throws {
        let outcome = try sluice("--version")
        #expect(outcome.status == 0)
        #expect(outcome.output.wholeMatch(of: /sluice \d+\.\d+\.\d+/) != nil, "\(outcome)")
    }

    @Test func `the help names each command and how to begin`() throws {
        let outcome = try sluice("--help")
        #expect(outcome.status == 0)
        for word in ["run", "check", "schema", "cert", "echo"] {
            #expect(outcome.output.contains("  \(word) "), "\(word) in \(outcome.output)")
        }
        #expect(outcome.output.contains("sluice 3000"))
    }

    @Test(arguments: ["run", "check", "cert", "echo"])
    func `each command has a help of its own`(command: String) throws {
        let outcome = try sluice(command, "--help")
        #expect(outcome.status == 0)
        #expect(outcome.output.contains("OVERVIEW: "), "\(outcome)")
        #expect(outcome.output.contains("sluice \(command)"), "\(outcome)")
    }

    @Test(arguments: [[], ["run"], ["check"], ["echo", "--nonsense"], ["run", "-c"]])
    func `wrong arguments are answered with the usage`(arguments: [String]) throws {
        let child = try ChildProcess([try ProxyFixture.program()] + arguments)
        #expect(try child.waitForExit() == 64)
        let errors = child.errors.joined(separator: "\n")
        #expect(errors.hasPrefix("Error: "), "\(errors)")
        #expect(errors.lowercased().contains("usage: "), "\(errors)")
        #expect(child.output.isEmpty)
    }

    @Test(arguments: ["version", "serve", "sttaus"])
    func `a mistyped command starts no proxy`(word: String) throws {
        let outcome = try sluice(word)
        #expect(outcome.status == 64, "\(outcome)")
        #expect(outcome.errors.contains("\(word) is no command and no app. Did you mean"))
        #expect(outcome.output.isEmpty)
    }

    @Test func `a mistyped command of cert makes no certificate`() throws {
        try withFolder { folder in
            let outcome = try sluice("cert", "lsit", "--directory", folder)
            #expect(outcome.status == 64, "\(outcome)")
            #expect(outcome.errors.contains("Did you mean `sluice cert list`?"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
        }
    }

    @Test func `a good configuration is checked and shown as a table`() throws {
        try withFolder { folder in
            let outcome = try sluice("check", "-c", try configuration("127.0.0.1:0", in: folder))
            #expect(outcome.status == 0, "\(outcome)")
            #expect(outcome.output.contains("/Esv/ocp"))
            #expect(outcome.output.contains("127.0.0.1:9"))
            #expect(outcome.errors.isEmpty)
        }
    }

    @Test func `who may use a route stands in the table where that is not everybody`() throws {
        try withFolder { folder in
            let path = "\(folder)/sluice.yaml"
            func table(_ route: String) throws -> [[String]] {
                try Scratch.write(
                    """
                    listen: [{ address: "127.0.0.1:0" }]
                    routes:
                      - { path: /open, respond: {} }
                      - { path: /other, respond: {}\(route) }
                    """, to: path)
                let outcome = try sluice("check", "-c", path)
                #expect(outcome.status == 0, "\(outcome)")
                return outcome.output.split(separator: "\n").prefix(3).map { line in
                    line.replacing("  ", with: "\t").split(separator: "\t")
                        .map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
                }
            }
            #expect(
                try table("").map { $0[4] } == ["TO", "answer 200", "answer 200"])
            let guarded = try table(
                ", access: { forward: { to: \"http://h:1\" }, addresses: { allow: [10.0.0.0/8] } }")
            #expect(guarded.map { $0[4] } == ["ACCESS", "-", "addresses, forward"])
            #expect(guarded.map { $0[5] } == ["TO", "answer 200", "answer 200"])
        }
    }

    @Test(arguments: ["check", "run"])
    func `a bad configuration is refused with the place of each problem`(command: String) throws {
        try withFolder { folder in
            let more = "nonsense: 1\nworkers: many\n"
            let path = try configuration("127.0.0.1:0", more: more, in: folder)
            let outcome = try sluice(command, "-c", path)
            #expect(outcome.status == 1, "\(outcome)")
            // Every line begins with its place, for editors that jump there.
            let lines = outcome.errors.split(separator: "\n")
            #expect(lines.count == 2, "\(outcome)")
            #expect(lines.first?.hasPrefix("\(path):5:1: ") == true, "\(outcome)")
            #expect(lines.last?.hasPrefix("\(path):6:10: ") == true, "\(outcome)")
            #expect(outcome.output.isEmpty)
        }
    }

    @Test func `a configuration is named with and without its option, and once`() throws {
        try withFolder { folder in
            let path = try configuration("127.0.0.1:0", in: folder)
            for arguments in [
                ["check", path], ["check", "-c", path], ["check", "--config", path],
            ] {
                #expect(try sluice(arguments).status == 0, "\(arguments)")
            }
            for (arguments, words) in [
                (["run"], "No configuration is named"),
                (["check", "-c", path, path], "Two configurations are named"),
                (["check", "-c", path, "--workers", "3"], "Unknown option '--workers'"),
            ] {
                let outcome = try sluice(arguments)
                #expect(outcome.status == 64 && outcome.errors.contains(words), "\(outcome)")
            }
        }
    }

    @Test(arguments: [
        (["--verbose"], "Unknown option '--verbose'."), (["-v"], "'-v'. Did you mean '--version'?"),
        (["-q"], "Unknown option '-q'.\n"),
        (["3000", "-l", "1"], "Did you mean '--lan' or '--listen'?"),
        (["-listen", "1"], "Unknown option '-listen'. Did you mean '--listen'?"),
        (["--liste", ":1"], "Did you mean '--listen'?"),
        (["cert", "list", "--dierctory=x"], "See 'sluice cert list --help'"),
        (["help", "nonsense"], "nonsense is no command. The commands are quick, run, "),
        (["help", "drian"], "drian is no command. Did you mean `sluice help drain`?"),
        (
            ["cert", "help", "lsit"],
            "cert lsit is no command. Did you mean `sluice help cert list`?"
        ),
        (
            ["help", "cert", "lsit"],
            "cert lsit is no command. Did you mean `sluice help cert list`?"
        ),
    ])
    func `an unknown word or option is named, with what was probably meant`(
        arguments: [String], words: String
    ) throws {
        let outcome = try sluice(arguments)
        #expect(outcome.status == 64 && outcome.output.isEmpty, "\(outcome)")
        #expect(outcome.errors.contains(words), "\(outcome)")
    }

    @Test func `files of --cert and --key that are missing are named with the options`() throws {
        let outcome = try sluice(
            "3000", "--listen", "127.0.0.1:0", "--cert", "/none/x.pem", "--key", "/none/y.pem")
        #expect(outcome.status != 0, "\(outcome)")
        #expect(outcome.errors.contains("--cert and --key: /none/x.pem"), "\(outcome)")
        #expect(!outcome.errors.contains("command line:"), "\(outcome)")
    }

    @Test(arguments: [
        (["3000", "--path", "Esv"], "found 'Esv': The path does not begin with '/'"),
        (["3000", "--path", "/a/%zz"], "--path takes a path"),
        (["3000", "--host", "foo bar"], "cannot stand there in a name"),
        (["3000", "--host", "https://x.test"], "cannot stand there in a name"),
        (["cert", "foo bar"], "cannot stand there in a name"),
        (["cert", "localhost", "--permit", "a b"], "cannot stand there in a name"),
        (
            ["3000", "--workers", "abc"],
            "--workers takes a whole number from 1 to 1024, found abc."
        ),
        (["run", "x.yaml", "--workers", "0"], "takes a whole number from 1 to 1024, found 0."),
        (["status", "--limit", "0"], "--limit takes a whole number from 1 to 4000000, found 0."),
        (["status", "--limit", "5"], "--limit is for a list of relays"),
        (["status", "--code", "1012"], "--code is for --close"),
        (["status", "--close", "0-0-0", "--relays"], "only --code goes with it"),
        (["status", "--close", "0-0-0", "--code", "x"], "--code takes 1000, 1001"),
        (["drain", "--code", "x"], "--code takes 1000, 1001"),
        (["drain", "--route", "/", "--resume", "--spread", "1s"], "--resume closes nothing"),
        (
            ["drain", "--spread", "40s", "--timeout", "5s"],
            "--spread takes no more than --timeout, 5s, found 40s."
        ),
        (["rebalance", "--upstream", "a", "--code", "x"], "--code takes 1000, 1001"),
        (["doctor", "--timeout", "5"], "The options are about a URL"),
        (["doctor", "--slow", "5"], "The options are about a URL"),
        (
            ["doctor", "wss://a.test", "--idle", "x"],
            "--idle takes seconds, more than 0 and at most 86400"
        ),
        (["doctor", "wss://a.test", "--timeout", "601"], "--timeout takes seconds"),
        (["doctor", "wss://a.test", "--page", "ftp://a"], "--page takes the page's URL"),
    ])
    func `what an option does not take is wrong usage, and told with what it takes`(
        arguments: [String], words: String
    ) throws {
        let outcome = try sluice(arguments)
        #expect(outcome.status == 64 && outcome.output.isEmpty, "\(outcome)")
        #expect(outcome.errors.contains(words), "\(outcome)")
    }

    @Test func `the help of cert names the options of its default command`() throws {
        let make = try sluice("cert", "make", "--help").output
        let help = try sluice("cert", "--help").output
        let options = make.matches(of: #/\n  (--[a-z-]+)/#).map { String($0.1) }
        #expect(options.count >= 4, "\(make)")
        for option in options { #expect(help.contains(option), "\(option): \(help)") }
        #expect(help.contains("sluice cert make --help"))
    }

    @Test func `the first screen of the help has the options of quick mode`() throws {
        let screen = try sluice("--help").output.split(separator: "\n").prefix(24)
            .joined(separator: "\n")
        for option in ["--listen", "--lan", "--host", "--cert", "sluice help quick"] {
            #expect(screen.contains(option), "\(screen)")
        }
    }

    @Test(arguments: ["ca.pem", "ca-key.pem"])
    func `a PEM file in the place of a configuration is named and not printed`(file: String) throws
    {
        try withFolder { folder in
            #expect(try sluice("cert", "--directory", folder).status == 0)
            for command in ["check", "run"] {
                let outcome = try sluice(command, "-c", "\(folder)/\(file)")
                #expect(outcome.status == 1)
                #expect(outcome.errors.contains("\(file): this is a PEM file ("), "\(outcome)")
                let body = try Scratch.read("\(folder)/\(file)").split(separator: "\n")[1]
                #expect(!outcome.errors.contains(body), "\(outcome)")
            }
            // Other texts are cut.
            let text = String(repeating: "secret ", count: 40)
            try Scratch.write(text + "\n", to: "\(folder)/text")
            let outcome = try sluice("check", "-c", "\(folder)/text")
            #expect(outcome.errors.contains("found 'secret ") && outcome.errors.contains("…'"))
            #expect(!outcome.errors.contains(text.dropLast(1)), "\(outcome)")
        }
    }

    @Test func `a certificate is shown by its name, and what is neither file nor name is told so`()
        throws
    {
        try withFolder { folder in
            func show(_ name: String) throws -> Outcome {
                let child = try ChildProcess(
                    [try ProxyFixture.program(), "cert"] + (name.isEmpty ? [] : ["show", name]),
                    environment: ["HOME": folder, "XDG_DATA_HOME": "\(folder)/data"])
                return Outcome(
                    status: try child.waitForExit(), output: child.output.joined(separator: "\n"),
                    errors: child.errors.joined(separator: "\n"))
            }
            #expect(try show("").status == 0)
            let shown = try show("localhost")
            #expect(
                shown.status == 0 && shown.output.contains("names        localhost, "), "\(shown)")
            let unknown = try show("app.test")
            #expect(unknown.status == 1)
            #expect(
                unknown.errors.contains("no certificate of that name in \(folder)/data/sluice")
                    && unknown.errors.contains("as app.test:443"), "\(unknown)")
        }
    }

    @Test func `settings for programs name the authority by a whole path`() throws {
        try withFolder { folder in
            let real = try run(["realpath", folder])[0]
            for command in ["cert --directory d", "cert trust --directory ./d --only browsers"] {
                let child = try ChildProcess(
                    [
                        "sh", "-c",
                        "cd '\(folder)' && exec '\(try ProxyFixture.program())' \(command)",
                    ],
                    environment: ["HOME": folder, "XDG_DATA_HOME": "\(folder)/data"])
                #expect(try child.waitForExit() == 0, "\(child.errors)")
                #expect(
                    child.output.contains {
                        $0.contains("NODE_EXTRA_CA_CERTS=\(real)/d/ca.pem ")
                    }, "\(child.output)")
            }
        }
    }

    @Test func `a user without a home is told what to set`() throws {
        if geteuid() != 0 { return }
        let command =
            "cd / && exec env -u HOME -u XDG_DATA_HOME setpriv --reuid 65534 --regid 65534 --clear-groups"
            + " '\(try ProxyFixture.program())'"
        for (arguments, option) in [("3000", "--cert and --key"), ("cert", "--directory")] {
            let child = try ChildProcess(["sh", "-c", "\(command) \(arguments)"])
            #expect(try child.waitForExit() == 1)
            let said = child.errors.joined(separator: "\n")
            #expect(said.contains("has no home folder (/nonexistent)"), "\(said)")
            #expect(said.contains("set HOME or XDG_DATA_HOME") && said.contains("give \(option)."))
        }
    }

    @Test(arguments: [
        ["help"], ["help", "drain"], ["help", "cert", "list"], ["--version"], ["cert", "help"],
        ["cert", "help", "list"], ["status", "help"], ["cert", "list", "help"],
    ])
    func `help of what is there is printed`(arguments: [String]) throws {
        let outcome = try sluice(arguments)
        #expect(outcome.status == 0 && !outcome.output.isEmpty, "\(outcome)")
    }

    @Test func `a log that can't be written is refused by check too, and none is made`() throws {
        try withFolder { folder in
            for (target, status) in [
                ("\(folder)/missing/a.log", Int32(1)), (folder + "/a.log", 0), ("./b.log", 0),
            ] {
                let more = "log: { access: \(target) }\n"
                let path = try configuration("127.0.0.1:0", more: more, in: folder)
                let outcome = try sluice("check", "-c", path)
                #expect(outcome.status == status, "\(outcome)")
                let words = "sluice.yaml:5:16: no log can be made in the folder "
                #expect(outcome.errors.contains("mkdir -p \(folder)/missing") == (status == 1))
                #expect(
                    (outcome.errors.contains(words) && outcome.errors.contains("/missing: No such"))
                        == (status == 1), "\(outcome)")
                #expect(!FileManager.default.fileExists(atPath: folder + "/a.log"))
            }
        }
    }

    @Test func `the echo app takes a port as it is`() throws {
        let echo = try ProxyFixture(arguments: ["echo", "0"])
        let client = try echo.open()
        try client.send(Frame.text("hello").masked())
        #expect(try client.readFrame() == Frame.text("hello"))
    }

    @Test(arguments: ["check", "run"])
    func `a configuration that is not there is refused by its name`(command: String) throws {
        let outcome = try sluice(command, "-c", "/nowhere/sluice.yaml")
        #expect(outcome.status == 1)
        #expect(outcome.errors.contains("/nowhere/sluice.yaml"), "\(outcome)")
    }

    @Test func `an address that is taken is named and ends the program`() throws {
        let backend = try ScriptedBackend.silent()
        defer { backend.stop() }
        let address = "127.0.0.1:\(backend.address.port)"
        try withFolder { folder in
            let path = try configuration(address, in: folder)
            for arguments in [["run", "-c", path], ["echo", "--listen", address]] {
                let child = try ChildProcess([try ProxyFixture.program()] + arguments)
                #expect(try child.waitForExit() == 1)
                let errors = child.errors.joined(separator: "\n")
                #expect(errors.contains(address), "\(errors)")
                #expect(!child.output.contains { $0.hasPrefix("listening ") })
            }
        }
    }

    @Test(arguments: [
        (
            ["localhost", "app.localhost", "127.0.0.1"],
            "have opened localhost or app.localhost here refuse http there on every port"
        ), (["127.0.0.1", "::1"], "the certificates have no name: 127.0.0.1, "),
        (["app.test", "127.0.0.1"], nil),
    ])
    func `hsts for names of this machine, or for none, is warned about`(
        names: [String], words: String?
    ) throws {
        try withFolder { folder in
            let made = try sluice(["cert", "make", "--directory", folder] + names)
            #expect(made.status == 0, "\(made)")
            for (from, to) in [("", "chain.pem"), ("-key", "key.pem")] {
                try FileManager.default.moveItem(
                    atPath: "\(folder)/\(names[0])\(from).pem", toPath: "\(folder)/\(to)")
            }
            for age in ["180d", "0s"] {
                let path = try Scratch.write(
                    """
                    listen:
                      - address: "127.0.0.1:0"
                        tls:
                          certificates: [{ chain: chain.pem, key: key.pem }]
                          hsts: \(age)
                    routes: [{ path: /*, to: "ws://127.0.0.1:9" }]

                    """, to: "\(folder)/sluice.yaml")
                let outcome = try sluice(["check", "-c", path])
                #expect(outcome.status == 0, "\(outcome)")
                // An age of 0 has browsers forget it.
                let expected = age == "0s" ? nil : words
                #expect(outcome.output.contains("hsts: ") == (expected != nil), "\(outcome)")
                if let expected {
                    #expect(outcome.output.contains(expected), "\(outcome)")
                    #expect(outcome.output.contains("Warning: \(path):5:13: hsts: "), "\(outcome)")
                }
            }
        }
    }

    @Test func `certificates are made once and kept`() throws {
        try withFolder { folder in
            let first = try sluice("cert", "--directory", folder, "app.test", "127.0.0.1")
            #expect(first.status == 0, "\(first)")
            let files = ["ca.pem", "ca-key.pem", "app.test.pem", "app.test-key.pem"]
            let before = try files.map { try Scratch.read("\(folder)/\($0)") }
            #expect(first.output.contains("made"))
            #expect(!first.output.contains("kept"))
            #expect(first.output.contains("app.test, 127.0.0.1"))
            #expect(first.output.contains("sluice cert trust --directory \(folder)"))
            let second = try sluice("cert", "--directory", folder, "app.test", "127.0.0.1")
            #expect(second.status == 0, "\(second)")
            #expect(second.output.contains("kept"))
            #expect(!second.output.contains("made"))
            #expect(try files.map { try Scratch.read("\(folder)/\($0)") } == before)
            try run(["openssl", "verify", "-CAfile", "\(folder)/ca.pem", "\(folder)/app.test.pem"])
        }
    }

    @Test(arguments: [SIGTERM, SIGINT])
    func `the echo app says where it listens and ends when told`(signal: Int32) throws {
        let echo = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        #expect(echo.process.output == ["listening ws://127.0.0.1:\(echo.port())"])
        let client = try echo.open()
        echo.process.signal(signal)
        #expect(try client.expectEnd() == .orderly)
        #expect(try echo.process.waitForExit() == 0)
    }
}
