// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Service

/// Goal: what has to be done is said once a day and no more, and what is new at the next look.
struct DailyReminderTests {
    private static let hour: Int64 = 3_600

    @Test func `a sentence is said once a day, for as long as it holds`() {
        let start: Int64 = 1_000_000
        var reminder = DailyReminder(said: ["old"], at: start)
        #expect(reminder.due(["old"], at: start + Self.hour).isEmpty)
        #expect(reminder.due(["old", "new"], at: start + 2 * Self.hour) == ["new"])
        #expect(reminder.due(["old", "new"], at: start + 24 * Self.hour) == ["old"])
        #expect(reminder.due(["old", "new"], at: start + 26 * Self.hour) == ["new"])
        #expect(reminder.due([], at: start + 100 * Self.hour).isEmpty)
        #expect(reminder.due(["old"], at: start + 101 * Self.hour) == ["old"])
    }

    @Test func `a clock that goes back does not silence it`() {
        var reminder = DailyReminder(said: ["old"], at: 1_000_000)
        #expect(reminder.due(["old"], at: 500_000) == ["old"])
        #expect(reminder.due(["old"], at: 500_000 + Self.hour).isEmpty)
    }
}
