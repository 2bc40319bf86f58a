// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Frontend
import Glibc
import Health
import Issuers
import Ledger
import Log
import Naming
import Reactor
import Synchronization
import TLS
import Traces

/// Runs a configuration from the first bind to the last goodbye.
public enum Server {
    /// Serves until somebody says to stop; returns when everything has ended in order.
    ///
    /// - Parameters:
    ///   - source: where the configuration comes from.
    ///   - version: the program's.
    ///   - held: sockets that listen already at addresses of the configuration; they are the server's from here on.
    ///   - observer: whoever has started it, and shows what happens.
    /// - Throws: `ConfigurationProblems` or `SystemError`, where it can't be served.
    public static func run(
        _ source: Controller.Source, version: String, holding held: [Successor.Handed] = [],
        observedBy observer: some ServerObserver
    ) throws {
        ProcessMemory.prepare()
        let predecessors = Predecessors.inherited()
        let inherited = Successor.inherited() + held
        let drained = Successor.inheritedDrains()
        let store = ListenerStore(
            inherited: inherited.filter { $0.purpose == .listen }.map(\.address))
        let arrivals = Arrivals.inherited()
        let known = HandedState.inherited()
        let issuers = known?.issuerKeys() ?? []
        // Before any thread: threads inherit what is blocked.
        let signals = SignalWaiter([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2])
        SignalWaiter.ignoreBrokenPipes()
        let files = OpenFiles.raiseLimit()
        // Looked at before they are read, so that no change falls in between.
        var watch = FileWatch(source.files)
        // Where every reload is worked out too: the C library keeps freed memory for the thread that had
        // it, and what the start took is used again by the first reload.
        let thread = try ControlThread()
        let configuration = try thread.perform { Result { try source.read() } }.get()
        watch.watch(Minder.paths(source, configuration))
        let records = try thread.perform { RecordPlan(configuration) }
        // Before the first handshake, which may be that of a health check.
        records?.useKeySchedule()
        let log = try openLog(configuration, above: observer.lastLine)
        let following = Following()
        let names = try NameWatch(
            servers: configuration.resolver.servers, journal: log.journal,
            changed: { following.controller?.followNames() })
        try names.watch([], expanding: configuration.expandingNames)
        let health = try HealthWatch(journal: log.journal)
        let keys = KeyWatch(journal: log.journal)
        let traces = try TraceExporter { [log] event in log.write(event) }
        let tracePlan = try configuration.traces.map { try TracePlan($0, version: version) }
        let workers = configuration.workers ?? ReactorThread.availableCores
        let (controller, frontend) = try assemble(
            source, version, configuration,
            watchers: (names: names, health: health, keys: keys, log: log, traces: traces),
            thread, inherited, store, predecessors
        ) { assembly, listeners throws(SystemError) in
            // Before anybody waits for an issuer's answer.
            for issuer in issuers { issuer.apply(to: assembly.tokens.keyrings) }
            return try Frontend(
                listening: assembly.listeners, routing: assembly.routing,
                settings: assembly.settings, workers: workers,
                journal: observer.listening(to: log.journal), spans: traces.sink,
                inheriting: listeners,
                drained: drained)
        }
        known?.apply(to: controller.state.assembly)
        known?.apply(to: frontend)
        // Its copy of the keys is overwritten now.
        _ = consume known
        if arrivals != nil { controller.arrivalsBegin() }
        let admin = try AdminServers(configuration, controller, inheriting: inherited)
        controller.hand(over: admin)
        // Each reactor has an epoll set, and some threads one or two descriptors.
        OpenFiles.keepReserve(more: workers + 4)
        if let tracePlan { try traces.use(tracePlan) }
        try frontend.start()
        following.begin(controller)
        try admin.start()
        observer.listens(
            configuration, at: frontend.addresses, adminSocket: admin.place,
            metrics: admin.metricsAddress)
        warn(controller.state.assembly, log)
        let raised = files.soft > files.was ? " (raised from \(files.was))" : ""
        let room = "\(Count.words(workers, "reactor")), room for \(files.soft) open files\(raised)."
        log.write(LogEvent(.info, "sluice \(version) is ready: \(room)"))
        if let records { log.write(LogEvent(.info, records.sentence)) }
        if let sentence = TraceWords.sentence(configuration.traces) {
            log.write(LogEvent(.info, sentence))
        }
        let obeying = try ReactorThread.start(name: "sluice-signals") { obey(signals, controller) }
        try observer.begins(controller)
        controller.minder.follow(controller, configuration.watch ? watch : nil)
        ServiceManager.notify("READY=1")
        store.keep(frontend.sockets)
        Successor.sayReady(untaken: frontend.untaken)
        let arriving = try arrivals.map { arrivals in
            try ReactorThread.start(name: "sluice-arrivals") {
                arrivals.serve(controller)
            }
        }
        frontend.wait()
        observer.ends()
        controller.farewell.wait()
        TapDesk.endAll(frontend)
        keys.stop()
        stop(admin, names, health, log, traces)
        // It waits for ever; the process ends without it.
        withExtendedLifetime((obeying, arriving)) {}
    }

    /// Stops what serves beside the engine, the log last.
    private static func stop(
        _ admin: AdminServers, _ names: NameWatch, _ health: HealthWatch, _ log: LogWriter,
        _ traces: TraceExporter
    ) {
        admin.stop(finishingWithin: Farewell.patienceMilliseconds)
        names.stop()
        health.stop()
        // Behind the last request, and before the log: it may have something to say.
        traces.close()
        log.write(LogEvent(.info, "sluice has stopped."))
        log.close()
    }

    private static func openLog(
        _ configuration: Configuration, above lastLine: LastLine?
    ) throws -> LogWriter {
        do throws(SystemError) {
            return try LogWriter(LogPlan(configuration.log), above: lastLine)
        } catch {
            throw Controller.problem(error, configuration.log)
        }
    }

    /// Makes what the configuration says, and who looks after it.
    ///
    /// Apart from `run`, which lasts as long as the process: the first assembly, with its private keys,
    /// goes when a reload has put another one in its place.
    private static func assemble(
        _ source: Controller.Source, _ version: String, _ configuration: Configuration,
        watchers: (
            names: NameWatch, health: HealthWatch, keys: KeyWatch, log: LogWriter,
            traces: TraceExporter
        ),
        _ thread: ControlThread, _ inherited: [Successor.Handed], _ store: ListenerStore,
        _ predecessors: Predecessors,
        making make: (Assembly, InheritedListeners) throws(SystemError) -> Frontend
    ) throws -> (Controller, Frontend) {
        let assembly = try thread.perform { [found = watchers.names.found] in
            Result { try Assembly(configuration, found: found) }
        }.get()
        let frontend: Frontend
        do throws(SystemError) {
            frontend = try make(
                assembly,
                InheritedListeners(
                    inherited.filter { $0.purpose == .listen }
                        .map { ($0.address, $0.descriptor) },
                    areKept: Successor.isActivated || store.isWanted))
        } catch {
            throw Controller.problem(
                error, configuration, assembly,
                own: inherited.filter { $0.purpose == .listen }.map(\.address))
        }
        let controller = try Controller(
            source: source, configuration: configuration, assembly: assembly, frontend: frontend,
            names: watchers.names, health: watchers.health, keys: watchers.keys,
            log: watchers.log, traces: watchers.traces, thread: thread, store: store,
            predecessors: predecessors, version: version)
        try watchers.names.watch(
            assembly.endpoints, expanding: configuration.expandingNames)
        try watchers.health.watch(assembly.checks)
        try watchers.keys.watch(
            assembly.tokens.keyrings, waitingFor: TokenRules.firstTryMilliseconds)
        return (controller, frontend)
    }

    private static func obey(_ signals: SignalWaiter, _ controller: Controller) {
        let start = Int64(time(nil))
        var reminder = DailyReminder(
            said: warnings(of: controller.state.assembly, at: start), at: start)
        while true {
            switch signals.next(withinMilliseconds: DailyReminder.lookMilliseconds) {
            case nil:
                let now = Int64(time(nil))
                let sentences = warnings(of: controller.state.assembly, at: now)
                for sentence in reminder.due(sentences, at: now) {
                    controller.log.write(LogEvent(.warning, sentence))
                }
            case SIGHUP: _ = controller.reload()
            case SIGUSR2:
                let upgrading = try? ReactorThread.start(name: "sluice-upgrade") {
                    _ = controller.upgrade()
                }
                if upgrading == nil { _ = controller.upgrade() }
            case SIGUSR1: controller.log.reopen()
            default:
                // On a thread of its own, so that a second signal is heard meanwhile.
                let stopping = try? ReactorThread.start(name: "sluice-stop") { controller.stop() }
                if stopping == nil { controller.stop() }
            }
        }
    }

    private static func warnings(of assembly: Assembly, at now: Int64) -> [String] {
        assembly.timeWarnings(at: now).map { "\($0.place): \($0.sentence)." }
    }

    /// Says what is served, but not as people are likely to want it.
    static func warn(_ assembly: Assembly, _ log: LogWriter) {
        for warning in assembly.warnings {
            log.write(LogEvent(.warning, "\(warning.place): \(warning.sentence)."))
        }
    }
}

/// Passes changes of names on, from the moment in which there is somebody to follow them.
private final class Following: Sendable {
    private let current = Mutex<Controller?>(nil)

    var controller: Controller? { current.withLock { $0 } }

    func begin(_ controller: Controller) {
        current.withLock { $0 = controller }
        // Something may have changed before.
        controller.followNames()
    }
}
