// SPDX-License-Identifier: Apache-2.0
//
// Goal: certificates are shown, listed, renewed and exported, and the hints that are printed work.
// Method: the program itself with a home of its own; curl, Python and Node.js as the programs that are
// told to believe; another clock for what is near its end.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct CertCommandTests {
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
            ["HOME": folder, "XDG_DATA_HOME": "\(folder)/data"]
        }

        init() throws { folder = try Scratch.makeFolder() }
        deinit { Scratch.remove(folder) }

        func cert(
            _ arguments: String..., clock: String? = nil, more: [String: String] = [:]
        ) throws -> Outcome {
            let command = [try ProxyFixture.program(), "cert"] + arguments
            let child = try ChildProcess(
                (clock.map { ["faketime", $0] } ?? []) + command,
                environment: environment.merging(more) { $1 })
            let status = try child.waitForExit()
            return Outcome(
                status: status, output: child.output.joined(separator: "\n"),
                errors: child.errors.joined(separator: "\n"))
        }
    }

    @Test func `show prints the chain that a server presents, and whether it is believed`() throws {
        let home = try Home()
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let ca = try TestCertificates.shared().authority
        let shown = try home.cert("show", "wss://127.0.0.1:\(proxy.port())/x", "--ca", ca)
        #expect(shown.status == 0, "\(shown)")
        #expect(shown.output.contains("server       127.0.0.1 port \(proxy.port()), TLSv1.3"))
        #expect(shown.output.contains("browsers     would believe it"), "\(shown)")
        #expect(shown.output.contains("names        localhost, 127.0.0.1, ::1"), "\(shown)")
        let short = try home.cert("show", "127.0.0.1:\(proxy.port())")
        #expect(short.output.contains("which is not trusted here"), "\(short)")
        #expect(backend.connectionCount == 0)

        // A chain of two, from a server and from a file.
        let chain = "\(home.folder)/chain.pem"
        let local = try TestCertificates.shared().local
        try Scratch.write(try Scratch.read(local.chain) + Scratch.read(ca), to: chain)
        let longer = try ProxyFixture(
            to: backend.address, listeners: [.tls([TestIdentity(chain: chain, key: local.key)])])
        for place in ["wss://localhost:\(longer.port())", chain] {
            let both = try home.cert("show", place)
            #expect(both.output.contains("certificate 1\nsubject      CN=local"), "\(both)")
            #expect(
                both.output.contains("certificate 2\nsubject      CN=Sluice test authority"),
                "\(both)")
        }
    }

    @Test func `show says why there is nothing to show`() throws {
        let home = try Home()
        let refusing = try PeerAddress.refusing()
        let nobody = try home.cert("show", "wss://127.0.0.1:\(refusing.port)")
        #expect(nobody.status == 1 && nobody.errors.contains("Nobody listens"), "\(nobody)")
        let backend = try ScriptedBackend.echo()
        let plain = try home.cert("show", "wss://127.0.0.1:\(backend.address.port)")
        #expect(plain.status == 1 && plain.errors.contains("plain HTTP"), "\(plain)")
        #expect(try home.cert("show", "ws://a.test").status == 64)
        let missing = try home.cert("show", "nothing.pem")
        #expect(missing.status == 1 && missing.errors.contains("nothing.pem"), "\(missing)")
    }

    @Test func `what is near its end is listed as such and renewed, once`() throws {
        let home = try Home()
        #expect(try home.cert("list").errors.contains("There is no authority yet"))
        #expect(try home.cert("app.test", "*.app.test").status == 0)
        // A certificate from elsewhere with its key lies beside it.
        let other = try TestCertificates.shared().local
        for (from, to) in [(other.chain, "other.pem"), (other.key, "other-key.pem")] {
            try FileManager.default.copyItem(atPath: from, toPath: "\(home.data)/\(to)")
        }
        let foreign = try Scratch.read("\(home.data)/other.pem")
        func facts() throws -> String { try Scratch.read("\(home.data)/app.test.pem") }
        let first = try facts()
        let fresh = try home.cert("list")
        #expect(fresh.output.contains("397 days left"), "\(fresh)")
        #expect(try home.cert("renew").output.contains("app.test.pem  kept"))
        #expect(try facts() == first)

        let later = "+380 days"
        let listed = try home.cert("list", clock: later)
        #expect(listed.output.contains("sluice cert renew, since it had only "), "\(listed)")
        let renewed = try home.cert("renew", clock: later)
        #expect(renewed.status == 0, "\(renewed)")
        #expect(renewed.output.contains("app.test.pem  renewed, since it had only "))
        #expect(renewed.output.contains("other.pem  left alone: a certificate issued by"))
        #expect(try facts() != first)
        #expect(try home.cert("renew", clock: later).output.contains("app.test.pem  kept"))
        let shown = try home.cert("show", "\(home.data)/app.test.pem", clock: later)
        #expect(shown.output.contains("names        app.test, *.app.test"), "\(shown)")
        #expect(try Scratch.read("\(home.data)/other.pem") == foreign)
    }

    @Test func `a certificate keeps its names, and quick mode those that it finds`() throws {
        let home = try Home()
        func names() throws -> String {
            let shown = try home.cert("show", "\(home.data)/localhost.pem").output
            let line = shown.split(separator: "\n").first { $0.hasPrefix("names ") } ?? ""
            return String(line.dropFirst(13))
        }
        #expect(try home.cert().status == 0)
        let more = try home.cert("localhost", "app.test")
        #expect(more.output.contains("renewed, since it did not cover app.test"), "\(more)")
        #expect(try names() == "localhost, app.test, 127.0.0.1, ::1")
        let narrow = try home.cert("--only", "localhost", "app.test")
        #expect(narrow.output.contains("since it also covered 127.0.0.1, ::1"), "\(narrow)")
        #expect(try names() == "localhost, app.test")
        // A start in quick mode adds what it needs and takes nothing out.
        let app = try ScriptedBackend.echo()
        defer { app.stop() }
        let proxy = try ProxyFixture(
            arguments: ["\(app.address.port)", "--listen", "127.0.0.1:0"], home: home.folder)
        #expect(try names() == "localhost, 127.0.0.1, ::1, app.test")
        let client = try proxy.connect(
            security: .tls(name: "app.test", authority: "\(home.data)/ca.pem"))
        try client.open(Opening("/"))
    }

    @Test func `export gives PEM and DER, with the lines for other machines`() throws {
        let home = try Home()
        #expect(try home.cert().status == 0)
        let pem = try home.cert("export")
        #expect(pem.output + "\n" == (try Scratch.read("\(home.data)/ca.pem")))
        for words in [
            "update-ca-certificates", "/etc/pki/ca-trust/source/anchors", "trust anchor --store",
            "COPY sluice-ca.pem", "docker run", "NODE_EXTRA_CA_CERTS=sluice-ca.pem", "--der",
        ] {
            #expect(pem.errors.contains(words), "\(words): \(pem.errors)")
        }
        let der = "\(home.folder)/my phone.cer"
        let written = try home.cert("export", "--der", "--output", der)
        #expect(written.status == 0, "\(written)")
        #expect(written.output.contains("Android") && written.output.contains("iOS"))
        #expect(written.output.contains("Root '\(der)'"), "\(written)")
        func print(_ form: String, _ file: String) throws -> [String] {
            try run(
                ["openssl", "x509", "-inform", form, "-in", file, "-noout", "-fingerprint"])
        }
        #expect(try print("DER", der) == print("PEM", "\(home.data)/ca.pem"))
        #expect(!pem.output.contains("PRIVATE") && !pem.errors.contains("PRIVATE"))
        let mode = try FileManager.default.attributesOfItem(atPath: "\(home.data)/ca-key.pem")
        #expect(mode[.posixPermissions] as? Int == 0o600)
    }

    private static let variables = [
        "SSL_CERT_FILE", "SSL_CERT_DIR", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    ]

    @Test func `programs believe with the lines that are printed, and not without`() throws {
        let app = try ProxyFixture(arguments: ["echo", "--listen", "127.0.0.1:0"])
        let proxy = try ProxyFixture(arguments: ["\(app.port())", "--listen", "127.0.0.1:0"])
        let url = "https://localhost:\(proxy.port())/"
        // The last line of it.
        try proxy.process.waitForLine(containing: "sluice cert export")
        let advice = proxy.process.output.filter { $0.contains("export ") }
        let programs: [(variable: String, command: [String])] = [
            ("SSL_CERT_FILE", ["curl", "-sS", "-o", "/dev/null", url]),
            (
                "SSL_CERT_FILE",
                ["python3", "-c", "import urllib.request as r; r.urlopen('\(url)').read()"]
            ),
            (
                "REQUESTS_CA_BUNDLE",
                [try PythonPeer.interpreter(), "-c", "import requests; requests.get('\(url)')"]
            ),
            (
                "NODE_EXTRA_CA_CERTS",
                [
                    "node", "-e",
                    "require('https').get('\(url)', r => process.exit(r.statusCode == 200 ? 0 : 2))"
                        + ".on('error', e => { console.error(e.code); process.exit(1) })",
                ]
            ),
        ]
        for (variable, command) in programs {
            let line = try #require(advice.first { $0.contains("export \(variable)=") })
            let words = line.split(separator: " ").map(String.init)
            let setting = try #require(words.first { $0.hasPrefix("\(variable)=") })
            // The machine may have settings of its own that go first.
            let bare = ["env"] + Self.variables.flatMap { ["-u", $0] }
            let without = try ChildProcess(bare + command)
            #expect(try without.waitForExit() != 0, "\(command)")
            let with = try ChildProcess(bare + [setting] + command)
            #expect(try with.waitForExit() == 0, "\(command): \(with.errors)")
        }
    }

    @Test func `where certutil is missing, how to get it is said`() throws {
        let home = try Home()
        #expect(try home.cert().status == 0)
        try run(["mkdir", "-p", "\(home.folder)/.config/chromium"])
        let outcome = try home.cert(
            "trust", "--only", "browsers", more: ["PATH": "\(home.folder)/nothing"])
        #expect(outcome.status == 1, "\(outcome)")
        for words in ["certutil is missing", "libnss3-tools", "nss-tools", "pacman -S nss"] {
            #expect(outcome.output.contains(words), "\(outcome)")
        }
        #expect(!FileManager.default.fileExists(atPath: "\(home.folder)/.pki"))
    }

    @Test(.enabled(if: geteuid() == 0, "sudo makes root of whoever calls it"))
    func `by sudo it is about the one who called it, and never about browsers`() throws {
        let home = try Home()
        let account = try #require(Self.account("daemon"))
        let refused = try home.cert("status", more: ["SUDO_USER": "daemon"])
        #expect(refused.status == 1, "\(refused)")
        #expect(refused.errors.contains("\(account)/.local/share/sluice/ca.pem"), "\(refused)")
        #expect(refused.errors.contains("daemon has no authority yet"), "\(refused)")
        #expect(!FileManager.default.fileExists(atPath: home.data))
        // A directory that is named is meant, whoever calls.
        #expect(try home.cert().status == 0)
        let named = try home.cert(
            "status", "--directory", home.data, "--only", "browsers",
            more: ["SUDO_USER": "daemon"])
        #expect(named.status == 0, "\(named)")
        // Browsers stay that user's all the same, wherever HOME leads.
        try run(["mkdir", "-p", "\(home.folder)/.config/chromium"])
        let trusted = try home.cert(
            "trust", "--directory", home.data, "--only", "browsers",
            more: ["SUDO_USER": "daemon"])
        #expect(
            trusted.output.contains("browsers  left alone: they are daemon's"), "\(trusted)")
        #expect(!FileManager.default.fileExists(atPath: "\(home.folder)/.pki"))
    }

    @Test(.enabled(if: geteuid() == 0, "becomes somebody else"))
    func `what can't be renewed is a failure`() throws {
        let home = try Home()
        #expect(try home.cert().status == 0)
        // Whose files they are, and whose folder not.
        try run(["sh", "-c", "chown 65534 '\(home.data)'/*"])
        try run(["chmod", "-R", "a+rX", home.folder])
        try run(["sh", "-c", "chmod 600 '\(home.data)'/*-key.pem"])
        let scratch = URL(fileURLWithPath: home.folder).deletingLastPathComponent().path
        try run(["chmod", "0755", scratch])
        let nobody = [
            "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "faketime",
            "+380 days", try ProxyFixture.program(), "cert",
        ]
        let renewing = try ChildProcess(nobody + ["renew", "--directory", home.data])
        #expect(try renewing.waitForExit() == 1)
        let output = renewing.output.joined()
        #expect(output.contains("localhost.pem  failed: "), "\(output)")
        #expect(output.contains("Permission denied"), "\(output)")
    }

    @Test func `where export can't write, that is said in words`() throws {
        let home = try Home()
        #expect(try home.cert().status == 0)
        let refused = try home.cert("export", "--output", "\(home.folder)/nowhere/ca.pem")
        #expect(refused.status == 1, "\(refused)")
        #expect(
            refused.errors.contains("/nowhere/ca.pem: it can't be written: No such file"),
            "\(refused)")
        #expect(!refused.errors.contains("NSCocoaErrorDomain"), "\(refused)")
        // A path of its own is no part of the working folder; a folder that was named is named again.
        let file = "\(home.folder)/ca.pem"
        let named = try home.cert("export", "--directory", home.data, "--output", file)
        #expect(named.output.contains("-v \(file):/sluice-ca.pem"), "\(named)")
        #expect(named.output.contains("export --directory \(home.data) --der"), "\(named)")
    }

    @Test(arguments: ["list", "renew", "export", "status", "trust"])
    func `an authority that is missing is told with the command that makes it there`(
        command: String
    ) throws {
        let home = try Home()
        let folder = "\(home.folder)/of mine"
        let missing = try home.cert(command, "--directory", folder)
        #expect(missing.status == 1 && missing.output.isEmpty, "\(missing)")
        let line = try #require(
            missing.errors.firstMatch(of: /`sluice (cert --directory .*)` makes one/))
        let program = try ProxyFixture.program()
        try run(["sh", "-c", "'\(program)' \(line.output.1)"])
        #expect(try home.cert("list", "--directory", folder).status == 0)
        if command == "list" {
            let usual = try home.cert(command)
            #expect(usual.errors.contains("`sluice cert` or `sluice PORT` makes it"), "\(usual)")
        }
    }

    @Test func `trust makes the authority of a fresh user and says so, once`() throws {
        let home = try Home()
        let first = try home.cert("trust", "--only", "browsers")
        #expect(first.status == 0, "\(first)")
        #expect(
            first.output.hasPrefix("authority  \(home.data)/ca.pem made, since there was none"),
            "\(first)")
        let second = try home.cert("trust", "--only", "browsers")
        #expect(second.status == 0 && !second.output.contains("made, since"), "\(second)")
    }

    @Test func `a certificate of a named folder is renewed by a command that names it`() throws {
        let home = try Home()
        let folder = "\(home.folder)/certs"
        #expect(try home.cert("--directory", folder, "app.test").status == 0)
        let listed = try home.cert("list", "--directory", folder, clock: "+380 days")
        #expect(
            listed.output.contains("sluice cert renew --directory \(folder), since"), "\(listed)")
    }

    @Test func `untrust takes out no other authority than that of the folder that is named`() throws
    {
        let home = try Home()
        let outcome = try home.cert("untrust", "--directory", "\(home.folder)/nope")
        #expect(outcome.status == 1 && outcome.output.isEmpty, "\(outcome)")
        #expect(outcome.errors.contains("/nope/ca.pem: there is no authority"), "\(outcome)")
        let all = try home.cert(
            "untrust", "--all", "--only", "browsers", "--directory", "\(home.folder)/nope")
        #expect(all.status == 0, "\(all)")
    }

    @Test func `untrust needs no authority`() throws {
        let home = try Home()
        let outcome = try home.cert("untrust", "--only", "browsers")
        #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome)")
        #expect(try home.cert("status", "--only", "browsers").errors.contains("no authority yet"))
        #expect(!outcome.output.contains("authority  "), "\(outcome)")
        // Where one is, it is said which.
        #expect(try home.cert().status == 0)
        let named = try home.cert("untrust", "--only", "browsers")
        #expect(
            named.output.contains("/ca.pem, CN=Sluice development CA"),
            "\(named)")
    }

    @Test func `an authority that has ended is not said to be somebody else's`() throws {
        let home = try Home()
        #expect(try home.cert("app.test").status == 0)
        let listed = try home.cert("list", clock: "+4000 days")
        #expect(
            listed.output.contains("not judged: \(home.data)/ca.pem: it has expired"), "\(listed)")
        #expect(!listed.output.contains("not from here"), "\(listed)")
    }

    @Test(.enabled(if: geteuid() == 0, "becomes somebody else"))
    func `what only root may do is said with its command, and the rest is done`() throws {
        let home = try Home()
        #expect(try home.cert().status == 0)
        // A place where nobody's files lie, as a user's, with a name that a shell has to be told of.
        let folder = "\(home.folder)/o'brien"
        try run(["mkdir", "-p", "\(folder)/.config/chromium"])
        try run(["cp", "\(home.data)/ca.pem", folder])
        try run(["chown", "-R", "65534:65534", folder])
        try run([
            "chmod", "0755", home.folder,
            URL(fileURLWithPath: home.folder)
                .deletingLastPathComponent().path,
        ])
        func nobody(_ command: String, _ more: String..., fails: Bool = false) throws -> [String] {
            let child = try ChildProcess(
                [
                    "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups",
                    try ProxyFixture.program(), "cert", command, "--directory", folder,
                ] + more, environment: ["HOME": folder])
            #expect(try child.waitForExit() == (fails ? 1 : 0), "\(child.output)")
            return child.output
        }
        let print = try run([
            "openssl", "x509", "-in", "\(folder)/ca.pem", "-noout", "-fingerprint", "-sha256",
        ])
        let mark = print.joined().split(separator: "=").last?.lowercased().filter { $0 != ":" }
        let name = "sluice-ca-\(try #require(mark).prefix(16)).crt"
        let target = "/usr/local/share/ca-certificates/\(name)"
        try #require(!FileManager.default.fileExists(atPath: target))
        let trusted = try nobody("trust")
        let system = try #require(trusted.first { $0.hasPrefix("system") })
        #expect(
            system.hasSuffix(
                "needs root: sudo cp '\(home.folder)/o'\\''brien/ca.pem' \(target)"
                    + " && sudo update-ca-certificates"), "\(system)")
        #expect(trusted.contains { $0.hasPrefix("Chromium") && $0.contains("from now on") })
        #expect(!FileManager.default.fileExists(atPath: target))
        #expect(try nobody("untrust").contains { $0.contains("not trusted any more") })

        // The commands do it, in the root that was named and nowhere else.
        let root = "\(home.folder)/root"
        for part in ["usr/local/share", "usr/share", "etc/ssl/certs", "bin"] {
            try run(["mkdir", "-p", "\(root)/\(part)"])
        }
        try run(["mkdir", "\(root)/usr/local/share/ca-certificates"])
        try run(["mkdir", "\(root)/usr/share/ca-certificates"])
        try run(["touch", "\(root)/etc/ca-certificates.conf"])
        let before = try run(["find", root])
        try Scratch.writeProgram("#!/bin/sh\nexec \"$@\"\n", to: "\(home.folder)/sudo")
        func asRoot(_ command: String) throws {
            // Where nothing else was asked for, nothing was done.
            let lines = try nobody(command, "--root", root, "--only", "system", fails: true)
            let line = try #require(lines.first { $0.contains("needs root: ") }, "\(lines)")
            let words = try #require(line.firstRange(of: "needs root: "))
            try run(
                ["sh", "-c", String(line[words.upperBound...])],
                environment: ["PATH": "\(home.folder):/usr/sbin:/usr/bin:/sbin:/bin"])
        }
        try asRoot("trust")
        let status = try nobody("status", "--root", root, "--only", "system")
        #expect(status.contains { $0.hasSuffix(": trusted") }, "\(status)")
        try asRoot("untrust")
        let left = Set(try run(["find", root])).subtracting(before)
        #expect(left == ["\(root)/etc/ssl/certs/ca-certificates.crt"], "no link is left behind")
        #expect(!FileManager.default.fileExists(atPath: target))
    }

    @Test func `another root is changed within alone`() throws {
        let home = try Home()
        try run(["mkdir", "-p", "\(home.folder)/.config/chromium"])
        let root = "\(home.folder)/root"
        for part in [
            "usr/local/share/ca-certificates", "usr/share/ca-certificates", "etc/ssl/certs",
        ] {
            try run(["mkdir", "-p", "\(root)/\(part)"])
        }
        try run(["touch", "\(root)/etc/ca-certificates.conf"])
        func outside() throws -> [String] {
            try run(["sh", "-c", "find '\(home.folder)' -path '\(root)' -prune -o -print | sort"])
        }
        let before = try outside()
        let without = try home.cert("trust", "--root", root)
        #expect(without.status == 1, "\(without)")
        #expect(without.errors.contains("--root changes nothing outside of"), "\(without)")
        #expect(try outside() == before, "no authority was made")
        #expect(try home.cert().status == 0)
        let made = try outside()
        let trusted = try home.cert("trust", "--root", root)
        #expect(trusted.status == 0, "\(trusted)")
        #expect(trusted.output.contains("browsers  left alone: --root"), "\(trusted)")
        #expect(try outside() == made, "no database was made")
        #expect(try home.cert("untrust", "--root", root).status == 0)
        #expect(try outside() == made)
        for wrong in ["", "\(home.folder)/nowhere"] {
            #expect(try home.cert("trust", "--root", wrong).status == 64)
        }
        #expect(try home.cert("trust", "--root", root, "--only", "browsers").status == 64)
    }

    @Test func `an authority that others may have changed is used by no command`() throws {
        let home = try Home()
        #expect(try home.cert().status == 0)
        try run(["chmod", "777", home.data])
        let sentence = "everybody can write to this directory"
        for command in [
            [], ["list"], ["renew"], ["export"], ["status", "--only", "browsers"],
            ["trust", "--only", "browsers"],
        ] {
            let child = try ChildProcess(
                [try ProxyFixture.program(), "cert"] + command, environment: home.environment)
            #expect(try child.waitForExit() == 1, "\(command)")
            #expect(child.errors.contains { $0.contains(sentence) }, "\(command): \(child.errors)")
        }
        let quick = try ChildProcess(
            [try ProxyFixture.program(), "9", "--listen", "127.0.0.1:0"],
            environment: home.environment)
        #expect(try quick.waitForExit() == 1)
        #expect(quick.errors.contains { $0.contains(sentence) }, "\(quick.errors)")
        // To forget it is never refused.
        #expect(try home.cert("untrust", "--only", "browsers").status == 0)
    }

    @Test func `show tells an authority for servers from an older one`() throws {
        let home = try Home()
        #expect(try home.cert().status == 0)
        let new = try home.cert("show", "\(home.data)/ca.pem")
        #expect(
            new.output.contains("for some names only: it is an authority, servers only"), "\(new)")
        #expect(new.output.contains("\nfor          localhost, local, "), "\(new)")
        #expect(new.output.contains("; 127.0.0.0/8, 10.0.0.0/8, "), "\(new)")
        #expect(new.output.contains("::1/128, fc00::/7, fe80::/10"), "\(new)")
        let old = "\(home.folder)/old.pem"
        try run([
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-subj", "/O=Sluice/CN=Sluice development CA a@b", "-keyout",
            "\(home.folder)/old.key", "-out", old, "-addext",
            "nameConstraints=critical,permitted;DNS:localhost",
        ])
        let shown = try home.cert("show", old)
        #expect(
            shown.output.contains("also for mail, clients and code, since an older"), "\(shown)")
    }

    private static func account(_ name: String) -> String? {
        getpwnam(name).flatMap { $0.pointee.pw_dir }.map { String(cString: $0) }
    }
}
