// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Testing

@testable import Frontend

/// Drains of a route or endpoint in one reactor, turn by turn, at times that the test chooses.
struct DrainTests {
    private static let upgrade = RequestTurnTests.upgrade
    private static let switching = RequestTurnTests.switching
    /// Code 1012 without a reason, to a client and to an app.
    private static let close: [UInt8] = [0x88, 2, 0x03, 0xF4]

    private static func plan(
        _ endpoint: String?, spread: UInt64 = 0, timeout: UInt64 = 60_000
    ) -> DrainPlan {
        var plan = DrainPlan(
            code: 1012, reason: "", spreadMilliseconds: spread, timeoutMilliseconds: timeout)
        plan.endpoint = endpoint
        if endpoint == nil { plan.routes = ["/*"] }
        plan.takesLate = true
        return plan
    }

    /// Begins a drain, as `Frontend.drain` does.
    private static func begin(_ rig: TurnRig, _ plan: DrainPlan) -> Drain {
        var names = DrainedNames()
        names.set(plan, isDrained: true)
        names.apply(to: rig.state.pointee.snapshot.routing)
        let drain = Drain(plan, workers: 1)
        rig.state.pointee.crew.mailboxes[0].post(.drain(drain))
        rig.now = max(rig.now, Clock.nowMilliseconds())
        rig.turn()
        return drain
    }

    /// A client with a live relay, and its app.
    private static func relay(_ rig: TurnRig) throws -> (client: Peer, app: Peer) {
        let (client, app, _) = try rig.forward(upgrade)
        app.send(switching)
        rig.turn()
        #expect(client.received().hasPrefix("HTTP/1.1 101 "))
        return (client, app)
    }

    @Test(arguments: ["ws://app", nil])
    func `a drain waits for a handshake, and tells what becomes of it`(endpoint: String?) throws {
        let rig = try TurnRig()
        let live = try Self.relay(rig)
        let (client, app, _) = try rig.forward(Self.upgrade)
        let drain = Self.begin(rig, Self.plan(endpoint))
        #expect(live.client.receivedBytes() == Self.close)
        live.client.send([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xF4])
        live.app.send(Self.close)
        rig.turn()
        live.client.end()
        live.app.end()
        rig.turn()
        #expect(drain.progress.closed == 1)
        #expect(!drain.progress.isDone, "a handshake is under way there")
        app.send(Self.switching)
        rig.turn()
        let received = client.receivedBytes()
        #expect(String(decoding: received.prefix(12), as: UTF8.self) == "HTTP/1.1 101")
        #expect(Array(received.suffix(4)) == Self.close)
        client.end()
        app.end()
        rig.turn()
        #expect(drain.progress.isDone)
        #expect(drain.progress.told == 2 && drain.progress.closed == 2)
    }

    @Test func `a handshake that comes to nothing holds no drain up, nor does another request`()
        throws
    {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward(Self.upgrade)
        let (other, otherApp, _) = try rig.forward("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n")
        let drain = Self.begin(rig, Self.plan("ws://app"))
        #expect(!drain.progress.isDone)
        // An answer that goes on for long is none of a relay.
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno")
        rig.turn()
        #expect(client.received().hasPrefix("HTTP/1.1 200 "))
        #expect(drain.progress.isDone)
        #expect(drain.progress.found == 0)
        withExtendedLifetime((app, other, otherApp)) {}
    }

    @Test func `who opens behind the time of a drain is told and ended`() throws {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward(Self.upgrade)
        let drain = Self.begin(rig, Self.plan("ws://app", timeout: 1_000))
        rig.turn(after: 2_000)
        #expect(!drain.progress.isDone)
        app.send(Self.switching)
        rig.turn()
        #expect(Array(client.receivedBytes().suffix(4)) == Self.close)
        rig.turn(after: 1_000)
        #expect(drain.progress.isDone)
        #expect(drain.progress.cut == 1)
        #expect(client.hasEnded)
    }

    @Test func `a drain that is stopped tells nobody any more, and who comes stays`() throws {
        let rig = try TurnRig()
        let relays = try (0..<4).map { _ in try Self.relay(rig) }
        let drain = Self.begin(rig, Self.plan("ws://app", spread: 40_000))
        #expect(relays.count { $0.client.receivedBytes() == Self.close } == 1)
        drain.stop()
        rig.state.pointee.crew.mailboxes[0].post(.stop(drain))
        DrainedNames().apply(to: rig.state.pointee.snapshot.routing)
        rig.turn()
        let late = try Self.relay(rig)
        rig.turn(after: 50_000)
        #expect(relays.count { $0.client.receivedBytes() != [] } == 0)
        #expect(late.client.receivedBytes() == [])
        #expect(drain.progress.told == 1)
        #expect(rig.state.pointee.drains.isEmpty)
    }

    /// A rebalance ends surplus relays and goes on with those that come.
    @Test func `who opens a relay where new ones begin is none of a drain's`() throws {
        let rig = try TurnRig()
        let live = try Self.relay(rig)
        var plan = Self.plan("ws://app", spread: 40_000)
        plan.takesLate = false
        let drain = Drain(plan, workers: 1)
        let before = try rig.forward(Self.upgrade)
        rig.state.pointee.crew.mailboxes[0].post(.drain(drain))
        rig.now = max(rig.now, Clock.nowMilliseconds())
        rig.turn()
        #expect(live.client.receivedBytes() == Self.close)
        before.app.send(Self.switching)
        rig.turn(after: 50_000)
        #expect(before.client.received().hasSuffix("\r\n\r\n"))
        #expect(drain.progress.told == 1)
    }
}
