// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// The proof that a server understood an opening handshake (RFC 6455 §4.2.2 step 5.4).
public enum WebSocketAccept {
    private static let guid = Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)
    // Fetched once: OpenSSL would look the algorithm up for each digest.
    nonisolated(unsafe) private static let sha1 = EVP_MD_fetch(nil, "SHA1", nil)

    /// The `Sec-WebSocket-Accept` value, 28 bytes, that belongs to a key as it was sent.
    public static func value(forKey key: some Collection<UInt8>) -> [UInt8] {
        var input: [UInt8] = []
        input.reserveCapacity(key.count + guid.count)
        input.append(contentsOf: key)
        input.append(contentsOf: guid)
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digest in
            var digestCount: UInt32 = 0
            let isDone = EVP_Digest(
                input, input.count, digest.baseAddress, &digestCount, sha1, nil)
            precondition(isDone == 1 && digestCount == 20, "SHA-1 is part of every OpenSSL")
            return base64(UnsafeBufferPointer(digest))
        }
    }

    /// A new random key for a client: 24 bytes of base64 (RFC 6455 §4.1).
    public static func makeKey() -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        // Each number drawn is a call to the system, so there are two and not one for each byte.
        let words: [UInt64] = [generator.next(), generator.next()]
        let bytes = words.withUnsafeBytes { Array($0) }
        return bytes.withUnsafeBufferPointer { base64($0) }
    }

    private static func base64(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        // EVP_EncodeBlock ends what it writes with a NUL.
        [UInt8](unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4 + 1) { text, count in
            count = Int(EVP_EncodeBlock(text.baseAddress, bytes.baseAddress, Int32(bytes.count)))
        }
    }
}
