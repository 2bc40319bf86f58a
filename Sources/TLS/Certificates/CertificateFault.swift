// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// What stands in the way of a certificate or its key: which file, what was found, what to do.
///
/// It is meant to be printed as it is, so each of the three parts is for a reader who never made
/// a certificate.
public struct CertificateFault: Error, Equatable, Sendable, CustomStringConvertible {
    /// The file or directory that it is about; for a wrong name, that name.
    public let file: String
    /// What was found there.
    public let found: String
    /// What the reader can do about it.
    public let remedy: String
    /// The names that were asked for, where an authority may not sign for some of them; else empty.
    public let wanted: [String]
    /// The authority's folder, where it may not sign for some names; else empty.
    public let directory: String

    init(
        _ file: String, found: String, remedy: String, wanted: [String] = [],
        directory: String = ""
    ) {
        self.file = file
        self.found = found
        self.remedy = remedy
        self.wanted = wanted
        self.directory = directory
    }

    /// One line: file, what was found, what to do.
    public var description: String { "\(file): \(found); \(remedy)" }
}

extension CertificateFault {
    /// A system call on `file` failed with the present `errno`.
    static func system(_ call: String, _ file: String, remedy: String) -> CertificateFault {
        let code = errno
        let better: String? =
            switch code {
            case ENOSPC, EDQUOT: "make room on the disk: df -h shows how much there is"
            case EROFS: "that file system is read-only: choose another directory"
            case EMFILE, ENFILE: "raise the limit of open files (ulimit -n)"
            default: nil
            }
        return CertificateFault(
            file, found: "\(call): \(String(cString: strerror(code)))", remedy: better ?? remedy)
    }

    /// OpenSSL refused a step; empties its error queue, which the next TLS call would misread.
    static func library(_ step: String, _ file: String) -> CertificateFault {
        let reasons = TLSError.drainingQueue(step).reasons
        let reason = reasons.isEmpty ? "it gave no reason" : reasons.joined(separator: "; ")
        return CertificateFault(
            file, found: "OpenSSL could not \(step) (\(reason))",
            remedy: "check that the installed OpenSSL works: openssl version -a")
    }
}
