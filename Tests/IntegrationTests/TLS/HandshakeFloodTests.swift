// SPDX-License-Identifier: Apache-2.0
//
// Goal: a flood of connections that begin a handshake, or none, does not starve open relays, and
// leaves nothing behind.
// Method: hundreds of connections stop at the start of their ClientHello, and dozens of foreign
// handshakes run at once, while a relay on the same only worker goes on echoing.

import TestKit
import Testing

@Suite struct HandshakeFloodTests {
    @Test func `an open relay goes on under a flood of handshakes`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            to: backend.address, settings: ["timeouts: { clientHello: 5s }"], workers: 1)
        let relay = try proxy.open()
        let before = try openDescriptors(of: proxy)
        let stuck = try (0..<300).map { _ in
            let client = try proxy.connect(security: .plain)
            try client.send([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc])
            return client
        }
        let shakers = (0..<20).map { _ in
            TestThread { for _ in 0..<5 { try proxy.connect().stream.close() } }
        }
        for turn in 0..<200 {
            try relay.send(Frame.text("\(turn)").masked())
            // Far more than a turn of the loop may take, and far less than a starved relay waits.
            #expect(try relay.readFrame(by: .after(.seconds(5))).text == "\(turn)")
        }
        for shaker in shakers { try shaker.join() }
        for client in stuck { _ = try client.readUntilEnd() }
        for client in stuck { client.stream.close() }
        try eventually("the flood's descriptors are closed") {
            try openDescriptors(of: proxy) <= before
        }
    }
}
