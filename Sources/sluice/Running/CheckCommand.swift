// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Foundation
import Glibc
import Ledger
import Reactor
import Service
import TLS

/// `sluice check -c FILE`: says what a configuration means, or what is wrong with it.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Validate a configuration and print its routes and certificates.",
        usage: "sluice check -c sluice.yaml",
        discussion: """
            Prints a line per problem (file:line:column, what was found, what is allowed) if it \
            could not be served. What clients are going to refuse, such as an expired \
            certificate, is a line that begins with "Warning".
            """ + ExitCodes.help("check"))

    @OptionGroup var file: ConfigurationFile

    /// Reads the configuration and prints what it would serve; throws where it could not be served.
    func run() throws {
        let configuration = try Configuration.load(path: file.path)
        let unwritable =
            Self.unwritableLogs(configuration.log) + Self.occupied(configuration)
        let assembly: Assembly
        do {
            assembly = try Assembly(configuration)
            try TraceWords.check(configuration.traces)
        } catch let error as ConfigurationProblems {
            throw ConfigurationProblems(sorting: error.problems + unwritable)
        }
        if !unwritable.isEmpty { throw ConfigurationProblems(unwritable) }
        // Who may use them stands where it is looked for only if some are not for everybody.
        let hasAccess = configuration.routes.contains { $0.access != nil }
        let access = hasAccess ? ["ACCESS"] : []
        let everybody = hasAccess ? ["-"] : []
        var routes = [["LISTEN", "PROTOCOLS", "HOST", "PATH"] + access + ["TO", "BALANCE"]]
        for listener in configuration.listen {
            let protocols = listener.protocolNames.joined(separator: " ")
            if listener.redirectsToHTTPS {
                routes.append(
                    ["http \(listener.address)", protocols, "any", "/*"] + everybody
                        + ["redirect 308 https", "-"])
                continue
            }
            for route in configuration.routes
            where route.listen.isEmpty || route.listen.contains(listener.name ?? "") {
                let scheme = listener.tls == nil ? "ws" : "wss"
                let rules = route.access?.rules.joined(separator: ", ") ?? "-"
                routes.append(
                    [
                        "\(scheme) \(listener.address)", protocols, route.host ?? "any",
                        String(route.name.dropFirst(route.host?.count ?? 0)),
                    ] + (hasAccess ? [rules] : []) + [
                        Assembly.label(of: route, in: configuration),
                        Assembly.balance(of: route, in: configuration),
                    ])
            }
        }
        Output.line(Table.text(routes))
        var certificates = [["CERTIFICATE", "NAMES", "KEY", "UNTIL"]]
        for certificate in configuration.listen.compactMap(\.tls).flatMap(\.certificates) {
            let facts = try CertificateFacts.readLeaf(chain: certificate.chain)
            certificates.append([
                certificate.chain, facts.names.joined(separator: " "), facts.keyKind,
                CertCommand.until(facts.term),
            ])
        }
        if certificates.count > 1 { Output.line("\n" + Table.text(certificates)) }
        if let plan = RecordPlan(configuration) { Output.line("\n\(plan.sentence)") }
        if let sentence = TraceWords.sentence(configuration.traces) { Output.line("\n\(sentence)") }
        if !assembly.warnings.isEmpty { Output.line("") }
        for warning in assembly.warnings {
            Output.line("Warning: \(warning.place): \(Program.pasteable(warning.sentence)).")
        }
        let count = assembly.warnings.count
        Output.line(
            "\nThis configuration can be served"
                + (count == 0 ? "." : ", with \(Count.words(count, "warning")) above."))
    }

    /// That something else than a socket stands where a socket is to be, or that none can be made there.
    ///
    /// Whether somebody listens there or at another address is no matter: it may be the Sluice that is to take the
    /// configuration up.
    private static func occupied(_ configuration: Configuration) -> [ConfigurationProblem] {
        var wanted = configuration.listen.map { ($0.address, $0.addressPlace ?? $0.place, "") }
        if case .path(let path) = configuration.admin.socket {
            wanted.append(("unix:" + path, configuration.admin.socketPlace, "admin.socket: "))
        }
        return wanted.compactMap { text, place, key in
            guard let address = try? Address(parsing: text), address.isUnix else { return nil }
            let fault: SystemError
            if case .other(let what)? = try? SocketPlace(address) {
                fault = .occupied(address, by: what)
            } else {
                let folder = folder(of: address.path)
                guard !address.path.hasPrefix("@"), access(folder, W_OK | X_OK) != 0 else {
                    return nil
                }
                fault = SystemError(
                    code: errno, call: "bind \(address)", subject: .listening(address))
            }
            let sentence = PortHolder.sentence(on: fault)
            return ConfigurationProblem(place: place, sentence: key + sentence)
        }
    }

    private static func folder(of path: String) -> String {
        let name = (path as NSString).deletingLastPathComponent
        return name.isEmpty ? "." : name
    }

    /// The log files that can't be written, without making any.
    private static func unwritableLogs(_ log: LogSettings) -> [ConfigurationProblem] {
        let targets = [(log.access, log.accessPlace), (log.events, log.eventsPlace)]
        var problems: [ConfigurationProblem] = []
        for case (.file(let path), let place?) in targets {
            let folder = folder(of: path)
            var status = stat()
            let isThere = stat(path, &status) == 0
            var code: Int32 = 0
            if isThere, status.st_mode & S_IFMT == S_IFDIR {
                code = EISDIR
            } else if access(isThere ? path : folder, isThere ? W_OK : W_OK | X_OK) != 0 {
                code = errno
            }
            guard code != 0 else { continue }
            let remedy = SystemError.remedy(code, file: path).map { "; \($0)" } ?? ""
            let reason = SystemError.text(of: code) + remedy
            problems.append(
                ConfigurationProblem(
                    place: place,
                    sentence: isThere
                        ? "the log \(path) can't be written: \(reason)"
                        : "no log can be made in the folder \(folder): \(reason)"))
        }
        return problems
    }
}

/// Columns of text, aligned.
enum Table {
    static func text(_ rows: [[String]]) -> String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in
            rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0
        }
        return rows.map { row in
            let cells = row.enumerated().map { column, cell in
                column == columns - 1
                    ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }
            return cells.joined(separator: "  ")
        }.joined(separator: "\n")
    }
}
