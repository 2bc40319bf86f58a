// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestKit
import Testing

/// A collector of traces by OpenTelemetry's own schema, in Python, and what it has got.
final class OTLPCollector: Sendable {
    let process: ChildProcess
    let port: UInt16

    /// Starts it, by TLS with these certificates if there are any.
    init(_ identity: TestIdentity? = nil) throws {
        process = try PythonPeer.start(
            "otlp_collector.py", identity.map { [$0.chain, $0.key] } ?? [])
        let line = try process.waitForLine(containing: "port ", by: .after(.seconds(120)))[0]
        port = try #require(UInt16(line.dropFirst("port ".count)))
    }

    deinit { process.signal(SIGKILL) }

    /// The line of a configuration that sends spans there.
    func setting(_ more: String = "") -> String {
        "traces: { endpoint: \"http://127.0.0.1:\(port)\"\(more.isEmpty ? "" : ", \(more)") }"
    }

    /// The spans so far; throws where one was not as the schema says.
    func spans() throws -> [CollectedSpan] {
        let lines = process.output
        if let line = lines.first(where: { $0.hasPrefix("invalid ") }) { throw PeerError(line) }
        return try lines.filter { $0.hasPrefix("span ") }.map { line in
            try JSONDecoder().decode(
                CollectedSpan.self, from: Data(line.dropFirst("span ".count).utf8))
        }
    }

    /// The fields of the requests so far.
    func requests() throws -> [[String: String]] {
        try process.output.filter { $0.hasPrefix("request ") }.map { line in
            try JSONDecoder().decode(
                [String: String].self, from: Data(line.dropFirst("request ".count).utf8))
        }
    }

    /// Waits until so many spans have come, and returns them in the order of their ends.
    func waitForSpans(_ count: Int) throws -> [CollectedSpan] {
        try eventually("\(count) spans have come") { try spans().count >= count }
        let all = try spans()
        #expect(all.count == count, "\(all.map(\.name))")
        return all.sorted { $0.end < $1.end }
    }
}

/// A span as the collector has read it.
struct CollectedSpan: Decodable {
    /// What stands behind a key.
    enum Value: Decodable, Equatable {
        case text(String)
        case number(Double)
        case boolean(Bool)

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let flag = try? container.decode(Bool.self) {
                self = .boolean(flag)
            } else if let number = try? container.decode(Double.self) {
                self = .number(number)
            } else {
                self = .text(try container.decode(String.self))
            }
        }
    }

    struct Event: Decodable {
        let name: String
        let time: UInt64
        let attributes: [String: Value]
    }

    struct Link: Decodable, Equatable {
        let trace: String
        let span: String
    }

    let resource: [String: Value]
    let scope: String
    let trace: String
    let span: String
    let parent: String
    let flags: UInt32
    let name: String
    let kind: String
    let begin: UInt64
    let end: UInt64
    let attributes: [String: Value]
    let events: [Event]
    let links: [Link]
    let status: Int
    let message: String

    func text(_ key: String) -> String? {
        if case .text(let text)? = attributes[key] { text } else { nil }
    }

    func number(_ key: String) -> Double? {
        if case .number(let number)? = attributes[key] { number } else { nil }
    }
}
