// SPDX-License-Identifier: Apache-2.0
import Admin
import Ledger
import Reactor

/// The live relays of one look, with what they carry in a second, to be filtered, sorted and summed.
struct LiveTable {
    private struct Entry {
        let relay: RelayFacts
        let carried: LiveMarks.Carried
        let messagesPerSecond: Double
        let bytesPerSecond: Double
    }

    /// Over how many seconds the rates are; nil where there are none.
    let rateSeconds: Double?
    private let entries: [Entry]
    /// What filters look into, in lower case; made for the first that asks.
    private var texts: [String]?

    /// Relays at this moment, compared with an earlier look.
    init(_ relays: [RelayFacts], since before: LiveMarks.Mark?, nowMilliseconds now: UInt64) {
        let seconds = before.map { Double(now - $0.milliseconds) / 1_000 }
        rateSeconds = seconds
        entries = relays.map { relay in
            let carried = LiveMarks.Carried(relay)
            // One that was not there has begun since, with nothing.
            let earlier = before?.carried[relay.id]
            let messages = carried.messages &- min(earlier?.messages ?? 0, carried.messages)
            let bytes = carried.bytes &- min(earlier?.bytes ?? 0, carried.bytes)
            return Entry(
                relay: relay, carried: carried,
                messagesPerSecond: seconds.map { Double(messages) / $0 } ?? 0,
                bytesPerSecond: seconds.map { Double(bytes) / $0 } ?? 0)
        }
    }

    /// Those that a query wants, and how many match its filter.
    mutating func relays(_ query: LiveQuery) -> (listed: [LiveRelay], matching: Int) {
        let words = query.filter.lowercased().split(whereSeparator: \.isWhitespace)
        var found = Array(entries.indices)
        if !words.isEmpty {
            let texts = self.texts ?? entries.map { Self.text($0.relay) }
            self.texts = texts
            found.removeAll { index in !words.allSatisfy { texts[index].contains($0) } }
        }
        let ranked = found.map { (rank: Self.rank(entries[$0], query.order), index: $0) }
            .sorted {
                // Of equals the order stays from look to look.
                $0.rank == $1.rank
                    ? Self.isBefore(entries[$0.index].relay.id, entries[$1.index].relay.id)
                    : $0.rank > $1.rank
            }
        let listed = ranked.prefix(query.limit).map { state(of: entries[$0.index]) }
        return (listed, found.count)
    }

    private func state(of entry: Entry) -> LiveRelay {
        var live = LiveRelay(RelayState(entry.relay))
        if rateSeconds != nil {
            live.messagesPerSecond = entry.messagesPerSecond
            live.bytesPerSecond = entry.bytesPerSecond
        }
        return live
    }

    private static func rank(_ entry: Entry, _ order: LiveQuery.Order) -> (Double, Double) {
        switch order {
        case .busiest: (entry.bytesPerSecond, Double(entry.carried.bytes))
        case .newest: (Double(entry.relay.acceptedMilliseconds), 0)
        case .oldest: (-Double(entry.relay.acceptedMilliseconds), 0)
        case .messages: (Double(entry.carried.messages), 0)
        case .bytes: (Double(entry.carried.bytes), 0)
        case .roundTrip:
            (
                entry.relay.clientRoundTrip.count > 0
                    ? Double(entry.relay.clientRoundTrip.lastMicroseconds) : -1, 0
            )
        }
    }

    private static func isBefore(_ left: RelayID, _ right: RelayID) -> Bool {
        left.numbers < right.numbers
    }

    /// What a filter's words are looked for in.
    private static func text(_ relay: RelayFacts) -> String {
        [
            relay.id.description, relay.client.peerDescription, relay.route, relay.path,
            relay.endpoint, relay.isHTTP2 ? "h2" : "h1",
        ].joined(separator: "\n").lowercased()
    }

    /// The clients with the most traffic, and how many there are.
    func clients(countMax: Int) -> (listed: [LiveClient], count: Int) {
        var clients: [String: LiveClient] = [:]
        for entry in entries {
            let name = entry.relay.client.hostString
            var client = clients[name] ?? LiveClient(client: name)
            client.relays += 1
            client.messages &+= entry.carried.messages
            client.bytes &+= entry.carried.bytes
            if rateSeconds != nil {
                client.messagesPerSecond =
                    (client.messagesPerSecond ?? 0) + entry.messagesPerSecond
                client.bytesPerSecond = (client.bytesPerSecond ?? 0) + entry.bytesPerSecond
            }
            clients[name] = client
        }
        let sorted = clients.values.sorted {
            let (left, right) = ($0.bytesPerSecond ?? 0, $1.bytesPerSecond ?? 0)
            if left != right { return left > right }
            return $0.relays == $1.relays ? $0.client < $1.client : $0.relays > $1.relays
        }
        return (Array(sorted.prefix(countMax)), clients.count)
    }
}
