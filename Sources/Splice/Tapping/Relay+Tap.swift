// SPDX-License-Identifier: Apache-2.0
public import Reactor
import Wire

/// Taps: what passes is told to those who listen.
extension Relay {
    /// Whether a tap listens, or has listened and was not taken off yet.
    public var isTapped: Bool { up.tap != 0 }

    /// The taps that listen, a bit each.
    public func taps(_ space: UnsafeMutablePointer<Workspace>) -> UInt8 {
        up.tap == 0 ? 0 : space.pointee.taps.listening(up.tap)
    }

    /// Whether a frame is in progress in each direction of which a tap was told all that has come.
    public func unfinished(
        bit: Int, _ space: UnsafeMutablePointer<Workspace>
    ) -> (up: Bool, down: Bool) {
        up.tap == 0 ? (false, false) : space.pointee.taps.unfinished(up.tap, bit: bit)
    }

    /// Has a tap be told from the next frame on, under the name of the relay's slot; the rest of a frame in progress
    /// is passed over.
    ///
    /// - Returns: what the tap's line is told of the relay.
    public mutating func listen(
        bit: Int, slot: Token, _ space: UnsafeMutablePointer<Workspace>
    ) -> TapCounts {
        if up.tap == 0 {
            (up.tap, down.tap) = space.pointee.taps.add(
                slot.rawValue, deflates: up.scanner.allowsCompression,
                upOutstanding: up.scanner.outstanding, downOutstanding: down.scanner.outstanding)
        }
        space.pointee.taps.listen(up.tap, bit: bit)
        return space.pointee.taps.counts(up.tap)
    }

    /// Has a tap be told nothing more.
    public mutating func ignore(bit: Int, _ space: UnsafeMutablePointer<Workspace>) {
        if up.tap != 0, !space.pointee.taps.ignore(up.tap, bit: bit) { endTaps(space) }
    }

    /// Has nobody be told anything more.
    public mutating func endTaps(_ space: UnsafeMutablePointer<Workspace>) {
        if up.tap == 0 { return }
        space.pointee.taps.remove(up.tap)
        up.tap = 0
        down.tap = 0
    }

    /// Tells of bytes that go on, or of such as would have gone on if there was somebody.
    ///
    /// Out of line: what passes while nobody listens pays for a comparison alone.
    @inline(never)
    static func tell(
        _ tap: UInt32, _ bytes: UnsafePointer<UInt8>, count: Int, isSwallowed: Bool = false,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        space.pointee.taps.pass(tap, bytes, count: count, isSwallowed: isSwallowed)
    }

    /// Tells of a frame of Sluice's own to a side.
    func tellOwn(
        to side: Side, _ frame: UnsafePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        let tap = self[to: side].tap
        if tap != 0 { space.pointee.taps.tellWhole(tap, frame, count: count, .own) }
    }

    /// Tells of a frame from a side that goes on to nobody.
    func tellSwallowed(
        from side: Side, _ frame: UnsafePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        let tap = self[from: side].tap
        if tap != 0 { space.pointee.taps.tellWhole(tap, frame, count: count, .swallowed) }
    }
}
