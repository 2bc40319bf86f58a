// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Config

/// URLs of endpoints, and the addresses in them.
struct EndpointAddressTests {
    @Test(arguments: [
        ("ws://127.0.0.1:9000", EndpointAddress.tcp(host: "127.0.0.1", port: 9000)),
        ("WS://localhost:1/", .tcp(host: "localhost", port: 1)),
        ("ws://my_app.internal.", .tcp(host: "my_app.internal.", port: 80)),
        ("ws://[::1]:65535", .tcp(host: "::1", port: 65_535)),
        ("ws://[fe80::1]", .tcp(host: "fe80::1", port: 80)),
        ("wss://app.internal", .tls(host: "app.internal", port: 443)),
        ("HTTPS://localhost:5001/", .tls(host: "localhost", port: 5001)),
        ("https://[::1]:65535", .tls(host: "::1", port: 65_535)),
        ("unix:/run/app.sock", .unix(path: "/run/app.sock")),
        ("unix:///run/app.sock", .unix(path: "/run/app.sock")),
        ("srv:_ws._tcp.example.com", .service(name: "_ws._tcp.example.com")),
        ("srv:_WS._tcp.Example.com.", .service(name: "_ws._tcp.example.com")),
    ])
    func `endpoints`(text: String, expected: EndpointAddress) throws {
        #expect(try EndpointAddress(parsing: text) == expected)
        #expect(try EndpointAddress(parsing: expected.description) == expected)
    }

    @Test(
        arguments: [
            ("", "found '', allowed: ws://host:port, wss://host:port, unix:/path or srv:name", nil),
            (
                "127.0.0.1:9000",
                "found '127.0.0.1:9000', allowed: ws://host:port, wss://host:port, unix:/path or srv:name",
                "ws://127.0.0.1:9000"
            ),
            (
                "9000",
                "found '9000', allowed: ws://host:port, wss://host:port, unix:/path or srv:name",
                "ws://127.0.0.1:9000"
            ),
            (
                "tcp://h:1",
                "found 'tcp://h:1', allowed: ws://host:port, wss://host:port, unix:/path or srv:name",
                nil
            ),
            (
                "https://h:1/a",
                "found 'https://h:1/a', but an endpoint has no path; the route's rewrite says which path the upstream sees",
                "https://h:1"
            ),
            (
                "ws://h:1?a",
                "found 'ws://h:1?a', but an endpoint has no path; the route's rewrite says which path the upstream sees",
                "ws://h:1"
            ),
            (
                "ws://u:p@h:1",
                "found 'ws://u:p@h:1', but an endpoint has no user name or password", nil
            ),
            (
                "srv:_ws._tcp.exam ple",
                "found 'srv:_ws._tcp.exam ple', allowed: srv: with the name of a service, as in srv:_ws._tcp.example.com",
                nil
            ),
            (
                "srv:example",
                "found 'srv:example', allowed: srv: with the name of a service, as in srv:_ws._tcp.example.com",
                nil
            ),
            (
                "srv:_._tcp..com:80",
                "found 'srv:_._tcp..com:80', allowed: srv: with the name of a service, as in srv:_ws._tcp.example.com",
                nil
            ),
            ("ws://", "found the host '' in 'ws://', allowed: a host name or address", nil),
            (
                "ws://a b", "found the host 'a b' in 'ws://a b', allowed: a host name or address",
                nil
            ),
            ("ws://h:0", "found the port '0' in 'ws://h:0', allowed: 1 to 65535", nil),
            ("ws://h:", "found the port '' in 'ws://h:', allowed: 1 to 65535", nil),
            ("ws://h:+1", "found the port '+1' in 'ws://h:+1', allowed: 1 to 65535", nil),
            (
                "ws://::1",
                "found 'ws://::1', but an IPv6 address stands in brackets, as in ws://[::1]:9000",
                nil
            ),
            ("ws://[::1", "found 'ws://[::1', allowed in brackets: an IPv6 address", nil),
            ("ws://[h]:1", "found 'ws://[h]:1', allowed in brackets: an IPv6 address", nil),
            ("ws://[::1]1", "found 'ws://[::1]1', allowed: ws://[address]:port", nil),
            (
                "unix:run/a",
                "found 'unix:run/a', allowed: unix: with an absolute path, as in unix:/run/app.sock",
                nil
            ),
            ("unix:/", "found 'unix:/', allowed: unix: with the path of a socket", nil),
        ] as [(String, String, String?)])
    func `what is no endpoint`(text: String, sentence: String, suggestion: String?) {
        #expect(throws: EndpointFault(sentence, suggestion: suggestion)) {
            try EndpointAddress(parsing: text)
        }
    }

    @Test func `a socket path fits into its address`() throws {
        let longest = "/" + String(repeating: "a", count: 106)
        #expect(try EndpointAddress(parsing: "unix:" + longest) == .unix(path: longest))
        #expect(throws: EndpointFault("found a socket path of 108 bytes, allowed: 107")) {
            try EndpointAddress(parsing: "unix:" + longest + "a")
        }
    }

    @Test(arguments: [
        "::", "::1", "1::", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4",
    ])
    func `IPv6 addresses`(text: String) {
        #expect(Syntax.isIPv6(text[...]))
    }

    @Test(arguments: [
        "", ":", "1", ":::", "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "12345::", "g::",
        "1.2.3.4", "1.2.3.4::", ":1:2:3:4:5:6:7", "::1:2:3:4:5:6:7:8",
    ])
    func `no IPv6 addresses`(text: String) {
        #expect(!Syntax.isIPv6(text[...]))
    }

    @Test(arguments: [
        ("1.2.3.4", true), ("01.2.3.4", false), ("1.2.3", false), ("1.2.3.256", false),
    ])
    func `IPv4 addresses`(text: String, isAddress: Bool) {
        #expect(Syntax.isIPv4(text[...]) == isAddress)
    }
}
