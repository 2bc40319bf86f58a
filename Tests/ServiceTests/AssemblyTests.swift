// SPDX-License-Identifier: Apache-2.0
import Config
import Foundation
import Ledger
import Reactor
import Router
import Splice
import TLS
import TestKit
import Testing
import Wire

@testable import Frontend
@testable import Service

/// From plain values to what the engine runs on; and what can't be, with its place.
struct AssemblyTests {
    private static let head = """
        listen:
          - address: "127.0.0.1:0"
        routes:

        """

    private func assembly(_ yaml: String) throws -> Assembly {
        try Assembly(Configuration.load(yaml: yaml, file: "s.yaml"))
    }

    private func problems(_ yaml: String) -> [String] {
        do {
            _ = try assembly(yaml)
            return []
        } catch {
            return (error as? ConfigurationProblems)?.problems.map(\.description) ?? ["\(error)"]
        }
    }

    @Test func `routes, upstreams and bounds arrive`() throws {
        let assembly = try assembly(
            """
            listen:
              - address: "127.0.0.1:0"
            routes:
              - { path: /a/./b%2D, to: "ws://localhost:9000" }
              - { path: /c/*, host: "*.example.com", to: chat, rewrite: /d/*, origins: [same],
                  limits: { messageBytes: 1MiB } }
            upstreams:
              chat:
                endpoints: ["ws://127.0.0.1:1", "ws://[::1]:2", "unix:/run/chat.sock"]
                balance: leastConnections
                cooldown: 3s
            timeouts: { head: 2s, closing: 1500ms, linger: 250ms }
            limits: { headBytes: 4KiB, connections: 77, handshakesPerTurn: 5 }
            """)
        #expect(assembly.listeners.map(\.address.description) == ["127.0.0.1:0"])
        #expect(assembly.listeners[0].certificates == nil)
        let table = assembly.routing.table
        #expect(table.match(host: "x", path: Array("/a/b-".utf8))?.index == 0)
        let match = try #require(table.match(host: "a.example.com", path: Array("/c/e".utf8)))
        #expect(match == RouteMatch(index: 1, path: Array("/d/e".utf8)))
        #expect(table.match(host: "example.com", path: Array("/c/e".utf8)) == nil)
        let (plain, chat) = (assembly.routing.routes[0], assembly.routing.routes[1])
        #expect(plain.name == "/a/./b%2D" && chat.name == "*.example.com/c/*")
        #expect(plain.relayLimits == RelayLimits() && chat.relayLimits.messageBytesMax == 1_048_576)
        // Both loopback addresses, which nobody is asked for (RFC 6761 §6.3).
        #expect(plain.upstream?.endpoints.map(\.host) == [nil])
        #expect(
            plain.upstream?.endpoints.map { $0.addresses.map(\.description) }
                == [["127.0.0.1:9000", "[::1]:9000"]])
        #expect(
            chat.upstream?.endpoints.map(\.label) == [
                "ws://127.0.0.1:1", "ws://[::1]:2", "unix:/run/chat.sock",
            ])
        #expect(
            chat.upstream?.endpoints.allSatisfy { $0.addresses.count == 1 && $0.host == nil }
                == true)
        #expect(chat.upstream?.picker.rules.balance == .leastConnections)
        #expect(chat.upstream?.picker.rules.cooldownMilliseconds == 3_000)
        #expect(assembly.endpoints.count == 4)
        let settings = assembly.settings
        #expect(settings.headMilliseconds == 2_000)
        #expect(settings.patience == Patience(closingMilliseconds: 1_500, lingerMilliseconds: 250))
        #expect(settings.headLimits.bytesMax == 4_096)
        #expect(settings.headLimits.targetBytesMax == 4_096)
        #expect(settings.connectionsMax == 77)
        #expect(settings.handshakesPerTurn == 5)
    }

    @Test func `the keys of HTTP/2 arrive, where it is spoken`() throws {
        let files = try TestCertificates.shared().local.setting
        let assembly = try assembly(
            """
            listen:
              - { address: ":1" }
              - { address: ":2", tls: { certificates: [\(files)], protocols: [http/1.1] } }
              - { address: ":3", tls: { certificates: [\(files)] } }
              - address: ":4"
                tls: { certificates: [\(files)] }
                http2: { websockets: false, maxStreams: 9, windowBytes: 2MiB, resetsPerSecond: 8,
                  pingAfter: 7s, pingTimeout: 6s }
            routes: [{ path: /a, respond: {} }]
            """)
        let rules = assembly.listeners.map(\.multiplexing)
        #expect(rules[0] == nil && rules[1] == nil)
        let usual = try #require(rules[2])
        #expect(usual.allowsWebSockets && usual.streamsMax == 128)
        let given = try #require(rules[3])
        #expect(!given.allowsWebSockets && given.streamsMax == 9 && given.windowBytes == 2 << 20)
        #expect(given.resetsPerSecond == 8)
        #expect(given.pingAfterMilliseconds == 7_000 && given.pingTimeoutMilliseconds == 6_000)
    }

    @Test func `routes of one upstream share what is known of its endpoints`() throws {
        let assembly = try assembly(
            Self.head + """
                  - { path: /a, to: chat }
                  - { path: /b, to: chat }
                upstreams:
                  chat: { endpoints: ["ws://127.0.0.1:1"] }
                """)
        let routes = assembly.routing.routes
        #expect(routes[0].upstream === routes[1].upstream)
    }

    @Test func `patterns that can't be are named with their places`() {
        #expect(
            problems(Self.head + "  - { path: /a*b, to: \"ws://a:1\" }\n").first?
                .hasPrefix("s.yaml:4:13: ") == true)
        #expect(
            problems(Self.head + "  - { path: /a/../.., to: \"ws://a:1\" }\n").first?
                .hasPrefix("s.yaml:4:13: ") == true)
        #expect(
            problems(Self.head + "  - { path: /a, host: \"a.*.b\", to: \"ws://a:1\" }\n").first?
                .hasPrefix("s.yaml:4:23: ") == true)
        #expect(
            problems(Self.head + "  - { path: /a/*, to: \"ws://a:1\", rewrite: b }\n") == [
                "s.yaml:4:44: routes[0].rewrite: found 'b', allowed: a path that begins with '/'"
                    + " (did you mean '/b'?)"
            ])
        #expect(
            problems(Self.head + "  - { path: a, to: \"ws://a:1\" }\n") == [
                "s.yaml:4:13: routes[0].path: found 'a', allowed: a path that begins with '/'"
                    + " (did you mean '/a'?)"
            ])
    }

    @Test func `metrics can't have an address that somebody else has, and need a port`() throws {
        func yaml(_ metrics: String) -> String {
            """
            listen: [{ address: "127.0.0.1:9901" }]
            routes: [{ path: /a, to: "ws://a:1" }]
            admin: { address: "127.0.0.1:9903" }
            metrics: { address: "\(metrics)" }
            """
        }
        let start = "s.yaml:4:21: metrics.address: found"
        #expect(
            problems(yaml("127.0.0.1:9901")) == [
                "\(start) '127.0.0.1:9901', which is a listener's address, allowed: another port"
            ])
        #expect(
            problems(yaml(":9903")) == [
                "\(start) ':9903', which admin.address takes, allowed: another port"
            ])
        for other in ["unix:/tmp/a.sock", "localhost", "9902"] {
            #expect(
                problems(yaml(other)) == [
                    "\(start) '\(other)', allowed: an address with a port, as 127.0.0.1:9902 or :9902"
                ])
        }
        for address in ["127.0.0.1:9902", ":9902", "[::1]:9901", "192.0.2.7:9901"] {
            #expect(problems(yaml(address)).isEmpty, "\(address)")
        }
    }

    @Test func `the admin interface can't have a listener's address`() throws {
        func yaml(_ listener: String, _ admin: String) -> String {
            """
            listen: [{ address: "\(listener)" }]
            routes: [{ path: /a, to: "ws://a:1" }]
            admin: { address: "\(admin)" }
            """
        }
        #expect(
            problems(yaml("127.0.0.1:9901", "127.0.0.1:9901"))
                == [
                    "s.yaml:3:19: admin.address: found '127.0.0.1:9901', which is a listener's address,"
                        + " allowed: another port"
                ])
        // What reaches it may stop Sluice, so it is for this machine alone.
        for other in ["0.0.0.0:9", "10.1.2.3:9", "unix:/tmp/a.sock", "localhost:99", "127.0.0.1"] {
            let hint = other == "localhost:99" ? " (did you mean '127.0.0.1:99'?)" : ""
            #expect(
                problems(yaml("127.0.0.1:9901", other)) == [
                    "s.yaml:3:19: admin.address: found '\(other)', allowed: a loopback address with a port,"
                        + " as 127.0.0.1:9901: whoever reaches it may stop Sluice\(hint)"
                ])
        }
        for wildcard in [":9901", "0.0.0.0:9901", "[::]:9901"] {
            #expect(
                problems(yaml(wildcard, "127.0.0.1:9901")) == [
                    "s.yaml:3:19: admin.address: found '127.0.0.1:9901', which the listener at"
                        + " '\(wildcard)' takes in, allowed: another port"
                ])
        }
        #expect(problems(yaml("0.0.0.0:9901", "[::1]:9901")).isEmpty)
        #expect(problems(yaml("127.0.0.1:9901", "127.0.0.1:9902")).isEmpty)
        #expect(problems(yaml("127.0.0.1:0", "127.0.0.1:0")).isEmpty)
    }

    @Test(arguments: [
        (":8443", "127.0.0.1:8443", true), ("192.0.2.1:8443", "0.0.0.0:8443", true),
        ("0.0.0.0:8443", "[::1]:8443", false), ("127.0.0.1:8443", "[::1]:8443", false),
        (":8443", ":8444", false), (":0", "127.0.0.1:0", false),
    ])
    func `a listener for all addresses takes its port from the others`(
        first: String, second: String, isRefused: Bool
    ) {
        let found = problems(
            """
            listen:
              - { address: "\(first)" }
              - { address: "\(second)" }
            routes: [{ path: /a, to: "ws://a:1" }]
            """)
        #expect(
            found
                == (isRefused
                    ? [
                        "s.yaml:3:16: found '\(second)', which '\(first)' at s.yaml:2:16 takes in,"
                            + " allowed: another port"
                    ] : []))
    }

    @Test func `routes that conflict are named with both places`() throws {
        let found = problems(
            Self.head + """
                  - { path: /a, to: "ws://a:1" }
                  - { path: /b, to: "ws://a:1" }
                  - { path: /x/../a, to: "ws://a:1" }
                """)
        #expect(found.count == 1)
        let problem = try #require(found.first)
        #expect(problem.hasPrefix("s.yaml:6:5: "))
        #expect(problem.contains("s.yaml:4:5"))
    }

    @Test func `certificates that can't be used are named with their places`() throws {
        let found = problems(
            """
            listen:
              - address: "127.0.0.1:0"
                tls:
                  certificates:
                    - { chain: /none/a.pem, key: /none/a-key.pem }
            routes:
              - { path: /a, to: "ws://a:1" }
            """)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("s.yaml:5:11: ") == true)
        #expect(found.first?.contains("/none/a.pem") == true)
    }

    @Test func `ciphers that there are not are named with their own place`() throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-assembly-\(UUID().uuidString)").path
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let chain = directory + "/localhost.pem"
        let key = directory + "/localhost-key.pem"
        _ = try CertificateAuthority.loadOrMake(in: directory).ensureLeaf(
            for: ["localhost"], chainPath: chain, keyPath: key)
        func yaml(_ extra: String) -> String {
            """
            listen:
              - address: "127.0.0.1:0"
                tls:
                  certificates: [{ chain: "\(chain)", key: "\(key)" }]\(extra)
            routes:
              - { path: /a, to: "ws://a:1" }
            """
        }
        #expect(try assembly(yaml("")).listeners[0].certificates != nil)
        for key in ["ciphers", "cipherSuites"] {
            let found = problems(yaml("\n      protocols: [http/1.1]\n      \(key): NONSENSE"))
            #expect(found.first?.hasPrefix("s.yaml:6:\(9 + key.utf8.count): ") == true, "\(found)")
            #expect(found.first?.contains("NONSENSE") == true)
        }
    }

    @Test(arguments: [
        (Duration.seconds(2), UInt64(2_000)), (.milliseconds(1), 1), (.microseconds(999), 0),
        (.zero, 0), (.seconds(-5), 0), (.seconds(86_400), 86_400_000),
    ])
    func `durations become whole milliseconds`(duration: Duration, milliseconds: UInt64) {
        #expect(duration.wholeMilliseconds == milliseconds)
    }
}
