// SPDX-License-Identifier: Apache-2.0

/// Where the body of a response to a GET ends (RFC 9112 §6.3).
public enum BodyFraming: Sendable, Equatable {
    /// There is no body.
    case none
    /// The body has this many bytes.
    case length(UInt64)
    /// The body comes in chunks, the last one empty.
    case chunked
    /// The body ends with the connection.
    case untilClose

    /// Reads the framing off a final response; refuses one that could be read in two ways.
    public init(response head: ResponseHead) throws(HeadFault) {
        let fields = head.fields
        let length = try RequestFraming.contentLength(fields)
        let codings = fields.tokens("transfer-encoding")
        if fields.count(of: "transfer-encoding") > 0 {
            guard length == nil else {
                throw .bad("The response has both Content-Length and Transfer-Encoding.")
            }
            guard head.isHTTP11 else { throw .bad("An HTTP/1.0 response has a Transfer-Encoding.") }
            guard codings.last == "chunked", codings.firstIndex(of: "chunked") == codings.count - 1
            else {
                throw .bad("The response's Transfer-Encoding does not end with 'chunked'.")
            }
        }
        if head.status < 200 || head.status == 204 || head.status == 304 {
            self = .none
        } else if !codings.isEmpty {
            self = .chunked
        } else if let length {
            self = length == 0 ? .none : .length(length)
        } else {
            self = .untilClose
        }
    }
}
