// SPDX-License-Identifier: Apache-2.0

/// A point in time after which a blocking test operation gives up.
///
/// Every read and wait of the kit takes one, so a test that waits for something that never comes
/// fails with what it awaited and does not hang.
public struct Deadline: Sendable {
    /// How long an operation waits when the test says nothing: generous, since a debug build on a
    /// busy two-core machine is slow, and it is only spent when a test fails.
    public static let standard = Duration.seconds(60)

    private let instant: ContinuousClock.Instant

    /// The point in time that lies `duration` from now.
    public static func after(_ duration: Duration = standard) -> Deadline {
        Deadline(instant: ContinuousClock.now + duration)
    }

    /// Whether the point in time has passed.
    public var hasPassed: Bool { ContinuousClock.now >= instant }

    /// Milliseconds left for poll(2), rounded up, 0 when it has passed.
    public var millisecondsLeft: Int32 {
        let left = instant - ContinuousClock.now
        guard left > .zero else { return 0 }
        let parts = left.components
        let milliseconds =
            parts.seconds * 1000 + (parts.attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return Int32(clamping: milliseconds)
    }

    /// Seconds left, for Foundation's waits.
    var secondsLeft: Double { Double(millisecondsLeft) / 1000 }
}
