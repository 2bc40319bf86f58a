// SPDX-License-Identifier: Apache-2.0

/// The fields that decide how a message is read, and those that one hop sets for the next.
///
/// A name is recognised once, when its line is read; from there a field is known by its number.
public enum KnownField: UInt8, Sendable {
    /// A field whose name has no meaning here.
    case other
    /// No field that anybody sends, but what `Connection: close` would name.
    case close
    case authorization, clientCert, clientCertChain, connection, contentLength, expect, forwarded,
        host, http2Settings,
        keepAlive, origin
    case proxyAuthenticate, proxyAuthorization, proxyConnection, strictTransportSecurity
    case secWebSocketAccept, secWebSocketExtensions, secWebSocketKey, secWebSocketProtocol
    case secWebSocketVersion
    case te, traceparent, tracestate, trailer, transferEncoding, upgrade, wwwAuthenticate
    case xForwardedFor, xForwardedHost, xForwardedPort, xForwardedProto, xForwardedScheme
    case xForwardedSSL, xRealIP

    /// Recognises a name that is a token.
    ///
    /// - Returns: the field, and whether the name is exactly that one. It is not where `_` or `.` stand
    ///   for `-`, which some applications take for the same.
    static func recognize(_ name: Span<UInt8>) -> (field: KnownField, isExact: Bool) {
        // Names differ in length or in the first bytes, so hardly any is compared to its end.
        switch name.count {
        case 2: match(name, ("te", .te))
        case 4: match(name, ("host", .host))
        case 5: match(name, ("close", .close))
        case 6: match(name, ("expect", .expect), ("origin", .origin))
        case 7: match(name, ("upgrade", .upgrade), ("trailer", .trailer))
        case 9: match(name, ("forwarded", .forwarded), ("x-real-ip", .xRealIP))
        case 10:
            match(
                name, ("connection", .connection), ("keep-alive", .keepAlive),
                ("tracestate", .tracestate))
        case 11: match(name, ("traceparent", .traceparent), ("client-cert", .clientCert))
        case 13: match(name, ("authorization", .authorization))
        case 14:
            match(name, ("content-length", .contentLength), ("http2-settings", .http2Settings))
        case 15:
            match(name, ("x-forwarded-for", .xForwardedFor), ("x-forwarded-ssl", .xForwardedSSL))
        case 16:
            match(
                name, ("proxy-connection", .proxyConnection), ("x-forwarded-host", .xForwardedHost),
                ("x-forwarded-port", .xForwardedPort), ("www-authenticate", .wwwAuthenticate))
        case 17:
            match(
                name, ("sec-websocket-key", .secWebSocketKey),
                ("transfer-encoding", .transferEncoding), ("x-forwarded-proto", .xForwardedProto),
                ("client-cert-chain", .clientCertChain))
        case 18:
            match(
                name, ("proxy-authenticate", .proxyAuthenticate),
                ("x-forwarded-scheme", .xForwardedScheme))
        case 19: match(name, ("proxy-authorization", .proxyAuthorization))
        case 20: match(name, ("sec-websocket-accept", .secWebSocketAccept))
        case 21: match(name, ("sec-websocket-version", .secWebSocketVersion))
        case 22: match(name, ("sec-websocket-protocol", .secWebSocketProtocol))
        case 24: match(name, ("sec-websocket-extensions", .secWebSocketExtensions))
        case 25: match(name, ("strict-transport-security", .strictTransportSecurity))
        default: (.other, false)
        }
    }

    private typealias Candidate = (name: StaticString, field: KnownField)

    @inline(__always)
    private static func match(
        _ name: Span<UInt8>, _ first: Candidate, _ second: Candidate? = nil,
        _ third: Candidate? = nil, _ fourth: Candidate? = nil
    ) -> (field: KnownField, isExact: Bool) {
        var isExact = true
        if isSame(name, first.name, &isExact) { return (first.field, isExact) }
        if let second, isSame(name, second.name, &isExact) { return (second.field, isExact) }
        if let third, isSame(name, third.name, &isExact) { return (third.field, isExact) }
        if let fourth, isSame(name, fourth.name, &isExact) { return (fourth.field, isExact) }
        return (.other, false)
    }

    @inline(__always)
    private static func isSame(
        _ name: Span<UInt8>, _ known: StaticString, _ isExact: inout Bool
    ) -> Bool {
        isExact = true
        let text = unsafe UnsafeBufferPointer(
            start: known.utf8Start, count: known.utf8CodeUnitCount)
        assert(text.count == name.count)
        if name.count >= 8, unsafe Bytes.areEqual(name, lowercase: text) { return true }
        for index in name.indices {
            let byte = name[index]
            let expected = unsafe text[index]
            // A byte of a token that differs in this bit alone is the upper case of a letter.
            if byte == expected || byte | 0x20 == expected { continue }
            let isFolded = byte == UInt8(ascii: "_") || byte == Octet.dot
            guard isFolded, expected == UInt8(ascii: "-") else { return false }
            isExact = false
        }
        return true
    }
}

/// A set of known fields.
public struct KnownFields: OptionSet, Sendable {
    /// One bit per field.
    public let rawValue: UInt64

    /// The set of these bits.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// The set of one field; of `other` it is empty.
    public init(_ field: KnownField) {
        rawValue = field == .other ? 0 : 1 << UInt64(field.rawValue)
    }

    init(_ fields: [KnownField]) {
        rawValue = fields.reduce(0) { $0 | KnownFields($1).rawValue }
    }

    /// Whether a field is one of them.
    @inline(__always)
    public func has(_ field: KnownField) -> Bool {
        rawValue &>> UInt64(field.rawValue) & 1 != 0
    }

    /// Those that hold for one hop and are never forwarded (RFC 9110 §7.6.1).
    ///
    /// `Upgrade` and `Connection` are among them: a proxy that forwards an upgrade writes its
    /// own. `HTTP2-Settings` belongs to an upgrade to h2c, which is never forwarded.
    public static let hopByHop = KnownFields([
        .connection, .http2Settings, .keepAlive, .proxyAuthenticate, .proxyAuthorization,
        .proxyConnection, .te, .trailer, .transferEncoding, .upgrade,
    ])
}
