// SPDX-License-Identifier: Apache-2.0

/// Where bodies of answers lie that the connection's owner keeps itself.
///
/// The connection asks while `produce` runs, when a stream's turn has come and there are windows for it,
/// so each byte is copied once, to where it is sent from. Functions have no context but what they are
/// handed, since a closure would cost a reference count for each frame. They must make no call that
/// concerns a connection.
public struct HTTP2BodySource {
    /// How many bytes there are for the stream of this tag and number.
    public typealias Count =
        @convention(c) (_ owner: UnsafeMutableRawPointer, _ tag: UInt64, _ id: Int32) -> Int
    /// Takes the first bytes of those, `count` of them, and writes them to the place; how many it took.
    public typealias Take =
        @convention(c) (
            _ owner: UnsafeMutableRawPointer, _ tag: UInt64, _ id: Int32,
            _ place: UnsafeMutableRawPointer, _ count: Int
        ) -> Int

    private let owner: UnsafeMutableRawPointer
    private let countBytes: Count
    private let takeBytes: Take

    /// A source whose owner outlives the connections that use it.
    public init(owner: UnsafeMutableRawPointer, count: Count, take: Take) {
        self.owner = owner
        countBytes = count
        takeBytes = take
    }

    /// How many bytes there are for a stream; none for one that was given no tag.
    func count(_ slot: borrowing StreamSlot) -> Int {
        guard slot.tag != StreamSlot.noTag else { return 0 }
        return max(0, countBytes(owner, slot.tag, slot.id))
    }

    /// Takes bytes of a stream; whether all of them were there.
    func take(
        _ slot: borrowing StreamSlot, _ place: UnsafeMutableRawPointer, _ count: Int
    ) -> Bool {
        guard slot.tag != StreamSlot.noTag else { return false }
        return takeBytes(owner, slot.tag, slot.id, place, count) == count
    }
}
