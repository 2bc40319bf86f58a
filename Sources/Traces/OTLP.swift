// SPDX-License-Identifier: Apache-2.0
import Foundation
import Wire

// Messages of OTLP 1.x as its JSON has them: names of traces and spans as hexadecimal digits, numbers of 64 bits
// as text, values of enumerations as numbers (opentelemetry.io/docs/specs/otlp, "JSON Protobuf Encoding").

/// What one request to a collector carries: `ExportTraceServiceRequest`.
struct TraceRequest: Encodable {
    let resourceSpans: [ResourceSpans]
}

struct ResourceSpans: Encodable {
    struct Resource: Encodable {
        let attributes: [TraceAttribute]
    }

    struct ScopeSpans: Encodable {
        struct Scope: Encodable {
            let name: String
            let version: String
        }
        let scope: Scope
        let spans: [TraceSpanMessage]
    }

    let resource: Resource
    let scopeSpans: [ScopeSpans]
}

/// `Span`.
struct TraceSpanMessage: Encodable {
    enum Kind: Int, Encodable {
        case `internal` = 1
        case server = 2
    }

    struct Event: Encodable {
        let timeUnixNano: String
        let name: String
        let attributes: [TraceAttribute]
    }

    struct Link: Encodable {
        let traceId: String
        let spanId: String
        let flags: UInt32
        let attributes: [TraceAttribute]
    }

    struct Status: Encodable {
        /// 2 for an error.
        let code: Int
        let message: String?
    }

    let traceId: String
    let spanId: String
    /// Nil for a span that nothing has caused.
    let parentSpanId: String?
    /// The flags of the trace, and whether the cause is known to be elsewhere.
    let flags: UInt32
    let name: String
    let kind: Kind
    let startTimeUnixNano: String
    let endTimeUnixNano: String
    let attributes: [TraceAttribute]
    let events: [Event]
    let links: [Link]
    /// Nil where nothing is said of it.
    let status: Status?
}

/// `KeyValue`.
struct TraceAttribute: Encodable, Equatable {
    enum Value: Encodable, Equatable {
        case text(String)
        case number(Int64)
        case fraction(Double)
        case boolean(Bool)

        private enum CodingKeys: String, CodingKey {
            case stringValue, intValue, doubleValue, boolValue
        }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            switch self {
            case .text(let text): try container.encode(text, forKey: .stringValue)
            case .number(let number): try container.encode("\(number)", forKey: .intValue)
            case .fraction(let number): try container.encode(number, forKey: .doubleValue)
            case .boolean(let flag): try container.encode(flag, forKey: .boolValue)
            }
        }
    }

    let key: String
    let value: Value
}

/// A list of attributes that leaves out what says nothing.
struct TraceAttributes {
    /// What a peer chooses is cut behind so many bytes, so that a span has a bound.
    static let textMax = 1_024

    private(set) var list: [TraceAttribute] = []

    mutating func add(_ key: String, _ text: String) {
        if text.isEmpty { return }
        list.append(TraceAttribute(key: key, value: .text(text.cut(toBytes: Self.textMax))))
    }

    mutating func add(_ key: String, _ number: some BinaryInteger) {
        list.append(TraceAttribute(key: key, value: .number(Int64(clamping: number))))
    }

    mutating func add(_ key: String, seconds nanoseconds: UInt64) {
        list.append(
            TraceAttribute(key: key, value: .fraction(Double(nanoseconds) / 1_000_000_000)))
    }

    mutating func add(_ key: String, _ flag: Bool) {
        list.append(TraceAttribute(key: key, value: .boolean(flag)))
    }
}

extension String {
    /// As many of the first characters (Unicode scalars) as have so many bytes of UTF-8 together at most.
    func cut(toBytes most: Int) -> String {
        if utf8.count <= most { return self }
        var end = utf8.index(utf8.startIndex, offsetBy: most)
        while end > utf8.startIndex, UTF8.isContinuation(utf8[end]) { utf8.formIndex(before: &end) }
        return String(self[..<end])
    }
}

/// What a collector answers: `ExportTraceServiceResponse`, or `Status` where it has refused.
struct TraceAnswer: Decodable {
    struct PartialSuccess: Decodable {
        /// A number of 64 bits, so text by the rule; some send a number.
        enum Count: Decodable {
            case count(Int)

            init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if let number = try? container.decode(Int.self) {
                    self = .count(number)
                } else {
                    self = .count(Int(try container.decode(String.self)) ?? 0)
                }
            }
        }
        let rejectedSpans: Count?
        let errorMessage: String?
    }

    let partialSuccess: PartialSuccess?
    let message: String?

    /// Spans that were not taken, though the others were.
    var rejectedCount: Int {
        if case .count(let count)? = partialSuccess?.rejectedSpans { return max(0, count) }
        return 0
    }

    /// Reads an answer; nil where it is none.
    static func read(_ body: [UInt8]) -> TraceAnswer? {
        try? JSONDecoder().decode(TraceAnswer.self, from: Data(body))
    }
}
