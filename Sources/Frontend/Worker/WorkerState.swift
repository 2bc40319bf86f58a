// SPDX-License-Identifier: Apache-2.0
import HTTP2
import Proxy
import Reactor
import Splice
import TLS
import Wire

/// What the parts of one reactor work on: its slabs, timers and queues.
///
/// It lives behind one pointer for as long as the reactor, so each part reaches it without a
/// reference count or an exclusivity check. Nothing of it is shared with other threads but the
/// `Crew`'s immutable values and mailboxes.
struct WorkerState: ~Copyable {
    /// Connections that one reactor can have.
    static let connectionsMax = 4_000_000

    let index: Int
    let crew: Crew
    /// What sockets are read into, and the time of the turn.
    let space: UnsafeMutablePointer<Workspace>
    var poller: Poller
    /// What is served by now.
    var snapshot: Snapshot
    /// Clients' sockets, by the token of their events.
    var clients = Slab<Client>(capacity: connectionsMax)
    /// When slots without a tenant are given back; `.max` for never.
    var spareDueMilliseconds: UInt64 = .max
    /// Those of clients that have no tunnel.
    var sessions = Slab<ClientSession>(capacity: connectionsMax)
    /// Requests in progress.
    var requests = Slab<Request>(capacity: connectionsMax)
    /// Connections to endpoints, but for those of tunnels.
    var upstreams = Slab<UpstreamConnection>(capacity: connectionsMax)
    /// Operators keep the IDs of relays, so those of another process should name nobody here.
    var tunnels = Slab<Tunnel>(
        capacity: connectionsMax, firstGeneration: .random(in: 0..<Token.generationCount))
    /// Where tunnels are that have a name.
    var names = TunnelNames()
    /// Streams of connections that speak HTTP/2.
    var substreams = Slab<Substream>(capacity: connectionsMax)
    /// Streams that have something for their connections.
    let outbox = StreamOutbox()
    /// Sessions that speak HTTP/2 and may have something to send, by their clients.
    var dirtySessions: [Token] = []
    var flushing = MultiplexFlushing()
    /// What connections that speak HTTP/2 share of memory.
    let multiplexMemory = HTTP2Memory()
    /// Deadlines of sessions, by the client's slot: in HTTP/1.1 while no request is in progress, in HTTP/2
    /// at all times.
    var sessionTimers: TimerWheel
    /// Deadlines of requests.
    var requestTimers: TimerWheel
    /// Until when idle connections to endpoints are kept.
    var upstreamTimers: TimerWheel
    var tunnelTimers: TimerWheel
    /// When relays go on that wait for their rate; finer than deadlines, to flow evenly.
    var paceTimers: TimerWheel
    /// When other servers are asked again whether relays may go on.
    var recheckTimers: TimerWheel
    /// What other servers are asked, and have granted.
    var forwarding = ForwardDesk()
    /// What follows from what has just happened.
    var work = WorkQueue()
    /// Sessions, requests and tunnels that used up their budget and go on in the next turn, each once.
    private(set) var unfinished: [Token] = []
    /// How many turns there were.
    var turnNumber: UInt64 = 0
    /// Memory for heads, and where heads that go out are written.
    var heads = HeadStore()
    /// Keys for the WebSockets that clients of HTTP/2 ask for.
    var webSocketKeys = WebSocketKeys()
    /// Numbers for the names of traces and spans.
    var randomNumbers = RandomNumbers()
    /// Idle connections to endpoints.
    var pool = UpstreamPool()
    /// Sessions that OpenSSL still keeps.
    var settling = Settling()
    var burst = BurstMemory()
    /// When faults of a moment end by themselves, at which relays are looked at again.
    var faultsEndMilliseconds = UInt64.max
    /// Handshakes that wait for their turn.
    var deferredHandshakes: [Token] = []
    var handshakesLeft = 0
    /// What relays have agreed on.
    var agreed = AgreedNames()
    /// Which relays taps listen to.
    var taps = TapPlans()
    /// Relays that are being ended on purpose.
    var drains = DrainSchedule()
    /// Set while the process drains: what is left at its deadline is cut.
    var leaving: Drain?

    init(index: Int, crew: Crew, snapshot: Snapshot, poller: consuming Poller) {
        self.index = index
        self.crew = crew
        self.snapshot = snapshot
        self.poller = poller
        let now = Clock.nowMilliseconds()
        sessionTimers = TimerWheel(now: now)
        requestTimers = TimerWheel(now: now)
        upstreamTimers = TimerWheel(now: now)
        tunnelTimers = TimerWheel(now: now)
        paceTimers = TimerWheel(tickMilliseconds: 16, now: now)
        recheckTimers = TimerWheel(now: now)
        space = .allocate(capacity: 1)
        space.initialize(
            to: Workspace(
                receiveCapacity: snapshot.settings.relayBufferBytes,
                patience: snapshot.settings.patience, engine: snapshot.settings.records))
        space.pointee.records.releaseBusy(snapshot.settings.releases)
    }

    deinit {
        space.deinitialize(count: 1)
        space.deallocate()
    }

    /// The time of this turn.
    var now: UInt64 { space.pointee.nowMilliseconds }
    var settings: FrontendSettings { snapshot.settings }

    /// Gives a request its slot and its timer; nil where there is no room.
    mutating func insertRequest(_ request: consuming Request) -> Token? {
        guard let token = requests.insert(request) else { return nil }
        requests.pointer(token)?.pointee.slot = token
        requestTimers.reserve(index: Int(token.index))
        return token
    }

    // MARK: The next turn

    /// Has a session go on in the next turn.
    ///
    /// Each of these lists its tenant once, however often it is asked for: events and the list itself
    /// report the same tenant in one turn, and two entries would become three in the next one.
    mutating func goOnLater(_ session: SessionPointer) {
        if session.pointee.goesOnLater { return }
        session.pointee.goesOnLater = true
        unfinished.append(session.pointee.client)
    }

    /// Has a request go on in the next turn.
    mutating func goOnLater(_ request: RequestPointer) {
        if request.pointee.goesOnLater { return }
        request.pointee.goesOnLater = true
        unfinished.append(request.pointee.slot.tagged(TokenTag.request))
    }

    /// Has a tunnel go on in the next turn.
    mutating func goOnLater(_ tunnel: TunnelPointer) {
        if tunnel.pointee.goesOnLater { return }
        tunnel.pointee.goesOnLater = true
        unfinished.append(tunnel.pointee.slot.tagged(TokenTag.tunnel))
    }

    /// Takes what goes on in this turn; each is listed anew once `Worker.goOn` has come to it.
    mutating func takeUnfinished() -> [Token] {
        var taken: [Token] = []
        swap(&taken, &unfinished)
        return taken
    }

    /// Gives a stream its slot; nil where there is no room.
    mutating func insertSubstream(
        _ session: SessionPointer, _ multiplex: MultiplexPointer, _ id: HTTP2Stream
    ) -> Token? {
        let made = Substream(
            session: session, multiplex: multiplex, id: id, outbox: outbox, nowMilliseconds: now)
        guard let slot = substreams.insert(made) else { return nil }
        if let substream = substreams.pointer(slot) {
            substream.pointee.slot = slot
            substream.pointee.feed.tag = slot.rawValue
        }
        return slot
    }

    /// Frees the slot of a request that is over, at the end of the turn.
    mutating func retireRequest(_ token: Token) {
        assert(requests.pointer(token) != nil, "a request is retired twice")
        requestTimers.cancel(token)
        requests.retire(token)
    }

    /// Whether a connection that speaks HTTP/2 may have something to send; costs nothing where there is
    /// none.
    var hasToFlush: Bool {
        !dirtySessions.isEmpty || substreams.count > 0 && !outbox.isEmpty
    }

    /// Frees what was retired in this turn.
    mutating func releaseRetired() {
        // What points goes before what it points to: requests to streams and sessions (`ClientStream`),
        // streams to sessions. The others hold tokens, which are stale by now.
        if requests.hasRetired {
            requests.releaseRetired()
            noteSpare(requests.spareCount)
        }
        if substreams.hasRetired {
            substreams.releaseRetired()
            noteSpare(substreams.spareCount)
        }
        if sessions.hasRetired {
            sessions.releaseRetired()
            noteSpare(sessions.spareCount)
        }
        if tunnels.hasRetired {
            tunnels.releaseRetired()
            noteSpare(tunnels.spareCount)
        }
        if upstreams.hasRetired {
            upstreams.releaseRetired()
            noteSpare(upstreams.spareCount)
        }
        if clients.hasRetired { clients.releaseRetired() }
    }

    /// So many slots without a tenant are more than the next burst is kept waiting for: about 1 MiB of requests.
    private static let spareSlotsMax = 1_024
    /// How long after a burst its memory is kept for the next one.
    private static let spareMilliseconds: UInt64 = 1_000

    @inline(__always)
    private mutating func noteSpare(_ count: Int) {
        if count > Self.spareSlotsMax, spareDueMilliseconds == .max {
            spareDueMilliseconds = now &+ Self.spareMilliseconds
        }
    }

    /// Gives back what a burst of requests or connections has left behind, where it is due.
    ///
    /// To be called behind `releaseRetired`.
    mutating func giveBackSpare() {
        guard now >= spareDueMilliseconds else { return }
        spareDueMilliseconds = .max
        requests.giveBackUnused()
        substreams.giveBackUnused()
        sessions.giveBackUnused()
        tunnels.giveBackUnused()
        upstreams.giveBackUnused()
    }
}

/// The parts of a reactor reach what they share by this.
typealias StatePointer = UnsafeMutablePointer<WorkerState>

/// Which slab an event's token names.
enum TokenTag {
    /// A client's socket: `WorkerState.clients`.
    static let client: UInt8 = 0
    /// The upstream's side of a tunnel: `WorkerState.tunnels`.
    static let tunnel: UInt8 = 1
    /// A connection to an endpoint: `WorkerState.upstreams`.
    static let upstream: UInt8 = 2
    /// A request, in queues and lines: `WorkerState.requests`.
    static let request: UInt8 = 3
}

/// A client's socket among the reactor's events: it leads to a session, and from the opening of a
/// tunnel on to that.
///
/// The socket keeps its token when its session becomes a tunnel, so that it is registered once.
enum Client {
    /// Until a tunnel is open.
    case session(SessionPointer)
    /// From then on.
    case tunnel(TunnelPointer)

    /// The session; nil once a tunnel is open.
    var session: SessionPointer? {
        if case .session(let session) = self { return session }
        return nil
    }
}

/// Memory that heads are read into and written with, used again and again.
///
/// In steady state a request allocates nothing: the memory of its head, and that of the answer's, are
/// used again, and heads that go out are written into one buffer.
struct HeadStore: ~Copyable {
    /// Heads whose memory is kept for the next one: as many as are read at one time, and no more.
    private static let memoriesMax = 256
    /// Memory that a long head has needed is not kept.
    private static let memoryBytesMax = 4_096

    private var memories: [HeadMemory] = []
    /// Where all heads of the reactor are written that go out.
    ///
    /// It is empty but between `begin` and the sending of what was written: what is left in it would go to
    /// somebody else.
    var writer = HeadWriter(capacity: 4_096)
    /// The time of day for answers of our own.
    var date = HTTPDate()

    /// Whether nothing that was written waits to be sent.
    var isSent: Bool { writer.count == 0 }

    /// Has a head be written.
    mutating func begin() {
        assert(isSent, "a head was written that nobody has sent")
        writer.clear()
    }

    /// Memory for a head.
    mutating func lend() -> HeadMemory { memories.popLast() ?? HeadMemory() }

    /// Takes the memory of a head back.
    mutating func takeBack(_ memory: consuming HeadMemory) {
        guard memory.capacity > 0, memory.capacity <= Self.memoryBytesMax,
            memories.count < Self.memoriesMax
        else { return }
        memories.append(memory)
    }
}
