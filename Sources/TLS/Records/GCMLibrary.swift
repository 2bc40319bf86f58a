// SPDX-License-Identifier: Apache-2.0
import CIPSecMB
import Glibc

/// AES-GCM of intel-ipsec-mb in one of the forms that it has for processors.
struct GCMForm: Sendable {
    /// The library with its version, and the form.
    var name: String
    /// Its functions for keys of 128 bits.
    var aes128: sluice_gcm
    /// Its functions for keys of 256 bits.
    var aes256: sluice_gcm
}

/// Why intel-ipsec-mb is not used.
struct GCMFault: Error {
    /// A sentence without its end.
    let sentence: String

    init(_ sentence: String) { self.sentence = sentence }

    static let processor = GCMFault(
        "this processor lacks AVX2 or AES-NI, without which intel-ipsec-mb is no faster")
}

/// The library intel-ipsec-mb, if it is installed: opened by name, since Sluice runs without it.
///
/// Each form's functions for AES-GCM are exported by themselves, and need no manager to be made. Their
/// names and the size of an expanded key are those of version 1.3, so no other is taken.
enum GCMLibrary {
    /// The name that the dynamic linker knows it by.
    static let fileName = "libIPSec_MB.so.1"
    /// The package of Debian and Ubuntu that has it.
    static let packageName = "libipsec-mb1"
    /// Major and minor number of the version whose functions are declared in CIPSecMB.
    private static let knownVersion: UInt32 = 0x0103

    /// A form: how its functions' names end, what it is made of, and whether the processor has that.
    private struct Kind {
        let suffix: String
        let words: String
        let isThere: Bool
    }

    /// The fastest first.
    private static var kinds: [Kind] {
        [
            Kind(
                suffix: "vaes_avx512", words: "VAES and AVX-512",
                isThere: sluice_has_vaes_avx512() != 0),
            Kind(suffix: "avx_gen4", words: "AVX2", isThere: sluice_has_avx2() != 0),
        ]
    }

    /// The forms for this processor, the fastest first; not one of them has been checked.
    ///
    /// The library is not closed again: its functions are used as long as the process lives.
    ///
    /// - Throws: why there are none.
    static func forms(fileName: String = fileName) throws(GCMFault) -> [GCMForm] {
        let kinds = kinds.filter(\.isThere)
        if kinds.isEmpty { throw GCMFault.processor }
        guard let library = dlopen(fileName, RTLD_NOW | RTLD_LOCAL) else {
            let what = dlerror().map { String(cString: $0) } ?? fileName
            throw GCMFault("\(what); the package \(packageName) has this library")
        }
        let version = sluice_version_of(try symbol("imb_get_version", library, fileName))
        let text = [16, 8, 0].map { String(version >> UInt32($0) & 0xFF) }.joined(separator: ".")
        guard version >> 8 == knownVersion else {
            throw GCMFault("\(fileName) is version \(text), and Sluice knows version 1.3")
        }
        var forms: [GCMForm] = []
        for kind in kinds {
            forms.append(
                GCMForm(
                    name: "intel-ipsec-mb \(text) (\(kind.words))",
                    aes128: try functions("128", kind.suffix, library, fileName),
                    aes256: try functions("256", kind.suffix, library, fileName)))
        }
        return forms
    }

    private static func symbol(
        _ name: String, _ library: UnsafeMutableRawPointer, _ fileName: String
    ) throws(GCMFault) -> UnsafeMutableRawPointer {
        guard let symbol = dlsym(library, name) else {
            throw GCMFault("\(fileName) has no function \(name)")
        }
        return symbol
    }

    private static func functions(
        _ bits: String, _ suffix: String, _ library: UnsafeMutableRawPointer, _ fileName: String
    ) throws(GCMFault) -> sluice_gcm {
        var symbols: [UnsafeMutableRawPointer?] = []
        for name in [
            "pre_\(bits)", "enc_\(bits)", "dec_\(bits)", "init_\(bits)", "enc_\(bits)_update",
            "enc_\(bits)_finalize",
        ] {
            symbols.append(try symbol("aes_gcm_\(name)_\(suffix)", library, fileName))
        }
        return sluice_gcm_of(&symbols)
    }
}
