// SPDX-License-Identifier: Apache-2.0
//
// Goal: with every number of the configuration at the highest that it may be, nothing overflows.
// Method: one configuration with all of them; a relay, requests, a check, a reload and a drain.

import Foundation
import TestKit
import Testing

@Suite struct HighestNumbersTests {
    private static let settings = [
        "timeouts: { clientHello: 24h, handshake: 24h, head: 24h, connect: 24h, upgrade: 24h,"
            + " answer: 24h, body: 24h, answerBody: 24h, keepAlive: 24h, closing: 24h, linger: 24h }",
        "drain: { timeout: 24h, spread: 24h }",
        "limits: { headBytes: 1MiB, headFields: 10000, connections: 9223372036854775807,"
            + " connectionsPerClient: 1000000000, newConnectionsPerSecond: 1000000,"
            + " requestsPerConnection: 1000000000, handshakesPerTurn: 10000, relayBufferBytes: 64MiB }",
    ]
    private static let route =
        "idle: 30d, lifetime: 365d, limits: { messageBytes: 9223372036854775807B,"
        + " bodyBytes: 9223372036854775807B, relays: 1000000000, relaysPerClient: 1000000000,"
        + " newRelaysPerSecond: 1000000, messagesPerSecond: 1000000, fragments: 1000000,"
        + " bytesPerSecond: 1024GiB, messagesPerSecondPerClient: 1000000,"
        + " bytesPerSecondPerClient: 1024GiB }"

    @Test func `with every number at its highest a relay, requests, a reload and a drain work`()
        throws
    {
        let backend = try ScriptedBackend { peer in
            let head = try peer.readHead(by: .after(.seconds(600)))
            if let key = head["Sec-WebSocket-Key"] {
                try peer.send(WebSocketPeer.switching(key: key))
                try peer.echo()
                return
            }
            try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        }
        defer { backend.stop() }
        let sluice = try Operated(
            routes: ["{ path: /*, to: app, \(Self.route) }"], listeners: [.plain],
            settings: Self.settings + [
                "upstreams: { app: { endpoints: [\"\(backend.address)\"], cooldown: 1h, cooldownMax: 1h,"
                    + " failedUpgrades: 1000000, slowStart: 1h, maxConnections: 1000000000,"
                    + " queue: { wait: 5m, size: 1000000 }, pool: { max: 1000000, idle: 1h },"
                    + " health: { path: /, every: 1h, timeout: 60s, rise: 1000, fall: 1000 } } }"
            ])
        defer { Scratch.remove(sluice.folder) }
        let relay = try sluice.proxy.open(Opening("/"))
        for text in ["one", String(repeating: "x", count: 100_000)] {
            try relay.send(Frame.text(text).masked())
            #expect(try relay.readFrame().text == text)
        }
        // A message of the longest length that can be written (RFC 6455 §5.2), which never comes.
        let endless = try sluice.proxy.open(Opening("/"))
        try endless.send(
            [0x82, 0xFF] + [0x7F] + Array(repeating: 0xFF, count: 7) + [1, 2, 3, 4, 5])
        let client = try sluice.proxy.connect()
        try client.send("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi")
        #expect(try client.readResponse().text == "ok")
        let chunks = try sluice.proxy.connect()
        try chunks.send(
            "POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
        )
        #expect(try chunks.readResponse().text == "ok")
        #expect(try sluice.command(["reload"]).status == 0)
        #expect(try sluice.command(["status"]).status == 0)
        let drain = try sluice.command([
            "drain", "--route", "/*", "--spread", "7d", "--timeout", "7d", "--background",
        ])
        #expect(drain.status == 0, "\(drain.output)")
        #expect(try sluice.command(["drain", "--route", "/*", "--resume"]).status == 0)
        try client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        #expect(try client.readResponse().text == "ok")
        #expect(try sluice.ask("/healthz").output == "ok\n")
    }
}
