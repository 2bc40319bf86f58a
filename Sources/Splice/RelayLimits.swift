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
    let messagesPerSecond: UInt64
    /// Thousandths of a message that the relay may still send.
    var messageThousandths: UInt64 = 0
    var messagesFilledMilliseconds: UInt64 = 0
    /// What the scanner was allowed, and has not been found to have used.
    var messagesGranted: UInt64 = 0
    /// What all relays of the client share.
    let sharedMessages: SharedRate?
    /// 0 for any number.
    let bytesPerSecond: Int64
    /// Thousandths of a byte that may come; less than none where a whole record came at once.
    var byteThousandths: Int64 = 0
    var bytesFilledMilliseconds: UInt64 = 0
    let sharedBytes: SharedRate?
    /// When the source may be read again, after `bytesAllowed` has said 0.
    var resumeMilliseconds: UInt64 = 0

    /// Rates per second of one direction, its own and shared ones; nil for no limit.
    init(
        messagesPerSecond: UInt64? = nil, bytesPerSecond: UInt64? = nil,
        sharedMessages: SharedRate? = nil, sharedBytes: SharedRate? = nil
    ) {
        self.messagesPerSecond = messagesPerSecond ?? 0
        let most = RelayLimits.bytesPerSecondMax
        self.bytesPerSecond = Int64(min(bytesPerSecond ?? 0, most))
        self.sharedMessages = sharedMessages
        self.sharedBytes = sharedBytes
    }

    /// Whether messages are counted.
    var countsMessages: Bool { messagesPerSecond > 0 || sharedMessages != nil }

    /// Allows the scanner what the time since the last call has brought, up to a second's worth.
    func refill(_ scanner: inout FrameScanner, nowMilliseconds now: UInt64) {
        guard countsMessages else { return }
        charge(scanner, nowMilliseconds: now)
        if messagesPerSecond > 0, now > messagesFilledMilliseconds {
            let elapsed = min(now &- messagesFilledMilliseconds, 1_000)
            messagesFilledMilliseconds = now
            messageThousandths = min(
                messagesPerSecond &* 1_000, messageThousandths &+ elapsed &* messagesPerSecond)
        } else if sharedMessages == nil {
            return
        }
        var allowed = messagesPerSecond > 0 ? messageThousandths / 1_000 : .max
        if let sharedMessages {
            allowed = min(allowed, sharedMessages.available(nowMilliseconds: now))
        }
        messagesGranted = allowed
        scanner.allow(messages: allowed)
    }

    /// Takes note of the messages that the scanner has let pass.
    func charge(_ scanner: borrowing FrameScanner, nowMilliseconds now: UInt64) {
        // A direction that passes nothing any more allows its scanner everything.
        let left = scanner.messagesAllowed
        guard left < messagesGranted else { return }
        let used = messagesGranted &- left
        messagesGranted = left
        messageThousandths &-= min(messageThousandths, used &* 1_000)
        sharedMessages?.spend(used, nowMilliseconds: now)
    }

    /// How many bytes may be read now; 0 where the source has to wait.
    ///
    /// It waits for a sixteenth of a second's worth at least, so that a slow relay is not read in
    /// crumbs.
    func bytesAllowed(nowMilliseconds now: UInt64) -> Int {
        var allowed = Int.max
        if bytesPerSecond > 0 {
            if now > bytesFilledMilliseconds {
                let elapsed = Int64(min(now &- bytesFilledMilliseconds, 1 << 20))
                bytesFilledMilliseconds = now
                byteThousandths = min(
                    bytesPerSecond &* 1_000, byteThousandths &+ elapsed &* bytesPerSecond)
            }
            let least = max(1_000, bytesPerSecond &* 1_000 / 16)
            if byteThousandths < least {
                let wait = (least &- byteThousandths &+ bytesPerSecond &- 1) / bytesPerSecond
                resumeMilliseconds = now &+ UInt64(wait)
                return 0
            }
            allowed = Int(byteThousandths / 1_000)
        }
        guard let sharedBytes else { return allowed }
        let least = max(1, sharedBytes.perSecond / 16)
        let available = sharedBytes.available(nowMilliseconds: now)
        if available < least {
            resumeMilliseconds = now &+ sharedBytes.wait(for: least, nowMilliseconds: now)
            return 0
        }
        return min(allowed, Int(available))
    }

    /// Takes note of bytes that were read.
    func spend(_ count: Int, nowMilliseconds now: UInt64) {
        if bytesPerSecond > 0 { byteThousandths &-= Int64(count) &* 1_000 }
        sharedBytes?.spend(UInt64(count), nowMilliseconds: now)
    }
}
