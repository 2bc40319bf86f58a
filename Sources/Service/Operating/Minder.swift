// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Frontend
import Glibc
import Ledger
import Log
import Reactor
import Synchronization

/// What is looked after from time to time: files that change, faults whose time is over, and the service manager's
/// watchdog.
final class Minder: Sendable {
    private struct State {
        /// Nil where nobody wants them watched.
        var files: FileWatch?
        /// When faults end by themselves of which somebody is to be told.
        var faultEnds: [FaultEnd] = []
        var isRunning = false

        /// Takes out those whose time has come.
        mutating func takeFaultEnds(_ now: UInt64) -> [FaultEnd] {
            let over = faultEnds.filter { $0.milliseconds <= now }
            if !over.isEmpty { faultEnds.removeAll { $0.milliseconds <= now } }
            return over
        }
    }

    /// The end of faults that `sluice chaos --for` has begun.
    struct FaultEnd {
        /// By `Clock`.
        let milliseconds: UInt64
        /// The routes that have them.
        let routes: [String]
    }

    /// How often files are looked at; a change counts once it has stood for as long.
    private static let lookMilliseconds: UInt64 = 500

    private let state = Mutex(State())
    private let watchdog = ServiceManager.watchdogMilliseconds

    /// Goes by a configuration from now on, on a thread that is there while there is anything to do.
    ///
    /// - Parameters:
    ///   - controller: who reads what has changed.
    ///   - files: its files as they were before they were read; nil where they are not to be watched.
    func follow(_ controller: Controller, _ files: FileWatch?) {
        start(controller, "Files are not watched") { $0.files = files }
    }

    /// Tells the log of the end of faults.
    func tell(_ controller: Controller, of end: FaultEnd) {
        start(controller, "The end of faults will not be told") { $0.faultEnds.append(end) }
    }

    /// Changes what there is to do, and begins the thread where it is needed.
    private func start(
        _ controller: Controller, _ problem: String, _ change: (inout State) -> Void
    ) {
        let isNeeded = state.withLock { state in
            change(&state)
            let isNeeded = !state.isRunning && hasWork(state)
            state.isRunning = state.isRunning || isNeeded
            return isNeeded
        }
        guard isNeeded else { return }
        do throws(SystemError) {
            _ = try ReactorThread.start(name: "sluice-minder") { [self] in run(controller) }
        } catch {
            state.withLock { $0.isRunning = false }
            controller.log.write(LogEvent(.error, "\(problem): \(error)."))
        }
    }

    private func hasWork(_ state: State) -> Bool {
        watchdog != nil || state.files != nil || !state.faultEnds.isEmpty
    }

    private func run(_ controller: Controller) {
        let pause = min(watchdog ?? Self.lookMilliseconds, Self.lookMilliseconds)
        var nextBeat: UInt64 = 0
        while true {
            usleep(UInt32(pause * 1_000))
            if let watchdog, Clock.nowMilliseconds() >= nextBeat,
                controller.frontend.isResponsive(within: watchdog)
            {
                ServiceManager.notify("WATCHDOG=1")
                nextBeat = Clock.nowMilliseconds() + watchdog
            }
            let (goesOn, hasChanged, over) = state.withLock { state in
                let over = state.takeFaultEnds(Clock.nowMilliseconds())
                state.isRunning = hasWork(state)
                return (state.isRunning, state.files?.hasSettledChange() == true, over)
            }
            for end in over { ChaosDesk(controller: controller).tell(of: end) }
            if !goesOn { return }
            if hasChanged { _ = controller.reload() }
        }
    }

    /// The configuration, and the certificates, keys and passwords that it names.
    static func paths(_ source: Controller.Source, _ configuration: Configuration) -> [String] {
        let certificates = configuration.listen.compactMap(\.tls)
            .flatMap(\.certificates)
        let clients = configuration.listen.compactMap(\.tls?.clientCertificates)
        let upstreams = configuration.upstreams.values.map(\.tls)
        let shown = upstreams.compactMap(\.certificate).flatMap { [$0.chain, $0.key] }
        return source.files + upstreams.compactMap(\.authorities) + shown
            + certificates.flatMap { [$0.chain, $0.key] }
            + clients.flatMap { [$0.authorities] + [$0.revoked].compactMap(\.self) }
            + configuration.routes.compactMap(\.access?.basic?.file)
            + configuration.routes.compactMap(\.access?.token).flatMap {
                [$0.file, $0.authorities].compactMap(\.self)
            }
    }
}

/// Files whose change is noticed by looking at them.
///
/// Looking finds what replaces a file as well as what is written into it, also behind symbolic links
/// and on file systems that tell nobody.
struct FileWatch {
    private struct Stamp: Equatable {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        var bytes: Int64 = 0
        var seconds: Int = 0
        var nanoseconds: Int = 0

        init(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return }
            device = UInt64(status.st_dev)
            inode = UInt64(status.st_ino)
            bytes = Int64(status.st_size)
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
        }
    }

    private var paths: [String] = []
    /// As they were when they were last taken up.
    private var known: [Stamp] = []
    /// As they were when they were last looked at.
    private var seen: [Stamp] = []

    init(_ paths: [String]) { watch(paths) }

    /// Watches these from now on, as they are now; those that were watched, as they were seen last.
    mutating func watch(_ new: [String]) {
        var stamps: [String: Stamp] = [:]
        for (path, stamp) in zip(paths, seen) { stamps[path] = stamp }
        paths = new
        known = new.map { stamps[$0] ?? Stamp($0) }
        seen = known
    }

    /// Looks; true when something has changed and has then stayed as it is for one look.
    mutating func hasSettledChange() -> Bool {
        let now = paths.map(Stamp.init)
        defer { seen = now }
        return now != known && now == seen
    }
}
