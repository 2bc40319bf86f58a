// SPDX-License-Identifier: Apache-2.0
//
// Goal: held sessions take little of the generator's memory, in whatever order they come.
// Method: the loop by itself, which says how often it has given memory back; the queue by itself.

import Echo
import Foundation
import Reactor
import TestKit
import Testing

@testable import LoadGenerator

@Suite struct LoadMemoryTests {
    @Test func `what held sessions have left goes back to the system, though they come one by one`()
        throws
    {
        let server = try EchoServer.start(listening: ["127.0.0.1:0"])
        defer { server.stop() }
        let proxy = try ProxyFixture(to: .tcp(try #require(server.addresses.first).port))
        var plan = LoadPlan(target: try LoadTarget(parsing: proxy.url()), mode: .idle)
        plan.connections = 300
        plan.openingsAtOnce = 1
        plan.dialing.trust = .file(try TestCertificates.shared().authority)
        // Others of this process may have given back in the second before.
        plan.end = .seconds(2.5)
        OpenFiles.raiseLimit()
        var loop = try LoadLoop(
            plan: plan, address: try LoadGenerator.reachableAddress(of: plan.target),
            context: try LoadGenerator.clientContext(of: plan),
            opening: try OpeningHandshake(target: plan.target, dialing: plan.dialing),
            control: LoadControl(threads: 1))
        loop.run { _ in }
        let meter = loop.outcome().meter
        #expect(meter.opened == 300)
        #expect(meter.memoryReturns > 0)
    }

    @Test func `a session that can't go yet keeps no other one waiting`() {
        var queue = SettlingQueue()
        queue.append(.fixed(1), due: 0)
        queue.append(.fixed(2), due: 0)
        #expect(queue.popDue(0) == .fixed(1))
        queue.appendAgain(.fixed(1), due: 100)
        queue.append(.fixed(3), due: 5)
        #expect(queue.count == 3 && queue.isDue(0) && queue.isDue(4))
        #expect(queue.popDue(5) == .fixed(2))
        #expect(queue.popDue(5) == .fixed(3))
        #expect(!queue.isDue(1_000), "one that is tried again is nobody's haste")
        #expect(queue.popDue(99) == nil)
        #expect(queue.popDue(100) == .fixed(1))
        #expect(queue.count == 0)
    }
}
