// SPDX-License-Identifier: Apache-2.0
import Router
import Synchronization

/// What is counted of a route by the value that one segment of the path has; all reactors count in the same.
///
/// The values are the clients' own words. So many get a place, in the order in which they come, and keep it as long as the
/// route's counts live; what comes beyond is counted together.
final class CaptureCounter: Sendable {
    /// Values of one segment that are told apart.
    static let valuesMax = 100
    /// Bytes of a value that has a place; a longer one has none, since one that is cut could be taken for another.
    static let valueBytesMax = 128
    /// What stands for all values that have no place: no segment has a slash.
    static let rest = "/other"
    /// The place of those.
    static let placeOfRest = valuesMax

    /// What is counted.
    struct Counts {
        var relaysOpened: UInt64 = 0
        var requests: UInt64 = 0
    }

    private struct State {
        /// By value.
        var places: [String: Int] = [:]
        /// By place; the last one is that of the rest.
        var counts = [Counts](repeating: Counts(), count: valuesMax + 1)
    }

    private let state = Mutex(State())

    /// Counts something of a value.
    ///
    /// - Parameters:
    ///   - value: which.
    ///   - takesPlace: whether it may get a place, where it has none.
    ///   - change: counts it.
    func count(_ value: String, takesPlace: Bool = true, _ change: (inout Counts) -> Void) {
        state.withLock { state in
            let place =
                takesPlace
                ? Self.place(of: value, &state) : state.places[value] ?? Self.placeOfRest
            change(&state.counts[place])
        }
    }

    /// The place of a value; it gets one where there is room.
    func place(of value: String) -> Int { state.withLock { Self.place(of: value, &$0) } }

    private static func place(of value: String, _ state: inout State) -> Int {
        if let known = state.places[value] { return known }
        guard state.places.count < valuesMax, value.utf8.count <= valueBytesMax else {
            return placeOfRest
        }
        let place = state.places.count
        state.places[value] = place
        return place
    }

    /// What was counted of each value, in the order of their places.
    var all: [(place: Int, counted: (value: String, counts: Counts))] {
        let (places, counts) = state.withLock { ($0.places, $0.counts) }
        return places.sorted { $0.value < $1.value }.map { ($0.value, ($0.key, counts[$0.value])) }
            + [(Self.placeOfRest, (Self.rest, counts[Self.placeOfRest]))]
    }
}

/// A segment whose values are counted, with its counters.
struct CountedCapture: Sendable {
    let name: String
    let segment: Int
    let counter: CaptureCounter

    /// Its value in a path; nil where that has none, which no path of its route does.
    func value(in path: Span<UInt8>) -> String? {
        guard let range = PathCapture.range(of: segment, in: path), !range.isEmpty else {
            return nil
        }
        let bytes = path.extracting(range)
        return bytes.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
    }
}

/// Live relays that have one value in common.
struct CapturedRelays: Hashable {
    let counter: ObjectIdentifier
    let place: Int
}

extension Routing {
    /// The segments by whose values relays of a plan are counted; nil where there is none.
    ///
    /// A relay that was opened before a reload is counted as its route is now, and as it was if that is gone.
    func captures(of plan: RoutePlan) -> [CountedCapture]? {
        if counting.isEmpty && plan.captures == nil { return nil }
        if let present = counting[ObjectIdentifier(plan.tally)] { return present }
        guard let own = plan.captures, departedTally(plan.route.name) === plan.tally else {
            return nil
        }
        return own
    }
}
