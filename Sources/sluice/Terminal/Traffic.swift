// SPDX-License-Identifier: Apache-2.0
import Ledger

/// Messages and bytes that have passed, both ways together.
struct Traffic: Equatable {
    var messages: UInt64 = 0
    var bytes: UInt64 = 0

    mutating func add(_ up: DirectionCounts, _ down: DirectionCounts) {
        messages &+= up.messages &+ down.messages
        bytes &+= up.bytes &+ down.bytes
    }
}

/// What passed in a second.
struct Rates: Equatable {
    var messages: UInt64
    var bytes: UInt64

    /// The rates between two moments.
    ///
    /// A relay that ends between two looks may be missed by one of them: nothing is counted then
    /// rather than less than nothing.
    init(from old: Traffic, to new: Traffic, milliseconds: UInt64) {
        func rate(_ old: UInt64, _ new: UInt64) -> UInt64 {
            new > old ? UInt64(Double(new - old) * 1_000 / Double(milliseconds) + 0.5) : 0
        }
        messages = rate(old.messages, new.messages)
        bytes = rate(old.bytes, new.bytes)
    }

    /// Bytes for people, in powers of a thousand with one decimal.
    static func size(_ bytes: UInt64) -> String {
        var value = Double(bytes)
        for unit in ["B", "kB", "MB"] {
            if value < 999.5 {
                return unit == "B" ? "\(bytes) B" : "\((value * 10).rounded() / 10) \(unit)"
            }
            value /= 1_000
        }
        return "\((value * 10).rounded() / 10) GB"
    }
}
