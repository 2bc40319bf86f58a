// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// What requests of a route have to be beside host and path.
struct WhenKeysTests {
    private static func file(_ route: String) -> String {
        """
        listen: [{ address: ":1", name: inner }]
        routes: [{ path: /a, to: "ws://h:1", \(route) }]

        """
    }

    @Test func `conditions are read, and name the route`() throws {
        let configuration = try Configuration.load(
            yaml: Self.file(
                "listen: [inner], when: { upgrade: false, methods: [PUT, POST], fields: { X-Tier: b* }, query: { v: 1 } }"
            ),
            file: "sluice.yaml")
        let route = try #require(configuration.routes.first)
        #expect(configuration.listen.first?.name == "inner")
        #expect(route.listen == ["inner"])
        #expect(route.when.upgrade == false && route.when.methods == ["PUT", "POST"])
        #expect(
            route.when.fields.map(\.name) == ["X-Tier"] && route.when.query.map(\.value) == ["1"])
        #expect(route.name == "/a[listen=inner,upgrade=false,methods=POST+PUT,X-Tier=b*,?v=1]")
    }

    @Test(arguments: [
        (
            "listen: [outer]",
            "2:47: routes[0].listen[0]: found 'outer', which no listener is called, allowed: inner"
        ),
        (
            "listen: []",
            "2:46: routes[0].listen: found an empty list, allowed: one or more names of listeners"
        ),
        (
            "when: {}",
            "2:44: routes[0].when: found no rule, allowed: one or more of upgrade, methods, fields, query"
        ),
        (
            "when: { methods: [get] }",
            "2:56: routes[0].when.methods[0]: found 'get', allowed: a method in capital letters, as GET (did you mean 'GET'?)"
        ),
        (
            "when: { upgrade: true, methods: [POST] }",
            "2:44: routes[0].when: can never be met: a request for a WebSocket is a GET, and 'methods' has none"
        ),
        (
            "when: { fields: { \"a b\": c } }",
            "2:56: routes[0].when.fields: found 'a b', allowed: the name of one of the fields"
        ),
        (
            "when: { fields: { A: b, a: c } }",
            "2:62: routes[0].when.fields: found 'a' a second time"
        ),
        (
            "when: { fields: { X_Forwarded-For: 10.* } }",
            "2:54: routes[0].when.fields: found 'X_Forwarded-For', which any client can send, so that it tells nothing of the way, allowed: other fields; routes[].listen and routes[].access.addresses judge where requests come from"
        ),
        (
            "when: { query: {} }",
            "2:53: routes[0].when.query: found nothing, allowed: one or more of the parameters"
        ),
    ])
    func `a mistake is told with its place`(route: String, line: String) {
        #expect(problems(of: Self.file(route)) == ["sluice.yaml:\(line)"])
    }
}
