// SPDX-License-Identifier: Apache-2.0

/// What Sluice knows of a client's connection and tells an app that asks for it in the value of a field: a
/// file writes it as `$` and the raw value.
public enum Placeholder: String, Sendable, Equatable, CaseIterable {
    /// The version of TLS: `TLSv1.3`.
    case tlsVersion
    /// The cipher suite's IANA name: `TLS_AES_128_GCM_SHA256`.
    case tlsCipher
    /// The group of the key exchange, as `groups` names it: `X25519`.
    case tlsGroup
    /// The protocol that client and Sluice agreed on by ALPN (RFC 7301): `http/1.1`.
    case alpn
}

/// What Sluice knows of a request, and tells in the value of a field: a file writes it in braces.
public enum RequestWord: String, Sendable, Equatable, CaseIterable {
    /// The client's address, as the log has it, without a port.
    case client
    /// The host that was asked for, without a port.
    case host
    /// `https` or `http`.
    case scheme
    /// The port that the client used.
    case port
    /// The server name in the TLS handshake (RFC 6066 §3).
    case sni
    /// The name that a WebSocket keeps for as long as it lives.
    case relay
    /// Who the client has proven to be by the route's `access`.
    case subject
}

/// The value of a field that is set or added: text, with placeholders or without.
public struct FieldValue: Sendable, Equatable, ExpressibleByStringLiteral {
    /// A piece of the value.
    public enum Part: Sendable, Equatable {
        /// Always the same text.
        case text(String)
        /// What is filled in for each request, of its connection.
        case placeholder(Placeholder)
        /// What is filled in for each request, of itself.
        case word(RequestWord)
        /// The segment of the path that the route's `path` gives this name.
        case capture(String)
    }

    /// The pieces, in their order.
    public let parts: [Part]

    /// A value of these pieces.
    public init(_ parts: [Part]) { self.parts = parts }

    /// A value that is always the same; a `$` in it means nothing.
    public init(stringLiteral text: String) { self.init([.text(text)]) }

    /// Reads a value as a file has it.
    ///
    /// `$` and a name is a placeholder, `$$` is one `$`, and before anything else `$` is itself. A name in braces is
    /// a word or a segment of the path, `{{` is one `{`, and before anything else `{` is itself.
    ///
    /// - Parameters:
    ///   - text: the value.
    ///   - isRequest: whether it belongs to requests; answers take no placeholders.
    /// - Throws: `FieldValueFault` with what was found and what is allowed.
    init(parsing text: String, isRequest: Bool) throws(FieldValueFault) {
        var parts: [Part] = []
        var plain = ""
        var rest = text[...]
        while let character = rest.popFirst() {
            guard character == "$" || character == "{", let next = rest.first else {
                plain.append(character)
                continue
            }
            if next == character {
                plain.append(next)
                rest.removeFirst()
                continue
            }
            let read =
                character == "$"
                ? try Self.placeholder(&rest, isRequest: isRequest) : Self.braced(&rest)
            guard let read else {
                plain.append(character)
                continue
            }
            if !plain.isEmpty { parts.append(.text(plain)) }
            plain = ""
            parts.append(read)
        }
        if !plain.isEmpty || parts.isEmpty { parts.append(.text(plain)) }
        self.parts = parts
    }
}

extension FieldValue {
    /// The placeholder behind a `$`; nil where none is meant.
    private static func placeholder(
        _ rest: inout Substring, isRequest: Bool
    ) throws(FieldValueFault) -> Part? {
        let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber) }
        guard name.first?.isLetter == true else { return nil }
        guard isRequest, let placeholder = Placeholder(rawValue: String(name)) else {
            // Variables of other proxies have `_` in their names.
            let whole = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
            throw FieldValueFault(name: String(whole), isRequest: isRequest)
        }
        rest.removeFirst(name.count)
        return .placeholder(placeholder)
    }

    /// What a name in braces stands for; nil where there is none.
    private static func braced(_ rest: inout Substring) -> Part? {
        let name = rest.prefix { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") }
        guard name.first?.isNumber == false, rest.dropFirst(name.count).first == "}" else {
            return nil
        }
        rest.removeFirst(name.count + 1)
        return RequestWord(rawValue: String(name)).map(Part.word) ?? .capture(String(name))
    }

    /// The segments of the path that it tells, by their names.
    var captures: [String] {
        parts.compactMap { part in
            if case .capture(let name) = part { return name }
            return nil
        }
    }
}

/// A placeholder that there is none of.
struct FieldValueFault: Error {
    let name: String
    let isRequest: Bool

    /// What nginx calls what stands in braces here.
    private static let variables: [String: RequestWord] = [
        "remote_addr": .client, "host": .host, "scheme": .scheme, "ssl_server_name": .sni,
        "remote_user": .subject,
    ]

    /// What was found, and what is allowed there.
    var sentence: String {
        let known = isRequest ? Placeholder.allCases.map { "$" + $0.rawValue } : []
        let near = Nearest.suggestion(for: "$" + name, among: known)
        let meant = Self.variables[name].map { "{\($0.rawValue)}" } ?? near
        let placeholders =
            isRequest
            ? known.joined(separator: ", ") + ", or $$"
            : "no placeholders in answers; write $$"
        return
            "found '$\(name)', allowed: \(placeholders) for a dollar sign; words for the request are"
            + " in braces, as {client}" + (meant.map { " (did you mean '\($0)'?)" } ?? "")
    }
}
