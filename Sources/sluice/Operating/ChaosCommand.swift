// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Config

/// `sluice chaos`: does harm to WebSockets on purpose, so that somebody sees how clients take it.
struct ChaosCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos",
        abstract: "Delay, cut or refuse WebSockets on purpose, to see how clients take it.",
        usage: """
            sluice chaos --route /chat --latency 200ms --jitter 50ms --for 1m
            sluice chaos --cut 1% --share 20% --for 5m
            sluice chaos off
            """,
        discussion: """
            Live and new WebSockets of the route, or of all routes, get these faults until --for is \
            over or `sluice chaos off`. Only where the configuration says `allowFaults: true`. What \
            is asked for takes the place of what `sluice chaos` has begun there before. A reload \
            keeps it; an upgrade ends it.
            """ + ExitCodes.help("chaos"))

    @Argument(help: ArgumentHelp("off: end what `sluice chaos` has begun.", valueName: "off"))
    var action: String?

    @OptionGroup var options: AdminOptions

    @Option(
        help: ArgumentHelp(
            "The route, as status names it. (default: all that lead to an upstream)",
            valueName: "pattern"))
    var route: String?

    @Option(
        help: ArgumentHelp(
            "By how much later frames arrive, in each direction.", valueName: "time"))
    var latency: String?

    @Option(
        help: ArgumentHelp("By how much the latency varies, to both sides.", valueName: "time"))
    var jitter: String?

    @Option(
        help: ArgumentHelp(
            "Bytes that pass in a second, in each direction, as 64k.", valueName: "size"))
    var bandwidth: String?

    @Option(
        help: ArgumentHelp("For how long nothing passes, from now on.", valueName: "time"))
    var stall: String?

    @Option(
        help: ArgumentHelp(
            "From the begin of one stall to the next. (default: one stall)", valueName: "time"))
    var stallEvery: String?

    @Option(
        help: ArgumentHelp(
            "Chance that a frame is the one within which the client's connection ends.",
            valueName: "percent"))
    var cut: String?

    @Option(
        help: ArgumentHelp(
            "Chance that a frame is the one at which that connection is reset.",
            valueName: "percent"))
    var reset: String?

    @Option(
        help: ArgumentHelp(
            "Chance that a request for a WebSocket gets 503.", valueName: "percent"))
    var refuse: String?

    @Option(
        help: ArgumentHelp(
            "Chance that a WebSocket has any of these. (default: 100%)", valueName: "percent"))
    var share: String?

    @Option(
        help: ArgumentHelp(
            "frames: each is late as a whole. bytes: pieces of frames are. (default: frames)",
            valueName: "level"))
    var level: String?

    @Option(
        name: .customLong("for"),
        help: ArgumentHelp(
            "How long the faults last. (default: until sluice chaos off)", valueName: "time"))
    var span: String?

    private var faults: [(option: String, name: String, text: String?)] {
        [
            ("--latency", "latency", latency), ("--jitter", "jitter", jitter),
            ("--bandwidth", "bandwidth", bandwidth), ("--stall", "stall", stall),
            ("--stall-every", "stallEvery", stallEvery), ("--cut", "cut", cut),
            ("--reset", "reset", reset), ("--refuse", "refuse", refuse),
            ("--share", "share", share), ("--level", "level", level), ("--for", "for", span),
        ]
    }

    /// Refuses what is no fault, and faults beside `off`.
    func validate() throws {
        let given = faults.filter { $0.text != nil }
        if let action {
            guard action == "off" else {
                throw ValidationError("sluice chaos takes options or off, found \(action).")
            }
            if let first = given.first {
                throw ValidationError(
                    "sluice chaos off ends faults, so it does not go together with \(first.option)."
                )
            }
            return
        }
        let read = FaultSettings.read(
            given.compactMap { fault in fault.text.map { (fault.name, $0) } })
        if let problem = read.problem {
            let option = faults.first { $0.name == problem.name }?.option ?? problem.name
            throw ValidationError("\(option) \(problem.sentence).")
        }
        guard !read.faults.isEmpty else {
            throw ValidationError(
                "Say what is to be done: --latency, --bandwidth, --stall, --cut, --reset or --refuse; or off."
            )
        }
    }

    /// Asks for it, and prints what was done.
    func run() throws {
        var request = ChaosRequest()
        request.route = route
        let peer = try options.peer(to: .change)
        if action != nil {
            options.show(
                try peer.ask("POST", "/chaos/off", body: request, for: AdminOutcome.self))
            return
        }
        (request.latency, request.jitter, request.bandwidth) = (latency, jitter, bandwidth)
        (request.stall, request.stallEvery) = (stall, stallEvery)
        (request.cut, request.reset, request.refuse) = (cut, reset, refuse)
        (request.share, request.level, request.span) = (share, level, span)
        options.show(try peer.ask("POST", "/chaos", body: request, for: AdminOutcome.self))
    }
}
