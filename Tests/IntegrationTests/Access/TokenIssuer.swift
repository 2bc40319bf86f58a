// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestKit

/// An issuer of tokens: a foreign library's keys in a folder.
struct TokenIssuer {
    let folder: String
    /// Public keys alone, and those with a secret among them.
    var keys: String { "\(folder)/jwks.json" }
    var keysWithSecret: String { "\(folder)/secret.json" }

    init() throws {
        folder = try Scratch.makeFolder()
        try PythonPeer.run("issuer.py", ["make", folder])
        try setMode("good")
    }

    /// A token for each text of JSON.
    func sign(_ specifications: [String]) throws -> [String] {
        try PythonPeer.run("issuer.py", ["sign", folder] + specifications)
    }

    /// One token.
    func sign(_ specification: String) throws -> String {
        guard let token = try sign([specification]).first else { throw PeerError("no token") }
        return token
    }

    func rotate() throws { try PythonPeer.run("issuer.py", ["rotate", folder]) }

    /// How the issuer answers from now on.
    func setMode(_ mode: String) throws {
        try Scratch.write(mode, to: "\(folder)/mode.new")
        guard rename("\(folder)/mode.new", "\(folder)/mode") == 0 else {
            throw PeerError("the mode can't be set")
        }
    }

    /// Serves the keys over TLS, as `localhost`.
    func serve(port: Int = 0) throws -> (process: ChildProcess, port: Int) {
        let identity = try TestCertificates.shared().local
        let process = try PythonPeer.start(
            "issuer.py", ["serve", folder, identity.chain, identity.key, "\(port)"])
        let line = try process.waitForLine(containing: "listening ")[0]
        guard let bound = line.split(separator: " ").last.flatMap({ Int($0) }) else {
            throw PeerError("it listens at \(line)")
        }
        return (process, bound)
    }

    func remove() { Scratch.remove(folder) }
}
