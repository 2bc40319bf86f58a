// SPDX-License-Identifier: Apache-2.0

/// The life of one request, from its judged head to its end: events in, actions out.
///
/// A pure machine without socket and clock. Upgrades and ordinary requests go the same way; an
/// upgrade that is not answered with a proven 101 has an ordinary answer. Whoever carries the actions
/// out does it in the order of their bits, and hands the events that follow from them in before all
/// others.
///
/// Invariants: what `holdings` names is let go exactly once, by an action, by the relay that takes it
/// over, or, of a number in the line, by the event that ends the waiting; after `finish` or `openTunnel` there are no actions any more.
public struct RequestLife: Sendable, Equatable {
    /// What was asked for.
    public enum Kind: UInt8, Sendable {
        /// An answer.
        case ordinary
        /// A WebSocket.
        case upgrade
    }

    /// Where the request is.
    public enum Phase: Sendable, Equatable {
        /// Its head was judged, and nothing has happened yet.
        case judged
        /// A place at an endpoint is being sought; `isSecondTry` once an endpoint has ended the connection
        /// without a byte of an answer, and from then on no place is waited for and nobody is asked
        /// twice.
        case claiming(isSecondTry: Bool)
        /// It waits in a line for a place at an endpoint.
        case waiting
        /// It has a place at an endpoint, and a connection to it is being sought.
        case placed(isSecondTry: Bool)
        /// A connection to the endpoint is being opened.
        case connecting(isSecondTry: Bool)
        /// Its head was sent: the answer is awaited, or on its way.
        case exchanging(Exchange)
        /// A relay has taken over.
        case tunnelled
        /// It is over: answered as asked for, or for this cause not.
        case over(Cause?)
    }

    /// What is known while the answer is awaited or on its way.
    public struct Exchange: Sendable, Equatable {
        /// The connection had carried a request before.
        public var isOnReused: Bool
        /// Another endpoint has ended its connection without a byte of an answer.
        public var isSecondTry = false
        /// The head of the final answer has come.
        public var hasAnswer = false
    }

    /// What has happened.
    public enum Event: Sendable, Equatable {
        /// An upstream serves it.
        case forwarded
        /// Sluice answers it.
        case answeredHere
        /// There is a place at an endpoint, which is claimed.
        case claimed
        /// The same, and the client has a standing connection to that endpoint of its own.
        case claimedWithConnection
        /// It has joined the line for a place.
        case joined
        /// The line does not exist any more.
        case lineClosed
        /// There is no endpoint left to try.
        case exhausted(Cause)
        /// A standing connection to the endpoint may carry it.
        case found
        /// A connection is being opened, which may stand already.
        case dialling(mayStand: Bool)
        /// An address of the endpoint could not be reached.
        case attemptFailed
        /// An address of the endpoint did not answer in time; `isLast` where all time is used up.
        case attemptTimedOut(isLast: Bool)
        /// All addresses of the endpoint were tried; the last failed for this cause.
        case noAddress(Cause)
        /// The connection stands, and the head was sent on it.
        case headSent
        /// The head of an answer has come that no other follows.
        case answer(AnswerHead)
        /// All of the answer went on to the client.
        case answerDone
        /// The connection to the upstream has ended before the answer was whole; with bytes of an answer
        /// the request must not be sent again.
        case upstreamEnded(hasAnswerBytes: Bool)
        /// It can't go on for this cause.
        case failed(Cause)
        /// The client has gone.
        case clientGone
        /// The process goes away, and nobody else serves its clients.
        case processLeaves
    }

    /// What an upstream has answered.
    public enum AnswerHead: Sendable, Equatable {
        /// A final answer; `isTrouble` where the server says that it is in trouble (5xx).
        case final(isTrouble: Bool)
        /// A 101 that proves the tunnel.
        case switching
    }

    /// What is to be done, in the order of the bits.
    public struct Actions: OptionSet, Sendable {
        /// One bit for each member.
        public let rawValue: UInt32
        /// The set with the members whose bits are set.
        @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

        /// The actions of both sets.
        ///
        /// An array literal would allocate where nothing is optimised.
        @inlinable public static func + (left: Actions, right: Actions) -> Actions {
            Actions(rawValue: left.rawValue | right.rawValue)
        }

        /// Count a connect that failed against the endpoint.
        @inlinable public static var countConnectFailure: Actions { Actions(rawValue: 1 << 0) }
        /// Count a connection that stands for the endpoint.
        @inlinable public static var countConnection: Actions { Actions(rawValue: 1 << 1) }
        /// Count an upgrade without a proper answer against the endpoint.
        @inlinable public static var countAnswerFailure: Actions { Actions(rawValue: 1 << 2) }
        /// Count an answer for the endpoint.
        @inlinable public static var countAnswer: Actions { Actions(rawValue: 1 << 3) }
        /// Let another try find out how the endpoint does, since this one has not.
        @inlinable public static var countUndecided: Actions { Actions(rawValue: 1 << 4) }
        /// All that counts something.
        @inlinable public static var counts: Actions { Actions(rawValue: 0x1F) }
        /// All that lets something go, or ends an answer.
        @inlinable public static var ends: Actions { Actions(rawValue: 0x3F << 5) }
        /// All that looks for a place or a connection.
        @inlinable public static var seeks: Actions { Actions(rawValue: 0xF << 12) }
        /// Close the connection to the upstream.
        @inlinable public static var dropUpstream: Actions { Actions(rawValue: 1 << 5) }
        /// Keep the connection to the upstream for another request, where that is safe.
        @inlinable public static var keepUpstream: Actions { Actions(rawValue: 1 << 6) }
        /// Give the place at the endpoint back.
        @inlinable public static var giveBack: Actions { Actions(rawValue: 1 << 7) }
        /// Leave the line for a place.
        @inlinable public static var leaveLine: Actions { Actions(rawValue: 1 << 8) }
        /// Answer the client with what Sluice itself has to say.
        @inlinable public static var answer: Actions { Actions(rawValue: 1 << 9) }
        /// End the answer so that the client sees that it is not whole.
        @inlinable public static var cutAnswer: Actions { Actions(rawValue: 1 << 10) }
        /// Write the head of the answer as the client gets it.
        @inlinable public static var passHead: Actions { Actions(rawValue: 1 << 11) }
        /// Claim a place at an endpoint, or join the line for one.
        @inlinable public static var claim: Actions { Actions(rawValue: 1 << 12) }
        /// Claim a place at an endpoint that was not tried yet, and wait for none.
        @inlinable public static var claimAnother: Actions { Actions(rawValue: 1 << 13) }
        /// Find a standing connection to the endpoint, or open one to its next address.
        @inlinable public static var connect: Actions { Actions(rawValue: 1 << 14) }
        /// Open a connection of its own to the endpoint.
        @inlinable public static var connectAnew: Actions { Actions(rawValue: 1 << 15) }
        /// Send the head.
        @inlinable public static var sendHead: Actions { Actions(rawValue: 1 << 16) }
        /// Set the timer to `deadline`.
        @inlinable public static var arm: Actions { Actions(rawValue: 1 << 17) }
        /// Move what can be moved of both bodies.
        @inlinable public static var pump: Actions { Actions(rawValue: 1 << 18) }
        /// Make a relay of both connections; it takes over what the request holds.
        @inlinable public static var openTunnel: Actions { Actions(rawValue: 1 << 19) }
        /// Write the record, and let the client's connection go on or end.
        @inlinable public static var finish: Actions { Actions(rawValue: 1 << 20) }
    }

    /// What has to happen before its time is over.
    public enum Deadline: Sendable, Equatable {
        /// No deadline runs.
        case none
        /// For a place at an endpoint.
        case place
        /// For one attempt to connect.
        case attempt
        /// For the answer to an upgrade.
        case upgradeAnswer
        /// For whatever the bodies and the answer wait for.
        case progress
    }

    /// What is held of others' things.
    public struct Holdings: OptionSet, Sendable {
        /// One bit for each member.
        public let rawValue: UInt8
        /// The set with the members whose bits are set.
        @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// A place at an endpoint.
        @inlinable public static var place: Holdings { Holdings(rawValue: 1) }
        /// A connection to the upstream.
        @inlinable public static var upstream: Holdings { Holdings(rawValue: 2) }
        /// A number in a line.
        @inlinable public static var line: Holdings { Holdings(rawValue: 4) }
    }

    /// What was asked for.
    public let kind: Kind
    /// Whether sending it once more can do no harm, if nothing of an answer has come
    /// (RFC 9110 §9.2.2).
    public let mayRepeat: Bool
    /// Where it is.
    public private(set) var phase = Phase.judged

    /// A request whose head was just judged.
    public init(_ kind: Kind, mayRepeat: Bool) {
        self.kind = kind
        self.mayRepeat = mayRepeat
    }

    /// Whether its head was sent and the answer is not over.
    public var isExchanging: Bool {
        if case .exchanging = phase { return true }
        return false
    }

    /// Whether its head was sent on a connection that had carried a request before.
    public var isOnReused: Bool {
        if case .exchanging(let exchange) = phase { return exchange.isOnReused }
        return false
    }

    /// Whether the head of the final answer has come.
    public var hasAnswer: Bool {
        if case .exchanging(let exchange) = phase { return exchange.hasAnswer }
        return false
    }

    /// The deadline of the present phase.
    public var deadline: Deadline {
        switch phase {
        case .waiting: .place
        case .connecting: .attempt
        case .exchanging(let exchange):
            kind == .upgrade && !exchange.hasAnswer ? .upgradeAnswer : .progress
        case .judged, .claiming, .placed, .tunnelled, .over: .none
        }
    }

    /// What is held.
    public var holdings: Holdings {
        switch phase {
        case .judged, .claiming, .tunnelled, .over: []
        case .waiting: .line
        case .placed: .place
        case .connecting, .exchanging:
            Holdings(rawValue: Holdings.place.rawValue | Holdings.upstream.rawValue)
        }
    }

    /// Takes note of an event, and says what is to be done.
    ///
    /// An event that does not fit the phase changes nothing.
    public mutating func handle(_ event: Event) -> Actions {
        switch event {
        case .forwarded, .answeredHere: return begin(event)
        case .claimed, .claimedWithConnection, .joined, .lineClosed, .exhausted:
            return sought(event)
        case .found, .dialling, .attemptFailed, .attemptTimedOut, .noAddress, .headSent:
            return connected(event)
        case .answer(let head): return answered(head)
        case .answerDone:
            guard case .exchanging(let exchange) = phase, exchange.hasAnswer else { return [] }
            phase = .over(nil)
            return .keepUpstream + .giveBack + .finish
        case .upstreamEnded(let hasBytes): return upstreamEnded(hasAnswerBytes: hasBytes)
        case .failed(let cause): return isOver ? [] : end(cause)
        case .clientGone:
            if isOver { return [] }
            let actions = undecided + letGo
            phase = .over(.clientGone)
            return actions + .finish
        case .processLeaves:
            // What has its answer already, or is no upgrade, is served to its end.
            return kind == .upgrade && !isOver && !hasAnswer ? end(.leaving) : []
        }
    }

    private var isOver: Bool {
        switch phase {
        case .tunnelled, .over: true
        default: false
        }
    }

    private mutating func begin(_ event: Event) -> Actions {
        guard case .judged = phase else { return [] }
        if case .forwarded = event {
            phase = .claiming(isSecondTry: false)
            return .claim
        }
        phase = .over(nil)
        return .answer + .finish
    }

    /// What came of looking for a place.
    private mutating func sought(_ event: Event) -> Actions {
        let isSecondTry: Bool
        switch phase {
        case .claiming(let isSecond): isSecondTry = isSecond
        case .waiting: isSecondTry = false
        default: return []
        }
        switch event {
        case .claimed:
            phase = .placed(isSecondTry: isSecondTry)
            return .connect
        case .exhausted(let cause): return end(cause)
        case .claimedWithConnection where !isSecondTry: return beginExchange(isOnReused: true)
        case .joined where !isSecondTry:
            phase = .waiting
            return .arm
        case .lineClosed where !isSecondTry:
            phase = .claiming(isSecondTry: false)
            return .claim
        default: return []
        }
    }

    /// What came of looking for a connection.
    private mutating func connected(_ event: Event) -> Actions {
        switch (phase, event) {
        case (.placed(let isSecondTry), .found):
            return beginExchange(isOnReused: true, isSecondTry: isSecondTry)
        case (.placed(let isSecondTry), .dialling(let mayStand)):
            phase = .connecting(isSecondTry: isSecondTry)
            return mayStand ? .sendHead + .arm : .arm
        case (.placed, .attemptFailed): return .connect
        case (.placed(let isSecondTry), .noAddress(let cause)):
            phase = .claiming(isSecondTry: isSecondTry)
            return blame(cause) + .giveBack + (isSecondTry ? .claimAnother : .claim)
        case (.connecting(let isSecondTry), .attemptFailed),
            (.connecting(let isSecondTry), .attemptTimedOut(isLast: false)):
            phase = .placed(isSecondTry: isSecondTry)
            return .dropUpstream + .connect
        case (.connecting, .attemptTimedOut(isLast: true)):
            let held = letGo
            phase = .over(.connectTimeout)
            return .countConnectFailure + held + .answer + .finish
        case (.connecting(let isSecondTry), .headSent):
            return beginExchange(isOnReused: false, isSecondTry: isSecondTry)
        default: return []
        }
    }

    /// What follows where a connection stands: on a new one the head was sent already.
    private mutating func beginExchange(
        isOnReused: Bool, isSecondTry: Bool = false
    ) -> Actions {
        phase = .exchanging(Exchange(isOnReused: isOnReused, isSecondTry: isSecondTry))
        return (isOnReused ? .sendHead : .countConnection) + .arm + .pump
    }

    private func blame(_ cause: Cause) -> Actions {
        cause.blamesUpstream ? .countConnectFailure : .countUndecided
    }

    /// What follows where the request ends before the endpoint was found to do well or badly.
    private var undecided: Actions {
        switch phase {
        case .placed, .connecting: .countUndecided
        case .exchanging(let exchange) where exchange.isOnReused && !exchange.hasAnswer:
            .countUndecided
        default: []
        }
    }

    private mutating func answered(_ head: AnswerHead) -> Actions {
        guard case .exchanging(var exchange) = phase, !exchange.hasAnswer else { return [] }
        // Whatever has answered on a connection that stood before can be reached.
        let reached: Actions = exchange.isOnReused ? .countConnection : []
        switch head {
        case .switching:
            // Nobody has asked for it in an ordinary request.
            guard kind == .upgrade else { return end(.badAnswer) }
            phase = .tunnelled
            return reached + .countAnswer + .openTunnel
        case .final(let isTrouble):
            exchange.hasAnswer = true
            phase = .exchanging(exchange)
            let count: Actions =
                !isTrouble ? .countAnswer : kind == .upgrade ? .countAnswerFailure : []
            return reached + count + .passHead + .pump
        }
    }

    private mutating func upstreamEnded(hasAnswerBytes: Bool) -> Actions {
        guard case .exchanging(let exchange) = phase else { return [] }
        if exchange.hasAnswer || hasAnswerBytes {
            return end(kind == .upgrade && !exchange.hasAnswer ? .noAnswer : .incompleteAnswer)
        }
        if exchange.isOnReused && mayRepeat {
            // It has closed an idle connection just as the request went out.
            phase = .placed(isSecondTry: exchange.isSecondTry)
            return .dropUpstream + .connectAnew
        }
        if kind == .upgrade {
            // It has said nothing at all: another endpoint is asked.
            phase = .claiming(isSecondTry: true)
            return .countAnswerFailure + .dropUpstream + .giveBack + .claimAnother
        }
        return end(.incompleteAnswer)
    }

    /// Refuses the request if its answer has not begun, else cuts the answer short.
    private mutating func end(_ cause: Cause) -> Actions {
        var actions = cause.blamesAnswer ? letGo : undecided + letGo
        actions.insert(hasAnswer ? .cutAnswer : .answer)
        if kind == .upgrade, isExchanging, !hasAnswer, cause.blamesAnswer {
            actions.insert(.countAnswerFailure)
        }
        // In TLS 1.3 a server says only behind the handshake that it does not take our certificate.
        if cause == .tlsFailed, isExchanging, !hasAnswer { actions.insert(.countConnectFailure) }
        phase = .over(cause)
        return actions + .finish
    }

    /// What lets everything go that is held.
    private var letGo: Actions {
        let held = holdings
        var actions: Actions = []
        if held.contains(.upstream) { actions.insert(.dropUpstream) }
        if held.contains(.place) { actions.insert(.giveBack) }
        if held.contains(.line) { actions.insert(.leaveLine) }
        return actions
    }
}
