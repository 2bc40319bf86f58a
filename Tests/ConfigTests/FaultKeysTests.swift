// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// `allowFaults`, and `faults` of routes.
struct FaultKeysTests {
    private static func yaml(_ faults: String, allowing: Bool = true) -> String {
        """
        \(allowing ? "allowFaults: true" : "watch: false")
        listen: [{ address: ":8080" }]
        routes: [{ path: /chat, to: "ws://127.0.0.1:9000", faults: \(faults) }]
        """
    }

    @Test func `every key is read`() throws {
        let configuration = try Configuration.load(
            yaml: Self.yaml(
                "{ latency: 200ms, jitter: 50ms, bandwidth: 64KiB, stall: 5s, stallEvery: 30s, cut: 1%, reset: 0.5%,"
                    + " refuse: 10%, share: 20%, level: bytes, for: 1m }"), file: "sluice.yaml")
        let faults = try #require(configuration.routes[0].faults)
        #expect(configuration.allowsFaults)
        #expect(faults.latency == .milliseconds(200) && faults.jitter == .milliseconds(50))
        #expect(faults.bandwidth == 65_536)
        #expect(faults.stall == .seconds(5) && faults.stallEvery == .seconds(30))
        #expect(
            [faults.cut, faults.reset, faults.refuse, faults.share] == [
                10_000, 5_000, 100_000, 200_000,
            ])
        #expect(faults.level == .bytes && faults.span == .seconds(60))
    }

    @Test(arguments: [
        ("{ cut: 1% }", false, "faults: found without 'allowFaults: true'"),
        ("{ }", true, "does nothing"), ("{ share: 50% }", true, "does nothing"),
        ("{ cut: 1 }", true, "found '1', allowed: a percentage"),
        ("{ cut: 101% }", true, "allowed: a percentage"),
        ("{ latency: 10ms, jitter: 20ms }", true, "allowed: no more than latency"),
        ("{ stall: 5s, stallEvery: 5s }", true, "allowed: more than stall"),
        ("{ latency: 61s }", true, "latency"), ("{ bandwidth: 10B }", true, "bandwidth"),
        ("{ latencies: 1s }", true, "latencies"), ("{ cut: 1%, level: words }", true, "level"),
    ])
    func `what does not fit is told`(faults: String, allowing: Bool, sentence: String) {
        let problems = #expect(throws: ConfigurationProblems.self) {
            try Configuration.load(
                yaml: Self.yaml(faults, allowing: allowing), file: "sluice.yaml")
        }
        #expect(
            problems?.description.contains(sentence) == true, "\(problems.map { "\($0)" } ?? "")")
    }

    @Test func `percentages are millionths and back`() {
        for (text, number) in [
            ("0%", 0), ("1%", 10_000), ("0.5%", 5_000), ("12.3456%", 123_456), ("100%", 1_000_000),
            ("0.0001%", 1),
        ] {
            #expect(Units.millionths(of: text) == number)
            #expect(Units.text(millionths: number) == text)
        }
        for text in ["", "%", "1", "1.%", ".5%", "1.23456%", "100.0001%", "-1%", "1e2%", "٣%"] {
            #expect(Units.millionths(of: text) == nil, "\(text)")
        }
    }

    @Test(arguments: [("64k", 65_536), ("64KiB", 65_536), ("2M", 2 << 20), ("1000B", 1_000)])
    func `a rate may leave the byte away`(text: String, bytes: Int) {
        #expect(Units.rate(of: text) == bytes)
    }
}
