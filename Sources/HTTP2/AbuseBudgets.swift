// SPDX-License-Identifier: Apache-2.0

/// What is left of a connection's budgets.
///
/// Only what was used is written down, so a connection that has done nothing is all zeros, and time
/// gives back what was used.
struct AbuseBudgets {
    /// Thousandths of tokens that were used and are not given back yet, by kind.
    private var used = InlineArray<13, Int64>(repeating: 0)
    /// When the time was last taken into account.
    private var milliseconds: Int64

    init(milliseconds: Int64) {
        self.milliseconds = milliseconds
        assert(HTTP2Abuse.allCases.count == 13)
    }

    /// Uses one token; false if there is none.
    mutating func spend(_ abuse: HTTP2Abuse, _ policy: HTTP2Policy) -> Bool {
        let kind = Int(abuse.rawValue)
        let burst = Int64(clamping: policy.budgets[kind].burst) &* 1_000
        guard used[kind] &+ 1_000 <= burst else { return false }
        used[kind] &+= 1_000
        return true
    }

    /// Gives tokens back that the connection has earned.
    mutating func earn(_ count: Int64, _ abuse: HTTP2Abuse) {
        let kind = Int(abuse.rawValue)
        used[kind] = max(0, used[kind] &- count &* 1_000)
    }

    /// Gives back what the time until now is worth; time that runs backwards is worth nothing.
    mutating func refill(milliseconds now: Int64, _ policy: HTTP2Policy) {
        guard now > milliseconds else { return }
        let (difference, overflow) = now.subtractingReportingOverflow(milliseconds)
        // A day refills everything.
        let passed = overflow ? 86_400_000 : min(difference, 86_400_000)
        milliseconds = now
        for kind in 0..<13 where used[kind] > 0 {
            let rate = Int64(clamping: min(policy.budgets[kind].perSecond, 1_000_000_000))
            used[kind] = max(0, used[kind] &- passed &* rate)
        }
    }
}
