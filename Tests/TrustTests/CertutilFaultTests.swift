// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Trust

/// What certutil has printed, as a cause.
struct CertutilFaultTests {
    @Test(arguments: [
        (
            "Enter Password:\ncertutil: could not authenticate to token NSS Certificate DB.: "
                + "SEC_ERROR_BAD_PASSWORD: The security password entered is incorrect.\n",
            CertutilFault.wantsPassword
        ),
        (
            "certutil: function failed: SEC_ERROR_READ_ONLY: security library: read-only database.",
            .other(
                "certutil: function failed: SEC_ERROR_READ_ONLY: security library: read-only database."
            )
        ),
        ("", .other("it said nothing")),
    ])
    func `a wanted password is told from other faults`(output: String, fault: CertutilFault) {
        #expect(CertutilFault(output) == fault)
    }
}
