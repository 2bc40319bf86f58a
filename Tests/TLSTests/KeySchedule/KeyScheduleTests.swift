// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// The key schedule of TLS 1.3, which OpenSSL's handshakes have done here.
struct KeyScheduleTests {
    /// RFC 8448 §3, a simple 1-RTT handshake.
    @Test func `the secrets of a handshake are those of RFC 8448`() {
        let early = next(after: nil, nil)
        #expect(early == hex("33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"))
        let shared = hex("8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d")
        let handshake = next(after: early, shared)
        #expect(
            handshake == hex("1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac"))
        #expect(
            next(after: handshake, nil)
                == hex("18df06843d13a08bf2a449844c5f8a478001bc4d4c627984d5a41da8d0402919"))
        // The server's key and vector in the same section.
        let traffic = hex("b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38")
        #expect(expand(traffic, "key", 16) == hex("3fce516009c21727d0f2e4e86ee403bc"))
        #expect(expand(traffic, "iv", 12) == hex("5d313eb2671276ee13000b30"))
    }

    @Test func `it makes what OpenSSL makes, and a wrong one is found out`() {
        for _ in 0..<50 { #expect(KeyScheduleCheck.fault(of: KeySchedule.make) == nil) }
        #expect(KeyScheduleCheck.fault { _, _ in false } != nil)
        #expect(KeyScheduleCheck.fault { _, _ in true } != nil)
        // Right but for the last byte of one kind of key.
        let fault = KeyScheduleCheck.fault { out, parameters in
            let isMade = KeySchedule.make(into: out, by: parameters)
            if out.count == 12 { out[11] ^= 1 }
            return isMade
        }
        #expect(fault == "a key of 12 bytes by SHA256 was derived wrong")
    }

    /// Two ends in one thread, so each derives its keys here.
    @Test func `handshakes have their keys derived here, unless that is switched off`() throws {
        #expect(KeySchedule.fault == nil)
        defer { KeySchedule.leaveToOpenSSL(false) }
        let identities = try Identities.shared()
        let store = try identities.store([identities.local])
        for (isSwitchedOff, expected) in [(false, 40...100), (true, 0...0), (false, 40...100)] {
            KeySchedule.leaveToOpenSSL(isSwitchedOff)
            let pair = MemoryPair(store, client: try client())
            let before = KeySchedule.derivedCount
            #expect(pair.handshake() == (.done, .done))
            #expect(expected.contains(KeySchedule.derivedCount - before))
        }
    }

    @Test func `where FIPS is asked for, keys and records are OpenSSL's`() {
        let sentence = "OpenSSL's configuration asks for FIPS"
        #expect(KeySchedule.load(isFIPSWanted: true) == sentence)
        let fault = #expect(throws: LayoutFault.self) {
            try TrafficSecretLayout.learn(isFIPSWanted: true)
        }
        #expect(fault?.sentence == sentence)
        #expect(!FIPSWish.isThere && TLSSession.releaseFault == nil)
    }

    /// Other hashes, longer keys and other parameters come out as OpenSSL has them, or fail as there.
    @Test func `what TLS does not ask for is left to OpenSSL`() throws {
        #expect(KeySchedule.fault == nil)
        let library = try #require(OSSL_LIB_CTX_new())
        defer { OSSL_LIB_CTX_free(library) }
        let own = try #require(EVP_KDF_fetch(library, "TLS13-KDF", nil))
        defer { EVP_KDF_free(own) }
        let expand = Int32(EVP_KDF_HKDF_MODE_EXPAND_ONLY)
        let extract = Int32(EVP_KDF_HKDF_MODE_EXTRACT_ONLY)
        func bytes(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0) } }
        for (sample, isTaken) in [
            (sample("SHA512", expand, 64, bytes(64)), false),
            (sample("SHA1", expand, 20, bytes(20)), false),
            (sample("NONSENSE", expand, 20, bytes(20)), false),
            (sample("SHA256", expand, 33, bytes(32)), false),
            (sample("SHA256", expand, 32, bytes(65)), false),
            (sample("SHA256", expand, 32, nil), false),
            (sample("SHA256", expand, 32, bytes(32), label: bytes(192)), false),
            (sample("SHA256", extract, 31, bytes(32)), false),
            (sample("SHA256", extract, 32, bytes(516)), false),
            (sample("SHA256", extract, 32, bytes(32), salt: bytes(65)), false),
            (sample("SHA256", Int32(EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND), 32, bytes(32)), false),
            (sample("SHA256", 77, 32, bytes(32)), false),
            (sample("SHA384", expand, 48, bytes(64), label: bytes(191)), true),
            (sample("SHA256", extract, 32, bytes(515), salt: bytes(64)), true),
        ] {
            #expect((sample.made(by: KeySchedule.make) != nil) == isTaken, "\(sample)")
            let expected = sample.made { out, parameters in
                let context = EVP_KDF_CTX_new(own)
                defer { EVP_KDF_CTX_free(context) }
                return EVP_KDF_derive(context, out.baseAddress, out.count, parameters) == 1
            }
            #expect(sample.made(by: KeySchedule.derive) == expected, "\(sample)")
            ERR_clear_error()
        }
    }

    private func sample(
        _ digest: String, _ mode: Int32, _ count: Int, _ secret: [UInt8]?, salt: [UInt8]? = nil,
        label: [UInt8] = Array("label".utf8)
    ) -> KeySample {
        KeySample(
            digest: digest, mode: mode, count: count, secret: secret, salt: salt, label: label,
            context: nil)
    }

    private func next(after before: [UInt8]?, _ input: [UInt8]?) -> [UInt8]? {
        KeySample(
            digest: "SHA256", mode: Int32(EVP_KDF_HKDF_MODE_EXTRACT_ONLY), count: 32,
            secret: input, salt: before, label: Array("derived".utf8), context: nil
        ).made(by: KeySchedule.make)
    }

    private func expand(_ secret: [UInt8], _ label: String, _ count: Int) -> [UInt8]? {
        KeySample(
            digest: "SHA256", mode: Int32(EVP_KDF_HKDF_MODE_EXPAND_ONLY), count: count,
            secret: secret, salt: nil, label: Array(label.utf8), context: []
        ).made(by: KeySchedule.make)
    }

    private func hex(_ text: String) -> [UInt8] {
        stride(from: 0, to: text.utf8.count, by: 2).compactMap { place in
            let start = text.index(text.startIndex, offsetBy: place)
            return UInt8(text[start..<text.index(start, offsetBy: 2)], radix: 16)
        }
    }
}
