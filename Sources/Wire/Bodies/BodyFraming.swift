// SPDX-License-Identifier: Apache-2.0

/// Where the body of a message ends (RFC 9112 §6.3).
public enum BodyFraming: Sendable, Equatable {
    /// There is no body.
    case none
    /// The body has this many bytes.
    case length(UInt64)
    /// The body comes in chunks, the last one empty.
    case chunked
    /// The body ends with the connection.
    case untilClose

    /// Reads the framing off a request; never `untilClose`, and `none` where the length is 0.
    public init(request head: borrowing RequestHead) throws(HeadFault) {
        try RequestFraming.check(head.fields, isHTTP11: head.isHTTP11)
        if head.fields.known.has(.transferEncoding) {
            self = .chunked
        } else if let length = try RequestFraming.contentLength(head.fields), length > 0 {
            self = .length(length)
        } else {
            self = .none
        }
    }

    /// Reads the framing off a response to a request of that method.
    ///
    /// The answer to a HEAD has no body, whatever its fields say; they are judged all the same.
    public init(response head: borrowing ResponseHead, to method: Method) throws(HeadFault) {
        let framing = try BodyFraming(response: head)
        self = method == .head ? .none : framing
    }

    /// Reads the framing off a final response to a GET; refuses one that could be read in two ways.
    public init(response head: borrowing ResponseHead) throws(HeadFault) {
        let length = try RequestFraming.contentLength(head.fields)
        let hasCoding = head.fields.known.has(.transferEncoding)
        if hasCoding {
            guard length == nil else {
                throw .bad("The response has both Content-Length and Transfer-Encoding.")
            }
            guard head.isHTTP11 else { throw .bad("An HTTP/1.0 response has a Transfer-Encoding.") }
            // Other codings would be for this hop alone, and nobody asked for any (RFC 9112 §7).
            guard RequestFraming.isChunked(head.fields) || Self.isChunkedList(head.fields) else {
                throw .bad("The response's Transfer-Encoding is not exactly 'chunked'.")
            }
        }
        if head.status < 200 || head.status == 204 || head.status == 304 {
            self = .none
        } else if hasCoding {
            self = .chunked
        } else if let length {
            self = length == 0 ? .none : .length(length)
        } else {
            self = .untilClose
        }
    }

    /// Whether the one Transfer-Encoding is a list whose only element is `chunked`.
    private static func isChunkedList(_ fields: FieldList) -> Bool {
        fields.only(.transferEncoding) != nil && fields.tokens("transfer-encoding") == ["chunked"]
    }
}
