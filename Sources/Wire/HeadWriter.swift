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
    public mutating func requestLine(_ method: String, target: some Collection<UInt8>) {
        assert(!target.isEmpty && target.allSatisfy { $0 > Octet.space && $0 != 0x7F })
        write(method)
        bytes.append(Octet.space)
        bytes.append(contentsOf: target.lazy.filter { $0 > Octet.space && $0 != 0x7F })
        write(" HTTP/1.1\r\n")
    }

    /// Writes `HTTP/1.1 status reason`.
    public mutating func statusLine(_ status: Int, reason: some Collection<UInt8>) {
        assert(reason.allSatisfy(Octet.isFieldValue))
        write("HTTP/1.1 ")
        write(String(status))
        bytes.append(Octet.space)
        bytes.append(contentsOf: reason.lazy.filter(Octet.isFieldValue))
        endLine()
    }

    /// Writes `HTTP/1.1 status` and the usual reason for it.
    public mutating func statusLine(_ status: Int) {
        statusLine(status, reason: StatusReason.phrase(status).utf8)
    }

    /// Writes a field.
    public mutating func field(_ name: String, _ value: String) {
        field(name.utf8, value.utf8)
    }

    /// Writes a field from bytes, such as those of a field received.
    public mutating func field(_ name: some Collection<UInt8>, _ value: some Collection<UInt8>) {
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

    /// Writes a field with a name of ours and a value from bytes.
    public mutating func field(_ name: String, _ value: some Collection<UInt8>) {
        field(name.utf8, value)
    }

    /// Writes the empty line that ends the head.
    public mutating func end() {
        endLine()
    }

    private mutating func endLine() {
        bytes.append(Octet.carriageReturn)
        bytes.append(Octet.lineFeed)
    }

    private mutating func write(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }
}
