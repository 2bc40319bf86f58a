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

    /// None, but for the size of messages if it is given.
    public init(messageBytesMax: UInt64 = .max) { self.messageBytesMax = messageBytesMax }
}

/// The rates of one direction; a direction without has none.
final class Meter {
    private let messagesPerSecond: UInt64
    /// Thousandths of a message that are left beside those that the scanner was allowed.
    private var messageThousandths: UInt64 = 0
    private var messagesFilledMilliseconds: UInt64 = 0

    init(messagesPerSecond: UInt64) { self.messagesPerSecond = messagesPerSecond }

    /// Allows the scanner what the time since the last call has brought, up to a second's worth.
    func refill(_ scanner: inout FrameScanner, nowMilliseconds now: UInt64) {
        guard now > messagesFilledMilliseconds else { return }
        let elapsed = min(now &- messagesFilledMilliseconds, 1_000)
        messagesFilledMilliseconds = now
        let thousandths = min(
            messagesPerSecond &* 1_000,
            scanner.messagesAllowed &* 1_000 &+ messageThousandths &+ elapsed &* messagesPerSecond)
        messageThousandths = thousandths % 1_000
        scanner.allow(messages: thousandths / 1_000)
    }
}
