// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Frontend
import Glibc
import Ledger
import Log
import Reactor
import Router
import Synchronization

/// Ends surplus relays of an upstream at a pace, until no endpoint has more than its share.
///
/// Relays never move by themselves: after an endpoint has joined, all old ones are where they were.
/// Who is closed comes again, and goes where there are the fewest or whose turn it is.
final class Rebalance: Sendable {
    /// How long each turn takes, over which its Closes are spread.
    private static let turnMilliseconds: UInt64 = 1_000

    private let group: EndpointGroup
    /// Names of the routes that lead to it: other upstreams may have an endpoint in common with it.
    private let routes: Set<String>
    private let perSecond: Int
    private let code: UInt16
    private let total = Mutex(DrainProgress())
    /// How many relays were above their endpoints' shares when it gave up, and why; nil where it has not.
    private let remaining = Mutex<(count: Int, cause: Cause)?>(nil)
    let memory: RebalanceMemory

    /// Why it is over without even counts.
    private enum Cause {
        /// Clients come again to where they were.
        case goBack
        /// Their hash sends each of them to where it is.
        case hashed
        /// So many clients that were told to go have not come again.
        case missing(Int)
        /// The process stops.
        case stopping
    }

    init(
        _ group: EndpointGroup, routes: Set<String>, perSecond: Int, code: UInt16,
        memory: RebalanceMemory
    ) {
        self.group = group
        self.routes = routes
        self.perSecond = perSecond
        self.code = code
        self.memory = memory
    }

    var progress: DrainProgress { total.withLock { $0 } }

    /// Why it ended without even counts; nil where it has not.
    var problem: String? {
        guard let (count, cause) = remaining.withLock({ $0 }) else { return nil }
        let relays = Count.words(count, "relay", one: "is", many: "are")
        switch cause {
        case .stopping:
            return
                "The rebalance has ended, since Sluice is stopping: \(relays) above the endpoints' shares."
        case .hashed:
            return
                "\(relays) above the endpoints' shares and \(count == 1 ? "stays" : "stay"): balance hash sends"
                + " every client there to the endpoint at which it is."
        case .goBack:
            return
                "\(relays) still above the endpoints' shares: clients go back to where they were, as they do with"
                + " sessions of the app's own."
        case .missing(let missing):
            return
                "\(relays) still above the endpoints' shares (\(spread)):"
                + " \(Count.words(missing, "client")) that \(missing == 1 ? "was" : "were") told to go"
                + " \(missing == 1 ? "has" : "have") not come back within \(Census.returnSeconds) s."
        }
    }

    /// Endpoints that take relays, with as many as each has.
    private var counts: [(label: String, count: Int, share: UInt64)] {
        zip(
            group.endpoints.indices,
            group.picker.shares(nowMilliseconds: Clock.nowMilliseconds())
        ).compactMap { index, share in
            let endpoint = group.endpoints[index]
            guard let share, !endpoint.addresses.isEmpty else { return nil }
            return (endpoint.label, group.picker.active(index), share)
        }
    }

    /// How many relays each endpoint has, in words.
    private var spread: String {
        let counts = counts
        let most = 8
        return counts.prefix(most).map { "\($0.label) has \($0.count)" }.joined(separator: ", ")
            + (counts.count > most ? ", and so on" : "")
    }

    /// Whether there is nothing to close for now.
    var awaitsClients: Bool { memory.look(counts).surplus.allSatisfy { $0 == 0 } }

    /// That there is nothing to close, and how the relays are spread; nil where there is a surplus, or where clients
    /// are on their way back, of whom nobody knows yet where they go.
    var nothingToDo: String? {
        let found = memory.look(counts)
        guard found.isEven, found.missing == 0 else { return nil }
        let name = group.picker.name
        if counts.isEmpty { return "Nothing is closed: no endpoint of \(name) takes new relays." }
        return "Nothing is closed: no endpoint of \(name) has more than its share (\(spread))."
    }

    /// A second's worth after the other, until there is no surplus or nothing is won any more.
    ///
    /// It is over when the clients that were told to go are back, and not before: until then the counts are not even.
    func run(_ frontend: Frontend, isOver: () -> Bool) {
        defer { total.withLock { $0.isDone = true } }
        var best = Int.max
        var inVain = 0
        var expected = 0
        while true {
            let counts = counts
            let found = memory.look(counts, expecting: expected)
            let sum = found.surplus.reduce(0, +)
            if isOver() {
                remaining.withLock { $0 = (max(sum, found.surplusNow), .stopping) }
                return
            }
            if sum == 0 {
                // Whom it awaits it does not forget, or it would close more.
                expected = found.expected
                let isWaitedFor = memory.isWaitedFor
                if found.isEven && (found.missing == 0 || !isWaitedFor) { return }
                guard isWaitedFor, found.missing > 0 else {
                    remaining.withLock { $0 = (found.surplusNow, .missing(found.missing)) }
                    return
                }
                usleep(100_000)
                continue
            }
            // Where the choice of endpoints does not lead to even counts, it would never end.
            inVain = sum < best ? 0 : inVain + 1
            best = min(best, sum)
            if inVain >= 10 {
                remaining.withLock { $0 = (sum, .goBack) }
                return
            }
            var left = perSecond
            var closed = 0
            var spared = 0
            for (endpoint, count) in zip(counts, found.surplus) where count > 0 && left > 0 {
                var plan = DrainPlan(
                    code: code, reason: "rebalance", spreadMilliseconds: Self.turnMilliseconds,
                    timeoutMilliseconds: 5_000)
                plan.routes = routes
                plan.endpoint = endpoint.label
                plan.relaysMax = min(left, count)
                plan.sparing = group
                left -= plan.relaysMax
                let drain = end(frontend, plan)
                closed += drain.progress.found
                spared += drain.spared
            }
            if closed > 0 { memory.note(closed: closed) }
            // Whom the hash sends to where it is would come back there however often it is closed.
            if closed == 0 && spared > 0 {
                remaining.withLock { $0 = (sum, .hashed) }
                return
            }
        }
    }

    private func end(_ frontend: Frontend, _ plan: DrainPlan) -> Drain {
        let before = progress
        let start = Clock.nowMilliseconds()
        let drain = frontend.end(plan)
        while true {
            let now = drain.progress
            var sum = before + now
            sum.isDone = false
            total.withLock { $0 = sum }
            // The pace holds also where the closing takes no time.
            let isPaced = Clock.nowMilliseconds() >= start + Self.turnMilliseconds
            if now.isDone && (isPaced || now.found == 0 && drain.spared > 0) { return drain }
            usleep(20_000)
        }
    }
}

extension Controller {
    /// How many relays may be ended in a second, in words.
    static let pacesAllowed =
        "\(AdminDefaults.paces.lowerBound) to \(AdminDefaults.paces.upperBound)"

    /// Begins to end surplus relays.
    func rebalance(_ request: RebalanceRequest) -> AdminOutcome {
        if state.isLeaving { return Self.stopping }
        // Those that come would not be among the surplus, or those that go would be.
        if isUpgrading.withLock({ $0 }) { return Self.underway }
        let routing = state.assembly.routing
        let groups = routing.routes.compactMap(\.upstream)
        guard let group = groups.first(where: { $0.picker.name == request.upstream }) else {
            let names = Set(groups.map(\.picker.name)).sorted()
            return AdminOutcome(
                isDone: false, message: ServedNames.noUpstream(request.upstream, among: names))
        }
        let code = request.code ?? AdminDefaults.closeCode
        guard DrainSettings.allows(code: code) else {
            return AdminOutcome(
                isDone: false, message: "The code is \(DrainSettings.codesAllowed), found \(code).")
        }
        guard AdminDefaults.paces.contains(request.perSecond) else {
            return AdminOutcome(
                isDone: false,
                message: "perSecond is \(Self.pacesAllowed), found \(request.perSecond).")
        }
        let routes = routing.routes.filter { $0.upstream?.picker.name == request.upstream }
        return rebalances.withLock { rebalances in
            let last = rebalances[request.upstream]
            if let last, !last.rebalance.progress.isDone {
                return AdminOutcome(
                    isDone: true,
                    message:
                        "A rebalance of \(request.upstream) is under way already, at a rate and with a code of"
                        + " its own. This is how far it is.", drain: last.drain)
            }
            let rebalance = Rebalance(
                group, routes: Set(routes.map(\.name)), perSecond: request.perSecond, code: code,
                memory: last?.rebalance.memory ?? RebalanceMemory())
            let outcome = begin(rebalance, request, code: code)
            if let drain = outcome.drain { rebalances[request.upstream] = (drain, rebalance) }
            return outcome
        }
    }

    private func begin(
        _ rebalance: Rebalance, _ request: RebalanceRequest, code: UInt16
    ) -> AdminOutcome {
        if let nothing = rebalance.nothingToDo {
            return AdminOutcome(isDone: true, message: nothing)
        }
        let isWaiting = rebalance.awaitsClients
        let started = try? ReactorThread.start(name: "sluice-balance") { [self] in
            rebalance.run(frontend) { state.isLeaving }
        }
        guard started != nil else {
            return AdminOutcome(isDone: false, message: "There is no room for a thread.")
        }
        let id = add("surplus of \(request.upstream)", problem: { rebalance.problem }) {
            rebalance.progress
        }
        let message =
            isWaiting
            ? "Rebalancing \(request.upstream): those that were told to go in the last \(Census.returnSeconds) s and"
                + " are not back are waited for."
            : "Rebalancing \(request.upstream): surplus relays are told \(code), "
                + "\(request.perSecond) in a second."
        log.write(LogEvent(.info, message))
        return AdminOutcome(isDone: true, message: message, drain: id)
    }
}
