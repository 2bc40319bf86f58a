// SPDX-License-Identifier: Apache-2.0

/// A JSON text (RFC 8259), read more strictly than libraries do: a name that is there twice is an error, since two
/// readers would each take another of the two.
enum JSONValue: Equatable, Sendable {
    case null
    case truth(Bool)
    /// As it is written, and what it is; always finite.
    case number(String, Double)
    case text(String)
    case list([JSONValue])
    /// In the order in which the names came, each once.
    case object([Member])

    struct Member: Equatable, Sendable {
        let name: String
        let value: JSONValue
    }

    /// Why bytes are no JSON, as a clause.
    struct Fault: Error, Equatable {
        let clause: String
    }

    /// Levels of lists and objects.
    static let depthMax = 16

    /// Reads the whole of some bytes as one value.
    init(_ bytes: some Collection<UInt8>) throws(Fault) {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw Fault(clause: "it is no UTF-8")
        }
        var reader = JSONReader(Array(bytes))
        self = try reader.document()
    }

    /// The value of a name; nil where there is none, and where this is no object.
    subscript(_ name: String) -> JSONValue? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The text; nil for anything else.
    var string: String? {
        if case .text(let text) = self { return text }
        return nil
    }

    /// What it is, in words.
    var words: String {
        switch self {
        case .null: "null"
        case .truth: "true or false"
        case .number: "a number"
        case .text: "a text"
        case .list: "a list"
        case .object: "an object"
        }
    }

    /// The value written again, without white space; control characters only as escapes.
    var compact: String {
        switch self {
        case .null: "null"
        case .truth(let isTrue): isTrue ? "true" : "false"
        case .number(let text, _): text
        case .text(let text): Self.quoted(text)
        case .list(let values): "[" + values.map(\.compact).joined(separator: ",") + "]"
        case .object(let members):
            "{"
                + members.map { Self.quoted($0.name) + ":" + $0.value.compact }.joined(
                    separator: ",")
                + "}"
        }
    }

    private static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case _ where scalar.value < 0x20 || 0x7F...0x9F ~= scalar.value:
                let digits = String(scalar.value, radix: 16)
                quoted += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}

/// Reads JSON from bytes that are UTF-8.
private struct JSONReader {
    private let bytes: [UInt8]
    private var at = 0
    private var depth = 0

    private typealias Fault = JSONValue.Fault

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func document() throws(JSONValue.Fault) -> JSONValue {
        skipBlanks()
        let value = try value()
        skipBlanks()
        guard at == bytes.count else { throw Fault(clause: "something stands behind its end") }
        return value
    }

    private var next: UInt8? { at < bytes.count ? bytes[at] : nil }

    private mutating func skipBlanks() {
        while at < bytes.count {
            switch bytes[at] {
            case 0x20, 0x09, 0x0A, 0x0D: at += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard next == byte else { return false }
        at += 1
        return true
    }

    private mutating func value() throws(JSONValue.Fault) -> JSONValue {
        switch next {
        case UInt8(ascii: "{"):
            return try nested { (reader) throws(JSONValue.Fault) in try reader.object() }
        case UInt8(ascii: "["):
            return try nested { (reader) throws(JSONValue.Fault) in try reader.list() }
        case UInt8(ascii: "\""): return .text(try text())
        case UInt8(ascii: "t"): return try word("true", .truth(true))
        case UInt8(ascii: "f"): return try word("false", .truth(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case .some(let byte) where byte == UInt8(ascii: "-") || 0x30...0x39 ~= byte:
            return try number()
        default: throw Fault(clause: "it is no JSON")
        }
    }

    private mutating func nested(
        _ read: (inout JSONReader) throws(JSONValue.Fault) -> JSONValue
    ) throws(JSONValue.Fault) -> JSONValue {
        depth += 1
        guard depth <= JSONValue.depthMax else {
            throw Fault(clause: "its lists and objects have more than \(JSONValue.depthMax) levels")
        }
        at += 1
        let value = try read(&self)
        depth -= 1
        return value
    }

    private mutating func word(
        _ word: StaticString, _ value: JSONValue
    ) throws(JSONValue.Fault) -> JSONValue {
        for byte in "\(word)".utf8 where !take(byte) { throw Fault(clause: "it is no JSON") }
        return value
    }

    private mutating func list() throws(JSONValue.Fault) -> JSONValue {
        var values: [JSONValue] = []
        skipBlanks()
        if take(UInt8(ascii: "]")) { return .list(values) }
        while true {
            skipBlanks()
            values.append(try value())
            skipBlanks()
            if take(UInt8(ascii: "]")) { return .list(values) }
            guard take(UInt8(ascii: ",")) else { throw Fault(clause: "it is no JSON") }
        }
    }

    private mutating func object() throws(JSONValue.Fault) -> JSONValue {
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        skipBlanks()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipBlanks()
            guard next == UInt8(ascii: "\"") else { throw Fault(clause: "it is no JSON") }
            let name = try text()
            guard names.insert(name).inserted else {
                throw Fault(clause: "it has the name '\(Self.shown(name))' twice")
            }
            skipBlanks()
            guard take(UInt8(ascii: ":")) else { throw Fault(clause: "it is no JSON") }
            skipBlanks()
            members.append(JSONValue.Member(name: name, value: try value()))
            skipBlanks()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw Fault(clause: "it is no JSON") }
        }
    }

    /// A name that may stand in a sentence.
    private static func shown(_ name: String) -> String {
        String(
            String.UnicodeScalarView(
                name.unicodeScalars.prefix(32).map { 0x20..<0x7F ~= $0.value ? $0 : "?" }))
    }

    private mutating func number() throws(JSONValue.Fault) -> JSONValue {
        let start = at
        let fault = Fault(clause: "it has a number that is none")
        _ = take(UInt8(ascii: "-"))
        if !take(UInt8(ascii: "0")), digits() == 0 { throw fault }
        if take(UInt8(ascii: ".")), digits() == 0 { throw fault }
        if next == UInt8(ascii: "e") || next == UInt8(ascii: "E") {
            at += 1
            if !take(UInt8(ascii: "+")) { _ = take(UInt8(ascii: "-")) }
            if digits() == 0 { throw fault }
        }
        guard at - start <= 64 else { throw fault }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        guard let number = Double(text), number.isFinite else { throw fault }
        return .number(text, number)
    }

    private mutating func digits() -> Int {
        let start = at
        while let byte = next, 0x30...0x39 ~= byte { at += 1 }
        return at - start
    }

    private mutating func text() throws(JSONValue.Fault) -> String {
        at += 1
        var start = at
        var whole = ""
        while let byte = next {
            switch byte {
            case UInt8(ascii: "\""):
                whole += String(decoding: bytes[start..<at], as: UTF8.self)
                at += 1
                return whole
            case UInt8(ascii: "\\"):
                whole += String(decoding: bytes[start..<at], as: UTF8.self)
                at += 1
                whole.unicodeScalars.append(try escaped())
                start = at
            case 0..<0x20: throw Fault(clause: "it has a control character in a text")
            default: at += 1
            }
        }
        throw Fault(clause: "it ends within a text")
    }

    private mutating func escaped() throws(JSONValue.Fault) -> Unicode.Scalar {
        let byte = next
        at += 1
        switch byte {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{08}"
        case UInt8(ascii: "f"): return "\u{0C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): return try unicode()
        default: throw Fault(clause: "it has an escape that is none")
        }
    }

    private mutating func unicode() throws(JSONValue.Fault) -> Unicode.Scalar {
        let fault = Fault(clause: "it has an escape that is none")
        guard let high = hexadecimal() else { throw fault }
        if let scalar = Unicode.Scalar(high) { return scalar }
        // Two escapes stand for one character beyond the first 65,536.
        guard 0xD800..<0xDC00 ~= high, take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")),
            let low = hexadecimal(), 0xDC00..<0xE000 ~= low,
            let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
        else { throw fault }
        return scalar
    }

    private mutating func hexadecimal() -> UInt32? {
        guard at + 4 <= bytes.count else { return nil }
        var value: UInt32 = 0
        for byte in bytes[at..<at + 4] {
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte - 0x30
            case 0x41...0x46: digit = byte - 0x41 + 10
            case 0x61...0x66: digit = byte - 0x61 + 10
            default: return nil
            }
            value = value << 4 | UInt32(digit)
        }
        at += 4
        return value
    }
}
