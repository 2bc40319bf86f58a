// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// The process's limit of open descriptors.
public enum OpenFiles {
    /// The limits as they stand now, and what the soft one was before.
    public struct Limits: Equatable, Sendable {
        /// What counts.
        public let soft: UInt64
        /// How far `soft` may be raised.
        public let hard: UInt64
        /// What `soft` was.
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
}
