// SPDX-License-Identifier: Apache-2.0
import Glibc
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
            var fields = connection.makeFields()
            defer { connection.recycle(fields) }
            var hasNoBytes = false
            // `HTTP/1.1 200 OK`
            let status = rest.count < 12 ? 0 : rest[9..<12].reduce(0) { $0 * 10 + Int($1 & 15) }
            let end = Self.forEachLine(of: rest) { name, value in
                if status == 101 && name.isNamed("sec-websocket-accept") { return }
                if name.isNamed("content-length") && value.count == 1 && value[0] == 0x30 {
                    hasNoBytes = true
                }
                fields.append(name: name, value: value)
            }
            guard let end else {
                assertionFailure("a head is written in pieces")
                return UnsafeRawBufferPointer(start: nil, count: 0)
            }
            send(status, fields, hasNoBytes: hasNoBytes, stream, connection)
            rest = UnsafeRawBufferPointer(rebasing: rest[end...])
        }
        return phase == .body ? rest : UnsafeRawBufferPointer(start: nil, count: 0)
    }

    private mutating func send(
        _ status: Int, _ fields: HTTP2Fields, hasNoBytes: Bool, _ stream: HTTP2Stream,
        _ connection: borrowing HTTP2Connection
    ) {
        let status = status == 101 ? 200 : status
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
        _ = lastChunk.withUnsafeBytes { bytes in
            Self.forEachLine(of: bytes) { fields.append(name: $0, value: $1) }
        }
        if fields.count > 0 { trailers = fields }
    }

    /// Goes through the fields behind the first line, up to an empty one.
    ///
    /// - Returns: where the bytes behind the empty line begin; nil if there is none.
    @discardableResult
    private static func forEachLine(
        of head: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Void
    ) -> Int? {
        var index = place(of: 0x0A, in: head, from: 0) + 1
        while index < head.count {
            let start = index
            let end = place(of: 0x0D, in: head, from: start)
            index = end + 2
            if index > head.count { return nil }
            if end == start { return index }
            let line = UnsafeRawBufferPointer(rebasing: head[..<end])
            let colon = place(of: 0x3A, in: line, from: start)
            guard colon < end else { continue }
            var (first, last) = (colon + 1, end)
            while first < last, isBlank(head[first]) { first += 1 }
            while first < last, isBlank(head[last - 1]) { last -= 1 }
            body(
                UnsafeRawBufferPointer(rebasing: head[start..<colon]),
                UnsafeRawBufferPointer(rebasing: head[first..<last]))
        }
        return nil
    }

    /// Where a byte stands first, from `start` on; the count where it does not.
    private static func place(
        of byte: UInt8, in bytes: UnsafeRawBufferPointer, from start: Int
    ) -> Int {
        guard let base = bytes.baseAddress, start < bytes.count,
            let found = memchr(base + start, Int32(byte), bytes.count - start)
        else { return bytes.count }
        return UnsafeRawPointer(found) - base
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
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
