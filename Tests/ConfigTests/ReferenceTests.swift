// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Config

/// docs/configuration.md against the decoder's own list of keys, both ways.
struct ReferenceTests {
    /// `make reference` sets it: the tables are written anew instead of being compared.
    private static let writes = ProcessInfo.processInfo.environment["SLUICE_REFERENCE"] == "write"

    @Test func `the tables of the reference are those of the declared keys`() throws {
        let text = try Self.reference()
        let made = Self.tables(in: text, from: KeySection.all)
        if Self.writes { try made.write(to: Self.file, atomically: true, encoding: .utf8) }
        let wrong = zip(text.split(separator: "\n"), made.split(separator: "\n"))
            .first { $0 != $1 }
        #expect(
            text == made || Self.writes,
            "`make reference` writes it; first difference: \(wrong.map { "\($0.0) | \($0.1)" } ?? "length")"
        )
        #expect(Self.headings(in: text).isSuperset(of: KeySection.all.map(\.title)))
    }

    @Test func `the tables of scripts are those of the declared keys`() throws {
        let text = try String(contentsOf: Self.scripts, encoding: .utf8)
        let made = Self.tables(in: text, from: LoadScript.sections)
        if Self.writes { try made.write(to: Self.scripts, atomically: true, encoding: .utf8) }
        #expect(text == made || Self.writes, "`make reference` writes it")
        #expect(Self.headings(in: text).isSuperset(of: LoadScript.sections.map(\.title)))
    }

    @Test func `every key is declared once, with a meaning`() {
        let all = KeySection.all + LoadScript.sections
        for section in all {
            #expect(Set(section.names).count == section.names.count, "\(section.title)")
            for key in section.keys {
                #expect(key.meaning.count > 10, "\(section.title) \(key.name)")
                #expect(!key.meaning.hasSuffix("."), "\(section.title) \(key.name)")
                // A section that a key leads to has to be there.
                for title in Self.titles(in: key.type) {
                    #expect(all.contains { $0.title == title }, "\(title)")
                }
            }
        }
        #expect(Set(KeySection.all.map(\.title)).count == KeySection.all.count)
    }

    private static func titles(in type: SettingType) -> [String] {
        switch type {
        case .mapping(let title): [title]
        case .list(let item), .names(let item): titles(in: item)
        case .either(let types): types.flatMap(titles)
        default: []
        }
    }

    @Test func `the example in the reference is a valid configuration`() throws {
        let parts = try Self.reference().components(separatedBy: "```yaml\n")
        try #require(parts.count == 2)
        let example = try #require(parts[1].components(separatedBy: "```").first)
        let configuration = try Configuration.load(yaml: example, file: "sluice.yaml")
        #expect(configuration.routes.count == 2)
    }

    @Test func `the problem shown in the reference is told in these words`() throws {
        let line =
            "sluice.yaml:3:5: listen[0]: unknown key 'adress', allowed: address, name, tls, http2, redirect, proxyProtocol, trustedProxies "
        #expect(try Self.reference().contains(line + "(did you mean 'address'?)\n"))
        let yaml = """
            # Where to listen.
            listen:
              - adress: ":8443"
            """
        #expect(problems(of: yaml).contains(line + "(did you mean 'address'?)"))
    }

    @Test func `a table is written anew, and what stands around it stays`() {
        let keys = [
            KeySection.Key(
                name: "every", type: .duration(.seconds(1) ... .seconds(60)), isRequired: false,
                defaultText: "`5s`", meaning: "how often"),
            KeySection.Key(
                name: "to", type: .words(["a", "b", "c"]), isRequired: true,
                defaultText: "required", meaning: "where to"),
        ]
        let section = KeySection(title: "some[].part", keys: keys)
        let old = """
            ## `some[].part`

            Before.

            | key | type | default | meaning |
            |---|---|---|---|
            | `every` | duration | `6s` | old |
            | `gone` | text | none | old |

            | other | table |
            |---|---|
            | `x` | y |

            ## `other`

            | key | type | default | meaning |
            |---|---|---|---|
            | `every` | duration | `6s` | stays |

            """
        let new = """
            ## `some[].part`

            Before.

            | key | type | default | meaning |
            |---|---|---|---|
            | `every` | duration, 1s to 1m | `5s` | how often |
            | `to` | `a`, `b` or `c` | required | where to |

            | other | table |
            |---|---|
            | `x` | y |

            ## `other`

            | key | type | default | meaning |
            |---|---|---|---|
            | `every` | duration | `6s` | stays |

            """
        #expect(Self.tables(in: old, from: [section]) == new)
        #expect(Self.tables(in: new, from: [section]) == new)
    }

    /// The text with the table below each section's heading as the keys say it.
    private static func tables(in text: String, from sections: [KeySection]) -> String {
        var lines: [Substring] = []
        var section: KeySection?
        var isInTable = false
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("## ") {
                let title = heading(line)
                section = sections.first { $0.title == title }
            }
            let isHead = line.hasPrefix("| key | type | default | meaning |")
            if isHead, let found = section {
                lines += [line, "|---|---|---|---|"] + found.keys.map { $0.row[...] }
                section = nil
                isInTable = true
            } else if !isInTable || !line.hasPrefix("|") {
                lines.append(line)
                isInTable = false
            }
        }
        return lines.joined(separator: "\n")
    }

    private static func heading(_ line: Substring) -> String {
        line.dropFirst(3).replacingOccurrences(of: "`", with: "")
    }

    private static func headings(in text: String) -> Set<String> {
        Set(text.split(separator: "\n").filter { $0.hasPrefix("## ") }.map(heading))
    }

    private static let file = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appendingPathComponent("docs/configuration.md")

    private static let scripts = file.deletingLastPathComponent()
        .appendingPathComponent("load-scripts.md")

    private static func reference() throws -> String {
        try String(contentsOf: file, encoding: .utf8)
    }
}
