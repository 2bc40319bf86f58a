// SPDX-License-Identifier: Apache-2.0
import Config
import Control
import Frontend
import Glibc
import Reactor
import Synchronization
import TLS

/// Runs a configuration from the first bind to the last goodbye.
enum Server {
    /// Serves until somebody says to stop; returns when everything has ended in order.
    ///
    /// `announcement` is printed when the listeners stand; `app` is looked after from then on.
    static func run(
        _ source: Controller.Source, watching app: AppWatch? = nil,
        announcing announce: (Configuration) -> Announcement
    ) throws {
        ProcessMemory.prepare()
        let inherited = Successor.inherited()
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
        let console = Console()
        let log: LogWriter
        do throws(SystemError) {
            log = try LogWriter(LogPlan(configuration.log), above: console.lastLine)
        } catch {
            throw Controller.problem(error, configuration.log)
        }
        let following = Following()
        let names = try NameWatch(
            servers: configuration.resolver.servers, journal: log.journal,
            changed: { following.controller?.followNames() })
        try names.watch([], expanding: configuration.expandingNames)
        let health = try HealthWatch(journal: log.journal)
        let workers = configuration.workers ?? ReactorThread.availableCores
        let (controller, frontend) = try assemble(
            source, configuration, watchers: (names: names, health: health, log: log),
            thread, inherited
        ) { assembly, listeners throws(SystemError) in
            try Frontend(
                listening: assembly.listeners, routing: assembly.routing,
                settings: assembly.settings, workers: workers,
                journal: console.listening(to: log.journal, for: app), inheriting: listeners)
        }
        let admin = try AdminServers(
            configuration.admin, controller, inheriting: inherited)
        controller.hand(over: admin)
        try frontend.start()
        following.begin(controller)
        try admin.start()
        let announced = announce(configuration).lines(
            frontend.addresses, terminal: console.terminal, columns: Terminal.columns)
        for line in announced { console.line(line) }
        warnOfReadableKeys(configuration, log)
        log.write(
            LogEvent(
                .info,
                "sluice \(Sluice.version) is ready: \(workers) reactors, \(files.soft) open files"
                    + (files.soft > files.was ? " (raised from \(files.was))." : ".")))
        let obeying = try ReactorThread.start(name: "sluice-signals") {
            obey(signals, controller)
        }
        try console.start(controller)
        try app?.start(console)
        controller.minder.follow(controller, configuration.watch ? watch : nil)
        ServiceManager.notify("READY=1")
        Successor.sayReady()
        frontend.wait()
        console.end()
        admin.stop()
        names.stop()
        health.stop()
        log.write(LogEvent(.info, "sluice has stopped."))
        log.close()
        // It waits for ever; the process ends without it.
        withExtendedLifetime(obeying) {}
    }

    /// Makes what the configuration says, and who looks after it.
    ///
    /// Apart from `run`, which lasts as long as the process: the first assembly, with its private keys,
    /// goes when a reload has put another one in its place.
    private static func assemble(
        _ source: Controller.Source, _ configuration: Configuration,
        watchers: (names: NameWatch, health: HealthWatch, log: LogWriter),
        _ thread: ControlThread, _ inherited: [Successor.Handed],
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
                        .map { ($0.address, $0.descriptor) }))
        } catch {
            throw Controller.problem(error, configuration, assembly)
        }
        let controller = Controller(
            source: source, configuration: configuration, assembly: assembly, frontend: frontend,
            names: watchers.names, health: watchers.health, log: watchers.log, thread: thread)
        try watchers.names.watch(
            assembly.endpoints, expanding: configuration.expandingNames)
        try watchers.health.watch(assembly.checks)
        return (controller, frontend)
    }

    private static func obey(_ signals: SignalWaiter, _ controller: Controller) {
        while true {
            switch signals.next() {
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

    private static func warnOfReadableKeys(_ configuration: Configuration, _ log: LogWriter) {
        for certificate in configuration.listen.compactMap(\.tls).flatMap(\.certificates)
        where CertificateFacts.isReadableByOthers(certificate.key) {
            log.write(
                LogEvent(
                    .warning,
                    "Others can read the private key \(certificate.key): chmod 600 it."))
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
