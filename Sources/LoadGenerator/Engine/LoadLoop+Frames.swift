// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

extension LoadLoop {
    /// Checks what came back, frame by frame; false when the connection is gone.
    mutating func takeFrames(
        _ bytes: UnsafeMutablePointer<UInt8>, count: Int, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        let tailCount = client.pointee.tail.count
        let start = bytes - tailCount
        if tailCount > 0 {
            start.update(from: client.pointee.tail, count: tailCount)
            client.pointee.tail = []
        }
        let total = tailCount &+ count
        var position = 0
        while position < total {
            if client.pointee.payloadLeft > 0 {
                let piece = min(client.pointee.payloadLeft, total &- position)
                guard takePayload(start + position, piece, client, token) else { return false }
                position &+= piece
                continue
            }
            let left = total &- position
            guard let (header, length) = FrameHeader.decode(start + position, count: left) else {
                keepTail(start + position, left, client)
                return true
            }
            guard header.maskKey == nil, header.reservedBits == 0 || mayBeCompressed(header, client)
            else {
                return fail(
                    client, token, .protocolError, "a frame came back masked or with reserved bits")
            }
            if header.opcodeBits >= 8 {
                let whole = length &+ Int(min(header.payloadLength, 126))
                if left < whole && header.payloadLength <= 125 {
                    keepTail(start + position, left, client)
                    return true
                }
                let payload = UnsafeBufferPointer(
                    start: start + position + length, count: whole &- length)
                guard takeControl(header, payload, client, token) else { return false }
                position &+= whole
                continue
            }
            position &+= length
            guard beginData(header, client, token) else { return false }
        }
        return true
    }

    /// Whether RSV1 says that a message begins which is compressed (RFC 7692 §6).
    private func mayBeCompressed(_ header: FrameHeader, _ client: ClientPointer) -> Bool {
        client.pointee.isDeflated && header.reservedBits == 0x40
            && (header.opcode == .text || header.opcode == .binary)
    }

    private func keepTail(
        _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ client: ClientPointer
    ) {
        client.pointee.tail = Array(UnsafeBufferPointer(start: bytes, count: count))
    }

    private mutating func beginData(
        _ header: FrameHeader, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        if isPushed || client.pointee.isDeflated { return beginPushed(header, client, token) }
        let isStart = header.opcode != .continuation
        guard isStart == (client.pointee.messageOffset == 0 && client.pointee.isFinal),
            header.payloadLength <= UInt64(plan.messageBytes)
        else { return fail(client, token, .content, "a frame came back that is no echo") }
        if isStart, header.opcode != template.opcode { return failKind(header, client, token) }
        client.pointee.isFinal = header.isFinal
        client.pointee.payloadLeft = Int(header.payloadLength)
        return header.payloadLength > 0 || endFrame(client, token)
    }

    /// What came back is text for a binary message, or the other way round.
    mutating func failKind(
        _ header: FrameHeader, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        guard header.opcode == .text || header.opcode == .binary else {
            return fail(client, token, .protocolError, "a frame of an unknown kind came back")
        }
        let (sent, found) = plan.message.isText ? ("text", "binary") : ("binary", "text")
        return fail(
            client, token, .content, "a \(sent) message came back as a \(found) one")
    }

    private mutating func takePayload(
        _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        let marker = FrameMarker(
            sequence: client.pointee.answered, connection: client.pointee.number)
        let offset = client.pointee.messageOffset
        if isPushed || client.pointee.isDeflated {
            guard keepPushed(bytes, count, client) else {
                return fail(client, token, .content, "a message came with more than 16 MiB")
            }
            client.pointee.messageOffset = offset &+ count
            client.pointee.payloadLeft &-= count
            return client.pointee.payloadLeft > 0 || endFrame(client, token)
        }
        let size = template.size(of: marker)
        guard client.pointee.answered < client.pointee.sent,
            template.matches(bytes, offset: offset, count: count, marker: marker, size: size)
        else {
            return fail(client, token, .content, "a message came back altered, or somebody else's")
        }
        client.pointee.messageOffset = offset &+ count
        client.pointee.payloadLeft &-= count
        return client.pointee.payloadLeft > 0 || endFrame(client, token)
    }

    private mutating func endFrame(_ client: ClientPointer, _ token: Token) -> Bool {
        guard client.pointee.isFinal else { return true }
        if isPushed || client.pointee.isDeflated { return endPushed(client, token) }
        let index = client.pointee.answered
        let size = template.size(
            of: FrameMarker(sequence: index, connection: client.pointee.number))
        guard client.pointee.messageOffset == size, index < client.pointee.sent else {
            return fail(
                client, token, .content,
                "\(client.pointee.messageOffset) of \(size) bytes came back")
        }
        client.pointee.answered = index &+ 1
        client.pointee.messageOffset = 0
        meter.pointee.countReceived()
        noteLatency(client, index, size)
        return true
    }

    /// A message is back: counts it, and how long that took.
    mutating func noteLatency(_ client: ClientPointer, _ index: UInt64, _ size: Int) {
        // The whole of its life counts, once it is over.
        if kind == .cycle { return }
        var since: UInt64
        if kind == .rate {
            since = intendedAt(position: client.pointee.position, index: index)
            guard since >= measureBeganAt, since < measureEndedAt else { return }
        } else if let sentTimes {
            since = sentTimes[sendPlace(client, index)]
        } else {
            guard index == client.pointee.trackedIndex else {
                meter.pointee.countOne(payloadBytes: size)
                return
            }
            since = client.pointee.trackedAt
            client.pointee.trackedIndex = .max
        }
        let latency = now > since ? now &- since : 0
        meter.pointee.countOne(payloadBytes: size)
        meter.pointee.record(nanoseconds: latency)
        if latency > lateNanoseconds { meter.pointee.noteLate(nanoseconds: latency) }
    }

    private mutating func takeControl(
        _ header: FrameHeader, _ payload: UnsafeBufferPointer<UInt8>, _ client: ClientPointer,
        _ token: Token
    ) -> Bool {
        guard header.isFinal else {
            return fail(client, token, .protocolError, "a control frame came that is not whole")
        }
        switch header.opcode {
        case .ping where payload.count <= 125:
            guard client.pointee.phase == .open else { return true }
            client.pointee.pingToAnswer = Array(payload)
            // One that can't be answered now waits, and a later one takes its place (RFC 6455 §5.5.3).
            if client.pointee.frameOffset != 0 || isBlocked(client) { return true }
            return put(scratch, count: writePong(client, scratch), client, token)
        case .pong where payload.count <= 125:
            notePong(client)
            return true
        case .close where payload.count <= 125:
            return takeClose(payload, client, token)
        default:
            return fail(client, token, .protocolError, "a frame of an unknown kind came back")
        }
    }

    /// Writes the answer to the last Ping; how many bytes that are, 0 where there is none to be answered.
    mutating func writePong(
        _ client: ClientPointer, _ bytes: UnsafeMutablePointer<UInt8>
    ) -> Int {
        guard let ping = client.pointee.pingToAnswer else { return 0 }
        client.pointee.pingToAnswer = nil
        let key = random.next(upperBound: UInt32.max)
        return ping.withUnsafeBufferPointer {
            ControlFrame.pong(payload: $0, maskKey: key, into: bytes)
        }
    }

    private mutating func takeClose(
        _ payload: UnsafeBufferPointer<UInt8>, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        let code = payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : 1005
        guard client.pointee.phase == .closing else {
            if client.pointee.phase == .open, let player = client.pointee.player,
                player.isLingering, code == 1000 || code == 1001 || code == 1005
            {
                // All of the recording was played, and the server ends it before the client does.
                player.isDone = true
                return sendClose(client, token) && beginEnding(client, token)
            }
            let reason = Self.reason(payload)
            return fail(
                client, token, .close(code),
                "the server closed the connection with \(code)\(reason)")
        }
        if isCycling || kind == .cycle {
            guard code == 1000 else {
                return fail(client, token, .close(code), "the Close was answered with \(code)")
            }
        }
        if isCycling {
            meter.pointee.countOne()
            if client.pointee.isResumed && meter.pointee.isMeasuring { meter.pointee.resumed &+= 1 }
            meter.pointee.record(nanoseconds: now &- client.pointee.startedAt)
        }
        return beginEnding(client, token)
    }

    /// The reason of a Close, for a sentence.
    private static func reason(_ payload: UnsafeBufferPointer<UInt8>) -> String {
        payload.count > 2 ? ": " + String(decoding: payload.dropFirst(2), as: UTF8.self) : ""
    }

    /// A socket that was held is alive.
    private mutating func notePong(_ client: ClientPointer) {
        guard kind == .idle, client.pointee.sent == 1, client.pointee.answered == 0 else {
            return
        }
        client.pointee.answered = 1
        meter.pointee.countOne()
        meter.pointee.record(nanoseconds: now &- min(now, client.pointee.trackedAt))
    }
}
