// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing

@testable import TLS

/// Goal: what a client offered is read from its ClientHello (RFC 8446 §4.1.2), whatever its bytes are.
///
/// Method: hellos written here, cut off and changed at every place.
struct ClientOfferTests {
    private func prefixed(_ bytes: [UInt8], _ width: Int) -> [UInt8] {
        (0..<width).reversed().map { UInt8(truncatingIfNeeded: bytes.count >> (8 * $0)) } + bytes
    }

    private func numbers(_ list: [UInt16]) -> [UInt8] {
        list.flatMap { [UInt8($0 >> 8), UInt8($0 & 0xFF)] }
    }

    /// A ClientHello in records of at most `recordBytes`.
    private func hello(
        name: [UInt8] = Array("chat.example".utf8), protocols: [[UInt8]] = [Array("h2".utf8)],
        recordBytes: Int = 16_384
    ) -> [UInt8] {
        func item(_ kind: UInt16, _ body: [UInt8]) -> [UInt8] {
            numbers([kind]) + prefixed(body, 2)
        }
        let extensions =
            item(0x1A1A, [0])
            + item(0, prefixed([0] + prefixed(name, 2), 2))
            + item(10, prefixed(numbers([0xFAFA, 0x001D, 0x6A6B]), 2))
            + item(16, prefixed(protocols.flatMap { prefixed($0, 1) }, 2))
            + item(43, prefixed(numbers([0x0A0A, 0x0304, 0x0303]), 1))
        let body =
            numbers([0x0303]) + [UInt8](repeating: 7, count: 32) + prefixed([1, 2, 3], 1)
            + prefixed(numbers([0xCACA, 0x1301, 0xC02B, 0x1234]), 2) + prefixed([0], 1)
            + prefixed(extensions, 2)
        var rest = ([1] + prefixed(body, 3))[...]
        var records: [UInt8] = []
        while !rest.isEmpty {
            records += [0x16, 3, 1] + prefixed(Array(rest.prefix(recordBytes)), 2)
            rest = rest.dropFirst(recordBytes)
        }
        return records
    }

    private func read(_ bytes: [UInt8]) -> ClientOffer? {
        bytes.withUnsafeBytes { ClientOffer(records: $0) }
    }

    @Test(arguments: [16_384, 100, 7, 1])
    func `an offer is read, also where records cut it`(recordBytes: Int) throws {
        let offer = try #require(read(hello(recordBytes: recordBytes)))
        #expect(
            offer.description
                == "name chat.example, versions TLSv1.3 TLSv1.2,"
                + " suites TLS_AES_128_GCM_SHA256 ECDHE-ECDSA-AES128-GCM-SHA256 0x1234,"
                + " groups X25519 0x6A6B, ALPN h2")
    }

    @Test func `what a client chose is escaped and bounded`() throws {
        let name = Array("a\n\u{1B}[31m\" b".utf8) + [UInt8](repeating: 0x78, count: 60_000 / 4)
        let many = (0..<1_000).map { Array("p\($0)".utf8) }
        let text = try #require(read(hello(name: name, protocols: many))).description
        #expect(text.hasPrefix("name a%0A%1B[31m%22%20bxxx"), "\(text)")
        #expect(text.contains("and 992 more"), "\(text)")
        #expect(text.utf8.count < 1_000)
        #expect(text.utf8.allSatisfy { (0x20...0x7E).contains($0) || $0 > 0x7F })
    }

    @Test func `no bytes trap`() {
        let whole = hello()
        for count in whole.indices {
            #expect(read(Array(whole.prefix(count))) == nil)
        }
        var random = SplitMix(seed: 1)
        for place in whole.indices {
            for value: UInt8 in [0, 1, 0x7F, 0xFF, .random(in: .min ... .max, using: &random)] {
                var changed = whole
                changed[place] = value
                _ = read(changed)?.description
            }
        }
    }
}
