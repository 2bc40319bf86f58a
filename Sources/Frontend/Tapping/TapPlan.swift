// SPDX-License-Identifier: Apache-2.0
public import Ledger
import Reactor
public import Splice
import Synchronization

/// Which relays a tap listens to, and what it is told of them.
public struct TapWish: Sendable {
    /// This relay alone; any when nil.
    public var relay: RelayID?
    /// The pattern of the route that they were opened by; any when nil.
    public var route: String?
    /// The client's address without its port; any when nil.
    public var client: String?
    /// The client's port, beside its address; any when nil.
    public var clientPort: UInt16?
    /// What it is told.
    public var scope = TapScope()

    /// All that there is, without payload.
    public init() {}

    func takes(_ asked: borrowing TunnelFacts, _ id: RelayID) -> Bool {
        (relay == nil || relay == id) && (route == nil || route == asked.route)
            && (client == nil || client == asked.client.hostString)
            && (clientPort == nil || clientPort == asked.client.port)
    }
}

/// A tap as the reactors know it.
final class TapPlan: Sendable {
    let wish: TapWish
    /// Its number among those that listen at one time.
    let bit: Int
    /// What each reactor writes into.
    let lines: [TapLine]

    init(_ wish: TapWish, bit: Int, reactors: Int) {
        self.wish = wish
        self.bit = bit
        lines = (0..<reactors).map { _ in TapLine(wish.scope) }
    }
}

/// The taps of one reactor, by their numbers.
struct TapPlans {
    private var plans: [TapPlan?] = Array(repeating: nil, count: TapTable.tapsMax)

    subscript(bit: Int) -> TapPlan? {
        get { plans[bit] }
        set { plans[bit] = newValue }
    }
}

/// The taps that there are, and whether there may be one more.
final class TapRoom: Sendable {
    private struct State {
        var taken: UInt8 = 0
        var taps: [FrameTap] = []
        /// Numbers that some reactors may still use.
        var leaving: [(bit: Int, asked: AskedReactors)] = []
    }

    private let state = Mutex(State())

    /// Takes a number for a tap; nil where there are as many as there may be.
    func take() -> Int? {
        state.withLock { state in
            for index in state.leaving.indices.reversed()
            where state.leaving[index].asked.wait(within: 0) {
                state.taken &= ~(1 << UInt8(state.leaving.remove(at: index).bit))
            }
            let free = (0..<TapTable.tapsMax).first { state.taken >> UInt8($0) & 1 == 0 }
            if let free { state.taken |= 1 << UInt8(free) }
            return free
        }
    }

    /// Gives a number back that no reactor uses any more.
    func giveBack(_ bit: Int) { state.withLock { $0.taken &= ~(1 << UInt8(bit)) } }

    /// Gives a number back as soon as all reactors have answered.
    func giveBack(_ bit: Int, behind asked: AskedReactors) {
        state.withLock { $0.leaving.append((bit, asked)) }
    }

    func add(_ tap: FrameTap) { state.withLock { $0.taps.append(tap) } }
    func remove(_ tap: FrameTap) { state.withLock { $0.taps.removeAll { $0 === tap } } }

    /// Those that listen now.
    var all: [FrameTap] { state.withLock { $0.taps } }
}
