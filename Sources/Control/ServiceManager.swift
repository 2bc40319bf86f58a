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
        guard let name = ProcessInfo.processInfo.environment["NOTIFY_SOCKET"] else { return }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var path = Array(name.utf8)
        guard !path.isEmpty, path.count < MemoryLayout.size(ofValue: address.sun_path) else {
            return
        }
        // The manager may listen in the abstract namespace, which people write with an @ (unix(7)).
        if path[0] == UInt8(ascii: "@") { path[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        let socket = Glibc.socket(
            AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard socket >= 0 else { return }
        defer { close(socket) }
        let text = Array(lines.joined(separator: "\n").utf8)
        withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                _ = sendto(socket, text, text.count, Int32(MSG_NOSIGNAL), $0, length)
            }
        }
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
        return max(1, microseconds / 2_000)
    }
}
