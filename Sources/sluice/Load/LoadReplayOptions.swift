// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import LoadGenerator

/// How a recording is played.
struct LoadReplayOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Play what was recorded by `sluice tap --record`, or a HAR with WebSockets, in place of --mode.",
            valueName: "file"))
    var replay: String?

    @Option(
        help: ArgumentHelp(
            "How fast: 1x as it was, 10x ten times as fast, or max, where each message waits for those before it alone. (default: 1x)",
            valueName: "speed"))
    var speed: LoadSpeed?

    @Flag(
        name: .customLong("expect-replies"),
        help: "What comes back has to be what was recorded, in the same order.")
    var expectsReplies = false

    @Flag(
        name: .customLong("replay-secrets"),
        help: "Send cookies, Authorization, Origin and the query of the URL as recorded (HAR).")
    var sendsSecrets = false

    /// The speed as it is written; nil without a recording.
    var speedText: String? { replay == nil ? nil : (speed ?? LoadSpeed(argument: "1x"))?.text }

    /// Refuses what has no meaning without a recording.
    func validate() throws {
        guard replay == nil else { return }
        let given = [
            ("--speed", speed != nil), ("--expect-replies", expectsReplies),
            ("--replay-secrets", sendsSecrets),
        ]
        if let option = given.first(where: \.1)?.0 {
            throw ValidationError("\(option) is for a recording: give --replay FILE too.")
        }
    }
}

/// How fast a recording is played, as `10x` or `max`.
struct LoadSpeed: ExpressibleByArgument {
    let speed: LoadRecording.Speed
    /// As it is written, however it was typed.
    var text: String {
        switch speed {
        case .max: "max"
        case .times(let factor): "\(factor)x"
        }
    }

    init?(argument: String) {
        if argument == "max" {
            speed = .max
            return
        }
        guard argument.hasSuffix("x"), let factor = Double(argument.dropLast()), factor >= 0.001,
            factor <= 1_000_000
        else { return nil }
        speed = .times(factor)
    }
}
