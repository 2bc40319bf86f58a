// SPDX-License-Identifier: Apache-2.0
import CIPSecMB
import COpenSSL
import Glibc

/// Keys of one thread in the form that intel-ipsec-mb computes with, and what it computes.
///
/// A key so expanded has a kilobyte, and to expand it takes some 0.1 µs. So a session owns none: a key
/// has its place by its number, as it has among `AEADContexts`, and the busy ones find theirs expanded.
/// The memory is the kernel's until a place is used. One pointer is all that there is of it here: where
/// `flatMap` makes an optional of several pointers nil, Swift 6.3 may take it for a value (decision 210).
struct ExpandedKeys {
    /// The places one behind the other, each at a multiple of 64; then the other parts in their order.
    private let memory: UnsafeMutableRawPointer

    /// A power of two.
    static let placeCount = 512
    static let placeBytes = sluice_gcm_key_bytes
    private static let scratchBytes = 256
    private static let scratchOffset = placeCount * placeBytes
    private static let functionsOffset = scratchOffset + scratchBytes
    private static let holdersOffset = functionsOffset + 2 * MemoryLayout<sluice_gcm>.stride
    private static let byteCount = holdersOffset + placeCount * MemoryLayout<UInt64>.stride

    private var nonce: UnsafeMutablePointer<UInt8> {
        (memory + Self.scratchOffset).assumingMemoryBound(to: UInt8.self)
    }
    private var tag: UnsafeMutablePointer<UInt8> { nonce + 16 }
    /// What the library needs between two calls for one record.
    private var progress: UnsafeMutableRawPointer { UnsafeMutableRawPointer(nonce + 64) }
    /// The form's functions for keys of 128 and of 256 bits, in the order of the suites.
    private var functions: UnsafeMutablePointer<sluice_gcm> {
        (memory + Self.functionsOffset).assumingMemoryBound(to: sluice_gcm.self)
    }
    /// Whose key is in a place: its number, and in the lowest bit its suite; 0 for nobody's.
    private var holders: UnsafeMutablePointer<UInt64> {
        (memory + Self.holdersOffset).assumingMemoryBound(to: UInt64.self)
    }

    /// Nil when memory is short.
    init?(_ form: GCMForm) {
        let mapped = mmap(
            nil, Self.byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        guard let mapped, mapped != MAP_FAILED else { return nil }
        memory = mapped
        (memory + Self.functionsOffset).bindMemory(to: sluice_gcm.self, capacity: 2)
            .initialize(to: form.aes128)
        (functions + 1).initialize(to: form.aes256)
        // The kernel's pages are zero.
        (memory + Self.holdersOffset).bindMemory(to: UInt64.self, capacity: Self.placeCount)
    }

    func free() {
        for index in 0..<Self.placeCount where holders[index] != 0 { wipe(index) }
        explicit_bzero(nonce, Self.scratchBytes)
        munmap(memory, Self.byteCount)
    }

    private func place(_ index: Int) -> UnsafeMutableRawPointer {
        memory + index &* Self.placeBytes
    }

    private static func index(of key: TrafficKey) -> Int {
        Int(truncatingIfNeeded: key.number) & (placeCount &- 1)
    }

    private static func holder(_ key: TrafficKey, _ suite: RecordSuite) -> UInt64 {
        key.number &<< 1 | UInt64(suite.rawValue)
    }

    private func wipe(_ index: Int) {
        explicit_bzero(place(index), Self.placeBytes)
        holders[index] = 0
    }

    /// Overwrites a key that may still be in its place.
    func forget(_ key: TrafficKey, _ suite: RecordSuite) {
        let index = Self.index(of: key)
        guard suite != .chaCha20Poly1305, holders[index] == Self.holder(key, suite) else { return }
        wipe(index)
        // What is left of the last record is perhaps this key's.
        explicit_bzero(nonce, Self.scratchBytes)
    }

    /// The key in its place, expanded.
    func expanded(_ key: TrafficKey, _ suite: RecordSuite) -> UnsafeMutableRawPointer {
        let index = Self.index(of: key)
        let holder = Self.holder(key, suite)
        let place = place(index)
        if holders[index] != holder {
            // One of the same length is written over to its last byte; of a longer one, round keys
            // would be left.
            if holders[index] & 1 != holder & 1 { wipe(index) }
            sluice_gcm_expand(functions + Int(suite.rawValue), key.key, place)
            holders[index] = holder
        }
        return place
    }

    /// Plaintexts up to this size are copied in front of their type, and one call seals both in their
    /// place; longer ones are read where they are, in calls that cost less than the copy.
    static let copiedBytesMax = 2_048

    /// Seals the body of a record whose header is there; see `RecordCiphers.seal`.
    func seal(
        _ type: UInt8, _ bytes: UnsafePointer<UInt8>, count: Int, _ key: TrafficKey,
        _ suite: RecordSuite, into record: UnsafeMutablePointer<UInt8>
    ) {
        let key = (expanded: expanded(key, suite), nonce: nonce(of: key))
        let body = record + RecordLayer.headerBytes
        let tag = body + (count &+ 1)
        if count <= Self.copiedBytesMax {
            memcpy(body, bytes, count)
            body[count] = type
            sluice_gcm_seal(
                functions + Int(suite.rawValue), key.expanded, progress, body, body, count &+ 1,
                key.nonce, record, RecordLayer.headerBytes, tag)
        } else {
            sluice_gcm_seal_with(
                functions + Int(suite.rawValue), key.expanded, progress, body, bytes, count, type,
                key.nonce, record, RecordLayer.headerBytes, tag)
        }
    }

    /// Opens one record; see `RecordCiphers.open`.
    ///
    /// - Returns: false when it is not what the peer sealed; then nothing of it is left in `bytes`.
    func open(
        _ record: UnsafePointer<UInt8>, bodyCount: Int, _ key: TrafficKey, _ suite: RecordSuite,
        into bytes: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        let body = record + RecordLayer.headerBytes
        let count = bodyCount &- RecordSuite.tagBytes
        sluice_gcm_open(
            functions + Int(suite.rawValue), expanded(key, suite), progress, bytes, body, count,
            nonce(of: key), record, RecordLayer.headerBytes, tag)
        if CRYPTO_memcmp(tag, body + count, RecordSuite.tagBytes) == 0 { return true }
        // It is opened before its tag is known, so what nobody sealed is there by now.
        explicit_bzero(bytes, count)
        return false
    }

    private func nonce(of key: TrafficKey) -> UnsafeMutablePointer<UInt8> {
        key.writeNonce(nonce)
        return nonce
    }
}
