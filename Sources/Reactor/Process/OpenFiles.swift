// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc
import Synchronization

/// The process's limit of open descriptors.
public enum OpenFiles {
    /// The limits as they stand now, and what the soft one was before.
    public struct Limits: Equatable, Sendable {
        /// The soft limit, which is the one that holds; 0 where it could not be read.
        public let soft: UInt64
        /// How far `soft` may be raised.
        public let hard: UInt64
        /// The soft limit before it was raised.
        public let was: UInt64
    }

    /// Raises the soft limit to the hard one; on failure it stays as it was.
    @discardableResult
    public static func raiseLimit() -> Limits {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return Limits(soft: 0, hard: 0, was: 0)
        }
        let was = UInt64(limit.rlim_cur)
        limit.rlim_cur = limit.rlim_max
        let raised = setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
        let hard = UInt64(limit.rlim_max)
        return Limits(soft: raised ? hard : was, hard: hard, was: was)
    }

    /// Has no program that is started from here on inherit what is open now, but for the standard descriptors:
    /// libraries open some without saying so (libcurl's sockets have no FD_CLOEXEC).
    public static func keepFromPrograms() {
        if sluice_keep_from_programs(3) == 0 { return }
        // Before Linux 5.11 each is told for itself.
        guard let folder = opendir("/proc/self/fd") else { return }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
            }
            if let descriptor = Int32(name), descriptor > 2 {
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            }
        }
    }

    // MARK: The reserve

    /// How many descriptors are kept for what.
    public struct Reserve: Equatable, Sendable {
        /// For the process's own needs: the admin socket, the log, reloads with their files and new
        /// listeners, DNS, a successor.
        public let own: Int
        /// Beside those, for health checks, and for what is opened while the process's own needs are met.
        public let dialing: Int

        /// What is kept of so many as are left when all is set up: a third and a sixteenth of few, and no
        /// more than so many of plenty.
        public init(left: Int) {
            own = min(160, max(0, left) / 3)
            dialing = min(512, max(0, left) / 16)
        }
    }

    // The system always gives out the lowest number that is free. So where a new descriptor has the
    // number n, at least n are open, whoever has opened them. There may be more, since low numbers become
    // free again: what connections need is counted (`forConnections`), and this bounds what nobody counts.
    private static let clientsBelow = Atomic<Int32>(.max)
    private static let dialsBelow = Atomic<Int32>(.max)
    private static let own = Atomic<Int>(160)
    private static let connections = Atomic<Int>(.max)

    /// Keeps a reserve from now on; to be called when all is open that is open all the time, but for
    /// `more` descriptors.
    @discardableResult
    public static func keepReserve(more: Int) -> Reserve {
        var limit = rlimit()
        let lowest = fcntl(0, F_DUPFD_CLOEXEC, 3)
        if lowest >= 0 { close(lowest) }
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            return Reserve(left: 0)
        }
        let most = Int(Int32(clamping: UInt64(limit.rlim_cur)))
        let left = lowest < 0 ? 0 : most - Int(lowest) - more
        let reserve = Reserve(left: left)
        connections.store(
            max(2, left - reserve.own - reserve.dialing), ordering: .relaxed)
        own.store(reserve.own, ordering: .relaxed)
        dialsBelow.store(Int32(clamping: most - reserve.own), ordering: .relaxed)
        clientsBelow.store(
            Int32(clamping: most - reserve.own - reserve.dialing), ordering: .relaxed)
        return reserve
    }

    /// Descriptors that connections of clients and to endpoints may have together; without bound where no
    /// reserve is kept.
    public static var forConnections: Int { connections.load(ordering: .relaxed) }

    /// Descriptors that are kept for the process's own needs; plenty where none was asked to be kept.
    public static var ownReserve: Int { own.load(ordering: .relaxed) }

    /// Whether a connection to an endpoint may have a descriptor of this number.
    static func mayDial(with descriptor: Int32) -> Bool {
        descriptor < dialsBelow.load(ordering: .relaxed)
    }

    /// Whether a client that came with a descriptor of this number may stay.
    public static func mayStay(_ descriptor: Int32) -> Bool { mayDial(with: descriptor) }

    /// Whether more clients may come behind one that came with a descriptor of this number.
    public static func mayCome(behind descriptor: Int32) -> Bool {
        descriptor < clientsBelow.load(ordering: .relaxed)
    }

    /// Whether a client may come, by a look at which descriptor it would get; `descriptor` is any that
    /// is open.
    public static func hasRoomForClient(beside descriptor: Int32) -> Bool {
        let lowest = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        if lowest < 0 { return false }
        close(lowest)
        return mayCome(behind: lowest)
    }
}
