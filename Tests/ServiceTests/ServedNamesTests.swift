// SPDX-License-Identifier: Apache-2.0
import Reactor
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
        ("127.0.0.1", "127.0.0.1", nil), ("127.0.0.1:4711", "127.0.0.1", 4711),
        ("::1", "::1", nil), ("[::1]:4711", "::1", 4711), ("2001:DB8:0::7", "2001:db8::7", nil),
        ("localhost", nil, nil), ("", nil, nil), (":80", nil, nil), ("unix:/a", nil, nil),
        ("300.1.1.1", nil, nil),
    ])
    func `a client is named by its address, with or without a port`(
        wanted: String, host: String?, port: UInt16?
    ) throws {
        let name = ClientName(wanted)
        #expect(name?.host == host && name?.port == port)
        guard let name else { return }
        for other in [UInt16(4711), 4712] {
            let text = name.host.contains(":") ? "[\(name.host)]:\(other)" : "\(name.host):\(other)"
            #expect(name.takes(try Address(parsing: text)) == (port == nil || port == other))
        }
    }

    @Test(arguments: [
        ("9001", "ws://127.0.0.1:9001"), ("127.0.0.1", ""),
        ("ws://127.0.0.1:9010", "ws://127.0.0.1:9001"), ("app.test", "ws://app.test:80"),
    ])
    func `an endpoint that was probably meant is named`(wanted: String, label: String) {
        let names = ServedNames(
            routes: [],
            endpoints: ["ws://127.0.0.1:9001", "ws://127.0.0.1:9200", "ws://app.test:80"])
        // Two have that host.
        let hasOne = wanted != "127.0.0.1"
        #expect(
            names.noEndpoint(wanted).hasSuffix(hasOne ? " Did you mean \(label)?" : "app.test:80."))
    }

    @Test func `what is not there is told what is`() {
        #expect(
            names.noRoute("/xyz") == "There is no route /xyz; there are /*, *.example.com/chat/*.")
        #expect(
            ServedNames(routes: ["/*"], endpoints: []).noRoute("/xyz")
                == "There is no route /xyz; there is /*.")
        #expect(
            ServedNames(routes: [], endpoints: []).noEndpoint("a:1")
                == "There is no endpoint a:1; there are no endpoints.")
        let many = ServedNames(routes: (1...10).map { "/\($0)" }, endpoints: [])
        #expect(many.noRoute("/xyz").hasSuffix("/8 and 2 more."))
        #expect(
            ServedNames.noClient("192.0.2.7", among: [])
                == "No live relay is of the client 192.0.2.7; there are none of others either.")
        let clients = (1...9).map { "192.0.2.\($0)" }
        #expect(ServedNames.noClient("::1", among: clients).hasSuffix("192.0.2.8 and 1 more."))
    }
}
