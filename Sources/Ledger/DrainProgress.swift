// SPDX-License-Identifier: Apache-2.0

/// How far a drain is: counts of relays.
public struct DrainProgress: Codable, Sendable, Equatable {
    /// Relays that are concerned, as far as they were looked for.
    public var found: Int
    /// Those that this drain has sent the Close, or will at their next frame border.
    public var told: Int
    /// Those of the told that are over.
    public var closed: Int
    /// Those of the closed whose peers had not answered in time.
    public var cut: Int
    /// Those of the found that are over and were not told by this drain: they have ended by themselves, or
    /// in another drain.
    public var endedElsewhere: Int
    /// Whether nothing is left to do.
    public var isDone: Bool
    /// Whether relays are still looked for, so that `found` is not all of them.
    public var isLooking: Bool

    /// Counts of a drain that has found nothing yet.
    public init(
        found: Int = 0, told: Int = 0, closed: Int = 0, cut: Int = 0, endedElsewhere: Int = 0,
        isDone: Bool = false, isLooking: Bool = false
    ) {
        self.found = found
        self.told = told
        self.closed = closed
        self.cut = cut
        self.endedElsewhere = endedElsewhere
        self.isDone = isDone
        self.isLooking = isLooking
    }

    /// Reads the counts; an older Sluice does not say what has ended elsewhere, nor that it still looks.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        found = try container.decode(Int.self, forKey: .found)
        told = try container.decode(Int.self, forKey: .told)
        closed = try container.decode(Int.self, forKey: .closed)
        cut = try container.decode(Int.self, forKey: .cut)
        endedElsewhere = try container.decodeIfPresent(Int.self, forKey: .endedElsewhere) ?? 0
        isDone = try container.decode(Bool.self, forKey: .isDone)
        isLooking = try container.decodeIfPresent(Bool.self, forKey: .isLooking) ?? false
    }

    /// The counts of two drains together, which are done when both are.
    public static func + (left: DrainProgress, right: DrainProgress) -> DrainProgress {
        DrainProgress(
            found: left.found + right.found, told: left.told + right.told,
            closed: left.closed + right.closed, cut: left.cut + right.cut,
            endedElsewhere: left.endedElsewhere + right.endedElsewhere,
            isDone: left.isDone && right.isDone, isLooking: left.isLooking || right.isLooking)
    }
}
