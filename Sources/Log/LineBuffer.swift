// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor

/// Bytes of log lines under way; its memory is used again for the next ones.
struct LineBuffer: ~Copyable {
    /// How text that a peer may have chosen is written.
    enum Form {
        /// Among other words: no spaces either.
        case word
        /// Between quotation marks, or at the end of a line.
        case sentence
        /// Inside a JSON string (RFC 8259 §7).
        case json
    }

    private var memory: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private(set) var count = 0

    init(capacity: Int = 4_096) {
        self.capacity = capacity
        memory = .allocate(capacity: capacity)
    }

    deinit { memory.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: memory, count: count) }

    /// Begins anew; what a burst has made large is given back.
    mutating func clear() {
        count = 0
        if capacity > 1_048_576 { resize(65_536) }
    }

    @inline(__always)
    private mutating func reserve(_ added: Int) {
        if added > capacity &- count { resize(max(capacity &* 2, count + added)) }
    }

    private mutating func resize(_ size: Int) {
        let other = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
        other.update(from: memory, count: count)
        memory.deallocate()
        memory = other
        capacity = size
    }

    mutating func append(_ text: StaticString) {
        append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func put(_ byte: UInt8) {
        reserve(1)
        memory[count] = byte
        count &+= 1
    }

    mutating func append(_ text: UnsafeBufferPointer<UInt8>) {
        guard let source = text.baseAddress else { return }
        reserve(text.count)
        (memory + count).update(from: source, count: text.count)
        count &+= text.count
    }

    /// Writes text as it is: it is our own, or binary is what is asked for.
    mutating func append(string text: String) {
        var text = text
        text.withUTF8 { append($0) }
    }

    /// Writes a number in decimal digits.
    mutating func append(_ number: UInt64) {
        var digits = 1
        var rest = number / 10
        while rest > 0 {
            digits &+= 1
            rest /= 10
        }
        append(number, digits: digits)
    }

    /// Writes the last so many decimal digits of a number.
    mutating func append(_ number: UInt64, digits: Int) {
        reserve(digits)
        var rest = number
        for place in stride(from: count &+ digits &- 1, through: count, by: -1) {
            memory[place] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        count &+= digits
    }

    mutating func append(_ address: Address) {
        reserve(Address.textBytesMax)
        count &+= address.writeText(to: memory + count)
    }

    mutating func append(_ relay: RelayID) {
        let numbers = relay.numbers
        append(numbers.worker)
        append("-")
        append(numbers.slot)
        append("-")
        append(numbers.generation)
    }

    /// Writes 64 bits with the lowest byte first, as the journal wants them.
    mutating func append(littleEndian number: UInt64) {
        for shift in stride(from: 0, to: 64, by: 8) {
            put(UInt8(truncatingIfNeeded: number >> UInt64(shift)))
        }
    }

    /// Writes text that nobody can end the line, the word or the quotation with.
    mutating func append(_ text: String, as form: Form) {
        var text = text
        text.withUTF8 { bytes in
            // One scan for the usual case, in which nothing has to be escaped.
            for byte in bytes where Self.needsCare(byte, form) {
                appendCarefully(bytes, form)
                return
            }
            append(bytes)
        }
    }

    @inline(__always)
    private static func needsCare(_ byte: UInt8, _ form: Form) -> Bool {
        if byte < 0x20 || byte == 0x22 || byte == 0x5C { return true }
        if form == .json { return false }
        // 0xC2 begins the control characters of Latin-1, 0xE2 what Unicode takes for ends of lines.
        return byte == 0x7F || byte == 0xC2 || byte == 0xE2 || form == .word && byte == 0x20
    }

    private mutating func appendCarefully(_ bytes: UnsafeBufferPointer<UInt8>, _ form: Form) {
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            switch (scalar.value, form) {
            case (0x22, .json), (0x5C, .json):
                put(0x5C)
                put(UInt8(scalar.value))
            case (0..<0x20, .json):
                append("\\u00")
                append(hex: scalar.value, digits: 2)
            case (_, .json): append(scalar: scalar)
            case (0..<0x20, _), (0x7F..<0xA0, _), (0x22, _), (0x5C, _), (0x20, .word):
                append("\\x")
                append(hex: scalar.value, digits: 2)
            case (0x2028, _), (0x2029, _):
                append("\\u{")
                append(hex: scalar.value, digits: 4)
                append("}")
            default: append(scalar: scalar)
            }
        }
    }

    private mutating func append(scalar: Unicode.Scalar) {
        for byte in UTF8.encode(scalar) ?? .init() { put(byte) }
    }

    private mutating func append(hex number: UInt32, digits: Int) {
        for place in stride(from: digits - 1, through: 0, by: -1) {
            let digit = UInt8(truncatingIfNeeded: number >> UInt32(4 * place) & 15)
            put(digit < 10 ? 0x30 + digit : 0x57 + digit)
        }
    }
}
