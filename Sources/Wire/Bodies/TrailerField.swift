// SPDX-License-Identifier: Apache-2.0

/// Which fields may stand behind a body at all, in either direction.
///
/// What says how to read, route, authorise or answer a message comes too late there (RFC 9110
/// §6.5.1), and an application that merges trailers into its fields would believe it. Names count with
/// all that an application could take for them: `CONTENT_LENGTH` is refused as `Content-Length` is.
/// What the head's rules leave out is left out of the trailers too, by `FieldList.passes`.
enum TrailerField {
    /// The known fields: those of one hop, of framing, routing, the handshake and of who asked.
    private static let known = KnownFields.hopByHop.union(
        KnownFields([
            .contentLength, .expect, .forwarded, .host, .origin, .strictTransportSecurity,
            .secWebSocketAccept, .secWebSocketExtensions, .secWebSocketKey, .secWebSocketProtocol,
            .secWebSocketVersion, .xForwardedFor, .xForwardedHost, .xForwardedPort,
            .xForwardedProto, .xForwardedScheme, .xForwardedSSL, .xRealIP,
        ]))

    /// Further names, by class: request modifiers, authentication, answer controls, content.
    private static let names: Set<String> = [
        "if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since",
        "max-forwards", "pragma", "range", "via", "x-http-method-override",
        "authorization", "cookie", "set-cookie", "set-cookie2", "www-authenticate",
        "age", "cache-control", "date", "expires", "location", "retry-after", "vary", "warning",
        "content-encoding", "content-range", "content-type",
    ]
    private static let prefixes = ["x-forwarded-", "sec-websocket-"]

    /// Whether a trailer may go on, as far as that does not depend on its message.
    static func mayPass(_ field: HeadField, of list: FieldList) -> Bool {
        if known.has(field.known) { return false }
        let name = String(
            decoding: list.name(of: field).map { byte in
                byte == UInt8(ascii: "_") || byte == Octet.dot
                    ? UInt8(ascii: "-") : Octet.lowercased(byte)
            }, as: UTF8.self)
        return !names.contains(name) && !prefixes.contains { name.hasPrefix($0) }
    }
}
