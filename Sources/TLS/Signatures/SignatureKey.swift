// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// A key that signatures are checked with, made once and used by all threads.
///
/// A key knows by which algorithms it checks, so that nobody can have a public key taken for a secret.
public final class SignatureKey: Sendable {
    /// Why bytes are no key, or none that is strong enough, as a clause.
    public struct Fault: Error, Sendable, Equatable {
        /// What was found, and what is allowed.
        public let clause: String
    }

    /// A curve of ECDSA (RFC 7518 §6.2.1.1).
    public enum Curve: String, Sendable, CaseIterable {
        case p256 = "P-256"
        case p384 = "P-384"
        case p521 = "P-521"

        /// Bytes of a coordinate, and of each half of a signature.
        var bytes: Int {
            switch self {
            case .p256: 32
            case .p384: 48
            case .p521: 66
            }
        }

        var algorithm: SignatureAlgorithm {
            switch self {
            case .p256: .es256
            case .p384: .es384
            case .p521: .es512
            }
        }
    }

    /// A curve of EdDSA (RFC 8037 §2).
    public enum EdwardsCurve: String, Sendable, CaseIterable {
        case ed25519 = "Ed25519"
        case ed448 = "Ed448"

        var bytes: Int { self == .ed25519 ? 32 : 57 }
    }

    private enum Material {
        case secret([UInt8])
        case rsa
        case ec(Curve)
        case edwards
    }

    /// By which algorithms it checks.
    public let algorithms: Set<SignatureAlgorithm>
    private let material: Material
    /// The public key; nil for a secret.
    nonisolated(unsafe) private let key: OpaquePointer?

    /// Bits of a modulus: shorter ones can be factored, and longer ones take a reactor's time.
    public static let rsaBits = 2_048...8_192

    private init(_ material: Material, _ key: OpaquePointer?, _ algorithms: Set<SignatureAlgorithm>)
    {
        self.material = material
        self.key = key
        self.algorithms = algorithms
    }

    deinit { EVP_PKEY_free(key) }

    /// A secret of HMAC, which has to be as long as the digest (RFC 7518 §3.2).
    public convenience init(secret: [UInt8]) throws(Fault) {
        let fitting = [SignatureAlgorithm.hs256, .hs384, .hs512].filter {
            secret.count >= $0.digestBytes
        }
        guard !fitting.isEmpty else {
            throw Fault(clause: "a secret of \(secret.count) bytes, allowed: 32 bytes or more")
        }
        guard secret.count <= 4_096 else {
            throw Fault(clause: "a secret of \(secret.count) bytes, allowed: 4096 bytes or fewer")
        }
        self.init(.secret(secret), nil, Set(fitting))
    }

    /// The public key of RSA with this modulus and exponent, big-endian.
    public convenience init(rsaModulus: [UInt8], exponent: [UInt8]) throws(Fault) {
        let modulus = Array(rsaModulus.drop { $0 == 0 })
        let exponent = Array(exponent.drop { $0 == 0 })
        let bits = modulus.isEmpty ? 0 : modulus.count * 8 - modulus[0].leadingZeroBitCount
        guard Self.rsaBits.contains(bits) else {
            throw Fault(
                clause: "an RSA key of \(bits) bits, allowed: \(Self.rsaBits.lowerBound) to"
                    + " \(Self.rsaBits.upperBound)")
        }
        // A longer one makes each check take as long as a signature.
        guard (1...4).contains(exponent.count), let last = exponent.last, last & 1 == 1,
            exponent != [1]
        else {
            throw Fault(
                clause: "an RSA key whose exponent is none, allowed: an odd one of 3 to 2^32 - 1")
        }
        sluice_err_clear()
        guard
            let key = sluice_rsa_public_key(
                modulus, Int32(modulus.count), exponent, Int32(exponent.count))
        else {
            sluice_err_clear()
            throw Fault(
                clause:
                    "an RSA key that OpenSSL does not take, allowed: a modulus 'n' and an exponent 'e'"
            )
        }
        guard sluice_is_sound(key) == 1 else {
            EVP_PKEY_free(key)
            sluice_err_clear()
            throw Fault(clause: "an RSA key that is not sound, allowed: the product of two primes")
        }
        self.init(.rsa, key, [.rs256, .rs384, .rs512, .ps256, .ps384, .ps512])
    }

    /// The public key of ECDSA with this point, big-endian.
    public convenience init(_ curve: Curve, x: [UInt8], y: [UInt8]) throws(Fault) {
        let off = Fault(
            clause: "a point that is not on \(curve.rawValue), allowed: coordinates of"
                + " \(curve.bytes) bytes")
        guard x.count == curve.bytes, y.count == curve.bytes else { throw off }
        let point = [0x04] + x + y
        sluice_err_clear()
        guard let key = sluice_ec_public_key(curve.rawValue, point, point.count) else {
            sluice_err_clear()
            throw off
        }
        guard sluice_is_sound(key) == 1 else {
            EVP_PKEY_free(key)
            sluice_err_clear()
            throw off
        }
        self.init(.ec(curve), key, [curve.algorithm])
    }

    /// The public key of EdDSA of these bytes (RFC 8032).
    public convenience init(_ curve: EdwardsCurve, x: [UInt8]) throws(Fault) {
        sluice_err_clear()
        guard x.count == curve.bytes,
            let key = EVP_PKEY_new_raw_public_key(
                curve == .ed25519 ? EVP_PKEY_ED25519 : EVP_PKEY_ED448, nil, x, x.count)
        else {
            sluice_err_clear()
            throw Fault(
                clause: "no key of \(curve.rawValue), allowed: \(curve.bytes) bytes")
        }
        let own: SignatureAlgorithm = curve == .ed25519 ? .ed25519 : .ed448
        self.init(.edwards, key, [.edDSA, own])
    }

    /// Whether it is a secret, which whoever knows it can also sign with.
    public var isSecret: Bool {
        if case .secret = material { return true }
        return false
    }

    /// Whether a signature of a message was made with the key's other half, by an algorithm that is the key's.
    public func verifies(
        _ signature: [UInt8], of message: UnsafeRawBufferPointer, by algorithm: SignatureAlgorithm
    ) -> Bool {
        guard algorithms.contains(algorithm), !message.isEmpty, !signature.isEmpty else {
            return false
        }
        switch material {
        case .secret(let secret):
            return Self.mac(of: message, secret, algorithm).map {
                SecretComparison.isEqual($0, signature)
            } ?? false
        case .rsa, .edwards: return verifies(signature, message, algorithm)
        case .ec(let curve):
            guard signature.count == 2 * curve.bytes else { return false }
            return verifies(Self.der(signature), message, algorithm)
        }
    }

    private func verifies(
        _ signature: [UInt8], _ message: UnsafeRawBufferPointer, _ algorithm: SignatureAlgorithm
    ) -> Bool {
        guard let context = EVP_MD_CTX_new() else { return false }
        defer {
            EVP_MD_CTX_free(context)
            // What was wrong with a signature is no news for the next session of the thread.
            sluice_err_clear()
        }
        guard
            sluice_verify_init(context, algorithm.digest, key, algorithm.isPSS ? 1 : 0) == 1
        else { return false }
        return EVP_DigestVerify(
            context, signature, signature.count,
            message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count) == 1
    }

    private static func mac(
        of message: UnsafeRawBufferPointer, _ secret: [UInt8], _ algorithm: SignatureAlgorithm
    ) -> [UInt8]? {
        var code = [UInt8](repeating: 0, count: algorithm.digestBytes)
        var count = UInt32(0)
        let made = HMAC(
            algorithm.digest, secret, Int32(secret.count),
            message.baseAddress?.assumingMemoryBound(to: UInt8.self), message.count, &code, &count)
        return made != nil && Int(count) == code.count ? code : nil
    }

    /// A signature of two numbers of equal length (RFC 7518 §3.4) in the form that OpenSSL reads (RFC 3279 §2.2.3).
    static func der(_ signature: [UInt8]) -> [UInt8] {
        let half = signature.count / 2
        let numbers = integer(signature[..<half]) + integer(signature[half...])
        let length = numbers.count
        return (length < 0x80 ? [0x30, UInt8(length)] : [0x30, 0x81, UInt8(length)]) + numbers
    }

    private static func integer(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
        var number = Array(bytes.drop { $0 == 0 })
        if number.isEmpty || number[0] & 0x80 != 0 { number.insert(0, at: 0) }
        return [0x02, UInt8(number.count)] + number
    }
}
