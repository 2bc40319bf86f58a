// SPDX-License-Identifier: Apache-2.0
import Config
import Reactor
import Testing

@testable import sluice

/// What is printed at the start: the lines a person copies from.
struct AnnouncementTests {
    private let tls = TLSSettings(certificates: [CertificateSettings(chain: "a", key: "b")])

    private func lines(
        _ configuration: Configuration, at addresses: [String], example: String? = nil
    ) throws -> [String] {
        var announcement = Announcement(configuration: configuration)
        announcement.examplePath = example
        return announcement.lines(try addresses.map { try Address(parsing: $0) })
    }

    @Test func `quick mode says one URL for both loopback addresses`() throws {
        let configuration = Configuration.quick(
            listen: ["127.0.0.1:8443", "[::1]:8443"], tls: tls,
            to: .tcp(host: "localhost", port: 3000))
        #expect(
            try lines(configuration, at: ["127.0.0.1:8443", "[::1]:8443"]) == [
                "listening wss://127.0.0.1:8443", "listening wss://[::1]:8443",
                "route     wss://localhost:8443/… -> ws://localhost:3000",
            ])
    }

    @Test func `what is served is said beside the path of the app's own URL`() throws {
        func last(_ path: String, _ example: String) throws -> [String] {
            let configuration = Configuration.quick(
                listen: ["127.0.0.1:8443", "[::1]:8443"], tls: tls, path: path,
                to: .tcp(host: "localhost", port: 3000))
            return try lines(
                configuration, at: ["127.0.0.1:8443", "[::1]:8443"], example: example
            ).dropFirst(2).map(\.self)
        }
        #expect(
            try last("/*", "/Esv/ocp?a=1") == [
                "route     wss://localhost:8443/… -> ws://localhost:3000",
                "socket    wss://localhost:8443/Esv/ocp?a=1",
            ])
        #expect(
            try last("/chat", "/chat?a=1") == [
                "route     wss://localhost:8443/chat -> ws://localhost:3000",
                "socket    wss://localhost:8443/chat?a=1",
            ])
        #expect(
            try last("/chat", "/chat") == [
                "route     wss://localhost:8443/chat -> ws://localhost:3000"
            ]
        )
    }

    @Test(arguments: [
        ("192.0.2.1:443", true, "wss://192.0.2.1/chat"),
        ("192.0.2.1:80", false, "ws://192.0.2.1/chat"),
        ("192.0.2.1:443", false, "ws://192.0.2.1:443/chat"),
        ("[2001:db8::1]:8443", true, "wss://[2001:db8::1]:8443/chat"),
        (":8443", true, "wss://localhost:8443/chat"),
        ("0.0.0.0:8443", true, "wss://localhost:8443/chat"),
        ("unix:/run/s.sock", false, "unix:/run/s.sock /chat"),
    ])
    func `a route is a URL for each kind of listener`(
        address: String, isSecure: Bool, url: String
    ) throws {
        let configuration = Configuration.quick(
            listen: [address], tls: isSecure ? tls : nil, path: "/chat",
            to: .unix(path: "/run/app.sock"))
        #expect(
            try lines(configuration, at: [address]).last
                == "route     \(url) -> unix:/run/app.sock")
    }

    @Test func `ports are those that were bound`() throws {
        let configuration = Configuration.quick(
            listen: ["127.0.0.1:0"], tls: nil, to: .tcp(host: "::1", port: 3000))
        #expect(
            try lines(configuration, at: ["127.0.0.1:49152"]) == [
                "listening ws://127.0.0.1:49152",
                "route     ws://localhost:49152/… -> ws://[::1]:3000",
            ])
    }

    @Test func `a route's host and upstream are named`() throws {
        let configuration = Configuration(
            listen: [ListenerSettings(address: ":443", tls: tls)],
            routes: [RouteSettings(path: "/a/*", host: "a.example", to: .upstream("chat"))],
            upstreams: [
                "chat": UpstreamSettings(endpoints: [
                    .tcp(host: "10.0.0.1", port: 1), .tcp(host: "10.0.0.2", port: 2),
                ])
            ])
        #expect(
            try lines(configuration, at: ["0.0.0.0:443"]).last
                == "route     wss://a.example/a/… -> ws://10.0.0.1:1 ws://10.0.0.2:2")
    }

    @Test func `what is answered here has an https URL, and a redirect says where it leads`() throws
    {
        let configuration = Configuration(
            listen: [
                ListenerSettings(address: ":443", tls: tls),
                ListenerSettings(address: ":80", redirectsToHTTPS: true),
            ],
            routes: [
                RouteSettings(path: "/healthz", to: .respond(RespondSettings())),
                RouteSettings(
                    path: "/old/*",
                    to: .redirect(RedirectSettings(origin: "https://b.example", path: "/new/*"))),
            ])
        #expect(
            try lines(configuration, at: ["0.0.0.0:443", "0.0.0.0:80"]) == [
                "listening wss://0.0.0.0:443",
                "listening http://0.0.0.0:80 (sends everything on to https)",
                "route     https://localhost/healthz -> answer 200",
                "route     https://localhost/old/… -> redirect 308 https://b.example/new/*",
            ])
    }

    @Test func `a local authority is named with the way to trust it`() {
        var announcement = Announcement(configuration: Configuration())
        announcement.localAuthority = "/data/ca.pem"
        let lines = announcement.lines([])
        #expect(lines.contains("Clients must trust the local authority /data/ca.pem:"))
        #expect(lines.last?.contains("sluice cert trust") == true)
        #expect(lines.last?.contains("NODE_EXTRA_CA_CERTS=/data/ca.pem") == true)
    }
}
