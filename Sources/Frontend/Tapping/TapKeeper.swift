// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Splice
import Wire

/// Has taps listen to the relays of one reactor.
struct TapKeeper {
    /// Relays that one turn has time for.
    private static let slotsPerTurn = 512

    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }

    /// Has a tap listen to a piece of the relays that it wants, and to all that open from now on.
    ///
    /// - Returns: where to go on; nil when all were seen.
    func begin(_ plan: TapPlan, from first: Int) -> Int? {
        let line = plan.lines[state.pointee.index]
        if first == 0 {
            state.pointee.taps[plan.bit] = plan
            space.pointee.taps.set(line, of: plan.bit)
        }
        return each(from: first) { tunnel in
            // One that has opened meanwhile is listened to already.
            if tunnel.pointee.relay.taps(space) >> UInt8(plan.bit) & 1 == 0 {
                listen(plan, tunnel, isLive: true)
            }
        }
    }

    /// Has a tap listen to nothing any more, a piece of the relays at a time.
    ///
    /// - Returns: where to go on; nil when all were seen.
    func end(_ plan: TapPlan, from first: Int) -> Int? {
        if first == 0 {
            state.pointee.taps[plan.bit] = nil
            space.pointee.taps.set(nil, of: plan.bit)
        }
        return each(from: first) { $0.pointee.relay.ignore(bit: plan.bit, space) }
    }

    private func each(from first: Int, _ act: (TunnelPointer) -> Void) -> Int? {
        var last = first - 1
        for _ in 0..<Self.slotsPerTurn {
            guard let slot = state.pointee.tunnels.nextLive(after: last) else { return nil }
            last = Int(slot.index)
            if let tunnel = state.pointee.tunnels.pointer(slot) { act(tunnel) }
        }
        return last + 1
    }

    /// A relay has opened.
    func opened(_ tunnel: TunnelPointer) {
        for bit in 0..<TapTable.tapsMax {
            if let plan = state.pointee.taps[bit] { listen(plan, tunnel, isLive: false) }
        }
    }

    /// A relay has come that was opened elsewhere.
    func arrived(_ tunnel: TunnelPointer) {
        for bit in 0..<TapTable.tapsMax {
            if let plan = state.pointee.taps[bit] { listen(plan, tunnel, isLive: true) }
        }
    }

    private func listen(_ plan: TapPlan, _ tunnel: TunnelPointer, isLive: Bool) {
        let asked = tunnel.pointee.asked
        let slot = tunnel.pointee.slot
        let id = RelayID(worker: state.pointee.index, token: slot)
        guard plan.wish.takes(asked, id) else { return }
        let facts = tunnel.pointee.facts
        let counts = tunnel.pointee.relay.listen(bit: plan.bit, slot: slot, space)
        plan.lines[state.pointee.index].begun(
            TapRelay(
                id: id, nanoseconds: Clock.nowNanoseconds(), isLive: isLive,
                ageMilliseconds: state.pointee.now &- facts.acceptedMilliseconds,
                client: asked.client, host: asked.host, path: asked.path, route: asked.route,
                endpoint: asked.upstream, isHTTP2: facts.isHTTP2, isTLS: facts.tls != nil,
                agreed: tunnel.pointee.agreed), counts)
    }

    /// A relay that is listened to has ended, or goes on elsewhere.
    func ended(_ tunnel: TunnelPointer, moved: TapMove? = nil) {
        let listening = tunnel.pointee.relay.taps(space)
        let ending = tunnel.pointee.relay.ending
        for bit in 0..<TapTable.tapsMax where listening >> UInt8(bit) & 1 == 1 {
            guard let line = space.pointee.taps.line(of: bit) else { continue }
            var end = TapEnd(
                id: RelayID(worker: state.pointee.index, token: tunnel.pointee.slot),
                nanoseconds: Clock.nowNanoseconds(), code: ending.code,
                initiator: ending.initiator, reason: ending.toldReason,
                detail: ending.violation == .none ? "" : ending.violationSentence,
                up: tunnel.pointee.relay.upCounts, down: tunnel.pointee.relay.downCounts)
            // What is in progress of a relay that moves is told whole by nobody, but nothing cuts it.
            end.unfinished =
                moved == nil ? tunnel.pointee.relay.unfinished(bit: bit, space) : (false, false)
            end.moved = moved
            line.ended(end)
        }
        tunnel.pointee.relay.endTaps(space)
    }
}
