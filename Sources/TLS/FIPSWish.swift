// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Whether the operator's configuration of OpenSSL asks for algorithms of a FIPS module alone (fips_module(7)).
///
/// Then all arithmetic of TLS is left to OpenSSL, since no code of ours is a part of such a module.
enum FIPSWish {
    /// Asked once: the configuration is read when OpenSSL is first used.
    static let isThere: Bool = {
        SessionMemory.install()
        return EVP_default_properties_is_fips_enabled(nil) == 1
    }()

    /// Why something is left to OpenSSL then, as a sentence without its end.
    static let sentence = "OpenSSL's configuration asks for FIPS"
}
