// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Synchronization

/// The command `Bench micro`: times the parts of the data path, without a socket.
struct Micro: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "micro",
        abstract:
            "Times the parts of the data path: frame scanner, masking, routes, heads, access.",
        discussion: """
            With --json an object with one entry per part, each with nanoseconds and, where \
            bytes are walked, gigabytesPerSecond. The figures are the fastest of several \
            rounds.
            """)

    @Flag(help: "Print one JSON object.")
    var json = false
    @Option(help: "Only parts whose name contains this.")
    var only: String?

    func run() throws {
        var results: [String: MicroResult] = [:]
        for part in MicroParts.all() where only.map({ part.name.contains($0) }) ?? true {
            let result = part.measure()
            results[part.name] = result
            if !json { print(result.line(part.name)) }
        }
        if json { print(try ReportText.json(results)) }
    }
}

/// What one part takes.
struct MicroResult: Codable {
    /// The time of one operation, in the fastest round.
    var nanoseconds: Double
    /// Where an operation walks bytes.
    var gigabytesPerSecond: Double?

    func line(_ name: String) -> String {
        let speed = gigabytesPerSecond.map { ", " + ReportText.number($0) + " GB/s" } ?? ""
        let padded = name + String(repeating: " ", count: max(1, 28 - name.count))
        return padded + ReportText.number(nanoseconds) + " ns" + speed
    }
}

/// One thing to time.
struct MicroPart {
    let name: String
    /// Bytes that one operation walks; 0 where it is not about bytes.
    let bytes: Int
    /// Carries the operation out so many times and returns something that depends on all of it.
    let body: (Int) -> Int

    private static let rounds = 7
    private static let roundMilliseconds = 40

    /// The fastest of several rounds: what disturbs only ever adds.
    func measure() -> MicroResult {
        var count = 1
        while elapsed(count) < .milliseconds(Self.roundMilliseconds) / 4 { count *= 2 }
        count *= 4
        let best = (0..<Self.rounds).map { _ in elapsed(count) }.min() ?? .zero
        let (seconds, attoseconds) = best.components
        let nanoseconds = (Double(seconds) * 1e9 + Double(attoseconds) / 1e9) / Double(count)
        return MicroResult(
            nanoseconds: nanoseconds,
            gigabytesPerSecond: bytes > 0 && nanoseconds > 0 ? Double(bytes) / nanoseconds : nil)
    }

    private func elapsed(_ count: Int) -> Duration {
        ContinuousClock().measure { BlackHole.swallow(body(count)) }
    }
}

/// Where results go, so that nothing that made them can be left out.
enum BlackHole {
    private static let last = Atomic<Int>(0)

    static func swallow(_ value: Int) {
        last.wrappingAdd(value, ordering: .relaxed)
    }
}
