// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Reactor
import Testing

@testable import sluice

/// Addresses as people write them behind `--listen`.
struct ListenOptionTests {
    @Test(arguments: ["23444", "localhost:23444"])
    func `a port alone is that port of this machine`(text: String) throws {
        let addresses = try ListenOption.addresses(text)
        #expect(addresses.first == "127.0.0.1:23444")
        #expect(addresses.count == 1 || addresses == ["127.0.0.1:23444", "[::1]:23444"])
    }

    @Test func `a free port is one port`() throws {
        #expect(try ListenOption.addresses("0") == ["127.0.0.1:0"])
    }

    @Test(arguments: [":443", "192.0.2.1:443", "[::]:443", "unix:/run/s.sock"])
    func `an address is taken as it is`(text: String) throws {
        #expect(try ListenOption.addresses(text) == [text])
    }

    @Test func `a number that is no port is told the range`() {
        let error = #expect(throws: ValidationError.self) { try ListenOption.addresses("70000") }
        #expect(error?.message == "70000 is no port: a port is a number from 0 to 65535.")
    }

    @Test(arguments: ["app.test:443", "443/tcp", ""])
    func `what is no address is told the forms there are`(text: String) {
        let error = #expect(throws: ValidationError.self) {
            try ListenOption.addresses(text)
        }
        #expect(error?.message.contains("--listen takes a port (8443)") == true)
        #expect(error?.message.hasSuffix("found \(text).") == true)
    }

    @Test func `an address that stands twice is refused, in whatever form`() throws {
        for texts in [["23444", "localhost:23444"], [":443", "8443", ":443"]] {
            let error = #expect(throws: ValidationError.self) { try ListenOption.check(texts) }
            #expect(error?.message.contains("stands twice") == true)
        }
        // The kernel chooses another port each time.
        try ListenOption.check(["0", "0", "127.0.0.1:0"])
        let error = #expect(throws: ValidationError.self) {
            try ListenOption.check(["foo"], isArgument: true)
        }
        #expect(error?.message.hasPrefix("An address to listen at is a port (8443)") == true)
    }

    @Test(arguments: [["3000", "--port", "9443"], ["echo", "-p", "9443"]])
    func `what other programs call port is listen here`(arguments: [String]) {
        let error = #expect(throws: (any Error).self) { try Sluice.parseAsRoot(arguments) }
        let message = error.map { Sluice.message(for: $0) } ?? ""
        #expect(message.contains("--listen 9443"), "\(message)")
        #expect(error.map { Sluice.exitCode(for: $0).rawValue } == 64)
        #expect(!Sluice.helpMessage(for: QuickCommand.self).contains("--port"))
    }
}
