// SPDX-License-Identifier: Apache-2.0
//
// Goal: when the process has no descriptor left (EMFILE), it neither dies nor spins, live relays go
// on, and when descriptors are free again new connections are served.
// Method: the program under a small `ulimit -n`, soft and hard; clients come until no more is served.

import TestKit
import Testing

@Suite struct OpenFilesTests {
    private static let limited = ["sh", "-c", "ulimit -n 48 && exec \"$@\"", "sh"]

    @Test func `the program recovers from having no descriptors left`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            to: backend.address, listeners: [.plain], workers: 1, wrapper: Self.limited)
        var clients: [WebSocketPeer] = []
        var unserved: [WebSocketPeer] = []
        while unserved.isEmpty, clients.count < 60 {
            let client = try proxy.connect()
            try client.send(Opening().bytes)
            if try !client.stream.hasInput(by: .after(.seconds(2))) {
                unserved.append(client)
            } else if try client.readHead().status == 101 {
                clients.append(client)
            } else {
                // Refused because the upstream's socket found no descriptor: full as well.
                unserved.append(client)
            }
        }
        #expect(!clients.isEmpty && clients.count < 48)
        for _ in 0..<8 { unserved.append(try proxy.connect()) }

        // Full, but alive: relays go on, and the processor is not burnt on accept.
        let ticks = try processorTicks(of: proxy)
        for turn in 0..<50 {
            let client = clients[turn % clients.count]
            try client.send(Frame.text("\(turn)").masked())
            #expect(try client.readFrame().text == "\(turn)")
        }
        _ = try unserved[unserved.count - 1].stream.hasInput(by: .after(.seconds(1)))
        #expect(try processorTicks(of: proxy) - ticks < 60)

        for client in clients + unserved { client.stream.close() }
        try eventually("a new connection is served") {
            let client = try proxy.connect()
            try client.send(Opening().bytes)
            guard try client.stream.hasInput(by: .after(.seconds(5))) else { return false }
            return try client.readHead().status == 101
        }
        #expect(try proxy.terminate() == 0)
    }
}
