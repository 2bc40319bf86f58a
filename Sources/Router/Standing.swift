// SPDX-License-Identifier: Apache-2.0

/// Where an endpoint stands among the others of its upstream, as SRV records say it (RFC 2782).
public struct Standing: Sendable, Equatable {
    /// Endpoints of a higher number get something only while none of a lower one is in service.
    public var priority: UInt16
    /// Its share among those of the same priority; 0 is a sixteenth of 1.
    public var weight: UInt16
    /// Whether it takes nothing new, whatever its weight.
    public var isResting: Bool

    /// One of many that are the same.
    public init(priority: UInt16 = 0, weight: UInt16 = 1, isResting: Bool = false) {
        self.priority = priority
        self.weight = weight
        self.isResting = isResting
    }

    /// The weight without fractions.
    var share: UInt64 { weight == 0 ? 1 : UInt64(weight) * 16 }
}

/// Weights and priorities of an upstream's endpoints, where there are any.
struct Standings: Sendable {
    /// By endpoint; empty where all are the same.
    let shares: [UInt64]
    /// By endpoint; empty where all are the same.
    let priorities: [UInt16]
    /// Those that there are, lowest first; empty where all are the same.
    let tiers: [UInt16]
    /// By endpoint, whether it takes nothing new; empty where all take something.
    let resting: [Bool]

    init(_ standings: [Standing]) {
        let tiers = Set(standings.map(\.priority)).sorted()
        self.tiers = tiers.count > 1 ? tiers : []
        priorities = tiers.count > 1 ? standings.map(\.priority) : []
        let shares = standings.map(\.share)
        self.shares = Set(shares).count > 1 ? shares : []
        let resting = standings.map(\.isResting)
        self.resting = resting.contains(true) ? resting : []
    }

    /// -ln(x) for a number drawn evenly, by the same steps everywhere: a library's logarithm may differ
    /// in its last bit, and then two processes would disagree.
    static func exponential(_ drawn: UInt64) -> Double {
        let number = (Double(drawn &>> 11) + 0.5) * 0x1p-53
        let mantissa = number.significand
        let ratio = (mantissa - 1) / (mantissa + 1)
        let square = ratio * ratio
        var sum = 0.0
        for odd in stride(from: 15.0, through: 1.0, by: -2.0) { sum = sum * square + 1 / odd }
        return -(Double(number.exponent) * 0.693_147_180_559_945_3 + 2 * ratio * sum)
    }
}
