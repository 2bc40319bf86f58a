// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Control
import Foundation
import Glibc
import Reactor

/// Where a running Sluice is asked and told when nothing else was said.
///
/// Servers take the first place that they may use, and commands look at all of them.
enum AdminSocket {
    private static let name = "sluice.sock"
    private static let serviceFolder = "/run/sluice"

    /// The folder that every user has: `/tmp/sluice-UID`, or the same below `TMPDIR`, mode 0700.
    static var userFolder: String {
        let named = ProcessInfo.processInfo.environment["TMPDIR"] ?? ""
        return "\(named.hasPrefix("/") ? named : "/tmp")/sluice-\(geteuid())"
    }

    /// The place of a process that begins to serve, whose folder is there afterwards; nil where there
    /// is none.
    static func makePlace(
        runtimeFolder: String? = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"],
        serviceFolder: String = serviceFolder, userFolder: String = userFolder
    ) -> String? {
        for folder in [runtimeFolder, serviceFolder].compactMap({ $0 })
        where folder.hasPrefix("/") && access(folder, W_OK | X_OK) == 0 {
            return "\(folder)/\(name)"
        }
        // Two that start at one moment may both make it.
        _ = mkdir(userFolder, 0o700)
        return isOwn(userFolder) ? "\(userFolder)/\(name)" : nil
    }

    /// The places where commands look, in their order.
    static func places(
        runtimeFolder: String? = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"],
        serviceFolder: String = serviceFolder, userFolder: String = userFolder
    ) -> [String] {
        var folders = [runtimeFolder, serviceFolder].compactMap { $0 }.filter { $0.hasPrefix("/") }
        // Whatever somebody else has put there is not asked.
        if isOwn(userFolder) { folders.append(userFolder) }
        return folders.map { "\($0)/\(name)" }
    }

    /// The place where commands find somebody; nil where nobody answers at any.
    static var firstAnswering: String? {
        places().first { place in
            (try? Address(parsing: "unix:" + place)).map(AdminClient.answers) ?? false
        }
    }

    /// The sockets of further processes of the user, beside the usual ones: `sluice-PID.sock`.
    static func others(beside places: [String]) -> [String] {
        places.flatMap { place -> [String] in
            let folder = String(place.dropLast(name.count + 1))
            let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
            return files.filter { $0.hasPrefix("sluice-") && $0.hasSuffix(".sock") }.sorted()
                .map { "\(folder)/\($0)" }
        }
    }

    /// The place of a process that has found another one at `place`.
    static func ownPlace(beside place: String, of process: Int32) -> String {
        place.dropLast(name.count) + "sluice-\(process).sock"
    }

    /// Removes the sockets that processes have left which were killed.
    static func removeDead(beside place: String) {
        for file in others(beside: [place]) {
            guard let number = file.split(separator: "-").last?.dropLast(".sock".count),
                let process = Int32(number), kill(process, 0) != 0, errno == ESRCH
            else { continue }
            unlink(file)
        }
    }

    /// Whether a folder is this user's alone, and no link to another.
    private static func isOwn(_ folder: String) -> Bool {
        var facts = stat()
        return lstat(folder, &facts) == 0 && facts.st_mode & S_IFMT == S_IFDIR
            && facts.st_uid == geteuid() && facts.st_mode & 0o077 == 0
    }
}

/// Nothing answers at any of the places where a running Sluice is looked for.
struct NoAdminSocket: Error, CustomStringConvertible {
    let places: [String]

    var description: String {
        "No Sluice of this user is running: nothing answers at \(places.joined(separator: " or ")). If its"
            + " configuration names another place under admin, give that with --admin."
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

    /// The one that was named, or the first of the usual places where somebody answers.
    private func address() throws -> Address {
        if let admin { return try Self.address(named: admin) }
        if let first = AdminSocket.firstAnswering { return try Address(parsing: "unix:" + first) }
        let places = AdminSocket.places()
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
            throw Complaint(
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
        if (200..<300).contains(status) { return try JSONDecoder().decode(type, from: answer) }
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
            if state.isDone { return }
            usleep(250_000)
        }
    }
}
