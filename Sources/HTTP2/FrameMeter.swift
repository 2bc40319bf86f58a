// SPDX-License-Identifier: Apache-2.0

/// The types of frames (RFC 9113 §6, RFC 9218 §7.1).
enum FrameType {
    static let data: UInt8 = 0x0
    static let headers: UInt8 = 0x1
    static let priority: UInt8 = 0x2
    static let resetStream: UInt8 = 0x3
    static let settings: UInt8 = 0x4
    static let ping: UInt8 = 0x6
    static let goAway: UInt8 = 0x7
    static let windowUpdate: UInt8 = 0x8
    static let continuation: UInt8 = 0x9
    static let priorityUpdate: UInt8 = 0x10
}

/// The flags of frames that matter here.
enum FrameFlag {
    static let acknowledgement: UInt8 = 0x1
    static let endStream: UInt8 = 0x1
    static let endHeaders: UInt8 = 0x4
}

/// Follows the frames in what a peer sends, whatever nghttp2 makes of them.
///
/// nghttp2 passes over many frames without a word: those on closed streams, those behind a GOAWAY, and
/// those of unknown types. Here every frame is seen, so each can be counted.
struct FrameMeter {
    /// What the bytes given so far have reached.
    enum Step {
        /// Within a header or a payload.
        case inside
        /// A frame's header is complete; its payload may be empty.
        case begun
        /// A frame is complete.
        case ended
    }

    private(set) var type: UInt8 = 0
    private(set) var flags: UInt8 = 0
    private(set) var stream: UInt32 = 0
    /// The first four bytes of the payload, which are the increment of a WINDOW_UPDATE.
    private(set) var firstWord: UInt32 = 0
    private var prefaceLeft: UInt8 = 24
    private var headerCount: UInt8 = 0
    private var wordCount: UInt8 = 0
    private var payloadLeft: UInt32 = 0
    /// Whether the header has been told, and the end has not.
    private var isInFrame = false

    /// Whether a frame has begun that has nothing more to come: the next step ends it.
    var isAtEnd: Bool { isInFrame && payloadLeft == 0 }

    /// Goes on until a frame begins or ends, or the bytes do; says how many bytes that took.
    mutating func advance(_ bytes: UnsafeRawBufferPointer) -> (count: Int, step: Step) {
        var index = 0
        if prefaceLeft > 0 {
            let count = min(Int(prefaceLeft), bytes.count)
            prefaceLeft -= UInt8(count)
            index = count
        }
        if isInFrame {
            let count = min(Int(payloadLeft), bytes.count - index)
            var place = index
            while wordCount < 4, place < index + count {
                firstWord = firstWord << 8 | UInt32(bytes[place])
                wordCount += 1
                place += 1
            }
            payloadLeft -= UInt32(count)
            index += count
            guard payloadLeft == 0 else { return (index, .inside) }
            isInFrame = false
            headerCount = 0
            return (index, .ended)
        }
        // Most headers come in one piece.
        if headerCount == 0, bytes.count - index >= 9, let start = bytes.baseAddress {
            let first = UInt32(
                bigEndian: (start + index).loadUnaligned(as: UInt32.self))
            payloadLeft = first >> 8
            type = UInt8(truncatingIfNeeded: first)
            flags = bytes[index + 4]
            stream = UInt32(bigEndian: (start + index + 5).loadUnaligned(as: UInt32.self))
            return (index + 9, begin())
        }
        while index < bytes.count {
            let byte = bytes[index]
            index += 1
            switch headerCount {
            case 0: payloadLeft = UInt32(byte)
            case 1, 2: payloadLeft = payloadLeft << 8 | UInt32(byte)
            case 3: type = byte
            case 4: flags = byte
            default: stream = stream << 8 | UInt32(byte)
            }
            headerCount += 1
            if headerCount == 9 {
                return (index, begin())
            }
        }
        return (index, .inside)
    }

    /// A header is complete.
    private mutating func begin() -> Step {
        isInFrame = true
        stream &= 0x7FFF_FFFF
        firstWord = 0
        wordCount = 0
        return .begun
    }
}
