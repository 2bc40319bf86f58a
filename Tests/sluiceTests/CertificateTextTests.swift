// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import Testing

@testable import sluice

/// Goal: status says beside the day what is the matter with a certificate.
struct CertificateTextTests {
    private func certificate(from start: Double?, to end: Double) -> CertificateState {
        func text(_ days: Double) -> String {
            Date().addingTimeInterval(days * 86_400).ISO8601Format()
        }
        var state = CertificateState(chain: "c.pem", names: ["a.test"], notAfter: text(end))
        state.notBefore = start.map(text)
        return state
    }

    @Test func `each condition has its words`() {
        let day = /^\d{4}-\d\d-\d\d/
        for (start, end, words) in [
            (-10, 80, ""), (-80, 5.5, " (ends in 5 days)"), (-80, -1, " (expired)"),
            (nil, 5.5, " (ends in 5 days)"), (nil, 80, ""),
        ] as [(Double?, Double, String)] {
            let text = CertificateText.until(certificate(from: start, to: end))
            #expect(text.prefixMatch(of: day) != nil)
            #expect(text.dropFirst(10) == words, "\(text)")
        }
        let early = CertificateText.until(certificate(from: 2, to: 80))
        #expect(early.contains(" (not valid before "), "\(early)")
    }

    @Test func `what is no time is shown as it is`() {
        let odd = CertificateState(chain: "c.pem", names: [], notAfter: "never, not ever")
        #expect(CertificateText.until(odd) == "never, not")
        #expect(CertificateText.term(odd) == nil)
    }

    @Test func `the table of status has them`() {
        var state = AdminState()
        state.listeners = [
            ListenerState(
                address: "wss://127.0.0.1:1", certificates: [certificate(from: -80, to: -1)],
                expectsProxyHeader: false)
        ]
        #expect(StatusText.lines(state).contains { $0.hasSuffix(" (expired)") })
    }
}
