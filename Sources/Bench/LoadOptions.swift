// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import LoadGenerator

/// What all kinds of load have in common on the command line.
struct LoadOptions: ParsableArguments {
    @Argument(help: "Where to: wss://host[:port]/path or ws://host[:port]/path.")
    var url: String

    @Option(help: "Connect to this address in place of the URL's: 127.0.0.1:8443, unix:/path.")
    var connect: String?

    @Option(
        help: ArgumentHelp(
            "Trust the certificates in this PEM file. Without it any certificate will do.",
            valueName: "file"))
    var ca: String?

    @Option(help: "TLS 1.3 suites to offer, as TLS_AES_128_GCM_SHA256[:…].")
    var cipher: String?

    @Option(
        help: ArgumentHelp(
            "Run this long before measuring begins.", valueName: "seconds"))
    var warmup: Double = 0

    @Option(
        help: ArgumentHelp(
            "Speak HTTP/2, with so many WebSockets in each connection (RFC 8441).",
            valueName: "count"))
    var streams: Int?

    @Option(help: "Run on this core.")
    var cpu: Int?

    @Option(
        name: .customLong("watch-pid"), parsing: .singleValue,
        help: ArgumentHelp(
            "Measure CPU time and memory of this process too. Give it several times, or "
                + "comma-separated, for a tree of processes: they are added up.",
            valueName: "pid"))
    var watchPIDs: [String] = []

    @Flag(help: "Print one JSON object.")
    var json = false

    func plan(_ mode: LoadPlan.Mode) throws -> LoadPlan {
        var target = try LoadTarget(parsing: url)
        if let connect { try target.connect(to: connect) }
        var plan = LoadPlan(target: target, mode: mode)
        plan.caFile = ca
        plan.streams = streams
        plan.cipherSuites = cipher
        plan.warmupSeconds = warmup
        plan.cpu = cpu
        plan.watchedProcesses = try watchPIDs.flatMap { $0.split(separator: ",") }.map { text in
            guard let pid = Int32(text) else {
                throw ValidationError("--watch-pid takes process numbers, not “\(text)”.")
            }
            return pid
        }
        return plan
    }

    /// Carries the plan out and prints what it has shown.
    func run(_ plan: LoadPlan, onOpen: @escaping (Int) -> Void = { _ in }) throws {
        let report = try LoadGenerator.run(plan, onOpen: onOpen)
        print(json ? try ReportText.json(report) : ReportText.lines(report))
        if report.errors > 0 { throw ExitCode(1) }
    }
}

/// When a load ends: after a time or a count.
struct EndOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Measure this long.", valueName: "seconds"))
    var duration: Double = 5

    @Option(help: "Measure so many messages (or connections) in place of a time.")
    var count: UInt64?

    var end: LoadPlan.End {
        count.map { .count($0) } ?? .seconds(duration)
    }
}
