// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice

/// A connection to an endpoint that carries ordinary requests, one at a time.
///
/// It has a slot of its own and is registered once, so that it goes from one client's request to
/// the next one's without a system call.
struct UpstreamConnection: ~Copyable {
    var leg: Leg
    let endpoint: Endpoint
    let limits: PoolLimits
    /// The client connection whose request it carries; nil while it is idle.
    var owner: Token?
    /// Whose alone it is, where its first bytes have named that client to the endpoint, or that client
    /// has begun to log it in; then it carries requests of nobody else, and goes with that client's
    /// connection.
    var client: Address?
    /// Its first bytes have named the client.
    var isIntroduced = false
    /// A login belongs to it (`FieldList.logsConnectionIn`), or may have begun to.
    var hasLogin = false
    /// The connection to the endpoint stands.
    var isConnected = false
    /// Requests that were sent on it.
    var requestCount = 0
    /// When it has been idle for long enough.
    var idleDeadlineMilliseconds: UInt64 = 0

    init(leg: consuming Leg, endpoint: Endpoint, limits: PoolLimits, owner: Token) {
        self.leg = leg
        self.endpoint = endpoint
        self.limits = limits
        self.owner = owner
    }

    /// Whether nothing has come since it became idle: no bytes, no end.
    var isQuiet: Bool { !leg.isReadable && !leg.isHangingUp && !leg.hasEnded && !leg.isUnwritable }
}

/// The idle connections of one reactor, by endpoint; the one used last is used first.
struct UpstreamPool {
    private struct Shelf {
        let endpoint: ObjectIdentifier
        var idle: [Token]
    }

    /// One for each endpoint that has had an idle connection; a few, so they are looked through.
    ///
    /// The endpoint found last stands in front, so that where one serves most requests it is found at
    /// once.
    private var shelves: [Shelf] = []
    /// Shelves beyond this number are taken away when they are empty.
    private static let emptyMax = 32

    /// How many endpoints are known.
    var shelfCount: Int { shelves.count }

    /// Takes the connection that was idle for the shortest time.
    mutating func take(_ endpoint: Endpoint) -> Token? {
        guard find(endpoint) else { return nil }
        return shelves[0].idle.popLast()
    }

    /// Takes a connection in, if there is room for it.
    mutating func put(_ token: Token, _ endpoint: Endpoint, max: Int) -> Bool {
        if max <= 0 { return false }
        if !find(endpoint) {
            if shelves.count >= Self.emptyMax { shelves.removeAll { $0.idle.isEmpty } }
            shelves.insert(Shelf(endpoint: ObjectIdentifier(endpoint), idle: []), at: 0)
        }
        if shelves[0].idle.count >= max { return false }
        shelves[0].idle.append(token)
        return true
    }

    /// Forgets a connection that is about to be closed.
    mutating func forget(_ token: Token, _ endpoint: Endpoint) {
        guard find(endpoint) else { return }
        // The oldest ones are those that expire, and they stand in front.
        if let index = shelves[0].idle.firstIndex(of: token) { shelves[0].idle.remove(at: index) }
    }

    /// Brings the endpoint's shelf to the front, if it has one.
    private mutating func find(_ endpoint: Endpoint) -> Bool {
        let identifier = ObjectIdentifier(endpoint)
        var index = 0
        while index < shelves.count, shelves[index].endpoint != identifier { index += 1 }
        if index == shelves.count { return false }
        if index > 0 { shelves.swapAt(0, index) }
        return true
    }
}
