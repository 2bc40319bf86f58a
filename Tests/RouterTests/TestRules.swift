// SPDX-License-Identifier: Apache-2.0
import Router

extension UpstreamRules {
    /// Rules of which a test says what it is about; the rest are numbers of the tests' own.
    static func made(
        balance: Balance = .leastConnections, cooldownMilliseconds: UInt64 = 10_000,
        cooldownMaxMilliseconds: UInt64 = 120_000, failedAnswersMax: Int = 5,
        slowStartMilliseconds: UInt64 = 0, activeMax: Int = .max
    ) -> UpstreamRules {
        UpstreamRules(
            balance: balance, cooldownMilliseconds: cooldownMilliseconds,
            cooldownMaxMilliseconds: cooldownMaxMilliseconds, failedAnswersMax: failedAnswersMax,
            slowStartMilliseconds: slowStartMilliseconds, activeMax: activeMax)
    }
}
