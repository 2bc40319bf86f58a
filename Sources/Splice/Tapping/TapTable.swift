// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// The taps of one reactor, and how far each relay is that one of them listens to.
///
/// A direction of a relay that is listened to has the number of its cursor (`Flow.tap`), and 0 else: to look at that
/// number is all that the data path pays while nobody listens.
public struct TapTable: ~Copyable {
    /// Taps that may listen at one time, each with a bit.
    public static let tapsMax = 4

    /// Where one direction of a relay is.
    private struct Cursor {
        /// Payload of the frame in progress that has not come yet, and that which has.
        var outstanding: UInt64
        var passed: UInt64 = 0
        var compressedFrames: UInt32 = 0
        /// The taps that are told the frame in progress, a bit each.
        var told: UInt8 = 0
        /// The opcodes of the frame and of the data message in progress; 0 for a message that began before the tap.
        var opcode: UInt8 = 0
        var messageOpcode: UInt8 = 0
        var isCompressed = false

        init(outstanding: UInt64) { self.outstanding = outstanding }
    }

    private struct Entry {
        let token: UInt64
        /// Whether RSV1 says that a message is compressed.
        let deflates: Bool
        var listening: UInt8 = 0
        var up: Cursor
        var down: Cursor
    }

    private var lines: [TapLine?] = Array(repeating: nil, count: TapTable.tapsMax)
    private var entries: [Entry] = []
    /// Entries that no relay has.
    private var free: [Int] = []

    init() {}

    /// Whether any tap listens.
    public private(set) var isAny = false

    /// Gives a bit to a tap's line, or takes it back.
    public mutating func set(_ line: TapLine?, of bit: Int) {
        lines[bit] = line
        isAny = lines.contains { $0 != nil }
    }

    /// The line of a bit.
    public func line(of bit: Int) -> TapLine? { lines[bit] }

    /// Makes an entry for a relay whose frames in progress have so much still to come.
    ///
    /// - Returns: the numbers of its cursors, that from the client to the upstream first.
    mutating func add(
        _ token: UInt64, deflates: Bool, upOutstanding: UInt64, downOutstanding: UInt64
    ) -> (up: UInt32, down: UInt32) {
        let entry = Entry(
            token: token, deflates: deflates, up: Cursor(outstanding: upOutstanding),
            down: Cursor(outstanding: downOutstanding))
        let index: Int
        if let known = free.popLast() {
            index = known
            entries[known] = entry
        } else {
            index = entries.count
            entries.append(entry)
        }
        let number = UInt32(truncatingIfNeeded: index + 1) << 1
        return (number, number | 1)
    }

    private static func index(_ cursor: UInt32) -> Int { Int(cursor >> 1) - 1 }

    mutating func listen(_ cursor: UInt32, bit: Int) {
        entries[Self.index(cursor)].listening |= 1 << UInt8(bit)
    }

    /// Has a tap not listen to a relay any more.
    ///
    /// - Returns: whether another one does.
    mutating func ignore(_ cursor: UInt32, bit: Int) -> Bool {
        let index = Self.index(cursor)
        entries[index].listening &= ~(1 << UInt8(bit))
        return entries[index].listening != 0
    }

    /// The taps that listen to a relay, a bit each.
    func listening(_ cursor: UInt32) -> UInt8 { entries[Self.index(cursor)].listening }

    /// How many compressed frames of a relay have passed since it has an entry.
    func counts(_ cursor: UInt32) -> TapCounts {
        let entry = entries[Self.index(cursor)]
        var counts = TapCounts()
        counts.up = entry.up.compressedFrames
        counts.down = entry.down.compressedFrames
        return counts
    }

    /// Whether a frame is in progress in each direction that a tap was told of, with all that has come of it.
    func unfinished(_ cursor: UInt32, bit: Int) -> (up: Bool, down: Bool) {
        func isTold(_ cursor: Cursor) -> Bool {
            cursor.outstanding > 0 && cursor.told >> UInt8(bit) & 1 == 1
        }
        let entry = entries[Self.index(cursor)]
        return (isTold(entry.up), isTold(entry.down))
    }

    /// Takes the entry of a relay back.
    mutating func remove(_ cursor: UInt32) {
        let index = Self.index(cursor)
        entries[index].listening = 0
        free.append(index)
        // The last relay that was listened to: nothing is kept for the next tap.
        if free.count == entries.count {
            entries = []
            free = []
        }
    }

    // MARK: What passes

    /// Tells of bytes of one direction: whole headers, and payload in any pieces.
    mutating func pass(
        _ number: UInt32, _ bytes: UnsafePointer<UInt8>, count: Int, isSwallowed: Bool = false
    ) {
        let now = Clock.nowNanoseconds()
        let index = Self.index(number)
        let isDown = number & 1 == 1
        var way: TapWay = isDown ? .down : []
        if isSwallowed { way.insert(.swallowed) }
        var cursor = isDown ? entries[index].down : entries[index].up
        var position = 0
        if cursor.outstanding > 0 {
            position = Int(truncatingIfNeeded: min(cursor.outstanding, UInt64(count)))
            goOn(index, &cursor, bytes, count: position, way, now)
        }
        while position < count,
            let (header, length) = FrameHeader.decode(bytes + position, count: count - position)
        {
            position += length
            let left = UInt64(count - position)
            let piece = Int(truncatingIfNeeded: min(header.payloadLength, left))
            begin(index, &cursor, header, bytes[position - length], way)
            write(index, &cursor, header, bytes + position, count: piece, way, now)
            position += piece
        }
        if isDown { entries[index].down = cursor } else { entries[index].up = cursor }
    }

    /// Tells of a control frame of Sluice's own, or of one that goes on to nobody, which lies whole.
    mutating func tellWhole(
        _ number: UInt32, _ frame: UnsafePointer<UInt8>, count: Int, _ way: TapWay
    ) {
        guard let (header, length) = FrameHeader.decode(frame, count: count),
            header.payloadLength <= UInt64(count - length)
        else { return }
        let index = Self.index(number)
        let way = number & 1 == 1 ? way.union(.down) : way
        // The frame in progress goes on behind it, where a message has several.
        var cursor = Cursor(outstanding: 0)
        begin(index, &cursor, header, frame[0], way)
        write(
            index, &cursor, header, frame + length, count: Int(header.payloadLength), way,
            Clock.nowNanoseconds())
    }

    /// Takes note of a header, and chooses the taps that are told of the frame.
    private func begin(
        _ index: Int, _ cursor: inout Cursor, _ header: FrameHeader, _ firstByte: UInt8,
        _ way: TapWay
    ) {
        cursor.opcode = header.opcodeBits
        cursor.outstanding = header.payloadLength
        cursor.passed = 0
        let isData = header.opcodeBits < 8
        if isData && header.opcodeBits != 0 {
            cursor.messageOpcode = header.opcodeBits
            cursor.isCompressed = entries[index].deflates && header.reservedBits & 0x40 != 0
        }
        let isCompressed = isData && cursor.isCompressed
        if isCompressed { cursor.compressedFrames &+= 1 }
        cursor.told = 0
        let opcode = isData ? cursor.messageOpcode : header.opcodeBits
        let listening = entries[index].listening
        for bit in 0..<Self.tapsMax where listening >> UInt8(bit) & 1 == 1 {
            guard let scope = lines[bit]?.scope else { continue }
            if scope.takes(opcode, on: way.legs)
                || scope.needsAsContext(isCompressed: isCompressed)
            {
                cursor.told |= 1 << UInt8(bit)
            }
        }
    }

    /// Writes the begin of a frame, with as much of its payload as has come.
    private func write(
        _ index: Int, _ cursor: inout Cursor, _ header: FrameHeader,
        _ payload: UnsafePointer<UInt8>, count: Int, _ way: TapWay, _ now: UInt64
    ) {
        let isData = cursor.opcode < 8
        let isCompressed = isData && cursor.isCompressed
        let opcode = isData ? cursor.messageOpcode : cursor.opcode
        cursor.outstanding -= UInt64(count)
        cursor.passed = UInt64(count)
        for bit in 0..<Self.tapsMax where cursor.told >> UInt8(bit) & 1 == 1 {
            guard let line = lines[bit] else { continue }
            let most = line.scope.payloadBytes(of: cursor.opcode, isCompressed: isCompressed)
            let told = Int(min(UInt64(count), most))
            var event = TapEvent(size: UInt32(TapEvent.size(payload: told)), kind: .frame)
            if cursor.outstanding == 0 { event.flags.insert(.last) }
            if isCompressed { event.flags.insert(.compressed) }
            if !line.scope.takes(opcode, on: way.legs) { event.flags.insert(.context) }
            if let key = header.maskKey {
                event.flags.insert(.masked)
                event.maskKey = key
            }
            event.firstByte =
                (header.isFinal ? 0x80 : 0) | header.reservedBits | header.opcodeBits
            event.way = way
            event.token = entries[index].token
            event.nanoseconds = now
            event.payloadLength = header.payloadLength
            event.compressedFrames = cursor.compressedFrames
            event.count = UInt32(told)
            if !line.write(event, payload) { cursor.told &= ~(1 << UInt8(bit)) }
        }
    }

    /// Writes more of the frame in progress.
    private func goOn(
        _ index: Int, _ cursor: inout Cursor, _ payload: UnsafePointer<UInt8>, count: Int,
        _ way: TapWay, _ now: UInt64
    ) {
        let before = cursor.passed
        cursor.passed += UInt64(count)
        cursor.outstanding -= UInt64(count)
        if cursor.told == 0 { return }
        let isCompressed = cursor.opcode < 8 && cursor.isCompressed
        for bit in 0..<Self.tapsMax where cursor.told >> UInt8(bit) & 1 == 1 {
            guard let line = lines[bit] else { continue }
            let most = line.scope.payloadBytes(of: cursor.opcode, isCompressed: isCompressed)
            let told = before < most ? Int(min(UInt64(count), most - before)) : 0
            let isLast = cursor.outstanding == 0
            if told == 0 && !isLast { continue }
            var event = TapEvent(size: UInt32(TapEvent.size(payload: told)), kind: .rest)
            if isLast { event.flags.insert(.last) }
            event.way = way
            event.token = entries[index].token
            event.nanoseconds = now
            event.count = UInt32(told)
            if !line.write(event, payload) { cursor.told &= ~(1 << UInt8(bit)) }
        }
    }
}
