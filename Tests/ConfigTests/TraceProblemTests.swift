// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// What `traces` may say: the exact line for every kind of problem, and what shares mean.
struct TraceProblemTests {
    private static let urls =
        "allowed: a URL of a collector, as http://127.0.0.1:4318 or https://host/v1/traces"
    private static let shares = "allowed: a percentage of 0% to 100%, as 1% or 0.01%"

    @Test(arguments: [
        ("{}", "3:9: traces: 'endpoint' is missing"),
        (
            "{ endpoint: 127.0.0.1:4318 }",
            "3:21: traces.endpoint: found '127.0.0.1:4318', \(urls)"
        ),
        (
            "{ endpoint: \"grpc://host:4317\" }",
            "3:21: traces.endpoint: found 'grpc://host:4317', \(urls); 4317 is the port of OTLP/gRPC, and 4318"
                + " that of OTLP/HTTP"
        ),
        (
            "{ endpoint: \"https://me:secret@host/\" }",
            "3:21: traces.endpoint: found 'https://me:secret@host/', \(urls); a login or token belongs into"
                + " 'headers'"
        ),
        ("{ endpoint: \"http://a:0/\" }", "3:21: traces.endpoint: found 'http://a:0/', \(urls)"),
        (
            "{ endpoint: \"http://a\", sample: 1 }",
            "3:41: traces.sample: found '1', \(shares) (did you mean '1%'?)"
        ),
        (
            "{ endpoint: \"http://a\", sample: 101% }",
            "3:41: traces.sample: found '101%', \(shares)"
        ),
        (
            "{ endpoint: \"http://a\", sample: 0.00001% }",
            "3:41: traces.sample: found '0.00001%', \(shares)"
        ),
        (
            "{ endpoint: \"http://a\", headers: { \"a b\": c } }",
            "3:44: traces.headers: found 'a b', allowed: a field name, as X-Frame-Options"
        ),
        (
            "{ endpoint: \"http://a\", headers: { content-type: c } }",
            "3:44: traces.headers: found 'content-type', which Sluice itself writes"
        ),
        (
            "{ endpoint: \"http://a\", headers: { x: \"a\\nb\" } }",
            "3:47: traces.headers.x: found a control character, allowed: text without any"
        ),
        (
            "{ endpoint: \"http://a\", headers: { x: \"file:\" } }",
            "3:47: traces.headers.x: found 'file:' without a path, allowed: file: and a path"
        ),
        (
            "{ endpoint: \"http://a\", queue: 0 }",
            "3:40: traces.queue: found '0', allowed: a whole number, 1 to 1000000"
        ),
    ])
    func `what is wrong is told with its place`(value: String, line: String) {
        #expect(problems(of: smallest + "traces: " + value) == ["sluice.yaml:\(line)"])
    }

    @Test(arguments: [
        ("100%", 1_000_000), ("1%", 10_000), ("0.01%", 100), ("0.0001%", 1), ("0%", 0),
        ("12.5%", 125_000), ("99.9999%", 999_999),
    ])
    func `shares are read and written`(text: String, share: Int) {
        #expect(TraceSettings.perMillion(text) == share)
        #expect(TraceSettings.text(perMillion: share) == text)
    }

    @Test(arguments: ["", "%", "1", "-1%", "1.%", ".5%", "1.23456%", "1e2%", "100.1%", "1 %"])
    func `other texts are no shares`(text: String) {
        #expect(TraceSettings.perMillion(text) == nil)
    }

    @Test(arguments: [
        ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
        ("http://[::1]:4318/", "http://[::1]:4318/v1/traces"),
        ("HTTPS://host/otlp/v1/traces", "HTTPS://host/otlp/v1/traces"),
    ])
    func `an endpoint without a path has the usual one`(text: String, url: String) throws {
        let configuration = try Configuration.load(
            yaml: smallest + "traces: { endpoint: \"\(text)\" }", file: "sluice.yaml")
        #expect(configuration.traces?.endpoint == url)
        #expect(configuration.traces?.samplePerMillion == 1_000_000)
        #expect(configuration.traces?.serviceName == "sluice")
    }
}
