// SPDX-License-Identifier: Apache-2.0
import Access
import Ledger
import Reactor
import Splice
import Synchronization

/// What other threads may ask of a reactor.
enum WorkerMessage: Sendable {
    /// Take over a connection that another reactor accepted; its descriptor is the receiver's.
    case adopt(descriptor: Int32, client: Address, entrance: Entrance)
    /// Serve by this from now on, at these entrances; say so there.
    case use(Snapshot, [Entrance], done: Mailbox<Int>)
    /// Stop listening and bring every connection to an orderly end.
    case leave(Drain)
    /// Bring these relays to an end, and go on.
    case drain(Drain)
    /// Tell nobody any more of that drain's relays.
    case stop(Drain)
    /// Describe relays, from a slot on.
    case list(RelayFilter, from: Int, answer: Mailbox<RelayList>)
    /// Count what live relays have carried since they were asked last, from there on, and say what they and the
    /// requests are.
    case survey(from: LiveSurvey.Position, answer: Mailbox<LiveSurvey>)
    /// Count those who came before anything limited their number, from there on; say there when all are.
    case takeStock(from: StockTaker.Position, done: Mailbox<Int>)
    /// Have a tap listen to relays, from a slot on; say so there when all were seen.
    case tap(TapPlan, from: Int, done: Mailbox<Int>)
    /// Have a tap listen to no relay any more, from a slot on; say so there when all were seen.
    case untap(TapPlan, from: Int, done: Mailbox<Int>)
    /// Give relays the faults that they are to have now, from a slot on; say there when all were seen, if somebody waits.
    case faults(from: Int, done: Mailbox<Int>?)
    /// End the relay of this token with a Close; say there what has become of it.
    case end(Token, code: UInt16, answer: Mailbox<EndedRelay>)
    /// Say where the relay of this name is; nil where it is not here.
    case find(RelayName, answer: Mailbox<RelayID?>)
    /// Give the relay of this token more time before it ends with its token; say there what has become of it.
    case extend(Token, RelayExtension, answer: Mailbox<RelayExtension.Outcome>)
    /// End relays with a Close, from a slot on.
    case endAll(
        RelayFilter, from: Int, code: UInt16, text: CloseText?, answer: Mailbox<EndedRelays>)
    /// Give up relays, from a slot on.
    case moveOut(MoveOrder, from: Int, Errand, answer: Mailbox<MovedOut>)
    /// Take these over, as the reactor of this index, and say what became of each.
    case takeOver([Parcel], by: Int, Errand, answer: Mailbox<MoveAnswers.Taken>)
    /// Accept no connections until then.
    case pauseListening(untilMilliseconds: UInt64, done: Mailbox<Int>)
    /// There may be a place at an endpoint, for the one that waits.
    case place(PlaceQueue, PlaceQueue.Waiter)
    /// The password that a request waits for was hashed.
    case passwordJudged(Token, PasswordVerdict)
    /// Say that the loop turns.
    case beat(Mailbox<Int>)
    /// Close all connections now, without a word to their peers.
    case cut
}

/// How many connections a reactor has: what new ones are balanced by.
final class WorkerLoad: Sendable {
    private let connections = Atomic<Int>(0)

    var count: Int { connections.load(ordering: .relaxed) }
    /// A client's connection was accepted.
    func opened() {
        connections.wrappingAdd(1, ordering: .relaxed)
        claims.wrappingAdd(2, ordering: .relaxed)
    }
    /// A client's connection has closed.
    ///
    /// - Parameter hasUpstream: whether it had a connection to an endpoint until then, which counts for
    ///   itself.
    func closed(hasUpstream: Bool = false) {
        connections.wrappingSubtract(1, ordering: .relaxed)
        claims.wrappingSubtract(hasUpstream ? 1 : 2, ordering: .relaxed)
    }

    private let claims = Atomic<Int>(0)
    /// Descriptors that its connections have or are going to need: one for the socket of each client, one
    /// for each connection to an endpoint, and one for each client that has no such connection yet.
    var descriptorClaims: Int { claims.load(ordering: .relaxed) }
    /// Counts descriptors that connections to endpoints, or clients without one, claim or give back.
    func claim(_ count: Int) { claims.wrappingAdd(count, ordering: .relaxed) }

    /// Makes the reactor the last that is given anything, because it could not start.
    func exclude() { connections.store(Self.excluded, ordering: .relaxed) }

    private static let excluded = 1 << 40
    /// Whether it could not start; those that it was given before have closed since.
    var isExcluded: Bool { count >= Self.excluded / 2 }

    private let ended = Atomic<Bool>(false)
    /// Says that the reactor takes no messages any more.
    func end() { ended.store(true, ordering: .sequentiallyConsistent) }
    /// Whether it takes none.
    var hasEnded: Bool { isExcluded || ended.load(ordering: .sequentiallyConsistent) }
}

/// What all reactors of a Frontend share.
final class Crew: Sendable {
    let mailboxes: [Mailbox<WorkerMessage>]
    let loads: [WorkerLoad]
    /// What each reactor has counted.
    let meters: [ReactorMeter]
    /// The counters of what is refused before it has a route.
    let unrouted = RouteTally()
    /// Sessions that went on without OpenSSL's object, since the start.
    let settledCount = Atomic<Int>(0)
    /// Clients have to wait, since the descriptors that are left are kept for other things.
    let isShort = Atomic<Bool>(false)
    let journal: Journal
    /// Where spans go that are over.
    let spans: SpanSink
    /// Who has how many connections, where those are limited for each client.
    let clients = Admission()
    /// Where passwords are hashed.
    let passwords = PasswordDesk()
    /// Held while relays are between two reactors, so that a name is somewhere.
    let handing = Mutex<Void>(())
    let remarks = Remarks()
    let handshakeComplaints = HandshakeComplaints()

    init(count: Int, journal: Journal, spans: SpanSink = SpanSink()) throws(SystemError) {
        var mailboxes: [Mailbox<WorkerMessage>] = []
        for _ in 0..<count { mailboxes.append(try Mailbox()) }
        self.mailboxes = mailboxes
        loads = (0..<count).map { _ in WorkerLoad() }
        meters = (0..<count).map { _ in ReactorMeter() }
        self.journal = journal
        self.spans = spans
    }

    /// The reactor with the fewest connections; `own` unless another has really fewer.
    func leastLoaded(own: Int) -> Int {
        var best = own
        var fewest = loads[own].count
        for (index, load) in loads.enumerated() where index != own {
            let count = load.count
            if count < fewest {
                best = index
                fewest = count
            }
        }
        return best
    }

    /// Descriptors that the connections of all reactors have or are going to need.
    ///
    /// A closure would allocate where nothing is optimised, and it is asked for at the end of requests.
    var descriptorClaims: Int {
        var sum = 0
        for index in 0..<loads.count { sum += loads[index].descriptorClaims }
        return sum
    }

    /// Whether so many further descriptors may be claimed for connections.
    func hasDescriptors(_ count: Int) -> Bool {
        descriptorClaims + count <= OpenFiles.forConnections
    }

    /// Connections of all reactors together.
    var connectionCount: Int { loads.reduce(0) { $0 + ($1.isExcluded ? 0 : $1.count) } }
}
