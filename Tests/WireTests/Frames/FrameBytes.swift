// SPDX-License-Identifier: Apache-2.0

import Wire

/// A frame as bytes, lawful or not, built without the code under test.
struct FrameBytes {
    var first: UInt8 = 0x82
    var payload: [UInt8] = []
    var isMasked = true
    var key: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]

    var bytes: [UInt8] {
        var result = [first]
        let mask: UInt8 = isMasked ? 0x80 : 0
        switch payload.count {
        case ..<126: result.append(mask | UInt8(payload.count))
        case ..<65536:
            result += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 255)]
        default:
            result.append(mask | 127)
            result += (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        guard isMasked else { return result + payload }
        return result + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
    }

    /// A Close frame's bytes with a code and a reason.
    static func close(_ code: UInt16?, reason: String = "", isMasked: Bool = true) -> [UInt8] {
        let payload = code.map { [UInt8($0 >> 8), UInt8($0 & 255)] + Array(reason.utf8) } ?? []
        return FrameBytes(first: 0x88, payload: payload, isMasked: isMasked).bytes
    }
}

extension FrameBytes {
    /// What a client may send behind its Close: what was on its way, and what was never a frame.
    static let behindClose: [[UInt8]] = [
        FrameBytes.close(1000), FrameBytes.close(nil), FrameBytes.close(1005),
        FrameBytes(first: 0x81, payload: [1, 2, 3]).bytes, FrameBytes(first: 0x89).bytes,
        FrameBytes(first: 0x8A, payload: [1, 2, 3, 4, 5, 6, 7, 8]).bytes,
        FrameBytes(first: 0x01, payload: [1]).bytes + FrameBytes(first: 0x80, payload: [2]).bytes,
        FrameBytes(first: 0x81, payload: [1], isMasked: false).bytes,
        FrameBytes(first: 0x82, payload: Array(repeating: 1, count: 300)).bytes,
        [0x82], [0x82, 0xFE], [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1, 2],
        Array(repeating: 0xFF, count: 40), Array(repeating: 0, count: 40), Array("GET / ".utf8),
    ]
}

/// Plays the caller of a `FrameScanner`: keeps the tail and gives it back in front.
struct ScannerCaller {
    var scanner: FrameScanner
    private(set) var forwarded: [UInt8] = []
    private(set) var tail: [UInt8] = []
    private(set) var violation = FrameViolation.none

    init(_ scanner: FrameScanner) {
        self.scanner = scanner
    }

    mutating func feed(_ piece: some Collection<UInt8>) { feed(piece, isCounted: true) }

    /// Feeds bytes that are to go nowhere.
    mutating func feedUncounted(_ piece: some Collection<UInt8>) { feed(piece, isCounted: false) }

    private mutating func feed(_ piece: some Collection<UInt8>, isCounted: Bool) {
        guard violation == .none else { return }
        let bytes = tail + Array(piece)
        let outcome = bytes.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map {
                isCounted
                    ? scanner.scan($0, count: buffer.count)
                    : scanner.scanUncounted($0, count: buffer.count)
            }
        }
        guard let outcome else { return }
        forwarded += bytes.prefix(outcome.forwardable)
        tail = scanner.isCloseComplete ? [] : Array(bytes.dropFirst(outcome.forwardable))
        violation = outcome.violation
    }
}
