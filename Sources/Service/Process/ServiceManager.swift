// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor

/// Tells the service manager how the process is, in the protocol of sd_notify(3).
///
/// Without `NOTIFY_SOCKET` in the environment nobody asked, and nothing is sent.
public enum ServiceManager {
    /// Says something: lines as `READY=1`.
    public static func notify(_ lines: String...) {
        guard let name = ProcessInfo.processInfo.environment["NOTIFY_SOCKET"],
            let address = UnixDatagram.address(name)
        else { return }
        let socket = UnixDatagram.socket()
        guard socket >= 0 else { return }
        defer { close(socket) }
        let text = Array(lines.joined(separator: "\n").utf8)
        _ = text.withUnsafeBytes { UnixDatagram.send($0, to: address, on: socket) }
    }

    /// Says something, and hands a copy of a descriptor over.
    static func notify(_ lines: String..., passing descriptor: Int32) {
        guard let name = ProcessInfo.processInfo.environment["NOTIFY_SOCKET"],
            let address = UnixDatagram.address(name)
        else { return }
        let socket = UnixDatagram.socket()
        guard socket >= 0 else { return }
        defer { close(socket) }
        let text = Array(lines.joined(separator: "\n").utf8)
        _ = UnixDatagram.send(text, with: descriptor, to: address, on: socket)
    }

    /// How long what follows the last relay's end may take: the log, the threads, the process itself.
    private static let farewellMilliseconds: UInt64 = 10_000

    /// Says that the process stops.
    ///
    /// - Parameter milliseconds: how long its connections have, where the manager is to wait for that even if
    ///   its own time is shorter; nil where that one holds.
    static func notifyStopping(within milliseconds: UInt64?) {
        guard let milliseconds else { return notify("STOPPING=1") }
        let whole = (milliseconds + farewellMilliseconds) * 1_000
        notify("STOPPING=1", "EXTEND_TIMEOUT_USEC=\(whole)")
    }

    /// The monotonic time as it wants it with `RELOADING=1`.
    public static var monotonic: String {
        "MONOTONIC_USEC=\(Clock.nowNanoseconds() / 1_000)"
    }

    /// How often it wants to hear that all is well, in milliseconds; nil when it does not.
    public static var watchdogMilliseconds: UInt64? {
        let environment = ProcessInfo.processInfo.environment
        guard let text = environment["WATCHDOG_USEC"], let microseconds = UInt64(text),
            microseconds > 0
        else { return nil }
        if let pid = environment["WATCHDOG_PID"], pid != String(getpid()) { return nil }
        // Longer than a day is as good as never, and short of every number's end.
        return max(1, min(microseconds / 2_000, 86_400_000))
    }
}
