// SPDX-License-Identifier: Apache-2.0
//
// Goal: names that the authority may not sign for are refused before anything is written, and what is suggested
// then works; all commands judge alike who believes a certificate.
// Method: the program itself with a home of its own, certutil for a browser's store, a real server to look at.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct CertNamesTests {
    private struct Outcome {
        let status: Int32
        let output: String
        let errors: String
    }

    /// A home, and the program in it.
    private final class Home {
        let folder: String
        var data: String { "\(folder)/data/sluice" }
        var environment: [String: String] {
            ["HOME": folder, "XDG_DATA_HOME": "\(folder)/data", "TMPDIR": folder]
        }
        /// All files below it.
        var files: [String] {
            get throws { try run(["sh", "-c", "cd '\(folder)' && find . -type f | sort"]) }
        }

        init() throws { folder = try Scratch.makeFolder() }
        deinit { Scratch.remove(folder) }

        func sluice(_ arguments: [String]) throws -> Outcome {
            let child = try ChildProcess(
                [try ProxyFixture.program()] + arguments, environment: environment)
            let status = try child.waitForExit()
            return Outcome(
                status: status, output: child.output.joined(separator: "\n"),
                errors: child.errors.joined(separator: "\n"))
        }

        func cert(_ arguments: String...) throws -> Outcome { try sluice(["cert"] + arguments) }

        /// Runs the `sluice cert …` with which a message ends, as a shell would.
        func follow(_ message: String) throws -> Int32 {
            let start = try #require(message.range(of: "sluice cert ", options: .backwards))
            let child = try ChildProcess(
                [
                    "sh", "-c",
                    "exec '\(try ProxyFixture.program())' \(message[start.lowerBound...].dropFirst(7))",
                ], environment: environment)
            return try child.waitForExit()
        }
    }

    @Test(arguments: [
        ["bogus_name"], ["www.google.com"], ["localhost", "*.example.org"], ["8.8.8.8"],
        ["app.test", "shop.com", "8.8.8.8"],
    ])
    func `names that would be refused leave nothing behind, and what is suggested works`(
        names: [String]
    ) throws {
        let home = try Home()
        let refused = try home.sluice(["cert"] + names)
        #expect(refused.status == 1, "\(refused)")
        #expect(refused.errors.contains("nothing was made"), "\(refused)")
        #expect(try home.files == [], "\(refused)")
        #expect(!FileManager.default.fileExists(atPath: home.data))
        #expect(try home.follow(refused.errors) == 0, "\(refused)")
        #expect(FileManager.default.fileExists(atPath: "\(home.data)/ca.pem"))
        #expect(try home.sluice(["cert"] + names).output.contains("kept"))
    }

    @Test
    func `what is advised where an authority may not sign is about the folder that was named`()
        throws
    {
        let home = try Home()
        let folder = "\(home.folder)/of mine"
        #expect(try home.sluice(["cert", "--directory", folder, "app.test"]).status == 0)
        let shown = try home.sluice(["cert", "show", "--directory", folder, "app.test"])
        #expect(shown.status == 0 && shown.output.contains("app.test"), "\(shown)")
        let refused = try home.sluice(["cert", "--directory", folder, "google.com"])
        #expect(refused.errors.contains("away from \(folder) to have another"), "\(refused)")
        for file in ["ca.pem", "ca-key.pem"] {
            try FileManager.default.removeItem(atPath: "\(folder)/\(file)")
        }
        #expect(try home.follow(refused.errors) == 0, "\(refused)")
        #expect(FileManager.default.fileExists(atPath: "\(folder)/google.com.pem"))
        #expect(!FileManager.default.fileExists(atPath: home.data))
    }

    @Test func `quick mode makes no authority for a name that it may not sign for`() throws {
        let home = try Home()
        let refused = try home.sluice(["9", "--host", "www.google.com", "--listen", "0"])
        #expect(refused.status == 1, "\(refused)")
        #expect(refused.errors.contains("\nwww.google.com: ") == false, "\(refused)")
        #expect(refused.errors.contains("www.google.com: the authority that would be made now"))
        #expect(try home.files == [])
    }

    @Test(arguments: ["*.shop.com", "10.0.0.1", "no name"])
    func `what can't be permitted is wrong usage, and nothing is made`(name: String) throws {
        let home = try Home()
        let refused = try home.cert("localhost", "--permit", name)
        #expect(refused.status == 64, "\(refused)")
        #expect(try home.files == [])
    }

    @Test func `what an authority that is there can't be told is refused with what to do`() throws {
        let home = try Home()
        #expect(try home.cert("--permit", "example.com", "www.example.com").status == 0)
        let before = try home.files
        // The same again changes nothing and is fine.
        let again = try home.cert("--permit", "example.com", "www.example.com")
        #expect(again.status == 0 && again.output.contains("and example.com"), "\(again)")
        for (arguments, option) in [
            (["--permit", "example.org", "www.example.org"], "--permit example.org"),
            (["--permit", "example.com", "--permit", "example.org"], "--permit example.org"),
            (["--any-name"], "--any-name"),
        ] {
            let refused = try home.sluice(["cert"] + arguments)
            #expect(refused.status == 1, "\(refused)")
            #expect(
                refused.errors.contains("it is there already, and \(option) is for an authority"),
                "\(refused)")
            #expect(refused.errors.contains("Move ca.pem and ca-key.pem away"), "\(refused)")
        }
        #expect(try home.files == before)
        // What it was made to permit is said as well where nobody asks for that now.
        let kept = try home.cert("www.example.com")
        #expect(kept.output.contains("may sign for local names and private addresses, and "))
        #expect(kept.output.contains("example.com\n"), "\(kept)")
        let listed = try home.cert("list")
        #expect(
            listed.output.contains("signs for local names and private addresses, and "),
            "\(listed)")
        #expect(listed.output.contains("example.com"), "\(listed)")
        let shown = try home.cert("show", "\(home.data)/ca.pem")
        #expect(shown.output.contains("example.com (and all below them); "), "\(shown)")
        // Without the option the name is refused with the same way out.
        let other = try home.cert("www.example.org")
        #expect(other.status == 1 && other.errors.contains("www.example.org: "), "\(other)")
        #expect(other.errors.contains(", example.com only; "), "\(other)")
        try run(["rm", "\(home.data)/ca.pem", "\(home.data)/ca-key.pem"])
        #expect(try home.follow(other.errors) == 0, "\(other)")
        // One for any name has nothing to be told.
        #expect(try home.cert("--directory", "\(home.folder)/any", "--any-name").status == 0)
        #expect(
            try home.cert("--directory", "\(home.folder)/any", "--permit", "example.net").status
                == 0)
    }

    @Test func `a name that is like a command is made a certificate of as is said`() throws {
        let home = try Home()
        for _ in 0..<2 {
            let refused = try home.cert("lisst")
            #expect(refused.status == 64, "\(refused)")
            let line = try #require(refused.errors.split(separator: "\n").first)
            #expect(line.contains("`sluice cert list`"), "\(line)")
            guard line.contains("sluice cert make") else {
                // The authority that was made for nothing more may not.
                #expect(FileManager.default.fileExists(atPath: "\(home.data)/ca.pem"))
                continue
            }
            #expect(try home.follow(String(line)) == 0, "\(line)")
            try run(["sh", "-c", "rm -r '\(home.data)'"])
            #expect(try home.cert().status == 0)
        }
    }

    @Test func `show reads the DER that export writes`() throws {
        let home = try Home()
        #expect(try home.cert().status == 0)
        let file = "\(home.folder)/sluice-ca.cer"
        #expect(try home.cert("export", "--der", "--output", file).status == 0)
        let shown = try home.cert("show", file)
        #expect(shown.status == 0, "\(shown)")
        #expect(shown.output == (try home.cert("show", "\(home.data)/ca.pem").output))
        #expect(shown.output.contains("CN=Sluice development CA"))
        // A key in DER form is none.
        try run([
            "openssl", "pkey", "-in", "\(home.data)/localhost-key.pem", "-outform", "DER", "-out",
            "\(home.folder)/key.der",
        ])
        let key = try home.cert("show", "\(home.folder)/key.der")
        #expect(key.status == 1 && key.errors.contains("a private key in DER form"), "\(key)")
    }

    @Test func `show, status and the doctor say the same of browsers`() throws {
        let home = try Home()
        let store = "\(home.folder)/.pki/nssdb"
        let app = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        #expect(try home.cert().status == 0)
        let identity = TestIdentity(
            chain: "\(home.data)/localhost.pem", key: "\(home.data)/localhost-key.pem")
        let proxy = try ProxyFixture(
            to: .tcp(app.port()), listeners: [.tls([identity])])
        let url = "wss://localhost:\(proxy.port())/Esv/ocp"
        func browsers() throws -> String {
            let shown = try home.cert("show", url)
            #expect(shown.status == 0, "\(shown)")
            let line = shown.output.split(separator: "\n").first { $0.hasPrefix("browsers ") }
            return line.map(String.init) ?? ""
        }
        try run(["mkdir", "-p", store])
        try run(["certutil", "-N", "-d", "sql:\(store)", "--empty-password"])
        let refusing = try browsers()
        #expect(
            refusing.hasPrefix("browsers     would not believe it until `sluice cert trust`: "),
            "\(refusing)")
        #expect(refusing.contains(store), "\(refusing)")
        #expect(try home.cert("status", "--only", "browsers").status == 1)
        #expect(try home.sluice(["doctor", url]).status == 39)
        #expect(try home.cert("trust", "--only", "browsers").status == 0)
        let trusting = try browsers()
        #expect(trusting.hasPrefix("browsers     would believe it: "), "\(trusting)")
        #expect(trusting.contains(store), "\(trusting)")
        #expect(try home.cert("status", "--only", "browsers").status == 0)
        #expect(try home.sluice(["doctor", url]).status == 0)
    }

    @Test func `an image is told the paths that it has`() throws {
        let home = try Home()
        let root = "\(home.folder)/root"
        for part in [
            "usr/local/share/ca-certificates", "usr/share/ca-certificates", "etc/ssl/certs",
        ] {
            try run(["mkdir", "-p", "\(root)/\(part)"])
        }
        try run(["touch", "\(root)/etc/ca-certificates.conf"])
        #expect(try home.cert().status == 0)
        let trusted = try home.cert("trust", "--root", root)
        #expect(trusted.status == 0, "\(trusted)")
        let lines = trusted.output.split(separator: "\n").filter { $0.contains("export ") }
        #expect(lines.count == 2, "\(trusted)")
        for line in lines {
            #expect(!line.contains(home.folder), "\(line)")
            let path = try #require(
                line.firstMatch(of: #/=(/[^ ]+)/#).map { String($0.1) }, "\(line)")
            let inside = try Scratch.read(root + path)
            let own = try Scratch.read("\(home.data)/ca.pem")
            #expect(inside.contains(own.split(separator: "\n")[1]), "\(path)")
        }
        // Where nothing was put there is nothing to name.
        let bare = "\(home.folder)/bare"
        try run(["mkdir", bare])
        let refused = try home.cert("trust", "--root", bare)
        #expect(refused.status == 1 && !refused.output.contains("export "), "\(refused)")
    }
}
