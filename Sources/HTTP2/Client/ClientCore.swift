// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// What a client knows of one of its streams.
struct ClientStreamState {
    let tag: UInt64
    /// The answer's head while it comes.
    var answer = HTTP2Answer()
    /// Bytes for the server that were not produced.
    var held = ByteQueue()
    /// No more bytes follow those that are held.
    var isEnding = false
    /// nghttp2 was told that there are no bytes, and waits until there are.
    var isDeferred = false
}

typealias ClientStreamPointer = UnsafeMutablePointer<ClientStreamState>

/// The state of a client's connection, at an address that does not change: nghttp2's callbacks get it.
struct ClientCore {
    let memory: HTTP2Memory
    /// nghttp2's session; nil only until it has been made.
    var session: OpaquePointer?
    /// Streams that are not over, by their numbers.
    var streams: [Int32: ClientStreamPointer] = [:]
    /// The bytes that nghttp2 reads now.
    var received = UnsafeMutableRawBufferPointer(start: nil, count: 0)
    var hasFailed = false
    /// GOAWAY was sent or received in order.
    var isEnding = false
    /// What is left of a frame that nghttp2 has made; it stays valid until nghttp2 makes the next one.
    var frame: UnsafePointer<UInt8>?
    var frameLeft = 0

    private var events: [HTTP2Client.Event] = []
    private var eventIndex = 0

    init(memory: HTTP2Memory) { self.memory = memory }

    func makeStream(_ tag: UInt64) -> ClientStreamPointer {
        let stream = ClientStreamPointer.allocate(capacity: 1)
        stream.initialize(to: ClientStreamState(tag: tag))
        return stream
    }

    func free(_ stream: ClientStreamPointer) {
        stream.pointee.held.clear(memory.blocks)
        stream.deinitialize(count: 1)
        stream.deallocate()
    }

    mutating func tell(_ event: HTTP2Client.Event) { events.append(event) }

    mutating func nextEvent() -> HTTP2Client.Event? {
        guard eventIndex < events.count else { return nil }
        defer {
            eventIndex += 1
            if eventIndex == events.count {
                events.removeAll(keepingCapacity: true)
                eventIndex = 0
            }
        }
        return events[eventIndex]
    }

    mutating func fail(_ code: Int32) {
        guard !hasFailed else { return }
        hasFailed = true
        tell(.failed(String(cString: nghttp2_strerror(code))))
    }
}

typealias ClientCorePointer = UnsafeMutablePointer<ClientCore>

extension UnsafeMutablePointer where Pointee == ClientCore {
    /// The core that nghttp2 hands to its callbacks.
    static func ofClient(_ userData: UnsafeMutableRawPointer?) -> ClientCorePointer {
        guard let userData else { preconditionFailure("nghttp2 has lost its user data.") }
        return userData.assumingMemoryBound(to: ClientCore.self)
    }

    /// Tells nghttp2 that there is something for a stream that it waits with.
    func resume(_ stream: ClientStreamPointer, _ id: Int32) {
        guard stream.pointee.isDeferred else { return }
        stream.pointee.isDeferred = false
        nghttp2_session_resume_data(pointee.session, id)
    }

    /// Fills the room with what is to be sent; how many bytes that is.
    func produce(into room: UnsafeMutableRawBufferPointer) -> Int {
        guard let base = room.baseAddress else { return 0 }
        var filled = 0
        while true {
            if pointee.frameLeft > 0, let frame = pointee.frame {
                let count = min(pointee.frameLeft, room.count - filled)
                (base + filled).copyMemory(from: frame, byteCount: count)
                filled += count
                pointee.frame = frame + count
                pointee.frameLeft -= count
            }
            if filled == room.count { break }
            var frame: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(pointee.session, &frame)
            guard count > 0 else {
                if count < 0 { pointee.fail(Int32(truncatingIfNeeded: count)) }
                break
            }
            pointee.frame = frame
            pointee.frameLeft = count
        }
        // What it read, nghttp2 has answered with a GOAWAY of its own.
        if !pointee.isEnding, nghttp2_session_want_read(pointee.session) == 0 {
            pointee.fail(NGHTTP2_ERR_PROTO.rawValue)
        }
        return filled
    }
}

/// What nghttp2 calls for a client; nothing here calls the client's owner.
enum ClientCallbacks {
    /// The callbacks, made once for all sessions, which copy them.
    nonisolated(unsafe) static let shared: OpaquePointer = {
        var callbacks: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks else {
            fatalError("There is no memory for nghttp2's callbacks.")
        }
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameCount, value, valueCount, _, user in
            ClientCorePointer.ofClient(user).addField(
                frame, UnsafeBufferPointer(start: name, count: nameCount),
                UnsafeBufferPointer(start: value, count: valueCount))
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _, _, id, bytes, count, user in
            ClientCorePointer.ofClient(user).addData(id, bytes, count)
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            ClientCorePointer.ofClient(user).receivedFrame(frame)
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, user in
            let core = ClientCorePointer.ofClient(user)
            guard let stream = core.pointee.streams.removeValue(forKey: id) else { return 0 }
            core.pointee.tell(
                .closed(HTTP2ErrorCode(rawValue: code), tag: stream.pointee.tag))
            core.pointee.free(stream)
            return 0
        }
        return callbacks
    }()

    /// Where the bytes of a stream come from.
    static var source: nghttp2_data_provider {
        nghttp2_data_provider(
            source: nghttp2_data_source(),
            read_callback: { _, id, room, count, flags, _, user in
                guard let room, let flags else {
                    return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
                }
                return ClientCorePointer.ofClient(user).fillData(id, room, count, flags)
            })
    }
}

extension UnsafeMutablePointer where Pointee == ClientCore {
    fileprivate func addField(
        _ frame: UnsafePointer<nghttp2_frame>?, _ name: UnsafeBufferPointer<UInt8>,
        _ value: UnsafeBufferPointer<UInt8>
    ) {
        guard let frame, let stream = pointee.streams[frame.pointee.hd.stream_id] else { return }
        if name.first == UInt8(ascii: ":") {
            // Of an answer there is one pseudo field, and nghttp2 lets no other pass.
            stream.pointee.answer.status = value.reduce(0) { $0 * 10 + Int($1 & 15) }
            stream.pointee.answer.fields = []
        } else if frame.pointee.headers.cat != NGHTTP2_HCAT_HEADERS
            || stream.pointee.answer.status >= 200
        {
            stream.pointee.answer.fields.append(
                (String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self)))
        }
    }

    fileprivate func addData(_ id: Int32, _ bytes: UnsafePointer<UInt8>?, _ count: Int) {
        guard count > 0, let bytes, let start = pointee.received.baseAddress,
            let stream = pointee.streams[id]
        else { return }
        // The owner's buffer may be changed, which nghttp2's pointer into it does not say.
        let offset = UnsafeRawPointer(bytes) - UnsafeRawPointer(start)
        assert(offset >= 0 && offset + count <= pointee.received.count)
        pointee.tell(
            .data(
                UnsafeMutableRawBufferPointer(start: start + offset, count: count),
                tag: stream.pointee.tag))
    }

    fileprivate func receivedFrame(_ frame: UnsafePointer<nghttp2_frame>?) {
        guard let frame else { return }
        let header = frame.pointee.hd
        switch header.type {
        case FrameType.settings:
            if header.flags & FrameFlag.acknowledgement == 0 { pointee.tell(.settings) }
        case FrameType.goAway:
            pointee.isEnding = true
            pointee.tell(.goAway(HTTP2ErrorCode(rawValue: frame.pointee.goaway.error_code)))
        case FrameType.headers, FrameType.data:
            guard let stream = pointee.streams[header.stream_id] else { return }
            let tag = stream.pointee.tag
            if header.type == FrameType.headers, stream.pointee.answer.status >= 200 {
                pointee.tell(.answer(stream.pointee.answer, tag: tag))
                // What follows are trailers, of which nobody is told.
                stream.pointee.answer = HTTP2Answer()
            }
            if header.flags & FrameFlag.endStream != 0 { pointee.tell(.end(tag: tag)) }
        default: break
        }
    }

    fileprivate func fillData(
        _ id: Int32, _ room: UnsafeMutablePointer<UInt8>, _ most: Int,
        _ flags: UnsafeMutablePointer<UInt32>
    ) -> Int {
        guard let stream = pointee.streams[id] else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        if stream.pointee.held.isEmpty, !stream.pointee.isEnding {
            stream.pointee.isDeferred = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        let count = min(most, stream.pointee.held.count, CorePointer.dataBytesMax)
        if count > 0, let bytes = stream.pointee.held.bytes.baseAddress {
            UnsafeMutableRawPointer(room).copyMemory(from: bytes, byteCount: count)
            stream.pointee.held.drop(count, pointee.memory.blocks)
        }
        guard stream.pointee.held.isEmpty else { return count }
        if count > 0 { pointee.tell(.drained(tag: stream.pointee.tag)) }
        if stream.pointee.isEnding { flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
        return count
    }
}
