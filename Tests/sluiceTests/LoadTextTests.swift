// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import Testing

@testable import LoadGenerator
@testable import sluice

/// What people see of a load while it runs and behind it, and of relays.
struct LoadTextTests {
    /// A second after the begin: 900 messages of the 0.3 s since the connections were open.
    private var first: LoadProgress {
        var progress = LoadProgress()
        (progress.seconds, progress.toldSeconds) = (1.04, 0.9)
        (progress.openingEndedSeconds, progress.trafficBeganSeconds) = (0.5, 0.6)
        (progress.open, progress.opened, progress.received) = (50, 50, 900)
        return progress
    }

    @Test func `the first line tells the rates of the time in which they were`() {
        let line = LoadText.line(first, after: LoadProgress())
        #expect(line == "1 s   50 open   100 opened/s   3,000 msg/s   0 errors")
    }

    @Test func `later lines tell the rates since the line before`() {
        var second = first
        (second.seconds, second.toldSeconds, second.received) = (2.04, 1.9, 3_900)
        #expect(LoadText.line(second, after: first) == "2 s   50 open   3,000 msg/s   0 errors")
    }

    @Test func `where no time has passed no rate is told`() {
        var progress = first
        progress.trafficBeganSeconds = 0.9
        #expect(
            LoadText.line(progress, after: LoadProgress())
                == "1 s   50 open   100 opened/s   0 errors")
    }

    @Test func `clients of a storm are told apart`() {
        var progress = LoadProgress()
        (progress.seconds, progress.toldSeconds) = (3, 3)
        (progress.open, progress.waiting, progress.connecting) = (5, 1_200, 7)
        #expect(
            LoadText.line(progress, after: LoadProgress())
                == "3 s   5 open   1,200 waiting to come back   7 connecting   0 errors")
        var summary = LoadSummary()
        summary.mode = "storm"
        summary.connections.wanted = 9
        summary.storm = LoadSummary.Storm(served: 3, waiting: 4, connecting: 2, attempts: 8)
        let row =
            "storm       3 of 9 served again, not all, 4 waiting for their next attempt, 2 being connected,"
            + " 8 attempts"
        #expect(LoadText.lines(summary).contains(row), "\(LoadText.lines(summary))")
    }

    private func relays(_ subjects: [String?]) throws -> [RelayState] {
        try subjects.enumerated().map { index, subject in
            let user = subject.map { ",\"subject\":\"\($0)\"" } ?? ""
            let text = """
                {"id":"0-0-\(index)","client":"192.0.2.7:1","route":"/","path":"/","endpoint":"ws://a:1","seconds":1,
                "upMessages":0,"upBytes":0,"downMessages":0,"downBytes":0,"isEnding":false\(user)}
                """
            return try JSONDecoder().decode(RelayState.self, from: Data(text.utf8))
        }
    }

    @Test func `relays have a column for users where one has a user`() throws {
        let none = RelayText.table(try relays([nil]))
        #expect(none.hasPrefix("ID     CLIENT       PROTOCOL"), "\(none)")
        let lines = RelayText.table(try relays(["ada\\nb", nil])).split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines[0].hasPrefix("ID     CLIENT       USER    PROTOCOL"), "\(lines)")
        #expect(lines[1].contains("192.0.2.7:1  ada\\nb  -"), "\(lines)")
        #expect(lines[2].contains("192.0.2.7:1  -       -"), "\(lines)")
    }
}
