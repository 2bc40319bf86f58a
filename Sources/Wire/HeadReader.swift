// SPDX-License-Identifier: Apache-2.0

/// Collects the bytes of a head line by line and turns field lines into ranges.
///
/// It is the half that request and response heads share. It never holds more than
/// `limits.bytesMax` bytes, and every line has been judged before the next one is looked at, so
/// the same bytes give the same result however they are cut.
struct HeadReader: Sendable {
    private(set) var bytes: [UInt8] = []
    private(set) var fields: [HeadField] = []
    private let limits: HeadLimits
    private var lineStart = 0

    init(limits: HeadLimits) {
        self.limits = limits
    }

    var isInFirstLine: Bool { lineStart == 0 }

    /// Takes bytes from `position` on up to the end of a line, and returns where that line
    /// stands, without its CRLF; nil if more bytes are needed.
    mutating func nextLine(
        _ input: UnsafeRawBufferPointer, from position: inout Int
    ) throws(HeadFault) -> Range<Int>? {
        var end = position
        while end < input.count, unsafe input[end] != Octet.lineFeed { end &+= 1 }
        let isWhole = end < input.count
        if isWhole { end &+= 1 }
        guard end - position <= limits.bytesMax - bytes.count else { throw tooLong() }
        if bytes.isEmpty { bytes.reserveCapacity(min(limits.bytesMax, max(input.count, 512))) }
        unsafe bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: input[position..<end]))
        position = end
        guard isWhole else { return nil }
        let start = lineStart
        lineStart = bytes.count
        guard bytes.count - start >= 2, bytes[bytes.count - 2] == Octet.carriageReturn else {
            throw .bad("A line of the head ends with LF instead of CRLF.")
        }
        return start..<bytes.count - 2
    }

    /// Judges a field line and takes note of it.
    mutating func addField(_ line: Range<Int>) throws(HeadFault) {
        guard fields.count < limits.fieldsMax else {
            throw HeadFault(
                status: 431, sentence: "The head has more than \(limits.fieldsMax) fields.")
        }
        if Octet.isSpaceOrTab(bytes[line.lowerBound]) {
            throw .bad("A line of the head begins with white space (a folded field).")
        }
        var colon = line.lowerBound
        while colon < line.upperBound, Octet.isToken(bytes[colon]) { colon &+= 1 }
        guard colon < line.upperBound, bytes[colon] == Octet.colon, colon > line.lowerBound else {
            throw nameFault(at: colon, in: line)
        }
        var start = colon + 1
        var end = line.upperBound
        while start < end, Octet.isSpaceOrTab(bytes[start]) { start &+= 1 }
        while end > start, Octet.isSpaceOrTab(bytes[end - 1]) { end &-= 1 }
        for index in start..<end where !Octet.isFieldValue(bytes[index]) {
            throw .bad("A field's value holds a control character.")
        }
        if fields.isEmpty { fields.reserveCapacity(min(limits.fieldsMax, 24)) }
        fields.append(HeadField(name: line.lowerBound..<colon, value: start..<end))
    }

    /// Gives the finished head away and stands ready for the next one.
    mutating func finish() -> FieldList {
        let list = FieldList(bytes: bytes, fields: fields)
        self = HeadReader(limits: limits)
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
                status: 414, sentence: "The first line is longer than \(limits.bytesMax) bytes.")
        }
        return HeadFault(
            status: 431, sentence: "The head is longer than \(limits.bytesMax) bytes.")
    }
}
