// SPDX-License-Identifier: Apache-2.0
import Config
import Ledger
import Naming
import Reactor
import Router
import TLS
import Testing

@testable import Frontend
@testable import Service

/// Names that stand for endpoints: which endpoints they become, and what stays as it was.
struct NamedEndpointsTests {
    private static let service = NameQuestion.services("_ws._tcp.app.test")
    private static let host = NameQuestion.addresses("app.test")

    private func configuration(_ upstream: String) throws -> Configuration {
        try Configuration.load(
            yaml: """
                listen: [{ address: "127.0.0.1:0" }]
                routes: [{ path: /a, to: app }, { path: /b, to: rest }, { path: /c, to: app }]
                upstreams: { app: { \(upstream) }, rest: { endpoints: ["ws://127.0.0.1:9"] } }
                """, file: "s.yaml")
    }

    private func record(_ host: String, _ port: UInt16, priority: UInt16 = 1) -> ServiceRecord {
        ServiceRecord(host: host, port: port, priority: priority, weight: 1)
    }

    private func group(_ assembly: Assembly, _ index: Int = 0) throws -> EndpointGroup {
        try #require(assembly.routing.routes[index].upstream)
    }

    @Test func `a service is its records in their order, beside what else is written`()
        throws
    {
        let configuration = try configuration(
            "endpoints: [\"srv:_ws._tcp.app.test\", \"ws://127.0.0.1:1\", \"ws://b.test:2\"]")
        #expect(configuration.expandingNames == [Self.service])
        let found: NamesFound = [
            Self.service: .services([
                record("a.test", 2), record("b.test", 2), record("c.test", 2, priority: 3),
            ])
        ]
        let assembly = try Assembly(configuration, found: found)
        let endpoints = try group(assembly).endpoints
        // A place that is written twice is one endpoint.
        #expect(
            endpoints.map(\.label) == [
                "ws://a.test:2", "ws://b.test:2", "ws://c.test:2", "ws://127.0.0.1:1",
            ])
        #expect(endpoints.map(\.host) == ["a.test", "b.test", "c.test", nil])
        #expect(try group(assembly).standings.map(\.priority) == [1, 1, 3, 1])
    }

    @Test func `other weights make another group of the same endpoints`() throws {
        let configuration = try configuration("endpoints: [\"srv:_ws._tcp.app.test\"]")
        func found(_ weight: UInt16) -> NamesFound {
            [
                Self.service: .services([
                    record("a.test", 2),
                    ServiceRecord(host: "b.test", port: 2, priority: 1, weight: weight),
                ])
            ]
        }
        let even = try Assembly(configuration, found: found(1))
        #expect(try group(even).standings.isEmpty)
        let uneven = try Assembly(configuration, unchanged: even, found: found(5))
        #expect(try group(uneven).standings.map(\.weight) == [1, 5])
        #expect(try group(uneven) !== group(even))
        #expect(try group(uneven).endpoints[0] === group(even).endpoints[0])
        let same = try Assembly(configuration, unchanged: uneven, found: found(5))
        #expect(try group(same) === group(uneven))
    }

    @Test func `a service that nothing is known of has an endpoint without addresses`() throws {
        let configuration = try configuration("endpoints: [\"srv:_ws._tcp.app.test\"]")
        let endpoints = try group(Assembly(configuration)).endpoints
        #expect(endpoints.map(\.label) == ["srv:_ws._tcp.app.test"])
        #expect(endpoints[0].addresses.isEmpty && endpoints[0].host == nil)
    }

    @Test func `each address of one family is an endpoint, under the host's name`() throws {
        let configuration = try configuration(
            "endpoints: [\"ws://app.test:80\", \"ws://127.0.0.1:1\"], resolve: each")
        #expect(configuration.expandingNames == [Self.host])
        let both: [Address] = [
            .ipv4(10, 0, 0, 2, port: 0), .loopback(port: 0, isIPv6: true),
            .ipv4(10, 0, 0, 1, port: 0),
        ]
        let first = try Assembly(configuration, found: [Self.host: .addresses(both)])
        let endpoints = try group(first).endpoints
        #expect(
            endpoints.map(\.label) == ["ws://10.0.0.2:80", "ws://10.0.0.1:80", "ws://127.0.0.1:1"])
        #expect(endpoints[0].authority == "app.test:80")
        #expect(endpoints[0].addresses == [.ipv4(10, 0, 0, 2, port: 80)])
        let six = try Assembly(
            configuration, found: [Self.host: .addresses([.loopback(port: 0, isIPv6: true)])])
        #expect(try group(six).endpoints[0].label == "ws://[::1]:80")
    }

    @Test func `when names change, what stays is the same, and groups that stay are untouched`()
        throws
    {
        let configuration = try configuration(
            "endpoints: [\"srv:_ws._tcp.app.test\"], balance: leastConnections")
        let one = record("a.test", 2)
        let old = try Assembly(configuration, found: [Self.service: .services([one])])
        let kept = try group(old).endpoints[0]
        #expect(try group(old).picker.claim(nowMilliseconds: 0) == 0)
        let new = try Assembly(
            configuration, unchanged: old,
            found: [Self.service: .services([one, record("b.test", 2)])])
        #expect(try group(new).endpoints.count == 2)
        #expect(try group(new).endpoints[0] === kept)
        #expect(try group(new).picker.active(0) == 1)
        #expect(try group(new) === group(new, 2), "routes share their upstream")
        #expect(try group(new, 1) === group(old, 1), "the other upstream is the same object")
        let left = try Assembly(
            configuration, unchanged: new, found: [Self.service: .services([record("b.test", 2)])])
        #expect(try group(left).endpoints.map(\.label) == ["ws://b.test:2"])
        // The place at the endpoint that has left is given back to what it was taken from.
        try group(new).picker.closed(0)
        #expect(try group(old).picker.active(0) == 0)
    }

    @Test func `an address that moves from one name to another is verified by the new one`() throws
    {
        let configuration = try configuration(
            "endpoints: [\"wss://a.test:443\", \"wss://b.test:443\"], resolve: each, tls: { verify: false }"
        )
        let one = Address.ipv4(10, 0, 0, 1, port: 0)
        let two = Address.ipv4(10, 0, 0, 2, port: 0)
        func found(_ a: Address, _ b: Address) -> NamesFound {
            [.addresses("a.test"): .addresses([a]), .addresses("b.test"): .addresses([b])]
        }
        func names(_ group: EndpointGroup) -> [String?] {
            group.endpoints.map { group.destination(of: $0)?.serverName }
        }
        let assembly = try Assembly(configuration, found: found(one, two))
        let kept = try group(assembly)
        #expect(names(kept) == ["a.test", "b.test"])
        let moved = try group(
            Assembly(configuration, unchanged: assembly, found: found(two, one)))
        #expect(moved.endpoints.map(\.label) == ["wss://10.0.0.2:443", "wss://10.0.0.1:443"])
        #expect(moved.endpoints.map(\.authority) == ["a.test:443", "b.test:443"])
        #expect(names(moved) == ["a.test", "b.test"])
        #expect(!moved.endpoints.contains { new in kept.endpoints.contains { $0 === new } })
        // What stays is the same, with its sessions.
        let same = try group(
            Assembly(
                configuration, unchanged: assembly, found: found(one, .ipv4(10, 0, 0, 3, port: 0))))
        #expect(same.endpoints[0] === kept.endpoints[0])
        #expect(same.destination(of: same.endpoints[0]) === kept.destination(of: kept.endpoints[0]))
    }
}
