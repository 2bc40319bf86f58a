// SPDX-License-Identifier: Apache-2.0
import Reactor
import TestKit
import Testing

/// Who is let in by lists of blocks.
@Suite struct AddressListTests {
    private static func list(_ allowed: [String], _ denied: [String]) throws -> AddressList {
        AddressList(
            allowed: try allowed.map { try AddressBlock(parsing: $0) },
            denied: try denied.map { try AddressBlock(parsing: $0) })
    }

    @Test(
        arguments: [
            // Nothing but exceptions, nothing but what may, and both in either order.
            (
                [], ["10.0.0.0/8"], ["9.255.255.255", "11.0.0.0", "::1", "unix"],
                ["10.0.0.0", "10.255.255.255"]
            ),
            (
                ["10.0.0.0/8"], [], ["10.0.0.0", "10.255.255.255"],
                ["9.255.255.255", "11.0.0.0", "::", "unix"]
            ),
            (
                ["10.0.0.0/8"], ["10.1.0.0/16"], ["10.0.255.255", "10.2.0.0"],
                ["10.1.0.0", "10.1.255.255", "192.0.2.1"]
            ),
            (
                ["10.1.0.0/16", "10.1.2.3"], ["10.0.0.0/8", "10.1.2.0/24"],
                ["10.1.1.255", "10.1.2.3", "10.1.3.0"],
                ["10.0.0.0", "10.1.2.2", "10.1.2.4", "10.2.0.0", "192.0.2.1"]
            ),
            // Both ends of the numbers.
            (
                ["0.0.0.0/0", "::/0"], ["255.255.255.255", "::"],
                ["0.0.0.0", "255.255.255.254", "::1"], ["255.255.255.255", "::"]
            ),
            (
                ["::/0"], ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], ["::"],
                ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "0.0.0.0"]
            ),
            (
                ["2001:db8::/33"], ["2001:db8::/127"], ["2001:db8::2", "2001:db8:7fff::"],
                ["2001:db8::", "2001:db8::1", "2001:db8:8000::"]
            ),
            // IPv4 in the form of IPv6 is IPv4.
            (["192.0.2.0/24"], [], ["::ffff:192.0.2.9"], ["::192.0.2.9"]),
            (["unix"], [], ["unix"], ["127.0.0.1", "::1"]),
            ([], ["unix"], ["127.0.0.1", "::1"], ["unix"]),
            // A block in both, which the configuration refuses.
            (["10.0.0.0/8"], ["10.0.0.0/8"], [], ["10.0.0.1"]),
            ([], [], ["10.0.0.1", "::1", "unix"], []),
        ] as [([String], [String], [String], [String])])
    func `the longest block that holds an address decides`(
        allowed: [String], denied: [String], inside: [String], outside: [String]
    ) throws {
        let list = try Self.list(allowed, denied)
        let turned = try Self.list(allowed.reversed(), denied.reversed())
        for (hosts, isIn) in [(inside, true), (outside, false)] {
            for host in hosts {
                let address =
                    host == "unix"
                    ? try Address(parsing: "unix:/run/a.sock")
                    : try #require(Address(host: host, port: 9))
                #expect(list.admits(address) == isIn, "\(host)")
                #expect(turned.admits(address) == isIn, "\(host)")
            }
        }
    }

    /// Blocks that lie within, beside and on each other, in few bits, so that addresses often meet their ends.
    @Test(arguments: [false, true])
    func `a list agrees with a plain reading of its blocks`(isIPv6: Bool) throws {
        var random = SplitMix(seed: isIPv6 ? 7 : 8)
        func address(_ bits: UInt64) -> Address {
            isIPv6
                ? .ipv6(high: bits << 58 | 1, low: bits, port: 0)
                : .ipv4(UInt8(bits & 63), 0, 0, UInt8(bits >> 2 & 63), port: 0)
        }
        for _ in 0..<200 {
            var blocks: [(block: AddressBlock, length: Int, isAllowed: Bool)] = []
            for _ in 0..<Int.random(in: 0..<12, using: &random) {
                let most = isIPv6 ? 128 : 32
                let length =
                    [0, 1, 3, 6, 8, 28, 30, 32, 64, 126, 128].filter { $0 <= most }
                    .randomElement(using: &random) ?? 0
                let text = address(.random(in: 0..<64, using: &random)).hostString
                guard let block = Self.block(text, length) else { continue }
                if blocks.contains(where: { $0.block == block }) { continue }
                blocks.append((block, length, .random(using: &random)))
            }
            let allowed = blocks.filter(\.isAllowed).map(\.block)
            let list = AddressList(
                allowed: allowed, denied: blocks.filter { !$0.isAllowed }.map(\.block))
            for bits in 0..<UInt64(256) {
                let asked = address(bits)
                let longest = blocks.filter { $0.block.contains(asked) }
                    .max { $0.length < $1.length }
                #expect(list.admits(asked) == longest?.isAllowed ?? allowed.isEmpty, "\(asked)")
            }
        }
    }

    /// The block of this length in which an address lies.
    private static func block(_ host: String, _ length: Int) -> AddressBlock? {
        do throws(AddressFault) {
            return try AddressBlock(parsing: "\(host)/\(length)")
        } catch {
            // The sentence tells how the block is written.
            let parts = error.sentence.split(separator: "“")
            return parts.last.flatMap { try? AddressBlock(parsing: String($0.dropLast())) }
        }
    }

    @Test func `a hundred thousand blocks are searched`() throws {
        let blocks = try (0..<100_000).map { number in
            try AddressBlock(
                parsing: "\(number >> 12).\(number >> 4 & 255).\(number << 4 & 255).0/25")
        }
        let list = AddressList(allowed: blocks, denied: [])
        for number in stride(from: 0, to: 100_000, by: 7) {
            let (a, b, c) = (
                UInt8(number >> 12), UInt8(number >> 4 & 255), UInt8(number << 4 & 255)
            )
            #expect(list.admits(.ipv4(a, b, c, 127, port: 0)))
            #expect(!list.admits(.ipv4(a, b, c, 128, port: 0)))
        }
    }
}
