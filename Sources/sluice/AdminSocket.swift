// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Control
import Foundation
import Glibc
import Reactor

/// Where a running Sluice is asked and told.
enum AdminSocket {
    /// Where everybody looks for it when nothing else was said; nil where there is no such place.
    static var standardPath: String? {
        standardPath(
            runtimeFolder: ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"],
            isFolder: { access($0, X_OK) == 0 })
    }

    /// The user's own folder for sockets first, then the service's.
    static func standardPath(
        runtimeFolder: String?, isFolder: (String) -> Bool
    ) -> String? {
        if let runtimeFolder, runtimeFolder.hasPrefix("/"), isFolder(runtimeFolder) {
            return runtimeFolder + "/sluice.sock"
        }
        return isFolder("/run/sluice") ? "/run/sluice/sluice.sock" : nil
    }
}

/// How commands find the process that they are for.
struct AdminOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The admin socket, a path or 127.0.0.1:port. "
                + "(default: $XDG_RUNTIME_DIR/sluice.sock, or /run/sluice/sluice.sock)",
            valueName: "socket"))
    var admin: String?

    /// The one that was named, or the first of the usual places where something stands.
    private func address() throws -> Address {
        if let admin {
            return try Address(parsing: admin.contains("/") ? "unix:" + admin : admin)
        }
        let folder = ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"]
        let paths = [folder.map { $0 + "/sluice.sock" }, "/run/sluice/sluice.sock"]
            .compactMap { $0 }
        guard let path = paths.first(where: { access($0, F_OK) == 0 }) else {
            throw Complaint(
                "There is no admin socket at \(paths.joined(separator: " or ")): no Sluice of this"
                    + " user is running, or its configuration has another one under admin (--admin)."
            )
        }
        return try Address(parsing: "unix:" + path)
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
    func follow(_ id: Int) throws {
        var last = ""
        while true {
            let state = try ask("GET", "/drains/\(id)", for: DrainState.self)
            let line = DrainText.line(state)
            if line != last { Output.line(line) }
            last = line
            if state.isDone { return }
            usleep(250_000)
        }
    }
}
