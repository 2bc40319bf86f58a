// SPDX-License-Identifier: Apache-2.0
public import TLS

/// The certificates that a server shows for a URL, and what is wrong with them.
public struct Presented: Sendable {
    /// In the order in which they were sent: the server's own first.
    public let chain: [CertificateFacts]
    /// The version of TLS that was agreed on, as OpenSSL names it: `TLSv1.3`.
    public let version: String
    /// The cipher suite's name.
    public let cipher: String
    /// Where the server was found.
    public let address: String
    /// Why nobody here believes them, in a sentence; nil where somebody does.
    public let fault: String?
    /// Which of this user's browsers believe them, where they are believed thanks to Sluice's local authority; nil where
    /// that has not signed them.
    public let browserTrust: BrowserTrust?
}

extension Doctor {
    /// Shakes hands with a server and asks it nothing.
    ///
    /// - Returns: what it showed, or what is the matter where it came to no handshake.
    /// - Throws: `TLSError` when a file with authorities can't be read.
    public static func present(
        _ url: SocketURL, _ options: Options
    ) throws(TLSError) -> Result<Presented, DoctorFault> {
        var doctor = Doctor(url, options)
        guard let line = doctor.connect() else { return .failure(DoctorFault(doctor.diagnosis)) }
        // Where it was found stands in the step before.
        let address = doctor.diagnosis.steps.last?.found ?? ""
        _ = try doctor.secure(line)
        guard let probe = line.probe else { return .failure(DoctorFault(doctor.diagnosis)) }
        let verdict = doctor.diagnosis.verdict
        return .success(
            Presented(
                chain: probe.chain, version: probe.version, cipher: probe.cipher,
                address: address,
                fault: verdict == .healthy ? nil : doctor.diagnosis.sentence.harmless,
                browserTrust: doctor.browserTrust))
    }
}

/// Why a server showed no certificate.
public struct DoctorFault: Error, Sendable, CustomStringConvertible {
    /// What is the matter, and what to change.
    public let description: String

    init(_ diagnosis: Diagnosis) {
        description =
            [diagnosis.sentence, diagnosis.remedy].filter { !$0.isEmpty }
            .joined(separator: " ").harmless
    }
}
