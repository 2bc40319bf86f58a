// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// Certificates in their text form (RFC 7468).
enum PEM {
    private static let begin = "-----BEGIN CERTIFICATE-----"
    private static let end = "-----END CERTIFICATE-----"

    /// The first certificate of a file, without what stands around it; nil where there is none.
    static func certificate(_ path: String) -> String? {
        guard let text = text(path) else { return nil }
        guard let start = text.firstRange(of: begin),
            let last = text[start.upperBound...].firstRange(of: end)
        else { return nil }
        return text[start.lowerBound..<last.upperBound] + "\n"
    }

    /// A file as text; nil where there is none, also where it is a pipe, which would be waited for without
    /// end, or a device.
    static func text(_ path: String) -> String? {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
        return FileManager.default.contents(atPath: path).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// A text without line ends, in which one PEM form can be looked for in another.
    static func joined(_ pem: String) -> String { pem.filter { !$0.isNewline } }
}
