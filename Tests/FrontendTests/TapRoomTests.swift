// SPDX-License-Identifier: Apache-2.0
import Reactor
import Router
import Splice
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
}
