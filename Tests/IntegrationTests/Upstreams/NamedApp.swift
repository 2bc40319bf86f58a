// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization
import TestKit
import Testing

/// An app in a process of its own, at a socket file, so that it can go and come back where it was.
///
/// It greets each WebSocket with its name and then echoes; what its `/healthz` and its upgrades are
/// answered is the test's to say.
final class NamedApp: Sendable {
    let name: String
    let address: PeerAddress
    private let folder: String
    private let process = Mutex<ChildProcess?>(nil)

    init(_ name: String, in folder: String) throws {
        self.name = name
        self.folder = folder
        address = .unix("\(folder)/\(name).sock")
        try answer()
        try start()
    }

    /// Answers health checks and upgrades like this from now on.
    func answer(health: String = "200", upgrade: Int = 101) throws {
        // Replaced as a whole: the app never reads half of it.
        try Scratch.write("\(health) \(upgrade)", to: "\(folder)/\(name).new")
        guard rename("\(folder)/\(name).new", "\(folder)/\(name).orders") == 0 else {
            throw PeerError("the orders of \(name) could not be written")
        }
    }

    func start() throws {
        let child = try PythonPeer.start(
            "named_app.py", ["\(folder)/\(name).sock", name, "\(folder)/\(name).orders"])
        try child.waitForLine(containing: "listening", by: .after(.seconds(120)))
        process.withLock { $0 = child }
    }

    /// Ends it at once.
    func kill() throws {
        signal(SIGKILL)
        try process.withLock { $0 }?.waitForExit()
    }

    func signal(_ number: Int32) { process.withLock { $0 }?.signal(number) }
}

extension ProxyFixture {
    /// The name of the app that a new relay reaches.
    func reached(_ opening: Opening = Opening()) throws -> String {
        try open(opening).readFrame().text
    }

    /// How often something was logged.
    func count(of text: String) -> Int { process.errors.count { $0.contains(text) } }
}
