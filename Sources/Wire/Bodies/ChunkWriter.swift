// SPDX-License-Identifier: Apache-2.0

/// Writes chunks around payload that already lies in a buffer (RFC 9112 §7.1).
public enum ChunkWriter {
    /// Bytes that stand behind the payload: CRLF.
    public static let suffixBytes = 2

    /// Writes the size line directly in front of the payload and CRLF behind it.
    ///
    /// The caller guarantees the room for both: in front as many bytes as `count` has hexadecimal
    /// digits, at most 16, and two for CRLF; behind `suffixBytes`.
    ///
    /// `count` is more than none: an empty chunk would end the body. Returned is where the chunk
    /// begins, and its bytes.
    public static func frame(
        _ payload: UnsafeMutablePointer<UInt8>, count: Int
    ) -> (start: UnsafeMutablePointer<UInt8>, count: Int) {
        precondition(count > 0)
        unsafe payload[count] = Octet.carriageReturn
        unsafe payload[count + 1] = Octet.lineFeed
        var start = unsafe payload - 2
        unsafe start[0] = Octet.carriageReturn
        unsafe start[1] = Octet.lineFeed
        var rest = count
        while rest > 0 {
            unsafe start -= 1
            unsafe start[0] = Octet.hexDigit(UInt8(truncatingIfNeeded: rest & 15))
            rest >>= 4
        }
        let framed = unsafe payload + count + suffixBytes - start
        return unsafe (start, framed)
    }

    /// The empty chunk that ends a body, the trailers, and the empty line.
    ///
    /// Trailers are left out by the same rule as the fields of the message's head.
    ///
    /// - Parameters:
    ///   - trailers: those that came, if any.
    ///   - exact: fields that are left out.
    ///   - folded: fields that are left out with all that an application could take for them.
    ///   - names: further names of fields that are left out.
    ///   - named: what the `Connection` of the message's head names.
    /// - Returns: the bytes.
    public static func last(
        trailers: FieldList?, except exact: KnownFields = [], folded: KnownFields = [],
        names: FieldNames = FieldNames(), named: ConnectionNames = ConnectionNames()
    ) -> [UInt8] {
        guard let trailers, !trailers.fields.isEmpty else { return end }
        var named = named
        var bytes = Array("0\r\n".utf8)
        for field in trailers.fields
        where trailers.passes(field, except: exact, folded: folded, names: names, &named) {
            bytes += trailers.name(of: field)
            bytes += ": ".utf8
            bytes += trailers.value(of: field)
            bytes += "\r\n".utf8
        }
        return bytes + "\r\n".utf8
    }

    private static let end = Array("0\r\n\r\n".utf8)
}
