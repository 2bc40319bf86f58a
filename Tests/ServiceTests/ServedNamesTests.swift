// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Service

/// How people name what is served.
struct ServedNamesTests {
    private let names = ServedNames(
        routes: ["/*", "*.example.com/chat/*"],
        endpoints: ["unix:/run/a.sock", "ws://127.0.0.1:9000", "ws://[::1]:9000"])

    @Test(arguments: [
        ("ws://127.0.0.1:9000", "ws://127.0.0.1:9000"), ("127.0.0.1:9000", "ws://127.0.0.1:9000"),
        ("[::1]:9000", "ws://[::1]:9000"), ("unix:/run/a.sock", "unix:/run/a.sock"),
        ("127.0.0.1:900", nil), ("ws://", nil), ("", nil),
    ])
    func `an endpoint is named with or without its scheme`(wanted: String, label: String?) {
        #expect(names.endpoint(wanted) == label)
    }

    @Test(arguments: [
        ("127.0.0.1", "127.0.0.1"), ("127.0.0.1:4711", "127.0.0.1"), ("::1", "::1"),
        ("[::1]:4711", "::1"), ("2001:DB8:0::7", "2001:db8::7"), ("localhost", nil), ("", nil),
        (":80", nil), ("unix:/a", nil), ("300.1.1.1", nil),
    ])
    func `a client is named by its address, with or without a port`(
        wanted: String, host: String?
    ) {
        #expect(ServedNames.client(wanted) == host)
    }

    @Test func `what is not there is told what is`() {
        #expect(
            names.noRoute("/x") == "There is no route /x; there are /*, *.example.com/chat/*.")
        #expect(
            ServedNames(routes: ["/*"], endpoints: []).noRoute("/x")
                == "There is no route /x; there is /*.")
        #expect(
            ServedNames(routes: [], endpoints: []).noEndpoint("a:1")
                == "There is no endpoint a:1; there are no endpoints.")
        let many = ServedNames(routes: (1...10).map { "/\($0)" }, endpoints: [])
        #expect(many.noRoute("/x").hasSuffix("/8 and 2 more."))
        #expect(
            ServedNames.noClient("192.0.2.7", among: [])
                == "No live relay is of the client 192.0.2.7; there are none of others either.")
        let clients = (1...9).map { "192.0.2.\($0)" }
        #expect(ServedNames.noClient("::1", among: clients).hasSuffix("192.0.2.8 and 1 more."))
    }
}
