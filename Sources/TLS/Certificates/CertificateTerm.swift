// SPDX-License-Identifier: Apache-2.0

/// From when until when a certificate is valid, in seconds since 1970.
public struct CertificateTerm: Sendable, Equatable {
    /// The first second at which the certificate is valid.
    public let notBefore: Int64
    /// The last second at which the certificate is valid.
    public let notAfter: Int64

    /// How a certificate stands at some moment.
    public enum Condition: Sendable, Equatable {
        /// It is valid, and nothing has to be done.
        case valid
        /// It is valid, and it is time to renew it.
        case endsSoon
        /// Its time is over.
        case expired
        /// Its time has not begun.
        case notYetValid
    }

    /// It is time to renew what has less left than this, and less than a third of its life: some
    /// certificates live for six days only.
    public static let soonDays: Int64 = 14

    private static let daySeconds: Int64 = 86_400

    /// A term between two moments.
    public init(notBefore: Int64, notAfter: Int64) {
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// How it stands at `now`, in seconds since 1970.
    public func condition(at now: Int64) -> Condition {
        if now > notAfter { return .expired }
        if now < notBefore { return .notYetValid }
        let left = notAfter - now
        return left < min(Self.soonDays * Self.daySeconds, (notAfter - notBefore) / 3)
            ? .endsSoon : .valid
    }

    /// Days that are left at `now`, 0 where it has expired.
    ///
    /// Whole days where it is time to renew it, so that nobody comes too late; the nearest number where there is
    /// more time: what was made for 397 days a minute ago has 397 left.
    public func daysLeft(at now: Int64) -> Int64 {
        let left = max(0, notAfter - now)
        let whole = left / Self.daySeconds
        return whole < Self.soonDays ? whole : (left + Self.daySeconds / 2) / Self.daySeconds
    }

    /// How long it is valid yet, as `in 3 days`.
    public func wait(at now: Int64) -> String {
        switch daysLeft(at: now) {
        case 0: "within a day"
        case 1: "in 1 day"
        case let days: "in \(days) days"
        }
    }
}

/// The term of one certificate of a chain that is served.
public struct IdentityTerm: Sendable, Equatable {
    /// The path of the chain's file.
    public let file: String
    let member: IdentityProblem.Member
    let term: CertificateTerm

    /// What clients say of it at `now`, or are going to say soon; nil for nothing.
    public func problem(at now: Int64) -> IdentityProblem? {
        switch term.condition(at: now) {
        case .valid: nil
        case .endsSoon:
            IdentityProblem(file, .endsSoon(term.notAfter, term.wait(at: now), member))
        case .expired: IdentityProblem(file, .expired(term.notAfter, member))
        case .notYetValid: IdentityProblem(file, .notYetValid(term.notBefore, member))
        }
    }
}
