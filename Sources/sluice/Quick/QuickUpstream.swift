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
    /// The query of a URL without its question mark, for the wss URL and for the WebSocket that is tried.
    private(set) var query: String?

    /// Path and query, as they stand in a request; nil where neither is given.
    var target: String? {
        guard let query else { return path }
        return "\(path ?? "/")?\(query)"
    }

    /// The port, where the app is one of this machine; nil elsewhere.
    var loopbackPort: UInt16? {
        guard let (host, port) = endpoint.hostAndPort else { return nil }
        let isLocal =
            host == "localhost"
            || (try? Address(parsing: host.contains(":") ? "[\(host)]:0" : "\(host):0"))?.isLoopback
                == true
        return isLocal ? port : nil
    }

    /// Reads a port, a port with a path as `3000/Esv`, `host:port`, `ws://host:port[/path]`, the same with `wss`, `http` or
    /// `https`, or `unix:/path`.
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
            "\(text) names no app: give a port (3000), host:port, ws://host:port/path or unix:/path"
        )
        if text.isEmpty { throw namesNoApp }
        try Self.refuseBlanks(text)
        if text.hasPrefix("/") {
            throw ValidationError(
                "\(text) is a path. Did you mean `sluice unix:\(Shell.word(text))`, for the app at that"
                    + " socket?")
        }
        // A number that is no port is a slip, not the name of a host.
        if text.allSatisfy({ ("0"..."9").contains($0) }) {
            throw ValidationError(
                "\(text) is no port, which is a number from 1 to 65535: give that of the app, as in"
                    + " `sluice 3000`.")
        }
        try Self.refuseLogin(text)
        let digits = text.prefix { !"/?#".contains($0) }
        let isPort = UInt16(digits).map { $0 > 0 } ?? false
        if !isPort, !text.contains(where: { ":/".contains($0) }) {
            throw ValidationError(UnknownWord.sentence(text))
        }
        var url = text
        // A number is no host: it is a port of this machine.
        if !digits.isEmpty, digits.allSatisfy({ ("0"..."9").contains($0) }) {
            url = "ws://localhost:" + text
        } else if !text.contains("://") && !text.hasPrefix("unix:") {
            url = "ws://" + text
        }
        for (scheme, usual) in [("http://", "ws://"), ("https://", "wss://")]
        where url.lowercased().hasPrefix(scheme) {
            url = usual + url.dropFirst(scheme.count)
        }
        // As Docker maps ports.
        let ports = text.split(separator: ":", omittingEmptySubsequences: false)
        if ports.count == 2, ports.allSatisfy({ UInt16($0).map { $0 > 0 } ?? false }) {
            throw ValidationError(
                "\(text) is two ports. For the app at \(ports[0]), with Sluice at \(ports[1]):"
                    + " sluice \(ports[0]) --listen \(ports[1])")
        }
        var target: Substring = ""
        if let start = ["ws://", "wss://"].first(where: { url.lowercased().hasPrefix($0) }),
            let end = url.dropFirst(start.count).firstIndex(where: { "/?#".contains($0) })
        {
            target = url[end...]
            url = String(url[..<end])
        }
        do {
            endpoint = try EndpointAddress(parsing: url)
        } catch {
            throw namesNoApp
        }
        let urlPath = String(target.prefix { !"?#".contains($0) })
        path = ["", "/"].contains(urlPath) ? nil : urlPath
        query = try Self.query(in: target, of: text)
    }

    /// Refuses a user and a password in front of the host, and does not print them again.
    private static func refuseLogin(_ text: String) throws {
        guard !text.hasPrefix("unix:") else { return }
        let start = text.firstRange(of: "://")?.upperBound ?? text.startIndex
        let authority = text[start...].prefix { !"/?#".contains($0) }
        guard let at = authority.lastIndex(of: "@") else { return }
        let bare = String(text[..<start] + text[text.index(after: at)...])
        let isApp = (try? QuickUpstream(parsing: bare)) != nil
        throw ValidationError(
            "The app's URL has a user or a password in front of the host, and Sluice sends none: leave it out"
                + (isApp ? ", as in `sluice \(Shell.word(bare))`." : ".")
                + " The app gets the Authorization field that a client sends. Where Sluice itself is to log in"
                + " there, a configuration sets the field: request: { set: { Authorization: Basic … } } at the route."
        )
    }

    /// Refuses blanks and line ends around an app, as a file of variables with Windows' line ends gives them.
    private static func refuseBlanks(_ text: String) throws {
        let scalars = text.unicodeScalars
        func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isWhitespace }
        guard let first = scalars.first, let last = scalars.last, isBlank(first) || isBlank(last)
        else { return }
        let rest = scalars.drop(while: isBlank)
        let end = rest.lastIndex { !isBlank($0) }.map { rest.index(after: $0) } ?? rest.startIndex
        let bare = String(String.UnicodeScalarView(rest[..<end]))
        throw ValidationError(
            "'\(text)' has a blank or a line end at its start or end"
                + (bare.isEmpty
                    ? ", and nothing else." : ". Did you mean `sluice \(Shell.word(bare))`?")
                + " If it comes from a file with the line ends of Windows (\\r), save that with those of Unix."
        )
    }

    /// The query behind a path; nil where there is none.
    ///
    /// - Throws: `ValidationError` for one that can't stand in a request, and for a fragment, which URLs of WebSockets
    ///   don't have (RFC 6455 §3).
    private static func query(in target: Substring, of text: String) throws -> String? {
        if let hash = target.firstIndex(of: "#") {
            throw ValidationError(
                "\(text): a WebSocket URL has no fragment; leave \(target[hash...]) out, or write # as %23."
            )
        }
        guard let mark = target.firstIndex(of: "?") else { return nil }
        let query = target[target.index(after: mark)...]
        guard query.utf8.allSatisfy({ 0x21...0x7E ~= $0 }) else {
            throw ValidationError(
                "\(text): blanks and letters outside of ASCII stand in a query as %XX, as %20 for a blank."
            )
        }
        return String(query)
    }
}

/// A word that stands where a command or an app is expected and is neither.
enum UnknownWord {
    /// What people call things here and elsewhere, and the command that does it.
    private static let otherWords = [
        "serve": "run", "start": "run", "proxy": "run", "up": "run", "stop": "drain",
        "kill": "drain", "quit": "drain", "restart": "upgrade", "validate": "check",
        "test": "check", "lint": "check", "ps": "status", "list": "status", "info": "status",
        "trust": "cert trust", "untrust": "cert untrust", "export": "cert export", "certs": "cert",
        "certificate": "cert", "ca": "cert",
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

    /// What to type where a word for serving is followed by what is to be served, or by nothing; nil for other words.
    static func serving(_ word: String, _ next: String?) -> String? {
        guard !word.contains(where: { ":/.".contains($0) }), meant(by: word) == "run" else {
            return nil
        }
        let start = "\(word) is no command and no app. Did you mean "
        guard let next else {
            return start + "`sluice 3000`, with the port of an app, or `sluice run -c FILE`?"
        }
        if fileCommand(next) != nil { return start + "`sluice run \(Shell.word(next))`?" }
        return (try? QuickUpstream(parsing: next)).map { _ in
            start + "`sluice \(Shell.word(next))`?"
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
        if isHost(word), (try? QuickUpstream(parsing: "\(word):3000")) != nil {
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
