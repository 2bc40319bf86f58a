// SPDX-License-Identifier: Apache-2.0
import Access
import Ledger
import Proxy
import Reactor
import Splice
import Wire

/// What is known of the request that opened a tunnel, for as long as that lives.
struct TunnelFacts {
    /// Who asked.
    let client: Address
    let host: String
    let path: String
    /// Who the client has proven to be; empty where the route did not ask.
    let user: String
    /// The subject of the token that it was opened with, which need not be the user; empty where the token has none, nil
    /// where no token was asked for.
    let tokenSubject: String?
    let plan: RoutePlan?
    let endpoint: Endpoint?
    /// What the endpoint was chosen by, where that was by hash.
    let key: UInt64?
    /// The trace that it belongs to; nil where nothing was traced.
    let trace: TunnelTrace?
    /// The name that it keeps, where its fields have told one.
    let name: RelayName

    init(_ facts: borrowing RequestFacts, key: UInt64?) {
        client = facts.client
        host = facts.host
        path = facts.path
        user = facts.user
        tokenSubject = facts.token?.subject
        plan = facts.plan
        endpoint = facts.endpoint
        self.key = key
        trace = facts.trace.isOn ? TunnelTrace(facts.trace) : nil
        name = facts.relayName
    }

    /// The route's pattern.
    var route: String { plan?.route.name ?? "" }
    /// The endpoint's label.
    var upstream: String { endpoint?.label ?? "" }
}

/// An open WebSocket: the relay between its two connections, and what it holds as long as it lives.
struct Tunnel: ~Copyable {
    /// Where the client's end of it is.
    enum ClientEnd {
        /// A socket of its own, in `WorkerState.clients`.
        case socket(Token)
        /// One stream of a connection that speaks HTTP/2, in `WorkerState.substreams`.
        case stream(Token)
        /// The connection is gone whose stream it was.
        case gone
    }

    var relay: Relay
    var client: ClientEnd
    /// Its own slot in `WorkerState.tunnels`.
    var slot = Token(rawValue: 0)
    var facts: ClientFacts
    let asked: TunnelFacts
    /// What was agreed in the handshake; nil where there was no room to keep it.
    let agreed: Agreed?
    var places: Places
    /// The drain that ends it.
    var drain: Drain?
    /// It stands in `WorkerState.unfinished`.
    var goesOnLater = false
    /// The process to which it was to move has refused it.
    var wasRefused = false
    /// What of its traffic the counters have.
    var counted = CountedTraffic()
    /// What another server is asked again while it lives; nil where its route does not say so.
    var recheck: Recheck?

    init(
        relay: consuming Relay, client: ClientEnd, facts: ClientFacts, asked: TunnelFacts,
        agreed: Agreed?, places: Places
    ) {
        self.relay = relay
        self.client = client
        self.facts = facts
        self.asked = asked
        self.agreed = agreed
        self.places = places
    }
}

typealias TunnelPointer = UnsafeMutablePointer<Tunnel>

/// Opens tunnels, does what their relays ask for, and closes them.
struct TunnelKeeper {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }

    /// Makes a relay of both connections of a request whose upstream has switched.
    ///
    /// What only the opening needed is let go; what came early goes on, then what waits.
    func open(_ request: RequestPointer, _ token: Token) {
        guard let opening = request.pointee.extras?.opening, let plan = request.pointee.facts.plan
        else {
            preconditionFailure("a tunnel opens without a proven 101")
        }
        request.pointee.stream.send(opening.answer, space)
        Metering(state).opens(request)
        Recorder(state).opens(request)
        // As long as the client's session has what it tells.
        let recheck =
            plan.route.access?.forward == nil ? nil : RecheckKeeper.recheck(request.pointee)
        var taken = request.pointee.stream.handOver(state)
        var leg = Leg(.none())
        swap(&leg, &taken.leg)
        let client = taken.client
        let early = taken.early
        var relay = Relay(client: leg)
        relay.backend = UpstreamKeeper(state).takeLeg(request)
        relay.open(
            reservedBits: opening.reservedBits, limits: plan.route.relayLimits,
            rules: plan.route.relayRules, term: Self.term(plan, request),
            rates: request.pointee.upgrade?.rates,
            tally: Metering(state).tally(plan))
        if let faults = plan.faults(nowMilliseconds: state.pointee.now) {
            relay.begin(faults, tally: Metering(state).tally(plan), space)
            noteEnd(of: faults)
        }
        assert(
            relay.client.isOpen && relay.backend.isOpen,
            "a tunnel opens without both connections")
        let descriptor = relay.backend.socket.descriptor
        let made = Tunnel(
            relay: relay, client: client, facts: taken.facts,
            asked: TunnelFacts(
                request.pointee.facts, key: request.pointee.upstream?.search.key),
            agreed: state.pointee.agreed.take(
                subprotocol: opening.subprotocol, extensions: opening.extensions),
            places: request.pointee.places)
        guard let slot = state.pointee.tunnels.insert(made),
            let tunnel = state.pointee.tunnels.pointer(slot)
        else {
            // There are as many slots for tunnels as for clients.
            preconditionFailure("there is no slot for a tunnel")
        }
        tunnel.pointee.slot = slot
        state.pointee.names.insert(tunnel)
        if let recheck {
            tunnel.pointee.recheck = recheck
            RecheckKeeper(state).arm(tunnel)
        }
        if tunnel.pointee.relay.backend.tls != nil {
            state.pointee.settling.append(
                slot.tagged(TokenTag.tunnel),
                due: state.pointee.now + state.pointee.settings.settleMilliseconds)
        }
        switch client {
        case .socket(let token):
            guard let entry = state.pointee.clients.pointer(token) else {
                preconditionFailure("a tunnel opens without a client")
            }
            entry.pointee = .tunnel(tunnel)
        case .stream(let token):
            state.pointee.substreams.pointer(token)?.pointee.tunnel = tunnel
        case .gone: break
        }
        state.pointee.heads.takeBack(request.pointee.takeMemory())
        if var head = request.pointee.answer.takeHead() {
            state.pointee.heads.takeBack(head.takeMemory())
        }
        state.pointee.retireRequest(token)
        plan.tally.opened()
        Recorder(state).opened(tunnel)
        if state.pointee.space.pointee.taps.isAny { TapKeeper(state).opened(tunnel) }
        let isWatched = state.pointee.poller.modify(
            descriptor, slot.tagged(TokenTag.tunnel), .edgeBoth)
        if !isWatched {
            // The kernel has no memory for it: nobody would ever hear of the upstream's side.
            close(tunnel)
            return
        }
        begin(tunnel, backendEarly: opening.early, clientEarly: early)
    }

    /// When a relay of a route ends with its token; nil for never.
    private static func term(
        _ plan: RoutePlan, _ request: RequestPointer
    ) -> RelayTerm? {
        guard let end = plan.route.access?.token?.end,
            let last = request.pointee.facts.token?.endMilliseconds
        else { return nil }
        return RelayTerm(
            endMilliseconds: end.milliseconds(ofTokenUntil: last), code: end.code)
    }

    private func begin(
        _ tunnel: TunnelPointer, backendEarly: [UInt8], clientEarly: ArraySlice<UInt8>
    ) {
        backendEarly.withUnsafeBytes { early in
            if !early.isEmpty { tunnel.pointee.relay.feed(.backend, early, space) }
        }
        clientEarly.withUnsafeBytes { early in
            if !early.isEmpty { tunnel.pointee.relay.feed(.client, early, space) }
        }
        var verdict = tunnel.pointee.relay.begin(space)
        verdict.formUnion(tunnel.pointee.relay.ready(.client, [], space))
        if !verdict.contains(.ended) {
            verdict.formUnion(tunnel.pointee.relay.ready(.backend, [], space))
        }
        if !verdict.isEmpty { obey(verdict, tunnel) }
        if !verdict.contains(.ended) { DrainKeeper(state).join(tunnel) }
    }

    /// Does what a relay asks for.
    func obey(_ verdict: Relay.Verdict, _ tunnel: TunnelPointer) {
        if verdict.contains(.ended) {
            close(tunnel)
            return
        }
        let slot = tunnel.pointee.slot
        if verdict.contains(.deadline) {
            let deadline = tunnel.pointee.relay.deadlineMilliseconds
            // Most relays have no timer for most of their time.
            state.pointee.tunnelTimers.reserve(index: Int(slot.index))
            if deadline == 0 {
                state.pointee.tunnelTimers.cancel(slot)
            } else {
                state.pointee.tunnelTimers.arm(slot, at: deadline)
            }
        }
        if verdict.contains(.again) {
            state.pointee.goOnLater(tunnel)
        }
        if verdict.contains(.paused) {
            state.pointee.paceTimers.reserve(index: Int(slot.index))
            state.pointee.paceTimers.arm(
                slot, at: tunnel.pointee.relay.resumeMilliseconds(now: state.pointee.now))
        }
        // Last, since the tunnel may end by it.
        if verdict.contains(.struck) { leaveStream(of: tunnel) }
    }

    /// Resets the stream of a relay that was cut on purpose: the client need not wait for what the upstream still says.
    private func leaveStream(of tunnel: TunnelPointer) {
        guard case .stream(let token) = tunnel.pointee.client else { return }
        tunnel.pointee.client = .gone
        tunnel.pointee.relay.letStreamGo(space)
        if let substream = state.pointee.substreams.pointer(token) {
            UpstreamKeeper(state).leave(substream.pointee.session)
            MultiplexKeeper(state).leave(substream, isInOrder: false)
        }
        let verdict = tunnel.pointee.relay.ready(.backend, [], space)
        if !verdict.isEmpty { obey(verdict, tunnel) }
    }

    /// Relays what the last turn had no time for, or what had to wait for its rate.
    func goOn(_ tunnel: TunnelPointer) {
        var verdict = tunnel.pointee.relay.ready(.client, [], space)
        if !verdict.contains(.ended) {
            verdict.formUnion(tunnel.pointee.relay.ready(.backend, [], space))
        }
        if !verdict.isEmpty { obey(verdict, tunnel) }
    }

    /// Begins the faults that relays are to have, and ends those that are over, from a slot on.
    ///
    /// A relay gets those of the moment; once these are over, those that the configuration has for its route.
    ///
    /// - Returns: where to go on; nil when all were seen.
    func lookAtFaults(from first: Int) -> Int? {
        var last = first - 1
        for _ in 0..<DrainSchedule.scannedPerTurn {
            guard let slot = state.pointee.tunnels.nextLive(after: last) else { return nil }
            last = Int(slot.index)
            guard let tunnel = state.pointee.tunnels.pointer(slot) else { continue }
            if tunnel.pointee.relay.isDelaying { goOn(tunnel) }
            // It may have ended just now.
            guard let tunnel = state.pointee.tunnels.pointer(slot) else { continue }
            changeFaults(tunnel, isNew: false)
        }
        return last + 1
    }

    private func changeFaults(_ tunnel: TunnelPointer, isNew: Bool) {
        guard let plan = tunnel.pointee.asked.plan,
            let wanted = plan.faults(nowMilliseconds: state.pointee.now)
        else { return }
        let present = tunnel.pointee.relay.faultPlan
        if wanted === present {
            // The look at the end of others has taken its time away.
            noteEnd(of: wanted)
            return
        }
        // A file's faults are for those that open under it, and for those whose faults of a moment are over.
        if wanted.isOfMoment || isNew || present?.isOfMoment == true { begin(wanted, tunnel) }
    }

    /// Begins the faults that a relay is to have that has come from elsewhere.
    ///
    /// - Parameters:
    ///   - tunnel: the relay's.
    ///   - carried: those that it had at another reactor of this process; nil where it had none.
    ///   - isFromOutside: whether another process had it.
    func beginFaults(_ tunnel: TunnelPointer, _ carried: CarriedFaults?, isFromOutside: Bool) {
        if let carried {
            let tally = tunnel.pointee.asked.plan.flatMap { Metering(state).tally($0) }
            tunnel.pointee.relay.resume(carried, tally: tally, space)
            noteEnd(of: carried.plan)
        }
        changeFaults(tunnel, isNew: isFromOutside)
    }

    private func begin(_ plan: FaultPlan, _ tunnel: TunnelPointer) {
        let tally = tunnel.pointee.asked.plan.flatMap { Metering(state).tally($0) }
        tunnel.pointee.relay.begin(plan, tally: tally, space)
        noteEnd(of: plan)
    }

    /// Has relays looked at once more when faults of a moment are over: nobody ends those that end by themselves.
    private func noteEnd(of plan: FaultPlan) {
        guard plan.isOfMoment else { return }
        state.pointee.faultsEndMilliseconds = min(
            state.pointee.faultsEndMilliseconds, plan.endMilliseconds)
    }

    /// The timer of a tunnel has fired.
    func timeIsUp(_ slot: Token) {
        guard let tunnel = state.pointee.tunnels.pointer(slot) else { return }
        MultiplexKeeper(state).noteCarriage(tunnel)
        obey(tunnel.pointee.relay.deadlinePassed(space), tunnel)
    }

    /// Closes both connections, and writes the record.
    func close(_ tunnel: TunnelPointer) {
        let slot = tunnel.pointee.slot
        assert(state.pointee.tunnels.pointer(slot) == tunnel, "a tunnel is closed twice")
        state.pointee.names.remove(tunnel)
        state.pointee.tunnelTimers.cancel(slot)
        state.pointee.paceTimers.cancel(slot)
        state.pointee.recheckTimers.cancel(slot)
        let isOver = tunnel.pointee.relay.ending.isOver
        if isOver { leaveRest(of: tunnel) }
        tunnel.pointee.relay.release(space)
        tunnel.pointee.places.giveBack(nowMilliseconds: state.pointee.now)
        tunnel.pointee.asked.plan?.tally.closed()
        ClientCounts(state).release(&tunnel.pointee.facts)
        tunnel.pointee.drain?.closed(isCut: !isOver)
        Metering(state).ended(tunnel)
        Recorder(state).ended(tunnel)
        if tunnel.pointee.relay.isTapped { TapKeeper(state).ended(tunnel) }
        // The sockets close when the slot is released, behind the last event of this batch.
        let load = state.pointee.crew.loads[state.pointee.index]
        load.claim(-1)
        switch tunnel.pointee.client {
        case .socket(let token):
            state.pointee.clients.retire(token)
            load.closed(hasUpstream: true)
            Metering(state).disconnected(from: tunnel.pointee.facts.listener)
        case .stream(let token):
            if let substream = state.pointee.substreams.pointer(token) {
                UpstreamKeeper(state).leave(substream.pointee.session)
                MultiplexKeeper(state).leave(
                    substream, isInOrder: isOver && !tunnel.pointee.relay.client.isTruncated)
            }
        case .gone: break
        }
        state.pointee.tunnels.retire(slot)
    }

    /// Leaves what the client has not taken yet of a relay that is over to its stream: it goes on as the
    /// client opens its window, like the rest of an answer.
    private func leaveRest(of tunnel: TunnelPointer) {
        guard case .stream(let token) = tunnel.pointee.client,
            let substream = state.pointee.substreams.pointer(token),
            !substream.pointee.life.isClosed, tunnel.pointee.relay.client.feed != nil,
            !tunnel.pointee.relay.client.isUnwritable,
            !tunnel.pointee.relay.client.held.isEmpty
        else { return }
        assert(!substream.pointee.stream.leg.isOpen, "a stream has two legs")
        swap(&tunnel.pointee.relay.client, &substream.pointee.stream.leg)
        substream.pointee.stream.leg.closeForReading(space)
    }

    /// Ends one relay with a Close; one that is ending already gets no other code, but no more time either.
    func end(_ slot: Token, code: UInt16) -> EndedRelay {
        guard let tunnel = state.pointee.tunnels.pointer(slot) else { return .noRelay }
        let isEnding = tunnel.pointee.relay.ending.hasBegun
        let deadline =
            state.pointee.now + state.pointee.settings.patience.closingMilliseconds
        obey(
            tunnel.pointee.relay.drain(
                code: code, text: nil, deadlineMilliseconds: deadline, space), tunnel)
        return isEnding ? .isEnding : .told
    }

    /// Ends relays with a Close from a slot on, so many as a turn has time for; those that are ending go on doing so.
    func end(
        _ filter: RelayFilter, from first: Int, code: UInt16, text: CloseText?
    ) -> EndedRelays {
        var count = 0
        var last = first - 1
        let deadline =
            state.pointee.now + state.pointee.settings.patience.closingMilliseconds
        for _ in 0..<DrainSchedule.scannedPerTurn {
            guard let slot = state.pointee.tunnels.nextLive(after: last) else {
                return EndedRelays(count: count, next: nil)
            }
            last = Int(slot.index)
            guard let tunnel = state.pointee.tunnels.pointer(slot),
                filter.takes(tunnel.pointee.asked), !tunnel.pointee.relay.ending.hasBegun
            else { continue }
            count += 1
            obey(
                tunnel.pointee.relay.drain(
                    code: code, text: text, deadlineMilliseconds: deadline,
                    space), tunnel)
            if count >= RelayList.relaysMax { break }
        }
        return EndedRelays(count: count, next: last + 1)
    }

    /// Describes relays from a slot on, so many as a turn has time for.
    func list(_ filter: RelayFilter, from first: Int) -> RelayList {
        var relays: [RelayFacts] = []
        var last = first - 1
        for _ in 0..<DrainSchedule.scannedPerTurn {
            guard let slot = state.pointee.tunnels.nextLive(after: last) else {
                return RelayList(relays: relays, next: nil)
            }
            last = Int(slot.index)
            guard let tunnel = state.pointee.tunnels.pointer(slot),
                filter.takes(tunnel.pointee.asked)
            else { continue }
            let asked = tunnel.pointee.asked
            relays.append(
                RelayFacts(
                    id: RelayID(worker: state.pointee.index, token: slot), name: asked.name,
                    client: asked.client, user: asked.user, isHTTP2: tunnel.pointee.facts.isHTTP2,
                    route: asked.route,
                    path: asked.path,
                    endpoint: asked.upstream,
                    acceptedMilliseconds: tunnel.pointee.facts.acceptedMilliseconds,
                    nowMilliseconds: state.pointee.now, up: tunnel.pointee.relay.upCounts,
                    down: tunnel.pointee.relay.downCounts,
                    clientRoundTrip: tunnel.pointee.relay.clientRoundTrip,
                    endMilliseconds: tunnel.pointee.relay.term?.endMilliseconds,
                    isEnding: tunnel.pointee.relay.ending.hasBegun))
            if relays.count >= RelayList.relaysMax { break }
        }
        return RelayList(relays: relays, next: last + 1)
    }
}
