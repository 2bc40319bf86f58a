// SPDX-License-Identifier: Apache-2.0
import Glibc
public import Reactor
import Synchronization

/// One thread that does what takes much memory, however many ask for it.
///
/// The C library keeps freed memory for the thread that had it: on threads of their own each reload
/// would leave what it took behind, until every pool of the library had its share.
public final class ControlThread: Sendable {
    private let jobs: Mailbox<@Sendable () -> Void>
    private let isOver = Atomic<Bool>(false)
    private let thread = Mutex<ReactorThread?>(nil)

    /// Starts the thread, named `sluice-control`.
    public init() throws(SystemError) {
        jobs = try Mailbox()
        let started = try ReactorThread.start(name: "sluice-control") { [self] in
            ReactorThread.yieldToOthers()
            while !isOver.load(ordering: .acquiring) {
                _ = jobs.wait(milliseconds: -1)
                for job in jobs.take() { job() }
            }
        }
        thread.withLock { $0 = started }
    }

    /// Does it there, behind what was asked for before; waits for nothing.
    public func begin(_ body: @escaping @Sendable () -> Void) { jobs.post(body) }

    /// Does it there and waits for it; not to be called from there.
    ///
    /// - Throws: `SystemError` when there is no descriptor left to wait with.
    public func perform<Value: Sendable>(
        _ body: @escaping @Sendable () -> Value
    ) throws(SystemError) -> Value {
        let answers = try Mailbox<Value>()
        jobs.post { answers.post(body()) }
        while true {
            _ = answers.wait(milliseconds: -1)
            if let value = answers.take().first { return value }
        }
    }

    /// Ends the thread behind what was asked for.
    public func stop() {
        jobs.post { [self] in isOver.store(true, ordering: .releasing) }
        thread.withLock { $0 }?.join()
    }
}
