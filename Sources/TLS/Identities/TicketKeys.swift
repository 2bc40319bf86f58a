// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc
public import Serialization
import Synchronization

/// The keys that seal session tickets (RFC 5077 §4), shared by all contexts and all reactors.
///
/// They live in memory only. A key seals for `sealingSeconds` and opens for as long again. In TLS 1.3
/// every ticket is answered with a new one, since clients use each once (RFC 8446 §C.4); in TLS 1.2,
/// where they use it again (RFC 5077 §3.3), only one under an old key is.
public final class TicketKeys: Sendable {
    struct Key: Sendable {
        let name: [UInt8]  // 16 bytes
        let secret: Secret
        let madeAtSeconds: Int
    }

    /// The secret part of a key, overwritten when the last who uses it is done.
    final class Secret: Sendable {
        /// AES-256 and HMAC-SHA-256 take keys of as many bytes.
        static let halfBytes = 32
        // Filled before anybody else sees it, and read-only afterwards.
        nonisolated(unsafe) private let bytes: UnsafeMutablePointer<UInt8>

        /// Makes one of random bytes; nil when there are none to be had.
        init?() {
            bytes = .allocate(capacity: 2 * Self.halfBytes)
            bytes.initialize(repeating: 0, count: 2 * Self.halfBytes)
            if RAND_bytes(bytes, Int32(2 * Self.halfBytes)) != 1 { return nil }
        }

        /// Copies one; nil where it has another length.
        init?(_ copied: UnsafeRawBufferPointer) {
            guard copied.count == 2 * Self.halfBytes, let start = copied.baseAddress else {
                return nil
            }
            bytes = .allocate(capacity: 2 * Self.halfBytes)
            memcpy(bytes, start, copied.count)
        }

        deinit {
            OPENSSL_cleanse(bytes, 2 * Self.halfBytes)
            bytes.deallocate()
        }

        /// Both halves, as long as it lives.
        var whole: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: bytes, count: 2 * Self.halfBytes)
        }

        /// The key of AES-256, `halfBytes` long.
        var cipherKey: UnsafePointer<UInt8> { UnsafePointer(bytes) }
        /// The key of HMAC-SHA-256, as long.
        var macKey: UnsafePointer<UInt8> { UnsafePointer(bytes + Self.halfBytes) }
    }

    private let keys = Mutex<[Key]>([])
    private let vectors = Mutex(Vectors())
    private let sealingSeconds: Int
    // Fetched once: an implicit fetch per ticket would look the algorithm up each time.
    nonisolated(unsafe) private let cipher: OpaquePointer

    /// Makes a first key.
    ///
    /// - Parameter sealingSeconds: how long one key seals new tickets.
    /// - Throws: `TLSError` when the library lacks AES or random bytes.
    public init(sealingSeconds: Int = 12 * 3600) throws(TLSError) {
        guard let cipher = EVP_CIPHER_fetch(nil, "AES-256-CBC", nil) else {
            throw TLSError.drainingQueue("fetching AES-256-CBC for session tickets")
        }
        self.cipher = cipher
        self.sealingSeconds = sealingSeconds
        _ = sealingKey(nowSeconds: TicketKeys.nowSeconds())
    }

    deinit { EVP_CIPHER_free(cipher) }

    static func nowSeconds() -> Int {
        var now = timespec()
        clock_gettime(CLOCK_MONOTONIC, &now)
        return now.tv_sec
    }

    /// The key that seals now, made anew when the newest has served its time.
    func sealingKey(nowSeconds: Int) -> Key? {
        keys.withLock { keys in
            if let newest = keys.first, nowSeconds - newest.madeAtSeconds < sealingSeconds {
                return newest
            }
            guard let name = Self.randomBytes(16), let secret = Secret() else {
                return keys.first
            }
            let key = Key(name: name, secret: secret, madeAtSeconds: nowSeconds)
            keys = [key] + keys.filter { nowSeconds - $0.madeAtSeconds < 2 * sealingSeconds }
            return key
        }
    }

    /// The key of that name, and whether it is the one that seals now.
    func openingKey(
        name: UnsafePointer<UInt8>, nowSeconds: Int
    ) -> (key: Key, isCurrent: Bool)? {
        keys.withLock { keys in
            for (index, key) in keys.enumerated() where memcmp(key.name, name, 16) == 0 {
                let age = nowSeconds - key.madeAtSeconds
                if age >= 2 * sealingSeconds { return nil }
                return (key, index == 0 && age < sealingSeconds)
            }
            return nil
        }
    }

    /// Initialization vectors made in advance: OpenSSL's generator costs more for each call than for
    /// each byte.
    private struct Vectors {
        private var bytes = [UInt8](repeating: 0, count: 16 * 64)
        private var used = 16 * 64

        /// Writes the next one, of 16 bytes; false when no random bytes are to be had.
        mutating func take(into vector: UnsafeMutablePointer<UInt8>) -> Bool {
            if used == bytes.count {
                guard RAND_bytes(&bytes, Int32(bytes.count)) == 1 else { return false }
                used = 0
            }
            bytes.withUnsafeBytes { bytes in
                guard let start = bytes.baseAddress else { return }
                memcpy(vector, start + used, 16)
            }
            used += 16
            return true
        }
    }

    private static func randomBytes(_ count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        return RAND_bytes(&bytes, Int32(count)) == 1 ? bytes : nil
    }

    private enum Number {
        static let name: UInt16 = 1
        static let secret: UInt16 = 2
        static let madeAt: UInt16 = 3
    }

    /// Writes all keys, the newest first: whoever reads them opens the tickets that were sealed here.
    public func write(to writer: inout FieldWriter) {
        let keys = keys.withLock { $0 }
        for (index, key) in keys.enumerated() {
            writer.part(UInt16(index + 1)) { part in
                key.name.withUnsafeBytes { part.put(Number.name, bytes: $0) }
                withExtendedLifetime(key.secret) { part.put(Number.secret, bytes: $0.whole) }
                // The clock of the system's start is the same for both processes.
                part.put(Number.madeAt, key.madeAtSeconds)
            }
        }
    }

    /// Has these keys in the place of its own.
    ///
    /// - Throws: `FieldFault`; then it keeps those that it has.
    public func take(_ reader: inout FieldReader) throws(FieldFault) {
        var taken: [Key] = []
        var number: UInt16 = 1
        while number < 16, reader.has(number) {
            var part = try reader.part(number)
            let name = [UInt8](try part.bytes(Number.name))
            guard name.count == 16, let secret = Secret(try part.bytes(Number.secret)) else {
                throw .outOfRange(number)
            }
            let madeAt: Int = try part.integer(Number.madeAt)
            taken.append(Key(name: name, secret: secret, madeAtSeconds: madeAt))
            number += 1
        }
        if !taken.isEmpty { keys.withLock { $0 = taken } }
    }

    /// Prepares sealing: fills in name and vector, sets up cipher and MAC.
    func seal(
        name: UnsafeMutablePointer<UInt8>, vector: UnsafeMutablePointer<UInt8>,
        cipherContext: OpaquePointer, macContext: OpaquePointer
    ) -> Bool {
        guard let key = sealingKey(nowSeconds: TicketKeys.nowSeconds()),
            vectors.withLock({ $0.take(into: vector) })
        else { return false }
        memcpy(name, key.name, 16)
        return withExtendedLifetime(key.secret) { secret in
            EVP_EncryptInit_ex2(cipherContext, cipher, secret.cipherKey, vector, nil) == 1
                && Self.setUp(macContext, secret.macKey)
        }
    }

    /// Prepares opening; nil when no key of that name is left, so a full handshake follows.
    func open(
        name: UnsafeMutablePointer<UInt8>, vector: UnsafeMutablePointer<UInt8>,
        cipherContext: OpaquePointer, macContext: OpaquePointer
    ) -> (isCurrent: Bool, isSetUp: Bool)? {
        guard let found = openingKey(name: name, nowSeconds: TicketKeys.nowSeconds()) else {
            return nil
        }
        let isSetUp = withExtendedLifetime(found.key.secret) { secret in
            EVP_DecryptInit_ex2(cipherContext, cipher, secret.cipherKey, vector, nil) == 1
                && Self.setUp(macContext, secret.macKey)
        }
        return (found.isCurrent, isSetUp)
    }

    private static func setUp(
        _ macContext: OpaquePointer, _ key: UnsafePointer<UInt8>
    ) -> Bool {
        sluice_mac_use_hmac_sha256(macContext, key, Secret.halfBytes) == 1
    }
}
