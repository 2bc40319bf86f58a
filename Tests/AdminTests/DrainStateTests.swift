// SPDX-License-Identifier: Apache-2.0
import Foundation
import Ledger
import Testing

@testable import Admin

/// A drain as the admin socket tells of it.
struct DrainStateTests {
    @Test func `number, words and counts stand in one object, and are read back`() throws {
        let progress = DrainProgress(found: 4, told: 3, closed: 2, cut: 1)
        let state = DrainState(id: 7, what: "route /", progress: progress)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let json = try encoder.encode(state)
        #expect(
            String(decoding: json, as: UTF8.self)
                == #"{"closed":2,"cut":1,"endedElsewhere":0,"found":4,"id":7,"isDone":false,"isLooking":false,"told":3,"what":"route /"}"#
        )
        let again = try JSONDecoder().decode(DrainState.self, from: json)
        #expect(again.id == 7 && again.what == "route /" && again.progress == progress)
    }

    @Test func `two drains together are done when both are`() {
        let done = DrainProgress(found: 1, told: 1, closed: 1, cut: 0, isDone: true)
        let open = DrainProgress(found: 5, told: 2, isLooking: true)
        #expect(done + open == DrainProgress(found: 6, told: 3, closed: 1, cut: 0, isLooking: true))
        #expect((done + done).isDone)
    }
}
