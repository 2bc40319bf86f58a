// SPDX-License-Identifier: Apache-2.0

/// Where spans of requests are sent, and of how many.
public struct TraceSettings: Sendable, Equatable {
    /// A field of each request to the collector.
    public struct Header: Sendable, Equatable {
        /// Where its value stands.
        public enum Source: Sendable, Equatable {
            /// In the configuration.
            case text(String)
            /// In this file, whose first line it is.
            case file(String)
        }

        /// The field's name.
        public let name: String
        /// Where its value stands.
        public let source: Source
        /// Where that was written.
        public var place: SourcePlace

        /// A field of this name.
        public init(name: String, source: Source, place: SourcePlace = .commandLine) {
            self.name = name
            self.source = source
            self.place = place
        }
    }

    /// The URL that spans are posted to, with its path.
    public var endpoint = ""
    /// Where it was written.
    public var endpointPlace = SourcePlace.commandLine
    /// Of a million traces that begin here so many are recorded.
    public var samplePerMillion = 1_000_000
    /// What the spans say of whose they are.
    public var serviceName = "sluice"
    /// Fields that the collector asks for.
    public var headers: [Header] = []
    /// A file of the authorities that the collector's certificate is checked by; the system's when nil.
    public var authorities: String?
    /// Where `ca` was written.
    public var authoritiesPlace = SourcePlace.commandLine
    /// How long one request to the collector may take.
    public var timeout = Duration.seconds(10)
    /// Spans that may wait.
    public var queue = 2_048

    /// What holds where a file says nothing of it; it needs an endpoint.
    public init() {}

    /// The share that is recorded, as a configuration has it: `1%`, `0.01%`.
    public var sampleText: String { Self.text(perMillion: samplePerMillion) }

    /// The same without where it was written: equal where it means the same.
    public var bare: TraceSettings {
        var bare = self
        bare.endpointPlace = .commandLine
        bare.authoritiesPlace = .commandLine
        for index in bare.headers.indices { bare.headers[index].place = .commandLine }
        return bare
    }

    /// The path of an endpoint that names none (OTLP/HTTP).
    static let usualPath = "/v1/traces"

    /// A share of a million as a percentage.
    static func text(perMillion share: Int) -> String {
        let (whole, rest) = share.quotientAndRemainder(dividingBy: 10_000)
        if rest == 0 { return "\(whole)%" }
        var digits = String(rest + 10_000).dropFirst()
        while digits.hasSuffix("0") { digits = digits.dropLast() }
        return "\(whole).\(digits)%"
    }

    /// A percentage with up to four digits behind the point, as a share of a million; nil for anything else.
    static func perMillion(_ text: String) -> Int? {
        guard text.hasSuffix("%") else { return nil }
        let parts = text.dropLast().split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts[0].utf8.count <= 3,
            let whole = Int(decimal: parts[0])
        else { return nil }
        var share = whole * 10_000
        if parts.count == 2 {
            guard parts[1].utf8.count <= 4, let digits = Int(decimal: parts[1]) else { return nil }
            share += digits * [1_000, 100, 10, 1][parts[1].utf8.count - 1]
        }
        return share <= 1_000_000 ? share : nil
    }
}
