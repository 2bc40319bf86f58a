// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// The server's side of one HTTP/2 connection (RFC 9113, RFC 8441): bytes in, bytes out.
///
/// It has no socket, no thread and no clock. Bytes that came from the peer go in by `receive`; what
/// came of them is taken by `nextEvent` afterwards. What is to be sent comes out of `produce`, which
/// makes events too: so after each `receive`, after each call that changes a stream, and whenever there
/// is room again, the caller produces, and then takes all events.
///
/// Back-pressure is one rule in both directions. A stream's window is given back for what the caller
/// has consumed; the connection's window at once. Nothing is produced for a stream or a connection
/// whose window is full: the bytes stay held, and `heldBytes` says how many there are.
///
/// Times are milliseconds of a clock that does not go back. Functions that are given a stream that is
/// gone do nothing and say so. All calls are made by the thread that has made the connection.
public struct HTTP2Connection: ~Copyable {
    let core: CorePointer

    /// The most bytes of payload in one DATA frame: with its header it fits one TLS record.
    public static var dataBytesMax: Int { CorePointer.dataBytesMax }

    /// A connection at its start: the server's SETTINGS are to be produced, the client's preface is
    /// awaited.
    ///
    /// - Parameters:
    ///   - policy: what the peer may do.
    ///   - memory: where bytes, heads and events that are held come from.
    ///   - source: where bodies of answers lie that are told of by `offer`; nil where all are given to `send`.
    ///   - milliseconds: the time.
    public init(
        _ policy: HTTP2Policy, _ memory: HTTP2Memory, source: HTTP2BodySource? = nil,
        milliseconds: Int64
    ) {
        core = .allocate(capacity: 1)
        core.initialize(
            to: ConnectionCore(
                policy: policy, memory: memory, source: source, milliseconds: milliseconds))
        var allocator = LibraryMemory.counting(in: core)
        var session: OpaquePointer?
        let result = nghttp2_session_server_new3(
            &session, SessionCallbacks.shared, core, SessionCallbacks.options, &allocator)
        guard result == 0 else { fatalError("There is no memory for a session of nghttp2.") }
        core.pointee.session = session
        submitSettings(policy.limits)
    }

    deinit {
        nghttp2_session_del(core.pointee.session)
        core.pointee.streams.deallocate(core.pointee.memory)
        core.deinitialize(count: 1)
        core.deallocate()
    }

    private func submitSettings(_ limits: HTTP2Limits) {
        func entry(_ id: nghttp2_settings_id, _ value: Int) -> nghttp2_settings_entry {
            nghttp2_settings_entry(
                settings_id: Int32(bitPattern: id.rawValue), value: UInt32(clamping: value))
        }
        let window = min(limits.streamWindowBytes, 0x7FFF_FFFF)
        let entries = [
            entry(NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streamsMax),
            entry(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window),
            entry(NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits.headBytesMax),
            entry(NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1),
            entry(NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, limits.allowsExtendedConnect ? 1 : 0),
        ]
        let count = limits.allowsExtendedConnect ? entries.count : entries.count - 1
        nghttp2_submit_settings(core.pointee.session, 0, entries, count)
        let connectionWindow = Int32(clamping: limits.connectionWindowBytes)
        nghttp2_session_set_local_window_size(core.pointee.session, 0, 0, connectionWindow)
    }

    /// Takes bytes that came from the peer.
    ///
    /// All are taken; those behind the connection's end are dropped.
    public func receive(_ bytes: UnsafeRawBufferPointer, milliseconds: Int64) {
        core.receive(bytes, milliseconds: milliseconds)
    }

    /// The next thing that happened; nil if nothing waits.
    public func nextEvent() -> HTTP2Event? { core.pointee.nextEvent() }

    /// Writes bytes for the peer to the start of the room; how many they are.
    ///
    /// Fewer than the room has means that there is nothing more to send for now.
    public func produce(into room: UnsafeMutableRawBufferPointer) -> Int {
        core.produce(into: room)
    }

    /// Whether `produce` may have something.
    public var wantsToProduce: Bool { core.wantsToProduce }

    // MARK: The state of the connection

    /// Streams that are open.
    public var openStreams: Int { core.pointee.openCount }

    /// Whether the connection has ended and everything was produced: it is to be closed.
    public var isOver: Bool { core.pointee.isOver && core.pointee.frameLeft == 0 }

    /// When the head began that is being read, a request's or one of trailers, in the milliseconds that
    /// `receive` was handed; nil if none is.
    ///
    /// Until it is whole the peer can send nothing else on any stream (RFC 9113 §4.3): it is the caller's
    /// to give it a deadline.
    public var headBeganMilliseconds: Int64? { core.pointee.headBegan }

    /// Why the connection ends; nil as long as it does not.
    public var end: HTTP2ConnectionEnd? { core.pointee.end }

    /// The highest number of a stream whose request was delivered or reset; 0 if there was none.
    public var lastStreamID: Int32 {
        nghttp2_session_get_last_proc_stream_id(core.pointee.session)
    }

    /// Bytes that the connection owns: nghttp2's and its own, without those of `HTTP2Memory`.
    public var memoryBytes: Int {
        core.pointee.libraryBytes + malloc_usable_size(core) + core.pointee.streams.memoryBytes
    }

    /// Whether so much waits to be sent that the peer's frames are to be read only once some of it has gone.
    ///
    /// The heads of answers whose streams the peer has reset are among it: without such a bound, a peer that reads
    /// nothing would have it grow for as long as it sends.
    public var isCongested: Bool {
        core.pointee.libraryBytes > Self.congestionBytes
            && nghttp2_session_get_outbound_queue_size(core.pointee.session) > 0
    }

    /// Bytes of nghttp2's from which the peer has to read before it is read: those of an idle connection are a
    /// fiftieth, those of 128 streams with heads of 4 KiB a half.
    private static let congestionBytes = 1 << 20

    // MARK: Ending it

    /// Announces that the connection will end: a GOAWAY that excludes no stream yet (RFC 9113 §6.8).
    ///
    /// Requests that the peer had sent before it read this are still delivered. When a round trip has
    /// passed, or the announcement was long enough ago, `shutDown` follows.
    public func announceShutdown() {
        nghttp2_submit_shutdown_notice(core.pointee.session)
    }

    /// Sends the GOAWAY that names the last stream.
    ///
    /// Later ones are ignored, and counted; when the open
    /// ones have ended, the connection is over.
    public func shutDown() {
        guard !core.pointee.hasLastStream, core.pointee.end == nil else { return }
        core.pointee.hasLastStream = true
        nghttp2_submit_goaway(core.pointee.session, 0, lastStreamID, 0, nil, 0)
    }

    /// Ends the connection at once, streams included: a GOAWAY with this code goes out and nothing more
    /// is read.
    public func terminate(_ code: HTTP2ErrorCode) { core.terminate(.terminated(code), code) }

    // MARK: Whether the peer is there

    /// Sends a PING, unless one is not answered yet.
    public func ping(milliseconds: Int64) {
        guard core.pointee.pingSent == nil, core.pointee.end == nil else { return }
        core.pointee.pingSent = milliseconds
        core.pointee.pingNumber &+= 1
        withUnsafeBytes(of: core.pointee.pingNumber.bigEndian) { bytes in
            _ = nghttp2_submit_ping(
                core.pointee.session, 0, bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
        }
    }

    /// How long a PING has been unanswered, in milliseconds; nil if there is none.
    public func unansweredPing(milliseconds: Int64) -> Int64? {
        core.pointee.pingSent.map { max(0, milliseconds &- $0) }
    }
}
