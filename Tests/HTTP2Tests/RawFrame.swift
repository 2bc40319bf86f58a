// SPDX-License-Identifier: Apache-2.0

/// A frame as it stands on the wire, lawful or not.
struct RawFrame: Equatable, CustomStringConvertible {
    enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let priority: UInt8 = 2
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let pushPromise: UInt8 = 5
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
        static let continuation: UInt8 = 9
    }

    var type: UInt8
    var flags: UInt8 = 0
    var stream: UInt32 = 0
    var payload: [UInt8] = []

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    var bytes: [UInt8] {
        let count = UInt32(payload.count)
        return Self.number(count, bytes: 3) + [type, flags] + Self.number(stream, bytes: 4)
            + payload
    }

    var description: String {
        "type \(type) flags \(flags) stream \(stream): \(payload.count) bytes"
    }

    /// The code of a RST_STREAM, the increment of a WINDOW_UPDATE.
    var word: UInt32 { payload.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }

    /// The code of a GOAWAY.
    var goAwayCode: UInt32 { payload.dropFirst(4).prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }

    static func number(_ value: UInt32, bytes count: Int) -> [UInt8] {
        (0..<count).reversed().map { UInt8(truncatingIfNeeded: value >> UInt32($0 * 8)) }
    }

    /// All frames in the bytes, which hold whole frames only.
    static func all(in bytes: [UInt8]) -> [RawFrame] {
        var frames: [RawFrame] = []
        var rest = bytes[...]
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            let count = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            let stream = head[5...].reduce(0) { $0 << 8 | UInt32($1) }
            let payload = Array(rest.dropFirst(9).prefix(count))
            frames.append(
                RawFrame(type: head[3], flags: head[4], stream: stream, payload: payload))
            rest = rest.dropFirst(9 + count)
        }
        return frames
    }

    static func settings(_ entries: [(UInt16, UInt32)] = []) -> RawFrame {
        RawFrame(
            type: Kind.settings,
            payload: entries.flatMap { number(UInt32($0.0), bytes: 2) + number($0.1, bytes: 4) })
    }

    static let settingsAcknowledged = RawFrame(type: Kind.settings, flags: 1)

    static func headers(
        _ stream: UInt32, _ fields: [(String, String)], ends: Bool = true, whole: Bool = true
    ) -> RawFrame {
        RawFrame(
            type: Kind.headers, flags: (ends ? 1 : 0) | (whole ? 4 : 0), stream: stream,
            payload: block(fields))
    }

    static func data(_ stream: UInt32, _ payload: [UInt8], ends: Bool = false) -> RawFrame {
        RawFrame(type: Kind.data, flags: ends ? 1 : 0, stream: stream, payload: payload)
    }

    static func padded(
        _ stream: UInt32, _ payload: [UInt8], padding: UInt8, ends: Bool = false
    ) -> RawFrame {
        RawFrame(
            type: Kind.data, flags: 8 | (ends ? 1 : 0), stream: stream,
            payload: [padding] + payload + [UInt8](repeating: 0, count: Int(padding)))
    }

    static func reset(_ stream: UInt32, _ code: UInt32 = 8) -> RawFrame {
        RawFrame(type: Kind.reset, stream: stream, payload: number(code, bytes: 4))
    }

    static func windowUpdate(_ stream: UInt32, _ increment: UInt32) -> RawFrame {
        RawFrame(type: Kind.windowUpdate, stream: stream, payload: number(increment, bytes: 4))
    }

    static func ping(_ text: String = "12345678", answers: Bool = false) -> RawFrame {
        RawFrame(type: Kind.ping, flags: answers ? 1 : 0, payload: Array(text.utf8))
    }

    static func goAway(last: UInt32 = 0, _ code: UInt32 = 0) -> RawFrame {
        RawFrame(type: Kind.goAway, payload: number(last, bytes: 4) + number(code, bytes: 4))
    }

    static func priority(_ stream: UInt32) -> RawFrame {
        RawFrame(type: Kind.priority, stream: stream, payload: [0, 0, 0, 0, 15])
    }

    /// A header block of literals that no table learns (RFC 7541 §6.2.2).
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { literal($0.0, $0.1) }
    }

    static func literal(_ name: String, _ value: String) -> [UInt8] {
        [0] + string(Array(name.utf8)) + string(Array(value.utf8))
    }

    /// A string without Huffman coding (RFC 7541 §5.2).
    static func string(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
        var length: [UInt8] = [127]
        var rest = bytes.count - 127
        while rest >= 128 {
            length.append(UInt8(rest % 128 + 128))
            rest /= 128
        }
        return length + [UInt8(rest)] + bytes
    }

    static let get: [(String, String)] = [
        (":method", "GET"), (":scheme", "https"), (":authority", "example.com"), (":path", "/a?b"),
    ]
    static let post: [(String, String)] = [
        (":method", "POST"), (":scheme", "https"), (":authority", "example.com"), (":path", "/up"),
    ]
    static let webSocket: [(String, String)] = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
        (":path", "/chat"), (":authority", "example.com"), ("sec-websocket-version", "13"),
    ]
}

extension [RawFrame] {
    var bytes: [UInt8] { flatMap(\.bytes) }
    func of(_ type: UInt8) -> [RawFrame] { filter { $0.type == type } }
    func on(_ stream: UInt32) -> [RawFrame] { filter { $0.stream == stream } }
}
