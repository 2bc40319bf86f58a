// SPDX-License-Identifier: Apache-2.0
//
// Goal: requests with the same path, field, cookie or client reach the same endpoint, over restarts
// and whatever becomes of the others.
// Method: backends that know their own name, requests of both kinds with keys of every kind.

import TestKit
import Testing

@Suite struct BalanceTests {
    private struct Apps {
        let names = ["a", "b", "c", "d"]
        let backends: [ScriptedBackend]

        init() throws {
            backends = try names.map { name in
                try ScriptedBackend { peer in
                    let head = try peer.readHead()
                    if let key = head["Sec-WebSocket-Key"] {
                        try peer.send(
                            WebSocketPeer.switching(key: key) + Frame.text(name).bytes)
                        _ = try peer.readUntilEnd()
                    } else {
                        try peer.send(
                            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n\(name)"
                        )
                        try peer.stream.halfClose()
                        _ = try peer.readUntilEnd()
                    }
                }
            }
        }

        func proxy(_ balance: String, reversed: Bool = false) throws -> ProxyFixture {
            let order = reversed ? backends.reversed() : backends
            let list = order.map { "\"\($0.address)\"" }.joined(separator: ", ")
            return try ProxyFixture(
                routes: ["{ path: /*, to: app }"],
                settings: ["upstreams: { app: { endpoints: [\(list)], balance: \(balance) } }"])
        }
    }

    /// What is asked for with the key of this number.
    private func opening(_ kind: String, _ number: Int) -> Opening {
        switch kind {
        case "path": Opening("/rooms/\(number)?x=\(Int.random(in: 0..<1_000_000))")
        case "header:X-User": Opening("/\(number)", extra: [("x-user", "user-\(number)")])
        default:
            Opening(
                "/", extra: [("Cookie", "theme=dark; sid2=no; sid=session-\(number); x=\(number)")])
        }
    }

    private func asked(_ proxy: ProxyFixture, _ opening: Opening) throws -> String {
        let client = try proxy.connect()
        let plain = opening.fields.filter {
            !["Upgrade", "Connection", "Sec-WebSocket-Key", "Sec-WebSocket-Version"].contains(
                $0.name)
        }
        let lines = plain.map { "\($0.name): \($0.value)\r\n" }.joined()
        try client.send("GET \(opening.target) HTTP/1.1\r\n\(lines)\r\n")
        return try client.readResponse().text
    }

    @Test(arguments: ["path", "header:X-User", "cookie:sid"])
    func `the same key reaches the same endpoint, whoever asks and after a restart`(
        kind: String
    ) throws {
        let apps = try Apps()
        let count = 24
        let proxy = try apps.proxy("hash(\(kind))")
        let first = try (0..<count).map { try proxy.reached(opening(kind, $0)) }
        #expect(Set(first).count > 1, "\(first)")
        #expect(try (0..<count).map { try proxy.reached(opening(kind, $0)) } == first)
        // Ordinary requests go the same way.
        #expect(try (0..<count).map { try asked(proxy, opening(kind, $0)) } == first)
        let other = try apps.proxy("hash(\(kind))", reversed: true)
        #expect(try (0..<count).map { try other.reached(opening(kind, $0)) } == first)
        // Without one of them its keys alone go elsewhere.
        let gone = first[0]
        apps.backends[try #require(apps.names.firstIndex(of: gone))].stop()
        let rest = try (0..<count).map { try proxy.reached(opening(kind, $0)) }
        for (before, after) in zip(first, rest) {
            #expect(before == gone ? after != gone : after == before)
        }
    }

    @Test func `of two cookies the first one counts`() throws {
        let apps = try Apps()
        let proxy = try apps.proxy("hash(cookie:sid)")
        let names = try (0..<24).map { try proxy.reached(opening("cookie:sid", $0)) }
        let other = try #require(names.firstIndex { $0 != names[0] })
        for (first, second) in [(0, other), (other, 0)] {
            let (one, two) = ("sid=session-\(first)", "sid=session-\(second)")
            for fields in [
                [("Cookie", "\(one); \(two)")], [("Cookie", "x=1; \(one)"), ("Cookie", two)],
            ] {
                let opening = Opening("/", extra: fields)
                #expect(try proxy.reached(opening) == names[first], "\(fields)")
                #expect(try asked(proxy, opening) == names[first], "\(fields)")
            }
        }
    }

    @Test func `one client reaches one endpoint`() throws {
        let apps = try Apps()
        let proxy = try apps.proxy("hash(client)")
        let names = try (0..<8).map { try proxy.reached(Opening("/\($0)")) }
        #expect(Set(names).count == 1, "\(names)")
    }

    @Test(arguments: ["hash(header:X-User)", "hash(cookie:sid)"])
    func `without a key relays go where there are the fewest`(balance: String) throws {
        let apps = try Apps()
        let proxy = try apps.proxy(balance)
        let empty = [("X-User", ""), ("Cookie", "sid=; other=1")]
        let clients = try (0..<8).map { number in
            try proxy.open(Opening("/", extra: number % 2 == 0 ? [] : empty))
        }
        let names = try clients.map { try $0.readFrame().text }
        for name in apps.names { #expect(names.count { $0 == name } == 2, "\(names)") }
    }

    @Test func `two choices reach every endpoint`() throws {
        let apps = try Apps()
        let proxy = try apps.proxy("random2")
        let clients = try (0..<40).map { _ in try proxy.open() }
        let names = try clients.map { try $0.readFrame().text }
        for name in apps.names {
            #expect((5...15).contains(names.count { $0 == name }), "\(names)")
        }
    }
}
