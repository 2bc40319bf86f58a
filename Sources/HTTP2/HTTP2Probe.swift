// SPDX-License-Identifier: Apache-2.0
import CNghttp2

/// The client's side of a connection on which one WebSocket is opened (RFC 8441 §5): bytes in, bytes out.
///
/// It is for diagnosis, not for traffic: what the server says is kept as it came.
public final class HTTP2Probe {
    private var session: OpaquePointer?
    private var stream: Int32 = 0
    /// What is to be sent on the stream, and was not made a frame of yet.
    private var waiting: [UInt8] = []
    /// Bytes that have come on the stream and were not taken.
    private var arrived: [UInt8] = []

    /// Whether the server lets WebSockets be opened on streams (SETTINGS_ENABLE_CONNECT_PROTOCOL); nil until
    /// its SETTINGS have come.
    public private(set) var offersWebSockets: Bool?
    /// The status that the request was answered with; nil until it was.
    public private(set) var status: Int?
    /// Whether nothing more comes on the stream.
    public private(set) var hasEnded = false
    /// Why the server has reset the stream, or ended the connection; nil where it has not.
    public private(set) var errorCode: HTTP2ErrorCode?

    /// A connection at its start: preface and SETTINGS are to be sent.
    public init() {
        var callbacks: OpaquePointer?
        guard nghttp2_session_callbacks_new(&callbacks) == 0, let callbacks else {
            fatalError("There is no memory for nghttp2's callbacks.")
        }
        defer { nghttp2_session_callbacks_del(callbacks) }
        Self.set(callbacks)
        let user = Unmanaged.passUnretained(self).toOpaque()
        guard nghttp2_session_client_new(&session, callbacks, user) == 0 else {
            fatalError("There is no memory for a session of nghttp2.")
        }
        let noPush = nghttp2_settings_entry(
            settings_id: Int32(bitPattern: NGHTTP2_SETTINGS_ENABLE_PUSH.rawValue), value: 0)
        nghttp2_submit_settings(session, 0, [noPush], 1)
    }

    deinit { nghttp2_session_del(session) }

    /// Asks for a WebSocket by an extended CONNECT (RFC 8441 §4).
    ///
    /// - Parameters:
    ///   - authority: host and port, as `Host` has it.
    ///   - path: path and query.
    ///   - fields: names and values; those that HTTP/2 does not allow are left out.
    public func open(authority: String, path: String, fields: [(name: String, value: String)]) {
        var head = HTTP2Fields()
        for (name, value) in [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
            (":authority", authority), (":path", path),
        ] {
            head.appendPseudo(name, value)
        }
        for field in fields { head.append(field.name, field.value) }
        var source = nghttp2_data_provider(
            source: nghttp2_data_source(ptr: nil),
            read_callback: { _, _, room, most, _, _, user in
                guard let room else { return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
                return HTTP2Probe.of(user).fill(room, most)
            })
        stream = head.withVector(status: nil) { vector, count in
            nghttp2_submit_request(session, nil, vector, count, &source, nil)
        }
    }

    /// Sends bytes on the stream; they come out of `takeOutput`, as far as the windows allow.
    public func send(_ bytes: [UInt8]) {
        if bytes.isEmpty { return }
        waiting += bytes
        nghttp2_session_resume_data(session, stream)
    }

    /// The bytes for the server, once.
    public func takeOutput() -> [UInt8] {
        var output: [UInt8] = []
        while true {
            var bytes: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &bytes)
            guard count > 0 else { return output }
            output += UnsafeBufferPointer(start: bytes, count: count)
        }
    }

    /// Takes what came from the server.
    public func receive(_ bytes: [UInt8]) {
        let taken = nghttp2_session_mem_recv(session, bytes, bytes.count)
        if taken != bytes.count {
            errorCode = errorCode ?? .protocolError
            hasEnded = true
        }
    }

    /// The bytes that have come on the stream, once.
    public func takeArrived() -> [UInt8] {
        defer { arrived = [] }
        return arrived
    }

    // MARK: What nghttp2 calls

    private static func of(_ user: UnsafeMutableRawPointer?) -> HTTP2Probe {
        guard let user else { preconditionFailure("nghttp2 has lost its user data.") }
        return Unmanaged<HTTP2Probe>.fromOpaque(user).takeUnretainedValue()
    }

    private static func set(_ callbacks: OpaquePointer) {
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameCount, value, valueCount, _, user in
            let name = UnsafeBufferPointer(start: name, count: nameCount)
            let value = UnsafeBufferPointer(start: value, count: valueCount)
            if HTTP2Head.equal(name, ":status"), let frame {
                HTTP2Probe.of(user).answered(
                    frame.pointee.hd.stream_id, value.reduce(0) { $0 * 10 + Int($1 & 15) })
            }
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _, _, id, bytes, count, user in
            let probe = HTTP2Probe.of(user)
            if id == probe.stream {
                probe.arrived += UnsafeBufferPointer(start: bytes, count: count)
            }
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            if let frame { HTTP2Probe.of(user).received(frame.pointee) }
            return 0
        }
        // What nghttp2 says to a server that has broken the protocol is the end.
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, user in
            if let frame, frame.pointee.hd.type == FrameType.goAway {
                HTTP2Probe.of(user).goesAway(frame.pointee.goaway.error_code)
            }
            return 0
        }
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) { _, id, code, user in
            let probe = HTTP2Probe.of(user)
            if id == probe.stream { probe.ended(code) }
            return 0
        }
    }

    /// Interim answers come before the one that counts.
    private func answered(_ id: Int32, _ status: Int) {
        if id == stream && status >= 200 { self.status = self.status ?? status }
    }

    private func received(_ frame: nghttp2_frame) {
        switch frame.hd.type {
        case FrameType.settings where frame.hd.flags & FrameFlag.acknowledgement == 0:
            let setting = nghttp2_session_get_remote_settings(
                session, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL)
            offersWebSockets = setting == 1
        case FrameType.headers, FrameType.data:
            if frame.hd.stream_id == stream && frame.hd.flags & FrameFlag.endStream != 0 {
                hasEnded = true
            }
        case FrameType.goAway: goesAway(frame.goaway.error_code)
        default: break
        }
    }

    /// One of both sides ends the connection; without an error the stream goes on.
    private func goesAway(_ code: UInt32) {
        if code != 0 { ended(code) }
    }

    private func ended(_ code: UInt32) {
        hasEnded = true
        if code != 0 { errorCode = errorCode ?? HTTP2ErrorCode(rawValue: code) }
    }

    private func fill(_ room: UnsafeMutablePointer<UInt8>, _ most: Int) -> Int {
        if waiting.isEmpty { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        let count = min(most, waiting.count)
        waiting.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { room.update(from: start, count: count) }
        }
        waiting.removeFirst(count)
        return count
    }
}
