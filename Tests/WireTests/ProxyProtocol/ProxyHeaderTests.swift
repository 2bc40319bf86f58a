// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing

@testable import Wire

/// The PROXY protocol, byte for byte as its specification shows it.
struct ProxyHeaderTests {
    static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]

    @Test(arguments: [
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            ProxyHeader.Source.text(host: "255.255.255.255", port: 65_535)
        ),
        ("PROXY TCP6 2001:db8::1 ::1 1 443\r\n", .text(host: "2001:db8::1", port: 1)),
        ("PROXY UNKNOWN\r\n", .none),
        ("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n", .none),
    ])
    func `lines of version 1`(line: String, source: ProxyHeader.Source) {
        let bytes = Array(line.utf8)
        #expect(ProxyHeader.read(bytes + [0x16, 3]) == .complete(length: bytes.count, source))
        for count in 0..<bytes.count {
            #expect(ProxyHeader.read(Array(bytes[..<count])) == .needsMore, "\(count) bytes")
        }
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n", "PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n",
        "PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n", "PROXY UDP4 1.2.3.4 1.2.3.4 1 2\r\n",
        "PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n", "PROXY UNKNOWN\n", "\u{16}\u{3}\u{1}",
        "PROXY UNKNOWN " + String(repeating: "x", count: 120),
    ])
    func `what is no header is refused`(text: String) {
        guard case .failed = ProxyHeader.read(Array(text.utf8)) else {
            Issue.record("\(ProxyHeader.read(Array(text.utf8)))")
            return
        }
    }

    @Test func `version 2 names IPv4, IPv6 or nobody`() {
        let ipv4: [UInt8] =
            Self.signature + [0x21, 0x11, 0, 12, 192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 1, 0xBB]
        #expect(ProxyHeader.read(ipv4) == .complete(length: 28, .ipv4(0xC000_0201, port: 12_345)))
        let address: [UInt8] = [0x20, 1, 0x0D, 0xB8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]
        let ipv6 = Self.signature + [0x21, 0x21, 0, 39] + address + address + [0, 80, 1, 0xBB]
        // Three bytes of a further value stand behind, which is passed over.
        #expect(
            ProxyHeader.read(ipv6 + [4, 0, 0])
                == .complete(
                    length: 55, .ipv6(high: 0x2001_0DB8_0000_0000, low: 7, port: 80)))
        #expect(ProxyHeader.read(ipv6) == .needsMore)
        let local = Self.signature + [0x20, 0, 0, 0]
        #expect(ProxyHeader.read(local) == .complete(length: 16, .none))
        let unix = Self.signature + [0x21, 0x31, 0, 2, 0, 0]
        #expect(ProxyHeader.read(unix) == .complete(length: 18, .none))
        for count in 0..<ipv4.count {
            #expect(ProxyHeader.read(Array(ipv4[..<count])) == .needsMore, "\(count) bytes")
        }
    }

    @Test(
        arguments: [
            [0x11, 0x11, 0, 12], [0x22, 0x11, 0, 12], [0x21, 0x11, 0, 4, 1, 2, 3, 4],
            [0x21, 0x21, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [0x21, 0x11, 0xFF, 0xFF],
        ] as [[UInt8]])
    func `a version 2 that is wrong is refused`(rest: [UInt8]) {
        let bytes = Self.signature + rest + [UInt8](repeating: 0, count: 16)
        guard case .failed = ProxyHeader.read(bytes) else {
            Issue.record("\(ProxyHeader.read(bytes))")
            return
        }
    }

    @Test func `no bytes make it trap`() {
        var generator = SplitMix(seed: 1)
        for _ in 0..<20_000 {
            var bytes =
                Self.signature + (0..<40).map { _ in UInt8.random(in: 0...255, using: &generator) }
            bytes[12] = 0x21
            bytes[14] = 0
            bytes = Array(bytes.prefix(Int.random(in: 0...52, using: &generator)))
            if case .complete(let length, _) = ProxyHeader.read(bytes) {
                #expect(length <= bytes.count)
            }
        }
    }
    // MARK: Written

    private static let ipv4 = ProxyHeader.Source.ipv4(0xC000_0207, port: 4_711)
    private static let own = ProxyHeader.Source.ipv4(0x0A00_0001, port: 443)
    private static let ipv6 = ProxyHeader.Source.ipv6(
        high: 0x2001_0DB8_0000_0001, low: 0xFFFF, port: 65_535)

    @Test(arguments: [
        (ipv4, own, "PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n"),
        (ipv6, ipv6, "PROXY TCP6 2001:db8:0:1:0:0:0:ffff 2001:db8:0:1:0:0:0:ffff 65535 65535\r\n"),
        (ipv6, own, "PROXY TCP6 2001:db8:0:1:0:0:0:ffff 0:0:0:0:0:ffff:a00:1 65535 443\r\n"),
        (ipv4, .none, "PROXY UNKNOWN\r\n"), (.none, own, "PROXY UNKNOWN\r\n"),
    ])
    func `a line is written as the specification shows it, and can be read again`(
        source: ProxyHeader.Source, destination: ProxyHeader.Source, line: String
    ) {
        let bytes = ProxyHeader.bytes(.one, from: source, to: destination)
        #expect(String(decoding: bytes, as: UTF8.self) == line)
        guard case .complete(bytes.count, _) = ProxyHeader.read(bytes) else {
            Issue.record("\(ProxyHeader.read(bytes))")
            return
        }
    }

    @Test func `version 2 is written with both addresses and ports`() {
        #expect(
            ProxyHeader.bytes(.two, from: Self.ipv4, to: Self.own)
                == Self.signature
                + [0x21, 0x11, 0, 12, 192, 0, 2, 7, 10, 0, 0, 1, 0x12, 0x67, 1, 0xBB])
        let mixed = ProxyHeader.bytes(.two, from: Self.ipv6, to: Self.own)
        #expect(mixed.count == 16 + 36)
        #expect(ProxyHeader.read(mixed) == .complete(length: 52, Self.ipv6))
        #expect(Array(mixed[32..<48]) == [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1])
        let unknown = ProxyHeader.bytes(.two, from: .none, to: Self.own)
        #expect(unknown == Self.signature + [0x21, 0, 0, 0])
    }

    @Test func `version 2 says what is known of TLS`() {
        let security = ProxyHeader.Security(
            version: "TLSv1.3", cipher: "TLS_X", serverName: "a.example",
            applicationProtocol: nil)
        let bytes = ProxyHeader.bytes(.two, from: .none, to: .none, security: security)
        let name = [0x02, 0, 9] + Array("a.example".utf8)
        let version = [0x21, 0, 7] + Array("TLSv1.3".utf8)
        let cipher = [0x23, 0, 5] + Array("TLS_X".utf8)
        let ssl = [0x20, 0, 23, 1, 0, 0, 0, 1] + version + cipher
        #expect(bytes == Self.signature + [0x21, 0, 0, 38] + name + ssl)
        #expect(ProxyHeader.read(bytes) == .complete(length: bytes.count, .none))
    }

    @Test func `a connection of Sluice's own is LOCAL`() {
        #expect(ProxyHeader.ownBytes(.two) == Self.signature + [0x20, 0, 0, 0])
        #expect(ProxyHeader.ownBytes(.one) == Array("PROXY UNKNOWN\r\n".utf8))
    }
}
