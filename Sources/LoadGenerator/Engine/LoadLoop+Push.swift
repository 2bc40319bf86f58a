// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Tap
import Wire

/// Messages that come from the server.
extension LoadLoop {
    /// Bytes at the start of a message in which its clock is looked for.
    private static let clockBytesMax = 4096
    /// Bytes of a message that is kept as a whole.
    static let messageBytesMax = 16 << 20

    /// Asks for messages, where the plan has a message for that; false when the connection is gone.
    mutating func subscribe(_ client: ClientPointer, _ token: Token) -> Bool {
        guard let subscription = plan.subscription, let content = subscription.content else {
            return true
        }
        meter.pointee.countSent(isTimed: false)
        return sendMessage(content, subscription.isText ? .text : .binary, client, token)
    }

    /// Sends a message that is made for this connection; false when the connection is gone.
    mutating func sendMessage(
        _ content: [UInt8], _ opcode: Opcode, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        var content = content
        var header = FrameHeader(
            opcode: opcode, payloadLength: UInt64(content.count),
            maskKey: random.next(upperBound: UInt32.max))
        if client.pointee.isDeflated, let deflated = deflater?.deflate(content) {
            content = deflated
            header.payloadLength = UInt64(content.count)
            header.reservedBits = 0x40
        }
        let key = header.maskKey ?? 0
        var bytes = header.encoded()
        let start = bytes.count
        bytes += content
        bytes.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            FrameMask.apply(key, phase: 0, to: base + start, count: content.count)
        }
        return bytes.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return true }
            return put(base, count: buffer.count, client, token)
        }
    }

    mutating func beginPushed(
        _ header: FrameHeader, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        let isStart = header.opcode != .continuation
        guard isStart == client.pointee.isFinal,
            header.payloadLength <= UInt64(Int32.max)
        else {
            return fail(
                client, token, .protocolError, "a frame came that does not continue its message")
        }
        if isStart, !isPushed, header.opcode != template.opcode {
            return failKind(header, client, token)
        }
        guard header.opcode != nil else {
            return fail(client, token, .protocolError, "a frame of an unknown kind came")
        }
        if isStart { client.pointee.isCompressed = header.reservedBits == 0x40 }
        if isStart { client.pointee.player?.incomingIsText = header.opcode == .text }
        client.pointee.isFinal = header.isFinal
        client.pointee.payloadLeft = Int(header.payloadLength)
        return header.payloadLength > 0 || endPushedFrame(client, token)
    }

    private mutating func endPushedFrame(_ client: ClientPointer, _ token: Token) -> Bool {
        client.pointee.isFinal ? endPushed(client, token) : true
    }

    /// Keeps the start of a message in which a clock is looked for, and of a script all of it; false where that is
    /// too much.
    func keepPushed(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ client: ClientPointer
    ) -> Bool {
        if client.pointee.isDeflated {
            guard client.pointee.pushed.count + count <= Self.messageBytesMax else { return false }
            client.pointee.pushed.append(
                contentsOf: UnsafeBufferPointer(start: bytes, count: count))
            return true
        }
        if let player = client.pointee.player {
            return player.collect(UnsafeBufferPointer(start: bytes, count: count))
        }
        guard case .push(let clock) = plan.mode, clock != nil else { return true }
        let room = Self.clockBytesMax - client.pointee.pushed.count
        guard room > 0 else { return true }
        client.pointee.pushed.append(
            contentsOf: UnsafeBufferPointer(start: bytes, count: min(room, count)))
        return true
    }

    /// A message has come: counts it, and how old it is or how long after the one before.
    mutating func endPushed(_ client: ClientPointer, _ token: Token) -> Bool {
        if client.pointee.isDeflated {
            client.pointee.messageOffset = 0
            guard inflate(client) else {
                return fail(client, token, .content, "a message came that can't be inflated")
            }
            client.pointee.messageOffset = client.pointee.pushed.count
            if !isPushed {
                client.pointee.messageOffset = 0
                return endDeflated(client, token)
            }
            if let player = client.pointee.player {
                player.incoming = client.pointee.pushed
                client.pointee.pushed.removeAll(keepingCapacity: true)
            }
        }
        if kind == .script { return endScripted(client, token) }
        guard case .push(let clock) = plan.mode else { return true }
        let size = client.pointee.messageOffset
        client.pointee.messageOffset = 0
        client.pointee.answered &+= 1
        meter.pointee.countReceived()
        meter.pointee.countOne(payloadBytes: size)
        if let clock {
            let sentAt = PushClock.nanoseconds(in: client.pointee.pushed, key: clock)
            client.pointee.pushed.removeAll(keepingCapacity: true)
            guard let sentAt else {
                return fail(
                    client, token, .content,
                    "a message came in which no number stands under “\(clock)”")
            }
            let wall = Clock.wallNanoseconds()
            if wall >= sentAt {
                noteAge(wall - sentAt)
            } else {
                // No age at all is known of it: 0 would be as wrong as any.
                meter.pointee.noteEarly(nanoseconds: sentAt - wall)
            }
            return true
        }
        client.pointee.pushed.removeAll(keepingCapacity: true)
        let before = client.pointee.trackedAt
        client.pointee.trackedAt = now
        // The gap to what came before the measured part is not of it.
        if before >= measureBeganAt, before > 0 { noteAge(now &- min(now, before)) }
        return true
    }

    private mutating func noteAge(_ nanoseconds: UInt64) {
        meter.pointee.record(nanoseconds: nanoseconds)
        if nanoseconds > lateNanoseconds { meter.pointee.noteLate(nanoseconds: nanoseconds) }
    }
}

/// The clock that a server's program puts into its messages.
enum PushClock {
    /// The time under a key, in nanoseconds since 1970; nil where no such number stands there.
    ///
    /// The number may be in seconds, milliseconds, microseconds or nanoseconds: which of them follows from its
    /// size, since every time of this century has another number of digits in each.
    static func nanoseconds(in bytes: [UInt8], key: String) -> UInt64? {
        let wanted = Array("\"\(key)\"".utf8)
        guard bytes.count > wanted.count else { return nil }
        for start in 0..<(bytes.count - wanted.count) where bytes[start] == wanted[0] {
            guard bytes[start..<(start + wanted.count)].elementsEqual(wanted) else { continue }
            var rest = bytes[(start + wanted.count)...].drop { $0 == 0x20 }
            guard rest.popFirst() == UInt8(ascii: ":") else { continue }
            let number = rest.drop { $0 == 0x20 }.prefix { byte in
                (0x30...0x39).contains(byte) || numberSigns.contains(byte)
            }
            return scaled(String(decoding: number, as: UTF8.self))
        }
        return nil
    }

    private static let numberSigns = Array(".eE+-".utf8)
    /// More places than that a time has in no unit.
    private static let placesMax = 64

    /// The digits of a number of JSON before and behind its point, without an exponent (RFC 8259 §6); nil where it
    /// is none, or negative.
    private static func plain(_ text: String) -> (whole: String, fraction: String)? {
        let ends = text.split(omittingEmptySubsequences: false) { $0 == "e" || $0 == "E" }
        guard let mantissa = ends.first, ends.count <= 2,
            let exponent = ends.count == 2 ? Int(ends[1]) : 0,
            (-placesMax...placesMax).contains(exponent)
        else { return nil }
        let parts = mantissa.split(separator: ".", omittingEmptySubsequences: false)
        let digits = parts.joined()
        guard parts.count <= 2, !parts[0].isEmpty, !digits.contains(where: { !$0.isNumber }) else {
            return nil
        }
        let point = parts[0].count + exponent
        let zeros = String(repeating: "0", count: max(0, -point))
        let padded = digits + String(repeating: "0", count: max(0, point - digits.count))
        return ("0" + padded.prefix(max(0, point)), zeros + padded.dropFirst(max(0, point)))
    }

    private static func scaled(_ text: String) -> UInt64? {
        // In two parts, since nanoseconds since 1970 do not fit a Double.
        guard let parts = plain(text), let whole = UInt64(parts.whole),
            let fraction = Double("0.\(parts.fraction)0")
        else { return nil }
        let unit: UInt64 =
            switch whole {
            case ..<100_000_000_000: 1_000_000_000
            case ..<100_000_000_000_000: 1_000_000
            case ..<100_000_000_000_000_000: 1000
            default: 1
            }
        let (nanoseconds, isTooLarge) = whole.multipliedReportingOverflow(by: unit)
        return isTooLarge ? nil : nanoseconds &+ UInt64(fraction * Double(unit))
    }
}
