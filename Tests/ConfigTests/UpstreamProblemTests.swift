// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// What is wrong with how endpoints are chosen and checked, told with its place.
struct UpstreamProblemTests {
    private static let smallest = """
        listen: [{ address: ":1" }]
        routes: [{ path: /a, to: "ws://h:1" }]

        """

    @Test(arguments: [
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], balance: random } }",
            "3:53: upstreams.a.balance: found 'random', allowed: leastConnections, roundRobin, random2, hash(path), hash(path:NAME), hash(header:NAME), hash(cookie:NAME), hash(client) (did you mean 'random2'?)"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], balance: hash(cookie:) } }",
            "3:53: upstreams.a.balance: found 'hash(cookie:)', allowed: leastConnections, roundRobin, random2, hash(path), hash(path:NAME), hash(header:NAME), hash(cookie:NAME), hash(client) (did you mean 'hash(cookie:NAME)'?)"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], cooldown: 30s, cooldownMax: 20s } }",
            "3:72: upstreams.a.cooldownMax: found '20s', allowed: no less than cooldown, 30s"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], sticky: { cookie: a b } } }",
            "3:62: upstreams.a.sticky.cookie: found 'a b', allowed: the name of a cookie, as sluice"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], sticky: { path: \"/a;b\" } } }",
            "3:60: upstreams.a.sticky.path: found '/a;b', allowed: a path that begins with '/', without ';'"
        ),
        (
            "upstreams: { a: { endpoints: [{ weight: 1 }] } }",
            "3:31: upstreams.a.endpoints[0]: 'url' is missing"
        ),
        (
            "upstreams: { a: { endpoints: [{ url: \"ws://h:1\", weight: -1 }] } }",
            "3:58: upstreams.a.endpoints[0].weight: found '-1', allowed: a whole number, 0 to 65535"
        ),
        (
            "upstreams: { a: { endpoints: [{ url: \"ws://h:1\", name: a b }] } }",
            "3:56: upstreams.a.endpoints[0].name: found 'a b', allowed: a name of letters, digits, '-', '_' and '.', up to 64"
        ),
        (
            "upstreams: { a: { endpoints: [{ url: \"ws://h:1\", name: b }, { url: \"ws://i:1\", name: b }] } }",
            "3:61: upstreams.a.endpoints: found the name 'b', which the endpoint at sluice.yaml:3:31 has too, allowed: a name for each"
        ),
        (
            "upstreams: { a: { endpoints: [{ url: \"srv:_a._tcp.b\", weight: 2 }] } }",
            "3:63: upstreams.a.endpoints[0].weight: has no meaning for a service, which stands for many endpoints"
        ),
        (
            "upstreams: { a: { resolve: each, endpoints: [{ url: \"ws://h:1\", name: b }] } }",
            "3:46: upstreams.a.endpoints: found a name for 'h', which stands for an endpoint for each of its addresses with resolve: each, allowed: no name"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], source: [app.internal] } }",
            "3:53: upstreams.a.source[0]: found 'app.internal', allowed: an IPv4 or IPv6 address of this machine, without port and brackets"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], source: [10.0.0.1, 10.0.0.1] } }",
            "3:63: upstreams.a.source[1]: found '10.0.0.1' twice, allowed: each address once"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], queue: { wait: 2s } } }",
            "3:51: upstreams.a.queue: has no meaning without maxConnections: nobody has to wait"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], health: { path: healthz } } }",
            "3:60: upstreams.a.health.path: found 'healthz', allowed: a path, as /healthz (did you mean '/healthz'?)"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], health: { kind: tcp, path: / } } }",
            "3:71: upstreams.a.health.path: has no meaning where kind is tcp: nothing is asked for"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], health: { kind: websocket, status: 101 } } }",
            "3:79: upstreams.a.health.status: has no meaning where kind is websocket: it is always 101"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], health: { every: 1ms } } }",
            "3:61: upstreams.a.health.every: found '1ms', allowed: 100ms to 1h"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], cooldown: 10m } }",
            "3:54: upstreams.a.cooldown: found '10m', allowed: no more than cooldownMax, 2m"
        ),
        (
            "limits: { targetBytes: 64KiB }",
            "3:24: limits.targetBytes: found 65536 bytes, allowed: no more than headBytes, which is 16384"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], cooldown: 2h } }",
            "3:54: upstreams.a.cooldown: found '2h', allowed: 0s to 1h"
        ),
        (
            "upstreams: { a: { endpoints: [\"ws://h:1\"], health: { path: /, status: [200, 101] } } }",
            "3:77: upstreams.a.health.status[1]: found '101', allowed: a whole number, 200 to 599"
        ),
    ])
    func `a wrong value is told with its place and what is allowed`(yaml: String, line: String) {
        #expect(problems(of: Self.smallest + yaml) == ["sluice.yaml:" + line])
    }
}
