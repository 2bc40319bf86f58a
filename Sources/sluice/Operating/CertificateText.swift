// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import TLS

/// A certificate of a running process as people read it.
enum CertificateText {
    /// The last day on which it is valid, with what is the matter with it.
    static func until(_ certificate: CertificateState) -> String {
        guard let term = term(certificate) else { return String(certificate.notAfter.prefix(10)) }
        return CertCommand.until(term)
    }

    /// Its term; nil where the process has said what is no time.
    static func term(_ certificate: CertificateState) -> CertificateTerm? {
        guard let end = seconds(certificate.notAfter) else { return nil }
        // An older process does not say when it began: a year is as good.
        let start = certificate.notBefore.flatMap(seconds) ?? end - 365 * 86_400
        return CertificateTerm(notBefore: start, notAfter: end)
    }

    /// Seconds since 1970, bounded: what another process says may be any time.
    private static func seconds(_ text: String) -> Int64? {
        guard let date = try? Date(text, strategy: .iso8601) else { return nil }
        return Int64(max(-1e12, min(1e12, date.timeIntervalSince1970)))
    }
}
