// SPDX-License-Identifier: Apache-2.0
import Testing

/// The checks themselves: each finds what is wrong in a small made-up repository, and no more.
struct ChecksTests {
    @Test(arguments: [
        ("import A", ["A"]), ("public import A", ["A"]), ("  @testable import A", ["A"]),
        ("@_spi(X) public import A.B", ["A"]), ("import struct A.B", ["A"]),
        ("@preconcurrency import A // why\nimport B", ["A", "B"]),
        ("import A; import B", ["A", "B"]),
        ("// import A", []), ("let important = 1", []), ("reimport A", []), ("\"import A\"", []),
    ])
    func `imports are read`(text: String, modules: [String]) {
        #expect(Arrows.modules(importedBy: text) == modules)
    }

    @Test(arguments: [
        ("Wire", "Router"), ("Router", "Foundation"), ("Wire", "Glibc"), ("Config", "Glibc"),
        ("Config", "Router"), ("Reactor", "TLS"), ("Splice", "Router"), ("Splice", "Frontend"),
        ("Frontend", "Config"), ("Frontend", "CLinux"), ("Splice", "Service"),
        ("Proxy", "Reactor"), ("Proxy", "TLS"), ("Proxy", "Ledger"),
        ("Ledger", "Splice"), ("Ledger", "Frontend"), ("Ledger", "Config"),
        ("Log", "Frontend"), ("Admin", "Frontend"), ("Health", "Frontend"),
        ("Naming", "Frontend"), ("Log", "Splice"), ("Admin", "Splice"), ("Health", "Splice"),
        ("Health", "Log"), ("Admin", "Health"), ("Frontend", "Log"), ("Frontend", "Health"),
        ("Log", "Config"), ("Service", "QRCode"), ("Service", "Trust"), ("Frontend", "Service"),
        ("sluice", "Frontend"), ("sluice", "Splice"), ("sluice", "Router"),
        ("sluice", "TestKit"), ("sluice", "COpenSSL"),
        ("Echo", "Splice"), ("LoadGenerator", "Echo"), ("TestKit", "Router"), ("Bench", "Splice"),
        ("Splice", "COpenSSL"), ("TLS", "CLinux"), ("Reactor", "COpenSSL"),
        ("sluice", "CQREncode"), ("QRCode", "TLS"), ("Frontend", "QRCode"),
        ("HTTP2", "Wire"), ("HTTP2", "Reactor"), ("Frontend", "CNghttp2"), ("TLS", "CNghttp2"),
        ("Fuzz", "Wire"), ("FuzzTargets", "COpenSSL"), ("Wire", "FuzzTargets"),
    ])
    func `an arrow that points up or sideways is found`(target: String, module: String) {
        let file = made("Sources/\(target)/A.swift", "\nimport Wire2\nimport \(module)\n")
        #expect(
            Arrows.violations(in: [file]) == [
                "Sources/\(target)/A.swift: \(target) imports \(module)"
            ])
    }

    @Test(arguments: [
        ("Wire", "Synchronization"), ("Config", "Foundation"), ("Config", "Yams"),
        ("Reactor", "CLinux"), ("TLS", "COpenSSL"), ("Splice", "Wire"), ("Frontend", "Splice"),
        ("Splice", "Ledger"), ("Frontend", "Proxy"), ("Health", "Ledger"), ("Naming", "Ledger"),
        ("Service", "Frontend"), ("Service", "Config"), ("sluice", "Service"),
        ("sluice", "Config"), ("sluice", "LoadGenerator"),
        ("Bench", "LoadGenerator"), ("Bench", "TLS"), ("Wire", "Wire"),
        ("HTTP2", "CNghttp2"), ("FuzzTargets", "HTTP2"),
    ])
    func `an arrow that points down is fine`(target: String, module: String) {
        #expect(
            Arrows.violations(in: [made("Sources/\(target)/A.swift", "import \(module)")]) == [])
    }

    @Test func `a target that the arrows do not know is found, and tests may import anything`() {
        let files = [
            made("Sources/Extra/A.swift", ""), made("Tests/WireTests/A.swift", "import Splice"),
        ]
        #expect(
            Arrows.violations(in: files) == [
                "Sources/Extra/A.swift: in no target that the arrows know"
            ])
    }

    @Test func `an arrow in the package that points sideways is found`() throws {
        let wrong = try Repository.package().replacing(
            ".target(name: \"Wire\",", with: ".target(name: \"Wire\", dependencies: [\"Router\"],")
        #expect(Arrows.violations(inPackage: wrong) == ["Package.swift: Wire depends on Router"])
    }

    @Test func `a target of the package that the arrows do not know or lack is found`() throws {
        let wrong = try Repository.package().replacing(
            ".target(name: \"Wire\",", with: ".target(name: \"Wires\",")
        #expect(
            Arrows.violations(inPackage: wrong) == [
                "Package.swift: Wires is no target that the arrows know",
                "Package.swift: Wire is not declared",
            ])
    }

    @Test func `a file of one line too many is found`() {
        let line = "let a = 1\n"
        let files = [
            made("Sources/A/Long.swift", String(repeating: line, count: 601)),
            made("Sources/A/Fits.swift", String(repeating: line, count: 600)),
        ]
        #expect(
            Tidiness.longFiles(files) == ["Sources/A/Long.swift: 601 lines, allowed: 600"])
    }

    @Test func `a folder with too many files is found`() {
        let files =
            (1...21).map { made("Tests/A/B/\($0).swift", "") }
            + (1...20).map { made("Tests/A/\($0).swift", "") }
        #expect(Tidiness.fullFolders(files) == ["Tests/A/B/: 21 files, allowed: 20"])
    }

    @Test(arguments: ["TO" + "DO", "FIX" + "ME", "XX" + "X", "@un" + "checked"])
    func `a forbidden word is found with its line`(word: String) {
        let files = [made("Tests/A/A.swift", "a\n// \(word): b\n\(word)S \(word.lowercased())s\n")]
        #expect(Tidiness.words(files) == ["Tests/A/A.swift:2: \(word)"])
    }

    @Test func `a file without its licence is found`() {
        let files = [
            made("Sources/A/A.swift", "import B\n" + Tidiness.licence),
            made("Sources/A/Empty.swift", ""),
            made("Sources/A/B.swift", Tidiness.licence + "\nimport B\n"),
            made("Sources/A/shim.h", ""),
        ]
        #expect(
            Tidiness.licences(files) == [
                "Sources/A/A.swift: the first line is not the licence",
                "Sources/A/Empty.swift: the first line is not the licence",
            ])
    }

    @Test func `an accessor that lends what it reads is found`() {
        let text = "let a = BIO_read(b)\n// no `_read` here\nvar c: Int { _read { yield d } }\n"
        let files = [made("Sources/A/A.swift", text), made("Tests/ATests/A.swift", text)]
        #expect(Tidiness.lendingAccessors(files) == ["Sources/A/A.swift:3: _read"])
    }

    @Test func `a placeholder is found`() {
        let files = [made("Sources/A/Placeholder.swift", ""), made("Sources/A/A.swift", "")]
        #expect(Tidiness.placeholders(files) == ["Sources/A/Placeholder.swift: still there"])
    }

    @Test func `a test target without its target is found`() {
        let files = [
            made("Sources/A/A.swift", ""), made("Tests/ATests/A.swift", ""),
            made("Tests/BTests/B.swift", ""), made("Tests/A/A.swift", ""),
            made("Tests/LayoutTests/L.swift", ""), made("Tests/IntegrationTests/I.swift", ""),
        ]
        #expect(
            Tidiness.testTargets(files) == [
                "Tests/A: there is no such target in Sources",
                "Tests/BTests: there is no such target in Sources",
            ])
    }

    @Test(arguments: [
        ("    public var waitMilliseconds: UInt64 = 75_000", true),
        ("    var wait = 75_000", true),
        ("    public init(wait: UInt64 = 75_000, other: Int = 1) {", true),
        ("        other: Int = 3, wait: UInt64 = 75_000", true),
        ("    var bytes = 127 * 1_024", true),
        ("    public var waitMilliseconds: UInt64", false),
        ("    var wait = 75_001", false),
        ("    /// var wait = 75_000", false),
        ("    static let wait = 75_000", false),
        ("    func go(wait: UInt64 = 75_000) {", false),
    ])
    func `a default that stands in the configuration too is found`(line: String, isFound: Bool) {
        let settings = """
            public struct ASettings {
                public var wait = Duration.seconds(75)
                public var bytes = 130_048
            }
            """
        let files = [
            made("Sources/Config/Settings/A.swift", settings),
            made("Sources/Service/A.swift", "let a = Limits(wait: 1)"),
            made("Sources/Wire/A.swift", "public struct Limits {\n\(line)\n}\n"),
            made("Sources/Wire/B.swift", "public struct Other {\n\(line)\n}\n"),
        ]
        let found = Defaults.violations(in: files)
        #expect(found.count == (isFound ? 1 : 0))
        #expect(found.allSatisfy { $0.hasPrefix("Sources/Wire/A.swift:2: Limits.") })
    }

    @Test func `a link that leads nowhere is found`() {
        let page = """
            # One `two` & three
            [a](b.md) and [c](../README.md) and [d](#one-two--three)
            [e](gone.md) [f](../../out.md) [g](#gone) [h](b.md#there) [i](b.md#gone "title")
            `[j](gone.md)` [k](https://example.com/gone) [l](mailto:a@b)
            ```
            [m](gone.md)
            ```
            [n]: gone.md
            """
        let pages = [made("docs/a.md", page), made("docs/b.md", "## There"), made("README.md", "")]
        let dead = Links.dead(in: pages) { path in pages.contains { $0.path == path } }
        #expect(
            dead == [
                "docs/a.md:3: gone.md does not exist", "docs/a.md:3: ../../out.md does not exist",
                "docs/a.md:3: #gone has no such heading",
                "docs/a.md:3: b.md#gone has no such heading",
                "docs/a.md:8: gone.md does not exist",
            ])
    }

    private func made(_ path: String, _ text: String) -> SourceFile {
        SourceFile(path: path, text: text)
    }

    @Test func `a decision that the index has elsewhere, or not at all, is found`() {
        let page = """
            | theme | decisions |
            |---|---|
            | [One](#one) | 1 to 3, 5 |
            | [Two](#two) | 4 |

            ## One

            **1. So.** **2. It is not at the line's begin.**

            **3. So.**

            ## Two

            **4. So.**

            **5. So.**
            """
        #expect(
            Decisions.indexFaults(in: made("docs/a.md", page)) == [
                "docs/a.md: 2 is in the index and not under One",
                "docs/a.md: 5 is in the index and not under One",
                "docs/a.md: 5 is not in the index, under Two",
            ])
    }
}
