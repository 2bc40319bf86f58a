// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A value of JSON, as far as scripts ask for it.
enum JSONValue: Decodable {
    case null
    case boolean(Bool)
    case whole(Int64)
    /// One that is above those.
    case large(UInt64)
    case number(Double)
    case text(String)
    case list([JSONValue])
    case members([String: JSONValue])

    init(from decoder: any Decoder) throws {
        if let members = try? decoder.container(keyedBy: AnyKey.self) {
            var values: [String: JSONValue] = [:]
            for key in members.allKeys {
                values[key.stringValue] = try members.decode(JSONValue.self, forKey: key)
            }
            self = .members(values)
            return
        }
        if var list = try? decoder.unkeyedContainer() {
            var values: [JSONValue] = []
            while !list.isAtEnd { values.append(try list.decode(JSONValue.self)) }
            self = .list(values)
            return
        }
        let single = try decoder.singleValueContainer()
        if single.decodeNil() {
            self = .null
        } else if let value = try? single.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? single.decode(Int64.self) {
            self = .whole(value)
        } else if let value = try? single.decode(UInt64.self) {
            self = .large(value)
        } else if let value = try? single.decode(Double.self) {
            self = .number(value)
        } else {
            self = .text(try single.decode(String.self))
        }
    }

    private struct AnyKey: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// The value of a message's JSON.
    init?(message: [UInt8]) {
        guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(message)) else {
            return nil
        }
        self = value
    }

    /// The value to which a way leads, as `user.names.0`; nil where there is none.
    func value(at path: String) -> JSONValue? {
        var value = self
        for step in path.split(separator: ".") {
            switch value {
            case .members(let members):
                guard let next = members[String(step)] else { return nil }
                value = next
            case .list(let list):
                guard let index = Int(step), list.indices.contains(index) else { return nil }
                value = list[index]
            case .null, .boolean, .whole, .large, .number, .text: return nil
            }
        }
        return value
    }

    /// Whether it is what a text says: as text, or as the same number in another form (1.0, 1.10 and 1e2).
    func isSame(as wanted: String) -> Bool {
        if text == wanted { return true }
        let isNumber = wanted.utf8.allSatisfy {
            (0x30...0x39).contains($0) || Self.numberSigns.contains($0)
        }
        guard isNumber, let number = Double(wanted) else { return false }
        switch self {
        // Large whole numbers are told apart by their digits alone.
        case .whole(let value): return Int64(exactly: number) == value && Int64(wanted) == nil
        case .large(let value): return UInt64(exactly: number) == value && UInt64(wanted) == nil
        case .number(let value): return value == number
        case .null, .boolean, .text, .list, .members: return false
        }
    }

    private static let numberSigns = Array("+-.eE".utf8)

    /// The value as text; nil for a list and for members.
    var text: String? {
        switch self {
        case .null: "null"
        case .boolean(let value): value ? "true" : "false"
        case .whole(let value): String(value)
        case .large(let value): String(value)
        case .number(let value): String(value)
        case .text(let text): text
        case .list, .members: nil
        }
    }
}
