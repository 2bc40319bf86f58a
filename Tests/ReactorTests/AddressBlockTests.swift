// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

/// Blocks of addresses by their first bits.
@Suite struct AddressBlockTests {
    @Test(arguments: [
        ("10.0.0.0/8", ["10.0.0.0", "10.255.255.255"], ["9.255.255.255", "11.0.0.0", "::a00:0"]),
        ("192.0.2.128/25", ["192.0.2.128", "192.0.2.255"], ["192.0.2.127", "192.0.3.128"]),
        ("192.0.2.1", ["192.0.2.1", "::ffff:192.0.2.1"], ["192.0.2.0", "192.0.2.2"]),
        ("0.0.0.0/0", ["0.0.0.0", "255.1.2.3"], ["::", "::1"]),
        ("::/0", ["::", "2001:db8::1"], ["0.0.0.0", "127.0.0.1"]),
        ("::1", ["::1"], ["::", "::2", "1::1"]),
        (
            "2001:db8::/33", ["2001:db8::", "2001:db8:7fff::1"],
            ["2001:db8:8000::", "2001:db9::"]
        ),
        ("fe80::/64", ["fe80::1"], ["fe80:0:0:1::1"]),
        ("2001:db8::8/125", ["2001:db8::8", "2001:db8::f"], ["2001:db8::7", "2001:db8::10"]),
    ])
    func `a block holds those that begin as it does`(
        text: String, inside: [String], outside: [String]
    ) throws {
        let block = try AddressBlock(parsing: text)
        for host in inside {
            #expect(block.contains(try #require(Address(host: host, port: 9))), "\(host)")
        }
        for host in outside {
            #expect(!block.contains(try #require(Address(host: host, port: 9))), "\(host)")
        }
        #expect(!block.contains(try Address(parsing: "unix:/run/a.sock")))
        #expect(try AddressBlock(parsing: block.description) == block)
    }

    @Test func `unix holds all that come through a socket file, and nobody else`() throws {
        let block = try AddressBlock(parsing: "unix")
        #expect(block.contains(try Address(parsing: "unix:/run/a.sock")))
        #expect(!block.contains(.loopback(port: 1)))
        #expect(block.description == "unix")
    }

    @Test(arguments: [
        "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08x", "10.0.0/8", "::1/129",
        "::/1/2", "localhost", "10.0.0.1/8", "2001:db8::1/32", "::ffff:10.0.0.0/104", "fe80::1%1",
        "[::1]", "10.0.0.0/ 8", "unix:",
    ])
    func `what is no block is refused in words`(text: String) {
        #expect {
            try AddressBlock(parsing: text)
        } throws: { error in
            (error as? AddressFault)?.sentence.contains("“\(text)”") == true
        }
    }

    @Test func `bits that do not count are pointed out with what was meant`() {
        #expect {
            try AddressBlock(parsing: "10.1.2.3/8")
        } throws: { error in
            (error as? AddressFault)?.sentence.contains("“10.0.0.0/8”") == true
        }
    }
}
