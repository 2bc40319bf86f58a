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
            "when: { fields: { X_A: b, x-a: c } }",
            "2:64: routes[0].when.fields: found 'x-a' a second time"
        ),
        (
            "when: { fields: { X-A: \" b\" } }",
            "2:61: routes[0].when.fields.X-A: can never be met: blanks around the value of a field are no part of it"
        ),
        (
            "when: { query: { v: \"a b*\" } }",
            "2:58: routes[0].when.query.v: can never be met: the query is compared as it is sent, where blanks and letters outside ASCII are escapes, as 'a%20b' or 'a+b' for 'a b'"
        ),
        (
            "when: { query: { v: Zoë } }",
            "2:58: routes[0].when.query.v: can never be met: the query is compared as it is sent, where blanks and letters outside ASCII are escapes, as 'a%20b' or 'a+b' for 'a b'"
        ),
        (
            "when: { query: { v: a&b } }",
            "2:58: routes[0].when.query.v: can never be met: '&' and '#' end a parameter, allowed: %26 and %23"
        ),
        (
            "when: { query: { v: \"a#b\" } }",
            "2:58: routes[0].when.query.v: can never be met: '&' and '#' end a parameter, allowed: %26 and %23"
        ),
        (
            "when: { upgrade: false, fields: { upgrade: \"h2c, WebSocket\" } }",
            "2:44: routes[0].when: can never be met: 'upgrade: false' is for requests without 'websocket' in their field Upgrade, and 'fields' has 'h2c, WebSocket'"
        ),
        (
            "when: { upgrade: true, fields: { Upgrade: h2c } }",
            "2:44: routes[0].when: can never be met: 'upgrade: true' is for requests with 'websocket' in their field Upgrade, and 'fields' has 'h2c'"
        ),
        (
            "when: { query: {} }",
            "2:53: routes[0].when.query: found nothing, allowed: one or more of the parameters"
        ),
    ])
    func `a mistake is told with its place`(route: String, line: String) {
        #expect(problems(of: Self.file(route)) == ["sluice.yaml:\(line)"])
    }

    @Test(arguments: [
        "upgrade: true, fields: { Upgrade: websocket }", "upgrade: false, fields: { Upgrade: h2c }",
        "upgrade: true, fields: { Upgrade: \"*\" }",
        "upgrade: false, fields: { Upgrade: \"*h2c\" }",
        "upgrade: false, fields: { Connection: Upgrade }", "fields: { X-A: Zoë, X-B: a & b#c }",
        "query: { v: a%20b, w: a+b, x: \"a=b?/;\", y: \"*\", V: a%26b }",
    ])
    func `conditions that some request fits are taken`(when: String) {
        #expect(problems(of: Self.file("when: { \(when) }")).isEmpty)
    }
}
