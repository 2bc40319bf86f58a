// SPDX-License-Identifier: Apache-2.0
import Reactor
import TestKit
import Testing
import Wire

@testable import Frontend

/// What a proxy in front says of a request, sound or not.
struct ForwardingTests {
    private static let peer = Address.ipv4(10, 0, 0, 9, port: 5_000)

    private static func blocks() throws -> [AddressBlock] {
        try ["10.0.0.0/8", "fd00::/8"].map { try AddressBlock(parsing: $0) }
    }

    private static func fields(_ lines: [String]) throws -> FieldList {
        var parser = RequestHeadParser()
        let text = (["GET / HTTP/1.1", "Host: own.example"] + lines).joined(separator: "\r\n")
        let bytes = Array((text + "\r\n\r\n").utf8)
        guard case .complete(let head, _) = bytes.withUnsafeBytes({ parser.append($0) }) else {
            throw HeadFault(status: 0, sentence: "no whole request")
        }
        return head.fields
    }

    private static func client(_ lines: [String]) throws -> String {
        try Forwarding(fields(lines), peer: peer, trusted: blocks()).client.hostString
    }

    @Test(arguments: [
        ([], false), (["X-Forwarded-For: 192.0.2.1"], false), (["X-Forwarded-For: unknown"], true),
        (["X-Forwarded-For: 192.0.2.1, _hidden"], true),
        (["X-Forwarded-For: _hidden, 192.0.2.1"], false),
        (["X-Forwarded-For: unknown, 10.0.0.1"], true),
    ])
    func `a client that can't be read is known as such`(lines: [String], isUnclear: Bool) throws {
        let made = Forwarding(
            try Self.fields(lines), peer: Self.peer, trusted: try Self.blocks())
        #expect(made.isUnclear == isUnclear)
    }

    /// The lines for the upstream, by name.
    private static func written(
        _ lines: [String], isSecure: Bool = false, peer: Address = peer
    ) throws -> [String: String] {
        let hop = Hop(
            client: peer, isSecure: isSecure, strictTransportSecurity: nil,
            trusted: try blocks())
        let made = Passage.lines(
            authority: Array("own.example".utf8), port: nil, isHTTP11: true, hop: hop,
            fields: try fields(lines))
        var named: [String: String] = [:]
        for line in String(decoding: made, as: UTF8.self).split(separator: "\r\n") {
            let parts = line.split(separator: ":", maxSplits: 1)
            let name = String(parts[0])
            #expect(named[name] == nil, "\(name) stands twice")
            named[name] = String(parts[1].dropFirst())
        }
        return named
    }

    @Test(arguments: [
        ([], "10.0.0.9"),
        (["X-Forwarded-For: 192.0.2.1"], "192.0.2.1"),
        // What stands before the last address that is no proxy's, anybody may have written.
        (["X-Forwarded-For: 6.6.6.6, 192.0.2.1"], "192.0.2.1"),
        (["X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.1.1 ,\tfd00::5"], "192.0.2.1"),
        (["X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.1, 10.0.0.2"], "192.0.2.1"),
        (["X-Forwarded-For: 10.0.0.1, 10.0.0.2"], "10.0.0.1"),
        (["X-Forwarded-For: 192.0.2.1:4711"], "192.0.2.1"),
        (["X-Forwarded-For: [2001:db8::1]:4711, 10.0.0.2:80"], "2001:db8::1"),
        (["X-Forwarded-For: [2001:db8::1]"], "2001:db8::1"),
        (["X-Forwarded-For: 2001:db8::1"], "2001:db8::1"),
        (["X-Forwarded-For: ::ffff:192.0.2.1"], "192.0.2.1"),
        // Unsound: nobody before it is believed either.
        (["X-Forwarded-For: unknown"], "10.0.0.9"),
        (["X-Forwarded-For: 192.0.2.1, unknown, 10.0.0.2"], "10.0.0.2"),
        (["X-Forwarded-For: 192.0.2.1, , 10.0.0.2"], "10.0.0.2"),
        (["X-Forwarded-For: 192.0.2.1,"], "10.0.0.9"),
        (["X-Forwarded-For: 192.0.2.1:99999"], "10.0.0.9"),
        (["X-Forwarded-For: 192.0.2.1:"], "10.0.0.9"),
        (["X-Forwarded-For: 192.0.2.1 192.0.2.2"], "10.0.0.9"),
        (["X-Forwarded-For: [::1"], "10.0.0.9"),
        (["X-Forwarded-For: [192.0.2.1]"], "10.0.0.9"),
        (["X-Forwarded-For: [::1]x"], "10.0.0.9"),
        (["X-Forwarded-For: fe80::1%eth0"], "10.0.0.9"),
        (["X-Forwarded-For: \"192.0.2.1\""], "10.0.0.9"),
        (["X-Forwarded-For: 192.0.2.01"], "10.0.0.9"),
        (["X-Forwarded-For: " + String(repeating: "1", count: 5_000)], "10.0.0.9"),
        (["X-Forwarded-For:"], "10.0.0.9"),
        // Another spelling is another field.
        (["X_Forwarded_For: 192.0.2.1"], "10.0.0.9"),
    ])
    func `the client is the last address that no trusted proxy has`(
        lines: [String], client: String
    ) throws {
        #expect(try Self.client(lines) == client)
    }

    @Test func `after 64 trusted proxies the search ends`() throws {
        func list(_ count: Int, _ text: (Int) -> String) -> String {
            (0..<count).map(text).joined(separator: ", ")
        }
        let names = list(64) { "10.0.1.\($0)" }
        #expect(try Self.client(["X-Forwarded-For: 192.0.2.1, \(names)"]) == "192.0.2.1")
        let more = list(200) { "10.0.1.\($0)" }
        #expect(try Self.client(["X-Forwarded-For: 192.0.2.1, \(more)"]) == "10.0.1.135")
        let elements = list(200) { "for=10.0.1.\($0);proto=\($0 == 135 ? "https" : "http")" }
        let written = try Self.written(["Forwarded: for=192.0.2.1;proto=ftp, \(elements)"])
        #expect(written["X-Forwarded-Proto"] == "https")
    }

    @Test func `no bytes of X-Forwarded-For make it trap`() throws {
        let letters = Array("0123456789abcdef:.,[]% \t\"x-".utf8)
        var generator = SplitMix(seed: 1)
        for _ in 0..<5_000 {
            let value = (0..<Int.random(in: 0...40, using: &generator)).map { _ in
                letters[Int.random(in: 0..<letters.count, using: &generator)]
            }
            let line = "X-Forwarded-For: \(String(decoding: value, as: UTF8.self))"
            let forwarding = Forwarding(
                try Self.fields([line]), peer: Self.peer, trusted: try Self.blocks())
            #expect(!forwarding.client.isUnix)
        }
    }

    @Test func `what the proxy said goes on, and who it is is added`() throws {
        let lines = try Self.written([
            "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 192.0.2.1, 10.0.0.2",
            "X-Forwarded-Proto: HTTPS", "X-Forwarded-Host: shop.example:8443",
            "X-Forwarded-Port: 444", "Forwarded: for=192.0.2.1;proto=https", "Forwarded: for=_x",
        ])
        #expect(lines["X-Forwarded-For"] == "6.6.6.6, 192.0.2.1, 10.0.0.2, 10.0.0.9")
        #expect(lines["X-Forwarded-Proto"] == "https")
        #expect(lines["X-Forwarded-Host"] == "shop.example:8443")
        #expect(lines["X-Forwarded-Port"] == "444")
        #expect(
            lines["Forwarded"] == "for=192.0.2.1;proto=https, for=_x, for=10.0.0.9")
    }

    @Test func `what it did not say is ours`() throws {
        let lines = try Self.written([], isSecure: true)
        #expect(lines["X-Forwarded-For"] == "10.0.0.9")
        #expect(lines["X-Forwarded-Proto"] == "https")
        #expect(lines["X-Forwarded-Host"] == "own.example")
        #expect(lines["X-Forwarded-Port"] == "443")
        #expect(lines["Forwarded"] == "for=10.0.0.9;host=\"own.example\";proto=https")
    }

    @Test func `a way that is told in X-Forwarded-For alone is told in Forwarded too`() throws {
        let lines = try Self.written([
            "X-Forwarded-For: 6.6.6.6, 2001:db8::1, 10.0.0.2", "X-Forwarded-Proto: https",
        ])
        #expect(
            lines["Forwarded"]
                == "for=\"[2001:db8::1]\";host=\"own.example\";proto=https, for=10.0.0.2, "
                + "for=10.0.0.9;host=\"own.example\"")
        // https without a port is that of https.
        #expect(lines["X-Forwarded-Port"] == "443")
    }

    /// What a proxy in front says of the scheme, what we say then, and the schemes in `Forwarded`.
    static let schemes: [([String], Bool, String, [String])] = [
        ([], true, "https", ["https"]), ([], false, "http", ["http"]),
        (["X-Forwarded-Proto: https"], false, "https", ["https"]),
        (["X-Forwarded-Proto: http"], true, "http", ["http"]),
        (["X-Forwarded-Proto: wss", "X-Forwarded-For: 192.0.2.1"], false, "https", ["https"]),
        (["Forwarded: for=192.0.2.1;proto=https"], false, "https", ["https"]),
        (["Forwarded: for=192.0.2.1;proto=\"HTTPS\""], false, "https", ["https"]),
        (["Forwarded: for=192.0.2.1;proto=http"], true, "http", ["http"]),
        (["Forwarded: for=192.0.2.1"], true, "https", ["https"]),
        // The client's forged one, which a proxy that knows X-Forwarded-Proto alone has passed on.
        (["X-Forwarded-Proto: https", "Forwarded: for=6.6.6.6;proto=http"], false, "https", []),
        (["X-Forwarded-Proto: http", "Forwarded: proto=https;for=6.6.6.6"], true, "http", []),
        (
            ["X-Forwarded-Proto: https", "Forwarded: proto=ftp, for=a;proto=\"ht\\tps\""], false,
            "https", ["https"]
        ),
        // The client asked a trusted proxy by https, and that one the next by http.
        (
            [
                "Forwarded: for=6.6.6.6;proto=http, for=192.0.2.1;proto=https, for=10.0.0.2;proto=http"
            ],
            false, "https", ["https"]
        ),
        (
            ["Forwarded: for=10.0.0.1;proto=https, for=10.0.0.2;proto=http"], false, "https",
            ["https"]
        ),
        (["Forwarded: for=192.0.2.1;proto=ftp"], false, "http", ["http"]),
    ]

    @Test(arguments: schemes)
    func `Forwarded says of the scheme what X-Forwarded-Proto says, or nothing`(
        lines: [String], isSecure: Bool, scheme: String, told: [String]
    ) throws {
        let written = try Self.written(lines, isSecure: isSecure)
        #expect(written["X-Forwarded-Proto"] == scheme)
        #expect(written["X-Forwarded-Port"] == (scheme == "https" ? "443" : "80"))
        let forwarded = try #require(written["Forwarded"])
        let schemes = forwarded.split(whereSeparator: { ";, ".contains($0) })
            .filter { $0.hasPrefix("proto=") }
            .map { $0.dropFirst(6).filter { !"\"\\".contains($0) }.lowercased() }
        #expect(Set(schemes) == Set(told), "\(forwarded)")
        #expect(forwarded.contains("for=10.0.0.9"), "\(forwarded)")
        // What else was said goes on.
        for line in lines where line.contains("for=192.0.2.1") {
            #expect(forwarded.contains("for=192.0.2.1"), "\(forwarded)")
        }
    }

    @Test func `no bytes of Forwarded make it trap or say another scheme`() throws {
        let letters = [
            "for=", "proto=", "http", "https", ";", ",", "\"", "\\", " ", "=", "1.2.3.4", "a",
        ]
        var generator = SplitMix(seed: 1)
        for _ in 0..<5_000 {
            let value = (0..<Int.random(in: 0...14, using: &generator)).map { _ in
                letters[Int.random(in: 0..<letters.count, using: &generator)]
            }.joined()
            let lines = try Self.written(["X-Forwarded-Proto: https", "Forwarded: \(value)"])
            let told = try #require(lines["Forwarded"])
            let elements = try ForwardedElements(Self.fields(["Forwarded: \(told)"]))
            #expect(elements.text(scheme: "https") == Array(told.utf8), "\(value): \(told)")
        }
    }

    @Test(arguments: [
        "X-Forwarded-Proto: ftp", "X-Forwarded-Proto: https, http", "X-Forwarded-Proto:",
        "X-Forwarded-Host: a b", "X-Forwarded-Host: a.example, b.example", "X-Forwarded-Host:",
        "X-Forwarded-Host: user@evil", "X-Forwarded-Port: 0", "X-Forwarded-Port: 65536",
        "X-Forwarded-Port: +1", "X-Forwarded-Port: 80, 81", "Forwarded: for=\"_open",
        "Forwarded: for=\"a\\", "Forwarded: for=a\\\"b", "Forwarded: nonsense", "Forwarded:",
    ])
    func `what is unsound counts as not said`(line: String) throws {
        #expect(try Self.written([line]) == Self.written([]))
        let name = line.prefix { $0 != ":" }
        // Nor is one of two believed.
        if !name.hasPrefix("Forwarded") {
            let twice = ["\(name): https", "\(name): http"]
            #expect(try Self.written(twice) == Self.written([]))
        }
    }

    @Test func `a proxy on a socket file has no address`() throws {
        let lines = try Self.written(
            ["X-Forwarded-For: 192.0.2.1"], peer: try Address(parsing: "unix:/run/s.sock"))
        #expect(lines["X-Forwarded-For"] == "192.0.2.1, unix:")
        #expect(lines["Forwarded"]?.hasSuffix("for=_unix;host=\"own.example\";proto=http") == true)
    }
}
