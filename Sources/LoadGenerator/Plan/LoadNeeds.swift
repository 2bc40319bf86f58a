// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor

/// What a load needs of this machine, and does not get: found out before it begins.
public enum LoadNeeds {
    /// What this machine has.
    struct Machine {
        var descriptors = 0
        /// Ports for one source address.
        var ports = 0
        var memoryBytes = 0
        /// Whether connections to others, and those to this machine itself, may take a port in TIME-WAIT up again.
        var reusesPorts = false
        var reusesPortsOfLoopback = false

        /// This machine as it is now; raises the soft limit of descriptors.
        static var here: Machine {
            var machine = Machine()
            machine.descriptors = Int(clamping: OpenFiles.raiseLimit().soft)
            let range = text("/proc/sys/net/ipv4/ip_local_port_range")
                .split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            if range.count == 2, range[1] >= range[0] { machine.ports = range[1] - range[0] + 1 }
            let reuse = text("/proc/sys/net/ipv4/tcp_tw_reuse").prefix { $0.isNumber }
            machine.reusesPorts = reuse == "1"
            machine.reusesPortsOfLoopback = reuse == "1" || reuse == "2"
            let line = text("/proc/meminfo").split(separator: "\n").first {
                $0.hasPrefix("MemAvailable:")
            }
            let kilobytes = line?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            machine.memoryBytes = kilobytes * 1024
            return machine
        }

        private static func text(_ path: String) -> String {
            (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        }
    }

    /// What can't work, each in a sentence that says what to change; empty where all is well.
    public static func problems(of plan: LoadPlan, threads: Int) -> [String] {
        // Numbers that no plan may have would not fit what is made of them.
        do throws(LoadFault) {
            try plan.check()
        } catch {
            return [error.sentence]
        }
        return foreignSources(of: plan) + problems(of: plan, threads: threads, on: .here)
    }

    /// Addresses that connections are to leave from and that are not this machine's.
    private static func foreignSources(of plan: LoadPlan) -> [String] {
        plan.dialing.sources.compactMap { source in
            guard let socket = try? Socket.stream(for: source) else { return nil }
            let code = socket.bindSource(source)
            guard code != 0 else { return nil }
            let host = source.hostString
            return "--source: connections can't leave from \(host): \(SystemError.text(of: code))."
                + (code == EADDRNOTAVAIL
                    ? " This machine has no such address: `ip addr` shows those that it has, and"
                        + " `ip addr add \(host) dev DEVICE` by root gives it another one." : "")
        }
    }

    /// What may stop working after a while, each in a sentence that says what to change.
    public static func warnings(of plan: LoadPlan, threads: Int) -> [String] {
        warnings(of: plan, threads: threads, on: .here)
    }

    /// For so long a port stays in TIME-WAIT where its connection ended first (Linux).
    private static let timeWaitSeconds = 60
    /// Connections that one thread opens and closes in a second at most, roughly.
    private static let cyclesPerSecond = 20_000.0

    static func warnings(of plan: LoadPlan, threads: Int, on machine: Machine) -> [String] {
        guard case .connect = plan.mode, plan.target.address?.isUnix != true else { return [] }
        let sources = max(1, plan.dialing.sources.count)
        let ports = machine.ports * sources
        let isLoopback = plan.target.isLoopback
        guard ports > 0, !(isLoopback ? machine.reusesPortsOfLoopback : machine.reusesPorts) else {
            return []
        }
        let most: Double =
            switch plan.end {
            case .count(let count): Double(count)
            case .seconds(let seconds): seconds * cyclesPerSecond * Double(threads)
            case .standardInputCloses: .infinity
            }
        guard most > Double(ports) else { return [] }
        let from = sources == 1 ? "one address" : "\(sources) addresses"
        return [
            "--mode connect: a connection that ends here first leaves its source port in TIME-WAIT for"
                + " \(timeWaitSeconds) s. The system has \(LoadNumber.grouped(ports)) ports for \(from), so more than"
                + " \(LoadNumber.grouped(ports / timeWaitSeconds)) connections a second use them up in the long run, and"
                + " fail as no-ports. Let them leave from several addresses (--source), widen the range"
                + " (sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"), or have the system take such ports up again"
                + " (sysctl -w net.ipv4.tcp_tw_reuse=1)."
        ]
    }

    static func problems(of plan: LoadPlan, threads: Int, on machine: Machine) -> [String] {
        var problems: [String] = []
        func number(_ value: Int) -> String { LoadNumber.grouped(value) }
        let descriptors = plan.connections + 16 + 4 * threads
        if machine.descriptors > 0, descriptors > machine.descriptors {
            problems.append(
                "\(number(plan.connections)) connections need \(number(descriptors)) open files, and this process"
                    + " may have \(number(machine.descriptors)). Raise the limit, as by"
                    + " `ulimit -Hn \(descriptors)` in a shell of root, or open fewer connections.")
        }
        let sources = max(1, plan.dialing.sources.count)
        let ports = machine.ports * sources
        let isUnix = plan.target.address?.isUnix == true
        if machine.ports > 0, !isUnix, plan.connections > ports {
            let from = sources == 1 ? "one address" : "\(sources) addresses"
            problems.append(
                "\(number(plan.connections)) connections from \(from) to one port need as many source ports, and the"
                    + " system has \(number(ports)) for them. Let them leave from several addresses (--source"
                    + " 127.0.0.2,127.0.0.3), or widen the range: sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"."
            )
        }
        let memory = memoryBytes(of: plan)
        if machine.memoryBytes > 0, memory > machine.memoryBytes {
            problems.append(
                "\(number(plan.connections)) connections need about \(number(memory >> 20)) MiB of memory, and"
                    + " \(number(machine.memoryBytes >> 20)) MiB are free. Open fewer of them, or share them out over"
                    + " several machines.")
        }
        return problems
    }

    /// About how much memory a load takes, with what the system has for its sockets.
    static func memoryBytes(of plan: LoadPlan) -> Int {
        let perConnection = plan.target.isSecure ? 24_576.0 : 6_144
        let streams = Double(plan.streams ?? 0)
        var perMessage = 0.0
        if case .closed(let inFlight) = plan.mode {
            perMessage = Double(inFlight) * 8 * max(1, streams)
        }
        let bytes =
            Double(plan.connections) * (perConnection + streams * 1024 + perMessage)
            + 2 * Double(plan.message.sizes.upperBound)
        return Int(exactly: bytes.rounded()) ?? .max
    }
}
