// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import LoadGenerator

/// From the options of `sluice load` to a plan.
struct LoadPlanning {
    private let command: LoadTestCommand
    private var traffic: LoadTrafficOptions { command.traffic }

    init(_ command: LoadTestCommand) { self.command = command }

    /// Refuses options that have no meaning in the mode.
    func validate() throws {
        let mode = command.mode
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
        try refuse("--late", traffic.late != nil, unless: .echo, .push, .stream)
    }

    /// The plan.
    ///
    /// - Throws: `LoadFault` where the URL is none, and `ValidationError` where an option can't be used.
    func plan(_ url: String) throws -> LoadPlan {
        var target = try LoadTarget(parsing: url)
        if let address = command.dialing.resolve { try target.connect(to: address) }
        var plan = LoadPlan(target: target, mode: mode)
        plan.connections = traffic.connections
        plan.dialing = try command.dialing.dialing(rampSeconds: traffic.ramp.inSeconds)
        if command.dialing.http2 { plan.streams = command.dialing.streams ?? 1 }
        let shape = try traffic.shape(isStream: command.mode == .stream)
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
