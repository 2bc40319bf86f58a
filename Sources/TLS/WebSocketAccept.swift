// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// The proof that a server understood an opening handshake (RFC 6455 §4.2.2 step 5.4).
public enum WebSocketAccept {
    private static let guid: StaticString = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    // Fetched once: OpenSSL would look the algorithm up for each digest.
    nonisolated(unsafe) private static let sha1 = EVP_MD_fetch(nil, "SHA1", nil)

    /// The `Sec-WebSocket-Accept` value, 28 bytes, that belongs to a key as it was sent.
    public static func value(forKey key: [UInt8]) -> [UInt8] {
        let guidCount = guid.utf8CodeUnitCount
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: key.count + guidCount + 20) {
            room in
            for index in 0..<key.count { room[index] = key[index] }
            for index in 0..<guidCount { room[key.count + index] = guid.utf8Start[index] }
            let inputCount = key.count + guidCount
            let digest = UnsafeMutableBufferPointer(rebasing: room[inputCount...])
            var digestCount: UInt32 = 0
            let isDone = EVP_Digest(
                room.baseAddress, inputCount, digest.baseAddress, &digestCount, sha1, nil)
            precondition(isDone == 1 && digestCount == 20, "SHA-1 is part of every OpenSSL")
            return base64(UnsafeBufferPointer(digest))
        }
    }

    /// A new random key for a client: 24 bytes of base64 (RFC 6455 §4.1).
    public static func makeKey() -> [UInt8] {
        var keys = WebSocketKeys()
        return keys.withNext { Array($0) }
    }

    private static func base64(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        // EVP_EncodeBlock ends what it writes with a NUL.
        [UInt8](unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4 + 1) { text, count in
            count = Int(EVP_EncodeBlock(text.baseAddress, bytes.baseAddress, Int32(bytes.count)))
        }
    }
}

/// Random keys for opening handshakes (RFC 6455 §4.1), for which random bytes are drawn several keys at a
/// time.
///
/// A key is no secret: it has to differ, so that no cached answer is taken for a fresh one.
public struct WebSocketKeys: ~Copyable {
    private static let keyBytes = 16
    private static let keysPerDraw = 16
    private var drawn = InlineArray<256, UInt8>(repeating: 0)
    private var left = 0

    /// No bytes yet: the first key draws them.
    public init() {}

    /// Lends the 24 bytes of a new key, in base64.
    public mutating func withNext<Result>(
        _ body: (UnsafeBufferPointer<UInt8>) -> Result
    ) -> Result {
        if left == 0 { draw() }
        left -= 1
        let start = left * Self.keyBytes
        return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 25) { text in
            let count = withUnsafeBytes(of: &drawn) { bytes in
                // It ends what it writes with a NUL.
                EVP_EncodeBlock(
                    text.baseAddress,
                    bytes.baseAddress.map { ($0 + start).assumingMemoryBound(to: UInt8.self) },
                    Int32(Self.keyBytes))
            }
            assert(count == 24)
            return body(UnsafeBufferPointer(rebasing: text[..<24]))
        }
    }

    private mutating func draw() {
        assert(Self.keysPerDraw * Self.keyBytes == drawn.count)
        let isDrawn = withUnsafeMutableBytes(of: &drawn) { bytes in
            // The system's own generator would be called for each number.
            RAND_bytes(bytes.baseAddress?.assumingMemoryBound(to: UInt8.self), Int32(bytes.count))
        }
        precondition(isDrawn == 1, "OpenSSL has no random bytes")
        left = Self.keysPerDraw
    }
}
