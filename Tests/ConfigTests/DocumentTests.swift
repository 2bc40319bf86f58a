// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

@testable import Config

/// Files that are no configuration at all, and files with several problems.
struct DocumentTests {
    @Test(arguments: ["", "\n\n", "# only a comment\n", "---\n", "---\n...\n", "~", "null"])
    func `an empty file is refused with a sentence`(yaml: String) {
        #expect(
            problems(of: yaml) == [
                "sluice.yaml:1:1: the file is empty, a configuration has at least listen and routes"
            ])
    }

    @Test func `a file that is no mapping is refused`() {
        #expect(
            problems(of: "- a") == [
                "sluice.yaml:1:1: found a list, allowed: a mapping with listen, routes, upstreams, drain, timeouts, log, limits, admin, metrics, traces, resolver, tls, watch, allowFaults, workers"
            ])
    }

    @Test func `a mapping without the required keys is told both`() {
        #expect(
            problems(of: "workers: 1") == [
                "sluice.yaml:1:1: 'listen' is missing", "sluice.yaml:1:1: 'routes' is missing",
            ])
    }

    @Test func `a key that stands twice is refused with both lines`() {
        let yaml = """
            routes:
              - path: /a
                # a comment between
                to: one
                path: /b
            """
        #expect(
            problems(of: yaml) == [
                "sluice.yaml:2:5: the key 'path' stands twice in one mapping, again in line 5"
            ])
    }

    @Test func `a key that stands twice on one line is refused`() {
        #expect(
            problems(of: "drain: { code: 1001, code: 1012 }") == [
                "sluice.yaml:1:10: the key 'code' stands twice in one mapping"
            ])
    }

    @Test(arguments: ["listen: [", "listen: [\n", "listen: [\n\n  \n", "a:\n  b: { c: [\n\n"])
    func `what is missing at the end is missed in a line that is there`(yaml: String) throws {
        let problem = try #require(problems(of: yaml).first)
        let lines = yaml.split(separator: "\n").filter { !$0.allSatisfy(\.isWhitespace) }
        #expect(
            problem.hasPrefix("sluice.yaml:\(lines.count):\(lines[lines.count - 1].count + 1): "),
            "\(problem)")
        #expect(problem.hasSuffix("close each '[' by a ']' and each '{' by a '}')"), "\(problem)")
    }

    @Test func `paths of the file's folder are shown without detours`() throws {
        let findings = Findings(file: "sub/s.yaml")
        #expect(findings.resolve("./a.pem") == "sub/a.pem")
        #expect(findings.resolve(".///./a.pem") == "sub/a.pem")
        #expect(findings.resolve("../a.pem") == "sub/../a.pem")
        #expect(findings.resolve("/a.pem") == "/a.pem")
    }

    @Test func `a key of the next mapping is not taken for the second`() {
        let yaml = """
            a: { b: 1, b: 2 }
            c:
              - b: 1
            """
        #expect(problems(of: yaml) == ["sluice.yaml:1:6: the key 'b' stands twice in one mapping"])
    }

    @Test func `an upstream that stands twice is refused`() {
        let yaml = """
            upstreams:
              chat: { endpoints: ["ws://h:1"] }
              "chat": { endpoints: ["ws://h:2"] }
            """
        #expect(
            problems(of: yaml) == ["sluice.yaml:2:3: the key 'chat' stands twice in one mapping"])
    }

    /// An editor that jumps to a line behind the last one finds nothing.
    @Test(arguments: ["a: [b", "a: {b", "a: &", "a:\n- [\u{e9}"])
    func `what is missing at the end of the file is missed in its last line`(yaml: String) {
        let lines = yaml.split(separator: "\n")
        let end = "sluice.yaml:\(lines.count):\((lines.last?.count ?? 0) + 1):"
        #expect(problems(of: yaml).allSatisfy { $0.hasPrefix(end) })
        #expect(!problems(of: yaml).isEmpty)
    }

    @Test(arguments: [
        (
            "a: b: c",
            "1:5: not valid YAML: a ':' stands where no value can begin (one key and value in a line, in line with its neighbours; text with ': ' in it in quotes)"
        ),
        (
            "a: [b",
            "1:6: not valid YAML: a list in brackets goes on without ',' and does not end with ']' (put a ',' between its entries and a ']' at its end)"
        ),
        ("a: 'b", "1:4: not valid YAML: text in quotes does not end (put the quote at its end)"),
        (
            "a: \"b\nc: d\ne: [f]\n",
            "1:4: not valid YAML: text in quotes does not end (put the quote at its end)"
        ),
        (
            "a: \"wss://x\nb:\n  path:/ws\n",
            "1:4: not valid YAML: text in quotes does not end (put the quote at its end)"
        ),
        (
            "a: 'b\n\tc",
            "1:4: not valid YAML: text in quotes does not end (put the quote at its end)"
        ),
        (
            "a: b\nc:\n  - 'd\ne: f\n\n",
            "3:5: not valid YAML: text in quotes does not end (put the quote at its end)"
        ),
        (
            "a: 'b\n---\nc: d\n",
            "1:4: not valid YAML: text in quotes does not end before the next document (put the quote at its end)"
        ),
        (
            "a:\n\tb: c",
            "2:1: not valid YAML: a tab indents it (indent with spaces, YAML forbids tabs)"
        ),
        (
            "a: *b",
            "1:4: not valid YAML: a '*' names an anchor that is not there (put text that begins with '*' into quotes)"
        ),
        (
            "a: b\n---\nc: d",
            "2:1: not valid YAML: a second document begins with this '---' (a configuration is one document: take the line out, or what stands behind it)"
        ),
        (
            "a: b\nc: \u{1}",
            "2:4: not valid YAML: a control character is in it (take it out, or write it in double quotes as \\x01)"
        ),
        (
            "listen:\n  - address: [::1]:8443\n",
            "2:15: not valid YAML: an address in brackets is a list to YAML (put it in quotes, as \"[::1]:8443\")"
        ),
        (
            "routes:\n  - path: /a\n  to: ws://a:1\n",
            "3:3: not valid YAML: something stands where the next '-' of a list should be (begin an entry with '-', and indent a key of the entry above as its first key is)"
        ),
        (
            "routes:\n  - path:/a\n    to: ws://a:1\n",
            "3:7: not valid YAML: the line above (2) has no blank behind its ':' (write key: value, with a blank)"
        ),
        (
            "routes:\n  - { path: /a, to: ${APP} }\n",
            "2:22: not valid YAML: '${' stands there, and Sluice puts no variables in (write the value, or make the file with envsubst)"
        ),
    ])
    func `what is no YAML is refused with its place`(yaml: String, line: String) {
        #expect(problems(of: yaml) == ["sluice.yaml:\(line)"])
    }

    /// Texts that libyaml refuses, each for another reason.
    @Test(arguments: [
        "a: - b", "a: ? b", "a: @b", "a: `b", "a: %b", "\"a\" \"b\": c", "a: 1\n b: 2",
        "a: 1\n  - b",
        "a:\n  - b\n  c: d", "a: {b", "a: {b: 1 c: 2}", "a: [b c: 1", "a: [1, ,", "a: \"b", "a: 'b",
        "a: \"b\n---\n", "a: \"\\q\"", "a: \"\\xZZ\"", "a: \"\\uD800\"", "a: &", "a: & b",
        "a: &x 1\nb: &x 2\nc: *y", "a: !x!y z", "a: !<x", "a: |0\n b", "a: |x\n b", "a: |\n\tb",
        "%YAML 9.9\n---\na: b", "%FOO", "%YAML 1.1\n%YAML 1.1\n---\na: b", "%YAML x", "%TAG x",
        "a: !<> b",
        "a: !%zz b", "a: b\n...\nc: d\n", "a\nb", "- a\nb: c", "a: b\n- c", "]",
        "}",
        ",", "key: [a, b]]", "a: 'b' c", "? a\nb", "a: [\n- b\n]",
    ])
    func `no words of libyaml's reach people`(yaml: String) {
        for problem in problems(of: yaml) {
            for raw in [
                "did not find", "could not find", "while parsing", "while scanning",
                "not allowed in this",
                "token", "YamlError", "scanner", "the reader of YAML says", "the stream",
                "indicator",
            ] {
                #expect(!problem.contains(raw), "\(yaml.debugDescription): \(problem)")
            }
            if problem.contains("not valid YAML") {
                #expect(problem.hasSuffix(")"), "there is nothing to do: \(problem)")
            }
        }
    }

    @Test func `all problems are told in the order of the file`() {
        let yaml = """
            workers: none
            routes:
              - path: /a
                to: nowhere
              - to: "tls://h:1"
            upstreams:
              a: { endpoints: [] }
            listen: {}
            """
        #expect(
            problems(of: yaml).map { $0.prefix(while: { $0 != " " }) } == [
                "sluice.yaml:1:10:", "sluice.yaml:4:9:", "sluice.yaml:5:5:", "sluice.yaml:5:9:",
                "sluice.yaml:7:19:", "sluice.yaml:8:9:",
            ])
    }

    @Test func `an upstream with a problem is still known by its name`() {
        let yaml = """
            listen: [{ address: ":1" }]
            routes: [{ path: /a, to: chat }]
            upstreams: { chat: 1 }
            """
        #expect(
            problems(of: yaml) == [
                "sluice.yaml:3:20: upstreams.chat: found '1', allowed: a mapping with endpoints, resolve, balance, sticky, health, cooldown, cooldownMax, failedUpgrades, slowStart, maxConnections, tls, proxyProtocol, source, queue, pool"
            ])
    }

    @Test func `of many upstreams only some are listed`() {
        var yaml =
            smallest.replacingOccurrences(of: "\"ws://h:1\"", with: "nowhere") + "upstreams:\n"
        for index in 0..<20 { yaml += "  u\(index): { endpoints: [\"ws://h:1\"] }\n" }
        #expect(
            problems(of: yaml) == [
                "sluice.yaml:2:26: routes[0].to: found 'nowhere', which is no upstream, "
                    + "allowed: u0, u1, u2, u3, u4, u5, u6, u7, 12 more names, ws://host:port, wss://host:port, unix:/path or srv:name"
            ])
    }

    @Test func `a byte order mark is no part of the text, and UTF-16 is told by its own`() throws {
        let text = "listen: [{ address: \":1\" }]\nroutes: [{ path: /a, to: \"ws://a:1\" }]\n"
        let marked = [0xEF, 0xBB, 0xBF] + Array(text.utf8)
        let read = try Configuration.load(bytes: marked, file: "sluice.yaml")
        #expect(read.listen.map(\.address) == [":1"])
        #expect(problems(of: "\u{FEFF}listen: x") == problems(of: "listen: x"))
        for mark: [UInt8] in [[0xFF, 0xFE], [0xFE, 0xFF]] {
            #expect {
                try Configuration.load(bytes: mark + [0x61, 0x00], file: "sluice.yaml")
            } throws: {
                "\($0)".contains("iconv -f UTF-16 -t UTF-8")
            }
        }
    }

    @Test func `bytes that are no text are refused, and those that are get read`() throws {
        func problems(_ bytes: [UInt8]) -> [String] {
            do throws(ConfigurationProblems) {
                _ = try Configuration.load(bytes: bytes, file: "s.yaml")
                return []
            } catch {
                return error.problems.map(\.description)
            }
        }
        #expect(
            problems([0x61, 0xFF]) == [
                "s.yaml: this is no text in UTF-8: save it as UTF-8, or convert it (iconv -f latin1 -t"
                    + " UTF-8)"
            ])
        #expect(problems(Array(smallest.utf8)) == [])
    }
}
