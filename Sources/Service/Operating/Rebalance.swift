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
    /// How many relays were above their endpoints' shares when it gave up, and whether their hash sends
    /// each of them to where it is.
    private let remaining = Mutex((count: 0, isHashed: false))

    init(_ group: EndpointGroup, routes: Set<String>, perSecond: Int, code: UInt16) {
        self.group = group
        self.routes = routes
        self.perSecond = perSecond
        self.code = code
    }

    var progress: DrainProgress { total.withLock { $0 } }

    /// Why it ended without even counts; nil where it has not.
    var problem: String? {
        let (count, isHashed) = remaining.withLock { $0 }
        if count == 0 { return nil }
        let relays = Count.words(count, "relay", one: "is", many: "are")
        if isHashed {
            return
                "\(relays) above the endpoints' shares and \(count == 1 ? "stays" : "stay"): balance hash sends"
                + " every client there to the endpoint at which it is."
        }
        return
            "\(relays) still above the endpoints' shares: clients go back to where they were, as they do with"
            + " sessions of the app's own."
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

    /// That there is nothing to close, and how the relays are spread; nil where there is a surplus.
    var nothingToDo: String? {
        let counts = counts
        var census = Census()
        guard census.surplus(counts.map { ($0.count, $0.share) }).allSatisfy({ $0 == 0 }) else {
            return nil
        }
        let name = group.picker.name
        if counts.isEmpty { return "Nothing is closed: no endpoint of \(name) takes new relays." }
        let most = 8
        let spread = counts.prefix(most).map { "\($0.label) has \($0.count)" }
            .joined(separator: ", ")
        let more = counts.count > most ? ", and so on" : ""
        return
            "Nothing is closed: no endpoint of \(name) has more than its share (\(spread)\(more))."
    }

    /// A second's worth after the other, until there is no surplus or nothing is won any more.
    func run(_ frontend: Frontend, isOver: () -> Bool) {
        defer { total.withLock { $0.isDone = true } }
        var census = Census()
        var best = Int.max
        var inVain = 0
        while !isOver() {
            let counts = counts
            let surplus = census.surplus(counts.map { ($0.count, $0.share) })
            let sum = surplus.reduce(0, +)
            if sum == 0 { return }
            // Where the choice of endpoints does not lead to even counts, it would never end.
            inVain = sum < best ? 0 : inVain + 1
            best = min(best, sum)
            if inVain >= 10 {
                remaining.withLock { $0 = (sum, false) }
                return
            }
            var left = perSecond
            var found = 0
            var spared = 0
            for (endpoint, count) in zip(counts, surplus) where count > 0 && left > 0 {
                var plan = DrainPlan(
                    code: code, reason: "rebalance", spreadMilliseconds: Self.turnMilliseconds,
                    timeoutMilliseconds: 5_000)
                plan.routes = routes
                plan.endpoint = endpoint.label
                plan.relaysMax = min(left, count)
                plan.sparing = group
                left -= plan.relaysMax
                let drain = end(frontend, plan)
                found += drain.progress.found
                spared += drain.spared
            }
            // Whom the hash sends to where it is would come back there however often it is closed.
            if found == 0 && spared > 0 {
                remaining.withLock { $0 = (sum, true) }
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

/// Counts relays round by round, those of clients that are on their way back too.
///
/// A client that was told to come again takes its time. Without it the average would be lower than it is
/// about to be, and more relays would be closed than there is surplus.
struct Census {
    /// For so many rounds a client may be on its way back.
    private static let roundsMax = 30
    private var totals: [Int] = []

    /// How many relays of each endpoint are above its share of all, rounded up.
    ///
    /// - Parameter counts: relays and share of each endpoint, now.
    /// - Returns: the surplus of each, in the same order.
    mutating func surplus(_ counts: [(count: Int, share: UInt64)]) -> [Int] {
        totals = totals.suffix(Self.roundsMax - 1) + [counts.reduce(0) { $0 + $1.count }]
        let whole = Double(counts.reduce(0) { $0 + $1.share })
        guard whole > 0, let all = totals.max().map(Double.init) else {
            return counts.map { _ in 0 }
        }
        return counts.map { max(0, $0.count - Int((all * Double($0.share) / whole).rounded(.up))) }
    }
}

extension Controller {
    /// How many relays may be ended in a second, in words.
    static let pacesAllowed =
        "\(AdminDefaults.paces.lowerBound) to \(AdminDefaults.paces.upperBound)"

    /// Begins to end surplus relays.
    func rebalance(_ request: RebalanceRequest) -> AdminOutcome {
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
        let rebalance = Rebalance(
            group, routes: Set(routes.map(\.name)), perSecond: request.perSecond, code: code)
        if let nothing = rebalance.nothingToDo {
            return AdminOutcome(isDone: true, message: nothing)
        }
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
            "Rebalancing \(request.upstream): surplus relays are told \(code), "
            + "\(request.perSecond) in a second."
        log.write(LogEvent(.info, message))
        return AdminOutcome(isDone: true, message: message, drain: id)
    }
}
