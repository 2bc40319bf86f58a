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
            guard header.maskKey == nil, header.reservedBits == 0 else {
                return fail(client, token, "a frame came back masked or with reserved bits")
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

    private func keepTail(
        _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ client: ClientPointer
    ) {
        client.pointee.tail = Array(UnsafeBufferPointer(start: bytes, count: count))
    }

    private mutating func beginData(
        _ header: FrameHeader, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        let isStart = header.opcode != .continuation
        guard isStart == (client.pointee.messageOffset == 0 && client.pointee.isFinal),
            header.payloadLength <= UInt64(plan.messageBytes)
        else { return fail(client, token, "a frame came back that is no echo") }
        client.pointee.isFinal = header.isFinal
        client.pointee.payloadLeft = Int(header.payloadLength)
        return header.payloadLength > 0 || endFrame(client, token)
    }

    private mutating func takePayload(
        _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        let marker = FrameMarker(
            sequence: client.pointee.answered, connection: client.pointee.number)
        let offset = client.pointee.messageOffset
        guard client.pointee.answered < client.pointee.sent,
            template.matches(bytes, offset: offset, count: count, marker: marker)
        else {
            return fail(client, token, "a message came back altered, or somebody else's")
        }
        client.pointee.messageOffset = offset &+ count
        client.pointee.payloadLeft &-= count
        return client.pointee.payloadLeft > 0 || endFrame(client, token)
    }

    private mutating func endFrame(_ client: ClientPointer, _ token: Token) -> Bool {
        guard client.pointee.isFinal else { return true }
        guard client.pointee.messageOffset == plan.messageBytes,
            client.pointee.answered < client.pointee.sent
        else {
            return fail(
                client, token,
                "\(client.pointee.messageOffset) of \(plan.messageBytes) bytes came back")
        }
        let index = client.pointee.answered
        client.pointee.answered &+= 1
        client.pointee.messageOffset = 0
        // The whole of its life counts, once it is over.
        if plan.mode == .cycle { return true }
        if case .rate = plan.mode {
            let intended = intendedAt(position: client.pointee.position, index: index)
            guard intended >= measureBeganAt, intended < measureEndedAt else { return true }
            meter.countOne()
            meter.record(nanoseconds: now > intended ? now &- intended : 0)
            return true
        }
        meter.countOne()
        if index == client.pointee.trackedIndex {
            meter.record(nanoseconds: now &- min(now, client.pointee.trackedAt))
            client.pointee.trackedIndex = .max
        }
        return true
    }

    private mutating func takeControl(
        _ header: FrameHeader, _ payload: UnsafeBufferPointer<UInt8>, _ client: ClientPointer,
        _ token: Token
    ) -> Bool {
        switch header.opcode {
        case .ping where payload.count <= 125:
            guard client.pointee.phase == .open, client.pointee.frameOffset == 0 else {
                return true
            }
            let key = random.next(upperBound: UInt32.max)
            let count = ControlFrame.pong(payload: payload, maskKey: key, into: scratch)
            return put(scratch, count: count, client, token)
        case .pong where payload.count <= 125:
            return true
        case .close where payload.count <= 125:
            return takeClose(payload, client, token)
        default:
            return fail(client, token, "a frame of an unknown kind came back")
        }
    }

    private mutating func takeClose(
        _ payload: UnsafeBufferPointer<UInt8>, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        let code = payload.count >= 2 ? Int(payload[0]) << 8 | Int(payload[1]) : 1005
        guard client.pointee.phase == .closing else {
            return fail(client, token, "the server closed the connection with \(code)")
        }
        if isCycling || plan.mode == .cycle {
            guard code == 1000 else {
                return fail(client, token, "the Close was answered with \(code)")
            }
        }
        if isCycling {
            meter.countOne()
            if client.pointee.isResumed && meter.isMeasuring { meter.resumed &+= 1 }
            meter.record(nanoseconds: now &- client.pointee.startedAt)
        }
        return beginEnding(client, token)
    }
}
