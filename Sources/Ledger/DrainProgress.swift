// SPDX-License-Identifier: Apache-2.0

/// How far a drain is: counts of relays.
public struct DrainProgress: Codable, Sendable, Equatable {
    /// Relays that are concerned, as far as they were looked for.
    public var found: Int
    /// Those that were sent the Close, or will be at their next frame border.
    public var told: Int
    /// Those of them that are over.
    public var closed: Int
    /// Those of the closed whose peers had not answered in time.
    public var cut: Int
    /// Whether nothing is left to do.
    public var isDone: Bool

    /// Counts of a drain that has found nothing yet.
    public init(
        found: Int = 0, told: Int = 0, closed: Int = 0, cut: Int = 0, isDone: Bool = false
    ) {
        self.found = found
        self.told = told
        self.closed = closed
        self.cut = cut
        self.isDone = isDone
    }

    /// The counts of two drains together, which are done when both are.
    public static func + (left: DrainProgress, right: DrainProgress) -> DrainProgress {
        DrainProgress(
            found: left.found + right.found, told: left.told + right.told,
            closed: left.closed + right.closed, cut: left.cut + right.cut,
            isDone: left.isDone && right.isDone)
    }
}
