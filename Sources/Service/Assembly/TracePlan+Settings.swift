// SPDX-License-Identifier: Apache-2.0
public import Config
import Frontend
import Ledger
import Reactor
import Traces

extension TracingRules {
    /// What the configuration says of which requests are recorded; nil where nothing is traced.
    init?(_ settings: TraceSettings?) {
        guard let settings else { return nil }
        self.init(sampling: TraceSampling(perMillion: settings.samplePerMillion))
    }
}

extension TracePlan {
    /// What the configuration says of the collector, with the values of fields that stand in files.
    ///
    /// - Throws: `ConfigurationProblems`, where one of these can't be read, or nothing can be sent at all.
    init(_ settings: TraceSettings, version: String) throws(ConfigurationProblems) {
        if let problem = TraceExporter.problem() {
            throw Assembly.problem(settings.endpointPlace, "traces: \(problem)")
        }
        var headers: [Header] = []
        for header in settings.headers {
            headers.append(Header(name: header.name, value: try Self.value(of: header)))
        }
        if let path = settings.authorities {
            do throws(WholeFile.Refusal) {
                _ = try WholeFile.read(path)
            } catch {
                throw Assembly.problem(
                    settings.authoritiesPlace, "traces.ca: \(path): \(error.sentence)")
            }
        }
        self.init(
            endpoint: settings.endpoint, serviceName: settings.serviceName, version: version,
            headers: headers, authorities: settings.authorities,
            timeoutMilliseconds: settings.timeout.wholeMilliseconds, spansMax: settings.queue)
    }

    private static func value(
        of header: TraceSettings.Header
    ) throws(ConfigurationProblems) -> String {
        guard case .file(let path) = header.source else {
            if case .text(let text) = header.source { return text }
            return ""
        }
        let start = "traces.headers.\(header.name): \(path)"
        let bytes: [UInt8]
        do throws(WholeFile.Refusal) {
            bytes = try WholeFile.read(path)
        } catch {
            throw Assembly.problem(header.place, "\(start): \(error.sentence)")
        }
        let line = bytes.prefix { $0 != 0x0A && $0 != 0x0D }
        guard !line.isEmpty, line.count <= 8_192, line.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }),
            let value = String(validating: line, as: UTF8.self)
        else {
            throw Assembly.problem(
                header.place,
                "\(start): its first line is no value of a field: it has to be text of 1 to 8,192 bytes"
            )
        }
        return value
    }
}

/// What is traced by a configuration, in words.
public enum TraceWords {
    /// What operators read of it, in `sluice check` and in the log; nil where nothing is traced.
    public static func sentence(_ settings: TraceSettings?) -> String? {
        guard let settings else { return nil }
        let share = settings.samplePerMillion == 1_000_000 ? "all" : settings.sampleText
        return "Traces: spans of \(share) of the traces that begin here go to"
            + " \(settings.endpoint), as \(settings.serviceName)."
    }

    /// What is wrong with the files that the settings name.
    ///
    /// - Throws: `ConfigurationProblems`, each with its place.
    public static func check(_ settings: TraceSettings?) throws(ConfigurationProblems) {
        if let settings { _ = try TracePlan(settings, version: "") }
    }
}
