// SPDX-License-Identifier: Apache-2.0

/// The extension names of `Sec-WebSocket-Extensions` (RFC 6455 §9.1), in lower case.
///
/// Parameters are read, because a quoted one may hold a comma, and then left alone: what they
/// mean is between the two peers.
enum ExtensionList {
    /// The names in order over all fields of a head; nil if one of them breaks the grammar.
    static func names(_ fields: FieldList) -> [String]? {
        guard fields.known.has(.secWebSocketExtensions) else { return [] }
        var names: [String] = []
        for value in fields.all("sec-websocket-extensions") {
            var rest = value
            repeat {
                // Empty elements are to be put up with (RFC 9110 §5.6.1.2).
                while take(Octet.comma, from: &rest) {}
                if rest.isEmpty { break }
                guard let name = takeExtension(&rest) else { return nil }
                names.append(name)
            } while take(Octet.comma, from: &rest)
            guard rest.isEmpty else { return nil }
        }
        return names
    }

    /// Reads `token *( ";" token [ "=" ( token / quoted-string ) ] )` and returns the name.
    private static func takeExtension(_ rest: inout ArraySlice<UInt8>) -> String? {
        guard let name = takeToken(&rest) else { return nil }
        while take(Octet.semicolon, from: &rest) {
            guard takeToken(&rest) != nil else { return nil }
            guard take(UInt8(ascii: "="), from: &rest) else { continue }
            guard takeToken(&rest) != nil || takeQuoted(&rest) else { return nil }
        }
        return name.lowercasedString()
    }

    private static func take(_ byte: UInt8, from rest: inout ArraySlice<UInt8>) -> Bool {
        rest = rest.drop(while: Octet.isSpaceOrTab)
        guard rest.first == byte else { return false }
        rest = rest.dropFirst()
        return true
    }

    private static func takeToken(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        rest = rest.drop(while: Octet.isSpaceOrTab)
        let token = rest.prefix(while: Octet.isToken)
        rest = rest[token.endIndex...]
        return token.isEmpty ? nil : token
    }

    private static func takeQuoted(_ rest: inout ArraySlice<UInt8>) -> Bool {
        let quote = UInt8(ascii: "\"")
        guard take(quote, from: &rest) else { return false }
        while let byte = rest.popFirst() {
            if byte == quote { return true }
            if byte == Octet.backslash, rest.popFirst() == nil { return false }
        }
        return false
    }
}
