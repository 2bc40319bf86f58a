// SPDX-License-Identifier: Apache-2.0
import Foundation
import Yams

extension TokenSettings {
    private static let keysWords =
        "the path of a JWK Set, or its URL, as https://issuer.example/.well-known/jwks.json"
    private static let placeWords =
        "header, cookie:NAME, query:NAME or subprotocol:PREFIX"

    static let section = Section(
        "routes[].access.jwt", TokenSettings(keys: .file("")),
        [
            .required(
                "keys", .text("path or URL"),
                "the issuer's keys as a JWK Set (RFC 7517): a file, which may hold secrets too, or an `https` URL, "
                    + "which is fetched again as its `Cache-Control` says (every 60 s to 1 day; without one every 5 "
                    + "minutes) and when a token names a key that is not known. `http` is for this machine only"
            ) { owner, value in
                guard let text = value.text(keysWords) else { return false }
                guard let keys = keys(text, value) else { return false }
                owner.keys = keys
                owner.keysPlace = value.place
                return true
            },
            .custom(
                "ca", .text("path"), absent: "the system's",
                "the file of certificate authorities (PEM) that the URL's certificate is checked by"
            ) { owner, value in
                guard let text = value.text("a path") else { return false }
                owner.authorities = value.findings.resolve(text)
                owner.authoritiesPlace = value.place
                return true
            },
            .custom(
                "issuer", .either([.text("text"), .list(.text("text"))]), absent: "any",
                "who has to have made the token (`iss`): one, or a list of which it is one"
            ) { owner, value in
                guard let texts = texts(value, "an issuer, as https://issuer.example") else {
                    return false
                }
                owner.issuers = texts
                return true
            },
            .custom(
                "audience", .either([.text("text"), .list(.text("text"))]), absent: "any",
                "whom the token has to be for (`aud`): one, or a list of which it has one"
            ) { owner, value in
                guard let texts = texts(value, "an audience") else { return false }
                owner.audiences = texts
                return true
            },
            .custom(
                "from", .list(.text("text")), absent: "`[header]`",
                "where a request may have its token: `header` (`Authorization: Bearer`), `cookie:NAME`, `query:NAME`, "
                    + "`subprotocol:PREFIX` (an entry of `Sec-WebSocket-Protocol` that begins so). It is taken out of "
                    + "what goes upstream; two tokens are an error"
            ) { owner, value in
                guard let items = value.nonEmptyList(of: placeWords) else { return false }
                owner.from = items.compactMap(place)
                return owner.from.count == items.count && isUnique(owner.from, value)
            },
            .custom(
                "claims", .names(.either([.text("text"), .list(.text("text"))])), absent: "none",
                "claims that the token has to have, each with its value or a list of which it has one; a claim that "
                    + "is a list, or words as `scope`, has to hold one. Names with `.` between lead into objects. "
                    + "Others get 403"
            ) { owner, value in
                guard let items = value.namedItems(of: "values") else { return false }
                owner.claims = items.compactMap { name, value in
                    guard let claim = name.text("the name of a claim"),
                        let values = texts(value, "a value of the claim")
                    else { return nil }
                    return Claim(name: claim, values: values)
                }
                return owner.claims.count == items.count
            },
            .custom(
                "forward", .names(.text("text")), absent: "none",
                "fields that tell the app claims, by the names of both: `X-User: sub`. A client's own fields of these "
                    + "names are always dropped. Texts are told as they are, anything else as JSON"
            ) { owner, value in
                guard let told = told(value) else { return false }
                owner.forward = told
                owner.forwardPlace = value.place
                return true
            },
            .duration(
                "leeway", \.leeway, .zero ... .seconds(300),
                "how far the issuer's clock may be from this one (`exp`, `nbf`)"),
            .custom(
                "endsWithToken", .mapping("routes[].access.jwt.endsWithToken"),
                absent: "WebSockets go on",
                "that a WebSocket gets a Close when its token ends (`exp`), which every token has to say then. "
                    + "`POST /relays/ID/extend` on the admin socket gives it more time"
            ) { owner, value in
                owner.end = endSection.decode(value)
                return owner.end != nil
            },
        ])

    static let endSection = Section(
        "routes[].access.jwt.endsWithToken", End(),
        [
            .custom(
                "code", .number(1_000...4_999), absent: "`\(End().code)`",
                "the code of the Close, to both sides: \(DrainSettings.codesAllowed)"
            ) { owner, value in
                guard let number = value.integer(1_000...4_999) else { return false }
                guard DrainSettings.allows(code: UInt16(number)) else {
                    value.report("found '\(number)', allowed: \(DrainSettings.codesAllowed)")
                    return false
                }
                owner.code = UInt16(number)
                return true
            },
            .duration(
                "before", \.before, .zero ... .seconds(3_600),
                "how long before the token's end; one that has less left opens no WebSocket"),
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { owner, fields in
            if owner.authorities != nil, owner.file != nil {
                fields["ca"]?.report("found 'ca' beside a file of keys, allowed: 'ca' with a URL")
                return false
            }
            return true
        }
        guard let read else { return nil }
        self = read
    }

    /// A path, or a URL that can be fetched and is not anybody's to change on the way.
    private static func keys(_ text: String, _ value: Value) -> Keys? {
        guard text.contains("://") else { return .file(value.findings.resolve(text)) }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") }),
            let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty,
            let scheme = parts.scheme?.lowercased(), ["http", "https"].contains(scheme),
            parts.port.map({ (1...65_535).contains($0) }) ?? true
        else {
            value.report("found '\(text)', allowed: \(keysWords)")
            return nil
        }
        guard parts.user == nil, parts.password == nil else {
            value.report("found a login in the URL, allowed: a URL without one")
            return nil
        }
        guard scheme == "https" || isOwn(host) else {
            value.report(
                "found '\(text)', over which anybody on the way could put in keys of their own,"
                    + " allowed: https, or http to this machine")
            return nil
        }
        return .url(text)
    }

    private static func isOwn(_ host: String) -> Bool {
        let name = host.lowercased()
        return name == "localhost" || name.hasSuffix(".localhost") || name == "::1"
            || name == "[::1]" || Syntax.isIPv4(name[...]) && name.hasPrefix("127.")
    }

    private static func texts(_ value: Value, _ what: String) -> [String]? {
        if value.node.sequence == nil { return value.text(what).map { [$0] } }
        guard let items = value.nonEmptyList(of: "texts"), !items.isEmpty else { return nil }
        let texts = items.compactMap { $0.text(what) }
        return texts.count == items.count ? texts : nil
    }

    private static func place(_ value: Value) -> Place? {
        guard let text = value.text(placeWords) else { return nil }
        if text == "header" { return .header }
        if let colon = text.firstIndex(of: ":") {
            let name = String(text[text.index(after: colon)...])
            let isToken = !name.isEmpty && name.utf8.allSatisfy(FieldSyntax.isToken)
            switch text[..<colon] {
            case "cookie" where isToken: return .cookie(name)
            case "query" where isQueryName(name): return .query(name)
            case "subprotocol" where isToken: return .subprotocol(name)
            default: break
            }
        }
        value.report(
            "found '\(text)', allowed: \(placeWords)",
            hint: text.contains(":")
                ? nil
                : Nearest.suggestion(for: text, among: ["header"]).map(Nearest.didYouMean))
        return nil
    }

    private static func isQueryName(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { $0.isLetter || $0.isDigit || "-._~".utf8.contains($0) }
    }

    private static func isUnique(_ places: [Place], _ value: Value) -> Bool {
        if Set(places).count == places.count { return true }
        value.report("found a place twice, allowed: each once")
        return false
    }

    private static func told(_ value: Value) -> [Told]? {
        guard let items = value.namedItems(of: "claims") else { return nil }
        var told: [Told] = []
        for (name, value) in items {
            guard let field = name.text("a field name"),
                FieldSyntax.check(field, name, isRequest: true),
                let claim = value.text("the name of a claim")
            else { return nil }
            if let other = told.first(where: {
                FieldSyntax.folded($0.field) == FieldSyntax.folded(field)
            }) {
                name.report(
                    "found '\(field)' a second time"
                        + (other.field == field ? "" : ", as '\(other.field)'"))
                return nil
            }
            told.append(Told(field: field, claim: claim))
        }
        return told
    }
}
