// SPDX-License-Identifier: Apache-2.0
import Config
import Control
import Frontend
import Glibc
import Reactor
import TLS

/// Runs a configuration from the first bind to the last goodbye.
enum Server {
    /// Serves until a signal says to stop; returns when everything has ended in order.
    ///
    /// `announcement` is printed when the listeners stand.
    static func run(
        _ configuration: Configuration, announcing announcement: Announcement
    ) throws {
        // Before any thread: threads inherit what is blocked.
        let signals = SignalWaiter([SIGTERM, SIGINT, SIGHUP])
        SignalWaiter.ignoreBrokenPipes()
        let files = OpenFiles.raiseLimit()
        let assembly = try Assembly(configuration)
        let log = try LogWriter(
            format: configuration.log.format == .json ? .json : .text,
            access: target(configuration.log.access))
        let names = try NameWatch(assembly.endpoints, journal: log.journal)
        let workers = configuration.workers ?? ReactorThread.availableCores
        let frontend = try Frontend(
            listening: assembly.listeners, routing: assembly.routing, settings: assembly.settings,
            workers: workers, journal: log.journal)
        try names.start()
        try frontend.start()
        for line in announcement.lines(frontend.addresses) { Output.line(line) }
        warnOfReadableKeys(configuration, log)
        log.write(
            LogEvent(
                .info,
                "sluice \(Sluice.version) is ready: \(workers) reactors, \(files.soft) open files"
                    + (files.soft > files.was ? " (raised from \(files.was))." : ".")))
        let obeying = try ReactorThread.start(name: "sluice-signals") {
            obey(
                signals, frontend: frontend, configuration: configuration,
                tickets: assembly.tickets, log: log)
        }
        frontend.wait()
        names.stop()
        log.write(LogEvent(.info, "sluice has stopped."))
        log.close()
        // The signal thread waits for signals for ever; the process ends without it.
        withExtendedLifetime(obeying) {}
    }

    private static func obey(
        _ signals: SignalWaiter, frontend: Frontend, configuration: Configuration,
        tickets: TicketKeys, log: LogWriter
    ) {
        var isDraining = false
        while true {
            switch signals.next() {
            case SIGHUP:
                if !isDraining { renew(frontend, configuration, tickets, log) }
            default:
                if isDraining {
                    log.write(LogEvent(.warning, "A second signal: everything is cut now."))
                    frontend.cut()
                    continue
                }
                isDraining = true
                let drain = configuration.drain
                log.write(
                    LogEvent(
                        .info,
                        "Stopping: \(frontend.connectionCount) connections are told"
                            + " \(drain.code) and have \(drain.timeout) to close."))
                frontend.drain(
                    code: drain.code, timeoutMilliseconds: drain.timeout.wholeMilliseconds)
            }
        }
    }

    /// Reads the certificates again.
    ///
    /// If any can't be used, all stay as they were.
    private static func renew(
        _ frontend: Frontend, _ configuration: Configuration, _ tickets: TicketKeys,
        _ log: LogWriter
    ) {
        do {
            let stores = try Assembly.certificates(configuration, tickets: tickets)
            frontend.use(certificates: stores)
            let count = stores.count { $0 != nil }
            log.write(
                LogEvent(
                    .info,
                    "The certificates of \(count) listener\(count == 1 ? "" : "s") were read again."
                ))
        } catch {
            log.write(
                LogEvent(.error, "Certificates were not reloaded, the old ones stay: \(error)"))
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

    private static func target(_ access: LogSettings.Access) -> LogWriter.Target {
        switch access {
        case .stdout: .stdout
        case .stderr: .stderr
        case .off: .off
        case .file(let path): .file(path)
        }
    }
}
