// SPDX-License-Identifier: Apache-2.0
public import Ledger
public import Reactor
public import TLS
public import Wire

/// How the endpoints of an upstream are asked whether they are well.
public struct HealthCheck: Sendable, Equatable {
    /// What a check asks an endpoint for, and when the answer counts as well.
    public enum Question: Sendable, Equatable {
        /// Whether a connection can be made.
        case connection
        /// Whether a GET of this path is answered with one of these statuses; with 200 to 399 if there
        /// are none.
        case get(path: String, statuses: [Int])
        /// Whether an opening handshake at this path succeeds (RFC 6455 §4).
        case handshake(path: String)
    }

    /// What each check asks for.
    public var question: Question
    /// The `Host` that is asked for; the endpoint's own when nil.
    public var host: String?
    /// The header of the PROXY protocol that comes first, as of Sluice's own; none when nil.
    public var introduction: ProxyHeader.Version?
    /// From one check to the next, in milliseconds; up to a tenth more or less.
    public var everyMilliseconds: UInt64
    /// How long one may take, in milliseconds.
    public var timeoutMilliseconds: UInt64
    /// How many have to pass in a row until an endpoint is healthy again.
    public var rise: Int
    /// How many have to fail in a row until it is not.
    public var fall: Int

    /// A check by `question`, with times in milliseconds and counts of checks in a row.
    public init(
        _ question: Question, host: String? = nil, everyMilliseconds: UInt64,
        timeoutMilliseconds: UInt64, rise: Int, fall: Int
    ) {
        self.question = question
        self.host = host
        self.everyMilliseconds = everyMilliseconds
        self.timeoutMilliseconds = timeoutMilliseconds
        self.rise = rise
        self.fall = fall
    }
}

/// An upstream whose endpoints are checked.
public struct CheckedUpstream: Sendable {
    /// The upstream's name in the configuration, for messages.
    public let name: String
    /// The endpoints that are checked, each for itself.
    public let endpoints: [Endpoint]
    /// How they are asked.
    public let check: HealthCheck
    /// Where a connection to an address may come from, in the order to try; none where the system
    /// chooses.
    let sources: @Sendable (Address) -> ArraySlice<Address>
    /// How TLS is spoken with an endpoint; nil for one that speaks none.
    let destination: @Sendable (Endpoint) -> TLSDestination?
    /// Hears that an endpoint has become healthy.
    let recovered: @Sendable () -> Void

    /// The endpoints of an upstream, checked in the way that `check` says.
    ///
    /// - Parameters:
    ///   - name: its name, for messages.
    ///   - endpoints: who is asked.
    ///   - check: how they are asked.
    ///   - sources: where a connection to an address may come from, in the order to try; none where the
    ///     system chooses.
    ///   - destination: how TLS is spoken with an endpoint; nil for one that speaks none.
    ///   - recovered: called on the thread of the checks, not to be held up, when an endpoint has become
    ///     healthy.
    public init(
        name: String, endpoints: [Endpoint], check: HealthCheck,
        sources: @escaping @Sendable (Address) -> ArraySlice<Address> = { _ in [] },
        destination: @escaping @Sendable (Endpoint) -> TLSDestination? = { _ in nil },
        recovered: @escaping @Sendable () -> Void = {}
    ) {
        self.name = name
        self.endpoints = endpoints
        self.check = check
        self.sources = sources
        self.destination = destination
        self.recovered = recovered
    }
}

/// What the checks of an endpoint have found.
public struct HealthReport: Sendable, Equatable {
    /// When the last one ended, in milliseconds since 1970.
    public var checkedMilliseconds: UInt64 = 0
    /// Why the last one failed; nil where it passed.
    public var failure: String?
    /// Why the last one that failed did, and when, in milliseconds since 1970; nil where none has.
    public var lastFailure: String?
    /// When the check of `lastFailure` failed, in milliseconds since 1970; 0 where none has.
    public var lastFailureMilliseconds: UInt64 = 0
    /// Since when it has been as it is, in milliseconds since 1970.
    public var sinceMilliseconds: UInt64 = 0
}
