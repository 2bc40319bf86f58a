// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Foundation
import LoadGenerator

/// What a load sends, how much of it, and for how long.
struct LoadTrafficOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "How many WebSockets are open at one time. (default: 64; with --script what it says, or one for each scenario; with --replay as many as were recorded)",
            valueName: "n"))
    var connections: Int?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Measure so long. (default: 10s)", valueName: "time"),
        transform: { try Number.duration("--duration", $0, max: .seconds(30 * 86_400)) })
    var duration: Duration?

    @Option(
        help: ArgumentHelp(
            "Measure so many messages (of connect so many connections) in place of a time.",
            valueName: "n"))
    var messages: UInt64?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Run so long before measuring begins. (default: 0s)", valueName: "time"),
        transform: { try Number.duration("--warm-up", $0, max: .seconds(86_400), hasZero: true) })
    var warmUp = Duration.zero

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Open the connections evenly over so long. (default: as fast as it goes)",
            valueName: "time"),
        transform: { try Number.duration("--ramp", $0, max: .seconds(86_400), hasZero: true) })
    var ramp = Duration.zero

    @Option(
        help: ArgumentHelp(
            "Send so many messages by the clock, over all connections: 500/s. The open model.",
            valueName: "rate"))
    var rate: LoadRate?

    @Option(
        help: ArgumentHelp(
            "Messages under way on each connection, without --rate. (default: 1; stream: 4)",
            valueName: "n"))
    var inFlight: Int?

    @Option(
        help: ArgumentHelp(
            "Payload of each message: 128, 64KiB, or 100..4000 for any size between. (default: 128; stream: 64KiB)",
            valueName: "bytes"))
    var size: LoadSize?

    @Option(
        help: ArgumentHelp(
            "Send this text, or with @ the content of a file. In push it is sent once, to subscribe.",
            valueName: "text|@file"))
    var message: String?

    @Flag(help: "Send text messages. (default for --message)") var text = false
    @Flag(help: "Send binary messages. (default without --message)") var binary = false

    @Option(
        help: ArgumentHelp(
            "In push, the key under which the app puts its clock into the JSON of a message.",
            valueName: "key"))
    var clock: String?

    @Option(
        name: .customLong("back-off"),
        help: ArgumentHelp(
            "In storm, the first and the longest pause of a client that comes back. (default: 1s..30s)",
            valueName: "time..time"))
    var backOff: LoadBackOff?

    @Option(
        help: ArgumentHelp(
            "In storm, the share of a pause that is drawn at random, 0 to 1. (default: 1)",
            valueName: "share"))
    var jitter: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Count a message as late that takes longer.", valueName: "time"),
        transform: { try Number.duration("--late", $0, max: .seconds(86_400)) })
    var late: Duration?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Wait so long for a connection to open, and at the end for answers. (default: 10s)",
            valueName: "time"),
        transform: { try Number.duration("--timeout", $0, max: .seconds(3600)) })
    var timeout = Duration.seconds(10)

    /// Refuses what can't go together.
    func validate() throws {
        if let connections, !(1...10_000_000 ~= connections) {
            throw ValidationError(
                "--connections takes a whole number from 1 to 10000000, found \(connections).")
        }
        if let inFlight, !(1...1_000_000 ~= inFlight) {
            throw ValidationError(
                "--in-flight takes a whole number from 1 to 1000000, found \(inFlight).")
        }
        if let jitter, !(0...1 ~= jitter) {
            throw ValidationError("--jitter takes a share from 0 to 1, found \(jitter).")
        }
        if rate != nil, inFlight != nil {
            throw ValidationError(
                "--rate and --in-flight don't go together: by the clock messages leave however many are under way."
            )
        }
        if messages != nil, duration != nil {
            throw ValidationError("--messages and --duration don't go together: give one of them.")
        }
        if messages == 0 { throw ValidationError("--messages takes a number above 0, found 0.") }
        if text, binary {
            throw ValidationError("--text and --binary don't go together: give one of them.")
        }
        if message != nil, size != nil {
            throw ValidationError(
                "--message and --size don't go together: a message that is given has its size.")
        }
    }

    /// The message that each connection sends.
    func shape(isStream: Bool) throws -> LoadMessage {
        guard let message else {
            let usual = isStream ? 65_536 : 128
            return LoadMessage(sizes: size?.range ?? usual...usual, isText: text)
        }
        let content: [UInt8]
        if message.hasPrefix("@") {
            let path = String(message.dropFirst())
            do {
                content = Array(try Data(contentsOf: URL(fileURLWithPath: path)))
            } catch {
                throw ValidationError("--message: \(FileTrouble.sentence("read", path, error))")
            }
        } else {
            content = Array(message.utf8)
        }
        if !binary, String(validating: content, as: UTF8.self) == nil {
            throw ValidationError(
                "--message: the file is not in UTF-8, as text messages are: give --binary too.")
        }
        return LoadMessage(content: content, isText: !binary)
    }
}

/// Messages per second, as `500/s`.
struct LoadRate: ExpressibleByArgument {
    let perSecond: Double

    init?(argument: String) {
        let parts = argument.split(separator: "/", omittingEmptySubsequences: false)
        guard let count = parts.first.flatMap({ Double($0) }), count > 0, count.isFinite,
            parts.count <= 2
        else { return nil }
        switch parts.count == 2 ? parts[1] : "s" {
        case "s": perSecond = count
        case "min": perSecond = count / 60
        case "h": perSecond = count / 3600
        default: return nil
        }
    }
}

/// A size or a range of sizes, as `128`, `64KiB` and `100..4000`.
struct LoadSize: ExpressibleByArgument {
    let range: ClosedRange<Int>

    init?(argument: String) {
        let ends = argument.split(separator: ".", omittingEmptySubsequences: true)
            .map { Int($0) ?? Units.bytes(of: String($0)) }
        let isRange = argument.contains("..")
        guard let first = ends.first ?? nil, let last = ends.last ?? nil,
            ends.count == (isRange ? 2 : 1), first >= 0, first <= last, last <= 1 << 30
        else { return nil }
        range = first...last
    }
}

/// The first and the longest pause, as `1s..30s`.
struct LoadBackOff: ExpressibleByArgument {
    let first: Double
    let longest: Double

    init?(argument: String) {
        let ends = argument.split(separator: ".", omittingEmptySubsequences: true)
            .map { Units.duration(of: String($0))?.inSeconds }
        guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2,
            first <= last
        else { return nil }
        self.first = first
        longest = last
    }
}

extension Duration {
    /// The same as a number of seconds.
    var inSeconds: Double {
        Double(components.seconds) + Double(components.attoseconds) / 1e18
    }
}
