// SPDX-License-Identifier: Apache-2.0
import Wire

/// What the admin socket does where a request leaves it open; the commands offer the same.
public enum AdminDefaults {
    /// The code of the Close that ends one relay, or those that a rebalance ends: the service restarts.
    public static let closeCode = CloseCode.serviceRestart.rawValue
    /// The Close code of sockets that end by who their clients are: nobody should come again by himself.
    public static let logoutCode = CloseCode.policyViolation.rawValue
    /// How many live relays are listed at most.
    public static let relaysMax = 1_000
    /// How many relays a rebalance may end in a second.
    public static let paces = 1...1_000_000
    /// The longest that a drain may take, in seconds: a week.
    public static let drainSecondsMax = 7 * 86_400
    /// How long a new process may take to serve, in milliseconds.
    public static let upgradeMilliseconds: Int32 = 30_000
    /// How long an upgrade waits for live sockets that can't move at once, in milliseconds.
    public static let settleMilliseconds: UInt64 = 3_000
    /// The longest that they may be waited for.
    public static let settleMillisecondsMax: UInt64 = 600_000
}
