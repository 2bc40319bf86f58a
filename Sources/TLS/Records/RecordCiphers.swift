// SPDX-License-Identifier: Apache-2.0

/// What one thread seals and opens records with, lent to every session.
///
/// AES-GCM is intel-ipsec-mb's where the engine is that; all else is OpenSSL's. A key belongs to its
/// session, and what is computed from it (a context, round keys) is kept here, as long as there is a
/// place for it.
struct RecordCiphers {
    private struct State {
        let contexts: AEADContexts
        /// Nil where OpenSSL does everything.
        var keys: ExpandedKeys?
        var lastKeyNumber: UInt64 = 0
    }

    private let state: UnsafeMutablePointer<State>

    init(_ engine: RecordEngine) {
        state = .allocate(capacity: 1)
        state.initialize(
            to: State(contexts: AEADContexts(), keys: engine.form.flatMap { ExpandedKeys($0) }))
    }

    func free() {
        state.pointee.contexts.free()
        state.pointee.keys?.free()
        state.deinitialize(count: 1)
        state.deallocate()
    }

    /// Seals and opens by this engine from now on, also for sessions that live already.
    func use(_ engine: RecordEngine) {
        state.pointee.keys?.free()
        state.pointee.keys = engine.form.flatMap { ExpandedKeys($0) }
    }

    /// Whether AES-GCM is intel-ipsec-mb's.
    var isFast: Bool { state.pointee.keys != nil }

    /// A number for a key, that none of this thread had before.
    func nextKeyNumber() -> UInt64 {
        state.pointee.lastKeyNumber &+= 1
        return state.pointee.lastKeyNumber
    }

    /// Overwrites what is still kept of a key, since its session ends or has another one.
    func forget(_ key: TrafficKey, _ suite: RecordSuite) {
        state.pointee.keys?.forget(key, suite)
        state.pointee.contexts.forget(key, suite)
    }

    /// Seals one record (RFC 8446 §5.2).
    ///
    /// `type` is a `RecordType`, `count` at most 2^14; header, ciphertext and tag go to `record`,
    /// which has room for `count` and 22 bytes.
    ///
    /// - Returns: the bytes of the record; nil when OpenSSL can't.
    func seal(
        _ type: UInt8, _ bytes: UnsafePointer<UInt8>, count: Int, _ key: inout TrafficKey,
        _ suite: RecordSuite, into record: UnsafeMutablePointer<UInt8>
    ) -> Int? {
        let bodyCount = count &+ 1 &+ RecordSuite.tagBytes
        record[0] = RecordType.applicationData.rawValue
        record[1] = 3
        record[2] = 3
        record[3] = UInt8(truncatingIfNeeded: bodyCount &>> 8)
        record[4] = UInt8(truncatingIfNeeded: bodyCount)
        if suite != .chaCha20Poly1305, let keys = state.pointee.keys {
            keys.seal(type, bytes, count: count, key, suite, into: record)
        } else {
            let contexts = state.pointee.contexts
            guard contexts.seal(type, bytes, count: count, key, suite, into: record) else {
                return nil
            }
        }
        key.sequence &+= 1
        return RecordLayer.headerBytes &+ bodyCount
    }

    /// Opens one record.
    ///
    /// `record` is header, ciphertext and tag in one piece, `bodyCount` the length that the header
    /// gives, more than a tag's; the inner plaintext goes to `bytes`, `bodyCount` less a tag.
    ///
    /// - Returns: false when it is not what the peer sealed.
    func open(
        _ record: UnsafePointer<UInt8>, bodyCount: Int, _ key: inout TrafficKey,
        _ suite: RecordSuite, into bytes: UnsafeMutablePointer<UInt8>
    ) -> Bool {
        let isOpened =
            if suite != .chaCha20Poly1305, let keys = state.pointee.keys {
                keys.open(record, bodyCount: bodyCount, key, suite, into: bytes)
            } else {
                state.pointee.contexts.open(
                    record, bodyCount: bodyCount, key, suite, into: bytes)
            }
        if isOpened { key.sequence &+= 1 }
        return isOpened
    }
}
