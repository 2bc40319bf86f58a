// SPDX-License-Identifier: Apache-2.0
import Foundation

extension Configuration {
    /// Reads a configuration; throws everything that is wrong with it.
    ///
    /// `file` names it in problems; paths of certificates, keys and logs are relative to its folder.
    public static func load(
        yaml: String, file: String
    ) throws(ConfigurationProblems) -> Configuration {
        let findings = Findings(file: file)
        var configuration = Configuration()
        let root = Value(
            node: try Document(yaml: yaml, file: file).root(), path: "", findings: findings)
        if let fields = root.mapping(.root) { configuration = Configuration(fields) }
        try findings.throwIfAny()
        return configuration
    }

    /// Reads a configuration from a file; throws also when the file cannot be read.
    public static func load(path: String) throws(ConfigurationProblems) -> Configuration {
        func refusal(_ sentence: String) -> ConfigurationProblems {
            let place = SourcePlace(file: path, line: 0, column: 0)
            return ConfigurationProblems([ConfigurationProblem(place: place, sentence: sentence)])
        }
        let data: Data
        do {
            data = try Data(contentsOf: URL(fileURLWithPath: path))
        } catch {
            guard FileManager.default.fileExists(atPath: path) else {
                throw refusal("there is no such file")
            }
            throw refusal("cannot be read: \(error.localizedDescription)")
        }
        guard let yaml = String(validating: data, as: UTF8.self) else {
            throw refusal("is no text in UTF-8")
        }
        return try load(yaml: yaml, file: path)
    }

    private init(_ fields: Fields) {
        self.init()
        let upstreamNames = fields["upstreams"].map { decodeUpstreams($0) } ?? UpstreamNames()
        listen = fields.required("listen").map(Self.listeners) ?? []
        let items = fields.required("routes")?.nonEmptyList(of: "routes") ?? []
        routes = items.compactMap { RouteSettings($0, upstreamNames: upstreamNames) }
        if let value = fields["drain"] { drain.decode(value) }
        if let value = fields["timeouts"] { timeouts.decode(value) }
        if let value = fields["log"] { log.decode(value) }
        if let value = fields["limits"] { limits.decode(value) }
        if let value = fields["admin"] { admin.decode(value) }
        if let value = fields["resolver"] { resolver.decode(value) }
        watch = fields["watch"]?.boolean() ?? watch
        workers = fields["workers"]?.integer(1...1_024)
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
