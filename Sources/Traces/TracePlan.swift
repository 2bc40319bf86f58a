// SPDX-License-Identifier: Apache-2.0

/// Where spans are sent, and as whose.
public struct TracePlan: Sendable, Equatable {
    /// A field of each request to the collector; its value may be a secret.
    public struct Header: Sendable, Equatable {
        /// The field's name, a token.
        public let name: String
        /// Its value, without control characters.
        public let value: String

        /// A field of this name and value.
        public init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    /// The URL that spans are posted to (OTLP/HTTP, `…/v1/traces`).
    public var endpoint: String
    /// The `service.name` of all spans.
    public var serviceName: String
    /// The program's version.
    public var version: String
    /// Fields that the collector asks for.
    public var headers: [Header]
    /// A file of the authorities that the collector's certificate is checked by; the system's when nil.
    public var authorities: String?
    /// How long one request to the collector may take.
    public var timeoutMilliseconds: UInt64
    /// Spans that may wait.
    public var spansMax: Int

    /// A plan; durations in milliseconds.
    public init(
        endpoint: String, serviceName: String, version: String, headers: [Header] = [],
        authorities: String? = nil, timeoutMilliseconds: UInt64, spansMax: Int
    ) {
        self.endpoint = endpoint
        self.serviceName = serviceName
        self.version = version
        self.headers = headers
        self.authorities = authorities
        self.timeoutMilliseconds = timeoutMilliseconds
        self.spansMax = spansMax
    }
}

/// How patient the exporter is; durations in milliseconds.
struct ExportPatience: Sendable {
    /// Spans that travel together at most.
    var batchMax = 512
    /// How long the first span of a batch waits for others.
    var gatherMilliseconds: UInt64 = 1_000
    /// How long a batch is tried again that the collector can't take.
    var retryMilliseconds: UInt64 = 30_000
    /// The first pause between two tries; each further one is twice as long.
    var pauseMilliseconds: UInt64 = 1_000
    /// The longest pause that a collector may ask for.
    var pauseMaxMilliseconds: UInt64 = 300_000
    /// From one line in the log about a collector to the next.
    var complaintMilliseconds: UInt64 = 60_000
    /// What is left may take so long when the process stops.
    var farewellMilliseconds: UInt64 = 3_000
}
