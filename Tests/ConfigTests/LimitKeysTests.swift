// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// Limits, trusted proxies and the PROXY protocol: what is read, and how mistakes are told.
struct LimitKeysTests {
    @Test func `every key is read`() throws {
        let configuration = try Configuration.load(
            yaml: """
                listen:
                  - { address: ":1", trustedProxies: [10.0.0.0/8, "2001:db8::/32", "::1", 192.0.2.1, unix] }
                  - { address: ":2" }
                routes:
                  - { path: /a, to: chat, limits: { messagesPerSecond: 200, fragments: 64, bytesPerSecond: 2MiB, messagesPerSecondPerClient: 300, bytesPerSecondPerClient: 3MiB } }
                  - { path: /b, to: chat }
                upstreams: { chat: { endpoints: ["ws://h:1"], proxyProtocol: v2 } }
                limits: { connectionsPerClient: 100, newConnectionsPerSecond: 10 }

                """, file: "sluice.yaml")
        let limits = configuration.routes[0].limits
        #expect(limits.messagesPerSecond == 200)
        #expect(limits.fragments == 64)
        #expect(limits.bytesPerSecond == 2_097_152)
        #expect(limits.messagesPerSecondPerClient == 300)
        #expect(limits.bytesPerSecondPerClient == 3_145_728)
        #expect(configuration.routes[1].limits == RouteLimits())
        #expect(configuration.limits.connectionsPerClient == 100)
        #expect(configuration.limits.newConnectionsPerSecond == 10)
        #expect(configuration.upstreams["chat"]?.proxyProtocol == .v2)
        let trusted = configuration.listen[0].trustedProxies
        #expect(
            trusted.map(\.block) == ["10.0.0.0/8", "2001:db8::/32", "::1", "192.0.2.1", "unix"])
        #expect(trusted[1].place.description == "sluice.yaml:2:51")
        #expect(configuration.listen[1].trustedProxies.isEmpty)
    }

    private static let allowed =
        "allowed: an address or a block of them, as 10.0.0.0/8, 2001:db8::/32 or ::1, or unix"

    @Test(arguments: [
        (
            "[10.0.0.0/33]",
            "2:49: listen[0].trustedProxies[0]: found '/33' in '10.0.0.0/33', allowed: /0 to /32"
        ),
        (
            "[10.0.0.0/]",
            "2:49: listen[0].trustedProxies[0]: found '/' in '10.0.0.0/', allowed: /0 to /32"
        ),
        (
            "[\"::1\", \"::/129\"]",
            "2:56: listen[0].trustedProxies[1]: found '/129' in '::/129', allowed: /0 to /128"
        ),
        ("[10.0.0/8]", "2:49: listen[0].trustedProxies[0]: found '10.0.0/8', \(allowed)"),
        ("[10.0.0.0/8/8]", "2:49: listen[0].trustedProxies[0]: found '10.0.0.0/8/8', \(allowed)"),
        ("[10.0.0.256]", "2:49: listen[0].trustedProxies[0]: found '10.0.0.256', \(allowed)"),
        ("[localhost]", "2:49: listen[0].trustedProxies[0]: found 'localhost', \(allowed)"),
        ("[/8]", "2:49: listen[0].trustedProxies[0]: found '/8', \(allowed)"),
        ("[[]]", "2:49: listen[0].trustedProxies[0]: found a list, \(allowed)"),
        (
            "10.0.0.0/8",
            "2:48: listen[0].trustedProxies: found '10.0.0.0/8', allowed: a list of addresses, as 10.0.0.0/8"
        ),
    ])
    func `a mistake in trustedProxies is told with its place`(list: String, line: String) {
        let found = problems(
            of: """
                routes: [{ path: /a, to: "ws://h:1" }]
                listen: [{ address: ":1",   trustedProxies:    \(list) }]

                """)
        #expect(found == ["sluice.yaml:\(line)"])
    }

    @Test(arguments: [
        (
            "bytesPerSecond: 100B",
            "limits.bytesPerSecond: found '100B', allowed: 1KiB to 1024GiB"
        ),
        (
            "messagesPerSecond: 0",
            "limits.messagesPerSecond: found '0', allowed: a whole number, 1 to 1000000"
        ),
        ("fragments: 0", "limits.fragments: found '0', allowed: a whole number, 1 to 1000000"),
    ])
    func `a limit that would let nothing through is refused`(limit: String, line: String) {
        let found = problems(
            of: """
                listen: [{ address: ":1" }]
                routes: [{ path: /a, to: "ws://h:1", limits: { \(limit) } }]

                """)
        #expect(found.count == 1 && found[0].hasSuffix("routes[0].\(line)"), "\(found)")
    }
}
