// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import Glibc
import Ledger
import Reactor

/// The running Sluice that a command has found: all of its questions go to that process and no other.
///
/// Another process may serve at the same place a moment later, after an upgrade or a restart; its answers are
/// told by the name of the process in them.
final class AdminPeer {
    /// Further processes of the user, as `--admin PATH  PROGRAM (process N)`.
    let others: [String]
    /// The socket, where commands that change something do not go to it unless it is named; else nil.
    let unusual: String?
    private let client: AdminClient
    /// The process that has answered first; nil until then, and with one that does not say.
    private var process: String?

    init(_ client: AdminClient, others: [String] = [], unusual: String? = nil) {
        self.client = client
        self.others = others
        self.unusual = unusual
    }

    /// Says that this is not all that runs, where programs that read the output do not stumble over it.
    func tellOfOthers() {
        guard !others.isEmpty else { return }
        let lines = others.map { "\n  \($0)" }.joined()
        Output.complain(
            others.count == 1
                ? "Note: another Sluice of this user is running; ask it with\(lines)"
                : "Note: \(others.count) other Sluices of this user are running; ask them with\(lines)"
        )
    }

    /// Another process than the first answers.
    private struct Replaced: Error {
        let first: Int32
        /// Who answers now, in words.
        let now: String
    }

    /// Asks, and reads the answer; an outcome that says no is thrown as a `Complaint`.
    func ask<Answer: Decodable>(
        _ method: String, _ target: String, body: (any Encodable)? = nil, for type: Answer.Type
    ) throws -> Answer {
        do {
            return try question(method, target, body, type)
        } catch let replaced as Replaced {
            throw Complaint(
                "Process \(replaced.first), which was asked first, does not answer at"
                    + " \(client.address) any more: \(replaced.now) does.")
        }
    }

    private func question<Answer: Decodable>(
        _ method: String, _ target: String, _ body: (any Encodable)?, _ type: Answer.Type
    ) throws -> Answer {
        let data = try body.map { try JSONEncoder().encode($0) }
        let reply = try client.send(method, target, body: data)
        if let first = process, reply.process != first {
            throw Replaced(
                first: AdminReply.number(ofProcess: first) ?? 0,
                now: reply.process.flatMap(AdminReply.number).map { "process \($0)" }
                    ?? "another program")
        }
        process = reply.process
        if (200..<300).contains(reply.status) {
            if let found = try? JSONDecoder().decode(type, from: reply.body) { return found }
            guard reply.isOfSluice else { throw client.foreign(reply) }
            throw Complaint(
                "What the Sluice at \(client.address) answers can't be read: it has another version than"
                    + " this program.")
        }
        if let outcome = try? JSONDecoder().decode(AdminOutcome.self, from: reply.body) {
            throw Complaint(outcome.message)
        }
        guard reply.isOfSluice else { throw client.foreign(reply) }
        let text = String(decoding: reply.body, as: UTF8.self)
        throw Complaint(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Reads an answer that is written as it comes to be, a line at a time.
    ///
    /// - Throws: `Complaint` with the words of whoever refuses it.
    func story(
        _ target: String, until isOver: () -> Bool, _ take: (Data) throws -> Void
    ) throws -> AdminStoryEnd {
        let end = try client.story(target, until: isOver, take)
        guard case .refused(let reply) = end else { return end }
        guard reply.isOfSluice else { throw client.foreign(reply) }
        let text = String(decoding: reply.body, as: UTF8.self)
        throw Complaint(text.trimmingCharacters(in: .whitespacesAndNewlines))
    }

    /// Prints how far a drain is until it is done.
    ///
    /// - Parameter id: the drain's number.
    /// - Throws: `AdminFault` where the process does not tell, `Complaint` also where it is over before the drain.
    func follow(_ id: Int) throws {
        var last = ""
        while true {
            let state: DrainState
            do {
                state = try ask("GET", "/drains/\(id)", for: DrainState.self)
            } catch let fault as AdminFault where !fault.isSilent && isGone {
                let known = last.isEmpty ? "" : " The last that it said: \(last)."
                throw Complaint(
                    "Sluice has stopped meanwhile, and all its sockets have ended.\(known)")
            }
            Self.show(state, &last)
            if state.progress.isDone {
                if let problem = state.problem { throw Complaint(problem) }
                return
            }
            usleep(250_000)
        }
    }

    /// Prints how far the drain of the process itself is until that process is gone.
    ///
    /// - Parameter id: the drain's number.
    /// - Throws: `Complaint` where another process has taken its place and it still runs.
    func followToItsEnd(_ id: Int) throws {
        var last = ""
        var end: DrainState?
        while true {
            do {
                let state = try question("GET", "/drains/\(id)", nil, DrainState.self)
                Self.show(state, &last)
                end = state
            } catch let fault as AdminFault where !fault.isSilent {
                Output.line(Self.farewell(end))
                return
            } catch let replaced as Replaced {
                guard kill(replaced.first, 0) != 0, errno == ESRCH else {
                    throw Complaint(
                        "Process \(replaced.first), which drains, can't be asked any more:"
                            + " \(replaced.now) answers at \(client.address) now.")
                }
                Output.line(
                    Self.farewell(end)
                        + " At \(client.address) \(replaced.now) answers now.")
                return
            }
            usleep(end?.progress.isDone == true ? 20_000 : 250_000)
        }
    }

    /// Whether the process that was asked has ended.
    private var isGone: Bool {
        guard let number = process.flatMap(AdminReply.number) else { return false }
        let end = Clock.nowMilliseconds() + 2_000
        // It has taken its socket away, and is about to end; who has started it may not have asked for its end yet.
        while !AdminClient.hasEnded(number) {
            if Clock.nowMilliseconds() >= end { return false }
            usleep(20_000)
        }
        return true
    }

    private static func show(_ state: DrainState, _ last: inout String) {
        let line = DrainText.line(state)
        if line != last { Output.line(line) }
        last = line
    }

    /// What is said at the end of a process, by what it has last said of its drain.
    private static func farewell(_ end: DrainState?) -> String {
        guard let progress = end?.progress, progress.isDone else { return "Sluice has stopped." }
        let relays = progress.found == 0 ? "no relay was live" : DrainText.count(progress)
        return "Sluice has stopped: \(relays)."
    }
}
