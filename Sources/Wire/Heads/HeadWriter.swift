// SPDX-License-Identifier: Apache-2.0

/// Writes the head of a request or response, and what is to leave with it.
///
/// Its memory grows as needed and is used again for the next head after `clear`. No value ever ends
/// a line: one that holds CR, LF, NUL or another control character is a programmer's error, found
/// by an assertion where there are assertions and left out elsewhere.
@safe public struct HeadWriter: ~Copyable {
    private var memory: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    /// How many bytes were written.
    public private(set) var count = 0

    /// An empty head.
    public init(capacity: Int = 1_024) {
        self.capacity = max(capacity, 64)
        unsafe memory = .allocate(capacity: self.capacity)
    }

    deinit { unsafe memory.deallocate() }

    /// The head so far.
    public var bytes: [UInt8] {
        unsafe Array(UnsafeBufferPointer(start: memory, count: count))
    }

    /// Where the head so far lies, until more is written.
    public var start: UnsafePointer<UInt8> { unsafe UnsafePointer(memory) }

    /// Begins anew; memory beyond `bytesMax` is given back.
    public mutating func clear(keeping bytesMax: Int = 65_536) {
        count = 0
        if capacity > bytesMax { resize(max(bytesMax, 64)) }
    }

    /// Makes room for so many more bytes.
    @inline(__always)
    private mutating func reserve(_ added: Int) {
        if added > capacity &- count { resize(max(capacity &* 2, count + added)) }
    }

    private mutating func resize(_ size: Int) {
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: size)
        unsafe larger.update(from: memory, count: count)
        unsafe memory.deallocate()
        unsafe memory = larger
        capacity = size
    }

    /// Writes bytes for which there is room.
    @inline(__always)
    private mutating func put(_ text: UnsafeBufferPointer<UInt8>) {
        guard let source = text.baseAddress, text.count > 0 else { return }
        unsafe (memory + count).update(from: source, count: text.count)
        count &+= text.count
    }

    @inline(__always)
    private mutating func put(_ byte: UInt8) {
        unsafe memory[count] = byte
        count &+= 1
    }

    @inline(__always)
    private mutating func putLineEnd() {
        put(Octet.carriageReturn)
        put(Octet.lineFeed)
    }

    /// Writes bytes as they are: lines that are known to be sound, or a body.
    public mutating func append(_ text: UnsafeBufferPointer<UInt8>) {
        reserve(text.count)
        unsafe put(text)
    }

    /// Writes bytes as they are: lines that are known to be sound, or a body.
    public mutating func append(_ text: [UInt8]) {
        unsafe text.withUnsafeBufferPointer { text in unsafe append(text) }
    }

    /// Writes text as it is, which is known to be sound.
    public mutating func append(_ text: StaticString) {
        unsafe append(UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Writes a number in decimal digits.
    public mutating func append(_ number: UInt64) {
        reserve(20)
        var digits = 1
        var rest = number / 10
        while rest > 0 {
            digits &+= 1
            rest /= 10
        }
        rest = number
        var place = count &+ digits
        count = place
        repeat {
            place &-= 1
            unsafe memory[place] = 0x30 &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        } while rest > 0
    }

    /// Writes a number in 16 hexadecimal digits, letters small.
    mutating func append(hexadecimal number: UInt64) {
        reserve(16)
        for place in 0..<16 { put(Hexadecimal.digit(number, place)) }
    }

    /// Writes `METHOD target HTTP/1.1`.
    public mutating func requestLine(_ method: String, target: ArraySlice<UInt8>) {
        assert(!target.isEmpty)
        append(Array(method.utf8))
        append(" ")
        appendSound(target) { $0 > Octet.space && $0 != 0x7F }
        append(" HTTP/1.1\r\n")
    }

    /// Writes `METHOD target HTTP/1.1`.
    public mutating func requestLine(_ method: String, target: [UInt8]) {
        requestLine(method, target: target[...])
    }

    /// Writes `HTTP/1.1 status reason`.
    public mutating func statusLine(_ status: Int, reason: [UInt8]) {
        append("HTTP/1.1 ")
        append(UInt64(status))
        append(" ")
        appendSound(reason[...], Octet.isFieldValue)
        end()
    }

    /// Writes `HTTP/1.1 status` and the usual reason for it.
    public mutating func statusLine(_ status: Int) {
        statusLine(status, reason: Array(StatusReason.phrase(status).utf8))
    }

    /// Writes a field of ours: `name` is known to be a token.
    public mutating func field(_ name: StaticString, _ value: String) {
        var value = value
        value.withUTF8 { text in unsafe field(name, text) }
    }

    /// Writes a field of ours with a value from bytes.
    public mutating func field(_ name: StaticString, _ value: ArraySlice<UInt8>) {
        unsafe value.withUnsafeBufferPointer { text in unsafe field(name, text) }
    }

    /// Writes a field of ours with a value from bytes.
    public mutating func field(_ name: StaticString, _ value: [UInt8]) {
        unsafe value.withUnsafeBufferPointer { text in unsafe field(name, text) }
    }

    private mutating func field(_ name: StaticString, _ value: UnsafeBufferPointer<UInt8>) {
        var isSound = true
        for index in 0..<value.count where unsafe !Octet.isFieldValue(value[index]) {
            isSound = false
        }
        assert(isSound, "a field that would break the head")
        guard isSound else { return }
        append(name)
        append(": ")
        unsafe append(value)
        end()
    }

    /// Writes a field whose name is not known beforehand.
    public mutating func field(named name: String, _ value: String) {
        field(Array(name.utf8)[...], Array(value.utf8)[...])
    }

    /// Writes a field from bytes.
    ///
    /// Not generic over the kind of bytes: a generic function would not be specialized for
    /// callers in other targets, and be twenty times as slow.
    public mutating func field(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>) {
        let isSound =
            !name.isEmpty && name.allSatisfy(Octet.isToken) && value.allSatisfy(Octet.isFieldValue)
        assert(isSound, "a field that would break the head")
        guard isSound else { return }
        append(Array(name))
        append(": ")
        append(Array(value))
        end()
    }

    /// Writes the empty line that ends the head.
    public mutating func end() {
        reserve(2)
        putLineEnd()
    }

    /// Writes the bytes that may stand there; that all may is the caller's duty.
    private mutating func appendSound(_ text: ArraySlice<UInt8>, _ isSound: (UInt8) -> Bool) {
        let isAllSound = text.allSatisfy(isSound)
        assert(isAllSound, "a first line that would break the head")
        append(isAllSound ? Array(text) : text.filter(isSound))
    }
}

// MARK: What was parsed goes on

extension HeadWriter {
    /// Writes a part of a head that was parsed.
    public mutating func append(_ range: Range<Int>, of list: FieldList) {
        unsafe list.bytes.withUnsafeBufferPointer { bytes in
            unsafe append(UnsafeBufferPointer(rebasing: bytes[range]))
        }
    }

    /// Writes the method of a request, letters as sent.
    public mutating func method(of head: RequestHead) {
        append(head.methodPlace.range, of: head.fields)
    }

    /// Writes `HTTP/1.1` with the status and reason of an answer.
    public mutating func statusLine(of head: ResponseHead) {
        append("HTTP/1.1 ")
        append(UInt64(head.status))
        append(" ")
        append(head.reasonPlace.range, of: head.fields)
        end()
    }

    /// Writes the fields of a head, one after the other, but for those that its own `Connection` names.
    ///
    /// That names and values are sound, the parser has seen to.
    ///
    /// - Parameters:
    ///   - list: the fields.
    ///   - options: what its `Connection` says.
    ///   - exact: fields that are left out.
    ///   - folded: fields that are left out with all that an application could take for them.
    ///   - names: further names of fields that are left out.
    public mutating func fields(
        of list: FieldList, _ options: ConnectionOptions, except exact: KnownFields,
        folded: KnownFields = [], names: FieldNames
    ) {
        var named = ConnectionNames(list, options)
        fields(of: list, except: exact, folded: folded, names: names, &named)
    }

    /// The same, where what `Connection` names is known.
    mutating func fields(
        of list: FieldList, except exact: KnownFields, folded: KnownFields, names: FieldNames,
        _ named: inout ConnectionNames
    ) {
        // What is written for a field is what came with it, and a space at most.
        reserve(list.bytes.count + 4 * list.fields.count)
        unsafe list.bytes.withUnsafeBufferPointer { bytes in
            for index in 0..<list.fields.count {
                let field = list.fields[index]
                guard
                    list.passes(field, except: exact, folded: folded, names: names, &named)
                else { continue }
                unsafe put(UnsafeBufferPointer(rebasing: bytes[field.name]))
                put(Octet.colon)
                put(Octet.space)
                unsafe put(UnsafeBufferPointer(rebasing: bytes[field.value]))
                putLineEnd()
            }
        }
    }
}

/// Names of fields, in the form in which received ones are compared with them.
///
/// A name stands for all that an application could take for it: CGI writes `-`, `_` and `.` alike.
public struct FieldNames: Sendable {
    private let names: [[UInt8]]

    /// These names, in whatever case.
    public init(_ names: [String] = []) {
        self.names = names.map { Array($0.utf8).map(Self.folded) }
    }

    /// Whether there is none.
    public var isEmpty: Bool { names.isEmpty }

    private static func folded(_ byte: UInt8) -> UInt8 {
        byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
            ? UInt8(ascii: "-") : Octet.lowercased(byte)
    }

    /// Whether a name is among them.
    public func contains(_ name: String) -> Bool {
        names.contains { name.utf8.elementsEqual($0) { Self.folded($0) == $1 } }
    }

    func contains(_ bytes: Span<UInt8>, _ name: Range<Int>) -> Bool {
        // By index: an iterator over arrays allocates where nothing is optimized.
        for index in 0..<names.count where names[index].count == name.count {
            let known = names[index]
            var offset = 0
            while offset < name.count,
                Self.folded(bytes[name.lowerBound + offset]) == known[offset]
            {
                offset += 1
            }
            if offset == name.count { return true }
        }
        return false
    }
}
