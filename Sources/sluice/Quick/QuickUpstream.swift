// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Reactor
import Trust

/// The app that quick mode stands in front of, as people write it.
struct QuickUpstream: Equatable {
    let endpoint: EndpointAddress
    /// The path of a URL, which the wss URL will have too.
    let path: String?

    /// The port, where the app is one of this machine; nil elsewhere.
    var loopbackPort: UInt16? {
        guard case .tcp(let host, let port) = endpoint else { return nil }
        let isLocal =
            host == "localhost"
            || (try? Address(parsing: host.contains(":") ? "[\(host)]:0" : "\(host):0"))?.isLoopback
                == true
        return isLocal ? port : nil
    }

    /// Reads a port, a port with a path as `3000/Esv`, `host:port`, `ws://host:port[/path]` or `unix:/path`.
    ///
    /// - Throws: `ValidationError`; for a bare word too, which is rather a mistyped command than a host.
    init(parsing text: String) throws {
        if let command = UnknownWord.fileCommand(text) { throw ValidationError(command) }
        // By name rather than 127.0.0.1: many development servers listen on ::1 only.
        if let port = UInt16(text), port > 0 {
            endpoint = .tcp(host: "localhost", port: port)
            path = nil
            return
        }
        let namesNoApp = ValidationError(
            "\(text) names no app: give a port (3000), host:port, or ws://host:port/path")
        if text.isEmpty { throw namesNoApp }
        // A number that is no port is a slip, not the name of a host.
        if text.allSatisfy({ ("0"..."9").contains($0) }) {
            throw ValidationError(
                "\(text) is no port, which is a number from 1 to 65535: give that of the app, as in"
                    + " `sluice 3000`.")
        }
        if !text.contains(where: { ":/".contains($0) }) {
            throw ValidationError(UnknownWord.sentence(text))
        }
        var url = text
        // A number is no host: it is a port of this machine.
        let digits = text.prefix { $0 != "/" }
        if !digits.isEmpty, digits.allSatisfy({ ("0"..."9").contains($0) }) {
            url = "ws://localhost:" + text
        } else if !text.contains("://") && !text.hasPrefix("unix:") {
            url = "ws://" + text
        }
        for (scheme, plain) in [("http://", "ws://"), ("HTTP://", "ws://")]
        where url.hasPrefix(scheme) {
            url = plain + url.dropFirst(scheme.count)
        }
        if url.hasPrefix("wss://") || url.hasPrefix("https://") {
            throw ValidationError(
                "\(text): that app speaks TLS itself already; Sluice relays to plain ws://."
                    + " Give the port on which the app speaks without TLS.")
        }
        var urlPath: String?
        if url.hasPrefix("ws://"), let slash = url.dropFirst(5).firstIndex(of: "/") {
            urlPath = String(url[slash...].prefix { $0 != "?" && $0 != "#" })
            url = String(url[..<slash])
        }
        do {
            endpoint = try EndpointAddress(parsing: url)
        } catch {
            throw namesNoApp
        }
        path = urlPath == "/" ? nil : urlPath
    }
}

/// A word that stands where a command or an app is expected and is neither.
enum UnknownWord {
    /// What people call things here and elsewhere, and the command that does it.
    private static let otherWords = [
        "serve": "run", "start": "run", "proxy": "run", "up": "run", "stop": "drain",
        "kill": "drain", "quit": "drain", "restart": "upgrade", "validate": "check",
        "test": "check", "lint": "check", "ps": "status", "list": "status", "info": "status",
        "trust": "cert trust", "certs": "cert", "certificate": "cert", "ca": "cert",
        "diagnose": "doctor", "debug": "doctor", "version": "--version", "usage": "--help",
    ]

    /// The command that was probably meant, nil where none is near.
    static func meant(by word: String) -> String? {
        let commands = Sluice.configuration.subcommands.compactMap { $0.configuration.commandName }
        let lower = word.lowercased()
        return otherWords[lower]
            ?? Nearest.suggestion(for: lower, among: commands + ["help"])
            ?? Nearest.suggestion(for: lower, among: Array(otherWords.keys)).flatMap {
                otherWords[$0]
            }
    }

    /// Whether a bare word is rather a host than a command.
    static func isHost(_ word: String) -> Bool { word.contains(".") || word == "localhost" }

    /// That a configuration is no app, and what serves it; nil for what is not called like one.
    static func fileCommand(_ word: String) -> String? {
        guard !word.contains("://"), !word.hasPrefix("unix:"),
            [".yaml", ".yml"].contains(where: word.lowercased().hasSuffix)
        else { return nil }
        return
            "\(word) is a configuration and no app. Did you mean `sluice run \(Shell.word(word))`?"
    }

    /// What is wrong, and what was probably meant.
    static func sentence(_ word: String) -> String {
        // A host's name has a dot or is the one that everybody has.
        if isHost(word) {
            return "\(word) names no port: write \(word):3000, or ws://\(word) for port 80."
        }
        let commands = Sluice.configuration.subcommands.compactMap { $0.configuration.commandName }
        let start = "\(word) is no command and no app"
        if let meant = meant(by: word) { return "\(start). Did you mean `sluice \(meant)`?" }
        return start
            + ": give an app as a port (3000), host:port or ws://host:port/path, or one of the commands "
            + commands.joined(separator: ", ") + "."
    }
}
