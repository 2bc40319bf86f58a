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
    /// The connection to the endpoint stands.
    var isConnected = false
    /// Requests that were sent on it.
    var requestCount = 0

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
    private var idle: [ObjectIdentifier: [Token]] = [:]

    /// Takes the connection that was idle for the shortest time.
    mutating func take(_ endpoint: Endpoint) -> Token? {
        idle[ObjectIdentifier(endpoint)]?.popLast()
    }

    /// Takes a connection in, if there is room for it.
    mutating func put(_ token: Token, _ endpoint: Endpoint, max: Int) -> Bool {
        let key = ObjectIdentifier(endpoint)
        if idle[key, default: []].count >= max { return false }
        idle[key, default: []].append(token)
        return true
    }

    /// Forgets a connection that is about to be closed.
    mutating func forget(_ token: Token, _ endpoint: Endpoint) {
        let key = ObjectIdentifier(endpoint)
        guard var tokens = idle.removeValue(forKey: key) else { return }
        // The oldest ones are those that expire, and they stand in front.
        if let index = tokens.firstIndex(of: token) { tokens.remove(at: index) }
        if !tokens.isEmpty { idle[key] = tokens }
    }
}
