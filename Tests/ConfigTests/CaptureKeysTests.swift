// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// Names in braces: those of paths, and what values of fields may tell.
struct CaptureKeysTests {
    private static func file(_ route: String) -> String {
        """
        listen: [{ address: ":1" }]
        routes: [{ to: app, \(route) }]
        upstreams: { app: { endpoints: ["ws://h:1"], balance: hash(path:station) } }

        """
    }

    @Test func `values tell segments of the path and words, in requests and answers`() throws {
        let configuration = try Configuration.load(
            yaml: Self.file(
                "path: \"/ocpp/{station}\", request: { set: { X-Station: \"{station}\", X-Real-IP: \"{client}\" } },"
                    + " answer: { add: { X-Who: \"{subject} of {station}\" } }"),
            file: "sluice.yaml")
        let route = try #require(configuration.routes.first)
        #expect(route.request.set.map(\.value.parts) == [[.capture("station")], [.word(.client)]])
        #expect(
            route.answer.add.map(\.value.parts)
                == [[.word(.subject), .text(" of "), .capture("station")]])
        #expect(configuration.upstreams["app"]?.balance == .hash(.segment("station")))
        #expect(configuration.upstreams["app"]?.balance.description == "hash(path:station)")
    }

    @Test func `requests and answers may tell the name of the WebSocket`() throws {
        let configuration = try Configuration.load(
            yaml: Self.file(
                "path: \"/ocpp/{station}\", request: { set: { X-Relay: \"{relay}\" } },"
                    + " answer: { set: { X-Relay: \"ws {relay}\" } }"),
            file: "sluice.yaml")
        let route = try #require(configuration.routes.first)
        #expect(route.request.set.map(\.value.parts) == [[.word(.relay)]])
        #expect(route.answer.set.map(\.value.parts) == [[.text("ws "), .word(.relay)]])
    }

    @Test func `segments by whose values is counted are those of the path, each once`() throws {
        let configuration = try Configuration.load(
            yaml: Self.file(
                "path: \"/{tenant}/{station}/*\", metrics: { captures: [tenant, station] }"),
            file: "sluice.yaml")
        #expect(configuration.routes.first?.metrics.captures == ["tenant", "station"])
        #expect(
            problems(
                of: Self.file(
                    "path: \"/{tenant}/x\", metrics: { captures: [tenant, tenat, tenant] }"))
                == [
                    "sluice.yaml:2:72: routes[0].metrics.captures[1]: found 'tenat', allowed: tenant"
                        + " (did you mean 'tenant'?)",
                    "sluice.yaml:2:79: routes[0].metrics.captures[2]: found 'tenant' a second time",
                ])
    }

    @Test(arguments: [
        (
            "path: /a, metrics: { captures: [b] }",
            "2:53: routes[0].metrics.captures[0]: found 'b', allowed: none, since the path has no segment with a name"
        ),
        (
            "path: \"/{b}\", metrics: { captures: [] }",
            "2:56: routes[0].metrics.captures: found an empty list, allowed: one or more names of segments of the path"
        ),
        (
            "path: \"/{b}\", metrics: { captures: b }",
            "2:56: routes[0].metrics.captures: found 'b', allowed: a list of names of segments of the path"
        ),
        (
            "path: \"/{b}\", metrics: { capture: [b] }",
            "2:46: routes[0].metrics: unknown key 'capture', allowed: captures (did you mean 'captures'?)"
        ),
        (
            "path: \"/ocpp/{station}\", request: { set: { X: \"{statoin}\" } }",
            "2:67: routes[0].request.set.X: found {statoin}, allowed: {client}, {host}, {scheme}, {port}, {sni}, {relay}, {subject}, {station}, or {{ for a brace (did you mean '{station}'?)"
        ),
        (
            "path: /a, answer: { add: { X: \"{clinet}\" } }",
            "2:51: routes[0].answer.add.X: found {clinet}, allowed: {client}, {host}, {scheme}, {port}, {sni}, {relay}, {subject}, or {{ for a brace (did you mean '{client}'?)"
        ),
        (
            "path: \"/a/{client}\"",
            "2:27: routes[0].path: found {client}, which is a word of Sluice's own, allowed: another name"
        ),
    ])
    func `a name that is none is told with its place`(route: String, line: String) {
        #expect(problems(of: Self.file(route)) == ["sluice.yaml:\(line)"])
    }
}
