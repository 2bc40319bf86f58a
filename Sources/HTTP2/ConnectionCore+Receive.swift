// SPDX-License-Identifier: Apache-2.0
import CNghttp2

extension UnsafeMutablePointer where Pointee == ConnectionCore {
    /// Hands bytes to nghttp2, each frame for itself, so that what came of it is known before the next.
    func receive(_ bytes: UnsafeRawBufferPointer, milliseconds now: Int64) {
        pointee.milliseconds = now
        pointee.budgets.refill(milliseconds: now, pointee.policy)
        var start = 0
        var position = 0
        while position < bytes.count || pointee.meter.isAtEnd, pointee.end == nil, !pointee.isOver {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[position...])
            let (count, step) = pointee.meter.advance(rest)
            position += count
            // The payload stands behind the header, so both go to nghttp2 in one piece.
            if step == .begun {
                guard beginFrame() else { break }
                if position < bytes.count || pointee.meter.isAtEnd { continue }
            }
            guard feed(bytes[start..<position]) else { break }
            start = position
            if step == .ended { endFrame() }
        }
        giveBackConnectionWindow()
        checkEnd()
    }

    /// Counts a frame whose header is complete; false if it is one too many, and nghttp2 must not see it.
    private func beginFrame() -> Bool {
        pointee.isFrameKnown = false
        pointee.payloadBytes = 0
        switch pointee.meter.type {
        case FrameType.headers:
            pointee.headBegan = pointee.milliseconds
            pointee.headFrames = 1
            pointee.decodedBytes = 0
            return true
        case FrameType.continuation:
            pointee.headFrames += 1
            guard pointee.headFrames > pointee.policy.limits.headFramesMax else { return true }
            terminate(.abuse(.headFrames), .enhanceYourCalm)
            return false
        case FrameType.priority, FrameType.priorityUpdate: return spend(.priorities)
        case FrameType.resetStream: return spend(.resetsReceived)
        case FrameType.settings: return spend(.settings)
        case FrameType.ping: return spend(.pings)
        case FrameType.data, FrameType.windowUpdate: return true
        default: return spend(.otherFrames)
        }
    }

    /// Counts a frame by what came of it.
    private func endFrame() {
        let endsStream = pointee.meter.flags & FrameFlag.endStream != 0
        let endsHead = pointee.meter.flags & FrameFlag.endHeaders != 0
        switch pointee.meter.type {
        case FrameType.headers:
            if endsHead { pointee.headBegan = nil }
            if !pointee.isFrameKnown { spend(.strayFrames) }
        case FrameType.continuation: if endsHead { pointee.headBegan = nil }
        case FrameType.data:
            if !pointee.isFrameKnown {
                receivedUnknownData()
            } else if !endsStream {
                countData()
            }
        case FrameType.windowUpdate:
            let increment = Int(pointee.meter.firstWord & 0x7FFF_FFFF)
            if increment < pointee.policy.limits.smallWindowUpdateBytes {
                spend(.smallWindowUpdates)
            }
        default: break
        }
    }

    /// Counts a DATA frame that does not end its stream, by how little it brings.
    ///
    /// Clients that send the header and the payload of a WebSocket's frame in a DATA frame each may have a
    /// tiny one for each message: the other one makes up for it.
    private func countData() {
        let count = pointee.payloadBytes
        if count == 0 {
            spend(.emptyData)
        } else if count >= HTTP2Limits.smallestMessageBytes {
            pointee.budgets.earn(1, .tinyData)
        } else if count == 1 || isConnect(Int32(bitPattern: pointee.meter.stream)) {
            spend(.tinyData)
        }
    }

    private func isConnect(_ id: Int32) -> Bool {
        guard let index = slot(id) else { return false }
        return pointee.streams[index].pointee.marks.contains(.connect)
    }

    /// Counts a DATA frame of which nghttp2 has not told: its stream is closed, or was reset for it.
    ///
    /// nghttp2 resets without a word what has more bytes than its `content-length` says, or fewer, or
    /// more than its window.
    private func receivedUnknownData() {
        let index = slot(Int32(bitPattern: pointee.meter.stream))
        if let index, !pointee.streams[index].pointee.marks.contains(.resetting) {
            provoked(index)
        } else {
            spend(.strayFrames)
        }
    }

    /// Hands bytes to nghttp2; false if it reads no more.
    private func feed(_ bytes: Slice<UnsafeRawBufferPointer>) -> Bool {
        let piece = UnsafeRawBufferPointer(rebasing: bytes)
        let taken = nghttp2_session_mem_recv(
            pointee.session, piece.baseAddress?.assumingMemoryBound(to: UInt8.self), piece.count)
        if taken == piece.count { return true }
        switch Int32(truncatingIfNeeded: taken) {
        case NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue:
            pointee.finish(.notHTTP2)
        case NGHTTP2_ERR_FLOODED.rawValue:
            terminate(.abuse(.unreadAnswers), .enhanceYourCalm)
        default:
            // Nothing that a peer can send leads here: the rest are want of memory and misuse.
            terminate(.violation(.internalError, reason: "nghttp2 failed"), .internalError)
        }
        return false
    }

    /// Bytes that have arrived burden the connection's window no more: only their stream's.
    private func giveBackConnectionWindow() {
        guard pointee.unacknowledged > 0 else { return }
        nghttp2_session_consume_connection(pointee.session, pointee.unacknowledged)
        pointee.unacknowledged = 0
    }

    /// Tells of the end once nghttp2 wants no more in either direction.
    func checkEnd() {
        guard !pointee.isOver, pointee.frameLeft == 0,
            nghttp2_session_want_read(pointee.session) == 0,
            nghttp2_session_want_write(pointee.session) == 0
        else { return }
        pointee.finish(.complete)
    }
}
