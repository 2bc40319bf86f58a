// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Metrics

/// What the system says of this process, as Prometheus's own clients have it.
struct ProcessReadings {
    func add(to readings: inout MetricReadings) {
        var usage = rusage()
        if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
            let seconds = Self.seconds(usage.ru_utime) + Self.seconds(usage.ru_stime)
            readings.add(.cpuSeconds, value: seconds)
        }
        if let pages = Self.pages() {
            let pageBytes = Double(sysconf(Int32(_SC_PAGESIZE)))
            readings.add(.virtualBytes, value: pages.virtual * pageBytes)
            readings.add(.residentBytes, value: pages.resident * pageBytes)
        }
        if let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
            // One is the folder's own, which is open while it is read.
            readings.add(.openDescriptors, count: names.count - 1)
        }
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            readings.add(.mostDescriptors, value: Double(limit.rlim_cur))
        }
    }

    private static func seconds(_ time: timeval) -> Double {
        Double(time.tv_sec) + Double(time.tv_usec) / 1_000_000
    }

    /// Pages of memory that are mapped and resident (proc(5), `statm`).
    private static func pages() -> (virtual: Double, resident: Double)? {
        guard let text = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
            return nil
        }
        let fields = text.split(separator: " ").prefix(2).compactMap { Double($0) }
        return fields.count == 2 ? (fields[0], fields[1]) : nil
    }
}
