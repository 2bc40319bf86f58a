// SPDX-License-Identifier: Apache-2.0
import COpenSSL

/// Compares what was sent with a secret, so that the time it takes tells nothing of where they differ.
public enum SecretComparison {
    /// Whether both have the same bytes; only their lengths show in the time that it takes.
    public static func isEqual(_ secret: [UInt8], _ sent: [UInt8]) -> Bool {
        secret.withUnsafeBytes { secret in
            sent.withUnsafeBytes { sent in
                guard let own = secret.baseAddress, let other = sent.baseAddress else {
                    return secret.isEmpty && sent.isEmpty
                }
                guard secret.count == sent.count else { return false }
                return CRYPTO_memcmp(own, other, secret.count) == 0
            }
        }
    }
}
