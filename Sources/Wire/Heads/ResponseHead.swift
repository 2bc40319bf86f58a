// SPDX-License-Identifier: Apache-2.0

/// The head of a response: all that stands before its body.
public struct ResponseHead: Sendable {
    /// The status, 100 to 999; those from 600 on have no meaning of their own (RFC 9110 §15).
    public let status: Int
    /// Whether the response is HTTP/1.1; otherwise it is HTTP/1.0.
    public let isHTTP11: Bool
    let reasonPlace: ByteRange
    /// The fields in the order in which they came, as ranges in their bytes.
    public internal(set) var fields: FieldList

    /// The reason phrase as sent, often empty.
    public var reason: [UInt8] { Array(fields.bytes[reasonPlace.range]) }

    /// Whether bytes may follow an answer to that method which by RFC 9112 §6.3 ends with its head:
    /// its fields speak of a body, and a server that writes them so may send one.
    ///
    /// Nothing else can be read on such a connection.
    public func mayHaveStrayBody(to method: Method) -> Bool {
        guard fields.known.has(.contentLength) || fields.known.has(.transferEncoding) else {
            return false
        }
        if status < 200 || status == 204 { return !fields.saysNoBody }
        // These fields describe a body that stays away; here they only have to be sound.
        if status == 304 || method == .head { return (try? BodyFraming(stated: self)) == nil }
        return false
    }

    /// Gives the memory back to be used for another head; nothing else may be asked then.
    public mutating func takeMemory() -> HeadMemory { fields.takeMemory() }
}
