// SPDX-License-Identifier: Apache-2.0
import Glibc
import LoadGenerator
import Log
import Reactor
import Synchronization

/// Shows how a load stands while it runs, and ends it by Ctrl-C.
final class LoadWatch: Sendable {
    private let lastLine: LastLine?
    private let isOver = Mutex(false)
    private let stopped = Mutex(false)
    private let control = Mutex<LoadControl?>(nil)

    /// - Parameter isPiped: whether standard output is for a program.
    init(isPiped: Bool) {
        let shows = !isPiped && Terminal.output.isTerminal
        lastLine = shows ? LastLine(descriptor: STDOUT_FILENO) : nil
    }

    /// Begins to watch; to be called on the main thread before there is another one.
    func begin() throws {
        let waiter = SignalWaiter([SIGINT, SIGTERM, SIGHUP])
        _ = try ReactorThread.start(name: "sluice-stop") { [self] in
            _ = waiter.next()
            stop()
            let signal = waiter.next()
            exit(128 + signal)
        }
        _ = try ReactorThread.start(name: "sluice-watch") { [self] in
            var last = LoadProgress()
            while !isOver.withLock({ $0 }) {
                usleep(100_000)
                guard let progress = control.withLock({ $0 })?.progress else { continue }
                // Another run has begun.
                if progress.seconds < last.seconds { last = LoadProgress() }
                guard progress.seconds - last.seconds >= pause(progress.seconds) else { continue }
                show(LoadText.line(progress, after: last))
                last = progress
            }
        }
    }

    /// Watches this run from now on.
    func follow(_ run: LoadControl) {
        control.withLock { $0 = run }
        if isStopped { run.stop() }
    }

    /// Whether somebody has ended it.
    var isStopped: Bool { stopped.withLock { $0 } }

    private func stop() {
        stopped.withLock { $0 = true }
        control.withLock { $0 }?.stop()
    }

    /// A line that stays is written seldom where a run is long.
    private func pause(_ seconds: Double) -> Double { lastLine != nil || seconds < 11 ? 1 : 10 }

    private func show(_ text: String) {
        isOver.withLock { isOver in
            if isOver { return }
            if let lastLine {
                lastLine.show(String(text.prefix(max(0, Terminal.columns - 1))))
            } else {
                Output.complain(text)
            }
        }
    }

    /// Ends the watch and takes the live line away.
    func end() {
        isOver.withLock { $0 = true }
        lastLine?.clear()
    }
}
