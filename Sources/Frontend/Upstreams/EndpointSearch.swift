// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Router

/// The search for an endpoint that can be reached: which was tried, which is next, and until when.
///
/// The place at the endpoint in use is counted in the group's picker; the request's `Places` hold it
/// and give it back.
struct EndpointSearch {
    private(set) var group: EndpointGroup
    /// When all attempts together must have succeeded.
    var deadlineMilliseconds: UInt64
    /// What the endpoint is chosen by, where that is by hash.
    let key: UInt64?
    /// The number of the endpoint that the client has had before, by its cookie.
    let sticky: UInt64?
    /// The endpoint being tried or in use.
    private(set) var endpoint: Int?
    /// Those given up before.
    private var tried: [Int] = []
    /// Nothing is claimed before those have their places that wait for one.
    private var isInLine: Bool
    /// Addresses of the present endpoint that were not tried yet; nil before the first is asked for.
    private var addresses: ArraySlice<Address>?
    /// An attempt at the present endpoint has failed.
    private var hasFailedHere = false
    /// What the last attempt failed with.
    private(set) var lastFailure: DialFailure?

    /// A search among the endpoints of a group.
    init(
        _ group: EndpointGroup, deadlineMilliseconds: UInt64, key: UInt64?, sticky: UInt64? = nil
    ) {
        self.sticky = sticky
        self.group = group
        self.deadlineMilliseconds = deadlineMilliseconds
        self.key = key
        isInLine = (group.queue?.count ?? 0) > 0
    }

    /// The endpoint that is being tried; nil before the first, and where the last one has failed.
    var current: Endpoint? { endpoint.map { group.endpoints[$0] } }

    /// The present endpoint, where a connection from the pool may serve; nil once an address of it was
    /// tried, and where each connection names its client first.
    ///
    /// Always inlined: a call would copy the whole search, with six retains and releases per request.
    @inline(__always) var pooledEndpoint: Endpoint? {
        guard let endpoint, addresses == nil, group.introduction == nil else { return nil }
        return group.endpoints[endpoint]
    }

    /// The present endpoint as people wrote it.
    var label: String { current?.label ?? group.endpoints.first?.label ?? group.picker.name }

    /// Claims a place at the next endpoint; nil when there is none left.
    mutating func claim(nowMilliseconds now: UInt64) -> Int? {
        leaveCurrent()
        if isInLine { return nil }
        if let sticky, tried.isEmpty, let index = group.endpoint(ofSticky: sticky),
            group.picker.claim(only: index)
        {
            return use(index)
        }
        return use(group.picker.claim(nowMilliseconds: now, key: key, excluding: tried))
    }

    /// Claims a place at one endpoint and no other; `mayOvertake` those that wait for a place.
    mutating func claim(only index: Int, mayOvertake: Bool) -> Bool {
        if isInLine && !mayOvertake { return false }
        guard group.picker.claim(only: index) else { return false }
        isInLine = false
        return use(index) != nil
    }

    /// Claims a place at an endpoint that has not been tried, since the present one, or one before it,
    /// has ended without a byte of an answer.
    ///
    /// The request is one that may be repeated (RFC 9110 §9.2.2), and nothing of the client's that
    /// followed it has been sent. Nobody is asked twice, and none of it waits for a place.
    mutating func claimAnother(nowMilliseconds now: UInt64) -> Int? {
        leaveCurrent()
        guard now < deadlineMilliseconds else { return nil }
        return use(group.picker.claim(nowMilliseconds: now, key: key, excluding: tried))
    }

    /// Claims the place that was waited for; nil when it went to another.
    ///
    /// A reload may have given the upstream other endpoints or rules meanwhile: `group` has them.
    mutating func claimCalled(of group: EndpointGroup, nowMilliseconds now: UInt64) -> Int? {
        self.group = group
        isInLine = false
        return use(group.picker.claim(nowMilliseconds: now, key: key))
    }

    /// The place that was called for went to another: it waits on.
    mutating func waitOn() { isInLine = true }

    /// Begins anew with the present endpoint, whose place is kept.
    mutating func restart(deadlineMilliseconds: UInt64) {
        self.deadlineMilliseconds = deadlineMilliseconds
        addresses = nil
    }

    /// Begins now, behind those that wait for a place at this moment.
    mutating func begin(deadlineMilliseconds: UInt64) {
        restart(deadlineMilliseconds: deadlineMilliseconds)
        isInLine = (group.queue?.count ?? 0) > 0
    }

    private mutating func use(_ index: Int?) -> Int? {
        guard let index else { return nil }
        endpoint = index
        addresses = nil
        hasFailedHere = false
        return index
    }

    private mutating func leaveCurrent() {
        guard let endpoint else { return }
        tried.append(endpoint)
        self.endpoint = nil
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

    /// The next address of the present endpoint; nil when all were tried.
    mutating func nextAddress() -> Address? {
        if addresses == nil {
            addresses = current?.addresses[...]
            if addresses?.isEmpty ?? true { lastFailure = .unresolved }
        }
        return addresses?.popFirst()
    }

    /// Takes note of why an attempt has failed, unless it says less than the one before: that this
    /// machine has no address of a family is no news of an endpoint that has refused at one of the
    /// other; and that nothing listens at one address is none of an endpoint that has no TLS at another.
    mutating func failed(_ failure: DialFailure) {
        let saysLess = failure.isOfFamily || lastFailure?.isOfTLS == true && !failure.isOfTLS
        if hasFailedHere && saysLess { return }
        hasFailedHere = true
        lastFailure = failure
    }

    /// Why the request is refused when nothing is left to try.
    func exhaustion(nowMilliseconds now: UInt64) -> Cause {
        if let lastFailure { return lastFailure.cause }
        if isInLine || group.picker.isFull(nowMilliseconds: now) { return .endpointsFull }
        if group.picker.isDraining { return .endpointsDraining }
        // A place may have become free since one was asked for.
        return group.endpoints.allSatisfy(\.addresses.isEmpty) ? .unresolved : .endpointsFull
    }

    /// When the present attempt must have succeeded, so that one address which does not answer
    /// leaves some time for the others.
    func attemptDeadline(nowMilliseconds now: UInt64) -> UInt64 {
        let others = (addresses?.count ?? 0) + max(0, group.endpoints.count - tried.count - 1)
        let left = deadlineMilliseconds &- min(now, deadlineMilliseconds)
        return now + left / UInt64(others + 1)
    }
}

/// What a request holds of places that others may be waiting for: given back in one function, and
/// once.
///
/// A plain value that is moved along from a request to the relay that follows it: whoever drops it
/// has called `giveBack` before, and there is one copy of it.
struct Places {
    /// The upstream whose endpoint has a place claimed for this request.
    private(set) var group: EndpointGroup?
    /// The index of that endpoint in the group; it means nothing while `group` is nil.
    private(set) var endpoint = 0
    /// Where it waits for such a place.
    private(set) var line: PlaceInLine?
    /// The route's count of relays, where the request has a place in it.
    private var admission: Admission?
    /// As whom it was taken.
    private var admitted: Address?

    /// Holds no slot and no place in a queue.
    init() {}

    /// Whether nothing is held.
    var isEmpty: Bool { group == nil && line == nil && admission == nil }

    /// Holds a place at an endpoint, which was claimed.
    mutating func take(_ index: Int, of group: EndpointGroup) {
        assert(self.group == nil, "a place at an endpoint was claimed over another")
        self.group = group
        endpoint = index
    }

    /// Holds a place in a line.
    mutating func take(_ place: PlaceInLine) {
        assert(line == nil, "one request waits twice")
        line = place
    }

    /// Whether a place on a route is held.
    var isAdmitted: Bool { admission != nil }

    /// Holds a place on a route, which `client` was given.
    mutating func take(_ admission: Admission, as client: Address) {
        self.admission = admission
        admitted = client
    }

    /// Forgets the place in the line, since the one that was called has left it.
    mutating func leftLine() { line = nil }

    /// Gives the place at the endpoint back.
    mutating func giveEndpointBack() {
        guard let group else { return }
        self.group = nil
        group.closed(endpoint)
    }

    /// Leaves the queue in which it waits, if it does.
    mutating func leaveLine() {
        guard let line else { return }
        self.line = nil
        line.queue.leave(line.number)
    }

    /// Gives the place on the route back.
    mutating func giveRouteBack(nowMilliseconds now: UInt64) {
        guard let admission, let admitted else { return }
        self.admission = nil
        admission.leave(admitted, nowMilliseconds: now)
    }

    /// Gives back whatever is held: the slot at the endpoint, the number in the queue, the slot of the route.
    mutating func giveBack(nowMilliseconds now: UInt64) {
        giveEndpointBack()
        leaveLine()
        giveRouteBack(nowMilliseconds: now)
    }
}
