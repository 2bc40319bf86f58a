// SPDX-License-Identifier: Apache-2.0
import Wire

/// Reads the frames of a dashboard (RFC 6455 §5): short messages, and control frames.
struct LiveFrames {
    /// How long a message of a dashboard may be.
    static let messageBytesMax = 4_096
    /// In how many frames a message may come.
    static let fragmentsMax: UInt32 = 16

    /// What has come.
    enum Event: Equatable {
        case text([UInt8])
        case binary
        case ping([UInt8])
        /// A Close, with its code; nil where it has none.
        case close(UInt16?)
        case violation(FrameViolation)
    }

    private var scanner = FrameScanner(
        sender: .client, reservedBits: 0, messageBytesMax: UInt64(messageBytesMax),
        fragmentsMax: fragmentsMax)
    /// What has come and was not taken yet.
    private var bytes: [UInt8] = []
    /// How much of it was judged, and is in order.
    private var judged = 0
    private var violation = FrameViolation.none
    /// The frames of a message that is not whole yet.
    private var message: [UInt8] = []
    private var isText = true

    /// Takes what came; what is whole of it, in its order.
    mutating func take(_ more: [UInt8]) -> [Event] {
        bytes += more
        if violation == .none {
            let outcome = bytes.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map {
                    scanner.scan($0 + judged, count: buffer.count - judged)
                }
            }
            if let outcome {
                judged += outcome.forwardable
                violation = outcome.violation
            }
        }
        var events: [Event] = []
        var start = 0
        while let (header, length) = header(at: start) {
            let end = start + length + Int(clamping: header.payloadLength)
            guard end <= judged else { break }
            if let event = event(header, payload(header, (start + length)..<end)) {
                events.append(event)
            }
            start = end
        }
        bytes.removeFirst(start)
        judged -= start
        if violation != .none {
            events.append(.violation(violation))
            bytes = []
            judged = 0
        }
        return events
    }

    private func header(at start: Int) -> (header: FrameHeader, length: Int)? {
        bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress, start < judged else { return nil }
            return FrameHeader.decode(base + start, count: judged - start)
        }
    }

    private func payload(_ header: FrameHeader, _ range: Range<Int>) -> [UInt8] {
        var payload = Array(bytes[range])
        payload.withUnsafeMutableBufferPointer { buffer in
            if let key = header.maskKey, let start = buffer.baseAddress {
                FrameMask.apply(key, phase: 0, to: start, count: buffer.count)
            }
        }
        return payload
    }

    private mutating func event(_ header: FrameHeader, _ payload: [UInt8]) -> Event? {
        switch header.opcode {
        case .ping: return .ping(payload)
        case .close:
            return .close(
                payload.count >= 2 ? UInt16(payload[0]) << 8 | UInt16(payload[1]) : nil)
        case .text, .binary, .continuation:
            if header.opcode != .continuation {
                message = []
                isText = header.opcode == .text
            }
            message += payload
            guard header.isFinal else { return nil }
            defer { message = [] }
            return isText ? .text(message) : .binary
        default: return nil
        }
    }
}
