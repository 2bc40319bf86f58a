// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@testable import Service

/// Whoever follows the last drain is told of its end, and nobody else is waited for.
struct FarewellTests {
    @Test func `nobody is waited for who has not asked, or not for a while`() throws {
        let nobody = try Farewell()
        #expect(!nobody.wait())
        let gone = try Farewell()
        gone.told(isDone: false, nowMilliseconds: 1_000)
        #expect(!gone.wait(nowMilliseconds: 1_000 + Farewell.patienceMilliseconds))
        let told = try Farewell()
        told.told(isDone: true, nowMilliseconds: 1_000)
        #expect(told.wait(nowMilliseconds: 900_000))
    }

    @Test func `a follower that has just asked is told before the end`() throws {
        let farewell = try Farewell()
        farewell.told(isDone: false)
        let asking = try ReactorThread.start(name: "asking") { farewell.told(isDone: true) }
        #expect(farewell.wait())
        asking.join()
    }
}
