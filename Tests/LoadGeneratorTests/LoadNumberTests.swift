// SPDX-License-Identifier: Apache-2.0
//
// Goal: what is made of latencies says the same as the latencies.
// Method: known values; a histogram is read by another implementation of HdrHistogram.

import Foundation
import Glibc
import Histogram
import Reactor
import TestKit
import Testing

@testable import LoadGenerator

@Suite struct LoadNumberTests {
    @Test func `each bucket holds what lies between its lowest value and the next`() {
        for index in 0..<(LatencyBuckets.count - 1) {
            let lowest = LatencyBuckets.lowest(index)
            let next = LatencyBuckets.lowest(index + 1)
            #expect(lowest < next)
            #expect(LatencyBuckets.index(lowest) == index)
            #expect(LatencyBuckets.index(next - 1) == index)
            #expect(Double(next - lowest) <= max(1, Double(lowest) / 8))
        }
        #expect(LatencyBuckets.index(.max) == LatencyBuckets.count - 1)
    }

    @Test func `percentiles of buckets are as wide as a bucket`() {
        var buckets = LatencyBuckets()
        for value in 1...1000 { buckets.record(UInt64(value) * 1000) }
        #expect((500...563).contains(buckets.microseconds(atPercentile: 50)))
        #expect((990...1000).contains(buckets.microseconds(atPercentile: 99)))
        #expect(buckets.maxMicroseconds == 1000)
        #expect(buckets.meanMicroseconds == 500.5)
    }

    @Test func `a long run has as many stretches as a short one`() {
        var timeline = LoadTimeline(beganAt: 0)
        for second in 0..<2000 {
            timeline.advance(to: UInt64(second) * 1_000_000_000)
            timeline.current.sent += 1
        }
        timeline.finish()
        #expect(timeline.intervals.count <= LoadTimeline.intervalsMax)
        #expect(timeline.intervals.reduce(0) { $0 + $1.sent } == 2000)
        #expect(timeline.intervalNanoseconds == 4_000_000_000)
        var other = LoadTimeline(beganAt: 0)
        other.advance(to: 5_000_000_000)
        other.current.sent = 7
        other.finish()
        timeline.add(other)
        #expect(timeline.intervals[1].sent == 4 + 7)
    }

    @Test func `expectations compare, with units`() throws {
        var summary = LoadSummary()
        summary.latencyMicroseconds.p99 = 40_000
        summary.latencyMicroseconds.count = 1
        summary.messages.totalSent = 2000
        summary.connections.opened = 50
        summary.errors = [LoadSummary.Failure(cause: "late", count: 2, example: "")]
        for text in [
            "p99 < 50ms", "p99<=40ms", "p99 == 40000us", "p99 > 0.03 s", "errors < 0.1%",
            "errors == 2", "connected == 50", "connected != 51", "failed == 0",
        ] { #expect(try LoadExpectation(parsing: text).judge(summary).isMet, "\(text)") }
        for text in ["p99 < 40ms", "errors < 0.09%", "errors == 0", "connected >= 51"] {
            #expect(try !LoadExpectation(parsing: text).judge(summary).isMet, "\(text)")
        }
        #expect(try LoadExpectation(parsing: "p99 < 1ms").judge(summary).found == "40 ms")
    }

    @Test(arguments: [
        "p99 < 50ms", "mean >= 0us", "openingSeconds < 1s", "messagesPerSecond < 10",
        "megabytesPerSecond < 10", "openedPerSecond < 10", "errors < 1%", "late < 1%",
        "alive == 0",
    ])
    func `what was not measured meets no expectation`(text: String) throws {
        let verdict = try LoadExpectation(parsing: text).judge(LoadSummary())
        #expect(!verdict.isMet)
        #expect(verdict.found == "nothing")
    }

    @Test func `each of several runs has to be as expected`() throws {
        var runs = [LoadSummary(), LoadSummary(), LoadSummary()]
        for index in runs.indices { runs[index].connections.opened = 50 }
        let expectation = try LoadExpectation(parsing: "connected == 50")
        #expect(expectation.judge(runs).isMet)
        #expect(expectation.judge(runs).found == "50 in each of 3 runs")
        runs[1].connections.opened = 49
        #expect(!expectation.judge(runs).isMet)
        let found = "49 in run 2, the worst of 3; 1 of them not as expected"
        #expect(expectation.judge(runs).found == found)
    }

    @Test(arguments: [
        ("connected < 60", true, "55 in run 3, the worst of 3"),
        ("connected <= 51", false, "55 in run 3, the worst of 3; 1 of them not as expected"),
        ("connected >= 47", true, "48 in run 2, the worst of 3"),
        ("connected > 51", false, "48 in run 2, the worst of 3; 2 of them not as expected"),
        ("connected != 50", false, "50 in run 1, the worst of 3; 1 of them not as expected"),
        ("alive == 1", false, "nothing in each of 3 runs"),
    ])
    func `of several runs the worst is told`(text: String, isMet: Bool, found: String) throws {
        var runs = [LoadSummary(), LoadSummary(), LoadSummary()]
        for (index, count) in [UInt64(50), 48, 55].enumerated() {
            runs[index].connections.opened = count
        }
        let verdict = try LoadExpectation(parsing: text).judge(runs)
        #expect(verdict.isMet == isMet)
        #expect(verdict.found == found)
    }

    @Test(arguments: [1e20, 1e-12, 0, .infinity, .nan])
    func `a rate that no clock keeps is refused`(rate: Double) throws {
        let plan = try plan(1, .rate(messagesPerSecond: rate))
        let fault = #expect(throws: LoadFault.self) { try LoadCrew(plan, threads: 1) }
        #expect(fault?.sentence.contains("the rate must be between") == true)
    }

    @Test(arguments: [
        ("p99", "compares nothing"), ("p98 < 1ms", "no measure “p98”"),
        ("p99 < 50", "not a time with its unit"), ("connected < many", "not a number"),
        ("p99 < 5%", "a share stands behind errors and late only"),
    ])
    func `an expectation that can't be read says what is allowed`(text: String, words: String) {
        let fault = #expect(throws: LoadFault.self) { try LoadExpectation(parsing: text) }
        #expect(fault?.sentence.contains(words) == true, "\(fault?.sentence ?? "")")
    }

    @Test(arguments: [
        ("1760000000", 1_760_000_000_000_000_000), ("1760000000123", 1_760_000_000_123_000_000),
        ("1760000000123456", 1_760_000_000_123_456_000),
        ("1760000000123456789", 1_760_000_000_123_456_789),
        ("1760000000.25", 1_760_000_000_250_000_000), ("1.76e9", 1_760_000_000_000_000_000),
        ("1.76E+18", 1_760_000_000_000_000_000), ("176000000025e-2", 1_760_000_000_250_000_000),
        ("1.760000000123456e15", 1_760_000_000_123_456_000), ("5e-1", 500_000_000),
    ])
    func `a clock is read in the unit that it has`(text: String, nanoseconds: UInt64) {
        let bytes = Array("{\"id\":\"ts\", \"ts\" : \(text)}".utf8)
        #expect(PushClock.nanoseconds(in: bytes, key: "ts") == nanoseconds)
        #expect(PushClock.nanoseconds(in: bytes, key: "at") == nil)
    }

    @Test(arguments: [
        "-1760000000", "1.76e40", "1e9999999999999999999", "1e-9223372036854775808", "1e", "1.7.6",
        "e9", ".5", "+1",
        "\"1760000000\"",
    ])
    func `what is no time is none`(text: String) {
        #expect(PushClock.nanoseconds(in: Array("{\"ts\":\(text)}".utf8), key: "ts") == nil)
    }

    @Test(arguments: [
        ("1", "1.0", true), ("1.0", "1", true), ("1.1", "1.10", true), ("100", "1e2", true),
        ("1e2", "100", true), ("-0.5", "-5e-1", true), ("1", "1.5", false), ("1.5", "1", false),
        ("9007199254740993", "9007199254740992", false),
        ("18446744073709551615", "18446744073709551615", true),
        ("\"1\"", "1.0", false), ("\"1.0\"", "1.0", true), ("true", "1", false),
        ("null", "null", true),
        ("1", "one", false), ("16", "0x10", false),
    ])
    func `a number in JSON is what is expected in whatever form`(
        found: String, wanted: String, isSame: Bool
    ) throws {
        let value = try #require(JSONValue(message: Array("{\"a\":\(found)}".utf8))?.value(at: "a"))
        #expect(value.isSame(as: wanted) == isSame)
    }

    @Test func `an address that is another machine's is told before the run`() throws {
        var plan = LoadPlan(target: try LoadTarget(parsing: "ws://127.0.0.1:1/"), mode: .echo)
        plan.connections = 1
        plan.dialing.sources = try ["127.0.0.2", "192.0.2.1"].map {
            try #require(Address(host: $0, port: 0))
        }
        let problems = LoadNeeds.problems(of: plan, threads: 1)
        #expect(problems.count == 1)
        #expect(
            problems.first?.hasPrefix("--source: connections can't leave from 192.0.2.1: ") == true)
    }

    @Test func `time that runs out is told by what it ran out for`() {
        #expect(LoadCause.system(ETIMEDOUT).word == "timeout-connect")
        #expect(LoadCause.onOpenSocket(ETIMEDOUT).word == "vanished")
        #expect(LoadCause.onOpenSocket(ECONNRESET).word == "reset")
    }

    @Test func `what a machine lacks is told with the way to get it`() throws {
        var plan = LoadPlan(target: try LoadTarget(parsing: "wss://a.test/"), mode: .echo)
        plan.connections = 40_000
        var machine = LoadNeeds.Machine()
        machine.descriptors = 20_000
        machine.ports = 28_232
        machine.memoryBytes = 100 << 20
        let problems = LoadNeeds.problems(of: plan, threads: 2, on: machine)
        #expect(problems.count == 3)
        #expect(problems[0].contains("40,024 open files") && problems[0].contains("ulimit -Hn"))
        #expect(problems[1].contains("28,232") && problems[1].contains("--source"))
        #expect(problems[2].contains("MiB are free"))
        plan.connections = 1000
        #expect(LoadNeeds.problems(of: plan, threads: 2, on: machine) == [])
    }

    @Test func `numbers that no machine holds are refused before anything is made of them`() throws
    {
        var plan = LoadPlan(
            target: try LoadTarget(parsing: "wss://a.test/"), mode: .closed(inFlight: 1_000_000))
        plan.connections = 10_000_000
        plan.streams = 1_000_000
        #expect(LoadNeeds.memoryBytes(of: plan) > 1 << 60)
        let problems = LoadNeeds.problems(of: plan, threads: 2)
        #expect(problems.count == 1 && problems[0].contains("10,000,000 WebSockets at most"))
        plan.streams = 1
        #expect(LoadNeeds.problems(of: plan, threads: 2)[0].contains("1,000,000,000 messages"))
        plan.connections = .max
        #expect(LoadNeeds.problems(of: plan, threads: 2).count == 1)
    }

    @Test func `that ports stay in TIME-WAIT is said before a run that may use them up`() throws {
        var plan = LoadPlan(
            target: try LoadTarget(parsing: "ws://192.0.2.1/"), mode: .connect(resumes: false))
        var machine = LoadNeeds.Machine()
        machine.ports = 28_232
        func warnings() -> [String] { LoadNeeds.warnings(of: plan, threads: 2, on: machine) }
        plan.end = .count(28_000)
        #expect(warnings() == [])
        plan.end = .seconds(0.5)
        #expect(warnings() == [])
        // Two threads open more in this time than there are ports.
        for end in [LoadPlan.End.count(30_000), .seconds(1)] {
            plan.end = end
            #expect(warnings().count == 1)
            #expect(warnings()[0].contains("more than 470 connections a second"))
        }
        // As Linux has it: ports of loopback alone are taken up again.
        machine.reusesPortsOfLoopback = true
        #expect(warnings().count == 1)
        plan.target = try LoadTarget(parsing: "ws://localhost/")
        #expect(warnings() == [])
        plan.target = try LoadTarget(parsing: "ws://192.0.2.1/")
        machine.reusesPorts = true
        #expect(warnings() == [])
        machine = LoadNeeds.Machine()
        #expect(warnings() == [])
        plan.mode = .echo
        machine.ports = 10
        #expect(warnings() == [])
    }

    @Test func `those who come back do so in the order of their times`() {
        var queue = DueQueue<Comeback>()
        for number in 0..<500 {
            queue.insert(
                Comeback(at: UInt64(number * 7919 % 500), number: number, attempt: 0))
        }
        #expect(queue.first == 0)
        var times: [UInt64] = []
        while let next = queue.pop(before: 400) { times.append(next.at) }
        #expect(times == Array(0...400))
        #expect(queue.first == 401)
    }

    @Test func `a pause doubles up to the longest, and jitter takes a share of it`() {
        let backOff = BackOff(firstSeconds: 1, longestSeconds: 5, jitter: 0.5)
        #expect(backOff.nanoseconds(beforeAttempt: 0, random: 1) == 1_000_000_000)
        #expect(backOff.nanoseconds(beforeAttempt: 1, random: 0) == 1_000_000_000)
        #expect(backOff.nanoseconds(beforeAttempt: 2, random: 1) == 4_000_000_000)
        #expect(backOff.nanoseconds(beforeAttempt: 1_000_000, random: 1) == 5_000_000_000)
    }

    @Test func `a change is beyond the noise where no run lies among those of the other`() {
        let first = [5.0, 6, 7, 8]
        #expect(LoadComparison.verdict(first, [1, 2, 3, 4], true) == .better)
        #expect(LoadComparison.verdict(first, [1, 2, 3, 4], false) == .worse)
        #expect(LoadComparison.verdict(first, [9, 10, 11, 12], true) == .worse)
        #expect(LoadComparison.verdict(first, [1, 2, 3, 5.5], true) == .within)
        #expect(LoadComparison.verdict(first, [1, 2, 3], true) == .unknown)
    }

    /// Four runs of so many microseconds each, as a plan asks for them.
    private func summary(
        _ microseconds: Double, _ mode: LoadPlan.Mode, _ url: String = "ws://a/",
        connections: Int = 64
    ) throws -> LoadSummary {
        var plan = LoadPlan(target: try LoadTarget(parsing: url), mode: mode)
        plan.connections = connections
        var summary = LoadSummary()
        (summary.mode, summary.url, summary.asked) = ("echo", url, plan.asked)
        summary.latencyMicroseconds.p50 = microseconds
        summary.runs = [summary.asRun, summary.asRun, summary.asRun, summary.asRun]
        return summary
    }

    @Test func `of different loads no change is beyond the noise`() throws {
        let first = try summary(100, .echo)
        let same = LoadComparison(first, try summary(50, .echo))
        #expect(same.rows.first?.verdict == .better && same.warnings == [])
        let other = LoadComparison(first, try summary(50, .closed(inFlight: 16), connections: 8))
        #expect(other.isOfDifferentLoads)
        #expect(other.rows.allSatisfy { $0.verdict == .incomparable })
        #expect(other.rows.first?.ratio == 0.5)
        #expect(
            Array(other.warnings.dropFirst()) == [
                "  connections: 64 in the first, 8 in the second",
                "  in-flight: 1 in the first, 16 in the second",
            ])
    }

    @Test func `another way to the server is told, and may be what is compared`() throws {
        let comparison = LoadComparison(try summary(100, .echo), try summary(50, .echo, "wss://a/"))
        #expect(!comparison.isOfDifferentLoads)
        #expect(comparison.rows.first?.verdict == .better)
        #expect(comparison.warnings.last == "  scheme: ws in the first, wss in the second")
    }

    @Test func `a report that does not tell what was asked is compared by what it tells`() throws {
        var old = try summary(100, .echo)
        old.asked = [:]
        // With --repeat, those of all runs are added up.
        old.connections.wanted = 4 * 64
        var new = try summary(50, .closed(inFlight: 16))
        new.connections.wanted = 4 * 64
        #expect(LoadComparison(old, new).differences == [])
        new.connections.wanted = 4 * 8
        #expect(LoadComparison(old, new).differences.map(\.field) == ["connections"])
    }

    @Test func `a histogram is read by another implementation`() throws {
        var histogram = LoadMeter.histogram(.three)
        for value in [1, 2047, 2048, 4095, 4096, 1_000_000, 123_456_789, 599_999_999_999] {
            for _ in 0..<(value % 7 + 1) { histogram.record(UInt64(value)) }
        }
        let lines = try PythonPeer.run("hdr_reading.py", [HistogramText.base64(histogram)])
        let expected = histogram.recordedValues().map { "\($0.value) \($0.count)" }
        #expect(lines.first == "total \(histogram.totalCount)")
        #expect(Array(lines.dropFirst()) == expected)
    }
}
