// SPDX-License-Identifier: Apache-2.0
import Wire

/// Bytes that nobody is to get: behind a Close, for a peer that is gone or was told, after the end.
///
/// The destination's room held the source back before. Now a number of bytes does: behind it the
/// source is not read any more, so that who loses a slow reader does not take the reactor's time.
extension Relay {
    /// Bytes that are read for nobody in one turn, so that those who are there have theirs soon.
    static let dropBytesPerTurn = 64 * 1024

    /// Drops bytes of one side; of them only a Close matters, and that only while one is awaited.
    mutating func drop(
        _ side: Side, _ bytes: UnsafeMutablePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        if stage == .relaying && !ending.hasSpoken(side) {
            switch Relay.search(&self[from: side], bytes, count: count, space) {
            case .nothing: break
            case .close:
                ending.closeCame(
                    from: side, code: self[from: side].scanner.closeCode, wasRelayed: false)
            case .nonsense: ending.fellSilent(side)
            }
        }
        let spent = Int32(truncatingIfNeeded: min(count, Int(Flow.droppableBodyBytes)))
        self[from: side].droppable &-= spent
        if self[from: side].droppable <= 0 { change(side) { $0.ignore(space) } }
        // Its Close may stand behind what is not read.
        if ask(side, { $0.isIgnored }) { ending.fellSilent(side) }
    }

    private enum Found {
        case nothing, close
        /// Something after which nobody can tell where a frame begins.
        case nonsense
    }

    private static func search(
        _ flow: inout Flow, _ bytes: UnsafeMutablePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) -> Found {
        let total = count &+ Int(flow.tailCount)
        let start = flow.prependTail(to: bytes)
        let outcome = flow.scanner.scanUncounted(start, count: total)
        if flow.tap != 0 {
            tell(flow.tap, start, count: outcome.forwardable, isSwallowed: true, space)
        }
        if flow.scanner.isCloseComplete { return .close }
        if outcome.violation != .none { return .nonsense }
        let left = total &- outcome.forwardable
        assert(left >= 0, "more goes on than has come")
        if left > 0 { flow.keepTail(start + outcome.forwardable, count: left) }
        return .nothing
    }
}
