// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What has passed in one direction of relays, by kind and size: one thread counts, and any thread reads at any time.
///
/// A message counts once it has passed to its last byte, under the opcode of its first frame; so do control
/// frames (RFC 6455 §5.2, §5.5).
public struct FrameTally: ~Copyable, Sendable {
    /// Where the counters of a tally lie side by side, in cache lines of their own; to be used for as long as it lives.
    @safe public struct Cells: Sendable {
        nonisolated(unsafe) fileprivate let first: UnsafeMutablePointer<Atomic<UInt64>>

        @inline(__always)
        fileprivate func add(_ amount: UInt64, at index: Int) {
            let before = unsafe first[index].load(ordering: .relaxed)
            unsafe first[index].store(before &+ amount, ordering: .relaxed)
        }
    }

    /// What is counted under one opcode.
    public enum Kind: Int, CaseIterable, Sendable {
        /// Text messages.
        case text = 1
        /// Binary messages.
        case binary = 2
        /// Close frames.
        case close = 8
        /// Pings.
        case ping = 9
        /// Pongs.
        case pong = 10
    }

    /// The upper bounds of the sizes that are counted together, in bytes of payload; what is longer counts behind them.
    public static let sizeBounds: [UInt64] = (0..<(sizeCells - 1)).map { 1 << (4 + 2 * UInt64($0)) }

    // The first cell has the bytes of all messages, those behind it the messages by opcode, and the rest by size.
    private static let sizesBegin = 16
    private static let sizeCells = 12
    private static let lineBytes = 64

    /// Where the counters lie.
    public let cells: Cells

    /// Nothing has passed yet.
    public init() {
        let count = Self.sizesBegin + Self.sizeCells
        let bytes = count * MemoryLayout<Atomic<UInt64>>.stride
        let lines = (bytes + Self.lineBytes - 1) / Self.lineBytes
        let first = unsafe UnsafeMutableRawPointer.allocate(
            byteCount: lines * Self.lineBytes, alignment: Self.lineBytes
        ).bindMemory(to: Atomic<UInt64>.self, capacity: count)
        for index in 0..<count { unsafe (first + index).initialize(to: Atomic(0)) }
        cells = unsafe Cells(first: first)
    }

    deinit {
        unsafe cells.first.deinitialize(count: Self.sizesBegin + Self.sizeCells)
        unsafe cells.first.deallocate()
    }

    /// Counts what has passed under an opcode; of messages also their bytes.
    @inline(__always)
    static func count(_ opcode: UInt8, bytes: UInt64, in cells: Cells) {
        cells.add(1, at: Int(opcode & 0x0F))
        if opcode &- 1 > 1 { return }
        cells.add(bytes, at: 0)
        cells.add(1, at: sizesBegin &+ sizeCell(bytes))
    }

    /// 0 up to 16 bytes, 1 up to 64, and so on.
    @inline(__always)
    private static func sizeCell(_ bytes: UInt64) -> Int {
        let bits = 64 &- (bytes &- (bytes == 0 ? 0 : 1)).leadingZeroBitCount
        return min(max(bits, 4) &- 3, 2 &* sizeCells &- 1) >> 1
    }

    private func value(at index: Int) -> UInt64 {
        unsafe cells.first[index].load(ordering: .relaxed)
    }

    /// How much has passed of a kind.
    public func count(of kind: Kind) -> UInt64 { value(at: kind.rawValue) }

    /// Bytes of payload of the messages that have passed.
    public var messageBytes: UInt64 { value(at: 0) }

    /// How many messages have passed up to each of `sizeBounds` and above the one before, and last how many above all.
    public var sizes: [UInt64] { (0..<Self.sizeCells).map { size($0) } }

    /// One of `sizes`, by its index.
    public func size(_ index: Int) -> UInt64 {
        precondition(index >= 0 && index < Self.sizeCells)
        return value(at: Self.sizesBegin + index)
    }
}
