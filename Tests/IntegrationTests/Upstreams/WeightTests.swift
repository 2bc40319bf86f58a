// SPDX-License-Identifier: Apache-2.0
//
// Goal: endpoints get what their weights say, those of 0 nothing new, and a name stands for an endpoint wherever it is.
// Method: apps that say their own name, asked by curl and by sockets; the configuration is written anew and reloaded.

import TestKit
import Testing

@Suite struct WeightTests {
    /// An app that answers each request with its name, and echoes on sockets.
    private func app(_ name: String) throws -> ScriptedBackend {
        try ScriptedBackend { peer in
            let head = try peer.readHead()
            if let key = head["Sec-WebSocket-Key"] {
                try peer.send(WebSocketPeer.switching(key: key))
                try peer.echo()
            } else {
                let count = name.utf8.count
                try peer.send(
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: \(count)\r\n\r\n\(name)"
                )
                try peer.stream.halfClose()
                _ = try peer.readUntilEnd()
            }
        }
    }

    private func asked(_ sluice: Operated, _ count: Int, path: String = "/") throws -> [String: Int]
    {
        let authority = try TestCertificates.shared().authority
        let url = "https://localhost:\(sluice.proxy.port())\(path)?[1-\(count)]"
        let said = try run(["curl", "-sS", "-w", "\n", "--cacert", authority, url])
        return Dictionary(said.filter { !$0.isEmpty }.map { ($0, 1) }, uniquingKeysWith: +)
    }

    @Test func `requests are spread by weight, and a weight of 0 takes nothing new`() throws {
        let (a, b) = (try app("a"), try app("b"))
        let sluice = try Operated(
            routes: ["{ path: /*, to: app }"],
            settings: [
                "upstreams: { app: { balance: roundRobin, endpoints: [{ url: \"\(a.address)\","
                    + " weight: 3, name: blue }, { url: \"\(b.address)\", name: green }] } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        let spread = try asked(sluice, 80)
        #expect(spread["a", default: 0] >= 57 && spread["a", default: 0] <= 63, "\(spread)")
        let sockets = try (0..<4).map { _ in try sluice.proxy.open() }
        try sluice.rewrite("weight: 3", "weight: 0")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try asked(sluice, 20) == ["b": 20])
        for socket in sockets {
            try socket.send(Frame.text("goes on").masked())
            #expect(try socket.readFrame().text == "goes on")
        }
        let status = try sluice.command(["status"])
        #expect(status.output.contains("blue") && status.output.contains("resting"), "\(status)")
        let up = "sluice_endpoint_relays{upstream=\"app\",endpoint=\"blue\"}"
        #expect(try sluice.scrape()[up] ?? 0 >= 2)
        // By its name a command finds it.
        #expect(try sluice.command(["drain", "--endpoint", "green", "--spread", "0s"]).status == 0)
        let refusal = try sluice.proxy.connect().refusal(of: Opening())
        #expect(refusal.status == 503)
        #expect(refusal.text.contains("is being drained, or has the weight 0."), "\(refusal.text)")
        try sluice.rewrite("weight: 0", "weight: 1")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try asked(sluice, 5) == ["a": 5])
    }

    @Test func `a name keeps its keys where it moves to another address`() throws {
        let apps = try ["a", "b", "c"].map(app)
        let list = zip(["one", "two", "three"], apps)
            .map { "{ url: \"\($1.address)\", name: \($0) }" }.joined(separator: ", ")
        let sluice = try Operated(
            routes: ["{ path: /*, to: app }"],
            settings: ["upstreams: { app: { balance: hash(path), endpoints: [\(list)] } }"])
        defer { Scratch.remove(sluice.folder) }
        let paths = (0..<30).map { "/rooms/\($0)" }
        let before = try paths.map { try asked(sluice, 1, path: $0).keys.first ?? "" }
        #expect(Set(before) == ["a", "b", "c"])
        let moved = try app("moved")
        try sluice.rewrite("\(apps[1].address)", "\(moved.address)")
        #expect(try sluice.command(["reload"]).status == 0)
        let after = try paths.map { try asked(sluice, 1, path: $0).keys.first ?? "" }
        #expect(after == before.map { $0 == "b" ? "moved" : $0 })
    }

    @Test func `an upstream of nothing but weights of 0 is warned of`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write(
            """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /, to: app }]
            upstreams: { app: { endpoints: [{ url: "ws://127.0.0.1:1", weight: 0 }] } }

            """, to: "\(folder)/s.yaml")
        let checked = try ended([try ProxyFixture.program(), "check", "-c", "\(folder)/s.yaml"])
        #expect(checked.status == 0)
        #expect(
            checked.output.contains("all have the weight 0, so none takes anything new"),
            "\(checked)")
    }
}
