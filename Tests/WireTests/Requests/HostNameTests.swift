// SPDX-License-Identifier: Apache-2.0

import Testing
import Wire

@Suite struct HostNameTests {
    static func host(_ text: String) throws -> HostName {
        try HostName(parsing: Array(text.utf8)[...])
    }

    @Test(
        arguments: [
            ("localhost", "localhost", nil),
            ("A.Example.COM:8443", "a.example.com", 8443),
            ("a.example.", "a.example", nil),
            ("a.example.:80", "a.example", 80),
            ("127.0.0.1:1", "127.0.0.1", 1),
            ("my_host-1", "my_host-1", nil),
            ("xn--bcher-kva.example", "xn--bcher-kva.example", nil),
            ("a:65535", "a", 65535),
            ("a:00080", "a", 80),
        ] as [(String, String, UInt16?)])
    func `a name has one form`(text: String, name: String, port: UInt16?) throws {
        let host = try Self.host(text)
        #expect(host.name == name)
        #expect(host.port == port)
        #expect(!host.isIPv6)
    }

    @Test(
        arguments: [
            ("[::1]", "::1", nil),
            ("[::]:443", "::", 443),
            ("[FE80::1]", "fe80::1", nil),
            ("[1:2:3:4:5:6:7:8]", "1:2:3:4:5:6:7:8", nil),
            ("[1::8]", "1::8", nil),
            ("[1:2:3:4:5:6:7::]", "1:2:3:4:5:6:7::", nil),
            ("[::ffff:192.0.2.1]:80", "::ffff:192.0.2.1", 80),
            ("[1:2:3:4:5:6:1.2.3.4]", "1:2:3:4:5:6:1.2.3.4", nil),
        ] as [(String, String, UInt16?)])
    func `an IPv6 address stands in brackets`(text: String, name: String, port: UInt16?) throws {
        let host = try Self.host(text)
        #expect(host.name == name)
        #expect(host.port == port)
        #expect(host.isIPv6)
    }

    @Test(
        arguments: [
            ("localhost:1", true), ("LocalHost.", true), ("a.b.localhost", true),
            ("127.0.0.1", true), ("127.255.1.2:80", true), ("[::1]", true), ("[0:0::0001]", true),
            ("localhost.a", false), ("xlocalhost", false), ("127.0.0.1.a", false),
            ("127.1", false), ("127.0.0.256", false), ("12.7.0.1", false), ("[::]", false),
            ("[::11]", false), ("[1::1]", false), ("[1::]", false), ("[::127.0.0.1]", false),
        ])
    func `loopback is this machine by whatever name (RFC 6761 §6.3)`(text: String, isIt: Bool)
        throws
    {
        #expect(try Self.host(text).isLoopback == isIt)
    }

    static let name = "The host is not a name or address."
    static let port = "The host's port is not a number from 1 to 65535."
    static let address = "The host in brackets is not an IPv6 address."

    static let refused: [(String, String)] = [
        ("", "The host is empty."),
        (".", name), ("..", name), ("a..b", name), (".a", name), ("a..", name), (":80", name),
        ("a b", name), ("user@a", name), ("a/b", name), ("a%2eb", name), ("a,b", name),
        ("\u{E9}", name), ("a\\b", name), ("a*", name), ("::1", name), ("1]", name),
        ("a:", port), ("a:0", port), ("a:65536", port), ("a:123456", port), ("a:+1", port),
        ("a:1:2", port), ("a:8o", port), ("user:pass@a", port), ("[::1]x", port),
        ("[::1]:", port), ("[::1]80", port),
        ("[::1", "The host has an opening bracket without a closing one."),
        ("[]", address), ("[:]", address), ("[:::]", address), ("[1]", address),
        ("[::1%eth0]", address), ("[1::2::3]", address), ("[1:2:3:4:5:6:7]", address),
        ("[1:2:3:4:5:6:7:8:9]", address), ("[1:2:3:4:5:6:7:8::]", address), ("[12345::]", address),
        ("[g::]", address), ("[:1]", address), ("[1:]", address), ("[127.0.0.1]", address),
        ("[::1.2.3]", address), ("[::1.2.3.256]", address), ("[::01.2.3.4]", address),
        ("[::1.2.3.4:5]", address), ("[1.2.3.4::]", address), ("[v1.a]", address),
    ]

    @Test(arguments: refused)
    func `anything else is refused`(text: String, sentence: String) {
        #expect(throws: HeadFault(status: 400, sentence: sentence)) { try Self.host(text) }
    }

    @Test func `labels and names have the lengths of DNS`() throws {
        let label = String(repeating: "a", count: 63)
        _ = try Self.host(label)
        #expect(throws: HeadFault.self) { try Self.host(label + "a") }
        let long = Array(repeating: label, count: 4).joined(separator: ".")
        #expect(throws: HeadFault.self) { try Self.host(long) }
        _ = try Self.host(String(long.dropLast(2)))
    }
}
