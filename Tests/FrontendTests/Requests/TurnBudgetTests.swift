// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice
import Testing
import Wire

@testable import Frontend

/// What goes on in the next turn, since it has used up its budget: each once, however often it is told of
/// more.
struct TurnBudgetTests {
    /// A reactor that moves one receive in a turn of each connection.
    private func rig(_ action: RouteAction? = nil) throws -> TurnRig {
        var settings = FrontendSettings()
        settings.relayBufferBytes = 16 * 1_024
        let rig = try TurnRig(settings: settings, action: action)
        rig.state.pointee.space.pointee.pumpBytesMax = 1
        return rig
    }

    /// Has an event in each of several turns for what goes on by itself too.
    private func press(_ rig: TurnRig, _ client: Peer, _ bytes: [UInt8]) {
        for turn in 1...4 {
            client.send(bytes)
            let events = rig.turnOnce()
            #expect(events > 0, "turn \(turn)")
            #expect(rig.state.pointee.unfinished.count == 1, "turn \(turn)")
        }
    }

    private static let piece = [UInt8](repeating: 0x78, count: 40_000)

    @Test func `a request goes on once in each turn`() throws {
        let rig = try rig()
        let (client, app, _) = try rig.forward(
            "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\n")
        press(rig, client, Self.piece)
        #expect(app.received().count >= 4 * 16_384)
    }

    @Test func `a tunnel goes on once in each turn`() throws {
        let rig = try rig()
        let (client, app, _) = try rig.forward(RequestTurnTests.upgrade)
        app.send(RequestTurnTests.switching)
        rig.turn()
        #expect(rig.state.pointee.tunnels.count == 1)
        // The head of one long frame, masked with zeros (RFC 6455 §5.2).
        client.send([0x82, 0xFF, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])
        rig.turn()
        press(rig, client, Self.piece)
    }

    @Test func `a session that reads a pipeline goes on once in each turn`() throws {
        let answer = FixedAnswer(status: 204, type: "text/plain", body: [])
        let rig = try rig(.respond(answer))
        let client = try rig.connect()
        rig.turn()
        let head = Array("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n".utf8)
        press(rig, client, Array(repeatElement(head, count: 200).joined()))
    }
}
