// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// The hash of a TLS 1.3 cipher suite, and what the key schedule makes with it (RFC 8446 §7.1).
enum ScheduleHash: Sendable, CaseIterable {
    case sha256
    case sha384

    /// Bytes of a digest.
    var count: Int { self == .sha256 ? 32 : 48 }

    /// Bytes that it hashes at a time (RFC 2104 §2 calls them B).
    private var blockCount: Int { self == .sha256 ? 64 : 128 }

    /// Bytes of the longest key and message that are taken: larger than any of the key schedule, and small
    /// enough for the stack.
    static let keyMax = 64
    static let messageMax = 2 + 1 + 255 + 1 + 255 + 1

    /// The hash of `count` bytes at `bytes`.
    private func digest(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, into digest: UnsafeMutablePointer<UInt8>
    ) {
        switch self {
        case .sha256: sluice_sha256(bytes, count, digest)
        case .sha384: sluice_sha384(bytes, count, digest)
        }
    }

    /// HMAC (RFC 2104 §2) of the message that `write` writes, which says how many bytes that is.
    ///
    /// - Parameters:
    ///   - key: at most `keyMax` bytes.
    ///   - code: takes `count` bytes.
    ///   - write: has room for `messageMax` bytes.
    private func authenticate(
        key: UnsafeBufferPointer<UInt8>, into code: UnsafeMutablePointer<UInt8>,
        writing write: (UnsafeMutablePointer<UInt8>) -> Int
    ) {
        let blockCount = blockCount
        let room = blockCount + ScheduleHash.messageMax
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: room) { buffer in
            guard let bytes = buffer.baseAddress else { return }
            memset(bytes, 0x36, blockCount)
            for (index, byte) in key.enumerated() { bytes[index] ^= byte }
            let messageCount = write(bytes + blockCount)
            digest(bytes, blockCount + messageCount, into: code)
            for index in 0..<blockCount { bytes[index] ^= 0x36 ^ 0x5C }
            memcpy(bytes + blockCount, code, count)
            digest(bytes, blockCount + count, into: code)
            // The key can be worked out from the pads, and the message may hold a secret.
            OPENSSL_cleanse(bytes, blockCount + max(messageCount, count))
        }
    }

    /// HKDF-Expand-Label (RFC 8446 §7.1) of not more than one digest.
    ///
    /// - Parameters:
    ///   - secret: at most `keyMax` bytes.
    ///   - prefix: `tls13 ` in TLS.
    ///   - label: what the bytes are for; with the prefix at most 255 bytes.
    ///   - context: at most 255 bytes.
    ///   - out: at most `count` bytes.
    func expandLabel(
        _ secret: UnsafeBufferPointer<UInt8>, prefix: UnsafeBufferPointer<UInt8>,
        label: UnsafeBufferPointer<UInt8>, context: UnsafeBufferPointer<UInt8>,
        into out: UnsafeMutableBufferPointer<UInt8>
    ) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 48) { code in
            guard let made = code.baseAddress, let start = out.baseAddress else { return }
            authenticate(key: secret, into: made) { message in
                message[0] = UInt8(truncatingIfNeeded: out.count >> 8)
                message[1] = UInt8(truncatingIfNeeded: out.count)
                message[2] = UInt8(truncatingIfNeeded: prefix.count + label.count)
                var place = 3
                place += prefix.copied(to: message + place)
                place += label.copied(to: message + place)
                message[place] = UInt8(truncatingIfNeeded: context.count)
                place += 1
                place += context.copied(to: message + place)
                // The number of the block (RFC 5869 §2.3), which is the only one.
                message[place] = 1
                return place + 1
            }
            memcpy(start, made, out.count)
            OPENSSL_cleanse(made, count)
        }
    }

    /// The next secret of the schedule: HKDF-Extract of `input` with what `label` makes of the secret before.
    ///
    /// - Parameters:
    ///   - before: the secret before; nil for the first one.
    ///   - input: at most `messageMax` bytes; nil for as many zeros as a digest has.
    ///   - prefix: as in `expandLabel`.
    ///   - label: `derived` in TLS.
    ///   - out: `count` bytes.
    func nextSecret(
        after before: UnsafeBufferPointer<UInt8>?, input: UnsafeBufferPointer<UInt8>?,
        prefix: UnsafeBufferPointer<UInt8>, label: UnsafeBufferPointer<UInt8>,
        into out: UnsafeMutablePointer<UInt8>
    ) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 2 * 48) { room in
            guard let salt = room.baseAddress else { return }
            let empty = salt + 48
            var saltCount = 0
            if let before {
                digest(salt, 0, into: empty)
                expandLabel(
                    before, prefix: prefix, label: label,
                    context: UnsafeBufferPointer(start: empty, count: count),
                    into: UnsafeMutableBufferPointer(start: salt, count: count))
                saltCount = count
            }
            authenticate(key: UnsafeBufferPointer(start: salt, count: saltCount), into: out) {
                message in
                if let input { return input.copied(to: message) }
                memset(message, 0, count)
                return count
            }
            OPENSSL_cleanse(salt, 2 * 48)
        }
    }
}

extension UnsafeBufferPointer<UInt8> {
    /// Copies all bytes, and says how many they are.
    fileprivate func copied(to place: UnsafeMutablePointer<UInt8>) -> Int {
        if let baseAddress { memcpy(place, baseAddress, count) }
        return count
    }
}
