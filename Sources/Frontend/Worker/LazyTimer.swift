// SPDX-License-Identifier: Apache-2.0

/// When a timer fires that need not be moved each time its deadline is.
///
/// A timer of an earlier moment is left to fire, which costs less than to move it with each request:
/// whoever it wakes looks whether the time is up, and sets it anew where it is not.
struct LazyTimer {
    /// When it fires; 0 where nobody knows, or nobody may rely on it.
    private var armedMilliseconds: UInt64 = 0

    /// Whether the wheel's timer has to be set, so that it fires no later than `deadline`; it counts as
    /// set behind that.
    mutating func hasToBeSet(by deadline: UInt64) -> Bool {
        if armedMilliseconds != 0 && armedMilliseconds <= deadline { return false }
        armedMilliseconds = deadline
        return true
    }

    /// It was set to this moment, whatever it was set to before.
    mutating func wasSet(to moment: UInt64) { armedMilliseconds = moment }

    /// It has fired, or what it was set for is over: next time it is set to the deadline itself.
    mutating func forget() { armedMilliseconds = 0 }
}
