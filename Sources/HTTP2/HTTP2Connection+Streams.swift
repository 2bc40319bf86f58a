// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// One stream: what has arrived on it, and its answer.
extension HTTP2Connection {
    /// Gives a stream a number by which the caller finds what belongs to it; its events carry it.
    ///
    /// `UInt64.max` stands for none.
    public func setTag(_ stream: HTTP2Stream, _ tag: UInt64) {
        guard let slot = slot(stream) else { return }
        slot.pointee.tag = tag
    }

    /// Whether the stream is open: neither complete nor reset.
    public func isOpen(_ stream: HTTP2Stream) -> Bool {
        guard let slot = slot(stream) else { return false }
        return slot.pointee.marks.isDisjoint(with: .gone)
    }

    // MARK: What has arrived

    /// The request's head, which is the caller's from then on; nil if it was taken already.
    public func takeHead(_ stream: HTTP2Stream) -> HTTP2Head? {
        slot(stream)?.pointee.head.take()
    }

    /// The request's trailers, which are the caller's from then on; nil if there are none.
    public func takeTrailers(_ stream: HTTP2Stream) -> HTTP2Head? {
        slot(stream)?.pointee.trailers.take()
    }

    /// The bytes of the body that have arrived and were not taken, in one piece.
    ///
    /// They may be changed in place, and so may 16 bytes in front of them and behind. The place is valid
    /// until bytes are received, or taken from this stream, or it is forgotten.
    public func arrived(_ stream: HTTP2Stream) -> UnsafeMutableRawBufferPointer {
        slot(stream)?.pointee.arrived.bytes ?? UnsafeMutableRawBufferPointer(start: nil, count: 0)
    }

    /// Whether the peer has ended its side.
    public func hasPeerEnded(_ stream: HTTP2Stream) -> Bool {
        slot(stream)?.pointee.marks.contains(.peerEnded) ?? true
    }

    /// Takes bytes from the start of those that have arrived, and gives the peer as much window back.
    public func consume(_ stream: HTTP2Stream, _ count: Int) {
        take(stream, count)
        giveBack(stream, count)
    }

    /// Takes bytes from the start of those that have arrived; their window is not given back yet.
    public func take(_ stream: HTTP2Stream, _ count: Int) {
        slot(stream)?.pointee.arrived.drop(count, core.pointee.blocks)
    }

    /// Gives the peer window back for bytes that `take` has taken.
    public func giveBack(_ stream: HTTP2Stream, _ count: Int) {
        guard count > 0, let slot = slot(stream),
            slot.pointee.marks.isDisjoint(with: .readNoMore)
        else { return }
        nghttp2_session_consume_stream(core.pointee.session, stream.id, count)
    }

    // MARK: The answer

    /// No fields, in memory that `recycle` has taken back, if there is any.
    public func makeFields() -> HTTP2Fields {
        var fields = core.pointee.memory.makeFields()
        fields.removeAll()
        return fields
    }

    /// Takes the memory of fields back that are of no more use.
    public func recycle(_ fields: HTTP2Fields) { core.pointee.memory.recycle(fields) }

    /// Sends an interim answer (1xx but 101); false if the stream is gone or was answered, or the status
    /// is none of these.
    @discardableResult
    public func sendInterim(
        _ stream: HTTP2Stream, status: Int, _ fields: HTTP2Fields = HTTP2Fields()
    ) -> Bool {
        guard let slot = openSlot(stream), !slot.pointee.marks.contains(.answered),
            100...199 ~= status, status != 101
        else { return false }
        let session = core.pointee.session
        return fields.withVector(status: status) { vector, count in
            nghttp2_submit_headers(session, 0, stream.id, nil, vector, count, nil) == 0
        }
    }

    /// Sends the head of the answer; with `hasBody`, `send` and `finish` follow.
    ///
    /// False if the stream is gone or was answered, or the status is not one from 200 to 999.
    @discardableResult
    public func answer(
        _ stream: HTTP2Stream, status: Int, _ fields: HTTP2Fields, hasBody: Bool
    ) -> Bool {
        guard let slot = openSlot(stream), !slot.pointee.marks.contains(.answered),
            200...999 ~= status
        else { return false }
        let session = core.pointee.session
        let result = fields.withVector(status: status) { vector, count in
            guard hasBody else {
                return nghttp2_submit_response(session, stream.id, vector, count, nil)
            }
            var source = SessionCallbacks.source(Int(stream.slot))
            return nghttp2_submit_response(session, stream.id, vector, count, &source)
        }
        guard result == 0 else { return false }
        slot.pointee.marks.insert(.answered)
        if hasBody { slot.pointee.marks.insert(.hasBody) }
        return true
    }

    /// Holds bytes of the answer's body to be produced; false if no body may be sent.
    ///
    /// It holds however many there are: the caller bounds them by `heldBytes`.
    @discardableResult
    public func send(_ stream: HTTP2Stream, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let slot = openSlot(stream), slot.pointee.marks.contains(.hasBody),
            !slot.pointee.marks.contains(.ending),
            slot.pointee.held.append(bytes, core.pointee.blocks)
        else { return false }
        if bytes.count > 0 { resume(slot, stream) }
        return true
    }

    /// Has the bytes sent that the connection's `HTTP2BodySource` has for the stream; false if no body may
    /// be sent.
    ///
    /// They stay where they are until they are produced. To be called whenever there are more.
    @discardableResult
    public func offer(_ stream: HTTP2Stream) -> Bool {
        guard let slot = openSlot(stream), slot.pointee.marks.contains(.hasBody) else {
            return false
        }
        resume(slot, stream)
        return true
    }

    /// Ends the answer's body behind what is held and what its source has; with trailers, if there are any.
    ///
    /// Where all bytes were produced and they have used up the window exactly, nghttp2 waits for more
    /// window with the end.
    @discardableResult
    public func finish(_ stream: HTTP2Stream, trailers: HTTP2Fields? = nil) -> Bool {
        guard let slot = openSlot(stream), slot.pointee.marks.contains(.hasBody),
            !slot.pointee.marks.contains(.ending)
        else { return false }
        slot.pointee.marks.insert(.ending)
        if let trailers, trailers.count > 0 { slot.pointee.answerTrailers = trailers }
        resume(slot, stream)
        return true
    }

    /// How many bytes of the answer's body are held, without those of its source.
    public func heldBytes(_ stream: HTTP2Stream) -> Int { slot(stream)?.pointee.held.count ?? 0 }

    /// How many bytes the peer lets the stream send now, beyond those that were produced.
    public func windowBytes(_ stream: HTTP2Stream) -> Int {
        guard openSlot(stream) != nil else { return 0 }
        let session = core.pointee.session
        let window = min(
            nghttp2_session_get_stream_remote_window_size(session, stream.id),
            nghttp2_session_get_remote_window_size(session))
        return Int(max(0, window))
    }

    /// Asks for a `drained` event when what is held, and what its source has, was produced; nothing comes
    /// if there is none.
    public func tellWhenDrained(_ stream: HTTP2Stream) {
        guard let slot = openSlot(stream), core.bytesLeft(slot) > 0 else { return }
        slot.pointee.marks.insert(.wantsDrained)
    }

    // MARK: Its end

    /// Resets the stream; what is held for it is dropped.
    ///
    /// `closed` follows with the next `produce`.
    ///
    /// - Parameters:
    ///   - stream: an open stream.
    ///   - code: `noError` once the answer was sent whole and the rest of the request is of no use
    ///     (RFC 9113 §8.1).
    ///   - isPeersFault: whether the peer is to blame, so that it counts as a reset that the peer has
    ///     provoked.
    public func reset(_ stream: HTTP2Stream, _ code: HTTP2ErrorCode, isPeersFault: Bool = false) {
        guard let slot = openSlot(stream) else { return }
        if isPeersFault { return core.resetForPeer(Int(stream.slot), code) }
        slot.pointee.marks.insert(.resetAndCounted)
        nghttp2_submit_rst_stream(core.pointee.session, 0, stream.id, code.rawValue)
    }

    /// Lets go of a stream, and of all that has arrived on it: due once `closed` was told.
    ///
    /// One that is still open is reset (CANCEL), and nothing more is told of it.
    public func forget(_ stream: HTTP2Stream) {
        guard let slot = slot(stream) else { return }
        if slot.pointee.marks.contains(.closed) {
            core.pointee.streams.remove(Int(stream.slot), core.pointee.memory)
        } else {
            reset(stream, .cancel)
            slot.pointee.marks.remove(.told)
            // What nobody was told of, and has a head, is told of when it closes.
            if let head = slot.pointee.head.take() { core.pointee.memory.recycle(head) }
        }
    }

    private func slot(_ stream: HTTP2Stream) -> UnsafeMutablePointer<StreamSlot>? {
        core.pointee.streams.index(stream).map { core.pointee.streams[$0] }
    }

    private func openSlot(_ stream: HTTP2Stream) -> UnsafeMutablePointer<StreamSlot>? {
        guard let slot = slot(stream),
            slot.pointee.marks.isDisjoint(with: .gone)
        else { return nil }
        return slot
    }

    /// Tells nghttp2 that there is something for a stream that it waits with.
    private func resume(_ slot: UnsafeMutablePointer<StreamSlot>, _ stream: HTTP2Stream) {
        guard slot.pointee.marks.contains(.deferred) else { return }
        slot.pointee.marks.remove(.deferred)
        nghttp2_session_resume_data(core.pointee.session, stream.id)
    }
}
