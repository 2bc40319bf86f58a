// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@Suite struct AddressTests {
    @Test(arguments: [
        ("127.0.0.1:80", "127.0.0.1", 80, "127.0.0.1:80"),
        ("0.0.0.0:0", "0.0.0.0", 0, "0.0.0.0:0"),
        ("255.1.2.3:65535", "255.1.2.3", 65535, "255.1.2.3:65535"),
        ("[::1]:8443", "::1", 8443, "[::1]:8443"),
        ("[::]:1", "::", 1, "[::]:1"),
        ("[2001:DB8:0:0::5]:443", "2001:db8::5", 443, "[2001:db8::5]:443"),
        ("[::ffff:10.1.2.3]:9", "10.1.2.3", 9, "10.1.2.3:9"),
        (":8080", "::", 8080, ":8080"),
        ("unix:/run/app.sock", "/run/app.sock", 0, "unix:/run/app.sock"),
        ("unix:app.sock", "app.sock", 0, "unix:app.sock"),
        ("unix:@abstract", "@abstract", 0, "unix:@abstract"),
    ])
    func `an address is read and written`(
        text: String, host: String, port: Int, written: String
    ) throws {
        let address = try Address(parsing: text)
        #expect(address.hostString == host)
        #expect(Int(address.port) == port)
        #expect(address.description == written)
        #expect(try Address(parsing: written) == address)
    }

    @Test func `a port that is not known is not written at the far end of a connection`() throws {
        for (text, written) in [
            ("192.0.2.7:0", "192.0.2.7"), ("192.0.2.7:1", "192.0.2.7:1"), ("[::1]:0", "::1"),
            ("[::1]:2", "[::1]:2"), ("unix:/run/app.sock", "unix:/run/app.sock"),
        ] {
            let address = try Address(parsing: text)
            #expect(address.peerDescription == written)
            let bytes = [UInt8](unsafeUninitializedCapacity: Address.textBytesMax) {
                memory, count in
                count = memory.baseAddress.map(address.writeText) ?? 0
            }
            #expect(String(decoding: bytes, as: UTF8.self) == written)
        }
    }

    @Test(arguments: [
        "", "127.0.0.1", "80", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:+80",
        "127.0.0.1:80x", "127.1:80", "256.0.0.1:80", "01.2.3.4:5", "localhost:80", "::1:80",
        "[::1]", "[::1]80", "[]:80", "[127.0.0.1]:80", "[::1:80", "::1]:80", "[fe80::1%]:80",
        "[::1%no-such-interface]:80", "unix:", "unix:/" + String(repeating: "x", count: 107),
        "1.2.3.4 :80", " 1.2.3.4:80", "1.2.3.4:８０",
    ])
    func `what is no address is refused with a sentence`(text: String) {
        let fault = #expect(throws: AddressFault.self) { try Address(parsing: text) }
        #expect((fault?.sentence.count ?? 0) > 20)
    }

    @Test func `loopback and wildcard addresses are known as such`() throws {
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "unix:/x", "[::ffff:127.0.0.1]:1"] {
            #expect(try Address(parsing: text).isLoopback, "\(text)")
        }
        for text in ["128.0.0.1:1", "[::2]:1", ":1", "[::]:1", "0.0.0.0:1"] {
            #expect(try !Address(parsing: text).isLoopback, "\(text)")
        }
        for text in [":1", "[::]:1", "0.0.0.0:1"] {
            #expect(try Address(parsing: text).isWildcard, "\(text)")
        }
        #expect(try !Address(parsing: "[::1]:1").isWildcard)
        #expect(Address.loopback(port: 5).description == "127.0.0.1:5")
        #expect(Address.loopback(port: 5, isIPv6: true).description == "[::1]:5")
        #expect(Address.loopback(port: 5).with(port: 6).port == 6)
    }

    @Test(arguments: [
        "localhost", "LOCALHOST", "localhost.", "some-app.localhost", "a.b.Localhost.",
    ])
    func `localhost and what is below it are both loopback addresses (RFC 6761 §6.3)`(
        name: String
    ) throws {
        let both: [Address] = [.loopback(port: 7), .loopback(port: 7, isIPv6: true)]
        #expect(try Resolver.resolve(host: name, port: 7) == both)
        #expect(Resolver.thisMachine(name, port: 7) == both)
    }

    @Test(arguments: [
        "localhost.example", "notlocalhost", "local", "", ".", "localhost.localdomain",
    ])
    func `other names are not`(name: String) {
        #expect(Resolver.thisMachine(name, port: 7) == nil)
    }

    @Test func `a literal needs no resolving`() throws {
        #expect(try Resolver.resolve(host: "::1", port: 7) == [.loopback(port: 7, isIPv6: true)])
        let fault = #expect(throws: ResolveFault.self) {
            try Resolver.resolve(host: "no such name", port: 1)
        }
        #expect(fault?.sentence.contains("no such name") == true)
    }
}
