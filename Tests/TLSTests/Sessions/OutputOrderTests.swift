// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// Goal: what a session has made leaves in the order in which it was made, whatever follows a ticket
/// that was set aside; each record has a number that its reader counts along (RFC 8446 §5.3).
///
/// Method: the ticket is set aside, the session is brought to say something in each way that it can,
/// and a client of OpenSSL's reads it.
@Suite(.eachEngine, .namingEngine)
struct OutputOrderTests {
    enum Way: String, CaseIterable {
        case data, closeNotify, dataAndClose, alert, keyUpdate, itself
    }

    enum Form: CaseIterable { case openSSL, released }

    private func pair() throws -> (pair: MemoryPair, forger: Forger) {
        let identities = try Identities.shared()
        let pair = MemoryPair(try identities.store([identities.local]), client: try client())
        // Step by step, since the pair's own way lets the client read the ticket.
        #expect(pair.client.handshake() == .wantsInput)
        #expect(pair.server.handshake(pair.client.output()) == .wantsInput)
        #expect(pair.client.handshake(pair.server.output()) == .done)
        #expect(pair.server.handshake(pair.client.output()) == .done)
        pair.server.setOutputAside()
        #expect(pair.server.output() == [], "the ticket waits")
        return (pair, try Forger(pair.client, ticketCount: 0))
    }

    @Test(arguments: Way.allCases, Form.allCases)
    func `a ticket that was set aside leaves in front of everything`(
        way: Way, form: Form
    ) throws {
        let (pair, forger) = try pair()
        if form == .released { try #require(pair.server.release() == .released) }
        var wire: [UInt8] = []
        var isFailed = false
        switch way {
        case .data: wire = pair.server.seal([1, 2, 3])
        case .closeNotify: wire = pair.server.close()
        case .dataAndClose: wire = pair.server.seal([1, 2, 3]) + pair.server.close()
        case .alert:
            isFailed = true
            var bad = try forger.seal(23, [1])
            bad[bad.count - 1] ^= 1
            #expect(pair.server.read(bad).status == .failed)
            wire = pair.server.output()
        case .keyUpdate:
            #expect(pair.server.read(try forger.seal(22, [24, 0, 0, 1, 1])).status == .open)
            forger.updateSealing()
            wire = pair.server.output()
            // OpenSSL says it in front of what it writes next.
            if wire.isEmpty { wire = pair.server.seal([1, 2, 3]) }
        case .itself:
            pair.server.putBackOutput()
            wire = pair.server.output()
        }
        #expect(wire.count > 100, "a ticket is among it")
        let read = pair.client.read(wire)
        switch way {
        case .data: #expect(read.plain == [1, 2, 3] && read.status == .open)
        case .dataAndClose: #expect(read.plain == [1, 2, 3] && read.status == .closed)
        case .closeNotify: #expect(read.plain == [] && read.status == .closed)
        case .alert:
            #expect(read.status == .failed)
            // What the server says, and not what the client finds.
            #expect(pair.client.reasons == ["sslv3 alert bad record mac"])
        case .keyUpdate, .itself: #expect(read.status == .open)
        }
        // OpenSSL gives the sessions of those up that end with an alert.
        #expect((pair.client.ticket != nil) == !isFailed)
        if !isFailed && way != .closeNotify && way != .dataAndClose {
            let next = pair.client.read(pair.server.seal([9]))
            #expect(next.plain == [9], "it leaves once")
        }
    }

    @Test func `what comes in and is not answered leaves the ticket where it is`() throws {
        let (pair, forger) = try pair()
        #expect(pair.server.read(try forger.seal(23, [5])).plain == [5])
        #expect(pair.server.output() == [])
        #expect(pair.client.read(pair.server.seal([6])).plain == [6])
        #expect(pair.client.ticket != nil)
    }

    @Test func `where there is no room, the session ends rather than to say things out of order`()
        throws
    {
        let identities = try Identities.shared()
        let server = MemoryEnd(
            accepting: try identities.store([identities.local]).initial, outputCapacity: 3_000)
        let client = MemoryEnd(connecting: try client())
        #expect(client.handshake() == .wantsInput)
        #expect(server.handshake(client.output()) == .wantsInput)
        #expect(client.handshake(server.output()) == .done)
        #expect(server.handshake(client.output()) == .done)
        server.setOutputAside()
        // It alone would fit, and does not behind the ticket.
        let left = client.read(server.seal([UInt8](repeating: 1, count: 2_900)))
        #expect(left.plain == [] && left.status == .open)
        #expect(client.ticket != nil)
    }
}
