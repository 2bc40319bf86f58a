// SPDX-License-Identifier: Apache-2.0
//
// Goal: where every endpoint is full, requests wait in order, bounded in number and time, and get the
// places that become free, whichever reactor they and those who leave are on.
// Method: backends in the test's hand with one place each, several reactors.

import TestKit
import Testing

@Suite struct QueueTests {
    private func start(
        _ backends: [ManualBackend], _ queue: String, workers: Int = 3
    ) throws -> ProxyFixture {
        let list = backends.map { "\"\($0.address)\"" }.joined(separator: ", ")
        return try ProxyFixture(
            routes: ["{ path: /*, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\(list)], balance: roundRobin, maxConnections: 1, "
                    + "\(queue) } }"
            ], workers: workers)
    }

    /// One place at one backend, and commands for the program.
    private func operate(
        _ backend: ManualBackend, _ queue: String, _ settings: [String] = []
    ) throws -> Operated {
        try Operated(
            routes: ["{ path: /*, to: app }"],
            settings: settings + [
                "upstreams: { app: { endpoints: [\"\(backend.address)\"], maxConnections: 1, "
                    + "queue: { \(queue) } } }"
            ])
    }

    private func expect(_ count: Int, toWaitAt sluice: Operated) throws {
        let line = count == 1 ? "1 request waits" : "\(count) requests wait"
        try eventually(line) {
            try sluice.command(["status"]).output.contains("\(line) for a place at app")
        }
    }

    /// A client that has asked for a WebSocket and waits.
    private func waiting(_ proxy: ProxyFixture, _ path: String) throws -> WebSocketPeer {
        let client = try proxy.connect()
        try client.send(Opening(path).bytes)
        return client
    }

    private func end(_ client: WebSocketPeer, _ upstream: WebSocketPeer) throws {
        try client.send(Frame.close(1000).masked())
        #expect(try upstream.readFrame().closeCode == 1000)
        try upstream.send(Frame.close(1000))
        #expect(try client.readFrame().closeCode == 1000)
        client.stream.close()
        upstream.stream.close()
    }

    /// Lets the next of those that wait have its relay.
    private func serveNext(
        _ backend: ManualBackend, _ clients: [String: WebSocketPeer]
    ) throws -> (path: String, client: WebSocketPeer, upstream: WebSocketPeer) {
        let upstream = try backend.next()
        let path = try upstream.accept().target
        let client = try #require(clients[path])
        #expect(try client.readHead().status == 101)
        return (path, client, upstream)
    }

    @Test func `those that wait get places in the order of coming, and too many are refused`()
        throws
    {
        let backend = try ManualBackend()
        let sluice = try operate(backend, "wait: 60s, size: 3", ["workers: 3"])
        defer { Scratch.remove(sluice.folder) }
        let proxy = sluice.proxy
        let ends = try proxy.relay(to: backend)
        var (client, upstream) = (ends.client, ends.upstream)
        var clients: [String: WebSocketPeer] = [:]
        for number in 1...3 {
            clients["/\(number)"] = try waiting(proxy, "/\(number)")
            try expect(number, toWaitAt: sluice)
        }
        let refused = try proxy.connect()
        let answer = try refused.refusal(of: Opening("/4"))
        try expectRefusal(answer, 503, on: refused)
        #expect(answer.head["Retry-After"] == "1")
        #expect(try backend.hasPendingConnection(by: .after(.milliseconds(50))) == false)
        for number in 1...3 {
            try end(client, upstream)
            let path: String
            (path, client, upstream) = try serveNext(backend, clients)
            #expect(path == "/\(number)")
        }
        try client.send(Frame.text("works").masked())
        #expect(try upstream.readFrame().text == "works")
        #expect(try sluice.command(["status"]).output.contains("wait for a place") == false)
    }

    @Test func `who has waited for long enough is refused`() throws {
        let backend = try ManualBackend()
        let proxy = try start([backend], "queue: { wait: 300ms }")
        let ends = try proxy.relay(to: backend)
        let client = try waiting(proxy, "/late")
        let answer = try client.readResponse()
        try expectRefusal(answer, 503, on: client)
        #expect(answer.head["Retry-After"] == "1")
        #expect(answer.text.contains("as many connections as it may have"))
        // The place it did not get is there for others.
        try end(ends.client, ends.upstream)
        _ = try proxy.relay(to: backend)
    }

    @Test func `those that leave while they wait are forgotten`() throws {
        let backend = try ManualBackend()
        let proxy = try start([backend], "queue: { wait: 60s, size: 20 }")
        let ends = try proxy.relay(to: backend)
        var left: [WebSocketPeer] = []
        for number in 0..<10 { left.append(try waiting(proxy, "/left\(number)")) }
        // Some end in order, some break off; some of those that are called are gone already.
        for (number, client) in left.enumerated() {
            if number % 2 == 0 { try client.stream.halfClose() } else { client.stream.close() }
        }
        let stays = try waiting(proxy, "/stays")
        try end(ends.client, ends.upstream)
        // Who had left before the place was free got none, unless Sluice had not heard of it yet.
        while true {
            let upstream = try backend.next()
            let request = try upstream.accept()
            if request.target.contains("/stays") {
                #expect(try stays.readHead().status == 101)
                try stays.send(Frame.text("served").masked())
                #expect(try upstream.readFrame().text == "served")
                return
            }
            upstream.stream.close()
        }
    }

    @Test func `ordinary requests wait in the same line, with their bodies`() throws {
        let backend = try ManualBackend()
        let proxy = try start([backend], "queue: { wait: 60s }")
        let ends = try proxy.relay(to: backend)
        let client = try proxy.connect()
        let body = String(repeating: "x", count: 100_000)
        try client.send(
            "POST /form HTTP/1.1\r\nHost: localhost\r\nContent-Length: \(body.count)\r\n\r\n\(body)"
        )
        let second = try waiting(proxy, "/second")
        #expect(try backend.hasPendingConnection(by: .after(.milliseconds(50))) == false)
        try end(ends.client, ends.upstream)
        // Either may have come first.
        for _ in 0..<2 {
            let upstream = try backend.next()
            let head = try upstream.readHead()
            if head.startLine.hasPrefix("POST") {
                #expect(try upstream.read(body.count).count == body.count)
                try upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                #expect(try client.readResponse().text == "ok")
            } else {
                let key = head["Sec-WebSocket-Key"] ?? ""
                try upstream.send(WebSocketPeer.switching(key: key))
                #expect(try second.readHead().status == 101)
                upstream.stream.close()
            }
        }
    }

    @Test func `every place that becomes free is taken, on however many reactors`() throws {
        let backends = try (0..<3).map { _ in try ScriptedBackend.echo() }
        let list = backends.map { "\"\($0.address)\"" }.joined(separator: ", ")
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\(list)], balance: random2, maxConnections: 2, "
                    + "queue: { wait: 5m, size: 100 } } }"
            ], workers: 4)
        // 24 clients for 6 places, each for a few rounds: nobody may be refused or forgotten.
        let clients = (0..<24).map { number in
            TestThread {
                for round in 0..<6 {
                    let client = try proxy.open()
                    try client.send(Frame.text("\(number)-\(round)").masked())
                    guard
                        try client.readFrame(by: .after(.seconds(60))).text == "\(number)-\(round)"
                    else { throw PeerError("another's echo") }
                    try client.send(Frame.close(1000).masked())
                    _ = try client.readFrame(by: .after(.seconds(60)))
                    client.stream.close()
                }
            }
        }
        for client in clients { try client.join(by: .after(.seconds(240))) }
        #expect(backends.reduce(0) { $0 + $1.connectionCount } == 24 * 6)
    }

    @Test func `a place at an endpoint that fails meanwhile is not waited for`() throws {
        let alive = try ManualBackend()
        let dead = try PeerAddress.refusing()
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(dead)\", \"\(alive.address)\"], "
                    + "maxConnections: 1, cooldown: 1h, cooldownMax: 1h, queue: { wait: 60s } } }"
            ])
        let ends = try proxy.relay(to: alive)
        let client = try waiting(proxy, "/waits")
        #expect(try alive.hasPendingConnection(by: .after(.milliseconds(100))) == false)
        try end(ends.client, ends.upstream)
        _ = try serveNext(alive, ["/waits": client])
    }

    @Test(arguments: [true, false])
    func `those in a line that a reload does away with are served or refused at once`(
        bringsPlaces: Bool
    ) throws {
        let backend = try ManualBackend()
        let sluice = try operate(backend, "wait: 5m")
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: backend)
        let clients = try ["/1", "/2"].map { try waiting(sluice.proxy, $0) }
        try expect(2, toWaitAt: sluice)
        try sluice.rewrite(", queue: { wait: 5m }", "")
        if bringsPlaces { try sluice.rewrite("maxConnections: 1", "maxConnections: 9") }
        #expect(try sluice.command(["reload"]).status == 0)
        if bringsPlaces {
            for _ in clients { _ = try backend.next().accept() }
            for client in clients { #expect(try client.readHead().status == 101) }
        } else {
            for client in clients { #expect(try client.readHead().status == 503) }
        }
        try ends.exchange("still here")
    }

    @Test func `those that wait get the places that a reload brings`() throws {
        let (first, second) = (try ManualBackend(), try ManualBackend())
        let sluice = try operate(first, "wait: 5m")
        defer { Scratch.remove(sluice.folder) }
        let ends = try sluice.proxy.relay(to: first)
        var clients: [String: WebSocketPeer] = [:]
        for number in 1...2 {
            clients["/\(number)"] = try waiting(sluice.proxy, "/\(number)")
            try expect(number, toWaitAt: sluice)
        }
        // Another endpoint,
        try sluice.rewrite("\"\(first.address)\"]", "\"\(first.address)\", \"\(second.address)\"]")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try serveNext(second, clients).path == "/1")
        // and more places.
        try sluice.rewrite("maxConnections: 1", "maxConnections: 2")
        #expect(try sluice.command(["reload"]).status == 0)
        var backend = first
        try eventually("one of both is asked") {
            backend = backend === first ? second : first
            return try backend.hasPendingConnection(by: .after(.milliseconds(10)))
        }
        #expect(try serveNext(backend, clients).path == "/2")
        try ends.exchange("undisturbed")
    }

    @Test func `those that wait get the place of an endpoint whose cool-down ends`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let full = try ManualBackend()
        let later = PeerAddress.unix("\(folder)/later.sock")
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: app }"],
            settings: [
                "upstreams: { app: { endpoints: [\"\(later)\", \"\(full.address)\"], "
                    + "maxConnections: 1, cooldown: 500ms, cooldownMax: 500ms, queue: { wait: 5m } } }"
            ])
        let ends = try proxy.relay(to: full)
        let client = try waiting(proxy, "/waits")
        let backend = try ManualBackend(at: later)
        _ = try serveNext(backend, ["/waits": client])
        withExtendedLifetime(ends) {}
    }
}
