// SPDX-License-Identifier: Apache-2.0

/// The links of documentation pages to files and headings of the repository.
enum Links {
    /// Links that lead nowhere, one line each.
    ///
    /// `exists` knows every path from the root; headings are looked for in `pages`.
    static func dead(
        in pages: [SourceFile], exists: (String) -> Bool
    ) -> [String] {
        let texts = Dictionary(uniqueKeysWithValues: pages.map { ($0.path, $0.text) })
        return pages.flatMap { page in
            targets(in: page.text).compactMap { line, target in
                let parts = target.split(
                    separator: "#", maxSplits: 1, omittingEmptySubsequences: false)
                let file = parts[0].isEmpty ? page.path : resolve(String(parts[0]), from: page.path)
                guard let file, file.isEmpty || exists(file) else {
                    return "\(page.path):\(line): \(target) does not exist"
                }
                guard parts.count == 2, let text = texts[file] else { return nil }
                let anchors = anchors(in: text)
                return anchors.contains(String(parts[1]))
                    ? nil : "\(page.path):\(line): \(target) has no such heading"
            }
        }
    }

    /// Targets within the repository, with their lines: `[text](target)` and `[name]: target`.
    static func targets(in text: String) -> [(line: Int, target: String)] {
        var targets: [(line: Int, target: String)] = []
        for (number, line) in proseLines(of: text) {
            for range in line.ranges(of: "](") {
                let target = line[range.upperBound...].prefix { $0 != ")" && $0 != " " }
                targets.append((number, String(target)))
            }
            if line.hasPrefix("["), let range = line.firstRange(of: "]: ") {
                targets.append((number, String(line[range.upperBound...].prefix { $0 != " " })))
            }
        }
        return targets.filter { !$0.target.contains("://") && !$0.target.hasPrefix("mailto:") }
    }

    /// What headings are called in links: lower case, dashes for spaces, nothing but letters and digits.
    static func anchors(in text: String) -> Set<String> {
        var anchors: Set<String> = []
        for (_, line) in proseLines(of: text, keepingCode: true) where line.hasPrefix("#") {
            let heading = line.drop { $0 == "#" }.drop { $0 == " " }.lowercased()
            let kept = heading.filter { $0.isLetter || $0.isNumber || " -_".contains($0) }
            anchors.insert(String(kept.map { $0 == " " ? "-" : $0 }))
        }
        return anchors
    }

    /// Numbered lines outside of code blocks and, unless kept, without code between backticks.
    private static func proseLines(
        of text: String, keepingCode: Bool = false
    ) -> [(number: Int, line: String)] {
        var isInBlock = false
        var lines: [(number: Int, line: String)] = []
        for (index, line) in text.split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            if line.drop(while: { $0 == " " }).hasPrefix("```") {
                isInBlock.toggle()
                continue
            }
            if isInBlock { continue }
            let pieces = line.split(separator: "`", omittingEmptySubsequences: false)
            let prose = pieces.enumerated().filter { $0.offset % 2 == 0 }.map(\.element).joined()
            lines.append((index + 1, keepingCode ? String(line) : prose))
        }
        return lines
    }

    /// The path from the root; nil when it leads out of the repository.
    private static func resolve(_ target: String, from page: String) -> String? {
        var parts =
            target.hasPrefix("/") ? [] : page.split(separator: "/").dropLast().map(String.init)
        for part in target.split(separator: "/") where part != "." {
            if part != ".." {
                parts.append(String(part))
            } else if parts.popLast() == nil {
                return nil
            }
        }
        return parts.joined(separator: "/")
    }
}
