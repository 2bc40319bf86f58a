// SPDX-License-Identifier: Apache-2.0
import Yams

/// A node of the file with the way that leads to it.
///
/// Each reader hands back nil where the node is not what is asked for, having reported that: callers
/// go on with the default and find the rest of the problems.
struct Value {
    let node: Node
    /// The keys and indices that lead here, as `listen[0].tls`; empty at the top.
    let path: String
    let findings: Findings

    var place: SourcePlace { findings.place(node.mark) }

    /// What stands there, for "found …".
    var found: String {
        switch node {
        case .mapping: "a mapping"
        case .sequence: "a list"
        case .alias: "an alias"
        case .scalar(let scalar): isNothing ? "nothing" : "'\(Self.short(scalar.string))'"
        }
    }

    /// As much of a text as a line can show, in one line.
    private static func short(_ text: String) -> String {
        let line = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)[0]
        let start = line.prefix(80)
        return start.count < text.count ? start + "…" : String(start)
    }

    /// Whether no value was written, or YAML's word for it.
    var isNothing: Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain else { return false }
        return ["", "~", "null"].contains(scalar.string)
    }

    /// The scalar as it was written; nil for what is none.
    var writtenText: String? { node.scalar?.string }

    var isList: Bool {
        if case .sequence = node { true } else { false }
    }

    /// Whether it is the bare word `null`.
    var isWrittenNull: Bool { isNothing && node.scalar?.string == "null" }

    func report(_ sentence: String, hint: String? = nil) {
        findings.report(place, path.isEmpty ? sentence : "\(path): \(sentence)", hint: hint)
    }

    func mapping(_ section: KeySection) -> Fields? {
        guard case .mapping(let mapping) = node else {
            let keys = section.names.joined(separator: ", ")
            report("found \(found), allowed: a mapping with \(keys)")
            return nil
        }
        return Fields(mapping, of: self, section)
    }

    /// The keys of a mapping whose keys are names, with their places.
    func namedItems(of what: String) -> [(name: Value, value: Value)]? {
        guard case .mapping(let mapping) = node else {
            report("found \(found), allowed: a mapping of names to \(what)")
            return nil
        }
        return mapping.map { key, value in
            let name = key.scalar?.string ?? "?"
            return (
                Value(node: key, path: path, findings: findings),
                Value(node: value, path: "\(path).\(name)", findings: findings)
            )
        }
    }

    func list(of what: String) -> [Value]? {
        guard case .sequence(let sequence) = node else {
            report("found \(found), allowed: a list of \(what)")
            return nil
        }
        return sequence.enumerated().map { index, node in
            Value(node: node, path: "\(path)[\(index)]", findings: findings)
        }
    }

    func nonEmptyList(of what: String) -> [Value]? {
        guard let items = list(of: what) else { return nil }
        if items.isEmpty { report("found an empty list, allowed: one or more \(what)") }
        return items
    }

    /// Text as it was written, whatever YAML would make of it: `1.2` stays what it is.
    func text(_ what: String) -> String? {
        guard case .scalar(let scalar) = node, !isNothing, !scalar.string.isEmpty else {
            report("found \(found), allowed: \(what)")
            return nil
        }
        return scalar.string
    }

    func integer(_ range: ClosedRange<Int>) -> Int? {
        let bounds =
            range.upperBound == .max
            ? "\(range.lowerBound) or more" : "\(range.lowerBound) to \(range.upperBound)"
        let what = "a whole number, \(bounds)"
        guard let text = text(what) else { return nil }
        guard let number = Int(decimal: text[...]), range.contains(number) else {
            report("found '\(text)', allowed: \(what)")
            return nil
        }
        return number
    }

    func duration(_ range: ClosedRange<Duration>) -> Duration? {
        guard let text = text("a duration, as 30s") else { return nil }
        do throws(Units.Fault) {
            let duration = try Units.duration(text)
            if range.contains(duration) { return duration }
            let bounds = "\(Units.text(range.lowerBound)) to \(Units.text(range.upperBound))"
            report("found '\(text)', allowed: \(bounds)")
        } catch {
            let meant = error.suggestion.flatMap { text in
                (try? Units.duration(text)).map(range.contains) == true ? text : nil
            }
            report(error.sentence, hint: meant.map(Nearest.didYouMean))
        }
        return nil
    }

    func size(_ range: ClosedRange<Int>) -> Int? {
        guard let text = text("a size, as 64KiB") else { return nil }
        do throws(Units.Fault) {
            let bytes = try Units.size(text)
            if range.contains(bytes) { return bytes }
            let bounds =
                range.upperBound == .max
                ? "\(Units.text(bytes: range.lowerBound)) or more"
                : "\(Units.text(bytes: range.lowerBound)) to \(Units.text(bytes: range.upperBound))"
            report("found '\(text)', allowed: \(bounds)")
        } catch {
            let meant = error.suggestion.flatMap { text in
                (try? Units.size(text)).map(range.contains) == true ? text : nil
            }
            report(error.sentence, hint: meant.map(Nearest.didYouMean))
        }
        return nil
    }

    func boolean() -> Bool? {
        guard let text = text("true or false") else { return nil }
        if ["true", "false"].contains(text) { return text == "true" }
        report("found '\(text)', allowed: true or false")
        return nil
    }

    func word<Word: RawRepresentable & CaseIterable>(
        _: Word.Type
    ) -> Word? where Word.RawValue == String {
        let words = Word.allCases.map(\.rawValue)
        let what = words.joined(separator: ", ")
        guard let text = text(what) else { return nil }
        guard let word = Word(rawValue: text) else {
            report("found '\(text)', allowed: \(what)", hint: Nearest.hint(for: text, among: words))
            return nil
        }
        return word
    }
}

/// A mapping whose keys were checked against its section.
struct Fields {
    let place: SourcePlace
    private let whole: Value
    private let section: KeySection
    private var values: [String: Value] = [:]
    /// What stands behind unknown keys, by the keys that were probably meant.
    private var meant: [String: Value] = [:]
    /// Whether there are keys that nobody knows, which was told.
    private(set) var hasUnknown = false

    init(_ mapping: Node.Mapping, of whole: Value, _ section: KeySection) {
        self.whole = whole
        self.section = section
        place = whole.place
        let known = section.names
        let given = Set(mapping.compactMap { $0.key.scalar?.string })
        func value(_ name: String, _ node: Node) -> Value {
            let path = whole.path.isEmpty ? name : "\(whole.path).\(name)"
            return Value(node: node, path: path, findings: whole.findings)
        }
        for (key, node) in mapping {
            let name = key.scalar?.string ?? ""
            guard known.contains(name) else {
                hasUnknown = true
                let written = Value(node: key, path: whole.path, findings: whole.findings)
                // A key that is there as well can't have been meant.
                let free = known.filter { !given.contains($0) && meant[$0] == nil }
                // `path:/*` is one word to YAML.
                let start = name.prefix { $0 != ":" }
                if start.count < name.count, free.contains(String(start)) {
                    meant[String(start)] = value(String(start), node)
                    written.report(
                        "found \(written.found), which YAML takes for one word",
                        hint: "put a blank behind the colon: \(start): "
                            + name.dropFirst(start.count + 1))
                    continue
                }
                let near = Nearest.suggestion(for: name, among: free)
                if let near { meant[near] = value(near, node) }
                written.report(
                    "unknown key \(written.found), allowed: \(known.joined(separator: ", "))",
                    hint: near.map(Nearest.didYouMean))
                continue
            }
            values[name] = value(name, node)
        }
    }

    subscript(_ key: String) -> Value? {
        precondition(section.names.contains(key), "\(section.title) has no key \(key)")
        return values[key]
    }

    /// What stands behind a key that was probably meant by one that there is none of.
    func meant(_ key: String) -> Value? { meant[key] }

    /// Whether the key was probably meant by one that there is none of, which was told.
    func isMeant(_ key: String) -> Bool { meant[key] != nil }

    /// The value of a key; where it is missing that is told, unless it is only mistyped.
    func required(_ key: String) -> Value? {
        if let value = self[key] { return value }
        if !isMeant(key) { whole.report("'\(key)' is missing") }
        return nil
    }
}
