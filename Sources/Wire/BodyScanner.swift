// SPDX-License-Identifier: Apache-2.0

/// Finds where a body ends while its bytes pass as they are.
///
/// Nothing is kept but a few numbers. Lines between chunks are bounded and strictly read: an
/// upstream whose chunks could be read in two ways is cut off.
public struct BodyScanner: Sendable {
    /// What one call of `scan` found.
    public struct Outcome: Sendable, Equatable {
        /// How many leading bytes belong to the body and may go on.
        public let consumed: Int
        /// Whether the body ends behind them.
        public let isDone: Bool
        /// Whether what stands behind them breaks the framing.
        public let isBroken: Bool
    }

    /// The most bytes of one chunk's size line, and of all trailers together.
    public static let lineBytesMax = 8_192

    private enum State: UInt8 {
        case untilClose, counted, size, sizeExtension, sizeLineFeed, chunk, chunkReturn
        case chunkLineFeed, trailerStart, trailer, trailerLineFeed, lastLineFeed, done, broken
    }

    private var state: State
    private var outstanding: UInt64 = 0
    /// Bytes of the size line so far, or of all trailers so far.
    private var lineBytes = 0
    private var sizeDigits = 0

    /// A scanner at the start of a body.
    public init(_ framing: BodyFraming) {
        switch framing {
        case .none: state = .done
        case .length(0): state = .done
        case .length(let length):
            state = .counted
            outstanding = length
        case .chunked: state = .size
        case .untilClose: state = .untilClose
        }
    }

    /// Walks the next `count` bytes.
    public mutating func scan(_ bytes: UnsafePointer<UInt8>, count: Int) -> Outcome {
        var position = 0
        while position < count, state != .done, state != .broken {
            switch state {
            case .untilClose:
                position = count
            case .counted, .chunk:
                let available = UInt64(truncatingIfNeeded: count &- position)
                let taken = min(outstanding, available)
                outstanding &-= taken
                position = position &+ Int(truncatingIfNeeded: taken)
                if outstanding == 0 { state = state == .counted ? .done : .chunkReturn }
            default:
                unsafe step(bytes[position])
                if state != .broken { position = position &+ 1 }
            }
        }
        return Outcome(
            consumed: position, isDone: state == .done, isBroken: state == .broken)
    }

    /// One byte of what stands around the chunks (RFC 9112 §7.1).
    private mutating func step(_ byte: UInt8) {
        lineBytes &+= 1
        if lineBytes > BodyScanner.lineBytesMax {
            state = .broken
            return
        }
        switch state {
        case .size: stepSize(byte)
        case .sizeExtension:
            state = byte == Octet.carriageReturn ? .sizeLineFeed : textState(byte, .sizeExtension)
        case .sizeLineFeed:
            expect(Octet.lineFeed, byte, then: outstanding == 0 ? .trailerStart : .chunk)
        case .chunkReturn:
            expect(Octet.carriageReturn, byte, then: .chunkLineFeed)
        case .chunkLineFeed:
            expect(Octet.lineFeed, byte, then: .size)
            sizeDigits = 0
        case .trailerStart:
            if byte == Octet.carriageReturn {
                state = .lastLineFeed
            } else {
                state = Octet.isToken(byte) ? .trailer : .broken
            }
            return
        case .trailer:
            state = byte == Octet.carriageReturn ? .trailerLineFeed : textState(byte, .trailer)
            return
        case .trailerLineFeed:
            expect(Octet.lineFeed, byte, then: .trailerStart)
            return
        case .lastLineFeed:
            expect(Octet.lineFeed, byte, then: .done)
        default:
            state = .broken
        }
        if byte == Octet.lineFeed { lineBytes = 0 }
    }

    /// A digit of the size, or what may stand behind the last one.
    private mutating func stepSize(_ byte: UInt8) {
        if let digit = Octet.hexValue(byte) {
            // 15 digits stay below 2^60, far beyond any body and far from an overflow.
            sizeDigits &+= 1
            outstanding = outstanding << 4 | UInt64(digit)
            if sizeDigits > 15 { state = .broken }
        } else if sizeDigits == 0 {
            state = .broken
        } else if byte == Octet.carriageReturn {
            state = .sizeLineFeed
        } else {
            state = byte == Octet.semicolon ? .sizeExtension : .broken
        }
    }

    private func textState(_ byte: UInt8, _ next: State) -> State {
        Octet.isFieldValue(byte) ? next : .broken
    }

    private mutating func expect(_ expected: UInt8, _ byte: UInt8, then next: State) {
        state = byte == expected ? next : .broken
    }
}
