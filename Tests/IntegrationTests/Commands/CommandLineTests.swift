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

    @Test(arguments: ["check", "run"])
    func `a bad configuration is refused with the place of each problem`(command: String) throws {
        try withFolder { folder in
            let more = "nonsense: 1\nworkers: many\n"
            let path = try configuration("127.0.0.1:0", more: more, in: folder)
            let outcome = try sluice(command, "-c", path)
            #expect(outcome.status == 1, "\(outcome)")
            #expect(outcome.errors.contains("sluice.yaml:5:1: "), "\(outcome)")
            #expect(outcome.errors.contains("sluice.yaml:6:10: "), "\(outcome)")
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
        (["--verbose"], "Unknown option '--verbose'."), (["-v"], "Unknown option '-v'."),
        (["--liste", ":1"], "Did you mean '--listen'?"),
        (["cert", "list", "--dierctory=x"], "See 'sluice cert list --help'"),
        (["help", "nonsense"], "nonsense is no command. The commands are quick, run, "),
        (["help", "drian"], "drian is no command. Did you mean `sluice help drain`?"),
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

    @Test(arguments: [["help"], ["help", "drain"], ["help", "cert", "list"], ["--version"]])
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
                        tls: { certificates: [{ chain: chain.pem, key: key.pem }], hsts: \(age) }
                    routes: [{ path: /*, to: "ws://127.0.0.1:9" }]

                    """, to: "\(folder)/sluice.yaml")
                let outcome = try sluice(["check", "-c", path])
                #expect(outcome.status == 0, "\(outcome)")
                // An age of 0 has browsers forget it.
                let expected = age == "0s" ? nil : words
                #expect(outcome.output.contains("hsts: ") == (expected != nil), "\(outcome)")
                if let expected { #expect(outcome.output.contains(expected), "\(outcome)") }
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
