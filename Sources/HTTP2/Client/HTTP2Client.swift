// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// The client's side of one HTTP/2 connection (RFC 9113), with extended CONNECT (RFC 8441): bytes in,
/// bytes out.
///
/// It is what asks servers, and loads them; Sluice's own upstreams are never asked by it. Like
/// `HTTP2Connection` it has no socket, no thread and no clock: bytes that came from the server go in by
/// `receive`, what came of them is taken by `nextEvent` afterwards, and what is to be sent comes out of
/// `produce`, after which there may be events again. Windows are given back by nghttp2 as bytes arrive,
/// so the owner has to take what `data` tells of at once. All calls are made by one thread.
public final class HTTP2Client {
    /// What has happened.
    public enum Event {
        /// The server's SETTINGS have come: what they allow is known.
        case settings
        /// The head of the final answer on a stream.
        case answer(HTTP2Answer, tag: UInt64)
        /// Bytes of a stream, where they came in the buffer that was handed to `receive`: valid, and free
        /// to be changed, until that buffer is used again.
        case data(UnsafeMutableRawBufferPointer, tag: UInt64)
        /// The server has ended its side of a stream.
        case end(tag: UInt64)
        /// All bytes that were held for a stream have been produced.
        case drained(tag: UInt64)
        /// A stream is over: in order, or reset with this code.
        case closed(HTTP2ErrorCode, tag: UInt64)
        /// The server has sent GOAWAY.
        case goAway(HTTP2ErrorCode)
        /// The connection can't go on; what nghttp2 says of it.
        case failed(String)
    }

    let core: ClientCorePointer

    /// A connection at its start: the preface and SETTINGS are to be produced.
    ///
    /// - Parameters:
    ///   - memory: where bytes that are held come from.
    ///   - streamWindowBytes: what the server may send on one stream before any of it has arrived.
    ///   - connectionWindowBytes: the same for all streams together.
    public init(
        _ memory: HTTP2Memory, streamWindowBytes: Int = 6 << 20,
        connectionWindowBytes: Int = 15 << 20
    ) {
        core = .allocate(capacity: 1)
        core.initialize(to: ClientCore(memory: memory))
        var session: OpaquePointer?
        guard nghttp2_session_client_new(&session, ClientCallbacks.shared, core) == 0 else {
            fatalError("There is no memory for a session of nghttp2.")
        }
        core.pointee.session = session
        func entry(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
            nghttp2_settings_entry(
                settings_id: Int32(bitPattern: id.rawValue), value: UInt32(clamping: value))
        }
        let entries = [
            entry(NGHTTP2_SETTINGS_ENABLE_PUSH, 0),
            entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, min(streamWindowBytes, 0x7FFF_FFFF)),
        ]
        nghttp2_submit_settings(session, 0, entries, entries.count)
        nghttp2_session_set_local_window_size(
            session, 0, 0, Int32(clamping: connectionWindowBytes))
    }

    deinit {
        nghttp2_session_del(core.pointee.session)
        for stream in core.pointee.streams.values { core.pointee.free(stream) }
        core.deinitialize(count: 1)
        core.deallocate()
    }

    // MARK: Bytes

    /// Takes bytes that came from the server; `data` events point into them.
    public func receive(_ bytes: UnsafeMutableRawBufferPointer) {
        guard let start = bytes.baseAddress, bytes.count > 0, !core.pointee.hasFailed else {
            return
        }
        core.pointee.received = bytes
        let taken = nghttp2_session_mem_recv(
            core.pointee.session, start.assumingMemoryBound(to: UInt8.self), bytes.count)
        if taken != bytes.count { core.pointee.fail(Int32(truncatingIfNeeded: taken)) }
    }

    /// The event that has waited longest; nil if none waits.
    public func nextEvent() -> Event? { core.pointee.nextEvent() }

    /// Writes bytes for the server to the start of the room; how many they are.
    ///
    /// Fewer than the room has means that there is nothing more to send for now.
    public func produce(into room: UnsafeMutableRawBufferPointer) -> Int {
        core.produce(into: room)
    }

    // MARK: What the server allows

    /// Whether it has extended CONNECT (SETTINGS_ENABLE_CONNECT_PROTOCOL, RFC 8441 §3); known once
    /// `settings` was told.
    public var allowsExtendedConnect: Bool {
        nghttp2_session_get_remote_settings(
            core.pointee.session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) == 1
    }

    /// How many streams may be open at a time (SETTINGS_MAX_CONCURRENT_STREAMS).
    public var streamsMax: Int {
        Int(
            nghttp2_session_get_remote_settings(
                core.pointee.session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
    }

    // MARK: Streams

    /// Opens a stream, whose fields begin with the pseudo fields.
    ///
    /// - Parameters:
    ///   - fields: names in lower case, and values.
    ///   - tag: by which events name the stream.
    ///   - hasBody: whether `send` and `finish` follow.
    /// - Returns: the stream's number; nil if none can be opened any more.
    public func open(_ fields: [(String, String)], tag: UInt64, hasBody: Bool) -> Int32? {
        let stream = core.pointee.makeStream(tag)
        let id = Self.withVector(fields) { vector, count in
            guard hasBody else {
                return nghttp2_submit_request(
                    core.pointee.session, nil, vector, count, nil, stream)
            }
            var source = ClientCallbacks.source
            return nghttp2_submit_request(
                core.pointee.session, nil, vector, count, &source, stream)
        }
        guard id > 0 else {
            core.pointee.free(stream)
            return nil
        }
        core.pointee.streams[id] = stream
        return id
    }

    /// Asks for a WebSocket by extended CONNECT (RFC 8441 §4); gives what `open` gives.
    public func openWebSocket(authority: String, path: String, tag: UInt64) -> Int32? {
        open(
            [
                (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
                (":path", path), (":authority", authority), ("sec-websocket-version", "13"),
            ], tag: tag, hasBody: true)
    }

    private static func withVector<Result>(
        _ fields: [(String, String)], _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result
    ) -> Result {
        var bytes: [UInt8] = []
        for (name, value) in fields {
            bytes.append(contentsOf: name.utf8)
            bytes.append(contentsOf: value.utf8)
        }
        return bytes.withUnsafeMutableBufferPointer { bytes in
            var place = bytes.baseAddress
            // nghttp2 copies names and values.
            let vector = fields.map { name, value in
                let (nameCount, valueCount) = (name.utf8.count, value.utf8.count)
                defer { place = place.map { $0 + nameCount + valueCount } }
                return nghttp2_nv(
                    name: place, value: place.map { $0 + nameCount }, namelen: nameCount,
                    valuelen: valueCount, flags: 0)
            }
            return body(vector, vector.count)
        }
    }

    /// Holds bytes to be produced on a stream; false if it is over, or was finished.
    @discardableResult
    public func send(_ id: Int32, _ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let stream = core.pointee.streams[id], !stream.pointee.isEnding,
            stream.pointee.held.append(bytes, core.pointee.memory.blocks)
        else { return false }
        if bytes.count > 0 { core.resume(stream, id) }
        return true
    }

    /// Ends our side behind the bytes that are held.
    public func finish(_ id: Int32) {
        guard let stream = core.pointee.streams[id], !stream.pointee.isEnding else { return }
        stream.pointee.isEnding = true
        core.resume(stream, id)
    }

    /// How many bytes are held for a stream; 0 for one that is over.
    public func heldBytes(_ id: Int32) -> Int {
        core.pointee.streams[id]?.pointee.held.count ?? 0
    }

    /// Resets a stream; `closed` follows.
    public func reset(_ id: Int32, _ code: HTTP2ErrorCode) {
        guard core.pointee.streams[id] != nil else { return }
        nghttp2_submit_rst_stream(core.pointee.session, 0, id, code.rawValue)
    }

    /// Says goodbye: a GOAWAY without an error; no stream can be opened any more.
    public func shutDown() {
        core.pointee.isEnding = true
        nghttp2_session_terminate_session(core.pointee.session, HTTP2ErrorCode.noError.rawValue)
    }
}

/// The head of an answer.
public struct HTTP2Answer: Sendable {
    /// Its status, 200 or more.
    public var status = 0
    /// Its fields in order, without `:status`.
    public var fields: [(name: String, value: String)] = []

    /// The value of the first field of this name; nil if there is none.
    public func value(of name: String) -> String? { fields.first { $0.name == name }?.value }
}
