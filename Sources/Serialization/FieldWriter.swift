// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Writes values under numbers, so that another build of the program can read them.
///
/// A field is its number and a mark (16 bits), the length of its value (32 bits) and the value, all little-endian. The
/// mark says whether a reader that does not know the number may go on without it. A part is a field whose value is
/// fields again. The bytes may hold keys: they are overwritten when the writer grows and when it ends.
@safe public struct FieldWriter: ~Copyable {
    /// The mark of a field that a reader has to know.
    static let requiredMark: UInt16 = 0x8000
    /// Bytes in front of each value.
    static let headerBytes = 6

    private var memory: UnsafeMutableRawPointer
    private var capacity: Int
    /// Bytes that were written.
    public private(set) var count = 0

    /// A writer that has written nothing.
    public init(capacity: Int = 4_096) {
        self.capacity = max(capacity, 64)
        memory = .allocate(byteCount: self.capacity, alignment: 8)
    }

    deinit {
        explicit_bzero(memory, capacity)
        memory.deallocate()
    }

    /// Writes a number of up to 64 bits; one below zero keeps its sign.
    ///
    /// Inlinable, so that other targets need no run-time metadata for each number.
    @inlinable
    public mutating func put(
        _ number: UInt16, _ value: some FixedWidthInteger, isRequired: Bool = true
    ) {
        put(number, bits: UInt64(truncatingIfNeeded: value), isRequired: isRequired)
    }

    @usableFromInline
    mutating func put(_ number: UInt16, bits: UInt64, isRequired: Bool) {
        header(number, isRequired, byteCount: 8)
        append(bits)
    }

    /// Writes a truth value.
    public mutating func put(_ number: UInt16, _ value: Bool, isRequired: Bool = true) {
        put(number, value ? 1 : 0, isRequired: isRequired)
    }

    /// Writes a text in UTF-8.
    public mutating func put(_ number: UInt16, _ text: String, isRequired: Bool = true) {
        var text = text
        text.withUTF8 { put(number, bytes: UnsafeRawBufferPointer($0), isRequired: isRequired) }
    }

    /// Writes bytes as they are.
    public mutating func put(
        _ number: UInt16, bytes: UnsafeRawBufferPointer, isRequired: Bool = true
    ) {
        header(number, isRequired, byteCount: bytes.count)
        append(bytes)
    }

    /// Writes bytes behind those of the value that a `part` is writing, which then is no sequence of fields.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        reserve(bytes.count)
        memcpy(memory + count, start, bytes.count)
        count += bytes.count
    }

    /// Writes fields as the value of one field.
    public mutating func part(
        _ number: UInt16, isRequired: Bool = true, _ write: (inout FieldWriter) -> Void
    ) {
        header(number, isRequired, byteCount: 0)
        let start = count
        write(&self)
        let length = UInt32(truncatingIfNeeded: count - start)
        (memory + (start - 4)).storeBytes(of: length.littleEndian, as: UInt32.self)
    }

    /// Lends what was written.
    public borrowing func withBytes<Outcome>(
        _ use: (UnsafeRawBufferPointer) -> Outcome
    ) -> Outcome {
        use(UnsafeRawBufferPointer(start: memory, count: count))
    }

    private mutating func header(_ number: UInt16, _ isRequired: Bool, byteCount: Int) {
        precondition(number < Self.requiredMark && byteCount <= UInt32.max)
        append(number | (isRequired ? Self.requiredMark : 0))
        append(UInt32(byteCount))
    }

    private mutating func append(_ value: some FixedWidthInteger) {
        let size = value.bitWidth / 8
        reserve(size)
        withUnsafeBytes(of: value.littleEndian) { bytes in
            (memory + count).copyMemory(
                from: bytes.baseAddress.unsafelyUnwrapped, byteCount: size)
        }
        count += size
    }

    private mutating func reserve(_ more: Int) {
        if count + more <= capacity { return }
        let grown = max(capacity * 2, count + more)
        let larger = UnsafeMutableRawPointer.allocate(byteCount: grown, alignment: 8)
        memcpy(larger, memory, count)
        explicit_bzero(memory, capacity)
        memory.deallocate()
        memory = larger
        capacity = grown
    }
}
