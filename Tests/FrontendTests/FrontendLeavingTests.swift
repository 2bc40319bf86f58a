// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import Splice
import TLS
import Testing
import Wire

@testable import Frontend

/// Goal: drains, cuts and reloads do what they say to those who are there, and to those who come.
struct FrontendLeavingTests {
    @Test(arguments: [false, true])
    func `a drain tells every relay and ends when all have answered`(secure: Bool) throws {
        let rig = try FrontendRig(secure: secure, workers: 2)
        let context = secure ? try Certificates.shared().first.client() : nil
        var visitors: [Visitor] = []
        for _ in 0..<10 {
            let visitor = try rig.visitor(tls: context)
            #expect(try visitor.upgrade().status == 101)
            visitors.append(visitor)
        }
        rig.frontend.leave(
            DrainPlan(code: 1012, timeoutMilliseconds: 20_000))
        for visitor in visitors {
            let frame = try visitor.receiveFrame()
            #expect(frame.opcode == .close)
            #expect(frame.payload == [0x03, 0xF4])
        }
        #expect(Visitor.isRefused(rig.address), "nobody listens while the last ones leave")
        for visitor in visitors {
            try visitor.sendFrame(.close, [0x03, 0xF4])
            #expect(try visitor.receiveToEnd() == [])
            #expect(visitor.wasClosedByNotify == secure)
        }
        visitors = []
        rig.frontend.wait()
        #expect(rig.frontend.connectionCount == 0)
        let records = try rig.notebook.next(10)
        #expect(records.allSatisfy { $0.reason == .drain && $0.initiator == .sluice })
        #expect(records.allSatisfy { $0.closeCode == 1012 })
    }

    @Test func `who does not answer a drain is cut at its end`() throws {
        let rig = try FrontendRig()
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade().status == 101)
        let idle = try rig.visitor()
        rig.frontend.leave(
            DrainPlan(code: 1001, timeoutMilliseconds: 100))
        rig.frontend.wait()
        #expect(rig.frontend.connectionCount == 0)
        #expect(try visitor.receiveFrame().opcode == .close)
        #expect(try visitor.receiveToEnd() == [])
        #expect(try idle.receiveToEnd() == [])
    }

    @Test func `a reactor does not sleep through the end of the others`() throws {
        // One in some hundreds did, until the time of the drain was over.
        let routing = Routing(table: try RouteTable([]), routes: [])
        for _ in 0..<100 {
            let frontend = try Frontend(
                listening: [ListenerPlan(address: .loopback(port: 0), certificates: nil)],
                routing: routing, settings: .init(), workers: 8, journal: try Notebook().journal)
            try frontend.start()
            let start = Clock.nowMilliseconds()
            frontend.leave(DrainPlan(code: 1001, timeoutMilliseconds: 60_000))
            frontend.wait()
            try #require(Clock.nowMilliseconds() < start + 50_000)
        }
    }

    @Test func `a drain of nobody is over at once`() throws {
        let rig = try FrontendRig(workers: 2)
        let start = Clock.nowMilliseconds()
        rig.frontend.leave(
            DrainPlan(code: 1001, timeoutMilliseconds: 60_000))
        rig.frontend.wait()
        #expect(Clock.nowMilliseconds() - start < 30_000)
        #expect(Visitor.isRefused(rig.address))
    }

    @Test func `a request that waits for its upstream is refused by a drain`() throws {
        // It listens, so the connection stands, and never answers.
        let silent = try Listener(address: .loopback(port: 0))
        let rig = try FrontendRig { [address = silent.address] _ in
            [Endpoint(label: "ws://silent", address: address)]
        }
        let visitor = try rig.visitor()
        let waiting = try rig.visitor()
        try visitor.send(
            Array(
                """
                GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n
                """.utf8))
        while rig.group.picker.active(0) == 0 {
            // Another request's refusal shows that the reactor has turned.
            #expect(try rig.visitor().requestNothing().status == 400)
        }
        rig.frontend.leave(
            DrainPlan(code: 1001, timeoutMilliseconds: 20_000))
        let head = try visitor.receiveHead()
        #expect(head.status == 503)
        #expect(head.fields.string("retry-after") == "1")
        #expect(try waiting.receiveToEnd() == [])
        withExtendedLifetime(silent.descriptor) {}
    }

    @Test func `a cut ends everything now`() throws {
        let rig = try FrontendRig(workers: 2)
        var visitors: [Visitor] = []
        for _ in 0..<6 {
            let visitor = try rig.visitor()
            #expect(try visitor.upgrade().status == 101)
            visitors.append(visitor)
        }
        rig.frontend.cut()
        rig.frontend.wait()
        #expect(rig.frontend.connectionCount == 0)
        #expect(rig.group.picker.active(0) == 0)
        for visitor in visitors { #expect(try visitor.receiveToEnd() == []) }
        #expect(try rig.notebook.next(6).allSatisfy { $0.status == 101 })
    }

    @Test func `other certificates are for new connections, and live ones go on`() throws {
        let certificates = try Certificates.shared()
        let tickets = try TicketKeys()
        let rig = try FrontendRig(
            secure: true, workers: 2, certificates: try certificates.first.store(tickets))
        let live = try rig.visitor(tls: certificates.first.client())
        #expect(try live.upgrade().status == 101)
        #expect(throws: VisitorFault.self) {
            _ = try rig.visitor(tls: certificates.second.client())
        }
        try rig.use(certificates: [try certificates.second.store(tickets)])
        // Each reactor takes them up with its next turn.
        var firstCount = 0
        let deadline = Clock.nowMilliseconds() + 20_000
        var inARow = 0
        while inARow < 8 && Clock.nowMilliseconds() < deadline {
            if let visitor = try? rig.visitor(tls: certificates.second.client()) {
                #expect(try visitor.upgrade().status == 101)
                inARow += 1
            } else {
                inARow = 0
                firstCount += 1
            }
        }
        #expect(inARow == 8, "\(firstCount) were still served with the first")
        #expect(throws: VisitorFault.self) {
            _ = try rig.visitor(tls: certificates.first.client())
        }
        #expect(try live.echoes("still here"))
    }

    @Test func `a connection that is handed over during a drain is closed`() throws {
        let pair = try Socket.pair()
        let group = EndpointGroup(
            name: "app", endpoints: [Endpoint(label: "a", address: .loopback(port: 1))],
            balance: .roundRobin)
        let entry = RouteEntry(
            host: try HostPattern(parsing: nil), path: try PathPattern(parsing: "/*"), place: "test"
        )
        let crew = try Crew(count: 1, journal: try Notebook().journal)
        let plan = ListenerPlan(address: .loopback(port: 0), certificates: nil)
        let settings = FrontendSettings()
        let entrance = Entrance(
            number: 0, socket: try SharedListener(plan.address), plan: plan, settings.headLimits)
        let snapshot = Snapshot(
            settings: settings,
            routing: Routing(
                table: try RouteTable([entry]), routes: [Route(name: "/*", upstream: group)]),
            entrances: [entrance])
        let start = Clock.nowMilliseconds()
        let drain = Drain(DrainPlan(timeoutMilliseconds: 60_000), workers: 1)
        crew.mailboxes[0].post(.leave(drain))
        crew.loads[0].opened()
        crew.mailboxes[0].post(
            .adopt(
                descriptor: pair.first.release(), client: .loopback(port: 1), entrance: entrance))
        var worker = Worker(
            index: 0, crew: crew, snapshot: snapshot, entrances: [], poller: try Poller())
        worker.run()
        // Long before the deadlines of the drain and of a request head.
        #expect(Clock.nowMilliseconds() - start < 5_000)
        #expect(crew.connectionCount == 0)
        #expect(drain.progress.isDone)
        var byte: UInt8 = 0
        #expect(pair.second.receive(into: &byte, count: 1) == .ended)
    }
}

extension Visitor {
    /// A request that is refused at once.
    fileprivate func requestNothing() throws -> ResponseHead {
        try send(
            Array("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n".utf8))
        return try receiveHead()
    }
}
