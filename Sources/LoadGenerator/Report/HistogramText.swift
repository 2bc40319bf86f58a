// SPDX-License-Identifier: Apache-2.0
import Foundation
import Histogram

/// Histograms in the forms that other programs of HdrHistogram read.
enum HistogramText {
    /// HdrHistogram's compressed form, version 2, in base64, as in its logs; values are nanoseconds.
    static func base64(_ histogram: Histogram<UInt64>) -> String {
        let counts = encodedCounts(histogram)
        var payload: [UInt8] = []
        append(UInt32(0x1C84_9313), to: &payload)
        append(UInt32(counts.count), to: &payload)
        // No shift of the counts.
        append(UInt32(0), to: &payload)
        append(UInt32(histogram.numberOfSignificantValueDigits.rawValue), to: &payload)
        append(histogram.lowestDiscernibleValue, to: &payload)
        append(histogram.highestTrackableValue, to: &payload)
        append(Double(1).bitPattern, to: &payload)
        payload += counts
        let stored = zlibStored(payload)
        var whole: [UInt8] = []
        append(UInt32(0x1C84_9314), to: &whole)
        append(UInt32(stored.count), to: &whole)
        return Data(whole + stored).base64EncodedString()
    }

    /// The distribution by percentile as text, which HdrHistogram's plotter reads; values are microseconds.
    static func percentiles(_ histogram: Histogram<UInt64>) -> String {
        var text = ""
        histogram.outputPercentileDistribution(to: &text, outputValueUnitScalingRatio: 1000)
        return text
    }

    /// The counts in the order of their buckets, and runs of empty buckets as negative numbers, as zigzag LEB128.
    private static func encodedCounts(_ histogram: Histogram<UInt64>) -> [UInt8] {
        guard histogram.totalCount > 0 else { return [] }
        var bytes: [UInt8] = []
        var empty: Int64 = 0
        var index = 0
        while true {
            let value = lowestValue(ofBucket: index, histogram.numberOfSignificantValueDigits)
            if value > histogram.max { return bytes }
            let count = histogram.countForValue(value)
            index += 1
            if count == 0 {
                empty += 1
                continue
            }
            if empty > 0 { append(zigzag: -empty, to: &bytes) }
            empty = 0
            append(zigzag: Int64(clamping: count), to: &bytes)
        }
    }

    /// The lowest value of a bucket where values are whole numbers from 1 on.
    private static func lowestValue(ofBucket index: Int, _ digits: SignificantDigits) -> UInt64 {
        // 2 × 10^digits, up to the next power of two.
        let most = 2 * (0..<Int(digits.rawValue)).reduce(1) { product, _ in product * 10 }
        let bits = Int.bitWidth - (most - 1).leadingZeroBitCount
        let half = 1 << (bits - 1)
        if index < 2 * half { return UInt64(index) }
        let shift = index / half - 1
        return UInt64(index % half + half) << UInt64(shift)
    }

    private static func append(zigzag value: Int64, to bytes: inout [UInt8]) {
        var rest = UInt64(bitPattern: (value << 1) ^ (value >> 63))
        // HdrHistogram's ninth byte has all of its bits.
        for _ in 0..<8 {
            if rest < 0x80 {
                bytes.append(UInt8(rest))
                return
            }
            bytes.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    private static func append(_ number: some FixedWidthInteger, to bytes: inout [UInt8]) {
        withUnsafeBytes(of: number.bigEndian) { bytes += $0 }
    }

    /// Bytes in the form of zlib (RFC 1950), stored as they are (RFC 1951 §3.2.4).
    private static func zlibStored(_ bytes: [UInt8]) -> [UInt8] {
        var result: [UInt8] = [0x78, 0x01]
        var rest = bytes[...]
        repeat {
            let piece = rest.prefix(65_535)
            rest = rest.dropFirst(piece.count)
            let count = UInt16(piece.count)
            result.append(rest.isEmpty ? 1 : 0)
            for half in [count, ~count] {
                result += [UInt8(half & 0xFF), UInt8(half >> 8)]
            }
            result += piece
        } while !rest.isEmpty
        var (low, high): (UInt32, UInt32) = (1, 0)
        for byte in bytes {
            low = (low + UInt32(byte)) % 65_521
            high = (high + low) % 65_521
        }
        append(high << 16 | low, to: &result)
        return result
    }
}
