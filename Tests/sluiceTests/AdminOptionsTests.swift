// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Reactor
import Testing

@testable import sluice

/// How commands are told which running Sluice they are for.
struct AdminOptionsTests {
    @Test(arguments: [
        ("9901", "127.0.0.1:9901"), ("127.0.0.1:9901", "127.0.0.1:9901"), ("[::1]:99", "[::1]:99"),
        ("admin.sock", "unix:admin.sock"), ("./a", "unix:./a"), ("unix:/run/a", "unix:/run/a"),
    ])
    func `the admin option takes a port, an address or a file`(
        text: String, address: String
    ) throws {
        #expect(try AdminOptions.address(named: text).description == address)
    }

    @Test func `what is neither is told both`() throws {
        let error = #expect(throws: ValidationError.self) {
            try AdminOptions.address(named: "nonsense")
        }
        #expect(error?.description.contains("found nonsense") == true)
    }
}
