// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import Reactor
import Splice

/// What a piece of one reactor's relays are.
struct RelaySurvey: Sendable {
    /// Relays that have all this in common.
    struct Group: Sendable {
        let plan: RoutePlan?
        let endpoint: Endpoint?
        let listener: ListenerFacts
        let isHTTP2: Bool
        var count: Int
    }

    var groups: [Group] = []
    /// Bytes that these relays hold for both their peers.
    var heldBytes = 0
    /// The slot to go on from; nil when all were seen.
    var next: Int?
}

/// Looks at live relays for a scrape, a piece at a time.
struct RelaySurveyor {
    /// Slots that are looked at in one turn, and groups that may be among them.
    private static let slotsPerTurn = 512
    private static let groupsMax = 64

    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// Counts what relays have carried, from a slot on, and says what they are.
    func survey(from first: Int) -> RelaySurvey {
        let turns = state.pointee.crew.meters[state.pointee.index].turns
        turns.add(state.pointee.turnNumber &- turns.value(at: 0), at: 0)
        var survey = RelaySurvey()
        var last = first - 1
        for _ in 0..<Self.slotsPerTurn {
            guard let slot = state.pointee.tunnels.nextLive(after: last) else { return survey }
            last = Int(slot.index)
            guard let tunnel = state.pointee.tunnels.pointer(slot) else { continue }
            Metering(state).countTraffic(of: tunnel)
            survey.heldBytes +=
                tunnel.pointee.relay.client.held.count + tunnel.pointee.relay.backend.held.count
            add(tunnel, to: &survey)
            if survey.groups.count >= Self.groupsMax { break }
        }
        survey.next = last + 1
        return survey
    }

    private func add(_ tunnel: TunnelPointer, to survey: inout RelaySurvey) {
        let plan = tunnel.pointee.asked.plan
        let endpoint = tunnel.pointee.asked.endpoint
        let listener = tunnel.pointee.facts.listener
        let isHTTP2 = tunnel.pointee.facts.isHTTP2
        for index in survey.groups.indices
        where survey.groups[index].plan === plan && survey.groups[index].endpoint === endpoint
            && survey.groups[index].listener === listener
            && survey.groups[index].isHTTP2 == isHTTP2
        {
            survey.groups[index].count += 1
            return
        }
        survey.groups.append(
            RelaySurvey.Group(
                plan: plan, endpoint: endpoint, listener: listener, isHTTP2: isHTTP2, count: 1))
    }
}
