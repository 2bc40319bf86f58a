// SPDX-License-Identifier: Apache-2.0
//
// Goal: whatever is held for a client of HTTP/2 has a deadline.
// Method: frames by hand to one reactor, at times that the test chooses.

import HTTP2
import Ledger
import Reactor
import Router
import Splice
import Testing

@testable import Frontend

struct MultiplexDeadlineTests {
    private func rig(
        answer count: Int? = nil, _ change: (inout FrontendSettings) -> Void
    ) throws -> TurnRig {
        var settings = FrontendSettings()
        change(&settings)
        let action = count.map {
            RouteAction.respond(
                FixedAnswer(
                    status: 200, type: "text/plain", body: [UInt8](repeating: 0x78, count: $0)))
        }
        return try TurnRig(settings: settings, action: action)
    }

    private static let cuts: [String: [UInt8]] = [
        "no END_HEADERS": FramePeer.frame(
            FramePeer.headers, flags: 1, 3, FramePeer.block([(":method", "GET")])),
        "half a frame": Array(FramePeer.head(3).prefix(14)),
    ]

    @Test(arguments: cuts.keys.sorted(), [false, true])
    func `a head that does not end in time ends its connection`(
        cut: String, besideRequest: Bool
    ) throws {
        let rig = try rig { $0.headMilliseconds = 1_000 }
        let client = try rig.connectMultiplexed()
        if besideRequest {
            client.send(FramePeer.head(1))
            rig.turn()
            #expect(rig.isCalled)
        }
        rig.turn(after: 500)
        client.send(try #require(Self.cuts[cut]))
        rig.turn()
        if besideRequest {
            rig.turn(after: 700)
            #expect(client.got(FramePeer.goAway).isEmpty, "its time began with its first byte")
        }
        for _ in 0..<3 { rig.turn(after: 800) }
        #expect(!client.got(FramePeer.goAway).isEmpty)
        for _ in 0..<4 { rig.turn(after: 1_000) }
        #expect(client.hasEnded)
        #expect(rig.session == nil && rig.request == nil)
        if besideRequest {
            let records = try rig.records(2)
            #expect(records.contains { $0.detail.contains("timeouts.head") }, "\(records)")
        }
    }

    @Test func `an answer that a closed window holds back is reset in time`() throws {
        let rig = try rig(answer: 1_000) { $0.bodyMilliseconds = 1_000 }
        let client = try rig.connectMultiplexed(window: 0)
        client.send(FramePeer.head(1) + FramePeer.head(3))
        rig.turn()
        #expect(client.got(FramePeer.headers).count == 2)
        #expect(rig.request == nil && rig.state.pointee.substreams.count == 2)
        rig.turn(after: 600)
        // One of them goes on, and so has its time anew.
        client.send(
            FramePeer.frame(FramePeer.windowUpdate, 3, FramePeer.number(10)))
        rig.turn()
        #expect(client.got(FramePeer.data, on: 3).first?.payload.count == 10)
        rig.turn(after: 600)
        #expect(client.got(FramePeer.reset).map(\.stream) == [1])
        #expect(rig.state.pointee.substreams.count == 1)
        for _ in 0..<3 { rig.turn(after: 600) }
        #expect(client.got(FramePeer.reset).map(\.stream) == [1, 3])
        #expect(rig.state.pointee.substreams.count == 0)
        #expect(client.got(FramePeer.goAway).isEmpty, "the connection goes on")
        let records = try rig.records(4)
        #expect(records.filter { $0.detail.contains("timeouts.body") }.count == 2, "\(records)")
    }

    @Test func `a client that reads nothing from its socket is let go in time`() throws {
        let rig = try rig(answer: 2_000_000) {
            $0.keepAliveMilliseconds = 1_000
            $0.bodyMilliseconds = 1_000
        }
        let client = try rig.connectMultiplexed(window: 1 << 24)
        client.send(FramePeer.head(1))
        rig.turn()
        let session = try #require(rig.session)
        #expect(!session.pointee.stream.leg.held.isEmpty, "the socket is full")
        client.send(FramePeer.frame(FramePeer.reset, 1, FramePeer.number(8)))
        rig.turn()
        #expect(rig.state.pointee.substreams.count == 0)
        rig.turn(after: 500)
        #expect(rig.session != nil)
        // `keepAlive`, `linger` and `body`, one behind the other.
        for _ in 0..<8 { rig.turn(after: 700) }
        #expect(rig.session == nil)
    }

    /// The heads of answers stay with the connection until they are sent, also those of streams that the client
    /// has reset meanwhile.
    @Test func `a client that reads nothing makes nothing grow, and is read again once it reads`()
        throws
    {
        let answer = FixedAnswer(
            status: 200, type: String(repeating: "t", count: 12_000), body: [])
        var settings = FrontendSettings()
        settings.keepAliveMilliseconds = 3_600_000
        settings.bodyMilliseconds = 3_600_000
        let rig = try TurnRig(settings: settings, action: .respond(answer))
        let client = try rig.connectMultiplexed(window: 1 << 24)
        var most = 0
        // No more in a second than may be reset, and of what is not read no more than the socket takes.
        for stream in stride(from: UInt32(1), to: 401, by: 2) {
            client.send(FramePeer.head(stream))
            rig.turn()
            client.send(FramePeer.frame(FramePeer.reset, stream, FramePeer.number(8)))
            rig.turn(after: 100)
            let session = try #require(rig.session)
            guard let multiplex = session.pointee.multiplex else { break }
            most = max(most, multiplex.pointee.connection.memoryBytes)
        }
        #expect((500_000..<1_300_000).contains(most), "\(most) bytes")
        client.send(FramePeer.head(401))
        for _ in 0..<2_000 where client.got(FramePeer.headers, on: 401).isEmpty { rig.turn() }
        #expect(client.got(FramePeer.headers, on: 401).count == 1)
        #expect(client.got(FramePeer.goAway).isEmpty)
        rig.turn()
        #expect(rig.state.pointee.substreams.count == 0)
        let session = try #require(rig.session)
        guard let multiplex = session.pointee.multiplex else { return }
        #expect(multiplex.pointee.connection.memoryBytes < 100_000)
    }

    @Test func `a connection with many streams sends its budget in a turn`() throws {
        let rig = try rig(answer: 100_000) { _ in }
        let client = try rig.connectMultiplexed()
        rig.state.pointee.space.pointee.pumpBytesMax = 10_000
        client.read()
        client.send(FramePeer.head(1) + FramePeer.head(3) + FramePeer.head(5))
        // Thirty are needed for the bodies, and one for what else there is.
        for turn in 0..<35 {
            rig.turnOnce()
            #expect(client.read() <= 10_000, "in turn \(turn)")
        }
        let payload = client.got(FramePeer.data).reduce(0) { $0 + $1.payload.count }
        #expect(payload == 300_000)
    }
}
