// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Trust

/// What to do in place of an option that a command does not have, a word too many or one too few.
enum WordAdvice {
    /// What the file says that `run` and `check` are given, by the option of quick mode that says it there.
    private static let keys = [
        "--listen": "listen", "--port": "listen", "-p": "listen", "--lan": "listen",
        "--host": "routes[].host", "--origin": "routes[].origins", "--path": "routes[].path",
        "--cert": "listen[].tls.certificates", "--key": "listen[].tls.certificates",
        "--admin": "admin.socket", "--to": "routes[].to", "--log": "log",
    ]

    /// What other load generators call the options of `load`.
    private static let loadOptions = [
        "--users": "--connections", "--vus": "--connections", "--clients": "--connections",
        "--concurrency": "--connections", "-n": "--messages", "--requests": "--messages",
        "-d": "--duration", "--time": "--duration", "--iterations": "--messages",
        "--ramp-up": "--ramp", "--warmup": "--warm-up", "--output": "--json", "-o": "--json",
        "--html": "--report", "--bind": "--source", "-k": "--insecure", "--cacert": "--ca",
        "-H": "--header", "--protocol": "--subprotocol",
    ]

    /// What to do in place of `-c` where a command takes no configuration.
    static func configurationOption(_ name: String, _ words: CommandWords) -> String? {
        guard ["-c", "--config"].contains(name) else { return nil }
        if words.knownNames.contains("--admin") {
            return "A running Sluice knows its configuration; --admin says which Sluice is meant."
        }
        let command = words.path.dropFirst().joined(separator: " ")
        return switch command {
        case "", "quick": "A configuration is served by `sluice run -c FILE`."
        case "schema":
            "The schema is the same for every configuration; `sluice check -c FILE` says whether one is right."
        default:
            "`sluice \(command)` reads no configuration; `sluice run -c FILE` serves one, and"
                + " `sluice check -c FILE` says whether it is right."
        }
    }

    /// What to do in place of an option that is like none of the command's.
    static func unknownOption(_ name: String, _ words: CommandWords) -> String? {
        let command = words.command.configuration.commandName ?? ""
        if ["run", "check"].contains(command), let key = keys[name] {
            return "The configuration says that, under \(key)."
        }
        if command == "doctor", ["--port", "-p"].contains(name) {
            let port = words.positionals.last { UInt16($0) != nil } ?? "3000"
            return "A port stands by itself: `sluice doctor \(port)`."
        }
        let prints = !["quick", "run", "echo"].contains(command)
        if prints, ["-o", "--output"].contains(name) {
            return "What it prints goes into a file so: \(words.path.joined(separator: " ")) > FILE"
        }
        let word = name.drop { $0 == "-" }
        if name.hasPrefix("--"), CommandWords.subcommand(String(word), of: Sluice.self) != nil {
            return "Did you mean `sluice \(word)`?"
        }
        if words.path.dropFirst().first == "load", let meant = loadOptions[name] {
            return "Did you mean '\(meant)'?"
        }
        let owners = owners(of: name)
        return owners.isEmpty
            ? nil
            : "It is an option of " + owners.map { "`sluice \($0)`" }.joined(separator: ", ") + "."
    }

    /// The commands that have an option, as they are typed behind `sluice`.
    private static func owners(of name: String) -> [String] {
        ExitCodes.commands.filter {
            CommandWords($0.split(separator: " ").map(String.init)).knownNames.contains(name)
        }
    }

    /// What to do with a word too many; nil where it is the parser's to say.
    static func superfluous(_ words: CommandWords, _ message: String) -> String? {
        guard message.hasPrefix("Unexpected argument") || message.contains("unexpected arguments")
        else { return nil }
        let command = words.path.dropFirst().joined(separator: " ")
        let all = words.positionals
        guard let last = all.last else { return nil }
        let word = Shell.word(last)
        let both = all.map(Shell.word).joined(separator: " and ")
        return switch command {
        case "", "quick":
            "Quick mode stands in front of one app, found \(both). "
                + (all.count == 2 && UInt16(last) != nil
                    ? "If \(word) is the port to listen on: sluice \(Shell.word(all[0])) --listen \(word)"
                    : "Start it once for each, or serve them by a configuration: sluice run -c FILE")
        case "run", "check":
            "One configuration can be given, found \(all.count): \(both)."
        case "load", "load test": "One server can be loaded at a time, found \(both)."
        case "load compare": "Two reports are compared, found \(all.count): \(both)."
        case "doctor": "One URL can be looked at, found \(all.count): \(both)."
        case "cert show": "One certificate can be shown, found \(all.count): \(both)."
        case "cert export":
            "'\(last)' is too much. Did you mean `sluice cert export --output \(word)`?"
        case "schema": "'\(last)' is too much. Did you mean `sluice schema > \(word)`?"
        case "reload":
            "'\(last)' is too much: the running Sluice reads the file that it was started with."
                + " --admin says which Sluice is meant."
        case "upgrade":
            "'\(last)' is too much: the running Sluice starts the program file that it was started"
                + " from. Install the new program there first."
        case "drain", "status":
            "'\(last)' is too much. Did you mean `sluice \(command) \(scope(of: last)) \(word)`?"
        case "top": "'\(last)' is too much. Did you mean `sluice top --filter \(word)`?"
        case "tap": "'\(last)' is too much. Did you mean `sluice tap --route \(word)`?"
        case "cert trust", "cert untrust", "cert status":
            "'\(last)' is too much: it is done for the authority that Sluice signs with, in the folder that"
                + " --directory names or the usual one."
        case "cert list", "cert renew":
            "'\(last)' is too much: it is done for the authority of a folder. Did you mean"
                + " `sluice \(command) --directory \(word)`?"
        default: nil
        }
    }

    /// The option that a name is for, as drains and lists take it.
    private static func scope(of word: String) -> String {
        let isEndpoint = word.contains("://") || word.hasPrefix("unix:")
        let hasPort = word.split(separator: ":").last.flatMap { UInt16($0) } != nil
        return isEndpoint || hasPort && !word.contains("/") ? "--endpoint" : "--route"
    }

    /// What to do where a word lacks; nil where it is the parser's to say.
    static func missing(_ words: CommandWords, _ message: String) -> String? {
        guard message.hasPrefix("Missing expected argument") else { return nil }
        switch words.path.dropFirst().joined(separator: " ") {
        case "", "quick":
            let port = words.options.first { ["--port", "-p"].contains($0.name) }?.value
            if let port, UInt16(port) != nil {
                return "No app is named. Its port stands by itself: did you mean `sluice \(port)`?"
            }
            return "No app is named: give its port, as in `sluice 3000`."
        case "load", "load test":
            return
                "No server is named: give its URL, as in `sluice load wss://localhost:8443/`."
        case "rebalance":
            return words.positionals.first.map {
                "No upstream is named. Did you mean `sluice rebalance --upstream \(Shell.word($0))`?"
            }
        default: return nil
        }
    }
}
