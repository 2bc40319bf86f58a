// SPDX-License-Identifier: Apache-2.0

/// Who of all addresses is let in: blocks that are, and blocks that are not.
///
/// Of the blocks that hold an address the longest decides, whatever their order. One that no block holds is let in
/// where nothing but exceptions was listed. A look-up is a binary search and allocates nothing.
public struct AddressList: Sendable {
    private let ipv4: Steps<UInt32>
    private let ipv6: Steps<UInt128>
    private let admitsUnix: Bool

    /// A list of these blocks.
    ///
    /// - Parameters:
    ///   - allowed: those that are let in; empty for everybody that `denied` does not hold.
    ///   - denied: those that are not. A block in both is denied.
    public init(allowed: [AddressBlock], denied: [AddressBlock]) {
        let others = allowed.isEmpty
        ipv4 = Steps(Self.ranges(allowed, denied, .ipv4), others: others)
        ipv6 = Steps(Self.ranges(allowed, denied, .ipv6), others: others)
        let isUnix = { (block: AddressBlock) in block.kind == .unix }
        admitsUnix = !denied.contains(where: isUnix) && (others || allowed.contains(where: isUnix))
    }

    /// Whether an address is let in.
    public func admits(_ address: Address) -> Bool {
        switch address.kind {
        case .ipv4: ipv4.admits(UInt32(truncatingIfNeeded: address.low))
        case .ipv6, .everywhere: ipv6.admits(UInt128(address.high) << 64 | UInt128(address.low))
        case .unix: admitsUnix
        }
    }

    /// The blocks of one family as ranges of numbers.
    private static func ranges<Number>(
        _ allowed: [AddressBlock], _ denied: [AddressBlock], _ kind: Address.Kind
    ) -> [Steps<Number>.Range] {
        func range(_ block: AddressBlock, _ isAllowed: Bool) -> Steps<Number>.Range {
            let first = Number(
                truncatingIfNeeded: UInt128(block.high) << 64 | UInt128(block.low))
            let free = Number.bitWidth - block.length
            return Steps.Range(
                first: first,
                last: free == 0 ? first : first | (Number.max >> Number(block.length)),
                length: block.length, isAllowed: isAllowed)
        }
        return allowed.lazy.filter { $0.kind == kind }.map { range($0, true) }
            + denied.lazy.filter { $0.kind == kind }.map { range($0, false) }
    }

    /// From which number on who is let in and who is not, up to the next step.
    private struct Steps<Number: FixedWidthInteger & UnsignedInteger & Sendable>: Sendable {
        struct Range {
            let first: Number
            let last: Number
            let length: Int
            let isAllowed: Bool
        }

        /// In ascending order; the first is 0.
        private var starts: [Number] = [0]
        private var admitted: [Bool]

        init(_ ranges: [Range], others: Bool) {
            admitted = [others]
            // Around what lies within it, and before a denial of the same block, which then decides.
            let ordered = ranges.sorted {
                ($0.first, $0.length, $0.isAllowed ? 0 : 1)
                    < ($1.first, $1.length, $1.isAllowed ? 0 : 1)
            }
            var around: [Range] = []
            for range in ordered {
                while let inner = around.last, inner.last < range.first {
                    around.removeLast()
                    step(from: inner.last + 1, around.last?.isAllowed ?? others)
                }
                around.append(range)
                step(from: range.first, range.isAllowed)
            }
            while let inner = around.popLast() {
                if inner.last == .max { continue }
                step(from: inner.last + 1, around.last?.isAllowed ?? others)
            }
        }

        private mutating func step(from start: Number, _ isAdmitted: Bool) {
            let last = starts.count - 1
            if starts[last] == start {
                admitted[last] = isAdmitted
            } else if admitted[last] != isAdmitted {
                starts.append(start)
                admitted.append(isAdmitted)
            }
        }

        func admits(_ number: Number) -> Bool {
            var low = 0
            var high = starts.count
            // The step that holds the number is at `low` or behind it, and before `high`.
            while high - low > 1 {
                let middle = (low + high) / 2
                if starts[middle] <= number { low = middle } else { high = middle }
            }
            return admitted[low]
        }
    }
}
