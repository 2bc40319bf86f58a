// SPDX-License-Identifier: Apache-2.0

/// How an upstream spreads relays over its endpoints.
public enum Balance: Sendable, Hashable {
    /// Each in turn.
    case roundRobin
    /// The one with the fewest relays; among equals each in turn.
    case leastConnections
    /// Of two that are drawn the one with fewer relays ("the power of two choices").
    case random2
    /// Always the same one for the same key, by rendezvous hashing; without a key as
    /// `leastConnections`.
    case hash
}

/// What holds for all endpoints of an upstream.
public struct UpstreamRules: Sendable, Equatable {
    /// How the choice is made.
    public var balance: Balance
    /// How long an endpoint is passed over after its first failure.
    public var cooldownMilliseconds: UInt64
    /// The longest that it is, as failures follow each other and the time doubles.
    public var cooldownMaxMilliseconds: UInt64
    /// After how many failed answers in a row an endpoint is passed over; 0 for never.
    public var failedAnswersMax: Int
    /// How long the share of an endpoint grows that has joined or has come back; 0 for not at all.
    public var slowStartMilliseconds: UInt64
    /// Connects and relays that one endpoint may have at one time.
    public var activeMax: Int
    /// Whether requests can wait for a place: then none goes to an endpoint that has failed while one
    /// that is well is only full.
    public var waitsForPlace = false

    /// Rules for a choice by `balance`: durations in milliseconds, 0 and `.max` for what is not limited.
    public init(
        balance: Balance, cooldownMilliseconds: UInt64, cooldownMaxMilliseconds: UInt64,
        failedAnswersMax: Int, slowStartMilliseconds: UInt64, activeMax: Int
    ) {
        self.balance = balance
        self.cooldownMilliseconds = cooldownMilliseconds
        self.cooldownMaxMilliseconds = cooldownMaxMilliseconds
        self.failedAnswersMax = failedAnswersMax
        self.slowStartMilliseconds = slowStartMilliseconds
        self.activeMax = activeMax
    }
}

/// Hashes that are the same in every process, which those of Swift's own are not.
public enum StableHash {
    /// FNV-1a over bytes, with 64 bits.
    public static func of(_ bytes: Span<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for index in bytes.indices {
            hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01B3
        }
        return hash
    }

    /// The same over a text's UTF-8.
    public static func of(_ text: String) -> UInt64 { of(Array(text.utf8).span) }

    /// Spreads what differs in a few bits over all of them (the finisher of SplitMix64).
    static func mixed(_ value: UInt64) -> UInt64 {
        var mixed = value &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed &>> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed &>> 31)
    }
}
