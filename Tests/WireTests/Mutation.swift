// SPDX-License-Identifier: Apache-2.0
import TestKit

extension SplitMix {
    /// Changes, removes, inserts or doubles a few bytes.
    mutating func mutated(_ bytes: [UInt8]) -> [UInt8] {
        var result = bytes
        for _ in 0..<Int.random(in: 1...4, using: &self) where !result.isEmpty {
            let index = Int.random(in: 0..<result.count, using: &self)
            switch Int.random(in: 0..<5, using: &self) {
            case 0: result[index] = UInt8(truncatingIfNeeded: next())
            case 1: result[index] ^= 1 << UInt8.random(in: 0..<8, using: &self)
            case 2: result.remove(at: index)
            case 3: result.insert(UInt8(truncatingIfNeeded: next()), at: index)
            default:
                let end = min(result.count, index + Int.random(in: 1...20, using: &self))
                result.insert(contentsOf: result[index..<end], at: index)
            }
        }
        return result
    }

    /// Cuts bytes into pieces of random length.
    mutating func pieces(of bytes: [UInt8], upTo lengthMax: Int) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + Int.random(in: 1...lengthMax, using: &self))
            pieces.append(bytes[start..<end])
            start = end
        }
        return pieces
    }
}
