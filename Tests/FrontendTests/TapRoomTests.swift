// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
import TestKit
import Testing
import Wire

@testable import Frontend

/// Taps while reactors do not answer.
struct TapRoomTests {
    @Test func `a tap that not all reactors know of is none, and its number comes back with them`()
        throws
    {
        let notebook = try Notebook()
        let frontend = try Frontend(
            listening: [ListenerPlan(address: .loopback(port: 0), certificates: nil)],
            routing: Routing(table: try RouteTable([]), routes: []), settings: FrontendSettings(),
            workers: 2, journal: notebook.journal)
        // Nothing turns yet.
        for _ in 0..<TapTable.tapsMax {
            #expect(throws: TapFault.silent) { try frontend.tap(TapWish(), within: 0) }
        }
        #expect(throws: TapFault.full) { try frontend.tap(TapWish(), within: 0) }
        #expect(frontend.frameTaps.isEmpty)
        try frontend.start()
        defer {
            frontend.cut()
            frontend.wait()
        }
        #expect(frontend.isResponsive(within: 60_000))
        let taps = try (0..<TapTable.tapsMax).map { _ in try frontend.tap(TapWish()) }
        #expect(throws: TapFault.full) { try frontend.tap(TapWish()) }
        for tap in taps { tap.leave() }
        try frontend.tap(TapWish()).leave()
    }

    @Test func `a relay that goes to another reactor is told to have moved, and goes on as live`()
        throws
    {
        let rig = try MovingTests.rig(secure: false)
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade(path: "/a").status == 101)
        #expect(try visitor.echoes("first"))
        let tap = try rig.frontend.tap(TapWish())
        defer { tap.leave() }
        // A frame is in progress meanwhile.
        let frame =
            FrameHeader(opcode: .text, payloadLength: 5, maskKey: 0).encoded() + Array("hello".utf8)
        try visitor.send(Array(frame.dropLast(2)))
        #expect(rig.frontend.isResponsive(within: 60_000))
        try MovingTests.move(rig.frontend)
        try visitor.send(Array(frame.suffix(2)))
        #expect(try visitor.receiveFrame().payload == Array("hello".utf8))
        #expect(try visitor.echoes("last"))
        var relays: [Bool] = []
        var moves: [TapMove?] = []
        for news in tap.take().map(\.news) {
            switch news {
            case .begun(let relay): relays.append(relay.isLive)
            case .ended(let end): moves.append(end.moved)
            case .frame(let frame): #expect(!frame.isCut)
            }
        }
        #expect(relays == [true, true])
        #expect(moves == [.reactor])
    }
}
