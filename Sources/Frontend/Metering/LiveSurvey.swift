// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import Reactor
import Splice

/// What a piece of one reactor's relays and requests are.
struct LiveSurvey: Sendable {
    /// What relays have in common that are counted together.
    struct Group: Sendable, Hashable {
        let plan: RoutePlan?
        let endpoint: Endpoint?
        let listener: ListenerFacts
        let isHTTP2: Bool

        static func == (one: Group, other: Group) -> Bool {
            one.plan === other.plan && one.endpoint === other.endpoint
                && one.listener === other.listener && one.isHTTP2 == other.isHTTP2
        }

        func hash(into hasher: inout Hasher) {
            if let plan { hasher.combine(ObjectIdentifier(plan)) }
            if let endpoint { hasher.combine(ObjectIdentifier(endpoint)) }
            hasher.combine(ObjectIdentifier(listener))
            hasher.combine(isHTTP2)
        }
    }

    /// A route, told from others by what it is and not by its name.
    struct RouteOfRequests: Sendable, Hashable {
        let plan: RoutePlan

        static func == (one: RouteOfRequests, other: RouteOfRequests) -> Bool {
            one.plan === other.plan
        }

        func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(plan)) }
    }

    /// Where in a reactor's slots to go on.
    enum Position: Sendable {
        case relays(from: Int), requests(from: Int)
    }

    /// How many relays there are of each group.
    var relays: [Group: Int] = [:]
    /// How many there are of each value of a segment that is counted.
    var captured: [CapturedRelays: Int] = [:]
    /// Ordinary requests in progress, by their routes.
    var requests: [RouteOfRequests: Int] = [:]
    /// Bytes that these relays hold for both their peers.
    var heldBytes = 0
    /// Where to go on; nil when all were seen.
    var next: Position?

    /// A relay of this path has these segments.
    mutating func note(_ captures: [CountedCapture], _ path: String) {
        for capture in captures {
            guard let value = capture.value(in: path.utf8.span) else { continue }
            let group = CapturedRelays(
                counter: ObjectIdentifier(capture.counter),
                place: capture.counter.place(of: value))
            captured[group, default: 0] += 1
        }
    }

    /// Whether the reactor has said all.
    var isLast: Bool { next == nil }
}

/// Looks at live relays and requests for a scrape, a piece at a time.
struct LiveSurveyor {
    /// Slots that are looked at in one turn.
    private static let slotsPerTurn = 512

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
        // Neighbours mostly are of one group.
        var group: LiveSurvey.Group?
        var count = 0
        var captures: [CountedCapture]?
        for _ in 0..<Self.slotsPerTurn {
            guard let slot = state.pointee.tunnels.nextLive(after: last) else {
                if let group { survey.relays[group, default: 0] += count }
                survey.next = .requests(from: 0)
                return survey
            }
            last = Int(slot.index)
            guard let tunnel = state.pointee.tunnels.pointer(slot) else { continue }
            Metering(state).countTraffic(of: tunnel)
            survey.heldBytes +=
                tunnel.pointee.relay.client.held.count + tunnel.pointee.relay.backend.held.count
            // Compared where it lies: what both reactors count the owners of would go back and forth between them.
            if group?.isOf(tunnel) != true {
                if let group { survey.relays[group, default: 0] += count }
                group = LiveSurvey.Group(tunnel)
                count = 0
                captures = tunnel.pointee.asked.plan.flatMap {
                    state.pointee.snapshot.routing.captures(of: $0)
                }
            }
            count += 1
            if let captures { survey.note(captures, tunnel.pointee.asked.path) }
        }
        if let group { survey.relays[group, default: 0] += count }
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
            survey.requests[LiveSurvey.RouteOfRequests(plan: plan), default: 0] += 1
        }
        survey.next = .requests(from: last + 1)
        return survey
    }
}

extension LiveSurvey.Group {
    fileprivate func isOf(_ tunnel: TunnelPointer) -> Bool {
        tunnel.pointee.asked.plan === plan && tunnel.pointee.asked.endpoint === endpoint
            && tunnel.pointee.facts.listener === listener
            && tunnel.pointee.facts.isHTTP2 == isHTTP2
    }

    fileprivate init(_ tunnel: TunnelPointer) {
        self.init(
            plan: tunnel.pointee.asked.plan, endpoint: tunnel.pointee.asked.endpoint,
            listener: tunnel.pointee.facts.listener, isHTTP2: tunnel.pointee.facts.isHTTP2)
    }
}
