// SPDX-License-Identifier: Apache-2.0
//
// Goal: patterns find what Swift's own regular expressions find, and no pattern holds a thread.
// Method: both beside each other over many patterns and texts; expressions that are known to run away.

import Testing

@testable import LoadGenerator

@Suite struct LinearPatternTests {
    private func found(_ pattern: String, _ text: String) throws -> [String?]? {
        let scalars = Array(text.unicodeScalars)
        guard case .found(let ranges) = try LinearPattern(pattern).search(scalars) else {
            return nil
        }
        return ranges.map { $0.map { String(String.UnicodeScalarView(scalars[$0])) } }
    }

    @Test(arguments: [
        "a", "abc", "a*", "a+", "a?b", "(a|b)*c", "(a*)(b+)", "^a", "a$", "^$", "x=([0-9.]+)",
        "(a+)(a*)", "(a+?)(a*)", "(a|ab)(c|bcd)(d*)", "[^a-c]+", "[\\]a]", "[a\\-z]+", "\\d{2,3}",
        "\\w+\\s\\w+", "\\bfoo\\b", "a{2}", "a{2,}", "(?:ab)+", "(?<name>b+)c", "\\.", "a.c",
        "((a)|b)*", "(|a)b", "a||b", "\\x41\\u0042", "(?i)HeLLo", "[A-C]+", "(a)|(b)",
        "(a{0,2}){2}b", "\\D\\W\\S", "[\\d_]+", "x*?y", "(x?)?y",
    ])
    func `it finds what Swift finds`(pattern: String) throws {
        let texts = [
            "", "a", "b", "ab", "abc", "aab", "aaab", "xaby", "abcd", "x=1.5;", "foo bar",
            "food foo",
            "2024-01", "AB", "hello HELLO", "a\nb", "zz", "]", "a-z", "__9", "y", "xxy", "-- ",
            "CAB",
        ]
        let regex = try Regex(pattern).asciiOnlyDigits().wordBoundaryKind(.simple)
        for text in texts {
            let theirs = try regex.firstMatch(in: text).map { match in
                match.output.map { $0.substring.map(String.init) }
            }
            let ours = try found(pattern, text)
            #expect(ours == theirs, "'\(pattern)' in '\(text)'")
        }
    }

    @Test func `groups of a repetition hold what they took last, and text beyond ASCII is text`()
        throws
    {
        #expect(try found("(ü|ö)+!", "xüö!") == ["üö!", "ö"])
        #expect(try found("[à-ü]+", "Grüße") == ["ü"])
        #expect(try found("(?m)^b$", "a\nb\nc") == ["b"])
        #expect(try found("(?s)a.b", "a\nb") == ["a\nb"])
        #expect(try found("a.b", "a\nb") == nil)
    }

    @Test(arguments: [
        "(a+)+$", "^(a|a)*$", "^(a|aa)+$", "(.*)*x", "(a*)*b", "([a-z]+)*=", "(a?){50}a{50}$",
    ])
    func `what runs away elsewhere takes its time in line with the text`(pattern: String) throws {
        let text = String(repeating: "a", count: 5_000) + "!"
        let clock = ContinuousClock()
        let began = clock.now
        #expect(try found(pattern, text) == nil)
        // Going back it would take longer than anybody lives.
        #expect(clock.now - began < .seconds(60))
    }

    @Test func `a text that is too long for a pattern is given up`() throws {
        let pattern = try LinearPattern("(\\w?){400}\\d")
        let scalars = [Unicode.Scalar](repeating: "a", count: 10_000)
        #expect(pattern.search(scalars, stepsMax: 100_000) == .gaveUp)
    }

    @Test(arguments: [
        ("(a", "has no ')'"), ("a)", "has no '('"), ("[a", "has no ']'"), ("*a", "in front of '*'"),
        ("a**", "repetition"), ("(a)\\1", "stands for what a group has taken"),
        ("(?=a)", "never does"), ("(?<!a)b", "never does"), ("(?>a)", "never does"),
        ("a\\", "at the end"),
        ("a++", "kept whole"), ("[z-a]", "backwards"), ("\\q", "means nothing"),
        ("a{9,2}", "no number"),
        ("(((a{1000}){1000}){1000})", "too long"),
        ("(?:(?:(?:(?:){1000}){1000}){1000}){1000}", "too long"), ("[[:alpha:]]", "no classes"),
        ("^*", "can't be repeated"),
    ])
    func `what can't be done is said`(pattern: String, words: String) {
        let fault = #expect(throws: LoadFault.self) { _ = try LinearPattern(pattern) }
        #expect(fault?.sentence.contains(words) == true, "\(fault?.sentence ?? "")")
    }
}
