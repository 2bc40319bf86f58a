// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Doctor
@testable import sluice

/// What `sluice cert show` says of browsers, by what is known of them.
struct CertShowTests {
    @Test(arguments: [
        (nil, false, "would believe it, with the authorities here"),
        (nil, true, "would believe it where they trust the authorities here, and those of --ca"),
        (BrowserTrust(trusting: ["A", "B"]), false, "would believe it: A, B"),
        (
            BrowserTrust(trusting: ["A"], refusing: ["B"]), false,
            "would believe it: A; not until `sluice cert trust`: B"
        ),
        (
            BrowserTrust(refusing: ["B", "C"]), false,
            "would not believe it until `sluice cert trust`: B, C"
        ),
        (
            BrowserTrust(), true,
            "none was found here; those elsewhere would not believe it until `sluice cert trust`"
        ),
    ])
    func `browsers are judged by their stores`(
        trust: BrowserTrust?, isTold: Bool, words: String
    ) {
        func presented(_ fault: String?) -> Presented {
            Presented(
                chain: [], version: "TLSv1.3", cipher: "", address: "", fault: fault,
                browserTrust: trust)
        }
        #expect(CertShowCommand.browsers(presented(nil), isTold: isTold) == words)
        // What nobody believes, no browser does.
        #expect(CertShowCommand.browsers(presented("It is over."), isTold: isTold) == "It is over.")
    }
}
