// SPDX-License-Identifier: Apache-2.0

/// The fields that say where a message's body ends, read so that no two readers can differ.
///
/// Two readers that see the body's end in different places are what request smuggling lives on
/// (RFC 9112 §11.2), so everything that is not said plainly and once is refused.
enum RequestFraming {
    /// Refuses a request whose body does not end in one plain place.
    static func check(_ fields: FieldList, isHTTP11: Bool) throws(HeadFault) {
        let hasLength = try contentLength(fields) != nil
        let codings = fields.all("transfer-encoding")
        guard let coding = codings.first else { return }
        if hasLength {
            throw .bad("The request has both Content-Length and Transfer-Encoding.")
        }
        guard isHTTP11 else { throw .bad("An HTTP/1.0 request has a Transfer-Encoding.") }
        guard codings.count == 1, coding.equalsIgnoringCase("chunked") else {
            throw .bad("The Transfer-Encoding is not exactly 'chunked'.")
        }
    }

    /// The one Content-Length, nil if there is none; refused unless it is digits only.
    static func contentLength(_ fields: FieldList) throws(HeadFault) -> UInt64? {
        let lengths = fields.all("content-length")
        guard let text = lengths.first else { return nil }
        guard lengths.count == 1 else { throw .bad("There is more than one Content-Length.") }
        // 18 digits stay below 2^63, so that no sum of lengths further on can overflow.
        guard !text.isEmpty, text.count <= 18, text.allSatisfy(Octet.isDigit) else {
            throw .bad("The Content-Length is not a plain number.")
        }
        return text.reduce(0) { $0 * 10 + UInt64($1 - 0x30) }
    }
}
