// SPDX-License-Identifier: Apache-2.0
import Doctor
import TLS
import Trust

/// What an authority may sign for, and the command for names that it may not: the room that signs does not know how
/// it is called.
enum CertificateCure {
    /// A fault as it is printed: with the command that makes an authority for all names that were asked for, where
    /// that is what lacks.
    static func sentence(_ fault: CertificateFault) -> String {
        // Nobody has typed the name of a file that Sluice keeps for itself.
        let isKept = fault.file.hasPrefix(DataDirectory.path)
        if fault.wanted.isEmpty {
            return (isKept ? "Sluice's authority and certificates can't be used: " : "")
                + fault.description
        }
        let words = fault.wanted.map(Shell.word).joined(separator: " ")
        return "\(fault.description): sluice cert --directory \(Shell.word(fault.directory))"
            + " \(NameScope.options(for: fault.wanted))\(words)"
    }

    /// Names and addresses that an authority may sign for, in words.
    static func scope(_ authority: CertificateFacts) -> String {
        guard authority.isConstrained else { return "any name" }
        let permitted = authority.permittedNames
        guard let further = NameScope.further(among: permitted) else {
            return permitted.joined(separator: ", ") + " and all below"
        }
        return "local names and private addresses"
            + (further.isEmpty ? "" : ", and " + further.joined(separator: ", "))
    }
}
