// SPDX-License-Identifier: Apache-2.0

/// A place among the bytes of a head.
public struct HTTP2Place: Sendable, Hashable {
    private let start: UInt32
    private let length: UInt32

    /// The place of nothing, at the start.
    public static let empty = HTTP2Place(0..<0)

    init(_ range: Range<Int>) {
        start = UInt32(truncatingIfNeeded: range.lowerBound)
        length = UInt32(truncatingIfNeeded: range.count)
    }

    /// The place as a range of indices into `HTTP2Head.bytes`.
    public var range: Range<Int> { Int(start)..<Int(start) + Int(length) }
    /// How many bytes it has.
    public var count: Int { Int(length) }
    /// Whether nothing stands there.
    public var isEmpty: Bool { length == 0 }
}

/// A field: its name, which is a token in lower case, and its value.
public struct HTTP2Field: Sendable, Hashable {
    /// Where the name stands.
    public let name: HTTP2Place
    /// Where the value stands; it has no white space around it, and no CR, LF, NUL or other control
    /// character but HTAB.
    public let value: HTTP2Place
}

/// The head of a request, or its trailers, over bytes of its own.
///
/// It is well-formed by RFC 9113 §8.2 and §8.3, with two exceptions: a plain CONNECT has no path and
/// no scheme, and a head with a `fault` is cut short. `:path` begins with `/`, or is `*` with OPTIONS,
/// if the scheme is `http` or `https`.
///
/// It has one owner at a time: it is moved, and can't be copied. The memory of a head that is of no more use
/// may go back by `HTTP2Memory.recycle`; whoever has given it back has it no more.
public struct HTTP2Head: ~Copyable {
    /// Why a head can't be used as a request, only be answered.
    ///
    /// What follows the answer is `reset`, with the peer's fault: so it counts by `resetsProvoked`.
    public enum Fault: Sendable, Hashable {
        /// It has more than `HTTP2Limits.headBytesMax` bytes; 431 says so.
        case tooManyBytes
        /// It has more than `HTTP2Limits.headFieldsMax` fields; 431 says so.
        case tooManyFields
    }

    /// Where it is; it moves as a reference, and is nobody else's.
    let memory: HTTP2HeadMemory

    init(_ memory: HTTP2HeadMemory) { self.memory = memory }

    /// All names and values.
    ///
    /// Behind each name stands `: `, and behind each value CR and LF.
    public var bytes: [UInt8] { memory.storage.pointee.bytes }
    /// The fields in order, without the pseudo fields, `host` and all but one `cookie`.
    public var fields: [HTTP2Field] { memory.storage.pointee.fields }
    /// The value of `:method`.
    public var method: HTTP2Place { memory.storage.pointee.method }
    /// The value of `:scheme`; empty with a plain CONNECT.
    public var scheme: HTTP2Place { memory.storage.pointee.scheme }
    /// The value of `:authority`, or of `host` where there is none; where there are both, they are
    /// the same.
    public var authority: HTTP2Place { memory.storage.pointee.authority }
    /// The value of `:path`; empty with a plain CONNECT.
    public var path: HTTP2Place { memory.storage.pointee.path }
    /// The value of `:protocol`; empty unless it is an extended CONNECT (RFC 8441 §4).
    public var protocolName: HTTP2Place { memory.storage.pointee.protocolName }
    /// Why it can only be answered; nil for nearly all.
    public var fault: Fault? { memory.storage.pointee.fault }

    /// The bytes of a place.
    public func bytes(of place: HTTP2Place) -> ArraySlice<UInt8> { bytes[place.range] }

    /// The text of a place; bytes that are not UTF-8 are replaced.
    public func text(of place: HTTP2Place) -> String {
        String(decoding: bytes[place.range], as: UTF8.self)
    }

    static func equal(_ bytes: UnsafeBufferPointer<UInt8>, _ text: StaticString) -> Bool {
        guard bytes.count == text.utf8CodeUnitCount else { return false }
        for index in 0..<bytes.count where bytes[index] != text.utf8Start[index] { return false }
        return true
    }

    static func lowercased(_ byte: UInt8) -> UInt8 {
        UInt8(ascii: "A")...UInt8(ascii: "Z") ~= byte ? byte | 0x20 : byte
    }
}

/// The memory of one head.
///
/// Its storage stands behind a pointer, since each access to a class's own property would be checked for
/// exclusivity, many times for each head.
final class HTTP2HeadMemory {
    let storage: UnsafeMutablePointer<HeadStorage>

    init() {
        storage = .allocate(capacity: 1)
        storage.initialize(to: HeadStorage())
    }

    deinit {
        storage.deinitialize(count: 1)
        storage.deallocate()
    }
}
