// SPDX-License-Identifier: Apache-2.0
import Glibc
import LoadGenerator
import Reactor
import Trust

/// Where a load runs.
enum LoadMachine {
    /// This machine, for the report.
    static var environment: LoadSummary.Environment {
        var environment = LoadSummary.Environment()
        environment.version = "sluice \(Sluice.version)"
        environment.cores = ReactorThread.availableCores
        var name = utsname()
        guard uname(&name) == 0 else { return environment }
        environment.host = text(of: name.nodename)
        environment.system =
            "\(text(of: name.sysname)) \(text(of: name.release)) \(text(of: name.machine))"
        return environment
    }

    private static func text<Field>(of field: Field) -> String {
        withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}

/// The words that the command was called with, for the report.
enum LoadCommandLine {
    /// Options whose values may be secrets.
    private static let secret = ["--header", "--cookie"]

    /// The command line without secrets: values of fields and cookies, and what stands behind the question mark of a
    /// URL, are left out.
    static var text: String { text(of: Array(CommandLine.arguments.dropFirst())) }

    static func text(of words: [String]) -> String {
        var shown = ["sluice"]
        var isSecret = false
        for word in words {
            if isSecret {
                shown.append(Shell.word(hidden(word)))
                isSecret = false
                continue
            }
            isSecret = secret.contains(word)
            if let option = secret.first(where: { word.hasPrefix($0 + "=") }) {
                let value = String(word.dropFirst(option.count + 1))
                shown.append(Shell.word("\(option)=\(hidden(value))"))
            } else {
                shown.append(Shell.word(withoutQuery(word)))
            }
        }
        return shown.joined(separator: " ")
    }

    /// The name of a field or cookie alone.
    private static func hidden(_ value: String) -> String {
        let name = value.prefix { $0 != ":" && $0 != "=" }
        return name.count < value.count ? "\(name)\(value.dropFirst(name.count).prefix(1))…" : "…"
    }

    static func withoutQuery(_ word: String) -> String {
        guard word.hasPrefix("ws://") || word.hasPrefix("wss://"),
            let mark = word.firstIndex(of: "?")
        else { return word }
        return word[..<mark] + "?…"
    }
}
