// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Wire

/// The answer on a stream of HTTP/2, made of what would be sent on a connection of HTTP/1.1.
///
/// Answers are written once, in the form of HTTP/1.1: the head in lines and then the body, without
/// chunks. Here the head becomes fields, and what belongs to one connection is left out
/// (RFC 9113 §8.2.2 and §8.3.2).
struct SubstreamAnswer {
    private enum Phase {
        /// No head of a final answer was sent.
        case head
        /// The body goes on.
        case body
        /// The answer is whole.
        case over
    }

    private var phase = Phase.head
    /// The answer is one to HEAD, which has no body.
    var isToHead = false
    /// What comes behind the body.
    var trailers: HTTP2Fields?

    /// Whether the head of the final answer was sent.
    var hasHead: Bool { phase != .head }
    /// Whether an end of the body is still to be sent.
    var wantsEnd: Bool { phase == .body }

    /// The end of the body was handed over.
    mutating func ended() { phase = .over }

    /// Sends the heads that the bytes begin with.
    ///
    /// - Returns: the bytes behind them, which belong to the body; nothing where there may be none.
    mutating func sendHeads(
        _ bytes: UnsafeRawBufferPointer, _ stream: HTTP2Stream,
        _ connection: borrowing HTTP2Connection
    ) -> UnsafeRawBufferPointer {
        var rest = bytes
        while phase == .head, !rest.isEmpty {
            guard let end = Self.headEnd(rest) else {
                assertionFailure("a head is written in pieces")
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            send(UnsafeRawBufferPointer(rebasing: rest[..<end]), stream, connection)
            rest = UnsafeRawBufferPointer(rebasing: rest[end...])
        }
        return phase == .body ? rest : UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private mutating func send(
        _ head: UnsafeRawBufferPointer, _ stream: HTTP2Stream,
        _ connection: borrowing HTTP2Connection
    ) {
        // `HTTP/1.1 200 OK`
        var status = head[9..<12].reduce(0) { $0 * 10 + Int($1 & 15) }
        let isTunnel = status == 101
        var fields = HTTP2Fields()
        var hasNoBytes = false
        Self.forEachLine(of: head) { name, value in
            if isTunnel && name.isNamed("sec-websocket-accept") { return }
            if name.isNamed("content-length") && value.count == 1 && value[0] == 0x30 {
                hasNoBytes = true
            }
            fields.append(name: name, value: value)
        }
        if isTunnel { status = 200 }
        if status < 200 {
            connection.sendInterim(stream, status: status, fields)
            return
        }
        let hasBody = !hasNoBytes && !isToHead && status != 204 && status != 304
        connection.answer(stream, status: status, fields, hasBody: hasBody)
        phase = hasBody ? .body : .over
    }

    /// Takes the trailers out of what would end a body in chunks (RFC 9112 §7.1.2).
    mutating func takeTrailers(_ lastChunk: [UInt8]) {
        var fields = HTTP2Fields()
        lastChunk.withUnsafeBytes { bytes in
            Self.forEachLine(of: bytes) { fields.append(name: $0, value: $1) }
        }
        if fields.count > 0 { trailers = fields }
    }

    /// Where a head ends; nil where it does not.
    private static func headEnd(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var index = 3
        while index < bytes.count {
            if bytes[index] == 0x0A, bytes[index - 1] == 0x0D, bytes[index - 2] == 0x0A,
                bytes[index - 3] == 0x0D
            {
                return index + 1
            }
            index += 1
        }
        return nil
    }

    /// Goes through the fields behind the first line.
    private static func forEachLine(
        of head: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) {
        var start = (head.firstIndex(of: 0x0A) ?? head.count) + 1
        while start < head.count {
            let end = head[start...].firstIndex(of: 0x0D) ?? head.count
            guard end > start, let colon = head[start..<end].firstIndex(of: 0x3A) else { return }
            var value = head[(colon + 1)..<end]
            while let first = value.first, first == 0x20 || first == 0x09 { value.removeFirst() }
            while let last = value.last, last == 0x20 || last == 0x09 { value.removeLast() }
            body(
                UnsafeRawBufferPointer(rebasing: head[start..<colon]),
                UnsafeRawBufferPointer(rebasing: value))
            start = end + 2
        }
    }
}

extension UnsafeRawBufferPointer {
    /// Whether it is this name, which is in lower case.
    fileprivate func isNamed(_ name: StaticString) -> Bool {
        guard count == name.utf8CodeUnitCount else { return false }
        for index in 0..<count where self[index] | 0x20 != name.utf8Start[index] | 0x20 {
            return false
        }
        return true
    }
}
