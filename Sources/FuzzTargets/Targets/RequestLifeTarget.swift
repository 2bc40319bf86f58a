// SPDX-License-Identifier: Apache-2.0
import Proxy

extension FuzzTarget {
    /// Whatever happens to a request, in any order: what it holds is given back once, it has one record,
    /// and nothing is done behind its end.
    ///
    /// The first byte chooses the request, and each further one what happens next.
    static let requestLife = FuzzTarget(
        name: "request-life", inputBytesMax: 256, words: [[0, 0, 0], [2, 2, 1]],
        seeds: [
            [0, 0, 0, 0, 5, 0, 6], [0, 0, 0, 1, 0, 7, 3, 1, 0], [2, 0, 0, 2, 2, 8],
            [2, 0, 1, 3, 0, 3, 4, 0], [1, 1], [2, 0, 0, 1, 0, 3, 0, 4, 5, 5],
        ]
    ) { bytes throws(BrokenProperty) in
        var input = FuzzInput(bytes)
        let kind = (input.takeEvent() ?? 0) % 3
        var world = RequestWorld(kind == 2 ? .upgrade : .ordinary, mayRepeat: kind != 1)
        while !world.isOver, let choice = input.takeEvent() {
            let events = world.events
            world.happen(events[Int(choice) % events.count])
            if let fault = world.fault { throw BrokenProperty(fault) }
        }
    }
}
