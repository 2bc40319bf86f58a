// SPDX-License-Identifier: Apache-2.0
import Yams

// How the answers and the changes of fields that a route asks for are read.

extension RespondSettings {
    init?(_ value: Value) {
        guard let fields = value.mapping(.respond) else { return nil }
        self.init()
        status = fields["status"]?.integer(200...599) ?? status
        if let body = fields["body"] {
            // A body of no text is one of no bytes.
            self.body = body.isNothing ? "" : body.node.scalar?.string ?? ""
            if body.node.scalar == nil { body.report("found \(body.found), allowed: text") }
            if self.body.utf8.count > 65_536 {
                body.report("found \(self.body.utf8.count) bytes, allowed: up to 64KiB")
            }
        }
        if let type = fields["type"], let text = type.text("a media type, as text/html") {
            if FieldSyntax.isValue(text) {
                self.type = text
            } else {
                type.report("found '\(text)', allowed: a media type, as text/html")
            }
        }
    }
}

extension RedirectSettings {
    init?(_ value: Value) {
        guard let fields = value.mapping(.redirect) else { return nil }
        let what = "a path or URL, as /new/* or https://example.com/new/*"
        guard let to = fields.required("to"), let text = to.text(what) else { return nil }
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
        self.init(origin: origin, path: path)
        if let value = fields["status"], let status = value.integer(301...308) {
            if [301, 302, 303, 307, 308].contains(status) {
                self.status = status
            } else {
                value.report("found '\(status)', allowed: 301, 302, 303, 307 or 308")
            }
        }
    }
}

extension FieldSettings {
    /// Reads what stands under `request` or `answer`.
    init(_ fields: Fields, isRequest: Bool) {
        self.init()
        for item in fields["remove"]?.list(of: "field names") ?? [] {
            guard let name = item.text("a field name"),
                FieldSyntax.check(name, item, isRequest: isRequest)
            else { continue }
            remove.append(name)
        }
        set = Self.fields(fields["set"], isRequest: isRequest)
        add = Self.fields(fields["add"], isRequest: isRequest)
    }

    private static func fields(_ value: Value?, isRequest: Bool) -> [Field] {
        var fields: [Field] = []
        for (name, value) in value?.namedItems(of: "values") ?? [] {
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
            fields.append(Field(name: word, value: text))
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
    init?(_ value: Value) {
        let range: ClosedRange<Duration> = .zero ... .seconds(10 * 365 * 86_400)
        if value.node.mapping == nil {
            guard let maxAge = value.duration(range) else { return nil }
            self.init(maxAge: maxAge)
            return
        }
        guard let fields = value.mapping(.hsts) else { return nil }
        guard let maxAge = fields.required("maxAge")?.duration(range) else { return nil }
        self.init(maxAge: maxAge)
        includeSubdomains = fields["includeSubdomains"]?.boolean() ?? false
        preload = fields["preload"]?.boolean() ?? false
    }
}

/// Names and values of fields (RFC 9110 §5).
private enum FieldSyntax {
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
        let lowercase = name.lowercased()
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

    static func isValue(_ text: String) -> Bool {
        text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
    }

    private static func isToken(_ byte: UInt8) -> Bool {
        byte.isLetter || byte.isDigit || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}

/// Hosts with or without a port.
enum HostSyntax {
    static func isAuthority(_ text: Substring) -> Bool {
        (try? EndpointAddress(parsing: "ws://\(text)")) != nil && !text.hasSuffix("/")
    }
}
