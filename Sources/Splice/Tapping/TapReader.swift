// SPDX-License-Identifier: Apache-2.0
import Ledger
public import Reactor
import Wire

/// A frame as a tap is told of it, its mask taken off.
public struct TapFrame: Sendable, Equatable {
    /// The relay's slot in its reactor.
    public let slot: Token
    /// When its last byte passed, in nanoseconds of `Clock`; of one that was cut, when its first did.
    public var nanoseconds: UInt64
    /// Which way it went, and who has made it.
    public let way: TapWay
    /// The first byte: FIN, RSV and opcode (RFC 6455 §5.2).
    public let firstByte: UInt8
    /// Whether it was masked.
    public let isMasked: Bool
    /// What its header declares, in bytes.
    public let payloadLength: UInt64
    /// As much of the payload as was asked for, without mask.
    public var payload: [UInt8]
    /// Whether it belongs to a compressed message.
    public let isCompressed: Bool
    /// Whether it is told only so that later ones can be inflated.
    public let isContext: Bool
    /// Whether a compressed frame of the same direction was lost before it.
    public let followsGap: Bool
    /// Whether the relay ended before the frame's last byte.
    public var isCut = false

    /// The four opcode bits.
    public var opcode: UInt8 { firstByte & 0x0F }
    /// Whether it is the last of its message.
    public var isFinal: Bool { firstByte & 0x80 != 0 }
    /// The RSV bits, 0 to 7; the first of them is worth 4.
    public var reserved: UInt8 { firstByte >> 4 & 7 }
}

/// What a tap is told.
public enum TapNews: Sendable {
    /// It listens to this relay from now on.
    case begun(TapRelay)
    /// A frame has passed.
    case frame(TapFrame)
    /// The relay has ended.
    case ended(TapEnd)

    /// When that was, in nanoseconds of `Clock`.
    public var nanoseconds: UInt64 {
        switch self {
        case .begun(let relay): relay.nanoseconds
        case .frame(let frame): frame.nanoseconds
        case .ended(let end): end.nanoseconds
        }
    }
}

/// Makes frames of what one reactor writes into a line.
///
/// It belongs to one thread, which is none of the reactors'.
public struct TapReader {
    /// Bytes that frames may have together whose last byte has not come; what is beyond that is left out.
    static let pendingBytesMax = 16 << 20

    private struct Key: Hashable {
        let token: UInt64
        let isDown: Bool
    }

    private struct Pending {
        var frame: TapFrame
        let maskKey: UInt32
        /// What counts it among the compressed frames of its direction.
        let compressedFrames: UInt32
        var isFull = false
    }

    private let line: TapLine
    private var pending: [Key: Pending] = [:]
    private var pendingBytes = 0
    /// How many compressed frames of a direction there were with the last one that was told whole.
    private var compressedFrames: [Key: UInt32] = [:]

    /// A reader of what will be written into that line.
    public init(_ line: TapLine) { self.line = line }

    /// All that has been told by now, in its order.
    public mutating func take() -> [TapNews] {
        // Read before the notices: who has a frame in front of it has been told of its relay.
        let end = line.ring.position
        var news: [TapNews] = []
        for notice in line.takeNotices() {
            read(to: notice.position, &news)
            switch notice.kind {
            case .begun(let relay, let counts):
                let token = relay.id.token.rawValue
                compressedFrames[Key(token: token, isDown: false)] = counts.up
                compressedFrames[Key(token: token, isDown: true)] = counts.down
                news.append(.begun(relay))
            case .ended(let relay):
                leave(relay, &news)
                news.append(.ended(relay))
            }
        }
        read(to: end, &news)
        return news
    }

    private mutating func read(to end: UInt64, _ news: inout [TapNews]) {
        line.ring.read(to: end) { event, payload in
            if event.kind == .frame {
                begin(event, payload, &news)
            } else {
                goOn(event, payload, &news)
            }
        }
    }

    private mutating func begin(
        _ event: TapEvent, _ payload: UnsafeRawBufferPointer, _ news: inout [TapNews]
    ) {
        let key = Key(token: event.token, isDown: event.way.contains(.down))
        let isCompressed = event.flags.contains(.compressed)
        var frame = TapFrame(
            slot: Token(rawValue: event.token), nanoseconds: event.nanoseconds, way: event.way,
            firstByte: event.firstByte, isMasked: event.flags.contains(.masked),
            payloadLength: event.payloadLength, payload: Array(payload),
            isCompressed: isCompressed, isContext: event.flags.contains(.context),
            followsGap: isCompressed && !follows(event.compressedFrames, key))
        Self.unmask(&frame.payload, event.maskKey, from: 0)
        // Where another frame begins the one before is over: if its end was not told, that was lost. A frame of
        // Sluice's own is none of the peer's.
        if !event.way.contains(.own) { drop(key) }
        if event.flags.contains(.last) {
            if isCompressed { compressedFrames[key] = event.compressedFrames }
            news.append(.frame(frame))
            return
        }
        var begun = Pending(
            frame: frame, maskKey: event.maskKey, compressedFrames: event.compressedFrames)
        if pendingBytes + frame.payload.count > Self.pendingBytesMax {
            begun.frame.payload = []
            begun.isFull = true
        }
        pendingBytes += begun.frame.payload.count
        pending[key] = begun
    }

    private func follows(_ count: UInt32, _ key: Key) -> Bool {
        count == (compressedFrames[key] ?? 0) &+ 1
    }

    private mutating func goOn(
        _ event: TapEvent, _ payload: UnsafeRawBufferPointer, _ news: inout [TapNews]
    ) {
        let key = Key(token: event.token, isDown: event.way.contains(.down))
        // Its begin was lost, or there was no room for it.
        guard var known = pending.removeValue(forKey: key) else { return }
        if pendingBytes + payload.count > Self.pendingBytesMax { known.isFull = true }
        if !known.isFull && !payload.isEmpty {
            let count = known.frame.payload.count
            known.frame.payload.append(contentsOf: payload)
            Self.unmask(&known.frame.payload, known.maskKey, from: count)
            pendingBytes += payload.count
        }
        if event.flags.contains(.last) {
            pendingBytes -= known.frame.payload.count
            known.frame.nanoseconds = event.nanoseconds
            if known.frame.isCompressed { compressedFrames[key] = known.compressedFrames }
            news.append(.frame(known.frame))
        } else {
            pending[key] = known
        }
    }

    private mutating func drop(_ key: Key) {
        if let known = pending.removeValue(forKey: key) {
            pendingBytes -= known.frame.payload.count
        }
    }

    /// Tells of what a relay that has ended leaves unfinished; a frame whose end was lost is none of that.
    private mutating func leave(_ end: TapEnd, _ news: inout [TapNews]) {
        for isDown in [false, true] {
            let key = Key(token: end.id.token.rawValue, isDown: isDown)
            compressedFrames[key] = nil
            guard var known = pending[key] else { continue }
            drop(key)
            guard isDown ? end.unfinished.down : end.unfinished.up else { continue }
            known.frame.isCut = true
            news.append(.frame(known.frame))
        }
    }

    private static func unmask(_ payload: inout [UInt8], _ key: UInt32, from start: Int) {
        if key == 0 { return }
        payload.withUnsafeMutableBufferPointer { bytes in
            guard let first = bytes.baseAddress, start < bytes.count else { return }
            FrameMask.apply(key, phase: start, to: first + start, count: bytes.count - start)
        }
    }
}
