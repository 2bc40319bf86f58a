// SPDX-License-Identifier: Apache-2.0
import HTTP2

extension FuzzTarget {
    /// Whatever a client sends, cut anywhere, the same requests are told; memory and windows keep to
    /// their limits; nothing is told of a stream in an order that makes no sense; and what is sent is
    /// made of lawful frames (RFC 9113 §4.1, §5.1).
    static let http2Connection = FuzzTarget(
        name: "http2-connection", inputBytesMax: 2_048,
        words: [
            [0, 0, 0, 4, 0, 0, 0, 0, 0], [0, 0, 0, 4, 1, 0, 0, 0, 0],
            [0, 0, 8, 6, 0, 0, 0, 0, 0], [0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            [0, 0, 4, 3, 0, 0, 0, 0, 1, 0, 0, 0, 8], [0, 0, 0, 0, 1, 0, 0, 0, 1],
            [0, 0, 3, 0, 0, 0, 0, 0, 1, 1, 2, 3], [0, 0, 0, 9, 4, 0, 0, 0, 1],
            [0, 0, 4, 1, 5, 0, 0, 0, 1, 0x82, 0x84, 0x87, 0x41],
            [0x82], [0x83], [0x84], [0x87], [0x41, 1, 0x61], [0x44, 2, 0x2F, 0x61],
            [0, 9, 0x3A] + Array("protocol".utf8) + [9] + Array("websocket".utf8),
            [0, 6] + Array("cookie".utf8) + [1, 0x61], [0x5C, 1, 0x35], [0x10, 1, 0x58, 1, 0x79],
            [0xBE], [0x3F, 0xE1, 0x1F], [0x20], [0, 4, 0, 0, 0, 0], [0, 4, 0x7F, 0xFF, 0xFF, 0xFF],
        ],
        seeds: http2Seeds
    ) { bytes throws(BrokenProperty) in
        var input = FuzzInput(bytes)
        let choice = input.takeChoice()
        let cut = input.takeCut()
        // The preface is never a matter of luck, so every input gets as far as frames.
        let content = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + input.content
        let whole = try HTTP2Reading([content], choice)
        let pieces = try HTTP2Reading(cut.pieces(of: content), choice)
        try requireEqual(pieces.seen, whole.seen, "How bytes are cut makes no difference.")
    }

    private static let http2Seeds: [[UInt8]] = {
        func frame(_ type: UInt8, _ flags: UInt8, _ stream: UInt8, _ payload: [UInt8]) -> [UInt8] {
            [
                0, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF), type, flags, 0, 0, 0,
                stream,
            ]
                + payload
        }
        let settings = frame(4, 0, 0, []) + frame(4, 1, 0, [])
        let get: [UInt8] = [0x82, 0x84, 0x87, 0x41, 1, 0x61]
        let post: [UInt8] = [0x83, 0x84, 0x87, 0x41, 1, 0x61]
        let cookies: [UInt8] = [0x60, 1, 0x62, 0x60, 1, 0x63]
        let length: [UInt8] = [0x5C, 1, 0x33]
        let connect: [UInt8] =
            [0x42, 7] + Array("CONNECT".utf8) + [0, 9] + Array(":protocol".utf8) + [9]
            + Array("websocket".utf8) + [0x84, 0x87, 0x41, 1, 0x61]
        return [
            (settings + frame(1, 5, 1, get + cookies) + frame(1, 5, 3, get), [0, 9, 9, 9]),
            (
                settings + frame(1, 4, 1, post + length) + frame(0, 1, 1, [1, 2, 3])
                    + frame(6, 0, 0, [1, 2, 3, 4, 5, 6, 7, 8]), [1, 1, 1, 1]
            ),
            (
                settings + frame(1, 4, 1, connect) + frame(0, 8, 1, [2, 9, 0, 0])
                    + frame(3, 0, 1, [0, 0, 0, 8]), [2, 3, 50, 2]
            ),
            (
                settings + frame(1, 0, 1, get) + frame(9, 0, 1, cookies) + frame(9, 4, 1, []),
                [3, 7, 1, 90]
            ),
            (
                settings + frame(1, 4, 1, post) + frame(0, 0, 1, [1])
                    + frame(1, 5, 1, [0, 1, 0x78, 1, 0x79])
                    + frame(7, 0, 0, [0, 0, 0, 0, 0, 0, 0, 0]), [7, 20, 20, 20]
            ),
            (
                settings + frame(8, 0, 0, [0, 0, 0, 0]) + frame(4, 0, 0, [0, 4, 0, 0, 0, 1]),
                [15, 2, 2, 2]
            ),
            (settings + frame(1, 5, 1, get + [0x10, 1, 0x58, 1, 0x79]), [4, 9, 9, 9]),
            (
                settings + frame(0x10, 0, 0, [0, 0, 0, 1]) + frame(2, 0, 1, [0, 0, 0, 0, 9]),
                [0, 9, 9, 9]
            ),
        ].map { FuzzInput.made($0.0, choices: $0.1) }
    }()
}

/// One conversation, and what was seen of it.
private struct HTTP2Reading {
    /// What must not depend on how the bytes were cut.
    struct Seen: Equatable {
        var events: [HTTP2Event.Kind] = []
        var heads: [[UInt8]] = []
        var bodies: [Int32: [UInt8]] = [:]
        var output: [UInt8] = []
        var end: HTTP2ConnectionEnd?
    }

    private(set) var seen = Seen()

    /// Gives the bytes in these pieces; answers what was asked once all are in.
    init(_ pieces: [[UInt8]], _ choice: UInt8) throws(BrokenProperty) {
        var limits = HTTP2Limits(
            streamsMax: 4, headBytesMax: 300, headFieldsMax: 4,
            streamWindowBytes: choice & 8 != 0 ? 100 : 65_535,
            allowsExtendedConnect: choice & 16 == 0,
            resetsReceived: HTTP2Budget(burst: 300, perSecond: 30))
        limits.headFramesMax = 3
        limits.pings = HTTP2Budget(burst: 3, perSecond: 0)
        limits.resetsProvoked = HTTP2Budget(burst: 3, perSecond: 0)
        let memory = HTTP2Memory(keptBytesMax: 0)
        let connection = HTTP2Connection(HTTP2Policy(limits), memory, milliseconds: 0)
        for piece in pieces {
            piece.withUnsafeBytes { connection.receive($0, milliseconds: 0) }
        }
        var streams: [Int32: HTTP2Stream] = [:]
        // Producing makes events, and answering makes more to produce.
        for _ in 0..<3 {
            try take(connection, choice, &streams)
            try produce(connection)
        }
        try take(connection, choice, &streams)
        seen.end = connection.end
        for (_, stream) in streams.sorted(by: { $0.key < $1.key }) { connection.forget(stream) }
        try produce(connection)
        while let event = connection.nextEvent() {
            try require(event.stream == .absent, "Nothing is told of a forgotten stream.")
        }
        try require(
            connection.openStreams >= 0 && connection.openStreams <= 4, "Streams are counted.")
        try require(memory.usedBytes == 0 || connection.openStreams > 0, "No bytes are left over.")
        try require(connection.memoryBytes < 1 << 18, "A connection has bounded memory.")
    }

    private mutating func take(
        _ connection: borrowing HTTP2Connection, _ choice: UInt8,
        _ streams: inout [Int32: HTTP2Stream]
    ) throws(BrokenProperty) {
        while let event = connection.nextEvent() {
            // When `data` is told depends on when it is taken.
            if event.kind != .data { seen.events.append(event.kind) }
            let id = event.stream.id
            switch event.kind {
            case .request:
                try require(streams[id] == nil && id % 2 == 1, "A stream is told once.")
                streams[id] = event.stream
                try request(connection, event.stream, choice)
            case .data, .trailers, .end, .sent, .drained:
                try require(streams[id] != nil, "A stream is told before what happens on it.")
                if event.kind == .trailers, let trailers = connection.takeTrailers(event.stream) {
                    addHead(trailers)
                }
            case .closed(let end):
                try require(streams[id] != nil, "A stream is told before its end.")
                let body = Array(connection.arrived(event.stream))
                try require(body.count <= 65_535, "A stream holds its window at most.")
                // How much of a body is told that has more bytes than it says depends on the cut.
                if end != .resetHere(.protocolError) { seen.bodies[id] = body }
                connection.forget(event.stream)
                streams[id] = nil
            case .malformed:
                try require(streams[id] == nil, "What is malformed was not told before.")
                let hasHead = connection.takeHead(event.stream) != nil
                try require(hasHead, "What was read of it can be said.")
                connection.forget(event.stream)
            case .goAway, .pong, .over: try require(id == 0, "These have no stream.")
            }
        }
    }

    private mutating func request(
        _ connection: borrowing HTTP2Connection, _ stream: HTTP2Stream, _ choice: UInt8
    ) throws(BrokenProperty) {
        guard let head = connection.takeHead(stream) else {
            throw BrokenProperty("A request has a head.")
        }
        addHead(head)
        try require(
            head.fault != nil || !head.method.isEmpty && !head.authority.isEmpty,
            "A request has a method and an authority.")
        var fields = HTTP2Fields()
        fields.append("x-a", "b")
        switch choice & 7 {
        case 0: connection.answer(stream, status: 204, fields, hasBody: false)
        case 1: connection.reset(stream, .cancel)
        case 2: connection.forget(stream)
        case 3: break
        default:
            connection.sendInterim(stream, status: 103, fields)
            connection.answer(stream, status: 200, fields, hasBody: true)
            let body = [UInt8](repeating: 0x61, count: 20_000)
            _ = body.withUnsafeBytes { connection.send(stream, $0) }
            if choice & 7 > 4 {
                connection.finish(stream, trailers: choice & 7 == 6 ? fields : nil)
            }
            if choice & 7 == 7 { connection.shutDown() }
        }
    }

    private mutating func addHead(_ head: borrowing HTTP2Head) {
        seen.heads.append(head.bytes + [0, UInt8(head.fields.count)])
    }

    /// Takes what is to be sent, which is whole frames of lawful sizes.
    private mutating func produce(_ connection: borrowing HTTP2Connection) throws(BrokenProperty) {
        var output = [UInt8](repeating: 0, count: 1 << 17)
        let count = output.withUnsafeMutableBytes { connection.produce(into: $0) }
        try require(count < output.count, "Five answers of 20,000 bytes fit in.")
        output.removeSubrange(count...)
        seen.output += output
        var index = 0
        while index + 9 <= output.count {
            let length =
                Int(output[index]) << 16 | Int(output[index + 1]) << 8 | Int(output[index + 2])
            try require(length <= 16_384 && output[index + 3] <= 9, "Frames are lawful.")
            try require(output[index + 3] != 0 || length <= 16_375, "DATA fits a record.")
            index += 9 + length
        }
        try require(index == output.count, "Frames are whole.")
    }
}
