// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Doctor
import LoadGenerator

/// One way in which a command can end.
struct Outcome: Sendable, Equatable {
    /// The exit code of the process.
    let code: Int32
    /// Completes "the command exits with this code when …".
    let when: String
}

/// The exit codes of all commands: the help, the manual page and the table of docs/operations.md are
/// made of them.
enum ExitCodes {
    /// Nobody answers at the admin socket; the same as the doctor's `not-running`.
    static let notRunning = Verdict.notRunning.exitCode
    /// The command line is wrong (sysexits(3), EX_USAGE); holds for every command.
    static let usage: Int32 = 64
    /// What there was to print could not be written (sysexits(3), EX_IOERR); holds for every command but
    /// those that serve.
    static let output: Int32 = 74

    /// Commands that end alike, as they are typed behind `sluice`, and how.
    struct Entry: Sendable {
        let commands: [String]
        let outcomes: [Outcome]
    }

    /// Every command but the doctor, whose codes are those of its verdicts.
    static let all: [Entry] = [
        Entry(
            commands: ["quick", "run"],
            outcomes: [
                Outcome(
                    code: 0,
                    when: "it was told to stop, by a signal, `sluice drain` or `sluice upgrade`"),
                Outcome(
                    code: 1,
                    when: "it could not start: configuration, certificate, address or log file"),
            ]),
        Entry(
            commands: ["echo"],
            outcomes: [
                Outcome(code: 0, when: "a signal has ended it"),
                Outcome(code: 1, when: "it could not listen"),
            ]),
        Entry(
            commands: ["check"],
            outcomes: [
                Outcome(
                    code: 0,
                    when:
                        "the configuration can be served where its addresses are free, also with warnings"
                ),
                Outcome(code: 1, when: "it can't be served"),
            ]),
        Entry(commands: ["schema"], outcomes: [Outcome(code: 0, when: "it was printed")]),
        Entry(
            commands: ["cert make"],
            outcomes: [
                Outcome(code: 0, when: "the certificate is there, made now or before"),
                Outcome(
                    code: 1,
                    when:
                        "it could not be made, or the authority is there and may not do what `--permit` or"
                        + " `--any-name` asks for"),
            ]),
        Entry(
            commands: ["cert trust"],
            outcomes: [
                Outcome(
                    code: 0,
                    when:
                        "every store that this user may change trusts the authority, which is made where"
                        + " there was none and no `--directory` is given"),
                Outcome(
                    code: 1,
                    when: "there is no authority in `--directory`, a store could not be changed, a"
                        + " program is missing, or `--only system` needs root"),
            ]),
        Entry(
            commands: ["cert untrust"],
            outcomes: [
                Outcome(code: 0, when: "no store that this user may change trusts it any more"),
                Outcome(
                    code: 1,
                    when: "there is no authority in `--directory`, a store could not be changed, a"
                        + " program is missing, or `--only system` needs root"),
            ]),
        Entry(
            commands: ["cert status"],
            outcomes: [
                Outcome(code: 0, when: "every store that was found trusts the authority"),
                Outcome(
                    code: 1,
                    when: "one does not trust it or could not be read, or there is no authority"),
            ]),
        Entry(
            commands: ["cert list", "cert show", "cert export"],
            outcomes: [
                Outcome(code: 0, when: "the certificates were printed or written, good or bad"),
                Outcome(code: 1, when: "they could not be read or written"),
            ]),
        Entry(
            commands: ["cert renew"],
            outcomes: [
                Outcome(code: 0, when: "no certificate of this authority ends within 30 days"),
                Outcome(code: 1, when: "there is no authority, or one could not be renewed"),
            ]),
        Entry(
            commands: ["status"],
            outcomes: [
                Outcome(
                    code: 0, when: "the state was printed, or with `--close` the relay is told"),
                Outcome(
                    code: 1,
                    when:
                        "nothing has the name that was given for a route, endpoint, client or relay; or"
                        + " `--admin` names none, more than one Sluice runs, and none is at the usual place; with"
                        + " `--close`, also if more than one runs, or the only one is not at the usual place"
                ),
                nobodyAnswers,
            ]),
        Entry(
            commands: ["top"],
            outcomes: [
                Outcome(code: 0, when: "somebody has quit, or with `--once` it was printed"),
                Outcome(
                    code: 1,
                    when:
                        "there is no terminal to draw on and `--once` is not given, or a Sluice of another version answers"
                ),
                nobodyAnswers,
            ]),
        Entry(
            commands: ["tap"],
            outcomes: [
                Outcome(
                    code: 0,
                    when: "Ctrl-C or TERM has ended it, or its relay, a reload or Sluice has ended"),
                Outcome(
                    code: 1,
                    when:
                        "nothing has the name that was given for a route or relay, `admin.tap` is `off`, the user is"
                        + " neither Sluice's nor root, four taps listen already, a reactor does not answer, a file could not be written, or the"
                        + " process is gone; or `--admin` names none, more than one Sluice runs, and none is at the usual"
                        + " place"),
                nobodyAnswers,
            ]),
        Entry(
            commands: ["reload"],
            outcomes: [
                Outcome(code: 0, when: "the configuration was taken up"),
                Outcome(
                    code: 1,
                    when: "it can't be used, and everything stays as it was" + orSeveral),
                nobodyAnswers,
            ]),
        Entry(
            commands: ["drain"],
            outcomes: [
                Outcome(
                    code: 0,
                    when:
                        "every relay has ended, also where some had to be cut; with `--background`,"
                        + " when the drain has begun; with `--resume`, when new relays are taken, again or as before"
                ),
                Outcome(
                    code: 1,
                    when:
                        "nothing has the name that was given, `--spread` is longer than the timeout of the"
                        + " configuration, Sluice is stopping already, an upgrade is under way, somebody has resumed"
                        + " what is drained, Sluice has stopped before the drain of a route or an endpoint was done, or"
                        + " another process has taken the place of the one that drains"
                        + orSeveral),
                nobodyAnswers,
            ]),
        Entry(
            commands: ["chaos"],
            outcomes: [
                Outcome(
                    code: 0,
                    when:
                        "the faults have begun; with `off`, when they have ended, or there were none"
                ),
                Outcome(
                    code: 1,
                    when:
                        "the configuration does not say `allowFaults: true`, or nothing has the route's name"
                        + orSeveral),
                nobodyAnswers,
            ]),
        Entry(
            commands: ["rebalance"],
            outcomes: [
                Outcome(
                    code: 0,
                    when:
                        "no endpoint has more than its share, with those clients that were told to go and are back;"
                        + " or, with --reactors, the reactors have about as many connections"
                ),
                Outcome(
                    code: 1,
                    when:
                        "nothing has the upstream's name, its clients go back to where they were or do not come"
                        + " back, or Sluice is stopping or has stopped meanwhile; with --reactors, there is only one,"
                        + " or a socket was lost; in both cases, an upgrade is under way"
                        + orSeveral
                ),
                nobodyAnswers,
            ]),
        Entry(
            commands: ["upgrade"],
            outcomes: [
                Outcome(
                    code: 0, when: "the new process has taken over, and no live socket was lost"),
                Outcome(
                    code: 1,
                    when:
                        "it has not, and the old one goes on, or live sockets were lost, or some stayed that could"
                        + " have moved"
                        + orSeveral),
                nobodyAnswers,
            ]),
        Entry(
            commands: ["load test"],
            outcomes: [
                Outcome(
                    code: 0, when: "it has run, and everything was as `--expect` says"),
                Outcome(
                    code: LoadExit.unexpected,
                    when:
                        "an expectation was not met; without `--expect`, if there was an error"),
                Outcome(
                    code: LoadExit.couldNotRun,
                    when:
                        "it could not run, since the URL is none, its name is not known, a file can't be read or"
                        + " this machine has too few descriptors, ports or bytes; or a report could not be written"
                ),
                Outcome(
                    code: LoadExit.limited,
                    when: "with `--strict`, the generator was slower than what it measured"),
            ]),
        Entry(
            commands: ["load compare"],
            outcomes: [
                Outcome(
                    code: 0,
                    when: "two runs of the same load were compared, whatever that shows"),
                Outcome(
                    code: LoadExit.unexpected,
                    when:
                        "they were compared, but are of different loads, as of another size or rate"
                ),
                Outcome(
                    code: LoadExit.couldNotRun,
                    when: "a report can't be read or written, or is none"),
            ]),
    ]

    /// All commands, as they are typed behind `sluice`.
    static let commands = all.flatMap(\.commands) + ["doctor"]

    private static let nobodyAnswers = Outcome(
        code: notRunning, when: "no running Sluice answers")

    private static let orSeveral =
        "; or `--admin` names none, and more than one Sluice runs, or the only one is not at the usual place"

    /// How a command can end, without `usage`.
    static func outcomes(of command: String) -> [Outcome] {
        all.first { $0.commands.contains(command) }?.outcomes ?? []
    }

    /// Commands that go on where nothing can be printed.
    private static let servers: Set = ["quick", "run", "echo"]

    /// The paragraph for a command's help.
    static func help(_ command: String) -> String {
        var parts = outcomes(of: command).map { "\($0.code) when \($0.when)" }
        if !servers.contains(command) {
            parts.append("\(output) when what it prints can't be written")
        }
        return "\n\nExit codes: \(parts.joined(separator: "; ")); \(usage) when the command line is"
            + " wrong."
    }

    /// The paragraph for the doctor's help.
    static var doctorHelp: String {
        let codes = Verdict.allCases.map { "\($0.exitCode) \($0.rawValue)" }
        return
            "\n\nExit codes: \(codes.joined(separator: ", ")); \(output) when what it prints can't be"
            + " written; \(usage) when the command line is"
            + " wrong."
    }

    /// The rows of the table in docs/operations.md.
    static var rows: [String] {
        all.flatMap { entry in
            let names = entry.commands.map { "`\($0)`" }.joined(separator: ", ")
            return entry.outcomes.map { "| \(names) | \($0.code) | \($0.when) |" }
        }
    }

    /// The code for an error that has ended a command; nil where it is the parser's to say.
    static func code(of error: any Error) -> Int32? {
        if error is LoadFault { return LoadExit.couldNotRun }
        return error is NoAdminSocket || error is AdminFault ? notRunning : nil
    }
}
