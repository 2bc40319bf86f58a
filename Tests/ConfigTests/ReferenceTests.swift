// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Config

/// docs/configuration.md against the decoder's own list of keys, both ways.
struct ReferenceTests {
    @Test func `the reference has every key with its type and default, and no other`() throws {
        #expect(Self.differences(in: try Self.reference(), from: KeySection.all) == [])
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
            "sluice.yaml:3:5: listen[0]: unknown key 'adress', allowed: address, tls, redirect, proxyProtocol, trustedProxies "
        #expect(try Self.reference().contains(line + "(did you mean 'address'?)\n"))
        let yaml = """
            # Where to listen.
            listen:
              - adress: ":8443"
            """
        #expect(problems(of: yaml).contains(line + "(did you mean 'address'?)"))
    }

    @Test func `a key that is missing, wrong or unknown in the reference is found`() {
        let right = """
            ## `drain`
            | `timeout` | duration | `30s` | text |
            | `code` | number | `1001` | text |
            | `reason` | text | none | text |
            | `spread` | duration | `0s` | text |
            | `delay` | duration | `0s` | text |
            """
        #expect(Self.differences(in: right, from: [.drain]) == [])
        #expect(Self.differences(in: "## `log`\n" + right, from: [.drain]) == [])
        #expect(
            Self.differences(in: right.replacingOccurrences(of: "30s", with: "31s"), from: [.drain])
                == ["drain: no row begins | `timeout` | duration | `30s` |"])
        #expect(
            Self.differences(
                in: right.replacingOccurrences(of: "drain", with: "log"), from: [.drain])
                == ["drain: no heading"])
        #expect(
            Self.differences(in: right + "\n| `spred` | duration | `1s` | text |", from: [.drain])
                == ["drain: the decoder knows no key spred"])
    }

    /// What the reference lacks or has too much, one line each.
    private static func differences(in reference: String, from sections: [KeySection]) -> [String] {
        var rows: [String: [Substring]] = [:]
        var heading = ""
        for line in reference.split(separator: "\n") {
            if line.hasPrefix("## ") {
                heading = line.dropFirst(3).replacingOccurrences(of: "`", with: "")
                rows[heading] = []
            } else if line.hasPrefix("| `") {
                rows[heading, default: []].append(line)
            }
        }
        return sections.flatMap { section -> [String] in
            guard let rows = rows[section.title] else { return ["\(section.title): no heading"] }
            let missing = section.keys.map { "| `\($0.name)` | \($0.type) | \($0.defaultText) |" }
                .filter { begin in !rows.contains { $0.hasPrefix(begin) } }
                .map { "\(section.title): no row begins \($0)" }
            let unknown = rows.compactMap { $0.split(separator: "`").dropFirst().first }
                .filter { !section.names.contains(String($0)) }
                .map { "\(section.title): the decoder knows no key \($0)" }
            return missing + unknown
        }
    }

    private static func reference() throws -> String {
        let root = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(
            contentsOf: root.appendingPathComponent("docs/configuration.md"), encoding: .utf8)
    }
}
