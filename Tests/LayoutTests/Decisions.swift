// SPDX-License-Identifier: Apache-2.0

/// The index of docs/decisions.md against its sections.
enum Decisions {
    /// What is wrong with the index of a page: each decision stands in the row of its section, once.
    static func indexFaults(in page: SourceFile) -> [String] {
        var rows: [String: [Int]] = [:]
        var sections: [String: [Int]] = [:]
        var section = ""
        for line in page.lines {
            if let row = line.wholeMatch(of: #/\| \[([^\]]+)\]\([^)]*\) \| (.+) \|/#) {
                rows[String(row.1), default: []] += numbers(row.2)
            } else if let heading = line.wholeMatch(of: #/\#\# (.+)/#) {
                section = String(heading.1)
            } else if let decision = line.prefixMatch(of: #/\*\*(\d+)\. /#) {
                sections[section, default: []].append(Int(decision.1) ?? 0)
            }
        }
        return Set(rows.keys).union(sections.keys).sorted().flatMap { name in
            let (listed, standing) = (rows[name] ?? [], sections[name] ?? [])
            let missing = standing.filter { !listed.contains($0) }.map {
                "\(page.path): \($0) is not in the index, under \(name)"
            }
            let unknown = listed.filter { !standing.contains($0) }.map {
                "\(page.path): \($0) is in the index and not under \(name)"
            }
            return missing + unknown
        }
    }

    /// The numbers of "1, 3 to 5".
    private static func numbers(_ list: Substring) -> [Int] {
        list.split(separator: ", ").flatMap { part -> [Int] in
            let ends = part.split(separator: " to ").compactMap { Int($0) }
            guard let first = ends.first, let last = ends.last, first <= last else { return [] }
            return Array(first...last)
        }
    }
}
