// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Reads what processes have used, from /proc.
struct ProcessWatch: Sendable {
    let processes: [Int32]

    /// CPU time of all threads of all processes so far, in nanoseconds.
    func cpuNanoseconds() -> UInt64 {
        processes.reduce(0) { $0 + Self.cpuNanoseconds(of: $1) }
    }

    /// Resident memory of all processes, in kilobytes.
    func residentKilobytes() -> UInt64 {
        processes.reduce(0) { sum, process in
            let status = Self.text(of: "/proc/\(process)/status") ?? ""
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
            let value = line?.split { $0 == " " || $0 == "\t" }.dropFirst().first
            return sum + (value.flatMap { UInt64($0) } ?? 0)
        }
    }

    /// The most memory that this process has had, in kilobytes; 0 where that is not known.
    static func peakKilobytes() -> UInt64 {
        let line = text(of: "/proc/self/status")?.split(separator: "\n").first {
            $0.hasPrefix("VmHWM:")
        }
        return line?.split { $0 == " " || $0 == "\t" }.dropFirst().first.flatMap { UInt64($0) } ?? 0
    }

    /// The first of the processes that does not exist.
    func missing() -> Int32? {
        processes.first { Self.text(of: "/proc/\($0)/stat") == nil }
    }

    private static func cpuNanoseconds(of process: Int32) -> UInt64 {
        let sum = threads(of: process).reduce(UInt64(0)) { sum, thread in
            // The first number is the time on a core, in nanoseconds.
            let line = text(of: "/proc/\(process)/task/\(thread)/schedstat")
            return sum + (line?.split(separator: " ").first.flatMap { UInt64($0) } ?? 0)
        }
        return sum > 0 ? sum : cpuNanosecondsFromTicks(of: process)
    }

    /// The same from clock ticks of usually 10 ms, for a system without schedstat.
    private static func cpuNanosecondsFromTicks(of process: Int32) -> UInt64 {
        // The name in parentheses may hold spaces: count from behind it. utime and stime are the
        // fields 14 and 15 of the line.
        guard let line = text(of: "/proc/\(process)/stat"), let end = line.lastIndex(of: ")") else {
            return 0
        }
        let fields = line[line.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = UInt64(fields[11]), let system = UInt64(fields[12])
        else { return 0 }
        let ticksPerSecond = UInt64(max(1, sysconf(Int32(_SC_CLK_TCK))))
        return (user + system) * 1_000_000_000 / ticksPerSecond
    }

    private static func threads(of process: Int32) -> [Int32] {
        guard let folder = opendir("/proc/\(process)/task") else { return [] }
        defer { closedir(folder) }
        var threads: [Int32] = []
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if let thread = Int32(name) { threads.append(thread) }
        }
        return threads
    }

    static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 8192)
        let count = read(descriptor, &bytes, bytes.count)
        return count >= 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
