// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import LoadGenerator

/// From the options of `sluice load` to a plan.
struct LoadPlanning {
    private let command: LoadTestCommand
    private let script: LoadScript?
    private var traffic: LoadTrafficOptions { command.traffic }

    init(_ command: LoadTestCommand, script: LoadScript? = nil) {
        self.command = command
        self.script = script
    }

    /// What the script expects.
    var expected: [String] { script?.expectations.map(\.text) ?? [] }

    /// Refuses options that have no meaning in the mode.
    func validate() throws {
        let mode = command.mode
        if command.script != nil { try refuseBeside("--script") }
        if command.replaying.replay != nil { try refuseBeside("--replay") }
        if command.script != nil, command.replaying.replay != nil {
            throw ValidationError("--script and --replay don't go together: give one of them.")
        }
        if command.replaying.replay != nil, traffic.duration == nil, traffic.warmUp != .zero {
            throw ValidationError(
                "--warm-up and --replay need --duration: else each client plays its recording once."
            )
        }
        func refuse(_ option: String, _ isGiven: Bool, unless modes: LoadMode...) throws {
            guard isGiven, !modes.contains(mode) else { return }
            let names = modes.map { "--mode \($0.rawValue)" }.joined(separator: " and ")
            throw ValidationError("\(option) is for \(names), not for --mode \(mode.rawValue).")
        }
        try refuse("--rate", traffic.rate != nil, unless: .echo)
        try refuse("--in-flight", traffic.inFlight != nil, unless: .echo, .stream)
        try refuse("--size", traffic.size != nil, unless: .echo, .stream)
        try refuse("--message", traffic.message != nil, unless: .echo, .stream, .push)
        try refuse("--clock", traffic.clock != nil, unless: .push)
        try refuse("--back-off", traffic.backOff != nil, unless: .storm)
        try refuse("--jitter", traffic.jitter != nil, unless: .storm)
        try refuse("--messages", traffic.messages != nil, unless: .echo, .stream, .push, .connect)
        try refuse("--resume", command.dialing.resume != nil, unless: .connect)
        if mode == .connect, traffic.ramp != .zero {
            throw ValidationError(
                "--ramp has no meaning in --mode connect, which opens connections over and over.")
        }
        try refuse("--late", traffic.late != nil, unless: .echo, .push, .stream)
        try refuseKindOfMessage()
        try refuseIdleDialing()
    }

    /// Refuses to say how messages are sent where none are.
    private func refuseKindOfMessage() throws {
        let given = [("--text", traffic.text), ("--binary", traffic.binary)]
        guard let option = given.first(where: \.1)?.0 else { return }
        switch command.mode {
        case .echo, .stream: return
        case .push:
            guard traffic.message == nil else { return }
            throw ValidationError(
                "\(option) is for a message that is sent: in --mode push give --message too.")
        case .connect:
            if command.dialing.http2 { return }
            throw ValidationError(
                "\(option) has no meaning in --mode connect without --http2, which sends no messages."
            )
        case .hold, .storm:
            throw ValidationError(
                "\(option) has no meaning in --mode \(command.mode.rawValue), which sends no messages."
            )
        }
    }

    /// Refuses options for connections that the URL or another option leaves without meaning.
    private func refuseIdleDialing() throws {
        let dialing = command.dialing
        if dialing.resume != nil, dialing.http2 {
            throw ValidationError(
                "--resume and --http2 don't go together: connections of HTTP/2 stay, and their streams come and go."
            )
        }
        guard command.url.hasPrefix("ws://") else { return }
        let given = [
            ("--insecure", dialing.insecure), ("--ca", !dialing.ca.isEmpty),
            ("--cert", dialing.cert != nil), ("--key", dialing.key != nil),
            ("--sni", dialing.sni != nil), ("--resume", dialing.resume != nil),
        ]
        guard let option = given.first(where: \.1)?.0 else { return }
        throw ValidationError("\(option) is for TLS: give a URL that begins with wss://.")
    }

    /// Refuses options whose part a script or a recording has.
    private func refuseBeside(_ other: String) throws {
        let given = [
            ("--mode", command.mode != .echo), ("--rate", traffic.rate != nil),
            ("--in-flight", traffic.inFlight != nil), ("--size", traffic.size != nil),
            ("--message", traffic.message != nil), ("--messages", traffic.messages != nil),
            ("--http2", command.dialing.http2), ("--text", traffic.text),
            ("--binary", traffic.binary),
        ]
        if let option = given.first(where: \.1)?.0 {
            throw ValidationError(
                "\(option) and \(other) don't go together: the file says what is sent and how.")
        }
    }

    /// Has the plan play the script.
    private func play(_ script: LoadScript, _ plan: inout LoadPlan) throws {
        let program = try LoadProgram(script)
        plan.mode = .script
        plan.program = program
        plan.connections = traffic.connections ?? script.connections ?? program.count
        if traffic.ramp == .zero, let ramp = script.ramp {
            plan.dialing.rampSeconds = ramp.inSeconds
        }
        let duration = traffic.duration ?? script.duration
        plan.repeatsScenarios = duration != nil
        plan.end = .seconds((duration ?? .seconds(30 * 86_400)).inSeconds)
    }

    /// Has the plan play a recording.
    private func replay(_ path: String, _ plan: inout LoadPlan) throws(LoadFault) {
        let options = command.replaying
        let recording = try LoadRecording(path: path)
        let speed = options.speed?.speed ?? .times(1)
        plan.mode = .script
        plan.program = recording.program(
            speed: speed, expectsReplies: options.expectsReplies,
            sendsSecrets: options.sendsSecrets)
        plan.isPlayedByTheClock = speed != .max
        plan.connections = traffic.connections ?? recording.count
        plan.repeatsScenarios = traffic.duration != nil
        plan.end = .seconds((traffic.duration ?? .seconds(30 * 86_400)).inSeconds)
    }

    /// The plan.
    ///
    /// - Throws: `LoadFault` where the URL is none, and `ValidationError` where an option can't be used.
    func plan(_ url: String) throws -> LoadPlan {
        var target = try LoadTarget(parsing: url)
        if let address = command.dialing.resolve { try target.connect(to: address) }
        var plan = LoadPlan(target: target, mode: mode)
        plan.connections = traffic.connections ?? 64
        plan.dialing = try command.dialing.dialing(rampSeconds: traffic.ramp.inSeconds)
        if command.dialing.http2 { plan.streams = command.dialing.streams ?? 1 }
        var shape = try traffic.shape(isStream: command.mode == .stream)
        shape.isCompressible = command.dialing.deflate
        if command.mode == .push {
            plan.subscription = traffic.message == nil ? nil : shape
        } else {
            plan.message = shape
        }
        if case .stream = plan.mode {
            let inFlight = traffic.inFlight ?? 4
            let (bytes, isTooMany) =
                max(1, shape.sizes.upperBound).multipliedReportingOverflow(by: inFlight)
            plan.mode = .stream(windowBytes: isTooMany ? .max : bytes)
        }
        plan.end =
            traffic.messages.map { .count($0) } ?? .seconds((traffic.duration ?? usual).inSeconds)
        plan.warmupSeconds = traffic.warmUp.inSeconds
        plan.openingSeconds = traffic.timeout.inSeconds
        plan.drainSeconds = traffic.timeout.inSeconds
        plan.lateSeconds = traffic.late?.inSeconds
        plan.awaitsAll = true
        if let script { try play(script, &plan) }
        if let path = command.replaying.replay { try replay(path, &plan) }
        return plan
    }

    /// How long is measured where nothing is said; of a storm, how long it may take.
    private var usual: Duration { command.mode == .storm ? .seconds(120) : .seconds(10) }

    private var mode: LoadPlan.Mode {
        switch command.mode {
        case .echo:
            if let rate = traffic.rate { return .rate(messagesPerSecond: rate.perSecond) }
            let inFlight = traffic.inFlight ?? 1
            return inFlight == 1 ? .echo : .closed(inFlight: inFlight)
        case .push: return .push(clock: traffic.clock)
        case .stream: return .stream(windowBytes: 1)
        case .hold: return .idle
        case .connect:
            if command.dialing.http2 { return .cycle }
            return .connect(resumes: (command.dialing.resume ?? 0) > 0)
        case .storm:
            let backOff = traffic.backOff
            return .storm(
                BackOff(
                    firstSeconds: backOff?.first ?? 1, longestSeconds: backOff?.longest ?? 30,
                    jitter: traffic.jitter ?? 1))
        }
    }
}
