// SPDX-License-Identifier: Apache-2.0
import Reactor
import TLS

/// TLS sessions that go on without OpenSSL's object, which takes some 30 kB of a connection: thousands of held
/// ones shall measure the server, and not fill the memory of its machine.
struct SettlingQueue {
    private var line = Line()
    /// Those that could not go when they were due: the others do not wait behind them.
    private var again = Line()

    /// Sessions that one turn takes from OpenSSL, some 20 µs each.
    static let perTurn = 16

    /// How many wait.
    var count: Int { line.count + again.count }

    mutating func append(_ token: Token, due: UInt64) { line.append(token, due: due) }

    /// Takes one up again that could not go.
    mutating func appendAgain(_ token: Token, due: UInt64) { again.append(token, due: due) }

    /// Whether one is due that has not been tried yet.
    func isDue(_ now: UInt64) -> Bool { line.isDue(now) }

    /// One that is due.
    mutating func popDue(_ now: UInt64) -> Token? { line.popDue(now) ?? again.popDue(now) }

    /// Sessions in the order in which they are due.
    private struct Line {
        private var entries: [(token: Token, dueNanoseconds: UInt64)] = []
        private var first = 0

        var count: Int { entries.count - first }

        mutating func append(_ token: Token, due: UInt64) { entries.append((token, due)) }

        func isDue(_ now: UInt64) -> Bool {
            first < entries.count && entries[first].dueNanoseconds <= now
        }

        /// The first, if it is due.
        mutating func popDue(_ now: UInt64) -> Token? {
            guard isDue(now) else { return nil }
            defer {
                first += 1
                if first * 2 >= entries.count {
                    entries.removeFirst(first)
                    first = 0
                }
            }
            return entries[first].token
        }
    }
}

extension LoadLoop {
    /// Has the sessions of a load leave OpenSSL's object as early as Sluice's own do.
    func useOwnRecords() {
        guard context != nil, TLSSession.canReleaseOpenSSL else { return }
        records.use(.best)
        records.releaseBusy(true)
    }

    private static let settlingNanoseconds: UInt64 = 1_000_000_000

    /// Has a session leave OpenSSL's object soon.
    ///
    /// One that is held is to live long and need little; any other has its server's tickets to take first, and may end before.
    mutating func settleLater(_ token: Token) {
        let isHeld = kind == .idle
        settling.append(token, due: isHeld ? now : now + Self.settlingNanoseconds)
    }

    /// Takes sessions that have lived a while from OpenSSL, a bounded number of them.
    mutating func settle() {
        for _ in 0..<SettlingQueue.perTurn {
            guard let token = settling.popDue(now) else { break }
            guard let outcome = slab.pointer(token)?.pointee.tls?.releaseOpenSSL() else { continue }
            switch outcome {
            // A record is half read just now.
            case .notNow: settling.appendAgain(token, due: now + Self.settlingNanoseconds)
            case .released: burst.released(1, nowMilliseconds: now / 1_000_000)
            case .never: break
            }
        }
        // It stops threads for milliseconds, which must not be in a latency. What is held has one only at the end.
        let isTimed = meter.pointee.isMeasuring && (kind != .idle || stage == .draining)
        guard !isTimed, stage.rawValue < Stage.closing.rawValue else { return }
        if burst.giveBack(
            waiting: settling.count, nowMilliseconds: now / 1_000_000, SessionMemory.giveBackKept)
        {
            meter.pointee.memoryReturns &+= 1
        }
    }
}
