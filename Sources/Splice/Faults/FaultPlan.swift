// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// The faults of a route, for as long as they last; shared by all reactors.
public final class FaultPlan: Sendable {
    /// What is done.
    public let rules: FaultRules
    /// When they end by themselves, in milliseconds of `Clock`; the highest number for never.
    public let endMilliseconds: UInt64
    /// For how long they were to last; nil for as long as nobody ends them.
    public let spanMilliseconds: UInt64?
    /// Whether somebody has asked for them at the admin socket; else the configuration has them.
    public let isOfMoment: Bool
    private let ended = Atomic<Bool>(false)

    /// Faults that last until a time, or until `end` is called.
    public init(
        _ rules: FaultRules, endMilliseconds: UInt64 = .max, spanMilliseconds: UInt64? = nil,
        isOfMoment: Bool = false
    ) {
        self.rules = rules
        self.isOfMoment = isOfMoment
        self.spanMilliseconds = spanMilliseconds
        self.endMilliseconds = endMilliseconds
    }

    /// Ends them; relays that have faults learn of it when they next look.
    public func end() { ended.store(true, ordering: .relaxed) }

    /// Whether they have ended.
    public func isOver(nowMilliseconds now: UInt64) -> Bool {
        now >= endMilliseconds || ended.load(ordering: .relaxed)
    }

    /// Whether a request for a WebSocket is refused: the lot is drawn anew for each.
    public func refuses(nowMilliseconds now: UInt64) -> Bool {
        !isOver(nowMilliseconds: now) && Self.draws(rules.refuse) && Self.draws(rules.share)
    }

    /// Whether a relay gets faults: the lot is drawn once for each.
    func takes(nowMilliseconds now: UInt64) -> Bool {
        rules.concernsRelays && !isOver(nowMilliseconds: now) && Self.draws(rules.share)
    }

    static func draws(_ chance: UInt32) -> Bool {
        chance > 0 && UInt32.random(in: 0..<FaultRules.certain) < chance
    }
}
