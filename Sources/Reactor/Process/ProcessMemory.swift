// SPDX-License-Identifier: Apache-2.0
import CLinux
import Synchronization

/// How malloc(3) deals with what is large and with what is freed.
public enum ProcessMemory {
    /// Maps large objects by themselves, so that they go back to the system when they are freed.
    ///
    /// A reload makes tables of megabytes while the old ones are still in use. Left to itself the C
    /// library puts them into its pools after the first time, between things that stay, and the holes
    /// fit nothing the next time. What is smaller stays in the pools, with some room at their end, so
    /// that connections that come and go make no system calls for memory.
    public static func prepare() {
        // Where malloc is another library's, this is refused and does no harm.
        _ = sluice_set_malloc(256 * 1024, keptBytes)
    }

    /// What stays at the end of a pool when it is free.
    private static let keptBytes: Int32 = 4 * 1_024 * 1_024

    /// Gives whole free pages back to the system, wherever they are in malloc's pools.
    ///
    /// Between things that stay, malloc keeps them by itself. This takes some milliseconds for each ten megabytes, in which
    /// other threads that allocate may wait.
    public static func giveBack() {
        _ = sluice_trim_malloc(Int(keptBytes))
    }
}

/// Gives back what a burst of connections has left in malloc's pools.
///
/// A handshake takes some 30 kB for a second, between the few hundred bytes that its connection keeps. Thousands
/// of clients that come at once leave holes that nothing would fill.
public struct BurstMemory: Sendable {
    /// So many sessions have to have left their memory before it is worth it.
    @usableFromInline static var sessionsMin: Int { 256 }
    /// While more sessions than that have still to, it would come too early.
    static let waitingMax = 16
    /// The threads of a process do so for each other, and not more often.
    static let pauseMilliseconds: UInt64 = 1_000

    /// Sessions that leave theirs further apart are no burst, where nothing else is said.
    public static let usualWindowMilliseconds: UInt64 = 10_000

    /// When one of those that go by it has given back last.
    final class Pause: Sendable {
        static let ofProcess = Pause()
        let lastMilliseconds = Atomic<UInt64>(0)
    }

    private let pause: Pause
    private let windowMilliseconds: UInt64
    @usableFromInline var count = 0
    private var beganMilliseconds: UInt64 = 0

    /// Nothing has left anything yet; what leaves within such a time counts together.
    public init(windowMilliseconds: UInt64 = usualWindowMilliseconds) {
        self.init(windowMilliseconds: windowMilliseconds, pause: .ofProcess)
    }

    init(windowMilliseconds: UInt64 = usualWindowMilliseconds, pause: Pause) {
        self.windowMilliseconds = windowMilliseconds
        self.pause = pause
    }

    /// So many sessions have left their memory.
    public mutating func released(_ more: Int, nowMilliseconds now: UInt64) {
        if count < Self.sessionsMin, now &- beganMilliseconds > windowMilliseconds {
            count = 0
            beganMilliseconds = now
        }
        count &+= more
    }

    /// Whether there is something to give back, now or later: where not, a turn need not ask any further.
    @inlinable public var isWorthIt: Bool { count >= Self.sessionsMin }

    /// When `giveBack` has something to do; the highest number for not without further events.
    public func nextMilliseconds(waiting: Int) -> UInt64 {
        guard count >= Self.sessionsMin, waiting <= Self.waitingMax else { return .max }
        return pause.lastMilliseconds.load(ordering: .relaxed) &+ Self.pauseMilliseconds
    }

    /// Gives back what there is, if that is worth it and the burst is over.
    ///
    /// - Parameters:
    ///   - waiting: sessions that have still to leave theirs.
    ///   - now: the time, by `Clock`.
    ///   - giveBackKept: gives malloc what the calling thread keeps of freed memory, which holds pages too.
    /// - Returns: whether it did.
    @discardableResult
    public mutating func giveBack(
        waiting: Int, nowMilliseconds now: UInt64, _ giveBackKept: () -> Void
    ) -> Bool {
        guard count >= Self.sessionsMin, waiting <= Self.waitingMax else { return false }
        let last = pause.lastMilliseconds.load(ordering: .relaxed)
        guard now >= last &+ Self.pauseMilliseconds,
            pause.lastMilliseconds.compareExchange(
                expected: last, desired: now, ordering: .relaxed
            ).exchanged
        else { return false }
        count = 0
        giveBackKept()
        ProcessMemory.giveBack()
        return true
    }
}
