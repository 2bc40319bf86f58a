// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor

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
