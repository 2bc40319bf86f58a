// SPDX-License-Identifier: Apache-2.0
import Foundation

extension Configuration {
    /// Reads a configuration; throws everything that is wrong with it.
    ///
    /// - Parameters:
    ///   - yaml: the text.
    ///   - file: names it in problems; paths of certificates, keys and logs are relative to its folder.
    ///   - judge: what is wrong with routes beside what is looked at here; asked only where something else is
    ///     wrong, so that all of it is told at once.
    /// - Returns: the configuration, in which nothing is wrong as far as it is looked at here.
    /// - Throws: everything that is wrong with it.
    public static func load(
        yaml: String, file: String,
        judging judge: ([RouteSettings]) -> [ConfigurationProblem] = { _ in [] }
    ) throws(ConfigurationProblems) -> Configuration {
        // The mark tells the encoding and is no part of the text (YAML 1.2 §5.2).
        var yaml = yaml
        if yaml.unicodeScalars.first == "\u{FEFF}" { yaml.unicodeScalars.removeFirst() }
        if let label = pemLabel(of: yaml) {
            throw ConfigurationProblems(
                file: file,
                "this is a PEM file (\(label)) and no configuration: give the YAML file that names it under"
                    + " listen[].tls.certificates")
        }
        let findings = Findings(file: file)
        var configuration = Configuration()
        let root = Value(
            node: try Document(yaml: yaml, file: file).root(), path: "", findings: findings)
        configuration = Configuration.section.decode(root) ?? configuration
        configuration.checkFaults(findings)
        try findings.throwIfAny(judging: judge)
        return configuration
    }

    /// What the first block of a PEM file holds, which nothing else may be printed of; nil where it is none.
    private static func pemLabel(of text: String) -> Substring? {
        let mark = "-----BEGIN "
        // Text may stand in front of it (RFC 7468 §2).
        for line in text.split(whereSeparator: \.isNewline) where line.hasPrefix(mark) {
            let label = line.dropFirst(mark.count).prefix { $0 != "-" }
            let isPlain = label.utf8.allSatisfy {
                $0 == 0x20 || (0x30...0x39).contains($0) || (0x41...0x5A).contains($0)
            }
            if isPlain && !label.isEmpty { return label.prefix(40) }
        }
        return nil
    }

    /// Reads a configuration out of the bytes of a file; throws also when they are no text.
    public static func load(
        bytes: [UInt8], file: String,
        judging judge: ([RouteSettings]) -> [ConfigurationProblem] = { _ in [] }
    ) throws(ConfigurationProblems) -> Configuration {
        guard let yaml = String(validating: bytes, as: UTF8.self) else {
            let isUTF16 = bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF])
            throw ConfigurationProblems(
                file: file,
                "this is no text in UTF-8: save it as UTF-8, or convert it (iconv -f"
                    + " \(isUTF16 ? "UTF-16" : "latin1") -t UTF-8)")
        }
        return try load(yaml: yaml, file: file, judging: judge)
    }

    static let section = Section(
        "Top level", Configuration(),
        [
            .required(
                "listen", .list(.mapping("listen[]")), "where Sluice listens; at least one entry"
            ) { owner, value in
                owner.listen = listeners(value)
                return true
            },
            .required(
                "routes", .list(.mapping("routes[]")), "which requests go where; at least one entry"
            ) { owner, value in
                owner.routes = (value.nonEmptyList(of: "routes") ?? [])
                    .compactMap(RouteSettings.init)
                return true
            },
            .custom(
                "upstreams", .names(.mapping("upstreams.NAME")), absent: "none",
                "groups of endpoints by name, for `to`"
            ) { owner, value in
                value.findings.upstreamNames = owner.decodeUpstreams(value)
                return true
            }.readFirst,
            .section("drain", \.drain, "drain", "how Sluice stops") { DrainSettings($0) },
            .section(
                "timeouts", \.timeouts, "timeouts", "how long each phase of a connection may take"
            ) { TimeoutSettings.section.decode($0) },
            .section("log", \.log, "log", "where access lines and events go, and in which form") {
                LogSettings.section.decode($0)
            },
            .section("limits", \.limits, "limits", "what the whole process may use") {
                GlobalLimits.section.decode($0) { limits, fields in
                    if let written = fields["targetBytes"], limits.targetBytes > limits.headBytes {
                        written.report(
                            "found \(limits.targetBytes) bytes, allowed: no more than headBytes, which is"
                                + " \(limits.headBytes)")
                    }
                    return true
                }
            },
            .section(
                "admin", \.admin, "admin",
                "where commands and other programs reach the running process"
            ) { AdminSettings.section.decode($0) },
            .section(
                "metrics", \.metrics, "metrics",
                "where a monitoring system scrapes what was counted"
            ) { MetricsSettings.section.decode($0) },
            .custom(
                "traces", .mapping("traces"), absent: "none",
                "where spans of requests are sent (OpenTelemetry); without it nothing is traced"
            ) { owner, value in
                owner.traces = TraceSettings.section.decode(value)
                return owner.traces != nil
            },
            .section(
                "resolver", \.resolver, "resolver", "which DNS servers are asked for names"
            ) { ResolverSettings.section.decode($0) },
            .section("tls", \.tls, "tls", "how TLS is done for all listeners") {
                ProcessTLSSettings.section.decode($0)
            },
            .boolean(
                "watch", \.watch,
                "whether a changed file, certificate, key or file of passwords is taken up by itself, once it has stood "
                    + "unchanged for half a second"),
            .custom(
                "allowFaults", .boolean, absent: "`false`",
                "whether `faults` of routes and `sluice chaos` may do harm to WebSockets on purpose, for tests; a "
                    + "reload that takes it away ends all faults"
            ) { owner, value in
                guard let allows = value.boolean() else { return false }
                owner.allowsFaults = allows
                owner.allowsFaultsPlace = value.place
                return true
            },
            .number(
                "workers", \.workers, 1...1_024, absent: "one per core",
                "reactors, each on its own thread"),
        ])

    /// Reports faults of routes that nothing allows.
    private func checkFaults(_ findings: Findings) {
        guard !allowsFaults else { return }
        for route in routes {
            guard let faults = route.faults else { continue }
            findings.report(
                faults.place,
                "faults: found without 'allowFaults: true' at the top level, which is needed so that nobody has them"
                    + " by mistake", hint: nil)
        }
    }

    /// Fills `upstreams`; hands back every name, also of those that had problems, so that one mistake
    /// is not told twice.
    private mutating func decodeUpstreams(_ value: Value) -> UpstreamNames {
        var names = UpstreamNames()
        for (nameValue, value) in value.namedItems(of: "upstreams") ?? [] {
            let what = "a name of letters, digits, '-', '_' and '.'"
            guard let name = nameValue.text(what) else { continue }
            guard name.utf8.allSatisfy({ $0.isLetter || $0.isDigit || "-_.".utf8.contains($0) })
            else {
                nameValue.report("found '\(name)', allowed: \(what)")
                continue
            }
            names.append(name)
            upstreams[name] = UpstreamSettings(value)
        }
        return names
    }
}

/// The names that routes may refer to, in the order of the file.
struct UpstreamNames {
    private(set) var ordered: [String] = []
    private var known: Set<String> = []

    mutating func append(_ name: String) {
        ordered.append(name)
        known.insert(name)
    }

    func contains(_ name: String) -> Bool { known.contains(name) }
}
