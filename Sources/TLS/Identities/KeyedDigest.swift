// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// A name for bytes that nobody can tell them from, or find others for: their HMAC by SHA-256 (RFC 2104) with a key
/// of this process.
public struct KeyedDigest: Hashable, Sendable {
    fileprivate var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// Whether both are of the same bytes, or very unlikely not.
    public static func == (left: KeyedDigest, right: KeyedDigest) -> Bool {
        left.words == right.words
    }

    /// Any word of a digest is as good as a hash.
    public func hash(into hasher: inout Hasher) { hasher.combine(words.0) }
}

/// A key for digests, which no other process has.
public struct DigestKey: Sendable {
    private let bytes: [UInt8]

    /// A new key.
    public init() {
        var numbers = RandomNumbers()
        bytes = (0..<4).flatMap { _ in withUnsafeBytes(of: numbers.next()) { Array($0) } }
    }

    /// The digest of two texts; those of other texts differ, also where their ends are put together alike.
    public func digest(of first: [UInt8], _ second: [UInt8]) -> KeyedDigest {
        var message = withUnsafeBytes(of: UInt64(first.count)) { Array($0) }
        message.reserveCapacity(8 + first.count + second.count)
        message += first
        message += second
        var digest = KeyedDigest()
        let isMade = withUnsafeMutableBytes(of: &digest.words) { out in
            HMAC(
                EVP_sha256(), bytes, Int32(bytes.count), message, message.count,
                out.baseAddress?.assumingMemoryBound(to: UInt8.self), nil) != nil
        }
        message.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress, $0.count) }
        precondition(isMade, "OpenSSL has no SHA-256")
        return digest
    }
}
