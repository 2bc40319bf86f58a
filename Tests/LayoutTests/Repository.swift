// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A file of the repository: its path from the root, and its text.
struct SourceFile {
    let path: String
    let text: String

    /// `Sources/Wire/A.swift` and `Tests/WireTests/A.swift` belong to a target, named by their folder.
    var target: String? {
        let parts = path.split(separator: "/")
        return parts.count > 2 && ["Sources", "Tests"].contains(parts[0]) ? String(parts[1]) : nil
    }

    var isSource: Bool { path.hasPrefix("Sources/") }
    var isSwift: Bool { path.hasSuffix(".swift") }

    var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

    /// Lines as an editor counts them: a last line break begins none.
    var lineCount: Int { lines.count - (text.hasSuffix("\n") ? 1 : 0) }
}

/// The checked-out repository that this test was built from.
enum Repository {
    static let root = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Every file in `Sources` and `Tests` that somebody writes and reads.
    static func code() throws -> [SourceFile] {
        try ["Sources", "Tests"].flatMap { folder in
            try files(in: folder) { isCode($0) }
        }
    }

    /// Every page of documentation.
    static func pages() throws -> [SourceFile] {
        try files(in: "") { $0.hasSuffix(".md") }
    }

    static func package() throws -> String {
        try String(contentsOf: root.appendingPathComponent("Package.swift"), encoding: .utf8)
    }

    static func exists(_ path: String) -> Bool {
        FileManager.default.fileExists(atPath: root.appendingPathComponent(path).path)
    }

    private static func isCode(_ path: String) -> Bool {
        [".swift", ".h", ".c", ".py", ".sh", ".modulemap"].contains { path.hasSuffix($0) }
    }

    /// Hidden folders hold builds, virtual environments and the like: nothing of ours.
    private static func files(
        in folder: String, where isWanted: (String) -> Bool
    ) throws -> [SourceFile] {
        let base = folder.isEmpty ? root : root.appendingPathComponent(folder)
        let enumerator = FileManager.default.enumerator(
            at: base, includingPropertiesForKeys: nil, options: [.skipsHiddenFiles])
        var files: [SourceFile] = []
        while let url = enumerator?.nextObject() as? URL {
            let path = String(url.path.dropFirst(root.path.count + 1))
            guard isWanted(path) else { continue }
            files.append(
                SourceFile(path: path, text: try String(contentsOf: url, encoding: .utf8)))
        }
        return files.sorted { $0.path < $1.path }
    }
}
