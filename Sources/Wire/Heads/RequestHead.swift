// SPDX-License-Identifier: Apache-2.0

/// The methods whose meaning matters to who forwards them (RFC 9110 §9.3).
public enum Method: UInt8, Sendable {
    /// A method that is passed on without knowing what it means.
    case other
    case get, head, post, put, delete, connect, options, trace

    /// Whether doing it twice is the same as doing it once (RFC 9110 §9.2.2).
    public var isIdempotent: Bool {
        switch self {
        case .get, .head, .options, .put, .delete, .trace: true
        case .post, .connect, .other: false
        }
    }

    init(_ name: Span<UInt8>) {
        func isNamed(_ text: StaticString) -> Bool {
            let expected = unsafe UnsafeBufferPointer(start: text.utf8Start, count: name.count)
            for index in name.indices where unsafe name[index] != expected[index] { return false }
            return true
        }
        switch name.count {
        case 3 where isNamed("GET"): self = .get
        case 3 where isNamed("PUT"): self = .put
        case 4 where isNamed("HEAD"): self = .head
        case 4 where isNamed("POST"): self = .post
        case 5 where isNamed("TRACE"): self = .trace
        case 6 where isNamed("DELETE"): self = .delete
        case 7 where isNamed("CONNECT"): self = .connect
        case 7 where isNamed("OPTIONS"): self = .options
        default: self = .other
        }
    }
}

/// The head of a request: all that stands before its body.
///
/// It is lawful by RFC 9112 as strictly read; what an upgrade needs beyond that,
/// `UpgradeRequest.judge` looks at.
public struct RequestHead: Sendable {
    /// The method, if it is one of those that are known.
    public let verb: Method
    /// Whether the request is HTTP/1.1; otherwise it is HTTP/1.0.
    public let isHTTP11: Bool
    /// Whether the target holds ASCII alone, as it should.
    let isTargetASCII: Bool
    let methodPlace: ByteRange
    let targetPlace: ByteRange
    /// The fields in the order in which they came, as ranges in their bytes.
    public internal(set) var fields: FieldList

    /// The method, letters as sent (methods are case-sensitive).
    public var method: String {
        String(decoding: fields.bytes[methodPlace.range], as: UTF8.self)
    }

    /// The target as sent: without white space, control characters and `#`.
    public var target: ArraySlice<UInt8> { fields.bytes[targetPlace.range] }

    /// The head; what stays behind has no fields.
    mutating func takeOver() -> RequestHead {
        var fields = FieldList(bytes: [], fields: [], known: [], repeated: [])
        swap(&fields, &self.fields)
        return RequestHead(
            verb: verb, isHTTP11: isHTTP11, isTargetASCII: isTargetASCII, methodPlace: methodPlace,
            targetPlace: targetPlace, fields: fields)
    }

    /// Gives the memory back to be used for another head; nothing else may be asked then.
    public mutating func takeMemory() -> HeadMemory { fields.takeMemory() }
}
