// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Foundation
import Ledger
import Testing

@testable import sluice

/// The small parts of the commands.
struct SmallPartsTests {
    @Test func `columns of a table are aligned, and lines have no blanks behind them`() {
        let text = Table.text([
            ["LISTEN", "PATH", "TO"], ["wss :443", "/", "ws://a:1"], ["ws 1", "/long/path", ""],
        ])
        #expect(
            text == """
                LISTEN    PATH        TO
                wss :443  /           ws://a:1
                ws 1      /long/path  \("")
                """)
        #expect(Table.text([]) == "")
        #expect(Table.text([["a"]]) == "a")
        #expect(Table.text([["a", "b"], ["cc"]]) == "a   b\ncc")
    }

    @Test func `a drain has no totals while its relays are looked for`() {
        var drain = DrainState(
            id: 3, what: "route /", progress: DrainProgress(found: 11, told: 1, isLooking: true))
        #expect(DrainText.line(drain) == "drain 3 of route /: looking for its relays")
        drain.progress.isLooking = false
        #expect(DrainText.line(drain) == "drain 3 of route /: 1 of 11 relays told, 0 closed")
    }

    @Test func `the data directory is the user's`() {
        #expect(DataDirectory.path(dataHome: "/d", home: "/h") == "/d/sluice")
        #expect(DataDirectory.path(dataHome: nil, home: "/h") == "/h/.local/share/sluice")
        #expect(DataDirectory.path(dataHome: "relative", home: "/h") == "/h/.local/share/sluice")
    }

    @Test(arguments: [
        ("localhost", "localhost"), ("App.Test", "app.test"), ("*.app.test", "_wildcard.app.test"),
        ("::1", "__1"), ("[2001:db8::1]", "2001_db8__1"), ("a/b", "a_b"),
    ])
    func `files of a certificate have names that every shell takes`(name: String, base: String) {
        let files = LocalCertificate(in: "/d", named: name)
        #expect(files.chainPath == "/d/\(base).pem")
        #expect(files.keyPath == "/d/\(base)-key.pem")
    }

    @Test(arguments: [
        (0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_700_000_000, "2023-11-14"),
    ])
    func `dates are those of UTC`(seconds: Int64, text: String) {
        #expect(CertCommand.date(seconds) == text)
    }

    @Test func `a home folder is one that is there, or that this user can make`() throws {
        let folder = FileManager.default.temporaryDirectory.path + "/sluice-\(UUID().uuidString)"
        #expect(DataDirectory.canBe(folder))
        #expect(DataDirectory.canBe(folder + "/a/b"))
        try Data().write(to: URL(fileURLWithPath: folder))
        defer { try? FileManager.default.removeItem(atPath: folder) }
        #expect(!DataDirectory.canBe(folder + "/a"), "below a file")
        #expect(DataDirectory.canBe("/"))
        #expect(!DataDirectory.canBe(folder), "a file")
    }

    @Test(arguments: [
        ["--cert", "a.pem", "3000"], ["--key", "a.pem", "3000"], ["--workers", "0", "3000"],
        ["--workers", "1025", "3000"], ["run"], ["run", "-c", "a.yaml", "--workers", "0"],
        ["check"],
        ["--nonsense", "3000"], ["3000", "4000"],
    ])
    func `arguments that make no sense are refused`(arguments: [String]) {
        #expect(throws: (any Error).self) { _ = try Sluice.parseAsRoot(arguments) }
    }

    @Test func `without a command's name, the arguments are those of quick mode`() throws {
        let command = try Sluice.parseAsRoot([
            "ws://app:1/x", "--listen", ":1", "--listen", ":2", "--path", "/x", "--workers", "3",
            "--cert", "a", "--key", "b",
        ])
        let quick = try #require(command as? QuickCommand)
        #expect(quick.upstream == "ws://app:1/x")
        #expect(quick.listen == [":1", ":2"])
        #expect(quick.path == "/x" && quick.workers == 3)
        #expect(quick.cert == "a" && quick.key == "b")
        #expect(try Sluice.parseAsRoot(["echo"]) is EchoCommand)
        let run = try #require(try Sluice.parseAsRoot(["run", "-c", "f"]) as? RunCommand)
        #expect(run.file.path == "f" && run.workers == nil)
    }
}
