// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Config
import Glibc
import Trust

/// `sluice drain`: ends live sockets in an orderly way.
struct DrainCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "End live sockets in an orderly way: of a route, of an endpoint, or all.",
        usage: """
            sluice drain --endpoint 10.0.0.2:9000 --code 1012 --spread 30s
            sluice drain --endpoint 10.0.0.2:9000 --resume
            sluice drain
            """,
        discussion: """
            Sluice sends nothing new there. Each live socket gets a Close between two frames, spread \
            evenly over --spread. A socket whose peers have not closed after --timeout is cut. The \
            command prints its progress until it is done. An endpoint is drained for all routes that \
            lead there. Without --route and --endpoint, Sluice itself stops.
            """ + ExitCodes.help("drain"))

    @OptionGroup var options: AdminOptions

    @Option(
        help: ArgumentHelp("Only relays of this route, as status names it.", valueName: "route"))
    var route: String?

    @Option(help: ArgumentHelp("Only relays to this endpoint.", valueName: "endpoint"))
    var endpoint: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "The Close code: \(DrainSettings.codesAllowed). "
                + "(default: what the configuration says)", valueName: "code"),
        transform: CloseCode.read)
    var code: UInt16?

    @Option(
        help: ArgumentHelp(
            "The reason in the Close, up to \(DrainSettings.reasonBytesMax) bytes.",
            valueName: "text"))
    var reason: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "From the first Close to the last, as 30s. (default: what the configuration says)",
            valueName: "duration"),
        transform: { try Number.duration("--spread", $0, max: longest, hasZero: true) })
    var spread: Duration?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Until those are cut that have not closed. (default: what the configuration says)",
            valueName: "duration"),
        transform: { try Number.duration("--timeout", $0, max: longest, hasZero: true) })
    var timeout: Duration?

    @Flag(help: "Take new relays there again, and end a drain that is still under way there.")
    var resume = false

    @Flag(help: "Begin it and do not wait.") var background = false

    private static let longest = Duration.seconds(AdminDefaults.drainSecondsMax)

    /// Refuses what means nothing.
    func validate() throws {
        if route != nil && endpoint != nil {
            throw ValidationError(
                "--route and --endpoint don't go together: an endpoint is drained for all routes that lead"
                    + " there. Give one of them.")
        }
        if let spread, let timeout, spread > timeout {
            throw ValidationError(
                "--spread takes no more than --timeout, \(Units.text(timeout)), found"
                    + " \(Units.text(spread)).")
        }
        if let count = reason?.utf8.count, count > DrainSettings.reasonBytesMax {
            throw ValidationError(
                "--reason takes up to \(DrainSettings.reasonBytesMax) bytes, found \(count).")
        }
        if resume && route == nil && endpoint == nil {
            throw ValidationError("--resume needs --route or --endpoint.")
        }
        let closing = code != nil || reason != nil || spread != nil || timeout != nil
        if resume && (closing || background) {
            throw ValidationError(
                "--resume closes nothing: --code, --reason, --spread, --timeout and --background say how a"
                    + " drain goes.")
        }
    }

    /// Asks for it, and says how far it is.
    func run() throws {
        var request = DrainRequest()
        request.route = route
        request.endpoint = endpoint
        // Said in so many words, so that no slip in a name can mean it.
        request.everything = route == nil && endpoint == nil ? true : nil
        request.code = code
        request.reason = reason
        request.spreadMilliseconds = spread?.wholeMilliseconds
        request.timeoutMilliseconds = timeout?.wholeMilliseconds
        let peer = try options.peer(to: .change)
        let outcome = try peer.ask(
            "POST", resume ? "/resume" : "/drain", body: request, for: AdminOutcome.self)
        options.show(outcome)
        guard let id = outcome.drain, !background else { return }
        Interruption.say(whatGoesOn)
        if route == nil && endpoint == nil {
            try peer.followToItsEnd(id)
        } else {
            try peer.follow(id)
        }
        // The drain is done, also where the process has ended since.
        if let endpoint {
            do { try tellOfRequests(at: endpoint, peer) } catch is AdminFault {}
        }
    }

    /// Says that an endpoint without relays still answers requests, where it does.
    private func tellOfRequests(at endpoint: String, _ peer: AdminPeer) throws {
        func look() throws -> String? {
            Self.rest(
                at: endpoint, try peer.ask("GET", "/state", for: AdminState.self),
                admin: options.words)
        }
        guard try look() != nil else { return }
        // A relay that has just ended gives its place back a moment later.
        usleep(250_000)
        if let rest = try look() { Output.line(rest) }
    }

    /// What Ctrl-C in this command leaves to itself, and what ends it.
    private var whatGoesOn: String {
        let admin = options.words
        let name =
            route.map { "--route \(Shell.word($0))" }
            ?? endpoint.map { "--endpoint \(Shell.word($0))" }
        guard let name else {
            return
                "Sluice goes on to stop without this command. A second TERM to its process cuts what is left."
        }
        return "The drain goes on without this command. sluice status\(admin) shows how far it is;"
            + " sluice drain \(name) --resume\(admin) ends it, and has new sockets go there again."
    }

    /// That requests are still under way at a drained endpoint; nil where none is.
    static func rest(at endpoint: String, _ state: AdminState, admin: String = "") -> String? {
        let active = state.upstreams.flatMap(\.endpoints)
            .filter {
                $0.label == endpoint || $0.label.hasSuffix("://\(endpoint)")
            }
            .reduce(0) { max($0, $1.active) }
        if active == 0 { return nil }
        let count = active == 1 ? "1 request is" : "\(active) requests are"
        return
            "\(count) still under way there: wait until sluice status\(admin) shows ACTIVE 0 before you stop the app."
    }
}
