// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Testing

@testable import Frontend

/// Idle connections, by endpoint.
struct UpstreamPoolTests {
    private static func token(_ number: Int) -> Token {
        Token(index: UInt32(number), generation: 1)
    }

    private static func endpoints(_ count: Int) -> [Endpoint] {
        (0..<count).map {
            Endpoint(label: "http://\($0)", address: .loopback(port: UInt16(1_000 + $0)))
        }
    }

    @Test func `the one used last is used first, and each endpoint has its own`() {
        var pool = UpstreamPool()
        let endpoints = Self.endpoints(3)
        for number in 0..<9 {
            let isTaken = pool.put(Self.token(number), endpoints[number % 3], max: 3)
            #expect(isTaken)
        }
        for round in [6, 3, 0] {
            let taken = endpoints.map { pool.take($0) }
            #expect(taken == (0..<3).map { Self.token(round + $0) })
        }
        let left = endpoints.compactMap { pool.take($0) }
        #expect(left.isEmpty)
    }

    @Test func `no more are kept than may be`() {
        var pool = UpstreamPool()
        let endpoint = Self.endpoints(1)[0]
        func put(_ number: Int, max: Int) -> Bool {
            pool.put(Self.token(number), endpoint, max: max)
        }
        let isKept = [put(0, max: 0), put(1, max: 2), put(2, max: 2), put(3, max: 2)]
        #expect(isKept == [false, true, true, false])
        pool.forget(Self.token(1), endpoint)
        let hasRoom = put(4, max: 2)
        #expect(hasRoom)
        let taken = (0..<3).map { _ in pool.take(endpoint) }
        #expect(taken == [Self.token(4), Self.token(2), nil])
    }

    @Test func `endpoints that come and go leave nothing behind, others keep what they have`() {
        var pool = UpstreamPool()
        let kept = Self.endpoints(2)
        for (index, endpoint) in kept.enumerated() {
            let isTaken = pool.put(Self.token(index), endpoint, max: 1)
            #expect(isTaken)
        }
        for number in 10..<210 {
            let passing = Self.endpoints(1)[0]
            let isTaken = pool.put(Self.token(number), passing, max: 1)
            let taken = pool.take(passing)
            #expect(isTaken && taken == Self.token(number))
        }
        let left = kept.map { pool.take($0) }
        #expect(left == [Self.token(0), Self.token(1)])
        #expect(pool.shelfCount <= 33)
    }
}
