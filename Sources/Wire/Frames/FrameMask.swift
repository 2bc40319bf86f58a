// SPDX-License-Identifier: Apache-2.0

/// The masking of RFC 6455 §5.3: every payload byte XOR one of the key's four bytes.
public enum FrameMask {
    /// XORs `count` bytes in place with the key.
    ///
    /// The key's four bytes are as they stand on the wire, the first of them lowest. `phase` is
    /// how many payload bytes of the frame came before, so that a payload may be masked in
    /// pieces of any length.
    public static func apply(
        _ key: UInt32, phase: Int, to bytes: UnsafeMutablePointer<UInt8>, count: Int
    ) {
        let turn = UInt32(truncatingIfNeeded: phase & 3) &* 8
        let turned = key &>> turn | key &<< ((32 &- turn) & 31)
        let start = UnsafeMutableRawPointer(bytes)
        let lane = turned.littleEndian
        var position = 0
        let wide = SIMD8<UInt32>(repeating: lane)
        while position &+ 64 <= count {
            let place = unsafe start + position
            let low = unsafe place.loadUnaligned(as: SIMD8<UInt32>.self) ^ wide
            let high = unsafe place.loadUnaligned(fromByteOffset: 32, as: SIMD8<UInt32>.self) ^ wide
            unsafe place.storeBytes(of: low, as: SIMD8<UInt32>.self)
            unsafe place.storeBytes(of: high, toByteOffset: 32, as: SIMD8<UInt32>.self)
            position &+= 64
        }
        let word = UInt64(lane) | UInt64(lane) << 32
        while position &+ 8 <= count {
            let place = unsafe start + position
            let masked = unsafe place.loadUnaligned(as: UInt64.self) ^ word
            unsafe place.storeBytes(of: masked, as: UInt64.self)
            position &+= 8
        }
        // What came before is a multiple of four bytes, so the key starts afresh here.
        while position < count {
            let shift = UInt32(truncatingIfNeeded: position & 3) &* 8
            unsafe bytes[position] ^= UInt8(truncatingIfNeeded: turned &>> shift)
            position &+= 1
        }
    }
}
