// SPDX-License-Identifier: Apache-2.0
//
// Goal: `make install` puts program, manual, completions and unit in place, they work, and
// `make uninstall` takes exactly them away.
// Method: the Makefile's own rules into a scratch folder, with the program that was built for the
// tests; the manual read by man, the completions by the shells. That the package works is shown by
// `make deb-test`, which takes too long for here.

import Foundation
import TestKit
import Testing

@Suite struct InstallTests {
    private static let expected = [
        "usr/bin/sluice", "usr/lib/systemd/system/sluice.service",
        "usr/share/bash-completion/completions/sluice",
        "usr/share/fish/vendor_completions.d/sluice.fish", "usr/share/man/man1/sluice.1",
        "usr/share/sluice/sluice.schema.json", "usr/share/zsh/site-functions/_sluice",
    ]

    private func files(in folder: String) -> [String] {
        let all = FileManager.default.enumerator(atPath: folder)?.compactMap { $0 as? String }
        return (all ?? []).filter { path in
            var isFolder: ObjCBool = false
            _ = FileManager.default.fileExists(atPath: "\(folder)/\(path)", isDirectory: &isFolder)
            return !isFolder.boolValue
        }.sorted()
    }

    private func make(_ target: String, _ folder: String) throws {
        try run(
            [
                "make", "-C", Scratch.packageFolder, target, "PREFIX=/usr",
                "DESTDIR=\(folder)/root", "MADE=\(folder)/made",
                "PROGRAM=\(try ProxyFixture.program())",
            ], by: .after(.seconds(600)))
    }

    /// Asks a shell what may stand behind some words.
    private func completions(_ command: [String]) throws -> Set<String> {
        Set(try run(command).map { String($0.prefix { $0 != "\t" && $0 != " " }) })
    }

    @Test func `what is installed works, and is gone afterwards`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let root = "\(folder)/root"
        try FileManager.default.createDirectory(
            atPath: "\(root)/usr/share", withIntermediateDirectories: true)
        try Scratch.write("not ours", to: "\(root)/usr/share/neighbour")
        try make("install-files", folder)
        #expect(files(in: root) == (Self.expected + ["usr/share/neighbour"]).sorted())
        let program = "\(root)/usr/bin/sluice"
        #expect(try run([program, "--version"]).count == 1)
        #expect(
            try run([program, "schema"])
                == run(["cat", "\(root)/usr/share/sluice/sluice.schema.json"]))
        // What debuggers need stays behind.
        #expect(!(try run(["readelf", "-SW", program]).contains { $0.contains(".debug_info") }))

        let unit = try Scratch.read("\(root)/usr/lib/systemd/system/sluice.service")
        #expect(unit.contains("ExecStart=/usr/bin/sluice run -c /etc/sluice/sluice.yaml"))
        #expect(!unit.contains("/usr/local"))
        #expect(unit.contains("ConditionPathExists=/etc/sluice/sluice.yaml"))

        try manual("\(root)/usr/share/man/man1/sluice.1")
        let shares = "\(root)/usr/share"
        try bash("\(shares)/bash-completion/completions/sluice")
        try fish("\(shares)/fish/vendor_completions.d/sluice.fish")
        try zsh("\(shares)/zsh/site-functions")

        try make("uninstall", folder)
        #expect(files(in: root) == ["usr/share/neighbour"])
    }

    private func manual(_ path: String) throws {
        let child = try ChildProcess(
            ["man", "--warnings", "-E", "UTF-8", "-l", path],
            environment: ["MANPAGER": "cat", "MANWIDTH": "80"])
        #expect(try child.waitForExit() == 0)
        #expect(child.errors.isEmpty, "\(child.errors)")
        let text = child.output.joined(separator: "\n")
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "FILES", "EXIT STATUS", "EXAMPLES"] {
            #expect(child.output.contains(section), "\(section) in \(text)")
        }
        // How commands end: each in its own words, and all of them together.
        for words in ["70 when no running Sluice answers", "61 no-pong", "0 when the command has"] {
            let flowing = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(flowing.contains(words), "\(words) in \(flowing)")
        }
        for word in ["doctor", "--subprotocol", "trust", "--lan", "rebalance", "schema"] {
            #expect(text.contains(word), "\(word) in \(text)")
        }
    }

    private func bash(_ path: String) throws {
        let script = """
            source '\(path)'
            COMP_LINE='sluice cert ' COMP_POINT=12 COMP_WORDS=(sluice cert '') COMP_CWORD=2
            $(complete -p sluice | sed 's/.* -F \\([^ ]*\\) .*/\\1/') sluice '' cert
            printf '%s\\n' "${COMPREPLY[@]}"
            """
        let found = try completions(["bash", "-c", script])
        #expect(found.isSuperset(of: ["trust", "untrust", "list", "export"]), "\(found)")
    }

    private func fish(_ path: String) throws {
        let words = try completions([
            "fish", "--no-config", "-c", "source '\(path)'; complete -C 'sluice doctor --'",
        ])
        #expect(words.isSuperset(of: ["--page", "--idle", "--json"]), "\(words)")
    }

    /// zsh completes for people at a terminal only: that it finds and loads the function is what can
    /// be seen without one.
    private func zsh(_ folder: String) throws {
        let script = """
            fpath=('\(folder)' $fpath); autoload -Uz compinit; compinit -u -D
            print ${_comps[sluice]}; autoload +X _sluice && print loaded
            """
        #expect(try run(["zsh", "-f", "-c", script]).suffix(2) == ["_sluice", "loaded"])
    }
}
