// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import Reactor
import Synchronization
import TestKit
import Testing

@testable import Naming

/// Names become addresses off the reactors, and an outage of DNS takes nothing away.
struct NameWatchTests {
    /// What the watch has said.
    private final class Said: Sendable {
        private let events = Mutex<[LogEvent]>([])

        var journal: Journal {
            Journal(
                access: { _ in }, event: { [self] event in events.withLock { $0.append(event) } })
        }
        var sentences: [String] { events.withLock { $0.map(\.sentence) } }
        var levels: [LogEvent.Level] { events.withLock { $0.map(\.level) } }
    }

    /// No resolver has to ask anybody about this one: a label may not be empty (RFC 1035 §3.1).
    private static let unknown = "no..name"

    @Test func `localhost is looked up before watching begins`() throws {
        let said = Said()
        let endpoint = Endpoint(label: "ws://localhost:3000", host: "localhost", port: 3_000)
        #expect(endpoint.addresses == [])
        let watch = try NameWatch(journal: said.journal)
        try watch.watch([endpoint], until: Clock.nowMilliseconds() + 20_000)
        defer { watch.stop() }
        #expect(!endpoint.addresses.isEmpty)
        #expect(endpoint.addresses.allSatisfy { $0.isLoopback && $0.port == 3_000 })
        #expect(said.sentences == [])
    }

    @Test func `an unknown name is said once, and its old addresses stay`() throws {
        let said = Said()
        let endpoint = Endpoint(label: "ws://app:1", host: Self.unknown, port: 1)
        let old = [Address.ipv4(192, 0, 2, 1, port: 1)]
        endpoint.addresses = old
        let watch = try NameWatch(journal: said.journal)
        defer { watch.stop() }
        for _ in 0..<3 { try watch.watch([endpoint], until: Clock.nowMilliseconds() + 20_000) }
        #expect(endpoint.addresses == old)
        #expect(said.sentences.count == 1)
        #expect(said.levels == [.warning])
        let sentence = try #require(said.sentences.first)
        #expect(sentence.hasPrefix("The upstream ws://app:1: \(Self.unknown) cannot be resolved:"))
    }

    @Test func `one name's trouble is not another's`() throws {
        let said = Said()
        let endpoint = Endpoint(label: "ws://app:1", host: Self.unknown, port: 1)
        let fine = Endpoint(label: "ws://localhost:2", host: "localhost", port: 2)
        let watch = try NameWatch(journal: said.journal)
        defer { watch.stop() }
        try watch.watch([endpoint, fine], until: Clock.nowMilliseconds() + 20_000)
        #expect(endpoint.addresses == [])
        #expect(said.sentences.count == 1)
        #expect(said.sentences.first?.contains("last known") == false)
        #expect(!fine.addresses.isEmpty)
    }

    @Test func `addresses need no look-up, and nobody to do it`() throws {
        let said = Said()
        let address = Address.loopback(port: 9_000)
        let endpoint = Endpoint(label: "ws://127.0.0.1:9000", address: address)
        let watch = try NameWatch(journal: said.journal)
        try watch.watch([endpoint])
        watch.stop()
        #expect(endpoint.addresses == [address])
        #expect(said.sentences == [])
    }

    @Test func `a service becomes known, and its change is told`() throws {
        let server = try NameServer()
        try server.start(services: ["_ws._tcp.app.test,b.test,9000,5,6"])
        let said = Said()
        let changes = Atomic<Int>(0)
        let watch = try NameWatch(
            servers: [server.address], journal: said.journal,
            changed: { changes.wrappingAdd(1, ordering: .relaxed) })
        defer { watch.stop() }
        let service = NameQuestion.services("_ws._tcp.app.test")
        try watch.watch([], expanding: [service], until: Clock.nowMilliseconds() + 20_000)
        let first = ServiceRecord(host: "b.test", port: 9_000, priority: 5, weight: 6)
        #expect(watch.found == [service: .services([first])])
        let before = changes.load(ordering: .relaxed)
        try server.start(services: [
            "_ws._tcp.app.test,b.test,9000,5,6", "_ws._tcp.app.test,a.test,9000,5,6",
        ])
        let deadline = Deadline.after(.seconds(60))
        while changes.load(ordering: .relaxed) == before, !deadline.hasPassed { usleep(10_000) }
        let second = ServiceRecord(host: "a.test", port: 9_000, priority: 5, weight: 6)
        #expect(watch.found == [service: .services([second, first])])
        // What is not asked for any more is forgotten.
        try watch.watch([])
        #expect(watch.found.isEmpty)
    }

    @Test func `a time to live that has not passed is trusted`() throws {
        let server = try NameServer()
        try server.start(hosts: ["app.test": ["127.0.0.1"]], seconds: 3_600)
        let said = Said()
        let endpoint = Endpoint(label: "ws://app.test:1", host: "app.test", port: 1)
        let watch = try NameWatch(servers: [server.address], journal: said.journal)
        defer { watch.stop() }
        try watch.watch([endpoint], until: Clock.nowMilliseconds() + 20_000)
        #expect(endpoint.addresses == [.loopback(port: 1)])
        try server.stop()
        // Another endpoint of the same name needs nobody to be asked.
        let other = Endpoint(label: "ws://app.test:2", host: "app.test", port: 2)
        try watch.watch([endpoint, other], until: Clock.nowMilliseconds() + 20_000)
        #expect(other.addresses == [.loopback(port: 2)])
        #expect(said.sentences == [])
    }
}
