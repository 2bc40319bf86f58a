// SPDX-License-Identifier: Apache-2.0

/// The memory of a head, to be used again for another one: an array grows once and then stays.
public struct HeadMemory: Sendable {
    var bytes: [UInt8] = []
    var fields: [HeadField] = []

    /// A memory that has no bytes yet: the first head allocates them.
    public init() {}

    /// How many bytes of a head it has room for.
    public var capacity: Int { bytes.capacity }
}

/// Collects the bytes of a head line by line and turns field lines into ranges.
///
/// It is the half that request and response heads share. It never holds more than
/// `limits.bytesMax` bytes, and every line has been judged before the next one is looked at, so
/// the same bytes give the same result however they are cut.
struct HeadReader: Sendable {
    /// Bytes are taken over in pieces, so that of a body behind a head little is copied for nothing.
    private static let pieceBytesMax = 1_024

    private(set) var bytes: [UInt8] = []
    private(set) var fields: [HeadField] = []
    private var known = KnownFields()
    private var repeated = KnownFields()
    private var limits: HeadLimits
    private let isAnswer: Bool
    private var lineStart = 0
    /// Between `lineStart` and here no line ends.
    private var searched = 0

    /// A reader of heads or trailers; those of answers are read with more leniency, as RFC 9112
    /// wants proxies to.
    init(limits: HeadLimits, isAnswer: Bool = false) {
        self.isAnswer = isAnswer
        self.limits = limits
        use(limits)
    }

    /// Keeps to these limits from the next head on.
    mutating func use(_ limits: HeadLimits) {
        self.limits = limits
        // Places are kept in 32 bits.
        self.limits.bytesMax = min(limits.bytesMax, Int(Int32.max))
    }

    var isInFirstLine: Bool { lineStart == 0 }

    /// Reads into this memory, instead of what would be allocated; to be called between two heads.
    mutating func lend(_ memory: consuming HeadMemory) {
        swap(&bytes, &memory.bytes)
        swap(&fields, &memory.fields)
        bytes.removeAll(keepingCapacity: true)
        fields.removeAll(keepingCapacity: true)
    }

    /// Takes bytes from `position` on up to the end of a line or somewhat more, and returns where
    /// that line stands, without its CRLF; nil if more bytes are needed.
    ///
    /// What was taken beyond the last line `finish` gives back.
    mutating func nextLine(
        _ input: UnsafeRawBufferPointer, from position: inout Int
    ) throws(HeadFault) -> Range<Int>? {
        while true {
            let end = Bytes.firstIndex(of: Octet.lineFeed, in: bytes.span, from: searched)
            searched = end
            if end < bytes.count { return try endLine(at: end) }
            if position == input.count { return nil }
            guard bytes.count < limits.bytesMax else { throw tooLong() }
            if bytes.capacity == 0 { bytes.reserveCapacity(min(limits.bytesMax, 1_024)) }
            let room = limits.bytesMax - bytes.count
            let taken = position..<position + min(input.count - position, room, Self.pieceBytesMax)
            unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: input[taken]))
            position = taken.upperBound
        }
    }

    @inline(__always)
    private mutating func endLine(at end: Int) throws(HeadFault) -> Range<Int> {
        let start = lineStart
        lineStart = end + 1
        searched = end + 1
        guard end > start, bytes[end - 1] == Octet.carriageReturn else {
            throw .bad("A line of the head ends with LF instead of CRLF.")
        }
        return start..<end - 1
    }

    /// Judges a field line and takes note of it.
    mutating func addField(_ line: Range<Int>) throws(HeadFault) {
        guard fields.count < limits.fieldsMax else {
            throw HeadFault(
                status: 431, sentence: "The head has more than \(limits.fieldsMax) fields.",
                limit: .fields)
        }
        let field = try parseField(line)
        if field.isExact {
            let bit = KnownFields(field.known)
            repeated.formUnion(known.intersection(bit))
            known.formUnion(bit)
        }
        if fields.capacity == 0 { fields.reserveCapacity(min(limits.fieldsMax, 24)) }
        fields.append(field)
    }

    @inline(__always)
    private func parseField(_ line: Range<Int>) throws(HeadFault) -> HeadField {
        let span = bytes.span
        if Octet.isSpaceOrTab(span[line.lowerBound]) {
            throw .bad("A line of the head begins with white space (a folded field).")
        }
        let nameEnd = Bytes.tokenEnd(span, from: line.lowerBound, to: line.upperBound)
        var colon = nameEnd
        if isAnswer {
            // A proxy removes white space in front of the colon (RFC 9112 §5.1).
            while colon < line.upperBound, Octet.isSpaceOrTab(span[colon]) { colon &+= 1 }
        }
        guard colon < line.upperBound, span[colon] == Octet.colon, nameEnd > line.lowerBound else {
            throw nameFault(at: colon, in: line)
        }
        var start = colon + 1
        var end = line.upperBound
        while start < end, Octet.isSpaceOrTab(span[start]) { start &+= 1 }
        while end > start, Octet.isSpaceOrTab(span[end &- 1]) { end &-= 1 }
        guard Bytes.areFieldValue(span, start..<end, inAnswer: isAnswer) else {
            throw .bad("A field's value holds a control character.")
        }
        let name = line.lowerBound..<nameEnd
        let (field, isExact) = KnownField.recognize(span.extracting(name))
        return HeadField(name: name, value: start..<end, known: field, isExact: isExact)
    }

    /// Bytes that were taken beyond the end of the last line.
    var bytesBeyond: Int { bytes.count - lineStart }

    /// Gives the finished head away and stands ready for the next one.
    ///
    /// `position` goes back to the end of the head.
    mutating func finish(_ position: inout Int) -> FieldList {
        position -= bytesBeyond
        if bytesBeyond > 0 { bytes.removeLast(bytesBeyond) }
        var list = FieldList(bytes: [], fields: [], known: known, repeated: repeated)
        swap(&list.bytes, &bytes)
        swap(&list.fields, &fields)
        known = []
        repeated = []
        lineStart = 0
        searched = 0
        return list
    }

    private func nameFault(at index: Int, in line: Range<Int>) -> HeadFault {
        guard index < line.upperBound else { return .bad("A field line has no colon.") }
        if index == line.lowerBound && bytes[index] == Octet.colon {
            return .bad("A field has an empty name.")
        }
        if Octet.isSpaceOrTab(bytes[index]) {
            return .bad("A field's name is followed by white space instead of a colon.")
        }
        return .bad("A field's name holds a character that is not allowed.")
    }

    private func tooLong() -> HeadFault {
        if isInFirstLine {
            return HeadFault(
                status: 414, sentence: "The first line is longer than \(limits.bytesMax) bytes.",
                limit: .bytes)
        }
        return HeadFault(
            status: 431, sentence: "The head is longer than \(limits.bytesMax) bytes.",
            limit: .bytes)
    }
}
