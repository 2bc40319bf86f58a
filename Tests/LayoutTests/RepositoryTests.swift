// SPDX-License-Identifier: Apache-2.0
import Testing

/// The repository as it is, held against its own rules.
struct RepositoryTests {
    @Test func `there is something to look at`() throws {
        let code = try Repository.code()
        #expect(code.contains { $0.path == "Sources/Router/RouteTable.swift" })
        #expect(code.contains { $0.path == "Tests/LayoutTests/Repository.swift" })
        #expect(try Repository.pages().contains { $0.path == "docs/configuration.md" })
    }

    @Test func `imports point down the rows only`() throws {
        #expect(Arrows.violations(in: try Repository.code()) == [])
    }

    @Test func `the package declares no other arrows`() throws {
        #expect(Arrows.violations(inPackage: try Repository.package()) == [])
    }

    @Test func `no file is longer than a reader can hold`() throws {
        #expect(Tidiness.longFiles(try Repository.code()) == [])
    }

    @Test func `no folder has more files than a reader can overlook`() throws {
        #expect(Tidiness.fullFolders(try Repository.code()) == [])
    }

    @Test func `nothing is left for later, and the compiler checks every conformance`() throws {
        #expect(Tidiness.words(try Repository.code()) == [])
    }

    @Test func `every Swift file begins with its licence`() throws {
        #expect(Tidiness.licences(try Repository.code()) == [])
    }

    @Test func `no accessor lends what it reads`() throws {
        #expect(Tidiness.lendingAccessors(try Repository.code()) == [])
    }

    @Test func `no placeholder is left`() throws {
        #expect(Tidiness.placeholders(try Repository.code()) == [])
    }

    @Test func `every test target mirrors a source target`() throws {
        #expect(Tidiness.testTargets(try Repository.code()) == [])
    }

    @Test func `what a setting gives is written once`() throws {
        let code = try Repository.code()
        let settings = try #require(
            code.first { $0.path == "Sources/Config/Settings/Configuration.swift" })
        #expect(Defaults.values(in: settings).contains(127 * 1_024))
        #expect(Defaults.violations(in: code) == [])
    }

    @Test func `the index of decisions has each where it stands`() throws {
        let page = try #require(
            try Repository.pages().first { $0.path == "docs/decisions.md" })
        #expect(Decisions.indexFaults(in: page) == [])
    }

    @Test func `links of the documentation lead somewhere`() throws {
        #expect(Links.dead(in: try Repository.pages(), exists: Repository.exists) == [])
    }
}
