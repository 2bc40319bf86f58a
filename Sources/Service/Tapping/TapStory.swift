// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import Frontend
import Ledger
import Reactor
import Splice
import Tap

/// Writes what a tap is told, a line of JSON for each thing.
struct TapStory: Sendable {
    /// How long what is told waits for the next look.
    private static let lookMilliseconds: Int32 = 20
    /// Bytes of lines that are sent together.
    private static let pieceBytes = 256 * 1024

    private let tap: FrameTap
    /// The one relay that is listened to, where it is one.
    private let relay: RelayID?
    private let startNanoseconds = Clock.nowNanoseconds()
    private let startedMilliseconds = Clock.wallMilliseconds()

    init(_ tap: FrameTap, only relay: RelayID?) {
        self.tap = tap
        self.relay = relay
    }

    /// Writes until whoever asked goes, the tap has to end, or its relay has ended.
    func tell(_ first: [(worker: Int, news: TapNews)], to outlet: borrowing AdminOutlet) {
        var told = (frames: UInt64(0), relays: UInt64(0))
        var news = first
        guard write([start], to: outlet) else { return }
        while true {
            // Asked before what there is is taken: what was told until then is written yet.
            var reason = tap.end ?? end(of: news)
            if reason != nil {
                news += tap.take()
                reason = end(of: news) ?? reason
            }
            guard write(news, to: outlet), writeLoss(&told, to: outlet) else { return }
            if let reason {
                var end = TapRecord(.end, atMicroseconds: now)
                end.reason = reason
                if write([end], to: outlet) { outlet.finish() }
                return
            }
            guard outlet.wait(milliseconds: Self.lookMilliseconds) else { return }
            news = tap.take()
        }
    }

    /// Why there is nothing more to say of the one relay that is listened to; nil where there may be.
    private func end(of news: [(worker: Int, news: TapNews)]) -> String? {
        guard let relay else { return nil }
        for case .ended(let end) in news.map(\.news) where end.id == relay {
            return switch end.moved {
            case nil: "The relay has ended."
            case .reactor:
                "The relay goes on in another reactor, under another id: `sluice status --relays` lists it."
            case .process:
                "The relay goes on in the process that takes over from this one, under another id:"
                    + " `sluice status --relays` lists it there."
            }
        }
        return nil
    }

    private func write(
        _ news: [(worker: Int, news: TapNews)], to outlet: borrowing AdminOutlet
    ) -> Bool {
        var bytes: [UInt8] = []
        for (worker, news) in news {
            bytes += record(news, worker).line
            if bytes.count >= Self.pieceBytes {
                guard outlet.write(bytes, unless: { tap.end != nil }) else { return false }
                bytes = []
            }
        }
        return outlet.write(bytes, unless: { tap.end != nil })
    }

    private func write(_ records: [TapRecord], to outlet: borrowing AdminOutlet) -> Bool {
        outlet.write(records.flatMap { Array($0.line) }, unless: { tap.end != nil })
    }

    private func writeLoss(
        _ told: inout (frames: UInt64, relays: UInt64), to outlet: borrowing AdminOutlet
    ) -> Bool {
        let (frames, relays) = (tap.lostFrames, tap.lostRelays)
        guard frames > told.frames || relays > told.relays else { return true }
        var loss = TapRecord(.lost, atMicroseconds: now)
        loss.frames = frames - told.frames
        loss.relays = relays - told.relays
        told = (frames, relays)
        return write([loss], to: outlet)
    }

    // MARK: Lines

    private var now: UInt64 { micros(Clock.nowNanoseconds()) }

    /// Since the tap began; what the reactors told while it did counts as its begin.
    private func micros(_ nanoseconds: UInt64) -> UInt64 {
        nanoseconds > startNanoseconds ? (nanoseconds - startNanoseconds) / 1_000 : 0
    }

    private var start: TapRecord {
        var record = TapRecord(.tap, atMicroseconds: 0)
        record.version = TapRecord.currentVersion
        record.startedMilliseconds = startedMilliseconds
        record.payloads = tap.scope.payloadBytes > 0
        record.payloadBytesMax = tap.scope.payloadBytes
        record.redacted = ["query", "fields"]
        return record
    }

    private func record(_ news: TapNews, _ worker: Int) -> TapRecord {
        switch news {
        case .begun(let relay): record(relay)
        case .frame(let frame): record(frame, worker)
        case .ended(let end): record(end)
        }
    }

    private func record(_ relay: TapRelay) -> TapRecord {
        var record = TapRecord(.relay, atMicroseconds: micros(relay.nanoseconds))
        record.relay = "\(relay.id)"
        record.live = relay.isLive
        if relay.isLive { record.ageMilliseconds = relay.ageMilliseconds }
        record.client = "\(relay.client)"
        record.scheme = relay.isTLS ? "wss" : "ws"
        record.host = relay.host
        record.path = relay.path
        record.route = relay.route
        record.endpoint = relay.endpoint
        record.protocol = relay.isHTTP2 ? "h2" : "http/1.1"
        record.handshakeKnown = relay.agreed != nil
        record.subprotocol = relay.agreed?.subprotocol
        record.extensions = relay.agreed?.extensions
        return record
    }

    private func record(_ frame: TapFrame, _ worker: Int) -> TapRecord {
        var record = TapRecord(.frame, atMicroseconds: micros(frame.nanoseconds))
        let isDown = frame.way.contains(.down)
        record.relay = "\(RelayID(worker: worker, token: frame.slot))"
        record.direction = isDown ? "down" : "up"
        record.from = frame.way.contains(.own) ? "sluice" : isDown ? "upstream" : "client"
        record.to = frame.way.contains(.swallowed) ? "sluice" : isDown ? "client" : "upstream"
        record.opcode = TapRecord.opcodeNames[frame.opcode] ?? "\(frame.opcode)"
        record.final = frame.isFinal
        record.reserved = frame.reserved == 0 ? nil : Int(frame.reserved)
        record.masked = frame.isMasked
        record.bytes = frame.payloadLength
        if frame.opcode == 8 && frame.payload.count >= 2 {
            record.code = Int(frame.payload[0]) << 8 | Int(frame.payload[1])
        }
        if tap.scope.payloadBytes > 0 {
            record.payload = Data(frame.payload).base64EncodedString()
            if UInt64(frame.payload.count) < frame.payloadLength { record.truncated = true }
        }
        if frame.isCut { record.cut = true }
        if frame.isCompressed { record.compressed = true }
        if frame.isContext { record.context = true }
        if frame.followsGap { record.gap = true }
        return record
    }

    private func record(_ end: TapEnd) -> TapRecord {
        var record = TapRecord(.closed, atMicroseconds: micros(end.nanoseconds))
        record.relay = "\(end.id)"
        record.code = end.code == 0 ? nil : Int(end.code)
        record.initiator = end.initiator.word.description
        record.reason = end.reason.word.description
        record.detail = end.detail.isEmpty ? nil : end.detail
        if let moved = end.moved {
            record.initiator = Initiator.sluice.word.description
            record.reason = TapRecord.movedReason
            record.detail =
                switch moved {
                case .reactor: "to another reactor"
                case .process: "to another process"
                }
        }
        record.upMessages = end.up.messages
        record.upPayloadBytes = end.up.payloadBytes
        record.downMessages = end.down.messages
        record.downPayloadBytes = end.down.payloadBytes
        return record
    }
}
