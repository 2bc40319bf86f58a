// SPDX-License-Identifier: Apache-2.0
import TLS

extension FuzzTarget {
    /// Whatever happens to records on their way, they open to what was sealed, in order and up to the
    /// first that was touched; and a peer with the keys is held to the rules (RFC 8446 §5, §6).
    static let recordLayer = FuzzTarget(
        name: "record-layer", inputBytesMax: 512,
        words: [
            [23, 3, 3, 0], [3, 5, 24, 0, 0, 1, 0], [3, 5, 24, 0, 0, 1, 1, 6, 0], [6, 0],
            [4, 2, 1, 0], [4, 2, 1, 90], [5, 3, 65, 23, 0], [2, 248], [2, 249], [0, 0],
        ],
        seeds: [
            // Data; data, a KeyUpdate in two records, data; a close, and data behind it.
            ([0, 5, 1, 200, 0, 0], [0, 0, 0, 0, 255, 255, 255]),
            ([0, 3, 3, 2, 24, 0, 3, 3, 0, 1, 1, 6, 0, 9], [1, 0, 0, 0, 0, 4, 9]),
            ([0, 1, 4, 2, 1, 0, 0, 1], [2, 0, 0, 0, 40, 1, 200]),
            // Padding, an empty record, an unknown type, an alert, a record too long.
            ([5, 4, 65, 23, 0, 0, 5, 1, 23, 5, 2, 65, 99], [0, 0, 0, 0, 9, 9, 9]),
            ([0, 9, 4, 2, 2, 40], [1, 0, 0, 0, 9, 9, 9]),
            ([2, 249, 2, 250, 2, 251], [0, 0, 0, 0, 9, 9, 9]),
            // Touched, replayed, lost, strange bytes.
            ([0, 50, 0, 50, 0, 50], [0, 0, 90, 1, 9, 9, 9]),
            ([0, 50, 8, 0, 1], [2, 0, 0, 0, 9, 9, 9]),
            ([0, 50, 9, 0, 1], [0, 0, 0, 0, 9, 9, 9]),
            ([7, 5, 23, 3, 3, 0, 40, 0, 9], [0, 0, 0, 0, 9, 9, 9]),
        ].map { FuzzInput.made($0.0, choices: $0.1) }
    ) { bytes throws(BrokenProperty) in
        var input = FuzzInput(bytes)
        let suite = input.takeChoice(of: [0x1301, 0x1302, 0x1303] as [UInt16])
        let (high, low, mask) = (input.takeChoice(), input.takeChoice(), input.takeChoice())
        let cut = input.takeCut()
        let secrets = [1, 2].map { [UInt8](repeating: $0, count: RecordEnd.secretBytes) }
        // Its peer is OpenSSL's in any case.
        for engine in engines {
            var input = input
            guard let peer = RecordEnd(cipher: suite, reading: secrets[0], writing: secrets[1]),
                let end = RecordEnd(
                    cipher: suite, reading: secrets[1], writing: secrets[0], engine: engine)
            else { throw BrokenProperty("Keys can be derived.") }
            var plan = RecordPlan()
            try plan.carryOut(&input, peer)
            if mask != 0, !plan.wire.isEmpty {
                plan.touch((Int(high) << 8 | Int(low)) % plan.wire.count, mask)
            }
            try requireReading(of: plan, cut, by: end, from: peer)
        }
    }

    /// Who seals and opens: OpenSSL, and what is used in its stead where there is something.
    private static let engines =
        RecordEngine.best.reason == nil ? [RecordEngine.openSSL, .best] : [.openSSL]
}

/// States that an end reads what a plan says, in pieces.
private func requireReading(
    of plan: RecordPlan, _ cut: Cut, by end: RecordEnd, from peer: RecordEnd
) throws(BrokenProperty) {
    var plain: [UInt8] = []
    for piece in cut.pieces(of: plan.wire) { plain += end.read(piece) }
    try requireEqual(plain, plan.expected.plain, "What is opened is what was sealed.")
    if plan.isTouched {
        // How far the bytes get that nobody sealed depends on them; nothing of them is opened.
        if end.failure == nil && !end.isReadClosed { return }
    } else {
        try requireEqual(
            end.failure != nil, plan.expected.isFailed, "A peer is held to the rules.")
        try requireEqual(end.isReadClosed, plan.expected.isClosed, "A close is seen.")
    }
    try requireAnswers(of: end, to: peer, plan)
}

/// States that what an end says by itself is understood, and what it sends opens to the same.
private func requireAnswers(
    of end: RecordEnd, to peer: RecordEnd, _ plan: RecordPlan
) throws(BrokenProperty) {
    let said = end.takeOutput()
    try requireEqual(peer.read(said), [], "An end says nothing of its own as application data.")
    let isTold = end.failure != nil && end.failure != 255
    try requireEqual(
        peer.failure != nil, isTold, "A fault is told by an alert, and nothing else is.")
    let message = [UInt8](repeating: 7, count: 1_000)
    let sent = end.write(message)
    try requireEqual(sent == nil, end.failure != nil, "Behind a fault nothing is sent.")
    if let sent {
        try requireEqual(peer.read(sent), message, "What is sent opens to the same.")
        try require(peer.failure == nil, "What is sent is lawful.")
    }
}

/// Records that a peer seals one after the other, and what must come of them.
private struct RecordPlan {
    private(set) var wire: [UInt8] = []
    private(set) var isTouched = false
    private(set) var expected = RecordRules()
    /// Where each record ends, and what had been opened by then.
    private var borders: [(end: Int, expected: RecordRules)] = []

    /// Makes records as the events of the input say.
    mutating func carryOut(_ input: inout FuzzInput, _ peer: RecordEnd) throws(BrokenProperty) {
        while let event = input.takeEvent(), wire.count < 40_000 {
            let count = Int(input.takeEvent() ?? 0)
            switch event % 10 {
            case 0, 1: try add(peer, content(count), type: 23)
            // Around the most that one record may hold.
            case 2: try add(peer, content(count * 66), type: 23)
            case 3: try add(peer, input.takeFirst(count), type: 22)
            case 4: try add(peer, input.takeFirst(count), type: 21)
            case 5:
                let inner = input.takeFirst(count)
                if !inner.isEmpty { try add(peer, inner) }
            case 6:
                guard peer.updateWriting() else { throw BrokenProperty("A key can be updated.") }
                expected.peerUpdated()
            case 7: addUnsealed(input.takeFirst(count))
            case 8: addUnsealed(Array(wire.suffix(count)))
            default:
                // A record that is lost on the way.
                guard peer.seal(inner: [65, 23]) != nil else {
                    throw BrokenProperty("It is sealed.")
                }
                expected.isLost = true
            }
        }
    }

    private func content(_ count: Int) -> [UInt8] {
        // Unlike that of the records before it.
        [UInt8](repeating: UInt8(truncatingIfNeeded: borders.count + 1), count: count)
    }

    private mutating func add(
        _ peer: RecordEnd, _ content: [UInt8], type: UInt8
    ) throws(BrokenProperty) {
        try add(peer, content + [type])
    }

    private mutating func add(_ peer: RecordEnd, _ inner: [UInt8]) throws(BrokenProperty) {
        guard let record = peer.seal(inner: inner) else { throw BrokenProperty("It is sealed.") }
        wire += record
        if !isTouched { expected.take(inner) }
        borders.append((wire.count, expected))
    }

    /// Bytes that nobody sealed: nothing of them is opened, nor of what follows.
    private mutating func addUnsealed(_ bytes: [UInt8]) {
        if bytes.isEmpty { return }
        wire += bytes
        isTouched = true
    }

    /// Changes one byte of what was sealed.
    mutating func touch(_ index: Int, _ mask: UInt8) {
        wire[index] ^= mask
        let before = borders.last { $0.end <= index }?.expected ?? RecordRules()
        // What was unsealed already is no more so.
        if index < borders.last?.end ?? 0 || !isTouched { expected = before }
        isTouched = true
    }
}

/// The rules for a peer with the keys, without any haste: what the record layer must agree with.
struct RecordRules {
    private(set) var plain: [UInt8] = []
    private(set) var isFailed = false
    private(set) var isClosed = false
    /// A record was lost, so that the next one has another number than it was sealed with.
    var isLost = false
    private var updates = (peer: 0, own: 0)
    private var pending: [UInt8] = []

    mutating func peerUpdated() {
        updates.peer += 1
        // New keys count from 0 again. Where this end still has the old ones, nothing opens at all.
        isLost = false
    }

    mutating func take(_ inner: [UInt8]) {
        if isFailed || isClosed { return }
        guard !isLost, updates.peer == updates.own, inner.count <= 16_384 + 1,
            let typeIndex = inner.lastIndex(where: { $0 != 0 })
        else {
            isFailed = true
            return
        }
        let content = Array(inner[..<typeIndex])
        switch inner[typeIndex] {
        case 23 where pending.isEmpty: plain += content
        case 21 where pending.isEmpty && content.count == 2:
            // close_notify; user_canceled, which says nothing by itself; any other ends it (§6).
            if content[1] == 0 { isClosed = true } else if content[1] != 90 { isFailed = true }
        case 22: takeHandshake(content)
        default: isFailed = true
        }
    }

    /// A KeyUpdate (§4.6.3), perhaps in several records; it ends its record (§5.1).
    private mutating func takeHandshake(_ content: [UInt8]) {
        pending += content
        let begin: [UInt8] = [24, 0, 0, 1]
        let isKeyUpdate =
            pending.count < 5
            ? begin.starts(with: pending)
            : pending.count == 5 && pending.starts(with: begin) && pending[4] <= 1
        isFailed = content.isEmpty || !isKeyUpdate
        if pending.count == 5 {
            pending = []
            updates.own += 1
        }
    }
}
