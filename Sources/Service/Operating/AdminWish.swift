// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Foundation

/// A request to the admin socket, as far as it can be judged by its form: everything in it is known.
struct AdminWish {
    let errand: AdminErrand
    /// The segment of the path where `ID` stands; empty where none does.
    let id: String
    /// What the query holds.
    let query: [String: String]
    /// What the body holds, as JSON without anything else.
    private let body: Data

    /// A request, or the answer that refuses it.
    enum Judgement {
        case wanted(AdminWish)
        case refused(AdminAnswer)
    }

    static func judge(_ request: AdminRequest) -> Judgement {
        let here = AdminErrand.allCases.filter { $0.takes(request.path) }
        guard !here.isEmpty else {
            return .refused(
                AdminAnswer(
                    status: 404, text: "There is nothing here. There is:\n\(AdminErrand.menu)"))
        }
        let method = request.method == "HEAD" ? "GET" : request.method
        guard let errand = here.first(where: { $0.method == method }) else {
            let allowed = here.map(\.method).flatMap { $0 == "GET" ? ["GET", "HEAD"] : [$0] }
            return .refused(
                AdminAnswer(
                    status: 405,
                    text: "This is asked for by \(allowed[0]), and not by \(request.method).",
                    allow: allowed.joined(separator: ", ")))
        }
        do throws(Fault) {
            return .wanted(try AdminWish(errand, request))
        } catch {
            return .refused(AdminAnswer(status: 400, text: error.sentence))
        }
    }

    private struct Fault: Error {
        let sentence: String
    }

    private init(_ errand: AdminErrand, _ request: AdminRequest) throws(Fault) {
        self.errand = errand
        let place = errand.path.firstIndex(of: "ID")
        id = place.map { request.path[$0] } ?? ""
        var query: [String: String] = [:]
        for (name, value) in request.query {
            let field = try Self.field(name, of: errand.query, "parameter", errand)
            guard query.updateValue(value, forKey: name) == nil else {
                throw Fault(sentence: "\(name) is there twice: say it once.")
            }
            guard Self.fits(value, field) else {
                throw Fault(sentence: "\(name) is \(field.words): found \"\(value)\".")
            }
        }
        self.query = query
        body = try Self.body(request.body, errand)
    }

    private static func body(_ bytes: Data, _ errand: AdminErrand) throws(Fault) -> Data {
        if bytes.isEmpty && errand.needed.isEmpty { return Data("{}".utf8) }
        let keys = errand.keys.map { "\($0.name) (\($0.words))" }.joined(separator: ", ")
        guard let values = try? JSONDecoder().decode([String: AdminValue].self, from: bytes)
        else {
            throw Fault(
                sentence: keys.isEmpty
                    ? "\(errand.title) takes no body."
                    : "The body is a JSON object with \(keys).")
        }
        for (name, value) in values.sorted(by: { $0.key < $1.key }) {
            let field = try field(name, of: errand.keys, "key", errand)
            if case .null = value {
                throw Fault(
                    sentence: "\(name) is null. Give it a value, or leave \(name) out.")
            }
            guard fits(value, field) else {
                throw Fault(sentence: "\(name) is \(field.words): found \(value.words).")
            }
        }
        if let name = errand.needed.first(where: { values[$0] == nil }) {
            throw Fault(
                sentence: "\(name) is missing. The body is a JSON object with \(keys).")
        }
        // Written anew, so that what was judged is what is read, however the bytes can be understood.
        guard let judged = try? JSONEncoder().encode(values) else {
            throw Fault(sentence: "The body is a JSON object with \(keys).")
        }
        return judged
    }

    /// The field of a name; a name that nothing has is refused, with those that there are.
    private static func field(
        _ name: String, of fields: [AdminErrand.Field], _ kind: String, _ errand: AdminErrand
    ) throws(Fault) -> AdminErrand.Field {
        if let field = fields.first(where: { $0.name == name }) { return field }
        let names = fields.map(\.name)
        // A name that is cut short has more errors than a slip of the hand.
        let longer = names.filter { name.count >= 4 && $0.hasPrefix(name) }
        let meant =
            (Nearest.suggestion(for: name, among: names) ?? (longer.count == 1 ? longer[0] : nil))
            .map { " Did you mean \($0)?" } ?? ""
        throw Fault(
            sentence:
                "\(errand.title) has no \(kind) \"\(name)\", so nothing was done.\(meant) It has"
                + " \(names.isEmpty ? "none" : names.joined(separator: ", ")).")
    }

    private static func fits(_ text: String, _ field: AdminErrand.Field) -> Bool {
        switch field.kind {
        case .text: !text.isEmpty
        case .shortText(let most): 1...most ~= text.utf8.count
        case .word(let allowed): allowed.contains(text)
        case .number(let range): Int128(text).map(range.contains) ?? false
        case .consent: text == "true"
        }
    }

    private static func fits(_ value: AdminValue, _ field: AdminErrand.Field) -> Bool {
        switch (field.kind, value) {
        case (.text, .text(let text)): !text.isEmpty
        case (.number(let range), .whole(let number)): range.contains(number)
        case (.consent, .truth(let isTrue)): isTrue
        default: false
        }
    }

    /// What is wished for; nil where the form does not tell it.
    func read<Wish: Decodable>(_ type: Wish.Type) -> Wish? {
        try? JSONDecoder().decode(type, from: body)
    }

    /// A whole number of the query, in bounds already.
    func number(_ name: String) -> Int? { query[name].flatMap { Int($0) } }
}

/// A value of a JSON object (RFC 8259), as far as requests have any.
private enum AdminValue: Codable {
    case null
    case truth(Bool)
    case whole(Int128)
    case text(String)
    /// A fraction, a list or an object, which no request has.
    case other

    init(from decoder: any Decoder) throws {
        guard let value = try? decoder.singleValueContainer() else {
            self = .other
            return
        }
        self =
            if value.decodeNil() {
                .null
            } else if let truth = try? value.decode(Bool.self) {
                .truth(truth)
            } else if let number = try? value.decode(Int64.self) {
                .whole(Int128(number))
            } else if let number = try? value.decode(UInt64.self) {
                .whole(Int128(number))
            } else if let text = try? value.decode(String.self) {
                .text(text)
            } else {
                .other
            }
    }

    func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .truth(let truth): try value.encode(truth)
        case .whole(let number) where number < 0: try value.encode(Int64(clamping: number))
        case .whole(let number): try value.encode(UInt64(clamping: number))
        case .text(let text): try value.encode(text)
        case .null, .other: try value.encodeNil()
        }
    }

    /// How it is told back to whoever has sent it.
    var words: String {
        switch self {
        case .null: "null"
        case .truth(let truth): "\(truth)"
        case .whole(let number): "\(number)"
        case .text(let text): "\"\(text)\""
        case .other: "a fraction, a list, an object or a number that is too large"
        }
    }
}
