// SPDX-License-Identifier: Apache-2.0
import Wire

/// What the peers of one relay may send.
public struct RelayLimits: Sendable, Equatable {
    /// Payload bytes that one message may have, in either direction; beyond is 1009.
    public var messageBytesMax = UInt64.max
    /// Frames that one message may come in, in either direction; beyond is 1008.
    public var fragmentsMax = UInt32.max
    /// Messages, Pings and Pongs that the client may begin in a second; beyond is 1008.
    ///
    /// A second's worth may come at once. Nil for any number.
    public var messagesPerSecond: UInt64?
    /// Bytes of frames, headers included, that are read from each of the peers in a second.
    ///
    /// A second's worth may come at once; then the sender has to wait. Nil for any number, else
    /// at most `bytesPerSecondMax`.
    public var bytesPerSecond: UInt64?
    /// The highest rate that can be kept: 1 TiB in a second.
    public static let bytesPerSecondMax: UInt64 = 1 << 40

    /// None, but for the size of messages if it is given.
    public init(messageBytesMax: UInt64 = .max) { self.messageBytesMax = messageBytesMax }
}

/// The rates of one direction; a direction without has none.
final class Meter {
    /// 0 for any number.
    private let messagesPerSecond: UInt64
    /// Thousandths of a message that are left beside those that the scanner was allowed.
    private var messageThousandths: UInt64 = 0
    private var messagesFilledMilliseconds: UInt64 = 0
    /// 0 for any number.
    private let bytesPerSecond: Int64
    /// Thousandths of a byte that may come; less than none where a whole record came at once.
    private var byteThousandths: Int64 = 0
    private var bytesFilledMilliseconds: UInt64 = 0
    /// When the source may be read again, after `bytesAllowed` has said 0.
    private(set) var resumeMilliseconds: UInt64 = 0

    /// Rates, nil for any.
    init(messagesPerSecond: UInt64? = nil, bytesPerSecond: UInt64? = nil) {
        self.messagesPerSecond = messagesPerSecond ?? 0
        let most = RelayLimits.bytesPerSecondMax
        self.bytesPerSecond = Int64(min(bytesPerSecond ?? 0, most))
    }

    /// Allows the scanner what the time since the last call has brought, up to a second's worth.
    func refill(_ scanner: inout FrameScanner, nowMilliseconds now: UInt64) {
        guard messagesPerSecond > 0, now > messagesFilledMilliseconds else { return }
        let elapsed = min(now &- messagesFilledMilliseconds, 1_000)
        messagesFilledMilliseconds = now
        let thousandths = min(
            messagesPerSecond &* 1_000,
            scanner.messagesAllowed &* 1_000 &+ messageThousandths &+ elapsed &* messagesPerSecond)
        messageThousandths = thousandths % 1_000
        scanner.allow(messages: thousandths / 1_000)
    }

    /// How many bytes may be read now; 0 where the source has to wait.
    ///
    /// It waits for a sixteenth of a second's worth at least, so that a slow relay is not read in
    /// crumbs.
    func bytesAllowed(nowMilliseconds now: UInt64) -> Int {
        if bytesPerSecond == 0 { return .max }
        if now > bytesFilledMilliseconds {
            let elapsed = Int64(min(now &- bytesFilledMilliseconds, 1 << 20))
            bytesFilledMilliseconds = now
            byteThousandths = min(
                bytesPerSecond &* 1_000, byteThousandths &+ elapsed &* bytesPerSecond)
        }
        let least = max(1_000, bytesPerSecond &* 1_000 / 16)
        if byteThousandths >= least { return Int(byteThousandths / 1_000) }
        let wait = (least &- byteThousandths &+ bytesPerSecond &- 1) / bytesPerSecond
        resumeMilliseconds = now &+ UInt64(wait)
        return 0
    }

    /// Takes note of bytes that were read.
    func spend(_ count: Int) { byteThousandths &-= Int64(count) &* 1_000 }
}
