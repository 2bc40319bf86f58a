// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
import Synchronization

/// A thread of its own, with all signals blocked.
public final class ReactorThread: Sendable {
    private let thread: pthread_t
    private let isJoined = Mutex(false)

    private final class Start: Sendable {
        let name: String
        let cpu: Int?
        let body: @Sendable () -> Void

        init(name: String, cpu: Int?, body: @escaping @Sendable () -> Void) {
            self.name = name
            self.cpu = cpu
            self.body = body
        }
    }

    private init(thread: pthread_t) {
        self.thread = thread
    }

    deinit {
        if !isJoined.withLock({ $0 }) { pthread_detach(thread) }
    }

    /// Starts `body` on a new thread, pinned to a core when `cpu` is given.
    ///
    /// Of the name the system keeps 15 bytes. A core that does not exist is ignored.
    public static func start(
        name: String, cpu: Int? = nil, body: @escaping @Sendable () -> Void
    ) throws(SystemError) -> ReactorThread {
        // The new thread inherits the mask: there is no moment in which a signal can hit it.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }

        let start = Unmanaged.passRetained(Start(name: name, cpu: cpu, body: body))
        var thread = pthread_t()
        let code = pthread_create(
            &thread, nil,
            { argument in
                guard let argument else { return nil }
                let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
                sluice_name_thread(String(start.name.prefix(15)))
                if let cpu = start.cpu { _ = sluice_pin_to_cpu(Int32(cpu)) }
                start.body()
                return nil
            }, start.toOpaque())
        guard code == 0 else {
            start.release()
            throw SystemError(code: code, call: "start the thread \(name)")
        }
        return ReactorThread(thread: thread)
    }

    /// Waits until the body has returned.
    ///
    /// Only the first call waits.
    public func join() {
        let isFirst = isJoined.withLock { joined in
            defer { joined = true }
            return !joined
        }
        if isFirst { pthread_join(thread, nil) }
    }

    /// Pins the calling thread to a core; false when that is not possible.
    @discardableResult
    public static func pinCurrent(toCPU cpu: Int) -> Bool {
        sluice_pin_to_cpu(Int32(truncatingIfNeeded: cpu)) == 0
    }

    /// Lets the other threads go first where cores are short: nice 10 for the calling thread alone.
    public static func yieldToOthers() {
        // On Linux a priority is a thread's, and 0 the calling one's (setpriority(2), "Bugs").
        _ = setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
    }

    /// Has the calling thread woken as exactly as the system can; else it may be 50 µs late, which saves power.
    public static func sharpenTimers() { sluice_sharpen_timers() }

    /// How many cores this process may use.
    public static var availableCores: Int {
        max(1, Int(sluice_available_cpus()))
    }
}
