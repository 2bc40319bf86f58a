// SPDX-License-Identifier: Apache-2.0
import Admin
import ArgumentParser
import Config
import Foundation
import Glibc
import Ledger
import Reactor

/// Nothing answers at any of the places where a running Sluice is looked for.
struct NoAdminSocket: Error, CustomStringConvertible {
    let places: [String]

    var description: String {
        "No Sluice of this user is running: nothing answers at \(places.joined(separator: " or ")). If its"
            + " configuration names another place under admin, give that with --admin."
    }
}

/// The codes of a Close that operators may have sent.
enum CloseCode {
    /// Refuses another one.
    static func check(_ code: UInt16?) throws {
        guard let code, !DrainSettings.allows(code: code) else { return }
        throw ValidationError(
            "--code takes \(DrainSettings.codesAllowed), found \(code).")
    }
}

/// How commands find the process that they are for.
struct AdminOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The admin socket, a path or 127.0.0.1:port. (default: sluice.sock in $XDG_RUNTIME_DIR, "
                + "/run/sluice or /tmp/sluice-UID)",
            valueName: "socket"))
    var admin: String?

    /// Refuses what names no socket.
    func validate() throws {
        if let admin { _ = try Self.address(named: admin) }
    }

    /// The one that was named, or the first of the usual places where somebody answers.
    private func address() throws -> Address {
        if let admin { return try Self.address(named: admin) }
        if let first = AdminSocket.firstAnswering { return try Address(parsing: "unix:" + first) }
        let places = AdminSocket.places
        // Where the first process of a user has ended, the others are still asked.
        let others = AdminSocket.others(beside: places)
            .compactMap { try? Address(parsing: "unix:" + $0) }.filter(AdminClient.answers)
        if others.count > 1 {
            throw Complaint(
                "More than one Sluice of this user is running; name one with --admin:"
                    + others.map { "\n  \($0.description.dropFirst("unix:".count))" }.joined())
        }
        guard let other = others.first else { throw NoAdminSocket(places: places) }
        return other
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

    /// Asks, and reads the answer; an outcome that says no is thrown as a `Complaint`.
    func ask<Answer: Decodable>(
        _ method: String, _ target: String, body: (any Encodable)? = nil, for type: Answer.Type
    ) throws -> Answer {
        let client = AdminClient(try address())
        let data = try body.map { try JSONEncoder().encode($0) }
        let (status, answer) = try client.send(method, target, body: data)
        if (200..<300).contains(status) {
            guard let found = try? JSONDecoder().decode(type, from: answer) else {
                throw Complaint(
                    "What \(client.address) answers can't be read: another program listens there, or a"
                        + " Sluice of another version. Name the right socket with --admin.")
            }
            return found
        }
        if let outcome = try? JSONDecoder().decode(AdminOutcome.self, from: answer) {
            throw Complaint(outcome.message)
        }
        let text = String(decoding: answer, as: UTF8.self)
        throw Complaint(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Prints how far a drain is until it is done.
    ///
    /// - Parameters:
    ///   - id: the drain's number.
    ///   - endsWithProcess: the drain is that of the process itself, so that nobody answers any more
    ///     when it is done.
    /// - Throws: `AdminFault`, `NoAdminSocket` or `Complaint`, where the process does not tell.
    func follow(_ id: Int, endsWithProcess: Bool = false) throws {
        var last = ""
        while true {
            let state: DrainState
            do {
                state = try ask("GET", "/drains/\(id)", for: DrainState.self)
            } catch  where endsWithProcess && (error is AdminFault || error is NoAdminSocket) {
                Output.line("Sluice has stopped.")
                return
            }
            let line = DrainText.line(state)
            if line != last { Output.line(line) }
            last = line
            if state.progress.isDone {
                if let problem = state.problem { throw Complaint(problem) }
                return
            }
            usleep(250_000)
        }
    }
}
