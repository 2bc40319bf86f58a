// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// What OpenSSL said of a failure, as plain values.
public struct TLSError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What was being done, and with which file if any.
    public let doing: String
    /// OpenSSL's reason strings, the deepest last; empty when it gave none.
    public let reasons: [String]
    /// What is wrong with files of certificates and keys, where that is the cause.
    public let problems: [IdentityProblem]
    /// A setting of a listener that OpenSSL does not take.
    public enum Setting: Sendable, Equatable {
        /// The ciphers of TLS 1.2 (`TLSServerOptions.cipherList`).
        case cipherList
        /// The cipher suites of TLS 1.3 (`TLSServerOptions.cipherSuites`).
        case cipherSuites
    }
    /// The setting that is to blame; nil for any other cause.
    public private(set) var setting: Setting?

    /// The same error, for which a setting is to blame.
    func blaming(_ setting: Setting) -> TLSError {
        var error = self
        error.setting = setting
        return error
    }

    /// Makes an error of our own words.
    public init(_ doing: String, reasons: [String] = []) {
        self.doing = doing
        self.reasons = reasons
        problems = []
        remedy = nil
    }

    /// Certificates and keys that can't be served.
    init(_ problems: [IdentityProblem]) {
        doing = problems.map(\.description).joined(separator: "\n")
        reasons = []
        remedy = nil
        self.problems = problems
    }

    /// A sentence for people.
    public var description: String {
        guard !reasons.isEmpty else { return doing }
        return "\(doing): \(reasons.joined(separator: "; "))" + (remedy.map { "; \($0)" } ?? "")
    }

    /// What the reader can do about it, as a clause.
    public private(set) var remedy: String?

    /// Takes everything out of this thread's error queue.
    ///
    /// - Parameters:
    ///   - doing: what failed.
    ///   - remedy: what the reader can do, as a clause.
    /// - Returns: the error.
    static func drainingQueue(
        _ doing: String,
        remedy: String? = "check that the installed OpenSSL works: openssl version -a"
    ) -> TLSError {
        var reasons: [String] = []
        while true {
            let code = ERR_get_error()
            if code == 0 { break }
            let systemError = sluice_err_system(code)
            if systemError != 0, let text = strerror(systemError) {
                reasons.append(String(cString: text))
            } else if let text = ERR_reason_error_string(code) {
                reasons.append(String(cString: text))
            } else {
                reasons.append("error \(String(code, radix: 16))")
            }
        }
        // Where a system call failed, the library says on top of it that one did.
        if reasons.count > 1 { reasons.removeAll { $0 == "system lib" || $0 == "BIO lib" } }
        var error = TLSError(doing, reasons: reasons)
        error.remedy = remedy
        return error
    }
}

/// A TLS protocol version that Sluice speaks.
public enum TLSVersion: UInt16, Sendable, CustomStringConvertible {
    /// TLS 1.2 (RFC 5246).
    case tls12 = 0x0303
    /// TLS 1.3 (RFC 8446).
    case tls13 = 0x0304

    /// The version as people write it.
    public var description: String { self == .tls12 ? "TLSv1.2" : "TLSv1.3" }
}
