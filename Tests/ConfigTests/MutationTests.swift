// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// A file that was damaged anywhere is read or refused; the process lives on.
struct MutationTests {
    private static let marks = Array("\"'[]{}:,#&*!|>%@`-? \t\n\u{0}0~".unicodeScalars)

    @Test func `a file that ends anywhere does not trap`() {
        let scalars = Array(everything.unicodeScalars)
        for count in scalars.indices { load(scalars[..<count]) }
    }

    @Test func `a file with any one character lost or replaced does not trap`() {
        let scalars = Array(everything.unicodeScalars)
        for index in scalars.indices {
            var lost = scalars
            lost.remove(at: index)
            load(lost[...])
            var replaced = scalars
            replaced[index] = Self.marks[index % Self.marks.count]
            load(replaced[...])
        }
    }

    /// Every problem has its place in the file, and a sentence.
    private func load(_ scalars: ArraySlice<Unicode.Scalar>) {
        var yaml = String.UnicodeScalarView()
        yaml.append(contentsOf: scalars)
        do {
            _ = try Configuration.load(yaml: String(yaml), file: "sluice.yaml")
        } catch {
            let isTold = error.problems.allSatisfy { $0.place.line > 0 && !$0.sentence.isEmpty }
            #expect(isTold && !error.problems.isEmpty, "\(error)")
        }
    }
}
