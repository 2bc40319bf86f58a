// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import Reactor
import Splice

/// What a piece of one reactor's relays and requests are.
struct LiveSurvey: Sendable {
    /// Relays that have all this in common.
    struct Group: Sendable {
        let plan: RoutePlan?
        let endpoint: Endpoint?
        let listener: ListenerFacts
        let isHTTP2: Bool
        var count: Int
    }

    /// Where in a reactor's slots to go on.
    enum Position: Sendable {
        case relays(from: Int), requests(from: Int)
    }

    var groups: [Group] = []
    /// Ordinary requests in progress, by their routes.
    var requests: [(plan: RoutePlan, count: Int)] = []
    /// Bytes that these relays hold for both their peers.
    var heldBytes = 0
    /// Where to go on; nil when all were seen.
    var next: Position?
}

/// Looks at live relays and requests for a scrape, a piece at a time.
struct LiveSurveyor {
    /// Slots that are looked at in one turn, and groups that may be among them.
    private static let slotsPerTurn = 512
    private static let groupsMax = 64

    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// Counts what relays have carried, from there on, and says what they and the requests are.
    func survey(from position: LiveSurvey.Position) -> LiveSurvey {
        switch position {
        case .relays(let first): relays(from: first)
        case .requests(let first): requests(from: first)
        }
    }

    private func relays(from first: Int) -> LiveSurvey {
        Metering(state).countTurns()
        var survey = LiveSurvey()
        var last = first - 1
        for _ in 0..<Self.slotsPerTurn {
            guard let slot = state.pointee.tunnels.nextLive(after: last) else {
                survey.next = .requests(from: 0)
                return survey
            }
            last = Int(slot.index)
            guard let tunnel = state.pointee.tunnels.pointer(slot) else { continue }
            Metering(state).countTraffic(of: tunnel)
            survey.heldBytes +=
                tunnel.pointee.relay.client.held.count + tunnel.pointee.relay.backend.held.count
            add(tunnel, to: &survey)
            if survey.groups.count >= Self.groupsMax { break }
        }
        survey.next = .relays(from: last + 1)
        return survey
    }

    private func requests(from first: Int) -> LiveSurvey {
        var survey = LiveSurvey()
        var last = first - 1
        for _ in 0..<Self.slotsPerTurn {
            guard let slot = state.pointee.requests.nextLive(after: last) else { return survey }
            last = Int(slot.index)
            guard let request = state.pointee.requests.pointer(slot), !request.pointee.isUpgrade,
                let plan = request.pointee.facts.plan
            else { continue }
            if let index = survey.requests.firstIndex(where: { $0.plan === plan }) {
                survey.requests[index].count += 1
            } else {
                survey.requests.append((plan, 1))
            }
            if survey.requests.count >= Self.groupsMax { break }
        }
        survey.next = .requests(from: last + 1)
        return survey
    }

    private func add(_ tunnel: TunnelPointer, to survey: inout LiveSurvey) {
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
            LiveSurvey.Group(
                plan: plan, endpoint: endpoint, listener: listener, isHTTP2: isHTTP2, count: 1))
    }
}
