// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@testable import Frontend

/// A client of HTTP/2 that writes its frames by hand (RFC 9113 §4.1), on a connection without TLS.
final class FramePeer {
    struct Frame {
        let type: UInt8
        let flags: UInt8
        let stream: UInt32
        let payload: [UInt8]

        /// The code of a RST_STREAM.
        var code: UInt32 { payload.prefix(4).reduce(0) { $0 << 8 | UInt32($1) } }
        var endsStream: Bool { flags & 1 != 0 }
    }

    static let data: UInt8 = 0
    static let headers: UInt8 = 1
    static let reset: UInt8 = 3
    static let settings: UInt8 = 4
    static let goAway: UInt8 = 7
    static let continuation: UInt8 = 9
    static let windowUpdate: UInt8 = 8

    private let peer: Peer
    private var unread: [UInt8] = []
    private(set) var frames: [Frame] = []

    init(_ peer: Peer) { self.peer = peer }

    func send(_ bytes: [UInt8]) { peer.send(bytes) }
    /// The same where the server may have closed.
    func sendIfOpen(_ bytes: [UInt8]) { peer.sendIfOpen(bytes) }

    /// Reads what has come; how many bytes that was.
    @discardableResult
    func read() -> Int {
        let bytes = peer.receivedBytes()
        unread += bytes
        while unread.count >= 9 {
            let count = Int(unread[0]) << 16 | Int(unread[1]) << 8 | Int(unread[2])
            guard unread.count >= 9 + count else { break }
            frames.append(
                Frame(
                    type: unread[3], flags: unread[4],
                    stream: unread[5..<9].reduce(0) { $0 << 8 | UInt32($1) },
                    payload: Array(unread[9..<9 + count])))
            unread.removeFirst(9 + count)
        }
        return bytes.count
    }

    /// All frames of a type that have come, of one stream or of all.
    func got(_ type: UInt8, on stream: UInt32? = nil) -> [Frame] {
        read()
        return frames.filter { $0.type == type && (stream == nil || $0.stream == stream) }
    }

    /// The frames that have come since this was last asked.
    func takeNew() -> [Frame] {
        read()
        defer { frames = [] }
        return frames
    }

    /// Closes the connection.
    func end() { peer.end() }

    /// Whether the server has ended its side, and all of it was read.
    var hasEnded: Bool {
        read()
        return peer.hasEnded
    }

    // MARK: Frames

    static func frame(
        _ type: UInt8, flags: UInt8 = 0, _ stream: UInt32, _ payload: [UInt8] = []
    ) -> [UInt8] {
        var bytes = Array(number(UInt32(payload.count)).dropFirst())
        bytes += [type, flags]
        bytes += number(stream)
        return bytes + payload
    }

    static func number(_ value: UInt32) -> [UInt8] {
        [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// The preface, with windows of this size for each stream and of 1 GiB for the connection.
    static func preface(window: UInt32) -> [UInt8] {
        var bytes = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
        bytes += frame(settings, 0, [0, 4] + number(window))
        return bytes + frame(windowUpdate, 0, number(1 << 30))
    }

    /// A request's head, in one frame, of literals that no table learns (RFC 7541 §6.2.2).
    static func head(
        _ stream: UInt32, method: String = "GET", path: String = "/a",
        _ more: [(String, String)] = [], ends: Bool = true
    ) -> [UInt8] {
        let fields =
            [(":method", method), (":scheme", "https"), (":path", path), (":authority", "a.test")]
            + more
        return frame(headers, flags: ends ? 5 : 4, stream, block(fields))
    }

    /// An extended CONNECT for a WebSocket (RFC 8441 §4).
    static func connect(
        _ stream: UInt32, _ more: [(String, String)] = [], ends: Bool = false
    ) -> [UInt8] {
        head(
            stream, method: "CONNECT",
            [(":protocol", "websocket"), ("sec-websocket-version", "13")] + more, ends: ends)
    }

    static func block(_ fields: [(String, String)]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (name, value) in fields {
            bytes += [0, UInt8(name.utf8.count)]
            bytes += Array(name.utf8)
            bytes.append(UInt8(value.utf8.count))
            bytes += Array(value.utf8)
        }
        return bytes
    }
}

extension TurnRig {
    /// A client that has just agreed on HTTP/2.
    func connectMultiplexed(window: UInt32 = 1 << 20) throws -> FramePeer {
        let client = FramePeer(try connect())
        let session = try #require(newSession)
        MultiplexKeeper(state).begin(session)
        client.send(FramePeer.preface(window: window))
        turn()
        return client
    }

    /// The one session that has not begun to speak HTTP/2.
    private var newSession: SessionPointer? {
        var last = -1
        while let token = state.pointee.sessions.nextLive(after: last) {
            last = Int(token.index)
            guard let session = state.pointee.sessions.pointer(token) else { continue }
            if case .multiplexing = session.pointee.stage { continue }
            return session
        }
        return nil
    }
}
