// SPDX-License-Identifier: Apache-2.0
import Yams

extension WhenSettings {
    private static let methodsKnown = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ]

    static let section = Section(
        "routes[].when", WhenSettings(),
        [
            .custom(
                "upgrade", .boolean, absent: "both",
                "whether requests have to ask for a WebSocket (`true`), or must not (`false`)"
            ) { owner, value in
                owner.upgrade = value.boolean()
                return owner.upgrade != nil
            },
            .custom(
                "methods", .list(.text("method")), absent: "any",
                "the methods of requests, in capital letters; a request for a WebSocket is a `GET`"
            ) { owner, value in
                guard let methods = methods(value) else { return false }
                owner.methods = methods
                return true
            },
            .custom(
                "fields", .names(.text("text")), absent: "none",
                "fields that a request has to have once, each with what its value has to be; `*` in it stands for "
                    + "anything"
            ) { owner, value in
                owner.fields = conditions(value, of: "fields") {
                    !$0.isEmpty && $0.utf8.allSatisfy(FieldSyntax.isToken)
                }
                return !reportForwarding(owner.fields, value)
            },
            .custom(
                "query", .names(.text("text")), absent: "none",
                "parameters that the query has to have once, each with what its value has to be, as it is sent; `*` in "
                    + "it stands for anything"
            ) { owner, value in
                owner.query = conditions(value, of: "parameters") { name in
                    !name.isEmpty
                        && name.utf8.allSatisfy { 0x21...0x7E ~= $0 && !"&=#".utf8.contains($0) }
                }
                return true
            },
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { owner, fields in
            guard fields.hasAny(of: Self.section, or: value) else { return false }
            if owner.upgrade == true, !owner.methods.isEmpty, !owner.methods.contains("GET") {
                value.report(
                    "can never be met: a request for a WebSocket is a GET, and 'methods' has none")
                return false
            }
            if let reason = owner.contradiction {
                value.report("can never be met: \(reason)")
                return false
            }
            return true
        }
        guard let read else { return nil }
        self = read
    }

    private static func methods(_ value: Value) -> [String]? {
        guard let items = value.nonEmptyList(of: "methods") else { return nil }
        return items.compactMap { item in
            let what = "a method in capital letters, as GET"
            guard let text = item.text(what) else { return nil }
            guard text.utf8.allSatisfy(FieldSyntax.isToken), text == text.uppercased(),
                text != "CONNECT"
            else {
                item.report(
                    "found '\(text)', allowed: \(what)",
                    hint: Nearest.suggestion(for: text.uppercased(), among: methodsKnown)
                        .map(Nearest.didYouMean))
                return nil
            }
            return text
        }
    }

    /// Tells of fields that say which way a request has come: any client can send them.
    private static func reportForwarding(_ conditions: [Condition], _ value: Value) -> Bool {
        let told = conditions.map(\.name).filter { name in
            let folded = FieldSyntax.folded(name)
            return folded == "forwarded" || folded == "x-real-ip"
                || folded.hasPrefix("x-forwarded-")
        }
        for name in told {
            value.report(
                "found '\(name)', which any client can send, so that it tells nothing of the way, allowed: other"
                    + " fields; routes[].listen and routes[].access.addresses judge where requests come from"
            )
        }
        return !told.isEmpty
    }

    private static func conditions(
        _ value: Value, of what: String, _ isName: (String) -> Bool
    ) -> [Condition] {
        var conditions: [Condition] = []
        for (name, value) in value.namedItems(of: "what \(what) have to be") ?? [] {
            guard let word = name.text("a name") else { continue }
            guard isName(word) else {
                name.report("found '\(word)', allowed: the name of one of the \(what)")
                continue
            }
            // Of fields whose names apps take for the same, a request has to have one alone.
            let isSecond = conditions.contains {
                what == "parameters"
                    ? $0.name == word
                    : FieldSyntax.folded($0.name) == FieldSyntax.folded(word)
            }
            guard !isSecond else {
                name.report("found '\(word)' a second time")
                continue
            }
            guard let text = value.text("a value, or * for any") else { continue }
            guard text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }) else {
                value.report("found a control character, allowed: a value in one line")
                continue
            }
            if let reason = neverSent(text, isParameter: what == "parameters") {
                value.report("can never be met: \(reason)")
                continue
            }
            conditions.append(Condition(name: word, value: text))
        }
        if conditions.isEmpty, value.node.mapping?.isEmpty == true {
            value.report("found nothing, allowed: one or more of the \(what)")
        }
        return conditions
    }

    /// Why no field or parameter of a request has such a value, as a clause; nil where one may.
    private static func neverSent(_ text: String, isParameter: Bool) -> String? {
        guard isParameter else {
            return text.first == " " || text.last == " "
                ? "blanks around the value of a field are no part of it" : nil
        }
        if text.utf8.contains(where: { $0 <= 0x20 || $0 > 0x7E }) {
            return "the query is compared as it is sent, where blanks and letters outside ASCII are"
                + " escapes, as 'a%20b' or 'a+b' for 'a b'"
        }
        return text.utf8.contains(where: { "&#".utf8.contains($0) })
            ? "'&' and '#' end a parameter, allowed: %26 and %23" : nil
    }

    /// Why `upgrade` and the field `Upgrade` never hold together, as a clause; nil where they may.
    private var contradiction: String? {
        let field = fields.first { $0.name.lowercased() == "upgrade" }
        guard let upgrade, let value = field?.value, !value.contains("*") else { return nil }
        let asks = value.split(separator: ",").contains {
            $0.lowercased().split(separator: " ") == ["websocket"]
        }
        guard asks != upgrade else { return nil }
        return "'upgrade: \(upgrade)' is for requests \(asks ? "without" : "with") 'websocket' in"
            + " their field Upgrade, and 'fields' has '\(value)'"
    }
}
