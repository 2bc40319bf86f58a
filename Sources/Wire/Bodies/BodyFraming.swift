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
    /// The answer to a HEAD ends with its head whatever its fields say (RFC 9112 §6.3).
    public init(response head: borrowing ResponseHead, to method: Method) throws(HeadFault) {
        self = method == .head ? .none : try BodyFraming(response: head)
    }

    /// Reads the framing off a response to a GET; refuses one that could be read in two ways.
    ///
    /// A 1xx, 204 or 304 ends with its head whatever its fields say (RFC 9112 §6.3).
    public init(response head: borrowing ResponseHead) throws(HeadFault) {
        if head.status < 200 || head.status == 204 || head.status == 304 {
            self = .none
        } else {
            self = try BodyFraming(stated: head)
        }
    }

    /// Reads the framing that the fields of a response state, whatever its status.
    public init(stated head: borrowing ResponseHead) throws(HeadFault) {
        let length = try RequestFraming.contentLength(head.fields)
        if head.fields.known.has(.transferEncoding) {
            guard length == nil else {
                throw .bad("The response has both Content-Length and Transfer-Encoding.")
            }
            guard head.isHTTP11 else { throw .bad("An HTTP/1.0 response has a Transfer-Encoding.") }
            // Other codings would be for this hop alone, and nobody asked for any (RFC 9112 §7).
            guard RequestFraming.isChunked(head.fields) || Self.isChunkedList(head.fields) else {
                throw .bad("The response's Transfer-Encoding is not exactly 'chunked'.")
            }
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
