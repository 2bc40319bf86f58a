// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// Turns signals into values that one thread waits for.
///
/// To be made on the main thread before any other thread starts: threads inherit what is blocked,
/// and a signal that one thread does not block would be delivered there.
public final class SignalWaiter: Sendable {
    private let signals: [Int32]

    /// Blocks the signals, so that from now on they wait for `next`.
    public init(_ signals: [Int32]) {
        self.signals = signals
        var set = SignalWaiter.set(of: signals)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Waits for the next of the signals.
    public func next() -> Int32 {
        var set = SignalWaiter.set(of: signals)
        while true {
            var signal: Int32 = 0
            if sigwait(&set, &signal) == 0 { return signal }
        }
    }

    /// Waits for the next of the signals, and no longer than that; nil where none came.
    public func next(withinMilliseconds milliseconds: Int64) -> Int32? {
        var set = SignalWaiter.set(of: signals)
        var limit = timespec(
            tv_sec: Int(milliseconds / 1_000), tv_nsec: Int(milliseconds % 1_000) * 1_000_000)
        let signal = sigtimedwait(&set, nil, &limit)
        return signal > 0 ? signal : nil
    }

    /// Ignores SIGPIPE.
    ///
    /// Sends ask for no signal, but other writers of the process cannot.
    public static func ignoreBrokenPipes() {
        signal(SIGPIPE, SIG_IGN)
    }

    static func set(of signals: [Int32]) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return set
    }
}
