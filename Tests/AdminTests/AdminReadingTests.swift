// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import TestKit
import Testing

@testable import Admin

/// Goal: who asks how the process is has an answer at once, however many idle connections wait in front.
///
/// Method: the server's own loop, turned by hand, with hundreds of connections that send nothing.
struct AdminReadingTests {
    private static let places = AdminServer.Places(reserve: 160)

    private func makeServer() throws -> AdminServer {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        return try AdminServer(address: Address(parsing: "unix:\(folder)/unused")) { _ in
            AdminAnswer(text: "well")
        }
    }

    /// Turns the loop for as long as somebody waits to be let in, at most `turnsMax` times.
    ///
    /// - Returns: how many turns it took, and for how many milliseconds.
    private func letAllIn(
        _ reading: inout AdminReading, _ listener: borrowing Listener, _ door: Mailbox<Bool>,
        turnsMax: Int
    ) -> (turns: Int, milliseconds: UInt64) {
        let start = Clock.nowMilliseconds()
        var turns = 0
        var waiting = pollfd(fd: listener.descriptor, events: Int16(POLLIN), revents: 0)
        while turns < turnsMax, poll(&waiting, 1, 0) > 0 {
            let goesOn = reading.turn(listener, door)
            #expect(goesOn)
            turns += 1
        }
        return (turns, Clock.nowMilliseconds() - start)
    }

    private static func isTold(_ client: WebSocketPeer) throws -> Bool {
        try client.stream.hasInput(by: .after(.zero))
    }

    @Test(arguments: ["", "GET /st"])
    func `an answer about health comes at once behind 600 that send no request`(
        sent: String
    ) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let listener = try Listener(address: try Address(parsing: "unix:\(folder)/admin"))
        let place = PeerAddress.unix("\(folder)/admin")
        let idle = try (0..<600).map { _ in try WebSocketPeer.connect(to: place) }
        if !sent.isEmpty { for client in idle { try client.send(sent) } }
        let asking = try WebSocketPeer.connect(to: place)
        try asking.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let server = try makeServer()
        let door = try Mailbox<Bool>()
        var reading = AdminReading(server, Self.places)
        // Two turns let in as many as there are places: one in which they come, one in which they go.
        let turnsMax = 4 * (idle.count / Self.places.reading + 2)
        let spent = letAllIn(&reading, listener, door, turnsMax: turnsMax)
        #expect(spent.turns < turnsMax)
        // With 200 ms for each that makes room it took 7.5 s.
        #expect(spent.milliseconds < 3_000, "\(spent.milliseconds)")
        #expect(try asking.readResponse().text == "well\n")
        // Who had to make room was told so, and the others are still waited for.
        let told = try idle.filter(Self.isTold)
        #expect(told.count >= idle.count - Self.places.reading)
        let answers = try told.map { try $0.readResponse() }
        #expect(answers.allSatisfy { $0.status == 408 && $0.text.contains("others wait") })
    }

    @Test func `who has begun to ask is not the one that makes room for another`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let listener = try Listener(address: try Address(parsing: "unix:\(folder)/admin"))
        let place = PeerAddress.unix("\(folder)/admin")
        let begun = try WebSocketPeer.connect(to: place)
        try begun.send("GET /healthz HTTP/1.1\r\n")
        let idle = try (0..<100).map { _ in try WebSocketPeer.connect(to: place) }
        let server = try makeServer()
        let door = try Mailbox<Bool>()
        var reading = AdminReading(server, Self.places)
        _ = letAllIn(&reading, listener, door, turnsMax: 200)
        #expect(try idle[0].readResponse().status == 408)
        #expect(try !Self.isTold(begun))
        try begun.send("Host: localhost\r\n\r\n")
        let goesOn = reading.turn(listener, door)
        #expect(goesOn)
        #expect(try begun.readResponse().text == "well\n")
    }
}
