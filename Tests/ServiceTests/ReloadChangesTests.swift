// SPDX-License-Identifier: Apache-2.0
import Config
import Foundation
import TestKit
import Testing

@testable import Service

/// What an operator is told that a reload has changed.
struct ReloadChangesTests {
    private static let before = """
        listen:
          - { address: "127.0.0.1:1" }
          - { address: "127.0.0.1:2" }
        routes:
          - { path: /a, to: "ws://127.0.0.1:9" }
          - { path: /b/*, host: b.test, to: chat }
        upstreams:
          chat: { endpoints: ["ws://10.0.0.1:9", "ws://10.0.0.2:9"] }
        """

    private func text(
        _ after: String, certificates old: [String: String] = [:], _ new: [String: String] = [:]
    ) throws -> String {
        func load(_ yaml: String) throws -> Configuration {
            try Configuration.load(yaml: yaml, file: "s.yaml")
        }
        return ReloadChanges(
            from: (try load(Self.before), old), to: (try load(after), new)
        ).text(waiting: Controller.needingRestart(try load(Self.before), try load(after)))
    }

    @Test func `what stands elsewhere in the file has not changed`() throws {
        #expect(try text("# A comment.\n\n" + Self.before) == "Nothing has changed.")
    }

    @Test func `what waits for a restart is told beside what changed, or alone`() throws {
        let admin = Self.before + "\nadmin: { address: \"127.0.0.1:9\" }"
        #expect(
            try text(admin)
                == "Nothing else has changed. admin waits for `sluice upgrade` or a restart.")
        #expect(
            try text(admin + "\nworkers: 3\ntimeouts: { head: 3s }")
                == "Settings: changed timeouts. workers and admin wait for `sluice upgrade` or a restart."
        )
    }

    @Test func `routes, endpoints and listeners are named`() throws {
        let after = """
            listen:
              - { address: "127.0.0.1:1", proxyProtocol: required }
              - { address: "127.0.0.1:3" }
            routes:
              - { path: /b/*, host: b.test, to: chat, idle: 10m }
              - { path: /c, to: "ws://127.0.0.1:8" }
            upstreams:
              chat: { endpoints: ["ws://10.0.0.2:9", "ws://10.0.0.3:9"], balance: roundRobin }
            timeouts: { head: 3s }
            """
        #expect(
            try text(after)
                == "Listeners: added 127.0.0.1:3; changed 127.0.0.1:1; gone 127.0.0.1:2."
                + " Routes: added /c; changed b.test/b/*; gone /a. Upstreams: changed chat."
                + " Endpoints: added ws://10.0.0.3:9, ws://127.0.0.1:8;"
                + " gone ws://10.0.0.1:9, ws://127.0.0.1:9. Settings: changed timeouts.")
    }

    @Test func `an endpoint that another upstream has too is named`() throws {
        let shared = Self.before + "\n  feed: { endpoints: [\"ws://10.0.0.3:9\"] }"
        func change(_ old: String, _ new: String) throws -> String {
            func load(_ yaml: String) throws -> Configuration {
                try Configuration.load(yaml: yaml, file: "s.yaml")
            }
            return ReloadChanges(from: (try load(old), [:]), to: (try load(new), [:])).text(
                waiting: [])
        }
        let more = shared.replacing(
            "\"ws://10.0.0.2:9\"]", with: "\"ws://10.0.0.2:9\", \"ws://10.0.0.3:9\"]")
        #expect(try change(shared, more) == "Endpoints: changed ws://10.0.0.3:9.")
        #expect(try change(more, shared) == "Endpoints: changed ws://10.0.0.3:9.")
        #expect(try change(shared, shared) == "Nothing has changed.")
    }

    @Test func `a certificate has changed when its file holds another one`() throws {
        #expect(
            try text(
                Self.before, certificates: ["a.pem": "1", "b.pem": "2", "c.pem": "3"],
                ["a.pem": "1", "b.pem": "4", "d.pem": "5"])
                == "Certificates: added d.pem; changed b.pem; gone c.pem.")
    }

    @Test func `a file that holds something else is named, and one that is as before is not`()
        throws
    {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let certificates = try TestCertificates.shared()
        let authority = try String(contentsOfFile: certificates.authority, encoding: .utf8)
        let keys = #"{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}"#
        let hash = "ann:$6$salt$" + String(repeating: "a", count: 86) + "\n"
        let contents = ["ca.pem": authority, "jwks.json": keys, "users": hash]
        for (name, content) in contents { try Scratch.write(content, to: "\(folder)/\(name)") }
        let configuration = try Configuration.load(
            yaml: """
                listen: [{ address: "127.0.0.1:0" }]
                routes:
                  - { path: /a, to: app, access: { basic: { file: \(folder)/users } } }
                  - { path: /b, to: app, access: { jwt: { keys: \(folder)/jwks.json } } }
                upstreams: { app: { endpoints: ["https://h:1"], tls: { ca: \(folder)/ca.pem } } }
                """, file: "s.yaml")
        var before = try Assembly(configuration)
        func changed() throws -> String {
            let now = try Assembly(configuration, previous: before)
            defer { before = now }
            return ReloadChanges(
                from: (configuration, [:]), to: (configuration, [:]),
                files: now.changedFiles(since: before)
            ).text(waiting: [])
        }
        #expect(try changed() == "Nothing has changed.")
        for (name, content) in contents {
            try Scratch.write(content + "\n", to: "\(folder)/\(name)")
            #expect(try changed() == "Files: changed \(folder)/\(name).")
        }
        #expect(try changed() == "Nothing has changed.")
    }

    @Test func `of many the first are named and the others counted`() throws {
        let routes = (1...30).map { "  - { path: /\($0), to: chat }\n" }.joined()
        let after = Self.before.replacing("upstreams:", with: routes + "upstreams:")
        #expect(
            try text(after)
                == "Routes: added /1, /10, /11, /12, /13, /14, /15, /16 and 22 more.")
    }
}

/// How many relays a rebalance closes.
struct CensusTests {
    private func surplus(_ census: inout Census, _ counts: [Int], at second: UInt64) -> [Int] {
        census.look(counts.map { ($0, 1) }, nowMilliseconds: second * 1_000).surplus
    }

    @Test func `clients on their way back are counted`() {
        var census = Census()
        #expect(surplus(&census, [50, 0], at: 1) == [25, 0])
        census.note(closed: 25, nowMilliseconds: 1_500)
        // Five of the 25 are back: the average is 25 still, and not 15.
        #expect(surplus(&census, [25, 5], at: 2) == [0, 0])
        #expect(surplus(&census, [25, 25], at: 3) == [0, 0])
    }

    @Test func `it is not even until those are back that were told to go`() {
        var census = Census()
        _ = census.look([(50, 1), (0, 1)], nowMilliseconds: 0)
        census.note(closed: 25, nowMilliseconds: 500)
        let gone = census.look([(25, 1), (0, 1)], nowMilliseconds: 1_000)
        #expect(gone.surplus == [0, 0] && gone.missing == 25 && !gone.isEven)
        let back = census.look([(25, 1), (25, 1)], nowMilliseconds: 2_000)
        #expect(back.missing == 0 && back.isEven)
        // Whoever waits for longer than is remembered goes on to expect as many.
        let late = census.look([(25, 1), (0, 1)], expecting: 50, nowMilliseconds: 90_000)
        #expect(late.surplus == [0, 0] && late.missing == 25)
    }

    @Test func `those that nobody has told to go are not awaited`() {
        var census = Census()
        #expect(surplus(&census, [50, 0], at: 0) == [25, 0])
        census.note(closed: 5, nowMilliseconds: 0)
        #expect(surplus(&census, [25, 0], at: 1) == [10, 0])
    }

    @Test func `clients that are gone for good are forgotten after a while`() {
        var census = Census()
        _ = surplus(&census, [100, 0], at: 0)
        census.note(closed: 60, nowMilliseconds: 0)
        for second: UInt64 in 1..<30 { #expect(surplus(&census, [30, 10], at: second) == [0, 0]) }
        #expect(surplus(&census, [30, 10], at: 30) == [10, 0])
    }

    @Test func `shares count, and what takes nothing does not`() {
        var census = Census()
        #expect(census.look([(90, 1), (0, 2)], nowMilliseconds: 0).surplus == [60, 0])
        var other = Census()
        #expect(other.look([(7, 0), (0, 0)], nowMilliseconds: 0).surplus == [0, 0])
        #expect(other.look([], nowMilliseconds: 0).surplus == [])
    }
}
