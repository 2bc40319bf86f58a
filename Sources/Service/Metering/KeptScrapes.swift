// SPDX-License-Identifier: Apache-2.0
import Admin
import Metrics

/// Answers to scrapes that were made a moment ago, for those who ask often: each takes a look at all relays and some
/// lines for each route, and is made on the thread that also reloads.
///
/// Whoever asks alone gets one that is made for it.
struct KeptScrapes: Sendable {
    /// So many scrapes within a second each get an answer of their own.
    static let ownPerSecond = 4
    /// How old a kept answer may be at least.
    static let keptMilliseconds: UInt64 = 250
    /// One that took long is kept for so many times as long, so that making them has a quarter of the thread's time.
    static let timesKept: UInt64 = 4

    private struct Kept {
        let form: Exposition
        let answer: AdminAnswer
        let endMilliseconds: UInt64
    }

    /// When the last scrapes began, the oldest first.
    private var begun: [UInt64] = []
    private var kept: [Kept] = []

    /// Takes note of a scrape.
    ///
    /// - Returns: whether it is one of many, which may get a kept answer.
    mutating func begin(nowMilliseconds now: UInt64) -> Bool {
        begun.removeAll { now >= $0 + 1_000 }
        let isOneOfMany = begun.count >= Self.ownPerSecond
        if isOneOfMany { begun.removeFirst() }
        begun.append(now)
        return isOneOfMany
    }

    /// A kept answer; nil where there is none, or it is too old.
    mutating func answer(_ form: Exposition, nowMilliseconds now: UInt64) -> AdminAnswer? {
        kept.removeAll { now >= $0.endMilliseconds }
        return kept.first { $0.form == form }?.answer
    }

    /// Keeps an answer that was begun then and is ready now.
    mutating func keep(
        _ answer: AdminAnswer, _ form: Exposition, begunMilliseconds begun: UInt64,
        nowMilliseconds now: UInt64
    ) {
        kept.removeAll { $0.form == form }
        guard answer.status == 200 else { return }
        let age = max(Self.keptMilliseconds, Self.timesKept * (now - min(now, begun)))
        kept.append(Kept(form: form, answer: answer, endMilliseconds: begun + age))
    }
}
