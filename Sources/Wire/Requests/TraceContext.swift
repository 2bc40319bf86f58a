// SPDX-License-Identifier: Apache-2.0

/// Names one trace: 16 bytes, of which not all are 0 (W3C Trace Context §3.2.2.3).
public struct TraceID: Sendable, Hashable, CustomStringConvertible {
    /// The first eight bytes, as a number in network order.
    public let high: UInt64
    /// The last eight, which are random.
    public let low: UInt64

    /// No trace.
    public static let none = TraceID(high: 0, low: 0)

    /// The trace of these bytes.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// Whether it names no trace.
    public var isNone: Bool { high | low == 0 }

    /// 32 digits in lower case.
    public var description: String { Hexadecimal.text(high) + Hexadecimal.text(low) }
}

/// What `traceparent` says of a trace beside its name (W3C Trace Context §3.2.2.5).
public struct TraceFlags: OptionSet, Sendable {
    /// The bits as they are sent.
    public let rawValue: UInt8

    /// The flags of these bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// Whoever sent it may have recorded it.
    public static let sampled = TraceFlags(rawValue: 1)
    /// The last seven bytes of the trace's name are random (level 2).
    public static let random = TraceFlags(rawValue: 2)
    /// Those that are known; others are not passed on.
    static let known: TraceFlags = [.sampled, .random]
}

/// The value of a `traceparent` field (W3C Trace Context §3.2).
public struct TraceParent: Sendable, Equatable {
    /// Bytes of a value of version 00.
    public static let byteCount = 55

    /// The trace.
    public let trace: TraceID
    /// The span that has caused the request; not 0.
    public let span: UInt64
    /// What is known of the trace.
    public let flags: TraceFlags

    /// A value of its parts.
    public init(trace: TraceID, span: UInt64, flags: TraceFlags) {
        self.trace = trace
        self.span = span
        self.flags = flags
    }

    /// Reads a value; nil where it is none, which counts as if it were not there.
    ///
    /// Of a version that is not known, what 00 has too is read.
    public init?(parsing bytes: Span<UInt8>) {
        let dash = UInt8(ascii: "-")
        guard bytes.count >= Self.byteCount, bytes[2] == dash, bytes[35] == dash,
            bytes[52] == dash,
            let version = Hexadecimal.number(bytes.extracting(0..<2)), version != 0xFF,
            version == 0
                ? bytes.count == Self.byteCount
                : bytes.count == Self.byteCount || bytes[Self.byteCount] == dash,
            let high = Hexadecimal.number(bytes.extracting(3..<19)),
            let low = Hexadecimal.number(bytes.extracting(19..<35)), high | low != 0,
            let span = Hexadecimal.number(bytes.extracting(36..<52)), span != 0,
            let flags = Hexadecimal.number(bytes.extracting(53..<55))
        else { return nil }
        trace = TraceID(high: high, low: low)
        self.span = span
        let known = TraceFlags(rawValue: UInt8(truncatingIfNeeded: flags)).intersection(.known)
        self.flags = version == 0 ? known : known.intersection(.sampled)
    }
}

extension FieldList {
    /// What `traceparent` says; nil where it is not there, came more than once or is none.
    public var traceParent: TraceParent? {
        guard let field = only(.traceparent) else { return nil }
        return TraceParent(parsing: bytes.span.extracting(field.value))
    }

    /// Whether what `tracestate` says may go on: at most 512 bytes and 32 members of the form
    /// `key=value`, in one field or several (W3C Trace Context §3.3).
    public var hasSoundTraceState: Bool {
        guard known.has(.tracestate) else { return false }
        var state = TraceState()
        for index in 0..<fields.count
        where fields[index].known == .tracestate && fields[index].isExact {
            guard state.takes(bytes.span.extracting(fields[index].value)) else { return false }
        }
        return state.memberCount > 0
    }
}

/// Judges the values of `tracestate` fields, one after the other.
private struct TraceState {
    /// What everybody has to pass on (§3.3.1.5); what is longer may be left out.
    private static let bytesMax = 512
    private static let membersMax = 32
    private static let keyBytesMax = 256
    private static let valueBytesMax = 256

    private(set) var memberCount = 0
    private var byteCount = 0

    /// Whether another value is sound too.
    mutating func takes(_ value: Span<UInt8>) -> Bool {
        byteCount += value.count
        guard byteCount <= Self.bytesMax else { return false }
        var start = 0
        while start <= value.count {
            var end = start
            while end < value.count, value[end] != Octet.comma { end += 1 }
            guard takes(member: value.extracting(start..<end)) else { return false }
            start = end + 1
        }
        return memberCount <= Self.membersMax
    }

    /// Whether one element of the list is sound; it may be empty.
    private mutating func takes(member: Span<UInt8>) -> Bool {
        var (start, end) = (0, member.count)
        while start < end, Self.isBlank(member[start]) { start += 1 }
        while end > start, Self.isBlank(member[end - 1]) { end -= 1 }
        if start == end { return true }
        memberCount += 1
        var place = start
        while place < end, Self.isKey(member[place]) { place += 1 }
        let keyCount = place - start
        guard keyCount > 0, keyCount <= Self.keyBytesMax, place < end,
            member[place] == UInt8(ascii: "=")
        else { return false }
        let valueStart = place + 1
        guard valueStart < end, end - valueStart <= Self.valueBytesMax else { return false }
        for index in valueStart..<end {
            let byte = member[index]
            guard 0x20...0x7E ~= byte, byte != UInt8(ascii: "=") else { return false }
        }
        return true
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == Octet.space || byte == UInt8(ascii: "\t")
    }

    private static func isKey(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        case UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "/"): true
        case UInt8(ascii: "@"): true
        default: false
        }
    }
}

/// Numbers in hexadecimal digits, of which letters are small.
public enum Hexadecimal {
    /// The 16 digits of a number.
    public static func text(_ number: UInt64) -> String {
        unsafe String(unsafeUninitializedCapacity: 16) { text in
            for place in 0..<16 { unsafe text[place] = digit(number, place) }
            return 16
        }
    }

    /// The digit at a place of sixteen, of which 0 is the first.
    @inline(__always)
    static func digit(_ number: UInt64, _ place: Int) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: number &>> UInt64(60 &- 4 &* place) & 15)
        return value < 10 ? 0x30 &+ value : 0x57 &+ value
    }

    /// Reads up to 16 digits; nil where one is none.
    static func number(_ digits: Span<UInt8>) -> UInt64? {
        assert(digits.count <= 16)
        var number: UInt64 = 0
        for index in digits.indices {
            let byte = digits[index]
            let value: UInt8
            switch byte {
            case 0x30...0x39: value = byte &- 0x30
            case 0x61...0x66: value = byte &- 0x57
            default: return nil
            }
            number = number &<< 4 | UInt64(value)
        }
        return number
    }
}

extension HeadWriter {
    /// Writes a `traceparent` of version 00.
    public mutating func field(_ parent: TraceParent) {
        append("traceparent: 00-")
        append(hexadecimal: parent.trace.high)
        append(hexadecimal: parent.trace.low)
        append("-")
        append(hexadecimal: parent.span)
        append("-0")
        // Two flags are known, so that the second digit says all.
        append(UInt64(parent.flags.intersection(.known).rawValue))
        end()
    }
}
