// SPDX-License-Identifier: Apache-2.0
import Foundation
import FuzzTargets
import TestKit
import Testing

/// The properties that the fuzzer looks for breaches of, without the fuzzer: for the seeds, for what
/// broke them before or reached what no seed reaches, and for a few thousand changed seeds.
struct ReplayTests {
    private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    private static let corpus = folder.appendingPathComponent("Corpus")
    private static let sources = folder.deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("Sources/FuzzTargets/Targets")

    @Test(arguments: FuzzTarget.all.map(\.name))
    func `a property holds for its seeds`(name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        #expect(!target.seeds.isEmpty)
        for (index, seed) in target.seeds.enumerated() {
            #expect(seed.count <= target.inputBytesMax)
            expectHolds(target, seed, "seed \(index)")
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name))
    func `a property holds for every kept input`(name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        let files = try Self.files(in: Self.corpus.appendingPathComponent(name))
        #expect(!files.isEmpty, "the fuzzer has left nothing for \(name)")
        for file in files {
            expectHolds(target, Array(try Data(contentsOf: file)), file.lastPathComponent)
        }
    }

    @Test(arguments: FuzzTarget.all.map(\.name))
    func `a property holds for changed seeds`(name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        var changes = SplitMix(seed: 2_026)
        for (index, seed) in target.seeds.enumerated() {
            for round in 0..<200 {
                let input = changes.changed(seed, words: target.words)
                expectHolds(target, input, "seed \(index), round \(round)")
            }
        }
    }

    @Test func `every kept input belongs to a target`() throws {
        let names = try Self.files(in: Self.corpus).map(\.lastPathComponent)
        #expect(Set(names).subtracting(FuzzTarget.all.map(\.name)) == [])
    }

    /// A file whose target is not in the list would be compiled, and never run.
    @Test func `every file of a target is listed, under its name`() throws {
        let files = try Self.files(in: Self.sources).map(\.lastPathComponent)
        let expected = FuzzTarget.all.map { target in
            target.name.split(separator: "-").map(\.capitalized).joined() + "Target.swift"
        }
        #expect(files.sorted() == expected.sorted())
    }

    @Test func `a broken property is told`() {
        let target = FuzzTarget(name: "even", inputBytesMax: 9, words: [], seeds: []) {
            bytes throws(BrokenProperty) in
            if bytes.count % 2 != 0 { throw BrokenProperty("An input has \(bytes.count) bytes.") }
        }
        #expect(throws: Never.self) { try target.run([1, 2]) }
        let error = #expect(throws: BrokenProperty.self) { try target.run([1, 2, 3]) }
        #expect(error?.description == "An input has 3 bytes.")
    }

    @Test func `a dictionary has one word in quotes per line`() {
        let target = FuzzTarget(
            name: "words", inputBytesMax: 9, words: [Array("GET \"\\".utf8), [13, 0, 0xE9]],
            seeds: []
        ) { _ throws(BrokenProperty) in }
        #expect(target.dictionary == "\"GET \\x22\\x5C\"\n\"\\x0D\\x00\\xE9\"\n")
    }

    private func expectHolds(_ target: FuzzTarget, _ input: [UInt8], _ name: String) {
        do throws(BrokenProperty) {
            try target.run(input)
        } catch {
            Issue.record("\(target.name), \(name): \(error)\nThe input: \(input)")
        }
    }

    /// What is in a folder, in the order of names; nothing where there is no such folder.
    private static func files(in folder: URL) throws -> [URL] {
        guard FileManager.default.fileExists(atPath: folder.path) else { return [] }
        return try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil, options: .skipsHiddenFiles
        ).sorted { $0.path < $1.path }
    }
}

extension SplitMix {
    /// A seed with a few changes.
    fileprivate mutating func changed(_ seed: [UInt8], words: [[UInt8]]) -> [UInt8] {
        var bytes = seed
        for _ in 0..<1 + below(3) {
            let place = below(bytes.count + 1)
            switch below(5) {
            case 0 where place < bytes.count: bytes[place] = UInt8(below(256))
            case 1 where place < bytes.count: bytes.remove(at: place)
            case 2: bytes.insert(UInt8(below(256)), at: place)
            case 3 where !words.isEmpty:
                bytes.insert(contentsOf: words[below(words.count)], at: place)
            default: bytes.removeSubrange(place..<min(bytes.count, place + below(9)))
            }
        }
        return bytes
    }
}
