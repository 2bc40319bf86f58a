// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor

/// The tunnels of one reactor that have a name, by that.
struct TunnelNames {
    private var slots: [RelayName: Token] = [:]

    /// Where the tunnel of a name is; nil where it is not here.
    func slot(of name: RelayName) -> Token? { slots[name] }

    /// A tunnel has its slot.
    @inline(__always)
    mutating func insert(_ tunnel: TunnelPointer) {
        if tunnel.pointee.asked.name.isNone { return }
        slots[tunnel.pointee.asked.name] = tunnel.pointee.slot
    }

    /// A tunnel gives its slot up.
    @inline(__always)
    mutating func remove(_ tunnel: TunnelPointer) {
        if tunnel.pointee.asked.name.isNone { return }
        slots[tunnel.pointee.asked.name] = nil
    }
}
