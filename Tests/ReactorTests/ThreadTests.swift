// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Synchronization
import Testing

@Suite struct ThreadTests {
    @Test func `a thread runs its body with all signals blocked, and join waits for it`() throws {
        let blocked = Mutex<[Bool]>([])
        let thread = try ReactorThread.start(name: "a name that is too long for the system") {
            var mask = sigset_t()
            pthread_sigmask(SIG_SETMASK, nil, &mask)
            let found = [SIGTERM, SIGHUP, SIGINT, SIGUSR2, SIGPIPE].map {
                sigismember(&mask, $0) == 1
            }
            blocked.withLock { $0 = found }
        }
        thread.join()
        thread.join()
        #expect(blocked.withLock { $0 } == [true, true, true, true, true])
        #expect(ReactorThread.availableCores >= 1)
    }

    @Test func `a signal waits until it is taken`() throws {
        let taken = Mutex<Int32>(0)
        let thread = try ReactorThread.start(name: "signals") {
            let waiter = SignalWaiter([SIGUSR1, SIGUSR2])
            pthread_kill(pthread_self(), SIGUSR2)
            taken.withLock { $0 = waiter.next() }
        }
        thread.join()
        #expect(taken.withLock { $0 } == SIGUSR2)
    }

    @Test func `the clocks run forward and agree`() {
        let milliseconds = Clock.nowMilliseconds()
        let nanoseconds = Clock.nowNanoseconds()
        #expect(nanoseconds / 1_000_000 >= milliseconds)
        #expect(Clock.nowMilliseconds() >= milliseconds)
        #expect(Clock.wallMilliseconds() > 1_700_000_000_000)
    }

    @Test func `the limit of open files is raised to the hard one`() {
        let limits = OpenFiles.raiseLimit()
        #expect(limits.soft == limits.hard)
        #expect(limits.was <= limits.soft)
    }

    @Test func `a failed call says what failed and why`() {
        let error = SystemError(code: EACCES, call: "bind 0.0.0.0:80")
        #expect(error.description == "bind 0.0.0.0:80: Permission denied")
        #expect(SystemError.text(of: 99_999) == "error 99999")
    }
}
