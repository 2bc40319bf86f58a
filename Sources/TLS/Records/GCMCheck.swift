// SPDX-License-Identifier: Apache-2.0
import CIPSecMB
import COpenSSL
import Glibc

/// Looks whether a form of intel-ipsec-mb does what OpenSSL does, before anything depends on it.
///
/// It seals and opens messages whose results are known, and random records of every class of length,
/// through the same code as a session. It takes a few milliseconds.
enum GCMCheck {
    /// What is wrong with a form, as a sentence without its end; nil if nothing is.
    static func fault(of form: GCMForm) -> String? {
        for (suite, functions) in [(RecordSuite.aes128GCM, form.aes128), (.aes256GCM, form.aes256)]
        {
            for vector in KnownMessage.all where vector.suite == suite {
                if let fault = fault(of: functions, vector) {
                    return "\(suite.name): a known message was \(fault)"
                }
            }
            if let fault = RecordComparison(suite, form).fault() {
                return "\(suite.name): \(fault)"
            }
        }
        return nil
    }

    /// Room behind what a function may write, which must stay as it is.
    private static let guardBytes = 64
    private static let guardByte: UInt8 = 0xA5

    /// What goes wrong with a known message; nil if nothing does.
    private static func fault(of functions: sluice_gcm, _ vector: KnownMessage) -> String? {
        let keyBytes = sluice_gcm_key_bytes
        let stateBytes = sluice_gcm_state_bytes
        let count = vector.plain.count
        let sizes = [keyBytes, stateBytes, count, count, RecordSuite.tagBytes]
        // Each piece with its guard, the first at a multiple of 64 as an expanded key must be.
        let strides = sizes.map { ($0 + guardBytes + 63) & ~63 }
        let memory = UnsafeMutableRawPointer.allocate(
            byteCount: strides.reduce(0, +), alignment: 64)
        defer { memory.deallocate() }
        memset(memory, Int32(guardByte), strides.reduce(0, +))
        var pieces: [UnsafeMutablePointer<UInt8>] = []
        var at = memory.assumingMemoryBound(to: UInt8.self)
        for stride in strides {
            pieces.append(at)
            at += stride
        }
        let (key, state, sealed, opened, tag) = (
            pieces[0], pieces[1], pieces[2], pieces[3], pieces[4]
        )
        var functions = functions
        sluice_gcm_expand(&functions, vector.key, key)
        sluice_gcm_seal(
            &functions, key, state, sealed, vector.plain, count, vector.nonce, vector.associated,
            vector.associated.count, tag)
        guard memcmp(sealed, vector.cipher, count) == 0, memcmp(tag, vector.tag, 16) == 0 else {
            return "sealed wrong"
        }
        memset(tag, 0, RecordSuite.tagBytes)
        sluice_gcm_open(
            &functions, key, state, opened, sealed, count, vector.nonce, vector.associated,
            vector.associated.count, tag)
        guard memcmp(opened, vector.plain, count) == 0, memcmp(tag, vector.tag, 16) == 0 else {
            return "opened wrong"
        }
        for (piece, size) in zip(pieces, sizes) {
            for index in 0..<guardBytes where piece[size + index] != guardByte {
                return "written beyond its end"
            }
        }
        return nil
    }
}

/// Seals and opens the same records by a form and by OpenSSL.
private final class RecordComparison {
    private let suite: RecordSuite
    private let fast: RecordCiphers
    private let known: RecordCiphers
    private let keyMemory = UnsafeMutablePointer<UInt8>.allocate(capacity: TrafficKey.byteCount)
    private let memory: UnsafeMutablePointer<UInt8>

    /// Bytes of the largest record, with room to begin anywhere in a line of the cache and a guard.
    private static let roomBytes = RecordLayer.plainBytesMax + RecordLayer.overheadBytes + 128

    init(_ suite: RecordSuite, _ form: GCMForm) {
        self.suite = suite
        fast = RecordCiphers(RecordEngine(form))
        known = RecordCiphers(.openSSL)
        memory = .allocate(capacity: 4 * Self.roomBytes)
        memory.initialize(repeating: 0, count: 4 * Self.roomBytes)
        keyMemory.initialize(repeating: 0, count: TrafficKey.byteCount)
    }

    deinit {
        OPENSSL_cleanse(keyMemory, TrafficKey.byteCount)
        fast.free()
        known.free()
        memory.deallocate()
        keyMemory.deallocate()
    }

    /// Bytes of content: all few ones, and those around the borders of blocks and of the groups of
    /// blocks that such code takes at once.
    private static var counts: [Int] {
        var counts = Array(0...80)
        for border in [
            128, 256, 384, 512, 768, 1_024, 1_536, 2_048, 3_072, 4_096, 6_144, 8_192, 12_288,
        ] { counts += [border - 17, border - 16, border - 1, border, border + 1] }
        counts += [16_383, 16_384]
        return counts + (0..<24).map { _ in Int.random(in: 0...RecordLayer.plainBytesMax) }
    }

    /// The first difference, as a sentence without its end; nil if there is none.
    func fault() -> String? {
        guard fast.isFast else { return "no memory for its keys" }
        for count in Self.counts {
            // A new key for each, in a place of its own until the places are used up.
            guard RAND_bytes(keyMemory, Int32(TrafficKey.byteCount)) == 1,
                RAND_bytes(memory, Int32(count + 1)) == 1
            else { return "no random bytes to check it with" }
            if let fault = difference(count) {
                return "a record of \(count) bytes was \(fault)"
            }
        }
        return nil
    }

    private func key(_ ciphers: RecordCiphers, _ sequence: UInt64) -> TrafficKey {
        TrafficKey(bytes: keyMemory, sequence: sequence, number: ciphers.nextKeyNumber())
    }

    private func difference(_ count: Int) -> String? {
        let sequence = UInt64.random(in: 0..<1 << 40)
        var keys = (fast: key(fast, sequence), known: key(known, sequence))
        let plain = memory
        let sealed = memory + Self.roomBytes + Int.random(in: 0..<64)
        let expected = memory + 2 * Self.roomBytes
        let opened = memory + 3 * Self.roomBytes + Int.random(in: 0..<64)
        let recordBytes = count + RecordLayer.overheadBytes
        let bodyCount = recordBytes - RecordLayer.headerBytes
        // In OpenSSL's place there is none to fall back to, so its failure is a fault as well.
        sealed[recordBytes] = 0xA5
        opened[count + 1] = 0xA5
        let type = RecordType.applicationData.rawValue
        guard
            known.seal(type, plain, count: count, &keys.known, suite, into: expected)
                == recordBytes,
            fast.seal(type, plain, count: count, &keys.fast, suite, into: sealed) == recordBytes,
            memcmp(sealed, expected, recordBytes) == 0, sealed[recordBytes] == 0xA5
        else { return "sealed wrong" }
        keys.fast.sequence = sequence
        guard
            fast.open(expected, bodyCount: bodyCount, &keys.fast, suite, into: opened),
            memcmp(opened, plain, count) == 0, opened[count] == type, opened[count + 1] == 0xA5
        else { return "opened wrong" }
        // What was touched on its way must not be taken for what was sealed.
        keys.fast.sequence = sequence
        let touched = Int.random(in: RecordLayer.headerBytes..<recordBytes)
        sealed[touched] ^= 1 << UInt8.random(in: 0...7)
        if fast.open(sealed, bodyCount: bodyCount, &keys.fast, suite, into: opened) {
            return "opened although it was not what had been sealed"
        }
        return nil
    }
}

/// A message, and what AES-GCM makes of it.
private struct KnownMessage {
    let suite: RecordSuite
    let key: [UInt8]
    let nonce: [UInt8]
    let associated: [UInt8]
    let plain: [UInt8]
    let cipher: [UInt8]
    let tag: [UInt8]

    private init(
        _ suite: RecordSuite, key: String, nonce: String, associated: String, plain: String,
        cipher: String, tag: String
    ) {
        self.suite = suite
        self.key = Self.bytes(key)
        self.nonce = Self.bytes(nonce)
        self.associated = Self.bytes(associated)
        self.plain = Self.bytes(plain)
        self.cipher = Self.bytes(cipher)
        self.tag = Self.bytes(tag)
    }

    private static func bytes(_ digits: String) -> [UInt8] {
        let values = digits.utf8.map { $0 < 0x3A ? $0 - 0x30 : $0 - 0x61 + 10 }
        return stride(from: 0, to: values.count, by: 2).map { values[$0] << 4 | values[$0 + 1] }
    }

    private static let plain =
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        + "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"

    static let all = [
        // Cases 4 and 16 of "The Galois/Counter Mode of Operation", McGrew and Viega, appendix B.
        KnownMessage(
            .aes128GCM, key: "feffe9928665731c6d6a8f9467308308", nonce: "cafebabefacedbaddecaf888",
            associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2", plain: plain,
            cipher: "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e"
                + "21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
            tag: "5bc94fbc3221a5db94fae95ae7121a47"),
        KnownMessage(
            .aes256GCM,
            key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            nonce: "cafebabefacedbaddecaf888",
            associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2", plain: plain,
            cipher: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                + "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            tag: "76fc6ece0f4e1768cddf8853bb2d551b"),
        // The client's record of application data in RFC 8448 §3.
        KnownMessage(
            .aes128GCM, key: "17422dda596ed5d9acd890e3c63f5051", nonce: "5b78923dee08579033e523d9",
            associated: "1703030043",
            plain: "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
                + "202122232425262728292a2b2c2d2e2f303117",
            cipher: "a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5"
                + "b46b395bd54a9a20441e2b62974e1f5a6292a2",
            tag: "977014bd1e3deae63aeebb21694915e4"),
    ]
}
