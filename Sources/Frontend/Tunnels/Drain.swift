// SPDX-License-Identifier: Apache-2.0
public import Ledger
import Reactor
import Splice
import Synchronization

/// Which relays are to end, how, and in what time.
public struct DrainPlan: Sendable {
    /// Names of routes; those of all when empty.
    public var routes: Set<String> = []
    /// The label of an endpoint; all when nil.
    public var endpoint: String?
    /// The Close code (RFC 6455 §7.4).
    public var code: UInt16
    /// The reason that stands in the Close; empty for none.
    public var reason: String
    /// From the first Close to the last; nil for `paceMilliseconds` times the number of relays, up to
    /// `spreadMillisecondsMax` and half of the timeout.
    public var spreadMilliseconds: UInt64?
    /// From the beginning until those are cut that have not closed.
    public var timeoutMilliseconds: UInt64

    /// The longest that a drain may take, and wait: a week.
    public static let millisecondsMax: UInt64 = 7 * 86_400_000

    /// From one Close to the next where no spread was said.
    static let paceMilliseconds: UInt64 = 10
    /// The longest spread where none was said.
    static let spreadMillisecondsMax: UInt64 = 10_000

    /// How many relays at most.
    public var relaysMax = Int.max
    /// An upstream whose relays stay that its hash would send to where they are; nil where none stays for
    /// that.
    public var sparing: EndpointGroup?
    /// Whether another process listens at the same sockets: who has come in is served, and told then.
    var isReplaced = false
    /// Listening sockets, by their descriptors, at which that process does not listen.
    var untaken: Set<Int32> = []
    /// Whether no new relays begin there: handshakes that were under way are waited for, and told when
    /// they have become relays.
    var takesLate = false

    /// A drain of everything.
    public init(
        code: UInt16, reason: String, spreadMilliseconds: UInt64?, timeoutMilliseconds: UInt64
    ) {
        self.code = code
        self.reason = reason
        self.spreadMilliseconds = spreadMilliseconds
        self.timeoutMilliseconds = timeoutMilliseconds
    }

    func concerns(_ asked: borrowing TunnelFacts) -> Bool {
        concerns(route: asked.route, endpoint: asked.upstream)
    }

    /// Whether it is for a route's name and an endpoint's label.
    func concerns(route: String, endpoint label: String) -> Bool {
        (routes.isEmpty || routes.contains(route)) && (endpoint == nil || endpoint == label)
    }
}

/// A drain under way, and how far it is; any thread may ask.
public final class Drain: Sendable {
    /// What was asked for.
    public let plan: DrainPlan
    /// When it began, in milliseconds of `Clock`.
    public let startMilliseconds: UInt64
    let closeText: CloseText?
    private let workers: Int
    private let workersLeft: Atomic<Int>
    /// Reactors that listen yet.
    private let listening: Atomic<Int>
    private let toldCount = Atomic<Int>(0)
    private let closedCount = Atomic<Int>(0)
    private let cutCount = Atomic<Int>(0)
    private let foundCount = Atomic<Int>(0)
    /// Reactors that have not looked at all of their relays yet.
    private let looking: Atomic<Int>
    private let late: Atomic<Bool>
    private let stopped = Atomic<Bool>(false)

    init(_ plan: DrainPlan, workers: Int) {
        var plan = plan
        // What goes beyond it would go beyond the numbers too.
        plan.spreadMilliseconds = plan.spreadMilliseconds.map {
            min($0, DrainPlan.millisecondsMax)
        }
        plan.timeoutMilliseconds = min(plan.timeoutMilliseconds, DrainPlan.millisecondsMax)
        self.plan = plan
        self.workers = workers
        startMilliseconds = Clock.nowMilliseconds()
        closeText = plan.reason.isEmpty ? nil : CloseText(plan.reason)
        workersLeft = Atomic(workers)
        late = Atomic(plan.takesLate)
        listening = Atomic(workers)
        looking = Atomic(workers)
    }

    /// Whether relays that open there by now are told too.
    var takesLate: Bool { late.load(ordering: .relaxed) && !isStopped }

    /// New relays begin there again: who opens one from now on stays.
    func takeNoneLate() { late.store(false, ordering: .relaxed) }

    /// Whether it was ended before all were told.
    public var isStopped: Bool { stopped.load(ordering: .relaxed) }

    /// Tells nobody any more; those who were told have its timeout.
    func stop() { stopped.store(true, ordering: .relaxed) }

    /// When those are cut that are left.
    public var deadlineMilliseconds: UInt64 { startMilliseconds + plan.timeoutMilliseconds }

    /// From the first Close to the last on a reactor that has found so many relays: the others have about
    /// as many, since connections go to the reactor with the fewest.
    func spreadMilliseconds(ofRelays count: Int) -> UInt64 {
        if let said = plan.spreadMilliseconds { return said }
        let paced = DrainPlan.paceMilliseconds * UInt64(count) * UInt64(workers)
        return min(paced, DrainPlan.spreadMillisecondsMax, plan.timeoutMilliseconds / 2)
    }

    private let endedElsewhereCount = Atomic<Int>(0)

    /// Counts relays that were found and are over, but not by this drain.
    func endedElsewhere(_ count: Int) {
        endedElsewhereCount.wrappingAdd(count, ordering: .relaxed)
    }

    private let sparedCount = Atomic<Int>(0)
    /// Relays that stay because their hash would send them to where they are, as far as they were looked for.
    public var spared: Int { sparedCount.load(ordering: .relaxed) }

    /// Counts one more that stays.
    func spare() { sparedCount.wrappingAdd(1, ordering: .relaxed) }

    /// How far it is.
    public var progress: DrainProgress {
        // In this order: what is told later must not make an undone drain look done.
        let isAllTold = workersLeft.load(ordering: .acquiring) == 0
        let isLooking = !isAllTold && !isStopped && looking.load(ordering: .acquiring) > 0
        let closed = closedCount.load(ordering: .acquiring)
        let told = toldCount.load(ordering: .acquiring)
        return DrainProgress(
            found: foundCount.load(ordering: .relaxed), told: told, closed: closed,
            cut: cutCount.load(ordering: .relaxed),
            endedElsewhere: endedElsewhereCount.load(ordering: .relaxed),
            isDone: isAllTold && closed >= told, isLooking: isLooking)
    }

    /// Counts one more relay; false when there are as many as there may be.
    func find() -> Bool {
        let count = foundCount.wrappingAdd(1, ordering: .relaxed).newValue
        if count <= plan.relaysMax { return true }
        foundCount.wrappingSubtract(1, ordering: .relaxed)
        return false
    }

    /// A reactor has looked at all of its relays, or has none.
    func looked() { looking.wrappingSubtract(1, ordering: .releasing) }

    /// Relays were told; `workers` reactors have nobody left to tell.
    func told(by workers: Int, count: Int) {
        toldCount.wrappingAdd(count, ordering: .releasing)
        workersLeft.wrappingSubtract(workers, ordering: .releasing)
    }

    /// A reactor listens no more, and hands no connection to another any more.
    func stoppedListening() { listening.wrappingSubtract(1, ordering: .sequentiallyConsistent) }

    /// Whether a reactor without connections may get one yet.
    var isListening: Bool { listening.load(ordering: .sequentiallyConsistent) > 0 }

    func closed(isCut: Bool) {
        if isCut { cutCount.wrappingAdd(1, ordering: .relaxed) }
        closedCount.wrappingAdd(1, ordering: .releasing)
    }
}
