// SPDX-License-Identifier: Apache-2.0
import CNghttp2
import HTTP2

/// nghttp2 as a client, in memory: the foreign half of a conversation that decodes what is sent.
final class Client {
    /// What has come of one request.
    struct Answer: Equatable {
        var interim: [String] = []
        var status = ""
        var fields: [[String]] = []
        var trailers: [[String]] = []
        var body: [UInt8] = []
        var isComplete = false
        var resetCode: UInt32?
    }

    private var session: OpaquePointer?
    private(set) var answers: [Int32: Answer] = [:]
    private(set) var goAways: [(last: Int32, code: UInt32)] = []
    private(set) var settings: [Int32: UInt32] = [:]
    private(set) var pings = 0
    private(set) var dataSizes: [Int] = []
    private(set) var failure: Int32 = 0
    private var answered: Set<Int32> = []
    private var uploads: [Int32: (bytes: [UInt8], ends: Bool)] = [:]

    init(initialWindow: UInt32 = 65_535, updatesWindows: Bool = true) {
        var callbacks: OpaquePointer?
        nghttp2_session_callbacks_new(&callbacks)
        Self.set(callbacks)
        var options: OpaquePointer?
        nghttp2_option_new(&options)
        nghttp2_option_set_no_auto_window_update(options, updatesWindows ? 0 : 1)
        let me = Unmanaged.passUnretained(self).toOpaque()
        nghttp2_session_client_new2(&session, callbacks, me, options)
        nghttp2_option_del(options)
        nghttp2_session_callbacks_del(callbacks)
        let entry = nghttp2_settings_entry(
            settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue),
            value: initialWindow)
        _ = withUnsafePointer(to: entry) { nghttp2_submit_settings(session, 0, $0, 1) }
    }

    deinit { nghttp2_session_del(session) }

    private static func me(_ user: UnsafeMutableRawPointer?) -> Client {
        guard let user else { preconditionFailure("nghttp2 has lost its user data.") }
        return Unmanaged<Client>.fromOpaque(user).takeUnretainedValue()
    }

    private static func set(_ callbacks: OpaquePointer?) {
        nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameCount, value, valueCount, _, user in
            let text = { (start: UnsafePointer<UInt8>?, count: Int) in
                String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
            }
            guard let frame else { return 0 }
            Client.me(user).add(frame.pointee, text(name, nameCount), text(value, valueCount))
            return 0
        }
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _, _, id, bytes, count, user in
            Client.me(user).answers[id, default: Answer()].body += UnsafeBufferPointer(
                start: bytes, count: count)
            return 0
        }
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, user in
            if let frame { Client.me(user).received(frame.pointee) }
            return 0
        }
    }

    private func add(_ frame: nghttp2_frame, _ name: String, _ value: String) {
        let id = frame.hd.stream_id
        if name == ":status" {
            if value.hasPrefix("1") {
                answers[id, default: Answer()].interim.append(value)
            } else {
                answers[id, default: Answer()].status = value
            }
        } else if answered.contains(id) {
            answers[id, default: Answer()].trailers.append([name, value])
        } else {
            answers[id, default: Answer()].fields.append([name, value])
        }
    }

    private func received(_ frame: nghttp2_frame) {
        let id = frame.hd.stream_id
        switch frame.hd.type {
        case RawFrame.Kind.data, RawFrame.Kind.headers:
            if frame.hd.type == RawFrame.Kind.data { dataSizes.append(frame.hd.length) }
            if frame.hd.flags & 1 != 0 { answers[id, default: Answer()].isComplete = true }
            // Fields behind a final head are trailers.
            if answers[id]?.status != "" { answered.insert(id) }
        case RawFrame.Kind.reset:
            answers[id, default: Answer()].resetCode = frame.rst_stream.error_code
        case RawFrame.Kind.goAway:
            goAways.append((frame.goaway.last_stream_id, frame.goaway.error_code))
        case RawFrame.Kind.settings where frame.hd.flags & 1 == 0:
            for index in 0..<frame.settings.niv {
                let entry = frame.settings.iv[index]
                settings[entry.settings_id] = entry.value
            }
        case RawFrame.Kind.ping: pings += 1
        default: break
        }
    }

    /// Sends a request; with a body, `upload` follows.
    func request(_ fields: [(String, String)], hasBody: Bool = false) -> Int32 {
        let bytes = fields.map { (Array($0.0.utf8), Array($0.1.utf8)) }
        var storage = bytes.flatMap { $0.0 + $0.1 }
        var provider = nghttp2_data_provider(
            source: nghttp2_data_source(ptr: nil),
            read_callback: { _, id, room, count, flags, _, user in
                guard let room, let flags else { return -1 }
                return Client.me(user).fill(id, room, count, flags)
            })
        return storage.withUnsafeMutableBufferPointer { all in
            guard var place = all.baseAddress else { return -1 }
            let vector = bytes.map { name, value in
                defer { place += name.count + value.count }
                return nghttp2_nv(
                    name: place, value: place + name.count, namelen: name.count,
                    valuelen: value.count, flags: 0)
            }
            let me = Unmanaged.passUnretained(self).toOpaque()
            return withUnsafePointer(to: &provider) {
                nghttp2_submit_request(
                    session, nil, vector, vector.count, hasBody ? $0 : nil, me)
            }
        }
    }

    func upload(_ id: Int32, _ bytes: [UInt8], ends: Bool = false) {
        uploads[id, default: ([], false)].bytes += bytes
        uploads[id]?.ends = ends
        nghttp2_session_resume_data(session, id)
    }

    private func fill(
        _ id: Int32, _ room: UnsafeMutablePointer<UInt8>, _ most: Int,
        _ flags: UnsafeMutablePointer<UInt32>
    ) -> Int {
        guard var upload = uploads[id], !upload.bytes.isEmpty || upload.ends else {
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        let count = min(most, upload.bytes.count)
        for index in 0..<count { room[index] = upload.bytes[index] }
        upload.bytes.removeFirst(count)
        uploads[id] = upload
        if upload.ends, upload.bytes.isEmpty { flags.pointee |= NGHTTP2_DATA_FLAG_EOF.rawValue }
        return count
    }

    func reset(_ id: Int32, _ code: UInt32 = 8) { nghttp2_submit_rst_stream(session, 0, id, code) }

    func setInitialWindow(_ value: UInt32) {
        let entry = nghttp2_settings_entry(
            settings_id: Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue), value: value)
        _ = withUnsafePointer(to: entry) { nghttp2_submit_settings(session, 0, $0, 1) }
    }

    func answer(_ id: Int32) -> Answer { answers[id] ?? Answer() }

    /// What the client sends now.
    func output() -> [UInt8] {
        var output: [UInt8] = []
        while true {
            var bytes: UnsafePointer<UInt8>?
            let count = nghttp2_session_mem_send(session, &bytes)
            guard count > 0 else { return output }
            output += UnsafeBufferPointer(start: bytes, count: count)
        }
    }

    func receive(_ bytes: [UInt8]) {
        let taken = nghttp2_session_mem_recv(session, bytes, bytes.count)
        if taken < 0 { failure = Int32(taken) }
    }

    /// Lets both talk until neither has anything to say; what the server was told.
    @discardableResult
    func talk(to rig: Rig) -> [HTTP2Event] {
        var events: [HTTP2Event] = []
        while true {
            let up = output()
            if !up.isEmpty { rig.receive(up) }
            let down = rig.output()
            if !down.isEmpty { receive(down) }
            events += rig.events()
            if up.isEmpty, down.isEmpty { return events }
        }
    }
}
