// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Config
import Foundation
import Glibc
import Ledger
import Reactor
import Service
import Trust

/// Nothing answers at any of the places where a running Sluice is looked for.
struct NoAdminSocket: Error, CustomStringConvertible {
    let places: [String]

    var description: String {
        if let socket = AdminSocket.forbidden.first {
            return "\(socket.path) belongs to the user \(socket.owner), and you may not open it:"
                + " sudo -u \(socket.owner) \(Program.name) …, or as root"
        }
        return
            "No Sluice answers at \(Self.list(places)). If one runs that was started elsewhere (under"
            + " another XDG_RUNTIME_DIR or TMPDIR, or with a place of its own under admin), the line"
            + " `status` that it has printed ends with the --admin to give."
    }

    /// One or more, with commas between them and `or` in front of the last.
    static func list(_ places: [String]) -> String {
        guard let last = places.last, places.count > 1 else { return places.first ?? "" }
        return places.dropLast().joined(separator: ", ") + " or " + last
    }
}

/// The codes of a Close that operators may have sent.
enum CloseCode {
    /// The one that `--code` gives; refuses another one.
    static func read(_ text: String) throws -> UInt16 {
        guard let code = UInt16(text), DrainSettings.allows(code: code) else {
            throw ValidationError("--code takes \(DrainSettings.codesAllowed), found \(text).")
        }
        return code
    }
}

/// How commands find the process that they are for.
struct AdminOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The admin socket: a path, a port or 127.0.0.1:port. (default: sluice.sock in $XDG_RUNTIME_DIR, "
                + "/run/sluice or /tmp/sluice-UID)",
            valueName: "socket"))
    var admin: String?

    @Option(
        help: ArgumentHelp(
            "The file that admin.token names: with --admin PORT changes need its token. (default: none)",
            valueName: "file"))
    var adminToken: String?

    /// Refuses what names no socket.
    func validate() throws {
        if let admin { _ = try Self.address(named: admin) }
    }

    /// The options as they were given, for another command, with a blank in front; empty where they were not.
    var words: String {
        (admin.map { " --admin \(Shell.word($0))" } ?? "")
            + (adminToken.map { " --admin-token \(Shell.word($0))" } ?? "")
    }

    /// A client of the process at an address, with the token where one was given.
    private func client(_ address: Address) throws -> AdminClient {
        guard let adminToken else { return AdminClient(address) }
        do throws(AdminToken.Fault) {
            return AdminClient(address, token: try AdminToken(path: adminToken).read())
        } catch {
            throw Complaint("--admin-token: '\(adminToken)': \(error.sentence).")
        }
    }

    /// What a command does with the process that it finds.
    enum Purpose {
        /// It asks, so that the first of several is as good as another if that is said.
        case look
        /// It asks whether something is wrong, which is worth an answer whichever of several it meets.
        case diagnose
        /// It changes something, so that it has to be clear which is meant.
        case change
    }

    /// Finds the process that is meant, once: whatever else a command asks goes to the same one.
    ///
    /// - Throws: `NoAdminSocket` where none runs, `Complaint` where several do and it matters which.
    func peer(to purpose: Purpose) throws -> AdminPeer {
        if let admin { return AdminPeer(try client(Self.address(named: admin))) }
        let places = AdminSocket.places
        // Where the first process of a user has ended, the others are still found.
        let usual = Self.answering(places)
        let others = Self.answering(AdminSocket.others(beside: places))
        let all = usual + others
        guard let first = all.first else { throw NoAdminSocket(places: AdminSocket.possiblePlaces) }
        guard all.count == 1 || purpose == .diagnose || purpose == .look && !usual.isEmpty else {
            throw Complaint(
                "More than one Sluice of this user is running; name one with --admin:"
                    + all.map { "\n  \(Self.line(on: $0))" }.joined())
        }
        let isUsual = AdminSocket.usualPlaces.contains(first.hostString)
        if purpose == .change && !isUsual { throw Complaint(Self.refusal(toChange: first)) }
        return AdminPeer(
            try client(first), others: all.dropFirst().map(Self.line),
            unusual: isUsual ? nil : first.hostString)
    }

    /// The one place at which commands look first where somebody answers; nil where nobody does.
    static func firstAnswering(_ places: [String]) -> String? {
        answering(places).first?.hostString
    }

    /// That the only Sluice that was found may be somebody else's job, and the command that reaches it all the same.
    private static func refusal(toChange address: Address) -> String {
        let usual = NoAdminSocket.list(AdminSocket.usualPlaces)
        let who = PortHolder.sentence(for: address).map { ", \($0)," } ?? ""
        let words = CommandLine.arguments.dropFirst().map(Shell.word)
        let command =
            ([Program.name] + words + ["--admin", Shell.word(address.hostString)])
            .joined(separator: " ")
        return
            "No Sluice answers at \(usual), where a command looks that changes something. Another one of"
            + " this user\(who) answers at \(address.hostString), and nothing was changed there. If that one is"
            + " meant:\n  \(command)"
    }

    /// Prints what became of a change, below the process that was found for it where none was named.
    func show(_ outcome: AdminOutcome) {
        if admin == nil, let process = outcome.process {
            let file = outcome.configuration ?? ""
            Output.line(
                "process \(process), \(file.isEmpty ? "in quick mode" : "configuration \(file)")")
        }
        Output.line(Program.pasteable(outcome.message))
    }

    private static func answering(_ places: [String]) -> [Address] {
        places.compactMap { try? Address(parsing: "unix:" + $0) }.filter(AdminClient.answers)
    }

    /// The option that names a socket, and the process that serves there.
    private static func line(on address: Address) -> String {
        "--admin \(Shell.word(address.hostString))"
            + (PortHolder.sentence(for: address).map { "  \($0)" } ?? "")
    }

    /// The address that `--admin` names: a port on this machine, an address with one, or a file.
    static func address(named text: String) throws -> Address {
        if text.hasPrefix("unix:") { return try Address(parsing: text) }
        if let port = UInt16(text), port > 0 { return try Address(parsing: "127.0.0.1:\(port)") }
        // A file is one that is there, or what looks like no address.
        if text.contains("/") || text.hasSuffix(".sock") || access(text, F_OK) == 0 {
            return try Address(parsing: "unix:" + text)
        }
        do {
            return try Address(parsing: text)
        } catch {
            throw ValidationError(
                "--admin takes a path, as /run/sluice/admin.sock, or an address, as 127.0.0.1:9901; found \(text)."
            )
        }
    }
}
