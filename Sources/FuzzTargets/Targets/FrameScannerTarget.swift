// SPDX-License-Identifier: Apache-2.0
import Wire

extension FuzzTarget {
    /// Frames, cut anywhere, are judged as a plain scanner over the whole judges them (RFC 6455 §5),
    /// and the headers that go on are those that `FrameHeader` reads and writes.
    static let frameScanner = FuzzTarget(
        name: "frame-scanner", inputBytesMax: 2_048,
        words: [
            [0x01], [0x81], [0x82], [0x80], [0x00], [0xC1], [0x41], [0x89], [0x8A], [0x88, 0x00],
            [0x88, 0x82], [0x03, 0xE8], [0x03, 0xED], [0x7D], [0x7E], [0x7F], [0xFE], [0xFF],
            [0x7E, 0x00, 0x7D], [0x7E, 0x00, 0x7E], [0x7E, 0xFF, 0xFF],
            [0x7F, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], [0x7F, 0, 0, 0, 0, 0, 1, 0, 0],
            [0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ],
        seeds: frameSeeds
    ) { bytes throws(BrokenProperty) in
        var input = FuzzInput(bytes)
        let rules = FrameRules(&input)
        let cut = input.takeCut()
        let stream = input.content
        let plain = rules.plain(stream)
        let reading = try rules.reading(of: cut.pieces(of: stream))
        try requireEqual(reading, plain, "The scanner and the plain one agree.")
        try requireEqual(
            reading, rules.reading(of: [stream]), "How frames are cut makes no difference.")
        try rules.requireSameUncounted(stream)
        try requireHeaders(stream, upTo: reading.forwardable, count: reading.frames)
        try requireOwnFrames(stream)
    }

    private static let frameSeeds: [[UInt8]] = {
        let client: [UInt8] = [
            0x81, 0x85, 1, 2, 3, 4, 0x69, 0x67, 0x6F, 0x68, 0x6E,  // one message
            0x01, 0x81, 0, 0, 0, 0, 0x61, 0x89, 0x80, 9, 9, 9, 9,  // a fragment, a Ping between
            0x80, 0x80, 5, 5, 5, 5, 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8,  // its end, and a Close
        ]
        let server: [UInt8] = [
            0xC1, 0x02, 0x61, 0x62, 0x8A, 0x00, 0x02, 0x01, 0x00, 0x80, 0x00, 0x88, 0x00,
        ]
        let long: [UInt8] = [0x82, 0x7E, 0x01, 0x00] + [UInt8](repeating: 7, count: 256)
        let border: [UInt8] = [0x82, 0x7E, 0x00, 0x7D, 0x82, 0x7E, 0x00, 0x7E]
        let longest: [UInt8] = [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3]
        return [
            FuzzInput.made(client, choices: [1, 0, 0, 0, 0, 2, 40]),
            FuzzInput.made(server, choices: [0, 1, 0, 0, 0, 0, 0]),
            FuzzInput.made(server, choices: [0, 2, 2, 1, 1, 4, 9]),
            FuzzInput.made(long + server, choices: [0, 1, 0, 2, 2, 100, 3]),
            FuzzInput.made(border, choices: [0, 0, 0, 0, 0, 9, 9]),
            FuzzInput.made(border.dropFirst(4), choices: [0, 0, 0, 0, 0, 1, 2]),
            FuzzInput.made(longest, choices: [0, 0, 0, 0, 0, 3, 200]),
        ]
    }()
}

/// What one direction of a relay was told about the frames.
private struct FrameRules {
    let isClient: Bool
    let reservedBits: UInt8
    let messageBytesMax: UInt64
    let fragmentsMax: UInt32
    let messagesMax: UInt64?

    init(_ input: inout FuzzInput) {
        isClient = input.takeChoice(of: [false, true])
        reservedBits = input.takeChoice(of: [0, 0x40, 0x70, 0x20])
        messageBytesMax = input.takeChoice(of: [.max, 100, 300, 0, 1 << 40])
        let counts = input.takeChoice()
        fragmentsMax = [.max, 1, 2, 3][Int(counts & 3)]
        messagesMax = [nil, 0, 1, 3][Int(counts >> 2 & 3)]
    }

    /// All that can be told of a stream.
    struct Reading: Equatable {
        var forwardable: Int
        var violation: FrameViolation
        var frames: UInt64
        var messages: UInt64
        var payloadBytes: UInt64
        var closeCode: UInt16
        var isAtBorder: Bool
        var tally: TallyReading
    }

    /// What was counted by kind and size.
    struct TallyReading: Equatable {
        let kinds: [UInt64]
        let messageBytes: UInt64
        let sizes: [UInt64]

        init(_ tally: borrowing FrameTally) {
            var kinds: [UInt64] = []
            for kind in FrameTally.Kind.allCases { kinds.append(tally.count(of: kind)) }
            self.kinds = kinds
            messageBytes = tally.messageBytes
            sizes = tally.sizes
        }

        init(_ scanner: NaiveScanner) {
            kinds = FrameTally.Kind.allCases.map { scanner.count(of: $0) }
            messageBytes = scanner.messageSizes.reduce(0, +)
            var sizes = [UInt64](repeating: 0, count: FrameTally.sizeBounds.count + 1)
            for size in scanner.messageSizes {
                sizes[FrameTally.sizeBounds.firstIndex { size <= $0 } ?? sizes.count - 1] += 1
            }
            self.sizes = sizes
        }
    }

    func plain(_ stream: [UInt8]) -> Reading {
        var scanner = NaiveScanner(
            isClient: isClient, reservedBits: reservedBits, messageBytesMax: messageBytesMax)
        scanner.fragmentsMax = fragmentsMax
        scanner.messagesMax = messagesMax
        scanner.run(stream)
        return Reading(
            forwardable: scanner.forwardable, violation: scanner.violation, frames: scanner.frames,
            messages: scanner.messages, payloadBytes: scanner.payloadBytes,
            closeCode: scanner.closeCode, isAtBorder: scanner.isAtBorder,
            tally: TallyReading(scanner))
    }

    /// Scans as a relay does: what is not forwardable comes again in front of the next piece.
    func reading(of pieces: [[UInt8]]) throws(BrokenProperty) -> Reading {
        let tally = FrameTally()
        var scanner = FrameScanner(
            sender: isClient ? .client : .server, reservedBits: reservedBits,
            messageBytesMax: messageBytesMax, fragmentsMax: fragmentsMax, tally: tally.cells)
        scanner.allow(messages: messagesMax)
        var forwarded = 0
        var tail: [UInt8] = []
        var violation = FrameViolation.none
        for piece in pieces where violation == .none {
            let bytes = tail + piece
            let outcome = bytes.withUnsafeBufferPointer { buffer in
                buffer.baseAddress.map { scanner.scan($0, count: buffer.count) }
            }
            guard let outcome else { continue }
            try require(
                0...bytes.count ~= outcome.forwardable, "No more goes on than was there.")
            forwarded += outcome.forwardable
            tail = Array(bytes.dropFirst(outcome.forwardable))
            violation = outcome.violation
            // What stands behind a Close says nothing, and is dropped (RFC 6455 §5.5.1).
            if scanner.isCloseComplete { tail = [] }
            try require(
                violation != .none || tail.count <= FrameScanner.tailBytesMax,
                "A tail is a header less one byte at most, and is \(tail.count) bytes.")
        }
        return Reading(
            forwardable: forwarded, violation: violation, frames: scanner.frames,
            messages: scanner.messages, payloadBytes: scanner.payloadBytes,
            closeCode: scanner.closeCode, isAtBorder: scanner.isAtFrameBorder,
            tally: TallyReading(tally))
    }
}

extension FrameRules {
    /// States that frames which are not counted are judged as those that are, with no limit on messages.
    fileprivate func requireSameUncounted(_ stream: [UInt8]) throws(BrokenProperty) {
        let tally = FrameTally()
        var counting = FrameScanner(
            sender: isClient ? .client : .server, reservedBits: reservedBits,
            messageBytesMax: messageBytesMax, fragmentsMax: fragmentsMax)
        var other = FrameScanner(
            sender: isClient ? .client : .server, reservedBits: reservedBits,
            messageBytesMax: messageBytesMax, fragmentsMax: fragmentsMax, tally: tally.cells)
        let outcomes = stream.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map {
                (
                    counting.scan($0, count: buffer.count),
                    other.scanUncounted($0, count: buffer.count)
                )
            }
        }
        guard let (counted, uncounted) = outcomes else { return }
        try require(
            counted.forwardable == uncounted.forwardable
                && counted.violation == uncounted.violation,
            "Frames that are not counted are judged the same: \(counted), \(uncounted)")
        try require(
            other.frames == 0 && other.messages == 0 && other.payloadBytes == 0
                && TallyReading(tally).kinds.allSatisfy { $0 == 0 },
            "Frames that go nowhere are not counted.")
        try requireEqual(other.closeCode, counting.closeCode, "The code of a Close is kept.")
    }
}

/// States that what goes on is a row of whole headers with their payload, each in its shortest form.
private func requireHeaders(
    _ stream: [UInt8], upTo end: Int, count: UInt64
) throws(BrokenProperty) {
    var position = 0
    var frames: UInt64 = 0
    while position < end {
        let rest = Array(stream[position..<end])
        let decoded = rest.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.flatMap { FrameHeader.decode($0, count: buffer.count) }
        }
        guard let decoded else { throw BrokenProperty("Half a header goes on, at \(position).") }
        try requireEqual(
            decoded.header.encoded(), Array(rest.prefix(decoded.length)),
            "A header that goes on is written as it was read.")
        frames += 1
        let behind = UInt64(rest.count - decoded.length)
        position += decoded.length + Int(min(decoded.header.payloadLength, behind))
    }
    try requireEqual(frames, count, "Each frame that goes on is counted.")
}

/// States that the frames which Sluice sends of its own, with any reason or payload, are lawful.
private func requireOwnFrames(_ text: [UInt8]) throws(BrokenProperty) {
    let code = CloseCode(rawValue: text.count < 2 ? 1000 : UInt16(text[0]) << 8 | UInt16(text[1]))
    for key in [nil, 0xA1B2_C3D4 as UInt32] {
        var scanner = FrameScanner(sender: key == nil ? .server : .client, reservedBits: 0)
        var frame = [UInt8](repeating: 0, count: ControlFrame.byteCountMax)
        let outcomes = frame.withUnsafeMutableBufferPointer { frame in
            text.withUnsafeBufferPointer { text in
                frame.baseAddress.map { start in
                    let pong = ControlFrame.pong(payload: text, maskKey: key, into: start)
                    let first = scanner.scan(UnsafePointer(start), count: pong)
                    let close = ControlFrame.close(
                        code, reason: Array(text), maskKey: key, into: start)
                    return (
                        pong, first, close, scanner.scan(UnsafePointer(start), count: close)
                    )
                }
            }
        }
        guard let (pong, first, close, second) = outcomes else { continue }
        try require(
            first.forwardable == pong && first.violation == .none, "A Pong of ours is lawful.")
        try require(
            second.forwardable == close && second.violation == .none, "A Close of ours is lawful.")
        try require(scanner.isCloseComplete, "A Close of ours is whole.")
        try requireEqual(
            scanner.closeCode, code.maySend ? code.rawValue : CloseCode.noStatus.rawValue,
            "A Close of ours has its code.")
    }
}
