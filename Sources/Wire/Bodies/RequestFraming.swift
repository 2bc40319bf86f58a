// SPDX-License-Identifier: Apache-2.0

/// The fields that say where a message's body ends, read so that no two readers can differ.
///
/// Two readers that see the body's end in different places are what request smuggling lives on
/// (RFC 9112 §11.2), so everything that is not said plainly and once is refused.
enum RequestFraming {
    /// Refuses a request whose body does not end in one plain place.
    static func check(_ fields: FieldList, isHTTP11: Bool) throws(HeadFault) {
        let hasLength = try contentLength(fields) != nil
        guard fields.known.has(.transferEncoding) else { return }
        if hasLength {
            throw .bad("The request has both Content-Length and Transfer-Encoding.")
        }
        guard isHTTP11 else { throw .bad("An HTTP/1.0 request has a Transfer-Encoding.") }
        guard isChunked(fields) else {
            throw .bad("The Transfer-Encoding is not exactly 'chunked'.")
        }
    }

    /// Whether there is one Transfer-Encoding and it is `chunked`, in whatever case.
    static func isChunked(_ fields: FieldList) -> Bool {
        guard let field = fields.only(.transferEncoding) else { return false }
        return Bytes.areEqual(fields.bytes.span, field.value, ignoringCase: "chunked")
    }

    /// The one Content-Length, nil if there is none; refused unless it is digits only.
    static func contentLength(_ fields: FieldList) throws(HeadFault) -> UInt64? {
        guard fields.known.has(.contentLength) else { return nil }
        guard let field = fields.only(.contentLength) else {
            throw .bad("There is more than one Content-Length.")
        }
        // 18 digits stay below 2^63, so that no sum of lengths further on can overflow.
        let text = fields.bytes.span.extracting(field.value)
        var isPlain = !text.isEmpty && text.count <= 18
        for index in text.indices where !Octet.isDigit(text[index]) { isPlain = false }
        guard isPlain else { throw .bad("The Content-Length is not a plain number.") }
        return text.decimalValue
    }
}
