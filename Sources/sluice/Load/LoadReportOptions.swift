// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import LoadGenerator

/// What a load is expected to show, and where that is written.
struct LoadReportOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "What the run has to show, as 'p99 < 50ms', 'errors < 0.1%' or 'connected == 5000'; several are possible. (default: errors == 0)",
            valueName: "expectation"))
    var expect: [String] = []

    @Flag(help: "End with 3 where the generator was the limit.") var strict = false

    @Option(
        help: ArgumentHelp(
            "Write the report as one JSON object; - is standard output.", valueName: "file"))
    var json: String?

    @Option(
        help: ArgumentHelp(
            "Write the latencies by percentile as HdrHistogram does (.hgrm), in microseconds.",
            valueName: "file"))
    var hgrm: String?

    @Option(
        help: ArgumentHelp(
            "Write the report as one page of HTML, with charts and without scripts.",
            valueName: "file"))
    var report: String?

    @Option(
        name: .customLong("repeat"),
        help: ArgumentHelp(
            "Run so often, and report all together and each.", valueName: "n"))
    var repeats = 1

    /// Refuses what can't be expected or written.
    func validate() throws {
        _ = try Self.expectations(expect)
        if !(1...1000 ~= repeats) {
            throw ValidationError("--repeat takes a whole number from 1 to 1000, found \(repeats).")
        }
        let files = [json, hgrm, report].compactMap { $0 }
        if Set(files).count < files.count {
            throw ValidationError("Two reports would go to one file: give each its own.")
        }
    }

    /// Expectations, and the one that holds by itself where there is none.
    static func expectations(_ texts: [String]) throws -> [LoadExpectation] {
        do throws(LoadFault) {
            var result: [LoadExpectation] = []
            for text in texts.isEmpty ? ["errors == 0"] : texts {
                result.append(try LoadExpectation(parsing: text))
            }
            return result
        } catch {
            throw ValidationError("--expect: \(error.sentence).")
        }
    }
}
