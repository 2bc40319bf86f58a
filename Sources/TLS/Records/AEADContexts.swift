// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// OpenSSL's AEAD contexts of one thread, lent to every session.
///
/// A key has its place by its number, so that the contexts of some hundred busy sessions stay set up,
/// which saves 0.2 µs per record; and an idle session owns none. Whoever finds another's key in its
/// place sets its own.
struct AEADContexts {
    private struct Slot {
        var context: OpaquePointer?
        /// The number of the `TrafficKey` that it holds; 0 for none.
        var keyNumber: UInt64 = 0
    }

    private let slots: UnsafeMutablePointer<Slot>
    private let nonce: UnsafeMutablePointer<UInt8>

    /// Places for each suite, a power of two: about 1 kB each once they are used.
    private static let slotsPerSuite = 512
    private static let slotCount = RecordSuite.count * slotsPerSuite

    init() {
        slots = .allocate(capacity: Self.slotCount)
        slots.initialize(repeating: Slot(), count: Self.slotCount)
        nonce = .allocate(capacity: RecordSuite.nonceBytes)
        nonce.initialize(repeating: 0, count: RecordSuite.nonceBytes)
    }

    func free() {
        for index in 0..<Self.slotCount { EVP_CIPHER_CTX_free(slots[index].context) }
        slots.deallocate()
        nonce.deallocate()
    }

    private func slot(_ number: UInt64, _ suite: RecordSuite) -> UnsafeMutablePointer<Slot> {
        let place = Int(truncatingIfNeeded: number) & (Self.slotsPerSuite &- 1)
        return slots + (Int(suite.rawValue) &* Self.slotsPerSuite &+ place)
    }

    /// Overwrites a key that a context may still hold, since its session ends or has another one.
    func forget(_ key: TrafficKey, _ suite: RecordSuite) {
        let slot = slot(key.number, suite)
        guard slot.pointee.keyNumber == key.number, let context = slot.pointee.context else {
            return
        }
        slot.pointee.keyNumber = 0
        memset(nonce, 0, RecordSuite.nonceBytes)
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: RecordSuite.keyBytesMax) {
            $0.initialize(repeating: 0)
            _ = sluice_aead_begin(context, $0.baseAddress, nonce, 1, nil)
        }
    }

    /// A context that holds the key and the nonce of its next record, and the tag to check unless
    /// it seals.
    private func ready(
        _ key: TrafficKey, _ suite: RecordSuite, opening tag: UnsafePointer<UInt8>?
    ) -> OpaquePointer? {
        let slot = slot(key.number, suite)
        if slot.pointee.context == nil {
            guard let context = EVP_CIPHER_CTX_new() else { return nil }
            guard EVP_CipherInit_ex(context, suite.cipher, nil, nil, nil, 1) == 1 else {
                EVP_CIPHER_CTX_free(context)
                return nil
            }
            slot.pointee.context = context
        }
        let context = slot.pointee.context
        key.writeNonce(nonce)
        let isSet = slot.pointee.keyNumber == key.number
        let result =
            isSet && suite != .chaCha20Poly1305
            ? sluice_gcm_next(context, nonce, tag)
            : sluice_aead_begin(context, isSet ? nil : key.key, nonce, tag == nil ? 1 : 0, tag)
        guard result == 1 else {
            slot.pointee.keyNumber = 0
            return nil
        }
        slot.pointee.keyNumber = key.number
        return context
    }

    /// Plaintexts up to this size are copied into place first, so that one call seals them
    /// together with their type.
    private static let copiedBytesMax = 512

    /// Seals the body of a record whose header is there; see `RecordCiphers.seal`.
    ///
    /// - Returns: false when OpenSSL can't.
    func seal(
        _ type: UInt8, _ bytes: UnsafePointer<UInt8>, count: Int, _ key: TrafficKey,
        _ suite: RecordSuite, into record: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        guard let context = ready(key, suite, opening: nil) else { return false }
        let body = record + RecordLayer.headerBytes
        var made: Int32 = 0
        guard EVP_CipherUpdate(context, nil, &made, record, Int32(RecordLayer.headerBytes)) == 1
        else { return false }
        if count <= Self.copiedBytesMax {
            memcpy(body, bytes, count)
            body[count] = type
            let length = Int32(truncatingIfNeeded: count &+ 1)
            guard EVP_CipherUpdate(context, body, &made, body, length) == 1 else { return false }
        } else {
            var last = type
            guard
                EVP_CipherUpdate(context, body, &made, bytes, Int32(truncatingIfNeeded: count))
                    == 1, EVP_CipherUpdate(context, body + count, &made, &last, 1) == 1
            else { return false }
        }
        let tag = body + (count &+ 1)
        return EVP_CipherFinal_ex(context, tag, &made) == 1 && sluice_aead_tag(context, tag) == 1
    }

    /// Opens one record; see `RecordCiphers.open`.
    ///
    /// - Returns: false when it is not what the peer sealed.
    func open(
        _ record: UnsafePointer<UInt8>, bodyCount: Int, _ key: TrafficKey, _ suite: RecordSuite,
        into bytes: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        let body = record + RecordLayer.headerBytes
        let count = bodyCount &- RecordSuite.tagBytes
        var made: Int32 = 0
        guard let context = ready(key, suite, opening: body + count),
            EVP_CipherUpdate(context, nil, &made, record, Int32(RecordLayer.headerBytes)) == 1,
            EVP_CipherUpdate(context, bytes, &made, body, Int32(truncatingIfNeeded: count)) == 1,
            EVP_CipherFinal_ex(context, bytes + count, &made) == 1
        else {
            ERR_clear_error()
            return false
        }
        return true
    }
}
