// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Foundation
import LoadGenerator
import Reactor

/// `sluice load` and its commands.
struct LoadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "load",
        abstract: "Load test a WebSocket server.",
        subcommands: [LoadTestCommand.self, LoadCompareCommand.self],
        defaultSubcommand: LoadTestCommand.self)

    /// Its default command, whose help is that of `sluice load`.
    static let usual = "test"

    /// The words with the default command in them, where the help of `load` is asked for.
    static func withUsualHelp(_ words: [String]) -> [String] {
        switch words {
        case ["load", "--help"], ["load", "-h"]: ["load", usual, "--help"]
        case ["help", "load"]: ["help", "load", usual]
        default: words
        }
    }
}

/// `sluice load test`, or `sluice load` alone: load for a WebSocket server, and what it has shown.
struct LoadTestCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: LoadCommand.usual,
        abstract: "Load test a WebSocket server; `sluice load URL` does the same.",
        usage: """
            sluice load wss://localhost:8443/chat
            sluice load wss://app.test/ws --connections 1000 --ramp 10s --rate 500/s
            sluice load ws://127.0.0.1:3000/ --messages 100000 --size 100..4000
            sluice load wss://app.test/feed --mode push --message '{"subscribe":"a"}' --clock ts
            sluice load wss://app.test/ws --mode hold --connections 20000 --source 10.0.0.2,10.0.0.3
            sluice load wss://app.test/ws --mode storm --back-off 1s..30s
            sluice load wss://app.test/ --script chat.yaml --connections 200 --duration 1m
            sluice load wss://app.test/ --replay frames.jsonl --speed 10x --connections 500
            sluice load wss://app.test/ws --expect 'p99 < 50ms' --expect 'errors < 0.1%' --json -
            sluice load wss://app.test/ws --repeat 5 --json a.json --report a.html
            sluice load compare a.json b.json
            """,
        discussion: """
            --mode echo sends messages that the server sends back, checks every byte, and times the way there \
            and back; push counts and times what the server sends by itself; stream sends large messages back \
            and forth (MB/s); hold opens sockets, leaves them alone and asks each at the end whether it is \
            alive; connect opens and closes connections over and over and times name, TCP, TLS and upgrade, and \
            with --http2 streams, on each of which one message comes back; \
            storm opens all, drops them at once, and times how long each needs until it is served again.

            With --script clients do what a file says step by step: send, expect, wait, loop, with variables and \
            several weighted scenarios.

            With --replay clients send what `sluice tap --record` or a browser (HAR) has recorded, at the same times \
            or faster. Cookies, queries and fields for logging in are left out unless --replay-secrets is given; what the \
            messages say is sent as it was recorded.

            With --rate messages leave by the clock, whether or not earlier ones are back, and latency counts \
            from the moment at which a message should have left (the open model): a server that stalls is \
            charged for all that it makes wait. Without it, each connection has --in-flight messages under \
            way and sends the next when one is back (the closed model): it finds how fast a server can go, and \
            its percentiles leave out what was not sent meanwhile.

            Certificates are verified by the system's authorities, Sluice's own and --ca. Traffic begins when \
            all connections are open. Ctrl-C ends the run early, and what was measured is reported; a second \
            one ends it without a report. The report says whether this program was slower than what it \
            measured. What the numbers mean is in docs/load-testing.md.
            """ + ExitCodes.help("load test"))

    @Argument(help: "Where to: wss://host[:port]/path or ws://host[:port]/path.")
    var url: String

    @Option(
        help: ArgumentHelp(
            "What the connections do: \(LoadMode.allCases.map(\.rawValue).joined(separator: ", ")).",
            valueName: "mode"))
    var mode = LoadMode.echo

    @Option(
        help: ArgumentHelp(
            "Have clients do what a script says (YAML), in place of --mode.", valueName: "file"))
    var script: String?

    @OptionGroup(title: "Replay") var replaying: LoadReplayOptions
    @OptionGroup(title: "Traffic") var traffic: LoadTrafficOptions
    @OptionGroup(title: "Connections") var dialing: LoadDialingOptions
    @OptionGroup(title: "Report") var report: LoadReportOptions

    @Option(
        help: ArgumentHelp(
            "Run on so many threads at most. (default: one for each core)", valueName: "n"))
    var threads: Int?

    /// Refuses what has no meaning in the mode.
    func validate() throws {
        if let threads, !(1...1024 ~= threads) {
            throw ValidationError(
                "--threads takes a whole number from 1 to 1024, found \(threads).")
        }
        try LoadPlanning(self).validate()
    }

    /// Carries the load out and tells what it has shown.
    func run() throws {
        let (plan, expectations) = try planned()
        let threads = min(threads ?? ReactorThread.availableCores, plan.connections)
        let problems = LoadNeeds.problems(of: plan, threads: threads)
        guard problems.isEmpty else { throw LoadFault(problems.joined(separator: "\n")) }
        for warning in LoadNeeds.warnings(of: plan, threads: threads) { Output.complain(warning) }
        let files = try LoadFiles(report)
        let isPiped = report.json == "-"
        let results = try runAll(plan, threads: threads, isPiped: isPiped)
        guard var result = LoadResult.together(results) else { throw LoadFault("nothing has run") }
        finish(&result, results, expectations)
        let lines = LoadText.lines(result.summary)
        for line in lines { isPiped ? Output.complain(line) : Output.line(Output.escaped(line)) }
        try files.write(result)
        try conclude(result.summary)
    }

    /// The plan, and what is expected of it.
    private func planned() throws -> (LoadPlan, [LoadExpectation]) {
        do {
            let planning = try LoadPlanning(self, script: script.map(LoadScriptFile.read))
            let texts = report.expect.isEmpty ? planning.expected : report.expect
            return (try planning.plan(url), try LoadReportOptions.expectations(texts))
        } catch let problems as ConfigurationProblems {
            // Each line begins with its place, for editors that jump there.
            Output.complain(problems.description)
            throw ExitCode(LoadExit.couldNotRun)
        }
    }

    /// Runs as often as is wanted; the runs that were done where somebody has ended them.
    private func runAll(_ plan: LoadPlan, threads: Int, isPiped: Bool) throws -> [LoadResult] {
        let watch = LoadWatch(isPiped: isPiped)
        try watch.begin()
        defer { watch.end() }
        var results: [LoadResult] = []
        repeat {
            let crew = try LoadCrew(plan, threads: threads)
            watch.follow(crew.control)
            results.append(try crew.run())
        } while results.count < report.repeats && !watch.isStopped
        return results
    }

    /// Adds what the generator does not know.
    private func finish(
        _ result: inout LoadResult, _ runs: [LoadResult], _ expectations: [LoadExpectation]
    ) {
        result.summary.command = LoadCommandLine.text
        result.summary.url = LoadCommandLine.withoutQuery(result.summary.url)
        result.summary.environment = LoadMachine.environment
        if let script { result.summary.asked["script"] = Self.name(of: script) }
        if let replay = replaying.replay { result.summary.asked["replay"] = Self.name(of: replay) }
        if let speed = replaying.speedText { result.summary.asked["speed"] = speed }
        result.summary.expectations = expectations.map { $0.judge(runs.map(\.summary)) }
    }

    /// The name of a file without its folder, which may be another one.
    private static func name(of path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }

    /// Ends with the exit code that fits.
    private func conclude(_ summary: LoadSummary) throws {
        if report.strict, summary.generatorLimited { throw ExitCode(LoadExit.limited) }
        if summary.expectations.contains(where: { !$0.isMet }) {
            throw ExitCode(LoadExit.unexpected)
        }
    }
}

/// How a load ends that was not as it should be.
enum LoadExit {
    /// An expectation was not met.
    static let unexpected: Int32 = 1
    /// It could not run.
    static let couldNotRun: Int32 = 2
    /// The generator was the limit, with `--strict`.
    static let limited: Int32 = 3
}
