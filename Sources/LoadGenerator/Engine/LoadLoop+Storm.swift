// SPDX-License-Identifier: Apache-2.0
import Reactor

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

    /// A client of the storm is served again.
    mutating func served(_ client: ClientPointer) {
        servedCount += 1
        meter.pointee.countOne()
        meter.pointee.record(nanoseconds: now &- stormBeganAt)
    }
}
