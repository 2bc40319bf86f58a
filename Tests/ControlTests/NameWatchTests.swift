// SPDX-License-Identifier: Apache-2.0
import Frontend
import Reactor
import Synchronization
import Testing

@testable import Control

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

    @Test func `localhost is looked up at the start`() throws {
        let said = Said()
        let endpoint = Endpoint(label: "ws://localhost:3000", host: "localhost", port: 3_000)
        #expect(endpoint.addresses == [])
        let watch = try NameWatch([endpoint], journal: said.journal)
        try watch.start()
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
        let watch = try NameWatch([endpoint], journal: said.journal)
        for _ in 0..<3 { watch.lookUpAll() }
        #expect(endpoint.addresses == old)
        #expect(said.sentences.count == 1)
        #expect(said.levels == [.warning])
        let sentence = try #require(said.sentences.first)
        #expect(sentence.hasPrefix("The upstream ws://app:1: \(Self.unknown) cannot be resolved:"))
        #expect(sentence.hasSuffix(" Its last known addresses stay in use."))
    }

    @Test func `a name that never resolved has no addresses to keep`() throws {
        let said = Said()
        let endpoint = Endpoint(label: "ws://app:1", host: Self.unknown, port: 1)
        let fine = Endpoint(label: "ws://localhost:2", host: "localhost", port: 2)
        let watch = try NameWatch([endpoint, fine], journal: said.journal)
        watch.lookUpAll()
        #expect(endpoint.addresses == [])
        #expect(said.sentences.count == 1)
        #expect(said.sentences.first?.contains("last known") == false)
        #expect(!fine.addresses.isEmpty, "one name's trouble is not another's")
    }

    @Test func `addresses need no look-up, and nobody to do it`() throws {
        let said = Said()
        let address = Address.loopback(port: 9_000)
        let endpoint = Endpoint(label: "ws://127.0.0.1:9000", address: address)
        let watch = try NameWatch([endpoint], journal: said.journal)
        try watch.start()
        watch.stop()
        #expect(endpoint.addresses == [address])
        #expect(said.sentences == [])
    }
}
