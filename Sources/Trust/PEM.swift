// SPDX-License-Identifier: Apache-2.0
import Foundation

/// Certificates in their text form (RFC 7468).
enum PEM {
    private static let begin = "-----BEGIN CERTIFICATE-----"
    private static let end = "-----END CERTIFICATE-----"

    /// The first certificate of a file, without what stands around it; nil where there is none.
    static func certificate(_ path: String) -> String? {
        guard let bytes = FileManager.default.contents(atPath: path) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let start = text.firstRange(of: begin),
            let last = text[start.upperBound...].firstRange(of: end)
        else { return nil }
        return text[start.lowerBound..<last.upperBound] + "\n"
    }

    /// A text without line ends, in which one PEM form can be looked for in another.
    static func joined(_ pem: String) -> String { pem.filter { !$0.isNewline } }
}
