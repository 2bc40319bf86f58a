// SPDX-License-Identifier: Apache-2.0
import Reactor

/// Clients of a storm that are not served yet.
struct StormStragglers: Sendable {
    /// They wait for their next attempt.
    var waiting = 0
    /// Their attempt is under way.
    var connecting = 0
}

/// All connections drop at once and come back.
extension LoadLoop {
    /// Drops all, as a network that is gone for a moment does: without a Close.
    mutating func dropAll() {
        stormBeganAt = now
        for token in roster {
            guard let client = slab.pointer(token) else { continue }
            finish(client, token)
        }
        roster.removeAll(keepingCapacity: true)
        for number in 0..<plan.connections { comeBack(number, attempt: 0) }
    }

    /// Has a client try again behind its back-off.
    mutating func comeBack(_ number: Int, attempt: Int) {
        guard case .storm(let backOff) = plan.mode else { return }
        let drawn = Double.random(in: 0..<1, using: &random)
        let pause = backOff.nanoseconds(beforeAttempt: attempt, random: drawn)
        comebacks.insert(Comeback(at: now + pause, number: number, attempt: attempt))
    }

    /// Begins the attempts whose time has come.
    mutating func tryAgain() {
        guard stage == .measuring || stage == .warming else { return }
        while let comeback = comebacks.pop(before: now) {
            attemptCount += 1
            begin(UInt64(comeback.number) + plan.firstNumber, attempt: comeback.attempt)
        }
    }

    /// The clients of a storm that are not served at this moment.
    var comingBack: StormStragglers {
        guard isStorm, stage == .measuring else { return StormStragglers() }
        return StormStragglers(waiting: comebacks.count, connecting: openingCount)
    }

    /// The storm is over: whoever is not served again is told apart by what it was about to do.
    mutating func endStorm() {
        stragglers = comingBack
        let end = "when the run ended (--duration)"
        if stragglers.waiting > 0 {
            meter.pointee.note(
                UInt64(stragglers.waiting), .waiting,
                "a client was waiting for its next attempt (--back-off) \(end)")
        }
        if stragglers.connecting > 0 {
            meter.pointee.note(
                UInt64(stragglers.connecting), .connecting,
                "a client was being connected \(end)")
        }
        let rest = plan.connections - servedCount - stragglers.waiting - stragglers.connecting
        guard rest > 0 else { return }
        meter.pointee.note(UInt64(rest), .missing, "a client was not served again \(end)")
    }

    /// A client of the storm is served again.
    mutating func served(_ client: ClientPointer) {
        servedCount += 1
        meter.pointee.countOne()
        meter.pointee.record(nanoseconds: now &- stormBeganAt)
    }
}
