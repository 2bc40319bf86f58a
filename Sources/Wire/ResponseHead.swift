// SPDX-License-Identifier: Apache-2.0

/// The head of a response: all that stands before its body.
public struct ResponseHead: Sendable {
    /// The status, 100 to 999; those from 600 on have no meaning of their own (RFC 9110 §15).
    public let status: Int
    /// Whether the response is HTTP/1.1; otherwise it is HTTP/1.0.
    public let isHTTP11: Bool
    let reasonPlace: ByteRange
    /// The fields.
    public internal(set) var fields: FieldList

    /// The reason phrase as sent, often empty.
    public var reason: [UInt8] { Array(fields.bytes[reasonPlace.range]) }

    /// Gives the memory back to be used for another head; nothing else may be asked then.
    public mutating func takeMemory() -> HeadMemory { fields.takeMemory() }
}
