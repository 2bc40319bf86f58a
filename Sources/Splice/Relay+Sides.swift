// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// The two sides of a relay, by side: what holds for both is written once.
extension Relay {
    /// The leg of a side.
    subscript(leg side: Side) -> Leg {
        @inline(__always) _read { if side == .client { yield client } else { yield backend } }
        @inline(__always) _modify {
            if side == .client { yield &client } else { yield &backend }
        }
    }

    /// What flows from a side to the other.
    subscript(from side: Side) -> Flow {
        @inline(__always) _read { if side == .client { yield up } else { yield down } }
        @inline(__always) _modify { if side == .client { yield &up } else { yield &down } }
    }

    /// What flows to a side from the other.
    subscript(to side: Side) -> Flow {
        @inline(__always) _read { if side == .client { yield down } else { yield up } }
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
