// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import HTTP2

/// The client's side for the doctor, and the server's, with each other.
struct ProbeTests {
    private let probe = HTTP2Probe()

    /// Passes bytes to and fro until nobody has any.
    private func talk(_ rig: Rig) {
        while true {
            let up = probe.takeOutput()
            rig.receive(up)
            let down = rig.output()
            probe.receive(down)
            if up.isEmpty && down.isEmpty { return }
        }
    }

    /// The stream of a request that was just made.
    private func ask(_ rig: Rig) throws -> HTTP2Stream {
        probe.open(
            authority: "example.com", path: "/chat?a",
            fields: [("Sec-WebSocket-Version", "13"), ("Connection", "Upgrade"), ("X-A", "1")])
        talk(rig)
        let event = try #require(rig.events().first)
        #expect(event.kind == .request(isLast: false))
        return event.stream
    }

    @Test(arguments: [true, false])
    func `what the server offers is known with its SETTINGS`(isOffered: Bool) {
        #expect(probe.offersWebSockets == nil)
        talk(Rig(greets: false) { $0.allowsExtendedConnect = isOffered })
        #expect(probe.offersWebSockets == isOffered)
    }

    @Test func `a socket opens, and bytes pass either way`() throws {
        let rig = Rig(greets: false)
        let stream = try ask(rig)
        let head = try rig.connection.head(stream)
        #expect(head.text(of: head.method) == "CONNECT")
        #expect(head.text(of: head.protocolName) == "websocket")
        #expect(head.text(of: head.authority) == "example.com")
        #expect(head.text(of: head.path) == "/chat?a")
        #expect(head.pairs == [["sec-websocket-version", "13"], ["x-a", "1"]])
        rig.connection.sendInterim(stream, status: 103)
        talk(rig)
        #expect(probe.status == nil)
        rig.connection.answer(stream, status: 200, HTTP2Fields(), hasBody: true)
        talk(rig)
        #expect(probe.status == 200 && !probe.hasEnded)
        probe.send([1, 2, 3])
        talk(rig)
        let arrived = Array(rig.connection.arrived(stream))
        #expect(arrived == [1, 2, 3])
        let isSent = arrived.withUnsafeBytes { rig.connection.send(stream, $0) }
        #expect(isSent)
        talk(rig)
        #expect(probe.takeArrived() == [1, 2, 3] && probe.takeArrived().isEmpty)
        rig.connection.finish(stream)
        talk(rig)
        #expect(probe.hasEnded && probe.errorCode == nil)
    }

    @Test func `a refusal, a reset and an end of the connection are told apart`() throws {
        let rig = Rig(greets: false)
        rig.connection.answer(try ask(rig), status: 404, HTTP2Fields(), hasBody: false)
        talk(rig)
        #expect(probe.status == 404 && probe.hasEnded)

        let other = ProbeTests()
        let second = Rig(greets: false)
        second.connection.reset(try other.ask(second), .refusedStream)
        other.talk(second)
        #expect(other.probe.status == nil && other.probe.errorCode == .refusedStream)

        let last = ProbeTests()
        let third = Rig(greets: false)
        _ = try last.ask(third)
        third.connection.terminate(.internalError)
        last.talk(third)
        #expect(last.probe.hasEnded && last.probe.errorCode == .internalError)
    }

    @Test func `what is no HTTP/2 is an end`() {
        probe.receive(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
        #expect(!probe.takeOutput().isEmpty)
        #expect(probe.hasEnded && probe.errorCode == .protocolError)
    }
}
