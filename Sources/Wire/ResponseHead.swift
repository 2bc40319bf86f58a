// SPDX-License-Identifier: Apache-2.0

/// The head of a response: all that stands before its body.
public struct ResponseHead: Sendable {
    /// The status, 100 to 599.
    public let status: Int
    /// The reason phrase as sent, often empty.
    public let reason: [UInt8]
    /// Whether the response is HTTP/1.1; otherwise it is HTTP/1.0.
    public let isHTTP11: Bool
    /// The fields.
    public let fields: FieldList
}
