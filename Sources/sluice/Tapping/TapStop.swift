// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Synchronization

/// Whether somebody wants a command to end that writes something at its end.
final class TapStop: Sendable {
    private let wanted = Atomic<Bool>(false)

    /// From now on Ctrl-C and TERM say so, and a second one ends the program at once.
    ///
    /// To be made on the main thread before there is another one.
    init() throws {
        let waiter = SignalWaiter([SIGINT, SIGTERM, SIGHUP])
        _ = try ReactorThread.start(name: "sluice-stop") { [self] in
            _ = waiter.next()
            wanted.store(true, ordering: .relaxed)
            let signal = waiter.next()
            exit(128 + signal)
        }
    }

    var isWanted: Bool { wanted.load(ordering: .relaxed) }
}
