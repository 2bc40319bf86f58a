// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// What nghttp2 calls.
///
/// Nothing here calls the caller of the connection: it writes down what happened.
enum SessionCallbacks {
    /// The callbacks, made once for all sessions, which copy them.
    nonisolated(unsafe) static let shared: OpaquePointer = {
        var callbacks: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks else {
            fatalError("There is no memory for nghttp2's callbacks.")
        }
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, frame, user in
            CorePointer.of(user).beginHead(frame)
            return 0
        }
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameCount, value, valueCount, _, user in
            CorePointer.of(user).addField(
                frame, UnsafeBufferPointer(start: name, count: nameCount),
                UnsafeBufferPointer(start: value, count: valueCount))
        }
        // nghttp2 would leave out a field that is malformed; the request is (RFC 9113 §8.2.1).
        nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) {
            _, _, _, _, _, _, _, _ in NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _, _, id, bytes, count, user in
            CorePointer.of(user).addData(id, UnsafeRawBufferPointer(start: bytes, count: count))
            return 0
        }
        nghttp2_session_callbacks_set_send_data_callback(callbacks) {
            _, _, header, count, source, user in
            guard let header, let source else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
            let index = Int(bitPattern: source.pointee.ptr) - 1
            return CorePointer.of(user).write(index, header, count)
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            CorePointer.of(user).received(frame)
            return 0
        }
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) {
            _, frame, _, user in
            CorePointer.of(user).receivedInvalid(frame)
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
            CorePointer.of(user).sent(frame)
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) { _, frame, _, user in
            CorePointer.of(user).couldNotSend(frame)
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, user in
            CorePointer.of(user).closed(id, code)
            return 0
        }
        return callbacks
    }()

    /// The options, made once for all sessions, which copy them.
    nonisolated(unsafe) static let options: OpaquePointer = {
        var options: OpaquePointer?
        guard nghttp2_option_new(&options) == 0, let options else {
            fatalError("There is no memory for nghttp2's options.")
        }
        nghttp2_option_set_no_auto_window_update(options, 1)
        // What these limit is counted by the connection itself, by the time that it is handed.
        nghttp2_option_set_stream_reset_rate_limit(options, 1 << 62, 0)
        nghttp2_option_set_max_continuations(options, 1 << 30)
        // A head of an answer is as long as the limits for upstreams allow.
        nghttp2_option_set_max_send_header_block_length(options, 4 << 20)
        return options
    }()

    /// Where the bytes of an answer come from: the stream's slot.
    static func source(_ index: Int) -> nghttp2_data_provider {
        nghttp2_data_provider(
            source: nghttp2_data_source(ptr: UnsafeMutableRawPointer(bitPattern: index + 1)),
            read_callback: { _, id, room, count, flags, source, user in
                guard let source, let room, let flags else {
                    return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
                }
                let index = Int(bitPattern: source.pointee.ptr) - 1
                return CorePointer.of(user).fill(index, id, room, count, flags)
            })
    }
}

extension UnsafeMutablePointer where Pointee == ConnectionCore {
    /// One DATA frame fits one TLS record of 16 KiB, with its header of nine bytes.
    static var dataBytesMax: Int { 16_375 }
    private static var frameHeaderBytes: Int { 9 }

    fileprivate func beginHead(_ frame: UnsafePointer<nghttp2_frame>?) {
        guard let frame else { return }
        pointee.isFrameKnown = true
        let id = frame.pointee.hd.stream_id
        guard frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST else {
            guard let index = slot(id), pointee.streams[index].pointee.trailers == nil else {
                return
            }
            pointee.streams[index].pointee.trailers = pointee.memory.makeHead()
            return
        }
        let index = pointee.streams.add(id: id)
        pointee.streams[index].pointee.head = pointee.memory.makeHead()
        pointee.openCount += 1
        let session = pointee.session
        nghttp2_session_set_stream_user_data(
            session, id, UnsafeMutableRawPointer(bitPattern: index + 1))
        // Streams take turns, frame by frame; else one that never ends would be served alone.
        var fair = nghttp2_extpri(urgency: 3, inc: 1)
        nghttp2_session_change_extpri_stream_priority(session, id, &fair, 1)
    }

    fileprivate func addField(
        _ frame: UnsafePointer<nghttp2_frame>?, _ name: UnsafeBufferPointer<UInt8>,
        _ value: UnsafeBufferPointer<UInt8>
    ) -> Int32 {
        pointee.decodedBytes += name.count + value.count + 32
        guard pointee.decodedBytes <= pointee.policy.limits.decodedBytesMax else {
            terminate(.abuse(.headBytes), .enhanceYourCalm)
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        guard let frame, let index = slot(frame.pointee.hd.stream_id) else { return 0 }
        let slot = pointee.streams[index]
        let isRequest = frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST
        let head = isRequest ? slot.pointee.head?.memory : slot.pointee.trailers?.memory
        head?.storage.pointee.add(name: name, value: value, pointee.policy.limits)
        return 0
    }

    fileprivate func addData(_ id: Int32, _ bytes: UnsafeRawBufferPointer) {
        pointee.payloadBytes += bytes.count
        pointee.unacknowledged += bytes.count
        guard let index = slot(id) else { return }
        let slot = pointee.streams[index]
        // nghttp2 has reset a stream whose window was too small for this.
        let most = max(65_535, pointee.policy.limits.streamWindowBytes)
        guard slot.pointee.marks.isDisjoint(with: .gone),
            slot.pointee.arrived.count + bytes.count <= most,
            slot.pointee.arrived.append(bytes, pointee.blocks)
        else { return }
        guard !slot.pointee.marks.contains(.dataTold), slot.pointee.marks.contains(.told) else {
            return
        }
        slot.pointee.marks.insert(.dataTold)
        pointee.tell(.data, index)
    }

    fileprivate func received(_ frame: UnsafePointer<nghttp2_frame>?) {
        guard let frame else { return }
        pointee.isFrameKnown = true
        let header = frame.pointee.hd
        switch header.type {
        case FrameType.headers, FrameType.data:
            let endsStream = header.flags & FrameFlag.endStream != 0
            if header.type == FrameType.data, !endsStream { return }
            guard let index = slot(header.stream_id) else { return }
            if header.type == FrameType.data {
                peerEnded(index)
            } else if frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST {
                receivedRequest(index, isLast: endsStream)
            } else {
                receivedTrailers(index)
            }
        case FrameType.resetStream:
            guard let index = slot(header.stream_id) else { return }
            pointee.streams[index].pointee.marks.insert(.resetByPeer)
            pointee.streams[index].pointee.resetCode = frame.pointee.rst_stream.error_code
        case FrameType.goAway:
            pointee.tell(.goAway(HTTP2ErrorCode(rawValue: frame.pointee.goaway.error_code)))
        case FrameType.ping:
            guard header.flags & FrameFlag.acknowledgement != 0, let sent = pointee.pingSent,
                number(frame.pointee.ping) == pointee.pingNumber
            else { return }
            pointee.pingSent = nil
            pointee.tell(.pong(milliseconds: max(0, pointee.milliseconds &- sent)))
        default: break
        }
    }

    private func receivedRequest(_ index: Int, isLast: Bool) {
        let slot = pointee.streams[index]
        guard slot.pointee.head?.memory.storage.pointee.finish() == true else {
            return resetForPeer(index, .protocolError)
        }
        slot.pointee.marks.insert(.told)
        if slot.pointee.head?.memory.storage.pointee.isConnect == true {
            slot.pointee.marks.insert(.connect)
        }
        if isLast { slot.pointee.marks.insert(.peerEnded) }
        pointee.tell(.request(isLast: isLast), index)
    }

    private func receivedTrailers(_ index: Int) {
        let slot = pointee.streams[index]
        // Only DATA may come behind a CONNECT (RFC 9113 §8.5).
        if slot.pointee.marks.contains(.connect) { return resetForPeer(index, .protocolError) }
        guard slot.pointee.trailers?.fault == nil,
            slot.pointee.trailers?.memory.storage.pointee.finish() == true
        else {
            // They can't be answered, since an answer may be on its way, and can't be left out.
            return resetForPeer(index, .enhanceYourCalm)
        }
        pointee.tell(.trailers, index)
        peerEnded(index)
    }

    private func peerEnded(_ index: Int) {
        pointee.streams[index].pointee.marks.insert(.peerEnded)
        pointee.tell(.end, index)
    }

    private func number(_ ping: nghttp2_ping) -> UInt64 {
        var number: UInt64 = 0
        withUnsafeBytes(of: ping.opaque_data) {
            for byte in $0 { number = number << 8 | UInt64(byte) }
        }
        return number
    }

    fileprivate func receivedInvalid(_ frame: UnsafePointer<nghttp2_frame>?) {
        guard let frame else { return }
        pointee.isFrameKnown = true
        let id = frame.pointee.hd.stream_id
        if id != 0 { provoked(slot(id)) }
    }

    fileprivate func sent(_ frame: UnsafePointer<nghttp2_frame>?) {
        guard let frame else { return }
        let header = frame.pointee.hd
        switch header.type {
        case FrameType.headers, FrameType.data:
            guard let index = slot(header.stream_id) else { return }
            let slot = pointee.streams[index]
            let isData = header.type == FrameType.data
            let isSmall = header.length < pointee.policy.limits.smallDataBytes
            if isData, !isSmall || slot.pointee.left == 0 {
                // It may be acknowledged on its own, unless a window of next to nothing has cut it short.
                pointee.budgets.earn(2, .smallWindowUpdates)
            }
            if isData, slot.pointee.left == 0 {
                if slot.pointee.marks.contains(.wantsDrained) {
                    slot.pointee.marks.remove(.wantsDrained)
                    pointee.tell(.drained, index)
                }
            }
            if header.flags & FrameFlag.endStream != 0 { pointee.tell(.sent, index) }
        case FrameType.resetStream:
            guard let index = slot(header.stream_id) else { return }
            provoked(index)
            pointee.streams[index].pointee.marks.insert(.resetHere)
            pointee.streams[index].pointee.resetCode = frame.pointee.rst_stream.error_code
        case FrameType.goAway: sentGoAway(frame.pointee.goaway)
        default: break
        }
    }

    private func sentGoAway(_ goAway: nghttp2_goaway) {
        let code = HTTP2ErrorCode(rawValue: goAway.error_code)
        guard code != .noError else { return }
        switch pointee.end {
        case .abuse where code == .enhanceYourCalm: return
        case .terminated(code), .violation(code, _): return
        default: break
        }
        let bytes = UnsafeBufferPointer(start: goAway.opaque_data, count: goAway.opaque_data_len)
        pointee.end = .violation(code, reason: String(decoding: bytes, as: UTF8.self))
    }

    fileprivate func couldNotSend(_ frame: UnsafePointer<nghttp2_frame>?) {
        guard let frame else { return }
        let id = frame.pointee.hd.stream_id
        guard frame.pointee.hd.type == FrameType.headers, let index = slot(id),
            !pointee.streams[index].pointee.marks.contains(.resetting)
        else { return }
        pointee.streams[index].pointee.marks.insert(.resetAndCounted)
        nghttp2_submit_rst_stream(
            pointee.session, 0, id, HTTP2ErrorCode.internalError.rawValue)
    }

    fileprivate func closed(_ id: Int32, _ code: UInt32) {
        guard let index = slot(id) else { return }
        let slot = pointee.streams[index]
        pointee.openCount -= 1
        guard slot.pointee.marks.contains(.told) else {
            let isMalformed = slot.pointee.head != nil && pointee.end == nil
            if !isMalformed { return pointee.streams.remove(index, pointee.memory) }
            slot.pointee.marks.formUnion([.told, .closed])
            return pointee.tell(.malformed(HTTP2ErrorCode(rawValue: code)), index)
        }
        slot.pointee.marks.insert(.closed)
        slot.pointee.held.clear(pointee.blocks)
        let end: HTTP2StreamEnd
        if slot.pointee.marks.contains(.resetByPeer) {
            end = .resetByPeer(HTTP2ErrorCode(rawValue: slot.pointee.resetCode))
        } else if slot.pointee.marks.contains(.resetHere) || code != 0 {
            end = .resetHere(HTTP2ErrorCode(rawValue: code))
        } else {
            end = .complete
        }
        pointee.tell(.closed(end), index)
    }

    /// How many bytes of a body were not produced, wherever they lie.
    func bytesLeft(_ slot: UnsafeMutablePointer<StreamSlot>) -> Int {
        slot.pointee.held.count + (pointee.source?.count(slot.pointee) ?? 0)
    }

    /// Fills a DATA frame from what there is for the peer.
    ///
    /// Where the whole frame has room, nghttp2 makes its header only, and has `write` put both there.
    fileprivate func fill(
        _ index: Int, _ id: Int32, _ place: UnsafeMutablePointer<UInt8>, _ most: Int,
        _ flags: UnsafeMutablePointer<UInt32>
    ) -> Int {
        let slot = pointee.streams[index]
        guard slot.pointee.id == id else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        let isEnding = slot.pointee.marks.contains(.ending)
        let all = bytesLeft(slot)
        if all == 0, !isEnding {
            slot.pointee.marks.insert(.deferred)
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        // What is held by the connection goes first, and one frame has bytes of one place.
        let held = slot.pointee.held.count
        let count = min(most, held > 0 ? held : all, Self.dataBytesMax)
        slot.pointee.left = all - count
        if count > 0 {
            if Self.frameHeaderBytes + count <= pointee.roomLeft {
                flags.pointee |= NGHTTP2_DATA_FLAG_NO_COPY.rawValue
            } else if !takeBody(slot, UnsafeMutableRawPointer(place), count) {
                return Int(NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue)
            }
        }
        guard isEnding, slot.pointee.left == 0 else { return count }
        flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue
        if let trailers = slot.pointee.answerTrailers {
            slot.pointee.answerTrailers = nil
            let session = pointee.session
            let result = trailers.withVector(status: nil) { vector, count in
                nghttp2_submit_trailer(session, id, vector, count)
            }
            if result == 0 { flags.pointee |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue }
        }
        return count
    }

    /// Writes a DATA frame, which `fill` has found to have room, to where it is sent from.
    fileprivate func write(_ index: Int, _ header: UnsafePointer<UInt8>, _ count: Int) -> Int32 {
        guard let room = pointee.room, pointee.roomLeft >= Self.frameHeaderBytes + count else {
            return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
        }
        let body = room + Self.frameHeaderBytes
        room.copyMemory(from: header, byteCount: Self.frameHeaderBytes)
        guard takeBody(pointee.streams[index], body, count) else {
            // The stream is reset for it.
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        pointee.room = body + count
        pointee.roomLeft -= Self.frameHeaderBytes + count
        return 0
    }

    /// Takes so many bytes of a body from where the next ones lie; false if they are not there.
    private func takeBody(
        _ slot: UnsafeMutablePointer<StreamSlot>, _ place: UnsafeMutableRawPointer, _ count: Int
    ) -> Bool {
        guard !slot.pointee.held.isEmpty else {
            let isWhole = pointee.source?.take(slot.pointee, place, count) ?? false
            assert(isWhole, "a source has fewer bytes than it said")
            return isWhole
        }
        guard let bytes = slot.pointee.held.bytes.baseAddress else { return false }
        place.copyMemory(from: bytes, byteCount: count)
        slot.pointee.held.drop(count, pointee.blocks)
        return true
    }
}
