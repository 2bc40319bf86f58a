// SPDX-License-Identifier: Apache-2.0

/// Reads a response's head from bytes that come in any pieces (RFC 9112 §4).
///
/// As strict as `RequestHeadParser`, and bounded alike, but for three things that do no harm:
/// white space in front of a colon is dropped (RFC 9112 §5.1), control characters other than CR,
/// LF and NUL may stand in values and in the reason (RFC 9110 §5.5), and any status of three digits from 100 on
/// passes (RFC 9110 §15). Every fault has the status 502, for it is the upstream's. After a complete head it stands ready for the next one, which is what
/// stands behind an interim (1xx) response.
public struct ResponseHeadParser: Sendable {
    /// What came of the bytes so far.
    public enum Progress: Sendable {
        /// The head is lawful so far, and not complete.
        case needsMore
        /// The head is complete; `consumed` of the bytes just given belong to it, the rest
        /// stand behind it.
        case complete(ResponseHead, consumed: Int)
        /// The head is refused.
        case failed(HeadFault)
    }

    private struct StatusLine: Sendable {
        var status: Int
        var reason: ByteRange
        var isHTTP11: Bool
    }

    private var reader: HeadReader
    private var statusLine: StatusLine?
    private var fault: HeadFault?

    /// A parser at the start of an upstream's answer.
    public init(limits: HeadLimits) {
        reader = HeadReader(limits: limits, isAnswer: true)
    }

    /// Reads the next head into this memory; to be called between two heads.
    public mutating func lend(_ memory: consuming HeadMemory) { reader.lend(memory) }

    /// Reads the next head within these limits; to be called between two heads.
    public mutating func use(_ limits: HeadLimits) { reader.use(limits) }

    /// How many bytes are held: those of a head that is not complete yet.
    public var byteCount: Int { reader.bytes.count }

    /// Takes more bytes; what stands behind the head is left alone.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) -> Progress {
        if let fault { return .failed(fault) }
        do throws(HeadFault) {
            return unsafe try advance(bytes)
        } catch {
            let fault = HeadFault(status: 502, sentence: error.sentence, limit: error.limit)
            self.fault = fault
            return .failed(fault)
        }
    }

    private mutating func advance(_ bytes: UnsafeRawBufferPointer) throws(HeadFault) -> Progress {
        if byteCount == 0, bytes.count > 0, unsafe bytes[0] != UInt8(ascii: "H") {
            throw .bad("The response does not begin with HTTP/1.")
        }
        var position = 0
        while let line = unsafe try reader.nextLine(bytes, from: &position) {
            guard let statusLine else {
                self.statusLine = try parseStatusLine(line)
                continue
            }
            guard line.isEmpty else {
                try reader.addField(line)
                continue
            }
            let fields = reader.finish(&position)
            self.statusLine = nil
            let head = ResponseHead(
                status: statusLine.status, isHTTP11: statusLine.isHTTP11,
                reasonPlace: statusLine.reason, fields: fields)
            return .complete(head, consumed: position)
        }
        return .needsMore
    }

    /// `HTTP/1.x SP 3DIGIT SP reason`; many servers leave the second space out with the reason.
    private func parseStatusLine(_ line: Range<Int>) throws(HeadFault) -> StatusLine {
        let bytes = reader.bytes.span
        let start = line.lowerBound
        let word = line.count >= 9 ? Bytes.word(bytes, start) : 0
        let isHTTP11 = word == HTTPVersion.http11
        guard isHTTP11 || word == HTTPVersion.http10, bytes[start + 8] == Octet.space else {
            throw .bad("The response does not begin with HTTP/1.1 and one space.")
        }
        let digitsEnd = start + 12
        guard digitsEnd <= line.upperBound, Octet.isDigit(bytes[start + 9]),
            Octet.isDigit(bytes[start + 10]), Octet.isDigit(bytes[start + 11]),
            digitsEnd == line.upperBound || bytes[digitsEnd] == Octet.space
        else {
            throw .bad("The response's status is not three digits.")
        }
        let status = bytes.extracting(start + 9..<digitsEnd).decimalValue
        guard status >= 100 else {
            throw .bad("The response's status \(status) is below 100.")
        }
        let reason = min(digitsEnd + 1, line.upperBound)..<line.upperBound
        guard Bytes.areFieldValue(bytes, reason, inAnswer: true) else {
            throw .bad("The response's reason holds a control character.")
        }
        return StatusLine(
            status: Int(status), reason: ByteRange(reason), isHTTP11: isHTTP11)
    }
}
