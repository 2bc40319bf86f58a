// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// The traffic secret of one direction, and what follows from it (RFC 8446 §7).
struct TrafficKey {
    /// Key and initialization vector, and the secret `secretOffset` bytes behind them: `byteCount` bytes in all, owned
    /// by the record layer.
    let bytes: UnsafeMutablePointer<UInt8>
    /// The number of the next record (RFC 8446 §5.3).
    var sequence: UInt64
    /// Unlike that of any other key of the thread: 0 while there is none.
    var number: UInt64 = 0

    /// Bytes of key and vector, with some that round them up; behind those of one direction stand those of the other.
    static let hotBytes = (RecordSuite.keyBytesMax + RecordSuite.nonceBytes + 15) & ~15
    /// Where the secret is, which no record needs: behind the keys of both directions.
    private static let secretOffset = 2 * hotBytes
    /// Bytes from the key of one direction to the end of its secret.
    static let byteCount = secretOffset + RecordSuite.secretBytesMax
    /// Bytes of both directions, where the second key stands `hotBytes` behind the first.
    static let pairBytes = 2 * hotBytes + 2 * RecordSuite.secretBytesMax

    var secret: UnsafeMutablePointer<UInt8> { bytes + Self.secretOffset }
    var key: UnsafeMutablePointer<UInt8> { bytes }
    var vector: UnsafeMutablePointer<UInt8> { bytes + RecordSuite.keyBytesMax }

    /// Derives key and vector from the secret (RFC 8446 §7.3).
    ///
    /// `number` is what no other key of the thread was called.
    ///
    /// - Returns: false when OpenSSL can't.
    mutating func derive(_ suite: RecordSuite, number: UInt64) -> Bool {
        self.number = number
        return Self.expand(secret, suite, "key", into: key, count: suite.keyBytes)
            && Self.expand(secret, suite, "iv", into: vector, count: RecordSuite.nonceBytes)
    }

    /// Replaces the secret by its successor, and the rest with it (RFC 8446 §7.2); nothing is left of
    /// what it was before, neither here nor among the thread's contexts.
    ///
    /// - Returns: false when OpenSSL can't; the key must not be used then.
    mutating func update(_ suite: RecordSuite, _ ciphers: RecordCiphers) -> Bool {
        ciphers.forget(self, suite)
        return withUnsafeTemporaryAllocation(
            of: UInt8.self, capacity: RecordSuite.secretBytesMax
        ) { next in
            guard let start = next.baseAddress else { return false }
            let count = suite.secretBytes
            guard Self.expand(secret, suite, "traffic upd", into: start, count: count) else {
                return false
            }
            memcpy(secret, start, count)
            OPENSSL_cleanse(start, count)
            sequence = 0
            return derive(suite, number: ciphers.nextKeyNumber())
        }
    }

    /// Writes the nonce of the next record: the vector with the sequence number mixed in
    /// (RFC 8446 §5.3).
    func writeNonce(_ nonce: UnsafeMutablePointer<UInt8>) {
        memcpy(nonce, vector, RecordSuite.nonceBytes)
        let tail = UnsafeMutableRawPointer(nonce + (RecordSuite.nonceBytes - 8))
        let mixed = tail.loadUnaligned(as: UInt64.self) ^ sequence.bigEndian
        tail.storeBytes(of: mixed, as: UInt64.self)
    }

    /// HKDF-Expand-Label with an empty context, for no more than one block of output
    /// (RFC 8446 §7.1, RFC 5869 §2.3).
    private static func expand(
        _ secret: UnsafePointer<UInt8>, _ suite: RecordSuite, _ label: StaticString,
        into output: UnsafeMutablePointer<UInt8>, count: Int
    ) -> Bool {
        // Length, "tls13 " and the label with their length, no context, the block's number.
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 128) { buffer in
            guard let bytes = buffer.baseAddress else { return false }
            let labelCount = label.utf8CodeUnitCount
            bytes[0] = UInt8(truncatingIfNeeded: count >> 8)
            bytes[1] = UInt8(truncatingIfNeeded: count)
            bytes[2] = UInt8(truncatingIfNeeded: 6 + labelCount)
            let prefix: StaticString = "tls13 "
            memcpy(bytes + 3, prefix.utf8Start, 6)
            memcpy(bytes + 9, label.utf8Start, labelCount)
            bytes[9 + labelCount] = 0
            bytes[10 + labelCount] = 1
            let block = bytes + 64
            var blockCount: UInt32 = 0
            guard
                HMAC(
                    suite.digest, secret, Int32(suite.secretBytes), bytes, 11 + labelCount, block,
                    &blockCount) != nil,
                Int(blockCount) >= count
            else { return false }
            memcpy(output, block, count)
            OPENSSL_cleanse(block, Int(blockCount))
            return true
        }
    }
}
