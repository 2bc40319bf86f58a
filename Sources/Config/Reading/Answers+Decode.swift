// SPDX-License-Identifier: Apache-2.0
import Yams

// How the answers and the changes of fields that a route asks for are read.

extension RespondSettings {
    private static let bodyBytesMax = 65_536

    static let section = Section(
        "routes[].respond", RespondSettings(),
        [
            .number("status", \.status, 200...599, "the status of the answer"),
            .custom(
                "body", .text("text"), absent: "empty",
                "the body, up to \(Units.text(bytes: bodyBytesMax))"
            ) { owner, value in
                // A body of no text is one of no bytes.
                owner.body = value.isNothing ? "" : value.node.scalar?.string ?? ""
                if value.node.scalar == nil { value.report("found \(value.found), allowed: text") }
                if owner.body.utf8.count > bodyBytesMax {
                    value.report(
                        "found \(owner.body.utf8.count) bytes, allowed: up to "
                            + Units.text(bytes: bodyBytesMax))
                }
                return true
            },
            .custom(
                "type", .text("text"), absent: "`\(RespondSettings().type)`",
                "its `Content-Type`, which is left out without a body"
            ) { owner, value in
                guard let text = value.text("a media type, as text/html") else { return false }
                guard FieldSyntax.isValue(text) else {
                    value.report("found '\(text)', allowed: a media type, as text/html")
                    return false
                }
                owner.type = text
                return true
            },
        ])
}

extension RedirectSettings {
    private static let statusesAllowed = "301, 302, 303, 307 or 308"

    static let section = Section(
        "routes[].redirect", RedirectSettings(origin: "", path: "/"),
        [
            .required(
                "to", .text("path or URL"),
                "`/new`, `/new/*` or `https://example.com/new/*`; `*` keeps what stands below the route's own. The "
                    + "query is kept"
            ) { owner, value in
                guard let target = target(value) else { return false }
                owner.origin = target.origin
                owner.path = target.path
                return true
            },
            .custom(
                "status", .number(301...308),
                absent: "`\(RedirectSettings(origin: "", path: "/").status)`",
                statusesAllowed
            ) { owner, value in
                guard let status = value.integer(301...308) else { return false }
                guard [301, 302, 303, 307, 308].contains(status) else {
                    value.report("found '\(status)', allowed: \(statusesAllowed)")
                    return false
                }
                owner.status = status
                return true
            },
        ])

    private static func target(_ to: Value) -> (origin: String, path: String)? {
        let what = "a path or URL, as /new/* or https://example.com/new/*"
        guard let text = to.text(what) else { return nil }
        var origin = ""
        var path = text
        if let separator = text.firstRange(of: "://") {
            let scheme = text[..<separator.lowerBound].lowercased()
            let rest = text[separator.upperBound...]
            let authority = rest.prefix { $0 != "/" }
            guard ["http", "https"].contains(scheme), !authority.isEmpty,
                HostSyntax.isAuthority(authority)
            else {
                to.report("found '\(text)', allowed: \(what)")
                return nil
            }
            origin = scheme + "://" + authority
            path = authority.endIndex == rest.endIndex ? "/" : String(rest[authority.endIndex...])
        }
        guard path.hasPrefix("/"), !path.contains(where: { "?#".contains($0) }) else {
            to.report("found '\(text)', allowed: \(what)")
            return nil
        }
        return (origin, path)
    }
}

extension FieldSettings {
    /// The keys under `request` or `answer`, of a route that has them at `path`.
    static func settings(
        _ path: any WritableKeyPath<RouteSettings, FieldSettings> & Sendable, isRequest: Bool
    ) -> [Setting<RouteSettings>] {
        [
            .custom(
                "remove", .list(.text("text")), absent: "none",
                "names of fields that are dropped, also where they have `_` or `.` for `-`"
            ) { owner, value in
                owner[keyPath: path].remove = names(value, isRequest: isRequest)
                return true
            },
            .custom(
                "set", .names(.text("text")), absent: "none",
                "names and values that replace all fields of their name"
            ) { owner, value in
                owner[keyPath: path].set = fields(value, isRequest: isRequest)
                return true
            },
            .custom(
                "add", .names(.text("text")), absent: "none",
                "names and values that stand beside those of their name"
            ) { owner, value in
                owner[keyPath: path].add = fields(value, isRequest: isRequest)
                return true
            },
        ]
    }

    private static func names(_ value: Value, isRequest: Bool) -> [String] {
        (value.list(of: "field names") ?? []).compactMap { item in
            guard let name = item.text("a field name"),
                FieldSyntax.check(name, item, isRequest: isRequest)
            else { return nil }
            return name
        }
    }

    private static func fields(_ value: Value, isRequest: Bool) -> [Field] {
        var fields: [Field] = []
        for (name, value) in value.namedItems(of: "values") ?? [] {
            guard let word = name.text("a field name"),
                FieldSyntax.check(word, name, isRequest: isRequest)
            else { continue }
            if fields.contains(where: { $0.name.lowercased() == word.lowercased() }) {
                name.report("found '\(word)' a second time")
                continue
            }
            guard let text = value.text("a field's value") else { continue }
            guard FieldSyntax.isValue(text) else {
                value.report("found a control character, allowed: a field's value in one line")
                continue
            }
            do throws(FieldValueFault) {
                let read = try FieldValue(parsing: text, isRequest: isRequest)
                fields.append(Field(name: word, value: read))
            } catch {
                value.report(error.sentence)
            }
        }
        return fields
    }
}

extension HostSettings {
    init?(_ value: Value) {
        let what = "keep, upstream or a host, as app.internal:3000"
        guard let text = value.text(what) else { return nil }
        switch text {
        case "keep": self = .keep
        case "upstream": self = .upstream
        default:
            guard HostSyntax.isAuthority(text[...]) else {
                value.report("found '\(text)', allowed: \(what)")
                return nil
            }
            self = .name(text)
        }
    }
}

extension TransportSecuritySettings {
    static let ages: ClosedRange<Duration> = .zero ... .seconds(10 * 365 * 86_400)

    static let section = Section(
        "listen[].tls.hsts", TransportSecuritySettings(maxAge: .zero),
        [
            .required("maxAge", .duration(ages), "how long browsers refuse plain HTTP to this host")
            {
                owner, value in
                guard let maxAge = value.duration(ages) else { return false }
                owner.maxAge = maxAge
                return true
            },
            .boolean(
                "includeSubdomains", \.includeSubdomains,
                "whether that holds for all names below the host's"),
            .boolean("preload", \.preload, "whether browsers may ship with it"),
        ])

    /// Reads a duration alone or a mapping.
    init?(_ value: Value) {
        if value.node.mapping == nil {
            guard let maxAge = value.duration(Self.ages) else { return nil }
            self.init(maxAge: maxAge)
            return
        }
        guard let read = Self.section.decode(value) else { return nil }
        self = read
    }
}

/// Names and values of fields (RFC 9110 §5).
enum FieldSyntax {
    /// Fields that are Sluice's own to write, or hold for one hop.
    private static let ours: Set<String> = [
        "connection", "content-length", "transfer-encoding", "upgrade", "keep-alive", "te",
        "trailer", "proxy-connection", "expect", "via",
    ]
    private static let oursInRequests: Set<String> = ["host", "forwarded"]

    static func check(_ name: String, _ value: Value, isRequest: Bool) -> Bool {
        guard !name.isEmpty, name.utf8.allSatisfy(isToken) else {
            value.report("found '\(name)', allowed: a field name, as X-Frame-Options")
            return false
        }
        // As apps may take it.
        let lowercase = folded(name)
        let isOurs =
            ours.contains(lowercase) || lowercase.hasPrefix("sec-websocket-")
            || isRequest
                && (oursInRequests.contains(lowercase) || lowercase.hasPrefix("x-forwarded-"))
        guard !isOurs else {
            value.report(
                "found '\(name)', which Sluice itself writes"
                    + (lowercase == "host" ? "; 'host' beside 'set' says which" : ""))
            return false
        }
        return true
    }

    /// A name in the form in which two are compared: apps take `_` and `.` for `-`.
    static func folded(_ name: String) -> String {
        String(name.lowercased().map { $0 == "_" || $0 == "." ? "-" : $0 })
    }

    static func isValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    static func isToken(_ byte: UInt8) -> Bool {
        byte.isLetter || byte.isDigit || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}

/// Hosts with or without a port.
enum HostSyntax {
    static func isAuthority(_ text: Substring) -> Bool {
        (try? EndpointAddress(parsing: "ws://\(text)")) != nil && !text.hasSuffix("/")
    }
}
