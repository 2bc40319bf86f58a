// SPDX-License-Identifier: Apache-2.0

/// The JSON Schema (draft 2020-12) of the configuration, made of the declared keys, for editors.
///
/// It says which keys there are, what may stand behind each and what each means. What one key has to do
/// with another, and whether a file or name is there, `sluice check` judges.
public enum ConfigurationSchema {
    /// The schema as JSON, with two spaces for each level and a line end behind the last brace.
    public static var text: String {
        var writer = SchemaWriter()
        writer.write(root)
        return writer.text + "\n"
    }

    /// A value of JSON whose members keep their order.
    indirect enum Node {
        case text(String)
        case number(Int)
        /// A number as it was written.
        case literal(String)
        case list([Node])
        case object([(String, Node)])
    }

    private static var root: Node {
        let sections = KeySection.all
        var members: [(String, Node)] = [
            ("$schema", .text("https://json-schema.org/draft/2020-12/schema")),
            ("title", .text("Configuration of Sluice")),
        ]
        if let first = sections.first { members += object(first) }
        members.append(
            ("$defs", .object(sections.dropFirst().map { (name($0.title), .object(object($0))) })))
        return .object(members)
    }

    /// The name of a section among the definitions, without what a URI has to escape.
    private static func name(_ title: String) -> String { title.replacing("[]", with: "") }

    private static func object(_ section: KeySection) -> [(String, Node)] {
        let required = section.keys.filter(\.isRequired).map { Node.text($0.name) }
        return [
            ("type", .text("object")), ("additionalProperties", .literal("false")),
            ("properties", .object(section.keys.map { ($0.name, property($0)) })),
        ] + (required.isEmpty ? [] : [("required", .list(required))])
    }

    private static func property(_ key: KeySection.Key) -> Node {
        let kind = key.type.reference.replacing("`", with: "")
        let absent = key.defaultText.replacing("`", with: "")
        var words = key.meaning.replacing("`", with: "")
        if case .mapping = key.type {
            // Its keys have texts of their own.
        } else {
            words += " (\(kind); " + (key.isRequired ? "required)" : "default: \(absent))")
        }
        return .object([("description", .text(words))] + type(key.type))
    }

    private static func type(_ type: SettingType) -> [(String, Node)] {
        switch type {
        case .duration(let range):
            return quantity(Units.durationUnits, hasZero: range.contains(.zero))
        case .size(let range): return quantity(Units.sizeUnits, hasZero: range.contains(0))
        case .number(let range):
            return [("type", .text("integer")), ("minimum", .number(range.lowerBound))]
                + (range.upperBound == .max ? [] : [("maximum", .number(range.upperBound))])
        case .boolean: return [("type", .text("boolean"))]
        case .words(let words):
            // What YAML takes for a number is a word here too.
            let numbers = words.filter { Double($0) != nil }
            return [("enum", .list(words.map(Node.text) + numbers.map(Node.literal)))]
        case .text("text"):
            // Taken as it is written, whatever YAML makes of it; `null` is an origin.
            let types = ["string", "number", "boolean", "null"]
            return [("type", .list(types.map(Node.text)))]
        case .text: return [("type", .text("string"))]
        case .list(let item):
            return [("type", .text("array")), ("items", .object(self.type(item)))]
        case .names(let item):
            return [
                ("type", .text("object")), ("additionalProperties", .object(self.type(item))),
            ]
        case .mapping(let title): return [("$ref", .text("#/$defs/\(name(title))"))]
        case .either(let types):
            return [("anyOf", .list(types.map { .object(self.type($0)) }))]
        }
    }

    /// A whole number with a unit; 0 needs none, where it is allowed.
    private static func quantity(_ units: [String], hasZero: Bool) -> [(String, Node)] {
        let units = units.joined(separator: "|")
        let text: [(String, Node)] = [
            ("type", .text("string")), ("pattern", .text("^[0-9]+ *(\(units))$")),
        ]
        if !hasZero { return text }
        return [
            (
                "anyOf",
                .list([.object(text), .object([("enum", .list([.number(0), .text("0")]))])])
            )
        ]
    }
}

/// Writes JSON with members in the order in which they are given.
private struct SchemaWriter {
    private(set) var text = ""
    private var depth = 0

    mutating func write(_ node: ConfigurationSchema.Node) {
        switch node {
        case .text(let value): write(value)
        case .number(let value): text += String(value)
        case .literal(let value): text += value
        case .list(let items):
            text += "["
            for (index, item) in items.enumerated() {
                if index > 0 { text += ", " }
                write(item)
            }
            text += "]"
        case .object(let members):
            text += "{"
            depth += 1
            for (index, (name, member)) in members.enumerated() {
                text += index > 0 ? "," : ""
                newLine()
                write(name)
                text += ": "
                write(member)
            }
            depth -= 1
            if !members.isEmpty { newLine() }
            text += "}"
        }
    }

    private mutating func newLine() {
        text += "\n" + String(repeating: "  ", count: depth)
    }

    /// A string (RFC 8259 §7).
    private mutating func write(_ value: String) {
        text += "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"", "\\": text += "\\\(scalar)"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}
