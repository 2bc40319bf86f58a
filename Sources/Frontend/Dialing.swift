// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Router
import Splice

/// The search for an endpoint that can be reached: which was tried, which is next, and until when.
///
/// The endpoint in use is counted in the group's picker; who holds the count is noted in the
/// `ConnectionNotes`, so that it is given back exactly once however the connection ends.
struct Dialing {
    private(set) var group: EndpointGroup
    /// When all attempts together must have succeeded.
    var deadlineMilliseconds: UInt64
    /// What the endpoint is chosen by, where that is by hash.
    private let key: UInt64?
    /// The endpoint being tried, and those given up before.
    private(set) var endpoint: Int?
    private var tried: [Int] = []
    /// The endpoint that was claimed and is to be tried next.
    private var first: Int?
    /// Nothing is claimed before those have their places that wait for one.
    private var isInLine: Bool
    /// Addresses of the present endpoint that were not tried yet; nil before the first is asked for.
    private var addresses: ArraySlice<Address>? = []
    /// An attempt at the present endpoint has failed.
    private var hasFailedHere = false
    /// What the last attempt failed with.
    private(set) var lastFailure: DialFailure?

    /// A search that begins with the endpoint `first`, if it was claimed already.
    init(
        _ group: EndpointGroup, deadlineMilliseconds: UInt64, key: UInt64?, first: Int? = nil
    ) {
        self.group = group
        self.deadlineMilliseconds = deadlineMilliseconds
        self.key = key
        self.first = first
        isInLine = first == nil && (group.queue?.count ?? 0) > 0
    }

    /// Begins with this endpoint, which was claimed.
    mutating func begin(with endpoint: Int) {
        first = endpoint
        isInLine = false
    }

    /// Tries the present endpoint anew, where it keeps its place.
    mutating func dialAgain(deadlineMilliseconds deadline: UInt64) {
        addresses = nil
        deadlineMilliseconds = deadline
    }

    /// The present endpoint.
    var current: Endpoint? { endpoint.map { group.endpoints[$0] } }

    /// The present endpoint as people wrote it.
    var label: String { current?.label ?? group.endpoints.first?.label ?? group.picker.name }

    /// The next address of the present endpoint; nil when all were tried.
    mutating func nextAddress() -> Address? {
        if addresses == nil {
            addresses = current?.addresses[...]
            if addresses?.isEmpty ?? true { lastFailure = .unresolved }
        }
        return addresses?.popFirst()
    }

    /// Goes on to the next endpoint; nil when there is none left.
    mutating func nextEndpoint(
        _ notes: ConnectionNotes, nowMilliseconds now: UInt64, _ journal: Journal
    ) -> Endpoint? {
        giveUp(notes, nowMilliseconds: now, journal)
        if first == nil && !isInLine {
            first = group.picker.claim(nowMilliseconds: now, key: key, excluding: tried)
        }
        guard let next = first else { return nil }
        first = nil
        endpoint = next
        let endpoint = group.endpoints[next]
        notes.takeEndpoint(next, of: group)
        addresses = nil
        hasFailedHere = false
        return endpoint
    }

    /// Goes on to another endpoint, since the present one has ended without a byte of an answer.
    ///
    /// The request is one that may be repeated (RFC 9110 §9.2.2), and nothing of the client's that
    /// followed it has been sent. Nobody is asked twice, and none of it waits for a place.
    ///
    /// - Returns: whether there is one, and time for it.
    mutating func claimAnother(_ notes: ConnectionNotes, nowMilliseconds now: UInt64) -> Bool {
        guard let endpoint, now < deadlineMilliseconds,
            let next = group.picker.claim(
                nowMilliseconds: now, key: key, excluding: tried + [endpoint])
        else { return false }
        notes.letEndpointGo()
        tried.append(endpoint)
        self.endpoint = nil
        addresses = []
        first = next
        return true
    }

    /// Whether there is no place and one can be waited for.
    mutating func hasToWait(nowMilliseconds now: UInt64) -> Bool {
        guard group.queue != nil,
            isInLine || group.picker.isFull(nowMilliseconds: now, excluding: tried)
        else { return false }
        // Those that failed are in their cool-down, so none of them is waited for.
        tried = []
        lastFailure = nil
        isInLine = true
        return true
    }

    /// Claims the place that was waited for; false when it went to another.
    ///
    /// A reload may have given the upstream other endpoints or rules meanwhile: `group` has them.
    mutating func claim(of group: EndpointGroup, nowMilliseconds now: UInt64) -> Bool {
        self.group = group
        isInLine = false
        first = group.picker.claim(nowMilliseconds: now, key: key)
        return first != nil
    }

    /// The present endpoint could not be reached: it cools down, and its place is given back.
    mutating func giveUp(
        _ notes: ConnectionNotes, nowMilliseconds now: UInt64, _ journal: Journal
    ) {
        guard let endpoint else { return }
        switch lastFailure {
        // The endpoint is not to blame.
        case .shortage(let shortage):
            group.picker.undecided(endpoint, nowMilliseconds: now)
            journal.note(shortage, dialing: label, nowMilliseconds: now)
        case let failure:
            group.failed(
                endpoint, failure?.refusal(label).sentence ?? "", nowMilliseconds: now, journal)
        }
        notes.letEndpointGo()
        tried.append(endpoint)
        self.endpoint = nil
    }

    /// Begins to connect; `isConnected` is set where that was all.
    ///
    /// - Returns: nil when it failed at once, and the reason is noted.
    mutating func connect(to address: Address, isConnected: inout Bool) -> Leg? {
        var sources = group.sources(for: address)
        while true {
            let source = sources.popFirst()
            do throws(DialFault) {
                let socket = try Socket.dialing(address, from: source)
                if !address.isUnix { socket.setNoDelay() }
                switch socket.connect(to: address) {
                case .failed(let code):
                    note(
                        Shortage(code, connectingTo: address, hasSource: source != nil)
                            .map(DialFailure.shortage) ?? .failed(code))
                case .connected:
                    isConnected = true
                    return Leg(socket)
                case .inProgress:
                    isConnected = false
                    return Leg(socket)
                }
            } catch {
                switch error {
                case .shortage(let shortage): note(.shortage(shortage))
                case .failed(let code): note(.failed(code))
                }
            }
            // Another address to come from has ports of its own.
            let isOfSource = lastFailure == .shortage(.ports) || lastFailure == .shortage(.source)
            if sources.isEmpty || !isOfSource { return nil }
        }
    }

    /// Notes a failure, unless it says less than the one before: that this machine has no address of a
    /// family is no news of an endpoint that has refused at one of the other.
    private mutating func note(_ failure: DialFailure) {
        let familyless = [EADDRNOTAVAIL, ENETUNREACH, EAFNOSUPPORT].map(DialFailure.failed)
        if hasFailedHere && familyless.contains(failure) { return }
        hasFailedHere = true
        lastFailure = failure
    }

    /// The present attempt failed for another reason than an error of its connect(2).
    mutating func failed(_ failure: DialFailure) { note(failure) }

    /// A connect to the present address failed with this value of `errno`.
    mutating func failed(_ code: Int32) {
        note(Shortage(code).map(DialFailure.shortage) ?? .failed(code))
    }

    /// The connection stands.
    func succeeded(nowMilliseconds now: UInt64, _ journal: Journal) {
        if let endpoint { group.succeeded(endpoint, nowMilliseconds: now, journal) }
    }

    /// What came back for an upgrade: an answer if `reason` is nil, else what was wrong with it.
    func answered(_ reason: String?, nowMilliseconds now: UInt64, _ journal: Journal) {
        guard let endpoint else { return }
        if let reason {
            group.answerFailed(endpoint, reason, nowMilliseconds: now, journal)
        } else {
            group.answered(endpoint, nowMilliseconds: now, journal)
        }
    }

    /// The refusal to end with when nothing is left to try.
    func refusal(nowMilliseconds now: UInt64) -> Refusal {
        if let lastFailure { return lastFailure.refusal(label) }
        if isInLine || group.picker.isFull(nowMilliseconds: now) {
            return .endpointsFull(group.picker.name)
        }
        return group.picker.isDraining ? .endpointsDraining(group.picker.name) : .unresolved(label)
    }

    /// When the present attempt must have succeeded, so that one address which does not answer
    /// leaves some time for the others.
    func attemptDeadline(nowMilliseconds now: UInt64) -> UInt64 {
        let others = (addresses?.count ?? 0) + max(0, group.endpoints.count - tried.count - 1)
        let left = deadlineMilliseconds &- min(now, deadlineMilliseconds)
        return now + left / UInt64(others + 1)
    }
}
