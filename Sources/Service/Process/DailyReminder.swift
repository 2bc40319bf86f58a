// SPDX-License-Identifier: Apache-2.0

/// Says what has to be done once a day for as long as it has to be, and what is new at once.
///
/// A process runs for longer than its certificates: what was in order at the start is not any more some
/// months later.
struct DailyReminder {
    private static let daySeconds: Int64 = 86_400

    /// How often to look.
    static let lookMilliseconds: Int64 = 3_600_000

    private var said: [String: Int64] = [:]

    /// Begins with what was said just now, at `now` in seconds since 1970.
    init(said sentences: [String], at now: Int64) {
        for sentence in sentences { said[sentence] = now }
    }

    /// Those of the sentences that are to be said at `now`; they count as said.
    mutating func due(_ sentences: [String], at now: Int64) -> [String] {
        said = said.filter { now - $0.value < Self.daySeconds && now >= $0.value }
        let due = sentences.filter { said[$0] == nil }
        for sentence in due { said[sentence] = now }
        return due
    }
}
