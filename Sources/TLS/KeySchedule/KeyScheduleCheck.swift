// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Looks whether the key schedule makes what OpenSSL makes, before a handshake depends on it.
enum KeyScheduleCheck {
    /// What is wrong with it, as a sentence without its end; nil if nothing is.
    ///
    /// OpenSSL is asked in a library context of its own, so that nothing is looked for in the one of the handshakes yet.
    ///
    /// - Parameter make: makes what parameters ask for.
    /// - Returns: the first thing that is wrong.
    static func fault(
        of make: (UnsafeMutableBufferPointer<UInt8>, UnsafePointer<OSSL_PARAM>) -> Bool
    ) -> String? {
        guard let library = OSSL_LIB_CTX_new() else { return "OpenSSL gives no library context" }
        defer { OSSL_LIB_CTX_free(library) }
        guard let function = EVP_KDF_fetch(library, "TLS13-KDF", nil) else {
            ERR_clear_error()
            return "OpenSSL has no TLS13-KDF"
        }
        defer { EVP_KDF_free(function) }
        var numbers = RandomNumbers()
        for digest in ["SHA256", "SHA384", "SHA2-256", "SHA2-384"] {
            for sample in KeySample.every(digest: digest, from: &numbers) {
                let made = sample.made(by: make)
                let expected = sample.made { out, parameters in
                    let context = EVP_KDF_CTX_new(function)
                    defer { EVP_KDF_CTX_free(context) }
                    return EVP_KDF_derive(context, out.baseAddress, out.count, parameters) == 1
                }
                guard let made, let expected, made == expected else {
                    ERR_clear_error()
                    return "a key of \(sample.count) bytes by \(digest) was derived wrong"
                }
            }
        }
        return nil
    }
}

/// One call of the key schedule with random bytes.
struct KeySample {
    let digest: String
    let mode: Int32
    /// Bytes that are asked for.
    let count: Int
    var secret: [UInt8]?
    var salt: [UInt8]?
    let label: [UInt8]
    var context: [UInt8]?

    /// A sample of each kind of call that libssl makes with a hash.
    static func every(digest: String, from numbers: inout RandomNumbers) -> [KeySample] {
        let size = digest.hasSuffix("384") ? 48 : 32
        func bytes(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in UInt8(truncatingIfNeeded: numbers.next()) }
        }
        var samples: [KeySample] = []
        // Traffic secrets, keys, vectors, a ticket's secret, and exporters with labels of any length.
        for (count, label, context) in [
            (size, 12, size), (16, 3, nil), (32, 3, nil), (12, 2, nil), (size, 8, nil),
            (size, 10, 8), (size, 249, 255), (1, 1, 0),
        ] {
            samples.append(
                KeySample(
                    digest: digest, mode: Int32(EVP_KDF_HKDF_MODE_EXPAND_ONLY), count: count,
                    secret: bytes(size), label: bytes(min(label, 191)), context: context.map(bytes))
            )
        }
        // The early secret with a key shared before and without, the handshake's with what each group shares, the master's.
        for (salt, secret) in [
            (nil, nil), (nil, size), (size, 32), (size, 48), (size, 56), (size, 66), (size, 64),
            (size, 256), (size, 512), (size, nil),
        ] {
            samples.append(
                KeySample(
                    digest: digest, mode: Int32(EVP_KDF_HKDF_MODE_EXTRACT_ONLY), count: size,
                    secret: secret.map(bytes), salt: salt.map(bytes), label: Array("derived".utf8)))
        }
        return samples
    }

    /// What a function makes of it; nil where it makes nothing.
    func made(
        by function: (UnsafeMutableBufferPointer<UInt8>, UnsafePointer<OSSL_PARAM>) -> Bool
    ) -> [UInt8]? {
        let parameters = ParameterList()
        withUnsafeBytes(of: mode) { parameters.add("mode", UInt32(OSSL_PARAM_INTEGER), $0) }
        digest.utf8CString.withUnsafeBytes {
            parameters.add("digest", UInt32(OSSL_PARAM_UTF8_STRING), $0, isText: true)
        }
        func add(_ name: StaticString, _ bytes: [UInt8]?) {
            bytes?.withUnsafeBytes { parameters.add(name, UInt32(OSSL_PARAM_OCTET_STRING), $0) }
        }
        add("key", secret)
        add("salt", salt)
        add("prefix", Array("tls13 ".utf8))
        add("label", label)
        add("data", context)
        var out = [UInt8](repeating: 0, count: count)
        let isMade = out.withUnsafeMutableBufferPointer { function($0, parameters.pointer) }
        return isMade ? out : nil
    }
}

/// Parameters as OpenSSL's functions take them, with copies of what they hold.
private final class ParameterList {
    /// The first one; behind the last stands one without a name.
    let pointer = UnsafeMutablePointer<OSSL_PARAM>.allocate(capacity: 8)
    private var count = 0

    init() { pointer.initialize(repeating: OSSL_PARAM(), count: 8) }

    deinit {
        for place in 0..<count { pointer[place].data.deallocate() }
        pointer.deallocate()
    }

    /// Adds one; of a text the last byte is its end and does not count.
    func add(
        _ name: StaticString, _ kind: UInt32, _ bytes: UnsafeRawBufferPointer, isText: Bool = false
    ) {
        let copy = UnsafeMutableRawPointer.allocate(byteCount: bytes.count + 1, alignment: 8)
        UnsafeMutableRawBufferPointer(start: copy, count: bytes.count).copyMemory(from: bytes)
        let key = UnsafeRawPointer(name.utf8Start).assumingMemoryBound(to: CChar.self)
        pointer[count] = OSSL_PARAM(
            key: key, data_type: kind, data: copy, data_size: bytes.count - (isText ? 1 : 0),
            return_size: 0)
        count += 1
    }
}
