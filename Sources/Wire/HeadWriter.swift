// SPDX-License-Identifier: Apache-2.0

/// Writes the head of a request or response.
///
/// No value ever ends a line: one that holds CR, LF, NUL or another control character is a
/// programmer's error, found by an assertion where there are assertions and left out elsewhere.
public struct HeadWriter: Sendable {
    /// The head so far.
    public private(set) var bytes: [UInt8] = []

    /// An empty head.
    public init() {
        bytes.reserveCapacity(1_024)
    }

    /// Writes `METHOD target HTTP/1.1`.
    public mutating func requestLine(_ method: String, target: ArraySlice<UInt8>) {
        assert(!target.isEmpty)
        write(method)
        bytes.append(Octet.space)
        writeSound(target) { $0 > Octet.space && $0 != 0x7F }
        write(" HTTP/1.1\r\n")
    }

    /// Writes `METHOD target HTTP/1.1`.
    public mutating func requestLine(_ method: String, target: [UInt8]) {
        requestLine(method, target: target[...])
    }

    /// Writes `HTTP/1.1 status reason`.
    public mutating func statusLine(_ status: Int, reason: [UInt8]) {
        write("HTTP/1.1 ")
        write(String(status))
        bytes.append(Octet.space)
        writeSound(reason[...], Octet.isFieldValue)
        endLine()
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
        unsafe bytes.append(
            contentsOf: UnsafeBufferPointer(
                start: name.utf8Start, count: name.utf8CodeUnitCount))
        bytes.append(Octet.colon)
        bytes.append(Octet.space)
        unsafe bytes.append(contentsOf: value)
        endLine()
    }

    /// Writes a field whose name is not known beforehand.
    public mutating func field(named name: String, _ value: String) {
        field(Array(name.utf8)[...], Array(value.utf8)[...])
    }

    /// Writes a field as it was received.
    public mutating func field(_ field: HeadField, of list: FieldList) {
        self.field(list.name(of: field), list.value(of: field))
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
        bytes.append(contentsOf: name)
        bytes.append(Octet.colon)
        bytes.append(Octet.space)
        bytes.append(contentsOf: value)
        endLine()
    }

    /// Writes the empty line that ends the head.
    public mutating func end() {
        endLine()
    }

    private mutating func endLine() {
        bytes.append(Octet.carriageReturn)
        bytes.append(Octet.lineFeed)
    }

    /// Writes the bytes that may stand there; that all may is the caller's duty.
    private mutating func writeSound(_ text: ArraySlice<UInt8>, _ isSound: (UInt8) -> Bool) {
        let isAllSound = text.allSatisfy(isSound)
        assert(isAllSound, "a first line that would break the head")
        bytes.append(contentsOf: isAllSound ? text : text.filter(isSound)[...])
    }

    private mutating func write(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }
}
