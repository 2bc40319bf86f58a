// SPDX-License-Identifier: Apache-2.0
import Admin
import Ledger
import Reactor
import Testing

@testable import Service

/// Goal: of many live relays those are listed that are asked for, with what they carry in a second.
struct LiveTableTests {
    private func relay(
        _ slot: UInt32, client: String = "192.0.2.1", route: String = "/chat", age: UInt64 = 5_000,
        seenLater: UInt64 = 0, messages: UInt64 = 0, bytes: UInt64 = 0, roundTrip: UInt64? = nil,
        isHTTP2: Bool = false
    ) throws -> RelayFacts {
        var up = DirectionCounts()
        up.messages = messages
        up.payloadBytes = bytes
        var trip = RoundTrip()
        if let roundTrip { trip.note(roundTrip) }
        return RelayFacts(
            id: RelayID(worker: 0, token: Token(index: slot, generation: 1)),
            client: try #require(Address(host: client, port: UInt16(1_000 + slot))),
            isHTTP2: isHTTP2, route: route, path: "\(route)/room-\(slot)",
            endpoint: "ws://10.0.0.\(slot):9000", acceptedMilliseconds: 100_000 - age,
            nowMilliseconds: 100_000 + seenLater, up: up, down: DirectionCounts(),
            clientRoundTrip: trip, isEnding: false)
    }

    private func query(
        _ filter: String = "", _ order: LiveQuery.Order = .busiest, limit: Int = 10
    ) -> LiveQuery {
        var query = LiveQuery()
        (query.filter, query.order, query.limit) = (filter, order, limit)
        return query
    }

    private func slots(_ relays: [LiveRelay]) -> [String] {
        relays.map { String($0.state.id.split(separator: "-")[1]) }
    }

    @Test func `rates are over the time since an earlier look`() throws {
        var marks = LiveMarks()
        #expect(
            marks.look(at: [try relay(1, messages: 5, bytes: 100)], nowMilliseconds: 10_000) == nil
        )
        // So soon there is nothing to compare with, and the next look compares with the first.
        #expect(marks.look(at: [], nowMilliseconds: 10_499) == nil)
        let now = [
            try relay(1, messages: 25, bytes: 1_100), try relay(2, messages: 4, bytes: 40),
        ]
        let found = marks.look(at: now, nowMilliseconds: 12_000)
        let before = try #require(found)
        var table = LiveTable(now, since: before, nowMilliseconds: 12_000)
        #expect(table.rateSeconds == 2)
        let listed = table.relays(query()).listed
        #expect(slots(listed) == ["1", "2"])
        #expect(listed.map(\.messagesPerSecond) == [10, 2])
        #expect(listed.map(\.bytesPerSecond) == [500, 20])
        // What is longer ago than a minute says nothing of now.
        #expect(marks.look(at: now, nowMilliseconds: 72_001) == nil)
        // A relay of another generation in the same slot has begun with nothing.
        let clients = table.clients(countMax: 5)
        #expect(clients.count == 1 && clients.listed[0].relays == 2)
        #expect(clients.listed[0].messagesPerSecond == 12 && clients.listed[0].bytes == 1_140)
    }

    @Test func `without an earlier look there are no rates`() throws {
        var table = LiveTable([try relay(1, bytes: 9)], since: nil, nowMilliseconds: 1)
        #expect(table.rateSeconds == nil)
        #expect(table.relays(query()).listed[0].bytesPerSecond == nil)
        #expect(table.clients(countMax: 1).listed[0].messagesPerSecond == nil)
    }

    @Test func `each order puts its own first, and equals by their ids`() throws {
        let relays = [
            try relay(1, age: 3_000, messages: 9, bytes: 10, roundTrip: 50),
            // Its reactor has looked much later than the others.
            try relay(2, age: 1_000, seenLater: 5_000, messages: 1, bytes: 30),
            try relay(3, age: 9_000, messages: 5, bytes: 20, roundTrip: 900),
            try relay(4, age: 9_000, messages: 5, bytes: 20),
        ]
        var table = LiveTable(relays.reversed(), since: nil, nowMilliseconds: 0)
        for (order, expected): (LiveQuery.Order, [String]) in [
            (.busiest, ["2", "3", "4", "1"]), (.newest, ["2", "1", "3", "4"]),
            (.oldest, ["3", "4", "1", "2"]), (.messages, ["1", "3", "4", "2"]),
            (.bytes, ["2", "3", "4", "1"]), (.roundTrip, ["3", "1", "2", "4"]),
        ] {
            #expect(slots(table.relays(query("", order)).listed) == expected, "\(order)")
        }
        let two = table.relays(query("", .newest, limit: 2))
        #expect(slots(two.listed) == ["2", "1"] && two.matching == 4)
        #expect(table.relays(query("", .newest, limit: 0)).listed.isEmpty)
    }

    @Test func `all words of a filter have to be found, anywhere and in any case`() throws {
        var table = LiveTable(
            [
                try relay(1), try relay(2, route: "/Esv/ocp", isHTTP2: true),
                try relay(3, client: "2001:db8::7"),
            ], since: nil, nowMilliseconds: 0)
        func matching(_ filter: String) -> [String] {
            slots(table.relays(query(filter, .oldest)).listed)
        }
        #expect(matching("  ") == ["1", "2", "3"])
        #expect(matching("ESV") == ["2"])
        #expect(matching("h2") == ["2"] && matching("h1") == ["1", "3"])
        #expect(matching("room-3") == ["3"] && matching("2001:db8") == ["3"])
        #expect(matching("chat 10.0.0.1") == ["1"])
        #expect(matching("chat ocp").isEmpty)
        #expect(matching("0-2-1") == ["2"])
        // Words are looked for in each part, not across two.
        #expect(matching("1001/chat").isEmpty)
    }
}
