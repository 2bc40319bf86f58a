// SPDX-License-Identifier: Apache-2.0

/// Why fields can't be read.
public enum FieldFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The bytes are no sequence of fields.
    case malformed
    /// A field that this build needs is not there.
    case missing(UInt16)
    /// A field holds what it can't hold.
    case outOfRange(UInt16)
    /// A field is there that has to be known and is not.
    case unknown(UInt16)

    /// The fault in a few words.
    public var description: String {
        switch self {
        case .malformed: "its bytes are no fields"
        case .missing(let number): "field \(number) is missing"
        case .outOfRange(let number): "field \(number) holds what it can't hold"
        case .unknown(let number): "field \(number) has to be known and is not"
        }
    }
}

/// Reads what a `FieldWriter` has written, of this build or another one.
///
/// The bytes stay the caller's and have to live as long as the reader. Whatever they are, nothing traps.
@safe public struct FieldReader {
    private struct Entry {
        let number: UInt16
        let isRequired: Bool
        let start: Int
        let count: Int
        var wasRead = false
    }

    private let bytes: UnsafeRawBufferPointer
    private var entries: [Entry] = []

    /// Finds the fields.
    public init(_ bytes: UnsafeRawBufferPointer) throws(FieldFault) {
        self.bytes = bytes
        var at = 0
        while at < bytes.count {
            guard bytes.count - at >= FieldWriter.headerBytes else { throw .malformed }
            let mark = UInt16(
                littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
            let length = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: at + 2, as: UInt32.self))
            at += FieldWriter.headerBytes
            guard Int(length) <= bytes.count - at else { throw .malformed }
            let isRequired = mark & FieldWriter.requiredMark != 0
            let number = mark & ~FieldWriter.requiredMark
            entries.append(
                Entry(number: number, isRequired: isRequired, start: at, count: Int(length)))
            at += Int(length)
        }
    }

    /// Whether there is such a field.
    public func has(_ number: UInt16) -> Bool { entries.contains { $0.number == number } }

    /// The bytes of a field.
    public mutating func bytes(_ number: UInt16) throws(FieldFault) -> UnsafeRawBufferPointer {
        guard let index = entries.firstIndex(where: { $0.number == number }) else {
            throw .missing(number)
        }
        entries[index].wasRead = true
        let (start, count) = (entries[index].start, entries[index].count)
        return UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])
    }

    /// A number; `standIn` where the field is not there.
    ///
    /// Inlinable, so that other targets need no run-time metadata for each number.
    @inlinable
    public mutating func integer<Value: FixedWidthInteger>(
        _ number: UInt16, standIn: Value? = nil
    ) throws(FieldFault) -> Value {
        if let standIn, !has(number) { return standIn }
        let bits = try bits(number)
        if Value.isSigned {
            guard let exact = Value(exactly: Int64(bitPattern: bits)) else {
                throw .outOfRange(number)
            }
            return exact
        }
        guard let exact = Value(exactly: bits) else { throw .outOfRange(number) }
        return exact
    }

    @usableFromInline
    mutating func bits(_ number: UInt16) throws(FieldFault) -> UInt64 {
        let value = try bytes(number)
        guard value.count == 8 else { throw .outOfRange(number) }
        return UInt64(littleEndian: value.loadUnaligned(as: UInt64.self))
    }

    /// A truth value; `standIn` where the field is not there.
    public mutating func flag(
        _ number: UInt16, standIn: Bool? = nil
    ) throws(FieldFault) -> Bool {
        let value: UInt8 = try integer(number, standIn: standIn.map { $0 ? 1 : 0 })
        guard value <= 1 else { throw .outOfRange(number) }
        return value == 1
    }

    /// A text, which has to be UTF-8.
    public mutating func text(_ number: UInt16) throws(FieldFault) -> String {
        let value = try bytes(number)
        guard let text = String(validating: value, as: UTF8.self) else {
            throw .outOfRange(number)
        }
        return text
    }

    /// The fields that are the value of a field.
    public mutating func part(_ number: UInt16) throws(FieldFault) -> FieldReader {
        try FieldReader(try bytes(number))
    }

    /// The values of all fields, whatever their numbers, each as fields again, in the order in which they stand.
    public mutating func parts() throws(FieldFault) -> [FieldReader] {
        var parts: [FieldReader] = []
        parts.reserveCapacity(entries.count)
        for index in entries.indices {
            entries[index].wasRead = true
            let (start, count) = (entries[index].start, entries[index].count)
            parts.append(
                try FieldReader(UnsafeRawBufferPointer(rebasing: bytes[start..<start + count])))
        }
        return parts
    }

    /// Has to be called when all known fields were read.
    ///
    /// - Throws: `unknown` where one is left that a reader has to know.
    public func finish() throws(FieldFault) {
        for entry in entries where entry.isRequired && !entry.wasRead {
            throw .unknown(entry.number)
        }
    }
}
