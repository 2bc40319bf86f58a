// SPDX-License-Identifier: Apache-2.0

/// What every file keeps to.
///
/// Each check hands back one line per violation.
enum Tidiness {
    static let linesMax = 600
    /// Swift files that may stand side by side in one folder.
    static let filesMax = 20
    static let licence = "// SPDX-License-Identifier: Apache-2.0"

    // Put together here, so that this file does not hold what it looks for.
    private static let forbiddenWords = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "@un" + "checked"]

    static func longFiles(_ files: [SourceFile]) -> [String] {
        files.filter { $0.lineCount > linesMax }.map {
            "\($0.path): \($0.lineCount) lines, allowed: \(linesMax)"
        }
    }

    static func fullFolders(_ files: [SourceFile]) -> [String] {
        let folders = files.filter(\.isSwift).map { folder(of: $0.path) }
        return Dictionary(grouping: folders, by: { $0 }).filter { $0.value.count > filesMax }
            .map { "\($0.key): \($0.value.count) files, allowed: \(filesMax)" }.sorted()
    }

    private static func folder(of path: String) -> Substring {
        path.lastIndex(of: "/").map { path[...$0] } ?? ""
    }

    static func words(_ files: [SourceFile]) -> [String] {
        files.flatMap { file in
            file.lines.enumerated().flatMap { index, line in
                forbiddenWords.filter { line.holds(word: $0) }
                    .map { "\(file.path):\(index + 1): \($0)" }
            }
        }
    }

    static func licences(_ files: [SourceFile]) -> [String] {
        files.filter(\.isSwift).filter { $0.lines.first?[...] != licence[...] }
            .map { "\($0.path): the first line is not the licence" }
    }

    /// Accessors that lend what they read, which Swift 6.3 reads after it has freed it (decision 192).
    static func lendingAccessors(_ files: [SourceFile]) -> [String] {
        let word = "_re" + "ad"
        return files.filter { $0.isSwift && $0.isSource }.flatMap { file in
            file.lines.enumerated().filter { $1.holds(word: word) && !$1.contains("`") }
                .map { "\(file.path):\($0.offset + 1): \(word)" }
        }
    }

    static func placeholders(_ files: [SourceFile]) -> [String] {
        files.filter { $0.path.hasSuffix("/Placeholder.swift") }.map { "\($0.path): still there" }
    }

    /// `WireTests` tests `Wire`; two suites look at the whole.
    static func testTargets(_ files: [SourceFile]) -> [String] {
        let targets = Set(files.filter(\.isSource).compactMap(\.target))
        let whole: Set = ["IntegrationTests", "LayoutTests"]
        let tests = Set(files.filter { !$0.isSource }.compactMap(\.target))
        return tests.subtracting(whole).sorted().compactMap { test in
            guard test.hasSuffix("Tests"), targets.contains(String(test.dropLast(5))) else {
                return "Tests/\(test): there is no such target in Sources"
            }
            return nil
        }
    }
}

extension Substring {
    /// Whether the word stands in it by itself, not as a part of a longer one.
    fileprivate func holds(word: String) -> Bool {
        ranges(of: word).contains { range in
            let before = range.lowerBound > startIndex ? self[index(before: range.lowerBound)] : " "
            let after = range.upperBound < endIndex ? self[range.upperBound] : " "
            return !before.isLetter && !before.isNumber && !after.isLetter && !after.isNumber
        }
    }
}
