// SPDX-License-Identifier: Apache-2.0
import Foundation

extension TraceSettings {
    private static let endpointWords =
        "a URL of a collector, as http://127.0.0.1:4318 or https://host/v1/traces"

    static let section = Section(
        "traces", TraceSettings(),
        [
            .required(
                "endpoint", .text("URL"),
                "where spans are posted to, by OTLP/HTTP in JSON: `http://127.0.0.1:4318` means "
                    + "`http://127.0.0.1:4318\(usualPath)`"
            ) { owner, value in
                guard let text = value.text(endpointWords) else { return false }
                guard let endpoint = endpoint(text) else {
                    value.report("found '\(text)', allowed: \(endpointWords)\(hint(text))")
                    return false
                }
                owner.endpoint = endpoint
                owner.endpointPlace = value.place
                return true
            },
            .custom(
                "sample", .text("percentage"), absent: "`\(TraceSettings().sampleText)`",
                "how many of the traces that begin at Sluice are recorded: `100%`, `1%`, `0.01%`. Where a trusted "
                    + "proxy names the trace, that says whether it is"
            ) { owner, value in
                let what = "a percentage of 0% to 100%, as 1% or 0.01%"
                guard let text = value.text(what) else { return false }
                guard let share = perMillion(text) else {
                    let meant = perMillion("\(text)%").map { _ in "\(text)%" }
                    value.report(
                        "found '\(text)', allowed: \(what)", hint: meant.map(Nearest.didYouMean))
                    return false
                }
                owner.samplePerMillion = share
                return true
            },
            .custom(
                "serviceName", .text("text"), absent: "`\(TraceSettings().serviceName)`",
                "the `service.name` of the spans"
            ) { owner, value in
                guard let text = value.text("a name") else { return false }
                owner.serviceName = text
                return true
            },
            .custom(
                "headers", .names(.text("text")), absent: "none",
                "fields of each request to the collector, such as a token. A value that begins with `file:` is the "
                    + "path of a file whose first line is the value, read at the start and at each reload"
            ) { owner, value in
                owner.headers = headers(value)
                return true
            },
            .custom(
                "ca", .text("path"), absent: "the system's",
                "the file of certificate authorities (PEM) that the certificate of an `https` endpoint is checked by"
            ) { owner, value in
                guard let text = value.text("a path") else { return false }
                owner.authorities = value.findings.resolve(text)
                owner.authoritiesPlace = value.place
                return true
            },
            .duration(
                "timeout", \.timeout, .milliseconds(100) ... .seconds(300),
                "how long the collector may take for one request"),
            .number(
                "queue", \.queue, 1...1_000_000,
                "spans that may wait for the collector; more are dropped and counted"),
        ])

    /// A URL with its path; nil where it is none that spans can be posted to.
    private static func endpoint(_ text: String) -> String? {
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }),
            var parts = URLComponents(string: text), let scheme = parts.scheme?.lowercased(),
            ["http", "https"].contains(scheme), let host = parts.host, !host.isEmpty,
            parts.user == nil, parts.password == nil, parts.query == nil, parts.fragment == nil,
            parts.port.map({ (1...65_535).contains($0) }) ?? true
        else { return nil }
        if parts.path.isEmpty || parts.path == "/" { parts.path = usualPath }
        return parts.string
    }

    /// What is wrong with a URL that is nearly one.
    private static func hint(_ text: String) -> String {
        guard let parts = URLComponents(string: text) else { return "" }
        if parts.user != nil || parts.password != nil || parts.query != nil {
            return "; a login or token belongs into 'headers'"
        }
        if parts.port == 4317 || text.contains(":4317") {
            return "; 4317 is the port of OTLP/gRPC, and 4318 that of OTLP/HTTP"
        }
        return ""
    }

    private static func headers(_ value: Value) -> [Header] {
        (value.namedItems(of: "values") ?? []).compactMap { name, value in
            guard let word = name.text("a field name"),
                FieldSyntax.check(word, name, isRequest: true),
                let text = value.text("a value, or file: and a path")
            else { return nil }
            if ["content-type", "user-agent"].contains(word.lowercased()) {
                name.report("found '\(word)', which Sluice itself writes")
                return nil
            }
            if text.hasPrefix("file:") {
                let path = String(text.dropFirst("file:".count))
                guard !path.isEmpty else {
                    value.report("found 'file:' without a path, allowed: file: and a path")
                    return nil
                }
                return Header(
                    name: word, source: .file(value.findings.resolve(path)), place: value.place)
            }
            guard FieldSyntax.isValue(text) else {
                value.report("found a control character, allowed: text without any")
                return nil
            }
            return Header(name: word, source: .text(text), place: value.place)
        }
    }
}
