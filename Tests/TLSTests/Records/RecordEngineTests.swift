// SPDX-License-Identifier: Apache-2.0
import CIPSecMB
import COpenSSL
import Foundation
import TestKit
import Testing

@testable import TLS

/// Goal: intel-ipsec-mb is used where it is right, and nowhere else.
struct RecordEngineTests {
    private static let isThere = Engines.fault == nil
    private static let comment = Comment(
        rawValue: "the suites of records run with OpenSSL alone: \(Engines.fault ?? "")")

    @Test(.enabled(if: isThere, comment))
    func `the library that is installed is taken`() throws {
        let engine = RecordEngine.best
        #expect(engine.reason == nil)
        #expect(engine.name.hasPrefix("intel-ipsec-mb 1.3."))
        #expect(engine.form != nil)
    }

    @Test(.enabled(if: isThere, comment))
    func `each form that this processor can run does what OpenSSL does`() throws {
        for form in Engines.forms {
            for _ in 0..<20 { #expect(GCMCheck.fault(of: form) == nil, "\(form.name)") }
        }
    }

    /// What is wrong with a form, and the end of the sentence that says so.
    struct Wrong: CustomTestStringConvertible {
        let testDescription: String
        let sentence: String
        let change: @Sendable (inout GCMForm) -> Void
    }

    static let wrongs = [
        Wrong(
            testDescription: "sealing and opening are mixed up",
            sentence: "TLS_AES_128_GCM_SHA256: a known message was sealed wrong"
        ) { $0.aes128.seal = $0.aes128.open },
        Wrong(
            testDescription: "keys of 256 bits are taken for shorter ones",
            sentence: "TLS_AES_256_GCM_SHA384: a known message was sealed wrong"
        ) { $0.aes256 = $0.aes128 },
        Wrong(
            testDescription: "nothing is opened",
            sentence: "TLS_AES_128_GCM_SHA256: a known message was opened wrong"
        ) { $0.aes128.open = { _, _, _, _, _, _, _, _, _, _ in } },
        Wrong(
            testDescription: "nothing is sealed in two calls",
            sentence: "TLS_AES_256_GCM_SHA384: a record of 2049 bytes was sealed wrong"
        ) { $0.aes256.add = { _, _, _, _, _ in } },
        Wrong(
            testDescription: "one length is sealed wrong",
            sentence: "TLS_AES_128_GCM_SHA256: a record of 1025 bytes was sealed wrong"
        ) {
            $0.aes128.seal = { key, state, out, bytes, count, nonce, aad, aadCount, tag, tagCount in
                Engines.forms[0].aes128.seal(
                    key, state, out, bytes, count, nonce, aad, aadCount, tag, tagCount)
                if count == 1_026 { out?[1_025] ^= 1 }
            }
        },
        Wrong(
            testDescription: "a byte too much is written",
            sentence: "TLS_AES_128_GCM_SHA256: a known message was written beyond its end"
        ) {
            $0.aes128.open = { key, state, out, bytes, count, nonce, aad, aadCount, tag, tagCount in
                Engines.forms[0].aes128.open(
                    key, state, out, bytes, count, nonce, aad, aadCount, tag, tagCount)
                out?[Int(count)] = 0
            }
        },
        Wrong(
            testDescription: "an expanded key is larger than its place",
            sentence: "TLS_AES_256_GCM_SHA384: a known message was written beyond its end"
        ) {
            $0.aes256.expand = { key, expanded in
                Engines.forms[0].aes256.expand(key, expanded)
                expanded?.storeBytes(of: 0, toByteOffset: 1_024, as: UInt8.self)
            }
        },
        Wrong(
            testDescription: "every tag is believed",
            sentence:
                "TLS_AES_128_GCM_SHA256: a record of 80 bytes was opened although it was not what had been sealed"
        ) {
            $0.aes128.open = { key, state, out, bytes, count, nonce, aad, aadCount, tag, tagCount in
                Engines.forms[0].aes128.open(
                    key, state, out, bytes, count, nonce, aad, aadCount, tag, tagCount)
                if count == 81, let tag, let bytes { memcpy(tag, bytes + 81, 16) }
            }
        },
    ]

    @Test(.enabled(if: isThere, comment), arguments: wrongs)
    func `a form with a wrong result is refused, with its sentence`(wrong: Wrong) throws {
        var form = try #require(Engines.forms.first)
        wrong.change(&form)
        let engine = RecordEngine.find { () throws(GCMFault) in [form] }
        #expect(engine.form == nil)
        #expect(engine.name == "OpenSSL")
        #expect(engine.reason == "\(form.name) is not used: \(wrong.sentence)")
    }

    /// A fault of the fastest form costs no more than what it would have been faster.
    @Test(.enabled(if: isThere, comment))
    func `behind a wrong form the next one is taken, and the fault is told`() throws {
        let right = try #require(Engines.forms.first)
        var wrong = right
        wrong.name = "the first"
        wrong.aes128.seal = wrong.aes128.open
        let fault =
            "the first is not used: TLS_AES_128_GCM_SHA256: a known message was sealed wrong"
        let engine = RecordEngine.find { () throws(GCMFault) in [wrong, right] }
        #expect(engine.name == right.name && engine.form != nil)
        #expect(engine.reason == fault)
        var other = wrong
        other.name = "the second"
        let none = RecordEngine.find { () throws(GCMFault) in [wrong, other] }
        #expect(none.form == nil)
        #expect(
            none.reason == fault + "; " + fault.replacingOccurrences(of: "first", with: "second"))
    }

    @Test func `without forms for the processor it is OpenSSL, which says so`() {
        let engine = RecordEngine.find { () throws(GCMFault) in [] }
        #expect(engine.form == nil)
        #expect(engine.reason?.hasPrefix("this processor lacks AVX2") == true)
    }

    @Test(.enabled(if: sluice_has_avx2() != 0, "this processor lacks AVX2"))
    func `a library that is missing or another one is not taken`() throws {
        func reason(_ fileName: String) -> String? {
            RecordEngine.find { () throws(GCMFault) in try GCMLibrary.forms(fileName: fileName) }
                .reason
        }
        #expect(
            reason("libNoSuchThing.so.1")
                == "libNoSuchThing.so.1: cannot open shared object file: No such file or directory; "
                + "the package libipsec-mb1 has this library")
        #expect(reason("libcrypto.so.3") == "libcrypto.so.3 has no function imb_get_version")
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let file = folder + "/other.so"
        for (version, what) in [
            ("0x010400", "is version 1.4.0, and Sluice knows version 1.3"),
            ("0x010300", "has no function aes_gcm_pre_128_"),
        ] {
            let source = folder + "/other.c"
            try Data("unsigned imb_get_version(void) { return \(version); }".utf8).write(
                to: URL(fileURLWithPath: source))
            // A library that is open under a name is not opened again.
            let other = file + version
            try run("gcc", "-shared", "-fPIC", "-o", other, source)
            #expect(reason(other)?.hasPrefix("\(other) \(what)") == true, "\(reason(other) ?? "")")
        }
    }

    private func run(_ words: String...) throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = words
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
    }
}
