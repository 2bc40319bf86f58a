// SPDX-License-Identifier: Apache-2.0

import Foundation
import TestKit
import Testing

/// A real Prometheus (Debian) that scrapes one address, and is asked by its HTTP API for what it has.
final class Prometheus {
    /// A series with the value of its last sample.
    struct Series: Hashable, CustomStringConvertible {
        let name: String
        let labels: [String: String]

        init(_ name: String, _ labels: [String: String] = [:]) {
            self.name = name
            // To Prometheus a label that is empty is none.
            self.labels = labels.filter { !$0.value.isEmpty }
        }

        var description: String {
            let pairs = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\"\($0.value)\"" }
            return "\(name){\(pairs.joined(separator: ","))}"
        }
    }

    private struct Answer: Decodable {
        struct Body: Decodable {
            struct Result: Decodable {
                let metric: [String: String]
                let value: Value
            }
            struct Value: Decodable {
                let text: String

                init(from decoder: any Decoder) throws {
                    var list = try decoder.unkeyedContainer()
                    _ = try list.decode(Double.self)
                    text = try list.decode(String.self)
                }
            }
            let result: [Result]
        }
        let status: String
        let data: Body?
        let error: String?
    }

    private let process: ChildProcess
    private let folder: String
    private let port: String

    /// Starts it; it scrapes `host:port` each second.
    init(scraping target: String) throws {
        folder = try Scratch.makeFolder()
        try Scratch.write(
            """
            global: { scrape_interval: 1s, scrape_timeout: 1s }
            scrape_configs:
              - { job_name: sluice, static_configs: [{ targets: ["\(target)"] }] }

            """, to: "\(folder)/prometheus.yml")
        process = try ChildProcess([
            "prometheus", "--config.file=\(folder)/prometheus.yml",
            "--storage.tsdb.path=\(folder)/data",
            "--web.listen-address=127.0.0.1:0", "--log.format=json",
        ])
        let line = try process.waitForLine(containing: "\"TLS is disabled.\"")[0]
        port = String(try #require(line.firstMatch(of: /"address":"127\.0\.0\.1:(\d+)"/)).output.1)
        // Until then its answers are no JSON.
        try process.waitForLine(containing: "Server is ready to receive web requests")
    }

    deinit {
        process.signal(SIGKILL)
        _ = try? process.waitForExit()
        Scratch.remove(folder)
    }

    /// What a query in PromQL gives now; without the labels that say who was scraped.
    func query(_ text: String) throws -> [Series: Double] {
        let answer = try ended([
            "curl", "-s", "--max-time", "30", "--data-urlencode", "query=\(text)",
            "http://127.0.0.1:\(port)/api/v1/query",
        ])
        let decoded = try JSONDecoder().decode(Answer.self, from: Data(answer.output.utf8))
        guard decoded.status == "success", let data = decoded.data else {
            throw PeerError("\(text): \(decoded.error ?? answer.output)")
        }
        var found: [Series: Double] = [:]
        for result in data.result {
            var labels = result.metric
            let name = labels.removeValue(forKey: "__name__") ?? ""
            for key in ["instance", "job"] { labels[key] = nil }
            let number: Double = try #require(Double(result.value.text), "\(result.value.text)")
            found[Series(name, labels)] = number
        }
        return found
    }
}

extension Operated {
    /// `127.0.0.1` and the port at which this one answers for metrics alone.
    func metricsAddress() throws -> String {
        let line = try proxy.process.waitForLine(containing: "metrics   http://")[0]
        let url = try #require(line.split(separator: " ").last)
        return String(url).replacing("http://", with: "").replacing("/metrics", with: "")
    }
}
