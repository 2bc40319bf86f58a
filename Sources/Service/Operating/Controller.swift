// SPDX-License-Identifier: Apache-2.0
import Admin
public import Config
import Foundation
import Frontend
import Glibc
import Health
import Issuers
public import Ledger
import Log
import Naming
import Reactor
import Synchronization
import Traces

/// What an operator can have done to a running Sluice, whoever passes the wish on: a signal, the admin
/// socket, a changed file.
public final class Controller: Sendable {
    /// Where configurations come from.
    public enum Source: Sendable {
        /// This file; the number of reactors, where the command line said it.
        case file(String, workers: Int?)
        /// Quick mode: always this one.
        case fixed(Configuration)

        var path: String {
            if case .file(let path, _) = self { return path }
            return ""
        }

        /// The file, if there is one.
        var files: [String] { path.isEmpty ? [] : [path] }

        func read() throws -> Configuration {
            switch self {
            case .fixed(let configuration): return configuration
            case .file(let path, let workers):
                var configuration = try Configuration.load(path: path)
                if let workers { configuration.workers = workers }
                return configuration
            }
        }
    }

    /// A drain with its number.
    struct NumberedDrain: Sendable {
        let id: Int
        let what: String
        let problem: @Sendable () -> String?
        let progress: @Sendable () -> DrainProgress
    }

    struct State: Sendable {
        var configuration: Configuration
        var assembly: Assembly
        var generation = 1
        var loadedMilliseconds = Clock.wallMilliseconds()
        var lastProblem: String?
        /// Reloads that have changed nothing, since they could not be done.
        var failedReloads = 0
        var drains: [NumberedDrain] = []
        var nextDrain = 1
        /// The drain with which the process ends.
        var lastDrain: Int?
        var isLeaving = false
        /// The descriptors that the process which has taken over does not listen at; nil where none has.
        var untaken: Set<Int32>?
        /// When a signal has said to stop, in milliseconds of `Clock`; nil where none has.
        var toldToStopMilliseconds: UInt64?
        /// A second one came: nobody is waited for.
        var isCut = false
    }

    let source: Source
    /// The program's, as it tells operators.
    let version: String
    let frontend: Frontend
    let names: NameWatch
    let health: HealthWatch
    let keys: KeyWatch
    let log: LogWriter
    let traces: TraceExporter
    let thread: ControlThread
    /// Where the service manager keeps copies of the listening sockets.
    let store: ListenerStore
    let minder = Minder()
    let farewell: Farewell
    let startedMilliseconds = Clock.wallMilliseconds()
    /// Where the program stood when it was started.
    let program = Successor.programPath()
    /// The processes that have served before this one and may drain sockets still.
    let predecessors: Predecessors
    let admins = Mutex<AdminServers?>(nil)
    private let current: Mutex<State>
    /// With what the process started.
    let started: Configuration
    /// Whether a new process is being waited for, or relays of the one before; held while something is drained or
    /// resumed.
    let isUpgrading = Mutex(false)
    /// The same as in `isUpgrading`, for those who only look: that one may be held for long.
    let isHandingOver = Atomic<Bool>(false)
    /// Whether the process before this one has relays to hand on.
    let isArriving = Atomic<Bool>(false)
    /// The last rebalance of each upstream, with its number among the drains.
    let rebalances = Mutex<[String: (drain: Int, rebalance: Rebalance)]>([:])
    /// What is looked at again and again.
    var live: LiveSource { LiveSource(controller: self) }
    /// What the looks at live relays have found, for the rates between them.
    let liveMarks = Mutex(LiveMarks())
    /// What scrapes of `metrics.address` were answered a moment ago.
    let scrapes = Mutex(KeptScrapes())
    /// Held while something is changed, so that changes come one after the other.
    let changing = Mutex<Void>(())

    init(
        source: Source, configuration: Configuration, assembly: Assembly, frontend: Frontend,
        names: NameWatch, health: HealthWatch, keys: KeyWatch, log: LogWriter,
        traces: TraceExporter,
        thread: ControlThread, store: ListenerStore, predecessors: Predecessors, version: String
    ) throws(SystemError) {
        farewell = try Farewell()
        self.version = version
        self.thread = thread
        self.store = store
        self.predecessors = predecessors
        self.source = source
        self.frontend = frontend
        self.names = names
        self.health = health
        self.keys = keys
        self.log = log
        self.traces = traces
        started = configuration
        current = Mutex(State(configuration: configuration, assembly: assembly))
    }

    var state: State { current.withLock { $0 } }

    // MARK: What those see who show it

    /// Whether it has begun to stop, or another process has taken over.
    public var isLeaving: Bool { current.withLock { $0.isLeaving } }

    /// Relays that are open.
    public var relayCount: Int {
        let routing = state.assembly.routing
        return routing.relayCounts.reduce(0, +) + routing.departedCounts.reduce(0) { $0 + $1.count }
    }

    /// Open relays, so many of them at most.
    public func relays(countMax: Int) -> [RelayFacts] {
        frontend.relays(RelayFilter(), countMax: countMax)
    }

    // MARK: Reload

    /// Reads the configuration again and serves by it; if that can't be done, nothing has changed.
    func reload() -> AdminOutcome {
        do throws(SystemError) {
            return try thread.perform { [self] in reloadHere() }
        } catch {
            return AdminOutcome(isDone: false, message: error.description)
        }
    }

    private func reloadHere() -> AdminOutcome {
        changing.withLock { _ in
            let before = state
            if before.isLeaving { return Self.stopping }
            ServiceManager.notify("RELOADING=1", ServiceManager.monotonic)
            defer { ServiceManager.notify("READY=1") }
            // Looked at before they are read, so that no change falls in between.
            var files = FileWatch(Minder.paths(source, before.configuration))
            defer {
                let configuration = state.configuration
                files.watch(Minder.paths(source, configuration))
                minder.follow(self, configuration.watch ? files : nil)
            }
            do {
                let taken = try take(try source.read(), before)
                log.write(LogEvent(.info, taken.message))
                if let removal = taken.removal { log.write(LogEvent(.info, removal.message)) }
                // The log has them already, each as an event of its own.
                let warnings = state.assembly.warnings.map {
                    "\nWarning: \($0.place): \($0.sentence)."
                }
                let removal = taken.removal.map { "\n\($0.message)" } ?? ""
                return AdminOutcome(
                    isDone: true,
                    message: taken.message + removal + warnings.joined() + unresolved.joined(),
                    drain: taken.removal?.drain)
            } catch {
                let problem = "\(error)"
                current.withLock { state in
                    state.lastProblem = problem
                    state.failedReloads += 1
                }
                log.write(
                    LogEvent(.error, "Not reloaded, everything stays as it was: \(problem)"))
                // Problems of a file are told line by line, each behind its place.
                let start =
                    error is ConfigurationProblems
                    ? "Not reloaded, everything stays as it was:\n" : ""
                return AdminOutcome(isDone: false, message: start + problem)
            }
        }
    }

    /// Has the same configuration served by other endpoints, unless `make` says nil.
    func change(_ make: (State) -> Assembly?) {
        changing.withLock { _ in
            guard let assembly = make(state) else { return }
            current.withLock { $0.assembly = assembly }
        }
    }

    /// What taking up a configuration has changed, in words; and the drain of routes that it has removed.
    private struct Taken {
        let message: String
        let removal: (drain: Int, message: String)?
    }

    private func take(_ configuration: Configuration, _ before: State) throws -> Taken {
        let logChange = try log(for: configuration.log, before: before.configuration.log)
        // Looked up before anybody is sent there, all within one time; what is known is not waited for.
        let tracePlan = try configuration.traces.map { try TracePlan($0, version: version) }
        let expanding = configuration.expandingNames
        let all = expanding.union(before.configuration.expandingNames)
        let deadline = Clock.nowMilliseconds() + NameWatch.waitMilliseconds
        let assembly: Assembly
        names.use(servers: configuration.resolver.servers)
        do {
            try names.watch(before.assembly.endpoints, expanding: all, until: deadline)
            assembly = try Assembly(
                configuration, previous: before.assembly,
                found: names.found.filter { expanding.contains($0.key) })
            // Those of before too: nothing is forgotten until the new ones are in use.
            try names.watch(
                before.assembly.endpoints + assembly.endpoints, expanding: all, until: deadline)
            try health.watch(assembly.checks)
            // Those of before too: nobody's keys stand still until the new ones are in use.
            try keys.watch(
                before.assembly.tokens.keyrings + assembly.tokens.keyrings,
                waitingFor: TokenRules.firstTryMilliseconds)
        } catch {
            goBack(to: before)
            throw error
        }
        let removed: Drain?
        do throws(SystemError) {
            removed = try frontend.use(
                listening: assembly.listeners, routing: assembly.routing,
                settings: assembly.settings, removal: Self.plan(configuration.drain))
        } catch {
            goBack(to: before)
            throw Self.problem(error, configuration, assembly, own: frontend.addresses)
        }
        current.withLock { state in
            state.configuration = configuration
            state.assembly = assembly
            state.generation += 1
            state.loadedMilliseconds = Clock.wallMilliseconds()
            state.lastProblem = nil
        }
        store.keep(frontend.sockets)
        TapDesk.endForbidden(frontend, by: configuration.admin.tap)
        endFaults(of: before, for: configuration, assembly)
        // Where there is no descriptor left for it, those of before are asked for in vain, no more.
        try? names.watch(assembly.endpoints, expanding: expanding, until: 0)
        try? keys.watch(assembly.tokens.keyrings, waitingFor: 0)
        if let logChange { log.use(logChange) }
        use(tracePlan, before.configuration.traces, configuration.traces)
        Server.warn(assembly, log)
        if let plan = RecordPlan(configuration) {
            plan.useKeySchedule()
            if plan.sentence != RecordPlan(before.configuration)?.sentence {
                log.write(LogEvent(.info, plan.sentence))
            }
        }
        let removal = removed.map { told(of: $0, assembly) }
        let changes = ReloadChanges(
            from: (before.configuration, before.assembly.certificates),
            to: (configuration, assembly.certificates),
            files: assembly.changedFiles(since: before.assembly))
        // However often the file changed since: the process runs with what it started with.
        let waiting = Self.needingRestart(started, configuration)
        return Taken(
            message: "The configuration was taken up as generation \(state.generation)."
                + " \(changes.text(waiting: waiting))", removal: removal)
    }

    /// Sends spans where the configuration says now.
    private func use(_ plan: TracePlan?, _ before: TraceSettings?, _ settings: TraceSettings?) {
        do throws(SystemError) {
            // A file may have another token in it, however the settings stand.
            if plan != nil || before != nil { try traces.use(plan) }
        } catch {
            log.write(LogEvent(.error, "No spans are sent: \(error)."))
        }
        if let sentence = TraceWords.sentence(settings), sentence != TraceWords.sentence(before) {
            log.write(LogEvent(.info, sentence))
        }
    }

    /// Watches and checks what a configuration names that stays in use after all.
    private func goBack(to before: State) {
        names.use(servers: before.configuration.resolver.servers)
        // They are known, so nothing is lost where there is no descriptor left for it.
        try? names.watch(
            before.assembly.endpoints, expanding: before.configuration.expandingNames, until: 0)
        try? health.watch(before.assembly.checks)
        try? keys.watch(before.assembly.tokens.keyrings, waitingFor: 0)
    }

    // MARK: Drain

    /// What a drain's settings mean to the engine.
    static func plan(_ settings: DrainSettings) -> DrainPlan {
        DrainPlan(
            code: settings.code, reason: settings.reason,
            spreadMilliseconds: settings.spread?.wholeMilliseconds,
            timeoutMilliseconds: settings.timeout.wholeMilliseconds)
    }

    @discardableResult
    func add(_ drain: Drain, _ what: String) -> Int {
        add(
            what, problem: { drain.isStopped ? "The drain of \(what) was ended by --resume." : nil }
        ) {
            drain.progress
        }
    }

    /// Keeps the progress of something that ends relays, and why it failed if it did; its number.
    func add(
        _ what: String, problem: @escaping @Sendable () -> String? = { nil },
        _ progress: @escaping @Sendable () -> DrainProgress
    ) -> Int {
        current.withLock { state in
            let id = state.nextDrain
            state.nextDrain += 1
            // A record of some is enough: what is done is not asked for for ever.
            if state.drains.count >= 32 {
                let index = state.drains.firstIndex { $0.progress().isDone }
                if let index { state.drains.remove(at: index) }
            }
            state.drains.append(
                NumberedDrain(id: id, what: what, problem: problem, progress: progress))
            return id
        }
    }

    /// Ends the relays of a route or endpoint, or of the whole process, which goes then.
    func drain(_ request: DrainRequest) -> AdminOutcome {
        let state = state
        var plan = Self.plan(state.configuration.drain)
        plan.code = request.code ?? plan.code
        plan.reason = request.reason ?? plan.reason
        plan.spreadMilliseconds = request.spreadMilliseconds ?? plan.spreadMilliseconds
        plan.timeoutMilliseconds = request.timeoutMilliseconds ?? plan.timeoutMilliseconds
        let longest = max(request.spreadMilliseconds ?? 0, plan.timeoutMilliseconds)
        guard longest <= DrainPlan.millisecondsMax else {
            return AdminOutcome(
                isDone: false,
                message: "The spread and the timeout are 7 days at most: found \(longest) ms.")
        }
        if let spread = request.spreadMilliseconds, spread > plan.timeoutMilliseconds {
            return AdminOutcome(
                isDone: false,
                message: Self.tooWide(spread, plan, isSaid: request.timeoutMilliseconds != nil))
        }
        // Who wants it to be over sooner than the configuration spreads it wants the spread shorter too.
        plan.spreadMilliseconds = plan.spreadMilliseconds.map { min($0, plan.timeoutMilliseconds) }
        guard DrainSettings.allows(code: plan.code) else {
            return AdminOutcome(
                isDone: false,
                message: "The code is \(DrainSettings.codesAllowed), found \(plan.code).")
        }
        guard plan.reason.utf8.count <= DrainSettings.reasonBytesMax else {
            return AdminOutcome(
                isDone: false,
                message: "The reason is longer than \(DrainSettings.reasonBytesMax) bytes.")
        }
        if request.route == nil && request.endpoint == nil {
            if isArriving.load(ordering: .relaxed) { return Self.underway }
            let id = leave(plan, mayTakeLonger: request.timeoutMilliseconds != nil)
            return AdminOutcome(
                isDone: id != nil, message: id == nil ? "Sluice is stopping already." : stops,
                drain: id)
        }
        if let problem = scope(request, &plan) {
            return AdminOutcome(isDone: false, message: problem)
        }
        // All sockets are told to go, and no new ones begin anywhere.
        if state.isLeaving { return Self.stopping }
        let what =
            request.route.map { "route \($0)" } ?? "endpoint \(plan.endpoint ?? "")"
        guard let drain = unlessUpgrading({ frontend.drain(plan) }) else { return Self.underway }
        let id = add(drain, what)
        let message = "Draining \(what): its relays are told \(plan.code), and no new ones begin."
        log.write(LogEvent(.info, message))
        return AdminOutcome(isDone: true, message: message, drain: id)
    }

    /// That nothing is changed any more.
    static let stopping = AdminOutcome(
        isDone: false,
        message:
            "Sluice is stopping: all its sockets are told to go, and nothing else is changed any more."
            + " `sluice status` shows how far it is; a second TERM to its process cuts what is left."
    )

    /// That this process stops, and which one it has taken over from, if that still drains.
    private var stops: String {
        guard let predecessor = predecessors.parent, predecessor.isThere else {
            return "Sluice stops."
        }
        return
            "Sluice stops: process \(getpid()), which has taken over in an upgrade. Process \(predecessor.process) has"
            + " been draining since then, and ends by itself; a second TERM cuts what it still has."
    }

    /// That a spread is longer than the time in which all has to be over.
    private static func tooWide(_ spread: UInt64, _ plan: DrainPlan, isSaid: Bool) -> String {
        let timeout = Units.text(.milliseconds(plan.timeoutMilliseconds))
        return "The spread, \(Units.text(.milliseconds(spread))), is longer than the timeout,"
            + " \(timeout)\(isSaid ? "" : " (drain.timeout of the configuration)"): relays would be cut"
            + " before they are told. Give a timeout as well (--timeout) that is as long or longer."
    }

    /// Takes new relays again.
    func resume(_ request: DrainRequest) -> AdminOutcome {
        var plan = Self.plan(state.configuration.drain)
        if let problem = scope(request, &plan) {
            return AdminOutcome(isDone: false, message: problem)
        }
        // Nobody listens any more, so nothing comes to it.
        if state.isLeaving { return Self.stopping }
        let what = plan.endpoint.map { "endpoint \($0)" } ?? "route \(plan.routes.first ?? "")"
        let outcome = unlessUpgrading {
            let drained = frontend.drained
            let wasDrained =
                plan.endpoint.map(drained.endpoints.contains)
                ?? !drained.routes.isDisjoint(with: plan.routes)
            return (wasDrained, frontend.resume(plan))
        }
        guard let (wasDrained, ended) = outcome else { return Self.underway }
        guard wasDrained || !ended.isEmpty else {
            return AdminOutcome(
                isDone: true, message: "The \(what) was not drained: nothing has changed.")
        }
        var message = "The \(what) takes new relays again."
        for drain in ended {
            let told = Count.words(drain.progress.told, "relay", one: "was", many: "were")
            message += " The drain there has ended: \(told) told, and the others stay."
        }
        log.write(LogEvent(.info, message))
        return AdminOutcome(isDone: true, message: message)
    }

    /// Finds what was named; says what there is instead where it is not there.
    private func scope(_ request: DrainRequest, _ plan: inout DrainPlan) -> String? {
        let names = ServedNames(state.assembly, drained: frontend.drained)
        if request.route != nil && request.endpoint != nil {
            return
                "Name a route or an endpoint, not both: an endpoint is drained for all routes that"
                + " lead there."
        }
        if let wanted = request.route {
            guard let route = names.route(wanted) else { return names.noRoute(wanted) }
            plan.routes = [route]
        }
        if let wanted = request.endpoint {
            guard let label = names.endpoint(wanted) else { return names.noEndpoint(wanted) }
            plan.endpoint = label
        }
        if plan.routes.isEmpty && plan.endpoint == nil { return "Name a route or an endpoint." }
        return nil
    }

    /// Another process has taken over, but for these descriptors; nil where it has ended meanwhile.
    func replaced(untaken: Set<Int32>?) { current.withLock { $0.untaken = untaken } }

    /// Endpoints that are not served any more are told of for as long as relays have places there.
    func keepDeparted(_ endpoints: [(upstream: String, endpoint: Endpoint)]) {
        current.withLock { $0.assembly.keepDeparted(endpoints) }
    }

    // MARK: The end

    /// Begins to stop; nil when that has begun before.
    ///
    /// `mayTakeLonger`: the service manager is asked to wait for as long as the plan says.
    @discardableResult
    func leave(_ plan: DrainPlan, mayTakeLonger: Bool = false) -> Int? {
        let (isFirst, isReplaced) = current.withLock { state in
            defer { state.isLeaving = true }
            return (!state.isLeaving, state.untaken != nil)
        }
        guard isFirst else { return nil }
        // Not ready any more, but still open, for as long as balancers take to notice.
        let delay = isReplaced ? 0 : state.configuration.drain.delay.wholeMilliseconds
        if delay > 0 {
            let wait = Units.text(state.configuration.drain.delay)
            log.write(
                LogEvent(
                    .info,
                    "Stopping in \(wait) (drain.delay): until then clients are let in, and /readyz says no."
                ))
        }
        if !isReplaced {
            // A timeout that somebody has asked for may be longer than the service manager's own.
            ServiceManager.notifyStopping(
                within: mayTakeLonger ? delay + plan.timeoutMilliseconds : nil)
        }
        let end = Clock.nowMilliseconds() + delay
        while Clock.nowMilliseconds() < end && !state.isCut { usleep(20_000) }
        return changing.withLock { _ in
            let connections = Count.words(
                frontend.connectionCount, "connection", one: "is", many: "are")
            log.write(
                LogEvent(.info, "Stopping: \(Self.told(relayCount, plan)); \(connections) open."))
            // Sockets may have gone to another process since it was told to stop.
            let untaken = state.untaken
            let drain = frontend.leave(
                plan, isReplaced: untaken != nil, untaken: untaken ?? [])
            let id = add(drain, "everything")
            current.withLock { $0.lastDrain = id }
            return id
        }
    }

    /// What live sockets are told, and how much time they have; that there are none where there are none.
    static func told(_ relays: Int, _ plan: DrainPlan) -> String {
        if relays == 0 { return "no socket is live" }
        return Count.words(relays, "live socket", one: "is", many: "are")
            + " told \(plan.code) and \(relays == 1 ? "has" : "have") up to"
            + " \(Units.text(.milliseconds(plan.timeoutMilliseconds))) to close"
    }

    /// For how long a further signal is taken for the first one: a terminal's Ctrl-C reaches a program and the one that
    /// has started it, which tells it once more, as `timeout` and scripts do.
    private static let sameSignalMilliseconds: UInt64 = 500

    /// Stops in the manner of the configuration; the second time at once.
    ///
    /// The first time, what an upgrade or a drain has begun goes on in order.
    func stop() {
        let now = Clock.nowMilliseconds()
        let (first, isLeaving) = current.withLock { state in
            defer { state.toldToStopMilliseconds = state.toldToStopMilliseconds ?? now }
            return (state.toldToStopMilliseconds, state.isLeaving)
        }
        if let first {
            if now < first + Self.sameSignalMilliseconds { return }
            log.write(LogEvent(.warning, "A second signal: everything is cut now."))
            current.withLock { $0.isCut = true }
            frontend.cut()
        } else if isLeaving {
            log.write(
                LogEvent(
                    .info,
                    "Told to stop, and stopping already: that goes on in order. A second signal cuts."
                ))
        } else {
            leave(Self.plan(state.configuration.drain))
        }
    }
}
