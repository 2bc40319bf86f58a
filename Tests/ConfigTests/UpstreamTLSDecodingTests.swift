// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// `upstreams.NAME.tls`: what is read, and what makes no sense.
struct UpstreamTLSDecodingTests {
    private static let start = """
        listen: [{ address: ":1" }]
        routes: [{ path: /a, to: app }]

        """

    private func read(_ upstream: String) throws -> Configuration {
        try Configuration.load(
            yaml: Self.start + "upstreams: { app: \(upstream) }", file: "/etc/s.yaml")
    }

    @Test func `every key is read`() throws {
        let tls = try #require(
            try read(
                "{ endpoints: [\"https://h:1\"], tls: { ca: ca.pem, serverName: app.internal, minimumVersion: \"1.3\","
                    + " certificate: { chain: c.pem, key: /k.pem } } }"
            ).upstreams["app"]?.tls)
        #expect(tls.authorities == "/etc/ca.pem" && tls.serverName == "app.internal")
        #expect(tls.minimumVersion == .tls13 && tls.isVerifying)
        #expect(tls.certificate?.chain == "/etc/c.pem" && tls.certificate?.key == "/k.pem")
        let bare = try #require(try read("{ endpoints: [\"wss://h\"] }").upstreams["app"])
        #expect(bare.tls == UpstreamTLSSettings() && bare.endpoints[0].address.isSecure)
    }

    @Test(arguments: [
        (
            "{ endpoints: [\"ws://h:1\", \"unix:/a\"], tls: { ca: a } }",
            "upstreams.app.tls: has no meaning: none of the endpoints speaks TLS. Write wss://host:port or https://host:port for one that does"
        ),
        (
            "{ endpoints: [\"wss://h:1\"], tls: { verify: false, ca: a } }",
            "upstreams.app.tls.ca: has no meaning with verify: false: nobody is asked"
        ),
        (
            "{ endpoints: [\"wss://h:1\"], tls: { serverName: \"a:1\" } }",
            "upstreams.app.tls.serverName: found 'a:1', allowed: a host name or address, without port and brackets"
        ),
        (
            "{ endpoints: [\"wss://h:1\"], tls: { certificate: { chain: a } } }",
            "upstreams.app.tls.certificate"
        ),
    ])
    func `what makes no sense is said`(upstream: String, sentence: String) {
        let found = problems(of: Self.start + "upstreams: { app: \(upstream) }")
        #expect(found.count == 1 && found.first?.contains(sentence) == true, "\(found)")
    }
}
