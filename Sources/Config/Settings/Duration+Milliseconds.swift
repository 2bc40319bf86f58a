// SPDX-License-Identifier: Apache-2.0

extension Duration {
    /// The duration in whole milliseconds; never negative.
    public var wholeMilliseconds: UInt64 {
        let parts = components
        let milliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
        return UInt64(max(0, milliseconds))
    }
}
