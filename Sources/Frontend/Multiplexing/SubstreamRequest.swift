// SPDX-License-Identifier: Apache-2.0
import HTTP2
import TLS
import Wire

/// The request on a stream of HTTP/2, in the form in which those of HTTP/1.1 are judged.
///
/// There is one judgement of requests. A head of HTTP/2 is written as one of HTTP/1.1 and read by the same
/// parser, so no rule holds for one of them only. An extended CONNECT (RFC 8441 §4) becomes an opening
/// handshake with a key of ours.
enum SubstreamRequest {
    /// What a head asks for.
    enum Kind {
        /// Something that has its like in HTTP/1.1.
        case usual
        /// A method, path or authority that could not stand in one line of a head of HTTP/1.1.
        case unsound
        /// An extended CONNECT for something else than a WebSocket.
        case otherProtocol
        /// A CONNECT that asks for a tunnel to whatever host it names (RFC 9113 §8.5).
        case plainConnect
    }

    /// What the head asks for.
    static func kind(of head: borrowing HTTP2Head) -> Kind {
        head.bytes.withUnsafeBufferPointer { bytes in
            guard isSound(bytes, head.method), isSound(bytes, head.path),
                isSound(bytes, head.authority)
            else { return .unsound }
            if head.protocolName.isEmpty {
                return isEqual(bytes, head.method, "CONNECT") ? .plainConnect : .usual
            }
            return isEqual(bytes, head.protocolName, "websocket") ? .usual : .otherProtocol
        }
    }

    /// Whether what stands there holds no space and no control character.
    private static func isSound(_ bytes: UnsafeBufferPointer<UInt8>, _ place: HTTP2Place) -> Bool {
        for index in place.range where bytes[index] <= 0x20 || bytes[index] == 0x7F {
            return false
        }
        return true
    }

    private static func isEqual(
        _ bytes: UnsafeBufferPointer<UInt8>, _ place: HTTP2Place, _ text: StaticString
    ) -> Bool {
        guard place.count == text.utf8CodeUnitCount else { return false }
        let start = place.range.lowerBound
        for index in 0..<place.count where bytes[start + index] != text.utf8Start[index] {
            return false
        }
        return true
    }

    /// Whether the head is one of HEAD, whose answer has no body.
    static func isHead(_ head: borrowing HTTP2Head) -> Bool {
        head.bytes.withUnsafeBufferPointer { isEqual($0, head.method, "HEAD") }
    }

    /// Whether a name is that of a field of the opening handshake that does not come from a client of
    /// HTTP/2, or could be taken for it: applications read `_` and `.` as `-`.
    private static func isOurs(_ bytes: UnsafeBufferPointer<UInt8>, _ name: HTTP2Place) -> Bool {
        switch name.count {
        case 14: isAlias(bytes, name, "content-length")
        case 17: isAlias(bytes, name, "sec-websocket-key")
        case 20: isAlias(bytes, name, "sec-websocket-accept")
        default: false
        }
    }

    private static func isAlias(
        _ bytes: UnsafeBufferPointer<UInt8>, _ name: HTTP2Place, _ known: StaticString
    ) -> Bool {
        assert(name.count == known.utf8CodeUnitCount)
        let start = name.range.lowerBound
        for index in 0..<name.count where bytes[start + index] != known.utf8Start[index] {
            let byte = bytes[start + index]
            let isFolded = byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
            guard isFolded, known.utf8Start[index] == UInt8(ascii: "-") else { return false }
        }
        return true
    }

    /// Writes the head; `isLast` says that no body follows, and a WebSocket is asked for with a key of
    /// `keys`.
    static func write(
        _ head: borrowing HTTP2Head, isLast: Bool, keys: inout WebSocketKeys,
        into writer: inout HeadWriter
    ) {
        writer.clear()
        let isWebSocket = !head.protocolName.isEmpty
        head.bytes.withUnsafeBufferPointer { bytes in
            func append(_ place: Range<Int>) {
                writer.append(UnsafeBufferPointer(rebasing: bytes[place]))
            }
            if isWebSocket { writer.append("GET") } else { append(head.method.range) }
            writer.append(" ")
            append(head.path.isEmpty ? head.authority.range : head.path.range)
            writer.append(" HTTP/1.1\r\nhost: ")
            append(head.authority.range)
            writer.append("\r\n")
            var hasLength = false
            for field in head.fields {
                let isLength = isEqual(bytes, field.name, "content-length")
                if isLength { hasLength = true }
                if isWebSocket && isOurs(bytes, field.name) { continue }
                // Name, colon, space, value and the end of the line stand in one piece.
                append(field.name.range.lowerBound..<field.value.range.upperBound + 2)
            }
            if isWebSocket {
                writer.append("upgrade: websocket\r\nconnection: upgrade\r\n")
                writer.append("sec-websocket-key: ")
                keys.withNext { writer.append($0) }
                writer.append("\r\n")
            } else if !isLast && !hasLength {
                // Its length is not known: the stream's end is the body's.
                writer.append("transfer-encoding: chunked\r\n")
            }
        }
        writer.append("\r\n")
    }

    /// Trailers as they stand behind a body in chunks, with the empty line that ends them
    /// (RFC 9112 §7.1.2).
    static func lines(of trailers: borrowing HTTP2Head) -> [UInt8] {
        var lines: [UInt8] = []
        for field in trailers.fields {
            lines += trailers.bytes[field.name.range.lowerBound..<field.value.range.upperBound + 2]
        }
        lines += [0x0D, 0x0A]
        return lines
    }
}
