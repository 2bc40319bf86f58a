// SPDX-License-Identifier: Apache-2.0

/// Takes a body out of its framing, in place, as it comes (RFC 9112 §6 and §7).
///
/// It keeps a few numbers and, of a chunked body, the trailers. What stands between chunks is
/// strictly read: CRLF only, no white space around a size, and bounded. Extensions are skipped and
/// never passed on.
public struct BodyDecoder: ~Copyable, Sendable {
    /// What one call of `decode` found.
    public struct Outcome: Sendable, Equatable {
        /// Leading bytes of the input that belong to the message, framing included.
        public let consumed: Int
        /// Bytes of payload, which lie together at the start of the input now.
        public let payload: Int
        /// Whether the message ends behind what was consumed.
        public let isDone: Bool
        /// Why the framing is broken; then nothing behind the payload may be used.
        public let fault: HeadFault?
    }

    /// The most bytes of one chunk's extensions.
    public static let extensionBytesMax = 256
    /// What the framing of all chunks may take beyond eight bytes for each byte of payload: one byte
    /// per chunk is lawful, long extensions on each of them are an attack.
    public static let overheadBytesMax = 64 * 1024

    private enum State: UInt8 {
        case untilClose, counted, size, sizeExtension, sizeLineFeed, chunk, chunkReturn
        case chunkLineFeed, trailers, done, broken
    }

    private var state: State
    private var outstanding: UInt64 = 0
    private var sizeDigits = 0
    private var extensionBytes = 0
    private var overheadBytes: UInt64 = 0
    /// What a chunked body's end needs; empty before, so that the decoder is a few words.
    private var ending: [Ending] = []
    /// Bytes of payload so far.
    public private(set) var payloadBytes: UInt64 = 0

    private struct Ending: Sendable {
        var reader: HeadReader
        var trailers: FieldList?
        var fault: HeadFault?
    }

    /// The trailer fields that may be passed on as far as their names say, once a chunked body is done;
    /// the message's own rules are for who writes them.
    public var trailers: FieldList? { ending.first?.trailers }

    private let limits: HeadLimits
    private let isAnswer: Bool
    private var fault: HeadFault? { state == .broken ? ending.first?.fault : nil }

    /// A decoder at the start of a body.
    ///
    /// - Parameters:
    ///   - framing: where the body ends.
    ///   - limits: those of the trailers.
    ///   - isAnswer: whether the message is an answer, whose trailers are read as its fields are.
    public init(
        _ framing: BodyFraming, limits: HeadLimits, isAnswer: Bool = false
    ) {
        self.limits = limits
        self.isAnswer = isAnswer
        switch framing {
        case .none, .length(0): state = .done
        case .length(let length):
            state = .counted
            outstanding = length
        case .chunked: state = .size
        case .untilClose: state = .untilClose
        }
    }

    /// Whether the message is complete.
    public var isDone: Bool { state == .done }

    /// Whether the end of the stream, if it came now, would complete the message.
    public var isCompleteAtEnd: Bool { state == .done || state == .untilClose }

    /// The stream has ended: that completes a body which only its end delimits.
    public mutating func streamEnded() {
        if state == .untilClose { state = .done }
    }

    /// The stream has ended with trailers (RFC 9113 §8.1).
    ///
    /// That completes a body which only its end delimits. Of one that its length delimits they are ignored.
    ///
    /// - Parameter lines: the trailers, each line with CRLF, and an empty line at the end.
    /// - Returns: why the trailers can't be used; then the body can't either.
    public mutating func streamEnded(trailers lines: UnsafeRawBufferPointer) -> HeadFault? {
        guard state == .untilClose else { return nil }
        state = .trailers
        ending = [Ending(reader: HeadReader(limits: limits, isAnswer: isAnswer))]
        _ = unsafe takeTrailers(lines)
        if state == .trailers { fail("The trailers have no end.") }
        return fault
    }

    /// Walks the next `count` bytes and moves the payload among them together.
    ///
    /// Bytes at and behind `consumed` are neither moved nor changed.
    public mutating func decode(_ bytes: UnsafeMutablePointer<UInt8>, count: Int) -> Outcome {
        var position = 0
        var payload = 0
        while position < count, state != .done, state != .broken {
            switch state {
            case .untilClose, .counted, .chunk:
                var taken = count &- position
                if state != .untilClose {
                    taken = Int(truncatingIfNeeded: min(outstanding, UInt64(taken)))
                    outstanding &-= UInt64(taken)
                }
                if payload != position {
                    unsafe (bytes + payload).update(from: bytes + position, count: taken)
                }
                payload &+= taken
                position &+= taken
                payloadBytes &+= UInt64(taken)
                if state != .untilClose && outstanding == 0 {
                    state = state == .counted ? .done : .chunkReturn
                }
            case .trailers:
                let rest = unsafe UnsafeRawBufferPointer(
                    start: bytes + position, count: count - position)
                position += unsafe takeTrailers(rest)
            default:
                unsafe step(bytes[position])
                position &+= 1
            }
        }
        return Outcome(
            consumed: position, payload: payload, isDone: state == .done, fault: fault)
    }

    /// One byte of what stands around the chunks.
    private mutating func step(_ byte: UInt8) {
        overheadBytes &+= 1
        if overheadBytes > UInt64(Self.overheadBytesMax) + payloadBytes &* 8 {
            fail("The chunks of the body are all framing and hardly any content.")
            return
        }
        switch state {
        case .size: stepSize(byte)
        case .sizeExtension:
            extensionBytes += 1
            if extensionBytes > Self.extensionBytesMax {
                fail("A chunk's extensions are longer than \(Self.extensionBytesMax) bytes.")
            } else if byte == Octet.carriageReturn {
                state = .sizeLineFeed
            } else if !Octet.isFieldValue(byte) {
                fail("A chunk's extension holds a control character.")
            }
        case .sizeLineFeed:
            expect(Octet.lineFeed, byte, then: outstanding == 0 ? .trailers : .chunk)
            if state == .trailers {
                ending = [Ending(reader: HeadReader(limits: limits, isAnswer: isAnswer))]
            }
        case .chunkReturn: expect(Octet.carriageReturn, byte, then: .chunkLineFeed)
        case .chunkLineFeed:
            expect(Octet.lineFeed, byte, then: .size)
            sizeDigits = 0
            extensionBytes = 0
        default: fail("The body has no place for more.")
        }
    }

    /// A digit of the size, or what may stand behind the last one.
    private mutating func stepSize(_ byte: UInt8) {
        if let digit = Octet.hexValue(byte) {
            // 15 digits stay below 2^60, far beyond any body and far from an overflow.
            sizeDigits &+= 1
            if sizeDigits > 15 { fail("A chunk's size has more than 15 digits.") }
            outstanding = outstanding << 4 | UInt64(digit)
        } else if sizeDigits == 0 {
            fail("A chunk does not begin with its size in hexadecimal digits.")
        } else if byte == Octet.carriageReturn {
            state = .sizeLineFeed
        } else if byte == Octet.semicolon {
            state = .sizeExtension
        } else {
            fail("Behind a chunk's size stands neither ';' nor CRLF.")
        }
    }

    /// Collects trailer lines up to the empty one; returns how many bytes belong to them.
    private mutating func takeTrailers(_ bytes: UnsafeRawBufferPointer) -> Int {
        var position = 0
        do throws(HeadFault) {
            while let line = unsafe try ending[0].reader.nextLine(bytes, from: &position) {
                guard line.isEmpty else {
                    try ending[0].reader.addField(line)
                    continue
                }
                let fields = ending[0].reader.finish(&position)
                ending[0].trailers = fields.keeping { TrailerField.mayPass($0, of: fields) }
                state = .done
                return position
            }
        } catch {
            position = max(0, position - ending[0].reader.bytesBeyond)
            fail(error.sentence)
        }
        return position
    }

    private mutating func expect(_ expected: UInt8, _ byte: UInt8, then next: State) {
        if byte == expected {
            state = next
        } else {
            fail("A chunk, or the line of its size, does not end with CRLF.")
        }
    }

    private mutating func fail(_ sentence: String) {
        state = .broken
        ending = [Ending(reader: HeadReader(limits: limits), fault: .bad(sentence))]
    }
}
