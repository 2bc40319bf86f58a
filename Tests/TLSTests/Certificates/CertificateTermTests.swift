// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import TLS

/// Goal: what is said of a certificate's time is right on each side of each border.
struct CertificateTermTests {
    private static let day: Int64 = 86_400

    private func term(days: Int64) -> CertificateTerm {
        CertificateTerm(notBefore: 0, notAfter: days * Self.day)
    }

    @Test func `the borders of a long one`() {
        let term = term(days: 90)
        #expect(term.condition(at: -1) == .notYetValid)
        #expect(term.condition(at: 0) == .valid)
        #expect(term.condition(at: 76 * Self.day) == .valid)
        #expect(term.condition(at: 76 * Self.day + 1) == .endsSoon)
        #expect(term.condition(at: 90 * Self.day) == .endsSoon)
        #expect(term.condition(at: 90 * Self.day + 1) == .expired)
    }

    @Test func `one that lives for six days is not always near its end`() {
        let term = term(days: 6)
        #expect(term.condition(at: 4 * Self.day) == .valid)
        #expect(term.condition(at: 4 * Self.day + 1) == .endsSoon)
    }

    @Test func `what is left, in words`() {
        let term = term(days: 90)
        #expect(term.wait(at: 80 * Self.day) == "in 10 days")
        #expect(term.wait(at: 89 * Self.day) == "in 1 day")
        #expect(term.wait(at: 89 * Self.day + 1) == "within a day")
        #expect(term.daysLeft(at: 91 * Self.day) == 0)
    }

    @Test func `what is made for a number of days has as many left, and what ends soon no more`() {
        let term = term(days: 397)
        #expect(term.daysLeft(at: 3_600 + 1) == 397)
        #expect(term.daysLeft(at: Self.day / 2) == 397)
        #expect(term.daysLeft(at: Self.day / 2 + 1) == 396)
        #expect(term.daysLeft(at: 383 * Self.day) == 14)
        #expect(term.daysLeft(at: 383 * Self.day + 1) == 13)
        #expect(term.daysLeft(at: 395 * Self.day + 1) == 1)
    }
}
