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
    let group: EndpointGroup
    /// When all attempts together must have succeeded.
    let deadlineMilliseconds: UInt64
    /// The endpoint being tried, and those given up before.
    private(set) var endpoint: Int?
    private var tried: [Int] = []
    /// The endpoint to begin with, until it was.
    private var first: Int?
    /// Addresses of the present endpoint that were not tried yet; nil before the first is asked for.
    private var addresses: ArraySlice<Address>? = []
    /// What the last attempt failed with.
    var lastFailure: Refusal?

    /// A search that begins with the endpoint `first`, if it was picked already.
    init(_ group: EndpointGroup, deadlineMilliseconds: UInt64, first: Int? = nil) {
        self.group = group
        self.deadlineMilliseconds = deadlineMilliseconds
        self.first = first
    }

    /// The present endpoint.
    var current: Endpoint? { endpoint.map { group.endpoints[$0] } }

    /// The present endpoint as people wrote it.
    var label: String { current?.label ?? group.endpoints.first?.label ?? group.picker.name }

    /// The next address of the present endpoint; nil when all were tried.
    mutating func nextAddress() -> Address? {
        if addresses == nil {
            addresses = current?.addresses[...]
            if addresses?.isEmpty ?? true { lastFailure = .unresolved(label) }
        }
        return addresses?.popFirst()
    }

    /// Goes on to the next endpoint; nil when there is none left.
    mutating func nextEndpoint(_ notes: ConnectionNotes, nowMilliseconds now: UInt64) -> Endpoint? {
        giveUp(notes, nowMilliseconds: now)
        let picked = first ?? group.picker.pick(nowMilliseconds: now, excluding: tried)
        first = nil
        guard let next = picked else { return nil }
        endpoint = next
        let endpoint = group.endpoints[next]
        notes.takeEndpoint(next, of: group)
        addresses = nil
        return endpoint
    }

    /// The present endpoint could not be reached: it cools down, and its place is given back.
    mutating func giveUp(_ notes: ConnectionNotes, nowMilliseconds now: UInt64) {
        guard let endpoint else { return }
        // Where it was our own means that failed, the endpoint is not to blame.
        if lastFailure?.status != 503 {
            group.picker.failed(endpoint, nowMilliseconds: now)
        }
        notes.letEndpointGo()
        tried.append(endpoint)
        self.endpoint = nil
    }

    /// Begins to connect; `isConnected` is set where that was all.
    ///
    /// - Returns: nil when it failed at once, and the reason is noted.
    mutating func connect(to address: Address, isConnected: inout Bool) -> Leg? {
        do throws(SystemError) {
            let socket = try Socket.stream(for: address)
            if !address.isUnix { socket.setNoDelay() }
            switch socket.connect(to: address) {
            case .failed(let code):
                failed(code)
                return nil
            case .connected: isConnected = true
            case .inProgress: isConnected = false
            }
            return Leg(socket)
        } catch {
            lastFailure = .noResources(error.description)
            return nil
        }
    }

    /// A connect to the present address failed with this value of `errno`.
    mutating func failed(_ code: Int32) {
        lastFailure = .unreachable(
            label, reason: SystemError.text(of: code), isRefused: code == ECONNREFUSED)
    }

    /// The connection stands.
    func succeeded() {
        if let endpoint { group.picker.succeeded(endpoint) }
    }

    /// The refusal to end with when nothing is left to try.
    var refusal: Refusal {
        if let lastFailure { return lastFailure }
        if group.picker.isFull && !group.picker.isDraining {
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
