// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor

/// Ctrl-C in a command that only watches what a running Sluice does.
enum Interruption {
    /// From now on Ctrl-C ends this command with a sentence on standard error.
    ///
    /// The command ends by the signal all the same, as its shell expects. To be called on the main thread before
    /// there is another one.
    static func say(_ sentence: String) {
        var action = sigaction()
        // Who has it ignored, as nohup and shells in the background do, is not to be ended by it.
        guard sigaction(SIGINT, nil, &action) == 0,
            unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
                == unsafeBitCast(SIG_DFL, to: Int.self)
        else { return }
        let waiter = SignalWaiter([SIGINT])
        let started = try? ReactorThread.start(name: "sluice-interrupt") {
            _ = waiter.next()
            Output.complain("\n\(Program.pasteable(sentence))")
            allow()
            raise(SIGINT)
        }
        if started == nil { allow() }
    }

    /// Lets this thread be ended by it.
    private static func allow() {
        var interrupt = sigset_t()
        sigemptyset(&interrupt)
        sigaddset(&interrupt, SIGINT)
        pthread_sigmask(SIG_UNBLOCK, &interrupt, nil)
    }
}
