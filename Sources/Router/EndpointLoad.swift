// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// What active checks say of an endpoint.
public enum EndpointHealth: UInt8, Sendable {
    /// The upstream has no health checks.
    case unchecked
    /// Its checks pass, so it gets requests.
    case healthy
    /// It will be checked, and was not yet.
    case pending
    /// Its checks fail, so it gets nothing as long as others are fit.
    case unhealthy

    /// Whether it gets something as long as there are others.
    public var isFit: Bool { self == .unchecked || self == .healthy }
}

/// Why an endpoint counts as failing.
public struct EndpointFailure: Sendable {
    /// In a sentence.
    public let reason: String
    /// When, in milliseconds since 1970.
    public let milliseconds: UInt64

    /// A failure with its reason, and when it was.
    public init(reason: String, milliseconds: UInt64) {
        self.reason = reason
        self.milliseconds = milliseconds
    }
}

/// What all reactors know of one endpoint; it may outlive the `Upstream` that it was first in.
public final class EndpointLoad: Sendable {
    /// Connects and relays under way.
    let active = Atomic<Int>(0)
    /// The end of the cool-down in monotonic milliseconds; 0 while all is well.
    let failedUntil = Atomic<UInt64>(0)
    /// Cool-downs in a row; 0 while all is well.
    let failures = Atomic<Int>(0)
    /// Answers in a row that were none.
    let failedAnswers = Atomic<Int>(0)
    /// When it joined the others or came back, in monotonic milliseconds; 0 where that is no matter.
    let joined = Atomic<UInt64>(0)
    private let draining = Atomic<Bool>(false)
    private let failure = Mutex<EndpointFailure?>(nil)
    private let checked = Atomic<UInt8>(EndpointHealth.unchecked.rawValue)

    /// An endpoint that is well and idle.
    public init() {}

    /// Relays, requests and attempts to connect under way.
    public var activeCount: Int { active.load(ordering: .relaxed) }

    /// Whether nothing new goes there.
    public var isDraining: Bool {
        get { draining.load(ordering: .relaxed) }
        set { draining.store(newValue, ordering: .relaxed) }
    }

    /// What active checks say; set by whoever makes them.
    public var health: EndpointHealth {
        get { EndpointHealth(rawValue: checked.load(ordering: .relaxed)) ?? .unchecked }
        set { checked.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// Whether it has failed, and nothing has reached it since: with its cool-down over it is still that.
    public var isFailing: Bool { failedUntil.load(ordering: .relaxed) != 0 }

    /// Why it failed last; set by whoever found it, nil where it never did.
    public var lastFailure: EndpointFailure? {
        get { failure.withLock { $0 } }
        set { failure.withLock { $0 = newValue } }
    }

    /// Whether it has joined others, or has come back, since the start.
    public var hasJoined: Bool { joined.load(ordering: .relaxed) != 0 }

    /// How far it is with its failures; times in monotonic milliseconds.
    public struct Standing: Sendable, Equatable {
        /// The end of the cool-down; 0 while all is well.
        public var failedUntilMilliseconds: UInt64
        /// Cool-downs in a row.
        public var failures: Int
        /// Answers in a row that were none.
        public var failedAnswers: Int
        /// When it joined the others or came back; 0 where that is no matter.
        public var joinedMilliseconds: UInt64

        /// A standing that is put together.
        public init(
            failedUntilMilliseconds: UInt64, failures: Int, failedAnswers: Int,
            joinedMilliseconds: UInt64
        ) {
            self.failedUntilMilliseconds = failedUntilMilliseconds
            self.failures = failures
            self.failedAnswers = failedAnswers
            self.joinedMilliseconds = joinedMilliseconds
        }
    }

    /// Its standing: a successor of the process takes it over before anybody is sent there.
    public var standing: Standing {
        get {
            Standing(
                failedUntilMilliseconds: failedUntil.load(ordering: .relaxed),
                failures: failures.load(ordering: .relaxed),
                failedAnswers: failedAnswers.load(ordering: .relaxed),
                joinedMilliseconds: joined.load(ordering: .relaxed))
        }
        set {
            failures.store(max(0, newValue.failures), ordering: .relaxed)
            failedAnswers.store(max(0, newValue.failedAnswers), ordering: .relaxed)
            joined.store(newValue.joinedMilliseconds, ordering: .relaxed)
            failedUntil.store(newValue.failedUntilMilliseconds, ordering: .relaxed)
        }
    }

    /// Says that it has joined others or is back, with all that it failed in before forgotten: where
    /// there is a slow start, its share grows from now on.
    public func join(nowMilliseconds now: UInt64) {
        failedAnswers.store(0, ordering: .relaxed)
        failures.store(0, ordering: .relaxed)
        failedUntil.store(0, ordering: .relaxed)
        joined.store(max(1, now), ordering: .relaxed)
    }
}
