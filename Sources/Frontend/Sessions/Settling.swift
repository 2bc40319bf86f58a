// SPDX-License-Identifier: Apache-2.0
import Reactor

/// Connections that wait until they have lived long enough to go on without OpenSSL's object.
///
/// Short ones never pay for it, and a waiting one costs an entry.
struct Settling {
    struct Entry {
        let token: Token
        let dueMilliseconds: UInt64
        let triesLeft: Int
    }

    /// In the order of their times, from `first` on.
    private var entries: [Entry] = []
    private var first = 0

    /// Sessions that one turn takes from OpenSSL, some 20 µs each.
    static let perTurn = 32
    /// How often it is tried, since a record may just be half read.
    static let triesMax = 5

    /// When the first is due.
    var nextMilliseconds: UInt64? {
        first < entries.count ? entries[first].dueMilliseconds : nil
    }

    /// How many wait.
    var count: Int { entries.count - first }

    mutating func append(_ token: Token, due: UInt64, triesLeft: Int = triesMax) {
        entries.append(Entry(token: token, dueMilliseconds: due, triesLeft: triesLeft))
    }

    /// Tries once more later: a peer that sends all the time has a record half read more often than
    /// not.
    mutating func retry(_ entry: Entry, _ now: UInt64, _ delayMilliseconds: UInt64) {
        guard entry.triesLeft > 1 else { return }
        append(entry.token, due: now + max(50, delayMilliseconds), triesLeft: entry.triesLeft - 1)
    }

    /// The first, if it is due.
    mutating func popDue(_ now: UInt64) -> Entry? {
        guard first < entries.count, entries[first].dueMilliseconds <= now else { return nil }
        defer {
            first += 1
            if first == entries.count {
                // What a burst took is given back.
                entries.removeAll(keepingCapacity: entries.capacity <= 4_096)
                first = 0
            } else if first >= 4_096 && first * 2 >= entries.count {
                entries.removeFirst(first)
                first = 0
            }
        }
        return entries[first]
    }
}
