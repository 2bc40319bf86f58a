// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Doctor

/// Goal: addresses are in the space in which Chromium has them.
struct AddressSpaceTests {
    @Test(arguments: [
        ("127.0.0.1", AddressSpace.machine), ("127.9.9.9", .machine), ("::1", .machine),
        ("0.0.0.0", .machine), ("::", .machine), ("::ffff:127.0.0.1", .machine),
        ("10.1.2.3", .network), ("172.16.0.1", .network), ("172.31.255.1", .network),
        ("192.168.1.1", .network), ("169.254.1.1", .network), ("100.64.0.1", .network),
        ("fe80::1%eth0", .network), ("fd00::1", .network), ("::ffff:10.0.0.1", .network),
        ("172.32.0.1", .everywhere), ("100.128.0.1", .everywhere), ("192.169.0.1", .everywhere),
        ("203.0.113.9", .everywhere), ("2001:db8::1", .everywhere), ("3fff::1", .everywhere),
        ("ff02::1", .everywhere), ("::ffff:8.8.8.8", .everywhere),
    ])
    func `each address has its space`(address: String, space: AddressSpace) {
        #expect(AddressSpace(address) == space)
    }

    @Test func `the more private one is the greater, and what is no address has none`() {
        #expect(AddressSpace.everywhere < .network && AddressSpace.network < .machine)
        #expect(AddressSpace("localhost") == nil && AddressSpace("") == nil)
    }
}
