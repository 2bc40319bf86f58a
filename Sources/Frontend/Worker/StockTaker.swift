// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice

/// Counts the relays and connections of one reactor that came before anything limited their number.
///
/// A limit that a reload brings holds for those who are there as well. First everybody who comes is counted
/// (`Admission.isCounting`); then each reactor looks at all that it has, a piece in each turn; only then the limit
/// is taken up. So each is counted once: whoever is looked at and holds a place has been counted already.
struct StockTaker {
    /// Where in a reactor's slots to go on.
    ///
    /// Requests go first: one that becomes a relay meanwhile is found there, or has its place.
    enum Position: Sendable {
        case requests(from: Int), tunnels(from: Int), clients(from: Int)

        static let start = Position.requests(from: 0)
    }

    private static let slotsPerTurn = 2_048

    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// Counts a piece; where to go on, or nil where all were seen.
    func take(from position: Position) -> Position? {
        switch position {
        case .requests(let first): requests(from: first)
        case .tunnels(let first): tunnels(from: first)
        case .clients(let first): clients(from: first)
        }
    }

    private func requests(from first: Int) -> Position {
        var last = first - 1
        for _ in 0..<Self.slotsPerTurn {
            guard let slot = state.pointee.requests.nextLive(after: last) else {
                return .tunnels(from: 0)
            }
            last = Int(slot.index)
            guard let request = state.pointee.requests.pointer(slot),
                request.pointee.upgrade != nil
            else { continue }
            let (plan, client) = (request.pointee.facts.plan, request.pointee.facts.client)
            count(plan, client, &request.pointee.places)
        }
        return .requests(from: last + 1)
    }

    private func tunnels(from first: Int) -> Position {
        var last = first - 1
        for _ in 0..<Self.slotsPerTurn {
            guard let slot = state.pointee.tunnels.nextLive(after: last) else {
                return .clients(from: 0)
            }
            last = Int(slot.index)
            guard let tunnel = state.pointee.tunnels.pointer(slot) else { continue }
            let (plan, client) = (tunnel.pointee.asked.plan, tunnel.pointee.asked.client)
            count(plan, client, &tunnel.pointee.places)
        }
        return .tunnels(from: last + 1)
    }

    private func count(_ plan: RoutePlan?, _ client: Address, _ places: inout Places) {
        guard let admission = plan?.tally.admission, admission.isCounting, !places.isAdmitted
        else { return }
        _ = admission.enter(client, AdmissionLimits(), nowMilliseconds: state.pointee.now)
        places.take(admission, as: client)
    }

    private func clients(from first: Int) -> Position? {
        guard state.pointee.crew.clients.isCounting else { return nil }
        var last = first - 1
        for _ in 0..<Self.slotsPerTurn {
            guard let token = state.pointee.clients.nextLive(after: last) else { return nil }
            last = Int(token.index)
            switch state.pointee.clients.pointer(token)?.pointee {
            case .tunnel(let tunnel): ClientCounts(state).admitLate(&tunnel.pointee.facts)
            case .session(let session):
                // Who it is is said first, and counted then.
                if case .introduction = session.pointee.stage { continue }
                ClientCounts(state).admitLate(&session.pointee.facts)
            case nil: continue
            }
        }
        return .clients(from: last + 1)
    }
}

extension Frontend {
    /// Has everybody counted whom the limits concern that are about to hold and have not held before.
    func takeStock(for routing: Routing, _ settings: FrontendSettings) {
        var isNew = false
        for plan in routing.plans
        where !plan.route.admission.isEmpty && !plan.tally.admission.isCounting {
            plan.tally.admission.isCounting = true
            isNew = true
        }
        if !settings.clientLimits.isEmpty && !crew.clients.isCounting {
            crew.clients.isCounting = true
            isNew = true
        }
        if isNew { ask { .takeStock(from: .start, done: $0) } }
    }

    /// Counts no more where nothing is limited now; whoever has a place gives it back.
    func endStock(for routing: Routing, _ settings: FrontendSettings) {
        for plan in routing.plans where plan.route.admission.isEmpty {
            plan.tally.admission.isCounting = false
        }
        if settings.clientLimits.isEmpty { crew.clients.isCounting = false }
    }
}
