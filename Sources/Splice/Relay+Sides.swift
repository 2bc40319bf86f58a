// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// The two sides of a relay, by side: what holds for both is written once.
///
/// Nothing here is read by a `_read` accessor. With optimisation, Swift 6.3 copied what such a one lends into
/// memory of the accessor's own, and read it after that had been freed.
extension Relay {
    /// Asks the leg of a side.
    @inline(__always)
    func ask<Answer>(_ side: Side, _ question: (borrowing Leg) -> Answer) -> Answer {
        side == .client ? question(client) : question(backend)
    }

    /// Does something to the leg of a side.
    @inline(__always)
    mutating func change<Outcome>(_ side: Side, _ act: (inout Leg) -> Outcome) -> Outcome {
        side == .client ? act(&client) : act(&backend)
    }

    /// What flows from a side to the other.
    subscript(from side: Side) -> Flow {
        @inline(__always) get { side == .client ? up : down }
        @inline(__always) _modify { if side == .client { yield &up } else { yield &down } }
    }

    /// What flows to a side from the other.
    subscript(to side: Side) -> Flow {
        @inline(__always) get { side == .client ? down : up }
        @inline(__always) _modify { if side == .client { yield &down } else { yield &up } }
    }
}

extension Watch {
    /// What is known of the peer of a side.
    subscript(_ side: Side) -> Probe {
        get { side == .client ? client : backend }
        set { if side == .client { client = newValue } else { backend = newValue } }
    }
}
