// SPDX-License-Identifier: Apache-2.0

/// Reads a request's head from bytes that come in any pieces (RFC 9112 §2 to §6).
///
/// Strict where leniency has been a way to smuggle requests: CRLF only, no folded fields, no
/// white space before a colon, one space where one belongs. A few empty lines in front are
/// passed over (RFC 9112 §2.2) and are no part of a head. It holds
/// at most `HeadLimits.bytesMax` bytes. After a complete head it stands ready for the next one;
/// after a failure it says the same again.
public struct RequestHeadParser: Sendable {
    /// What came of the bytes so far.
    public enum Progress: Sendable {
        /// The head is lawful so far, and not complete.
        case needsMore
        /// The head is complete; `consumed` of the bytes just given belong to it, the rest
        /// stand behind it.
        case complete(RequestHead, consumed: Int)
        /// The head is refused.
        case failed(HeadFault)
    }

    private struct RequestLine: Sendable {
        var verb: Method
        var method: ByteRange
        var target: ByteRange
        var isHTTP11: Bool
        var isTargetASCII: Bool
    }

    /// The most empty lines in front of a request line.
    private static let emptyLinesMax = 16

    private let limits: HeadLimits
    private var reader: HeadReader
    private var requestLine: RequestLine?
    private var fault: HeadFault?
    /// Bytes of empty lines that came in front of the next head; odd behind a lone CR.
    private var emptyBytes = 0

    /// A parser at the start of a connection.
    public init(limits: HeadLimits) {
        self.limits = limits
        reader = HeadReader(limits: limits)
    }

    /// Reads the next head into this memory; to be called between two heads.
    public mutating func lend(_ memory: consuming HeadMemory) { reader.lend(memory) }

    /// How many bytes are held: those of a head that is not complete yet.
    ///
    /// Empty lines in front of a head are not held.
    public var byteCount: Int { reader.bytes.count }

    /// Takes more bytes; what stands behind the head is left alone.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) -> Progress {
        if let fault { return .failed(fault) }
        do throws(HeadFault) {
            return unsafe try advance(bytes)
        } catch {
            fault = error
            return .failed(error)
        }
    }

    private mutating func advance(_ bytes: UnsafeRawBufferPointer) throws(HeadFault) -> Progress {
        var position = 0
        if byteCount == 0, bytes.count > 0, unsafe emptyBytes != 0 || !Octet.isToken(bytes[0]) {
            position = unsafe try passEmptyLines(bytes)
            if position == bytes.count { return .needsMore }
        }
        while let line = unsafe try reader.nextLine(bytes, from: &position) {
            guard let requestLine else {
                self.requestLine = try parseRequestLine(line)
                continue
            }
            guard line.isEmpty else {
                try reader.addField(line)
                continue
            }
            let fields = reader.finish(&position)
            self.requestLine = nil
            emptyBytes = 0
            try RequestFraming.check(fields, isHTTP11: requestLine.isHTTP11)
            let head = RequestHead(
                verb: requestLine.verb, isHTTP11: requestLine.isHTTP11,
                isTargetASCII: requestLine.isTargetASCII, methodPlace: requestLine.method,
                targetPlace: requestLine.target, fields: fields)
            return .complete(head, consumed: position)
        }
        return .needsMore
    }

    /// Passes over empty lines in front of a head; returns how many bytes they take.
    private mutating func passEmptyLines(
        _ bytes: UnsafeRawBufferPointer
    ) throws(HeadFault) -> Int {
        var index = 0
        while index < bytes.count {
            let isInLine = emptyBytes & 1 == 1
            guard unsafe bytes[index] == (isInLine ? Octet.lineFeed : Octet.carriageReturn) else {
                guard !isInLine, unsafe Octet.isToken(bytes[index]) else {
                    // Whoever speaks another protocol need not be waited for.
                    throw .bad("The request does not begin with a method.")
                }
                break
            }
            index += 1
            emptyBytes += 1
            guard emptyBytes <= 2 * Self.emptyLinesMax else {
                throw .bad(
                    "There are more than \(Self.emptyLinesMax) empty lines in front of the request."
                )
            }
        }
        return index
    }

    /// `METHOD SP TARGET SP HTTP/1.x`, one space each (RFC 9112 §3).
    private func parseRequestLine(_ line: Range<Int>) throws(HeadFault) -> RequestLine {
        let bytes = reader.bytes.span
        var methodEnd = line.lowerBound
        while methodEnd < line.upperBound, Octet.isToken(bytes[methodEnd]) { methodEnd &+= 1 }
        guard methodEnd < line.upperBound, bytes[methodEnd] == Octet.space, !line.isEmpty else {
            throw .bad("The request line is not METHOD SP TARGET SP HTTP/1.1.")
        }
        guard methodEnd - line.lowerBound <= 32 else {
            throw .bad("The method is longer than 32 bytes.")
        }
        let start = methodEnd + 1
        var end = start
        while end < line.upperBound, bytes[end] > Octet.space, bytes[end] < 0x7F,
            bytes[end] != Octet.hash
        {
            end &+= 1
        }
        var isTargetASCII = true
        if end < line.upperBound, bytes[end] >= 0x80 {
            // Not lawful, but plain: it goes on as an escape, which is what was meant.
            isTargetASCII = false
            while end < line.upperBound, bytes[end] > Octet.space, bytes[end] != 0x7F,
                bytes[end] != Octet.hash
            {
                end &+= 1
            }
        }
        guard end < line.upperBound, bytes[end] == Octet.space else {
            throw targetFault(at: end, in: line)
        }
        guard end > start else { throw .bad("The request line has no target.") }
        let isHTTP11 = try parseVersion(end + 1..<line.upperBound)
        guard end - start <= limits.targetBytesMax else {
            throw HeadFault(
                status: 414, sentence: "The target is longer than \(limits.targetBytesMax) bytes.",
                limit: .targetBytes)
        }
        let method = line.lowerBound..<methodEnd
        return RequestLine(
            verb: Method(bytes.extracting(method)), method: ByteRange(method),
            target: ByteRange(start..<end), isHTTP11: isHTTP11, isTargetASCII: isTargetASCII)
    }

    private func targetFault(at index: Int, in line: Range<Int>) -> HeadFault {
        guard index < line.upperBound else {
            return .bad("The request line is not METHOD SP TARGET SP HTTP/1.1.")
        }
        return reader.bytes[index] == Octet.hash
            ? .bad("The target holds a '#', which belongs to the browser alone.")
            : .bad("The target holds a character that must be percent-encoded.")
    }

    private func parseVersion(_ place: Range<Int>) throws(HeadFault) -> Bool {
        if place.count == 8 {
            let word = Bytes.word(reader.bytes.span, place.lowerBound)
            if word == HTTPVersion.http11 { return true }
            if word == HTTPVersion.http10 { return false }
        }
        let version = reader.bytes[place]
        let digits = version.dropFirst(5)
        guard version.count == 8, version.starts(with: "HTTP/".utf8), let major = digits.first,
            Octet.isDigit(major), digits[digits.startIndex + 1] == Octet.dot,
            let minor = digits.last, Octet.isDigit(minor)
        else {
            throw .bad("The request line does not end with one space and HTTP/1.1.")
        }
        throw HeadFault(
            status: 505,
            sentence: "The request is HTTP/\(major - 0x30).\(minor - 0x30); this is HTTP/1.1.")
    }
}

/// The two versions that are spoken here, as eight bytes with the first one lowest.
enum HTTPVersion {
    /// The eight bytes of `HTTP/1.1`, the first one lowest.
    static let http11: UInt64 = 0x312E_312F_5054_5448
    /// The eight bytes of `HTTP/1.0`, the first one lowest.
    static let http10: UInt64 = 0x302E_312F_5054_5448
}
