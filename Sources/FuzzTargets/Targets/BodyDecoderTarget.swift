// SPDX-License-Identifier: Apache-2.0
import Wire

extension FuzzTarget {
    /// A body, cut anywhere, gives the payload that a plain decoder finds in the whole, never more
    /// than came, and touches nothing behind its end (RFC 9112 §7.1).
    static let bodyDecoder = FuzzTarget(
        name: "body-decoder", inputBytesMax: 2_048,
        words: [
            "\r\n", "0\r\n\r\n", "\r\n0\r\n", "1\r\n", "5;a=b\r\n", "ffffffffffffffff", "00000000",
            ";name=\"value\"", "X-Trailer: a\r\n", "Content-Length: 1\r\n", "\n", " ",
        ].map { Array($0.utf8) },
        seeds: [
            ("5\r\nhello\r\n0\r\n\r\nGET /", [0, 0, 2, 50, 3]),
            ("A;x=y\r\n0123456789\r\n00\r\nX-A: b\r\nVary: c\r\n\r\n", [0, 1, 0, 0, 0]),
            ("0\r\nX-A : \u{1}\r\n\r\n", [0, 2, 2, 50, 3]),
            ("1\r\na\r\n1\r\nb\r\n2\r\ncd\r\n0\r\nHost: a\r\nx-b:c\r\n\r\nrest", [0, 1, 6, 1, 9]),
            ("fffffffffffffff\r\n0123456789abcdef", [0, 0, 9, 9, 9]),
            ("1;\(String(repeating: "x", count: 200))\r\na\r\n", [0, 0, 100, 1, 9]),
            (
                "1;\(String(repeating: "x", count: 255))\r\na\r\n0;\(String(repeating: "y", count: 255))\r\n\r\n",
                [0, 0, 9, 9, 9]
            ),
            ("0123456789", [1, 5, 1, 2, 3]), ("0123456789", [1, 200, 1, 2, 3]),
            ("0123456789", [2, 0, 1, 2, 3]), ("0123456789", [3, 0, 1, 2, 3]),
        ].map { FuzzInput.made($0.0.utf8, choices: $0.1) }
    ) { bytes throws(BrokenProperty) in
        var input = FuzzInput(bytes)
        let kind = input.takeChoice() & 3
        let detail = input.takeChoice()
        let cut = input.takeCut()
        let body = input.content
        let framing: BodyFraming =
            switch kind {
            case 0: .chunked
            case 1: .length(UInt64(detail))
            case 2: .untilClose
            default: .none
            }
        let limits =
            kind == 0 && detail & 1 != 0
            ? HeadLimits(bytesMax: 60, fieldsMax: 2, targetBytesMax: 60)
            : HeadLimits.builtIn
        let isAnswer = detail & 2 != 0
        let whole = try BodyReading(framing, limits, isAnswer: isAnswer, of: [body])
        try requireEqual(
            BodyReading(framing, limits, isAnswer: isAnswer, of: cut.pieces(of: body)), whole,
            "How a body is cut makes no difference.")
        try require(whole.payload.count <= whole.consumed, "No payload is made up.")
        switch framing {
        case .none:
            try require(whole.isDone && whole.consumed == 0, "No body takes no bytes.")
        case .length(let length):
            try requireEqual(
                whole.payload, Array(body.prefix(Int(length))), "A counted body is its bytes.")
            try requireEqual(
                whole.isDone, body.count >= Int(length), "A counted body ends at its count.")
        case .untilClose:
            try require(whole.payload == body && !whole.isDone, "All bytes are the body.")
        case .chunked:
            try requireChunked(whole, body, limits, isAnswer)
        }
    }
}

/// What came of a body.
private struct BodyReading: Equatable {
    var payload: [UInt8] = []
    var consumed = 0
    var isDone: Bool
    var fault: String?
    var trailers: [[UInt8]] = []

    init(
        _ framing: BodyFraming, _ limits: HeadLimits, isAnswer: Bool, of pieces: [[UInt8]]
    ) throws(BrokenProperty) {
        var decoder = BodyDecoder(framing, limits: limits, isAnswer: isAnswer)
        for piece in pieces where !decoder.isDone && fault == nil {
            var bytes = piece
            let outcome = bytes.withUnsafeMutableBufferPointer { buffer in
                buffer.baseAddress.map { decoder.decode($0, count: buffer.count) }
            }
            guard let outcome else { continue }
            try require(
                0...piece.count ~= outcome.consumed && 0...outcome.consumed ~= outcome.payload,
                "Of \(piece.count) bytes \(outcome.consumed) are taken, \(outcome.payload) payload."
            )
            try requireEqual(
                bytes[outcome.consumed...], piece[outcome.consumed...],
                "What stands behind the body is not touched.")
            payload += bytes[..<outcome.payload]
            consumed += outcome.consumed
            fault = outcome.fault?.sentence
            try require(
                outcome.isDone || fault != nil || outcome.consumed == piece.count,
                "Bytes are left over only behind an end.")
            try requireEqual(outcome.isDone, decoder.isDone, "An end is told.")
        }
        isDone = decoder.isDone
        try requireEqual(
            decoder.payloadBytes, UInt64(payload.count), "The payload is counted.")
        // Behind a fault nothing but the payload may be used, and how much was taken depends on the cut.
        if fault != nil { consumed = payload.count }
        if let list = decoder.trailers {
            trailers = list.fields.flatMap {
                [Array(list.name(of: $0)), Array(list.value(of: $0))]
            }
        }
    }
}

/// States that a chunked body is what the plain reading makes of it, and that its payload in chunks of
/// ours is the same body.
private func requireChunked(
    _ reading: BodyReading, _ body: [UInt8], _ limits: HeadLimits, _ isAnswer: Bool
) throws(BrokenProperty) {
    let plain = PlainChunks(body, limits, isAnswer: isAnswer)
    try requireEqual(reading.payload, plain.payload, "The payload is that of the plain decoder.")
    try requireEqual(reading.isDone, plain.end == .done, "It ends where the plain decoder does.")
    try requireEqual(
        reading.fault != nil, plain.end == .broken, "It breaks where the plain decoder does.")
    if reading.isDone { try requireEqual(reading.consumed, plain.consumed, "It ends there.") }
    guard !reading.payload.isEmpty else { return }
    // Ten bytes are room for the size of less than 2^32 bytes.
    var written =
        [UInt8](repeating: 0, count: 10) + reading.payload
        + [UInt8](repeating: 0, count: ChunkWriter.suffixBytes)
    let chunk = written.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.map { start in
            let framed = ChunkWriter.frame(start + 10, count: reading.payload.count)
            return Array(UnsafeBufferPointer(start: framed.start, count: framed.count))
        }
    }
    let again = try BodyReading(
        .chunked, HeadLimits.builtIn, isAnswer: isAnswer,
        of: [(chunk ?? []) + ChunkWriter.last(trailers: nil)])
    try require(again.isDone && again.fault == nil, "A chunk of ours is lawful.")
    try requireEqual(again.payload, reading.payload, "A chunk of ours has the same payload.")
}
