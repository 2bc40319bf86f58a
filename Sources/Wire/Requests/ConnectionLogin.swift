// SPDX-License-Identifier: Apache-2.0

/// Logins that belong to a connection and not to a request, against the rule of HTTP that each request
/// stands alone (RFC 9110 §3.3, §11.1; RFC 4559 §6).
///
/// Behind such a login the server takes every further request on the connection for that user's.
extension FieldList {
    private static let credentials = KnownFields(.authorization)
        .union(KnownFields(.proxyAuthorization)).union(KnownFields(.wwwAuthenticate))
        .union(KnownFields(.proxyAuthenticate))

    /// Whether credentials, or a challenge to give some, are of a scheme that logs the connection in.
    ///
    /// A word that stands elsewhere in such a field counts too: who is wrongly taken for one that logs in
    /// has a connection of its own, and no more harm is done.
    public var logsConnectionIn: Bool {
        if known.isDisjoint(with: Self.credentials) { return false }
        let span = bytes.span
        for index in 0..<fields.count
        where fields[index].isExact && Self.credentials.has(fields[index].known) {
            if Self.hasLogin(span, fields[index].value) { return true }
        }
        return false
    }

    /// Whether lines of fields, as they are sent in a request, have credentials of such a scheme.
    public static func logsConnectionIn(_ lines: Span<UInt8>) -> Bool {
        var start = 0
        while start < lines.count {
            var end = start
            while end < lines.count && lines[end] != Octet.lineFeed { end += 1 }
            let next = end + 1
            if end > start && lines[end - 1] == Octet.carriageReturn { end -= 1 }
            var colon = start
            while colon < end && lines[colon] != Octet.colon { colon += 1 }
            let name = start..<colon
            let isCredentials =
                Bytes.areEqual(lines, name, ignoringCase: "authorization")
                || Bytes.areEqual(lines, name, ignoringCase: "proxy-authorization")
            if isCredentials && hasLogin(lines, min(colon + 1, end)..<end) { return true }
            start = next
        }
        return false
    }

    private static func hasLogin(_ span: Span<UInt8>, _ value: Range<Int>) -> Bool {
        var start = value.lowerBound
        for position in value.lowerBound...value.upperBound {
            if position < value.upperBound && !isBorder(span[position]) { continue }
            if isLogin(span, start..<position) { return true }
            start = position + 1
        }
        return false
    }

    private static func isBorder(_ byte: UInt8) -> Bool {
        Octet.isSpaceOrTab(byte) || byte == Octet.comma || byte == UInt8(ascii: "\"")
    }

    private static func isLogin(_ bytes: Span<UInt8>, _ word: Range<Int>) -> Bool {
        switch word.count {
        case 4: Bytes.areEqual(bytes, word, ignoringCase: "ntlm")
        case 5: Bytes.areEqual(bytes, word, ignoringCase: "nego2")
        case 8: Bytes.areEqual(bytes, word, ignoringCase: "kerberos")
        case 9: Bytes.areEqual(bytes, word, ignoringCase: "negotiate")
        default: false
        }
    }
}
