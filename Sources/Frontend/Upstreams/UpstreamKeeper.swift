// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Splice
import TLS
import Wire

/// A connection to an endpoint that carries requests, one at a time.
///
/// It has a slot of its own and is registered once, so that it goes from one client's request to
/// the next one's without a system call. When a tunnel opens its leg goes there.
struct UpstreamConnection: ~Copyable {
    var leg: Leg
    let endpoint: Endpoint
    let limits: PoolLimits
    /// Reads the heads of answers.
    var heads: ResponseHeadParser
    /// The request that it carries; nil while it is idle.
    var owner: Token?
    /// The question to a server that it carries, which says who may use a route.
    var question: ForwardQuestion?
    /// Whose alone it is, where its first bytes have named that client to the endpoint, or that client
    /// has begun to log it in; then it carries requests of nobody else, and goes with that client's
    /// connection.
    var client: Address?
    /// Its first bytes have named the client.
    var isIntroduced = false
    /// A login belongs to it (`FieldList.logsConnectionIn`), or may have begun to.
    var hasLogin = false
    /// The connection to the endpoint stands, and TLS on it where that is spoken.
    var isConnected = false
    /// How TLS is spoken on it; nil where it is not.
    let destination: TLSDestination?
    /// Something of the TLS handshake was sent.
    var hasBegunHandshake = false
    /// Something has come of the endpoint's part in it.
    var hasHeardHandshake = false
    /// Bytes that have come of it.
    var handshakeBytes = 0
    /// When it has been idle for long enough.
    var idleDeadlineMilliseconds: UInt64 = 0
    /// Its timer, which fires no later than that.
    var idleTimer = LazyTimer()

    init(
        leg: consuming Leg, endpoint: Endpoint, destination: TLSDestination?, limits: PoolLimits,
        headLimits: HeadLimits, owner: Token?
    ) {
        self.destination = destination
        self.leg = leg
        heads = ResponseHeadParser(limits: headLimits)
        self.endpoint = endpoint
        self.limits = limits
        self.owner = owner
    }

    /// Whether nothing has come since it became idle: no bytes, no end.
    var isQuiet: Bool { !leg.isReadable && !leg.isHangingUp && !leg.hasEnded && !leg.isUnwritable }

    /// Whether an idle one may carry this request.
    func isSound(for request: RequestPointer) -> Bool {
        // What can't be sent a second time must not go out on one that has just been closed.
        let mayRepeat = request.pointee.life.mayRepeat && !request.pointee.isUpgrade
        return isQuiet && (mayRepeat || leg.socket.isQuiet())
    }

    /// Whether the connection stands, and the TLS handshake on it is under way.
    var isShakingHands: Bool { hasBegunHandshake && !isConnected && leg.held.isEmpty }

    /// Whether it was verified as the endpoint has to be now: a reload may trust others.
    func isVerified(as present: @autoclosure () -> TLSDestination?) -> Bool {
        destination == nil || destination === present()
    }

    /// Gives it, idle until now, to a request, whose answer is read within these limits.
    mutating func carry(_ request: Token, _ limits: HeadLimits) {
        owner = request
        heads.use(limits)
    }

    /// Whether it is this client's alone and begins as the group wants it.
    ///
    /// Behind a trusted proxy the requests of several may come on one connection.
    func isAlone(_ client: Address, _ group: EndpointGroup) -> Bool {
        self.client == client && isIntroduced == (group.introduction != nil)
    }

    /// Binds it to the client that logs it in. The rules (NTLM, Negotiate; RFC 4559 §6):
    ///
    /// 1. From the first field of such a scheme, in a request or an answer, the connection to the
    ///    endpoint is that client's alone. It never goes into the pool, and is closed with the client's
    ///    connection.
    /// 2. It carries the client's further requests to that endpoint, upgrades among them, since the
    ///    endpoint takes whatever comes on it for that user's.
    /// 3. An upgrade that is answered with 401 or 407 within such a login leaves both connections as
    ///    they are.
    mutating func noteLogin(of client: Address) {
        hasLogin = true
        self.client = client
    }
}

/// Opens connections to endpoints, keeps them for the next request, and closes them.
struct UpstreamKeeper {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }

    private var load: WorkerLoad { state.pointee.crew.loads[state.pointee.index] }

    /// Has a request use a connection.
    func attach(_ carrier: Token, to request: RequestPointer) {
        assert(request.pointee.upstream?.connection == nil, "a request has two connections")
        request.pointee.upstream?.connection = carrier
        if request.pointee.stream.session.pointee.hasTakenUpstream() { load.claim(-1) }
    }

    /// Has a request use its connection no more.
    func detach(from request: RequestPointer) {
        request.pointee.upstream?.connection = nil
        leave(request.pointee.stream.session)
    }

    /// One connection less is in use for a session.
    func leave(_ session: SessionPointer) {
        if session.pointee.hasLeftUpstream() { load.claim(1) }
    }

    /// What has come of beginning to connect.
    enum Dialled {
        /// It has begun; the connection may stand already.
        case begun(mayStand: Bool)
        case failed(DialFailure)
    }

    /// Begins to connect to an address of the endpoint at which the request has a place.
    func dial(_ address: Address, _ request: RequestPointer, _ token: Token) -> Dialled {
        guard let endpoint = request.pointee.upstream?.search.current,
            let group = request.pointee.upstream?.search.group
        else { return .failed(.unresolved) }
        // What clients without a connection to an endpoint are going to need is not taken away from them by
        // the further streams of another.
        if request.pointee.stream.session.pointee.upstreamCount > 0,
            !state.pointee.crew.hasDescriptors(1)
        {
            return .failed(.shortage(.descriptors))
        }
        // What was meant to become a tunnel carries nothing else.
        let limits = request.pointee.isUpgrade ? .none : group.pool
        switch open(address, of: group, endpoint, limits: limits, owner: token) {
        case .failed(let failure): return .failed(failure)
        case .opened(let carrier, let mayStand):
            if group.introduction != nil {
                let slot = state.pointee.upstreams.pointer(carrier)
                slot?.pointee.client = request.pointee.facts.client
                slot?.pointee.isIntroduced = true
            }
            attach(carrier, to: request)
            return .begun(mayStand: mayStand)
        }
    }

    /// What has come of opening a connection.
    enum Opened {
        /// It is being opened, and may stand already.
        case opened(Token, mayStand: Bool)
        case failed(DialFailure)
    }

    /// Begins to open a connection to an address of an endpoint.
    func open(
        _ address: Address, of group: EndpointGroup, _ endpoint: Endpoint, limits: PoolLimits,
        owner: Token?
    ) -> Opened {
        var leg = Leg(.none())
        var isConnected = false
        if let failure = connect(to: address, of: group, &leg, &isConnected) {
            return .failed(failure)
        }
        let destination = state.pointee.snapshot.destination(of: endpoint, in: group)
        if let destination {
            leg.tls = TLSSession.connecting(to: destination, through: space.pointee.records)
            if leg.tls == nil { return .failed(.tls(.unusableName)) }
        }
        let descriptor = leg.socket.descriptor
        let fresh = UpstreamConnection(
            leg: leg, endpoint: endpoint, destination: destination, limits: limits,
            headLimits: state.pointee.snapshot.settings.headLimits, owner: owner)
        guard let carrier = state.pointee.upstreams.insert(fresh) else {
            return .failed(.shortage(.memory))
        }
        state.pointee.upstreamTimers.reserve(index: Int(carrier.index))
        guard state.pointee.poller.add(descriptor, carrier.tagged(TokenTag.upstream), .edgeBoth)
        else {
            state.pointee.upstreams.retire(carrier)
            return .failed(.shortage(.watches))
        }
        load.claim(1)
        // Within one machine the handshake of TCP is over when connect(2) returns, though it says
        // that it is in progress: to try costs less than to wait for the event.
        return .opened(carrier, mayStand: isConnected || address.isLoopback)
    }

    /// Begins to connect, from one of the group's own addresses after the other where it has some.
    ///
    /// - Returns: why it failed at once; nil where it did not, and then `leg` is under way.
    private func connect(
        to address: Address, of group: EndpointGroup, _ leg: inout Leg, _ isConnected: inout Bool
    ) -> DialFailure? {
        var sources = group.sources(for: address)
        while true {
            let source = sources.popFirst()
            let failure: DialFailure
            do throws(DialFault) {
                let socket = try Socket.dialing(address, from: source)
                if !address.isUnix { socket.setNoDelay() }
                switch socket.connect(to: address) {
                case .failed(let code):
                    failure =
                        Shortage(code, connectingTo: address, hasSource: source != nil)
                        .map(DialFailure.shortage) ?? .failed(code)
                case .connected:
                    isConnected = true
                    leg = Leg(socket)
                    return nil
                case .inProgress:
                    leg = Leg(socket)
                    return nil
                }
            } catch {
                switch error {
                case .shortage(let shortage): failure = .shortage(shortage)
                case .failed(let code): failure = .failed(code)
                }
            }
            // Another address to come from has ports of its own.
            if sources.isEmpty || !failure.isOfSource { return failure }
        }
    }

    /// A connection stands, and TLS on it where the endpoint speaks that: such a session leaves OpenSSL's object later.
    func stands(_ slot: UnsafeMutablePointer<UpstreamConnection>, _ carrier: Token) {
        slot.pointee.isConnected = true
        if slot.pointee.destination == nil { return }
        state.pointee.settling.append(
            carrier.tagged(TokenTag.upstream),
            due: state.pointee.now + state.pointee.settings.settleMilliseconds)
    }

    /// Finds an idle connection to the endpoint on which nothing has come.
    ///
    /// - Returns: whether there is one; it is the request's then.
    func takeIdle(_ request: RequestPointer, _ token: Token) -> Bool {
        guard !request.pointee.isUpgrade,
            let endpoint = request.pointee.upstream?.search.pooledEndpoint
        else { return false }
        while let idle = state.pointee.pool.take(endpoint) {
            guard let slot = state.pointee.upstreams.pointer(idle) else { continue }
            if slot.pointee.isSound(for: request),
                slot.pointee.isVerified(as: destination(of: endpoint, for: request))
            {
                slot.pointee.carry(token, state.pointee.snapshot.settings.headLimits)
                attach(idle, to: request)
                return true
            }
            discard(slot, idle)
        }
        return false
    }

    /// How TLS is spoken now with the endpoint that a request tries; asked for where it speaks that.
    private func destination(
        of endpoint: Endpoint, for request: RequestPointer
    ) -> TLSDestination? {
        guard let group = request.pointee.upstream?.search.group else { return nil }
        return state.pointee.snapshot.destination(of: endpoint, in: group)
    }

    /// Takes an idle connection to an endpoint on which nothing has come, for a question; nil if there is none.
    func takeIdle(_ endpoint: Endpoint, of group: EndpointGroup) -> Token? {
        let destination = state.pointee.snapshot.destination(of: endpoint, in: group)
        while let idle = state.pointee.pool.take(endpoint) {
            guard let slot = state.pointee.upstreams.pointer(idle) else { continue }
            if slot.pointee.isQuiet, slot.pointee.isVerified(as: destination) { return idle }
            discard(slot, idle)
        }
        return nil
    }

    /// Keeps the connection of a question for another one, if that is safe, and closes it otherwise.
    func takeBack(
        _ carrier: Token, _ slot: UnsafeMutablePointer<UpstreamConnection>, mayReuse: Bool
    ) {
        if mayReuse, slot.pointee.isQuiet, slot.pointee.leg.held.isEmpty,
            slot.pointee.client == nil, state.pointee.leaving == nil,
            state.pointee.crew.hasDescriptors(0),
            state.pointee.pool.put(
                carrier, slot.pointee.endpoint, max: slot.pointee.limits.idleMax)
        {
            slot.pointee.idleTimer.forget()
            waitIdle(slot, carrier)
        } else {
            discard(slot, carrier)
        }
    }

    /// The socket of a connection to an endpoint has something to say.
    func isReady(_ carrier: Token, _ flags: Readiness) {
        guard let slot = state.pointee.upstreams.pointer(carrier) else { return }
        slot.pointee.leg.note(flags)
        if let question = slot.pointee.question {
            ForwardAsker(state).isReady(question, carrier, slot, flags)
            return
        }
        guard let owner = slot.pointee.owner,
            let request = state.pointee.requests.pointer(owner)
        else {
            if slot.pointee.leg.tls != nil { readTickets(slot) }
            // Whatever comes while it is idle, an answer that nobody asked for or the end: with this
            // connection nothing can be begun any more.
            if !slot.pointee.isQuiet { close(carrier) }
            return
        }
        if !slot.pointee.isConnected {
            // What came before the end of a handshake says more of it than that there was one.
            if flags.contains(.hangup) && !slot.pointee.isShakingHands {
                let code = slot.pointee.leg.socket.pendingError()
                if code != 0 {
                    let failure = DialFailure(code)
                    request.pointee.upstream?.search.failed(failure)
                    state.pointee.work.push(.request(owner, .attemptFailed))
                    return
                }
            }
            if flags.contains(.writable) || flags.contains(.readable)
                || slot.pointee.hasBegunHandshake
            {
                RequestExecutor(state).mayStand(request, owner)
            }
            return
        }
        if flags.contains(.writable) && !slot.pointee.leg.held.isEmpty {
            request.pointee.movedMilliseconds = state.pointee.now
            request.pointee.body.movedMilliseconds = state.pointee.now
            _ = slot.pointee.leg.drain(space)
            if slot.pointee.leg.isUnwritable { request.pointee.body.isCut = true }
        }
        RequestExecutor(state).pump(request, owner)
    }

    /// Reads what TLS itself has to say on an idle connection, tickets before all; data of the endpoint's, which
    /// nobody has asked for, leaves it unfit.
    private func readTickets(_ slot: UnsafeMutablePointer<UpstreamConnection>) {
        while slot.pointee.leg.isReadable && !slot.pointee.leg.hasEnded {
            if slot.pointee.leg.receive(space).count > 0 {
                slot.pointee.leg.note(.hangup)
                return
            }
        }
    }

    /// Whether the upstream has not taken all that was sent to it.
    func holds(_ request: RequestPointer) -> Bool {
        guard let carrier = request.pointee.upstream?.connection,
            let slot = state.pointee.upstreams.pointer(carrier)
        else { return false }
        return !slot.pointee.leg.held.isEmpty
    }

    /// Whether nobody knows whose login a connection has: a trusted proxy that names no client may pass on
    /// one client's request behind another's.
    private func isOfNobody(
        _ slot: UnsafeMutablePointer<UpstreamConnection>, _ request: RequestPointer
    ) -> Bool {
        let peer = request.pointee.stream.facts.pointee.peer
        return slot.pointee.client == peer
            && request.pointee.stream.facts.pointee.listener.trusts(peer)
    }

    /// Keeps the request's connection for another one, if that is safe, and closes it otherwise.
    func takeBack(_ request: RequestPointer) {
        guard let carrier = request.pointee.upstream?.connection,
            let slot = state.pointee.upstreams.pointer(carrier)
        else { return }
        detach(from: request)
        slot.pointee.owner = nil
        let mayReuse =
            request.pointee.upstream?.mayReuse == true && request.pointee.body.isDone
            && !request.pointee.body.isCut
            && slot.pointee.isQuiet && slot.pointee.leg.held.isEmpty
            && state.pointee.leaving == nil
            && !(slot.pointee.hasLogin && isOfNobody(slot, request))
        let limits = slot.pointee.limits
        if mayReuse && slot.pointee.hasLogin {
            // It stays for as long as the client does, or the endpoint lets it.
            request.pointee.stream.keep(carrier, state)
        } else if !state.pointee.crew.hasDescriptors(0) {
            // Somebody waits for the descriptor.
            discard(slot, carrier)
        } else if mayReuse && slot.pointee.client != nil && limits.idleMax > 0 {
            request.pointee.stream.keep(carrier, state)
            waitIdle(slot, carrier)
        } else if mayReuse && slot.pointee.client == nil
            && state.pointee.pool.put(carrier, slot.pointee.endpoint, max: limits.idleMax)
        {
            waitIdle(slot, carrier)
        } else {
            discard(slot, carrier)
        }
    }

    /// Lets a connection be idle for as long as it may.
    private func waitIdle(_ slot: UnsafeMutablePointer<UpstreamConnection>, _ carrier: Token) {
        let deadline = state.pointee.now + slot.pointee.limits.idleMilliseconds
        slot.pointee.idleDeadlineMilliseconds = deadline
        guard slot.pointee.idleTimer.hasToBeSet(by: deadline) else { return }
        state.pointee.upstreamTimers.arm(carrier, at: deadline)
    }

    /// The timer of a connection has fired: it may have been idle for long enough.
    func timeIsUp(_ carrier: Token) {
        guard let slot = state.pointee.upstreams.pointer(carrier) else { return }
        slot.pointee.idleTimer.forget()
        if let question = slot.pointee.question {
            ForwardAsker(state).timeIsUp(question, carrier, slot)
            return
        }
        if slot.pointee.owner != nil || slot.pointee.hasLogin { return }
        let deadline = slot.pointee.idleDeadlineMilliseconds
        if state.pointee.now < deadline {
            if slot.pointee.idleTimer.hasToBeSet(by: deadline) {
                state.pointee.upstreamTimers.arm(carrier, at: deadline)
            }
        } else {
            close(carrier)
        }
    }

    /// Closes a connection, idle or not.
    func close(_ carrier: Token) {
        guard let slot = state.pointee.upstreams.pointer(carrier) else { return }
        if slot.pointee.owner == nil { state.pointee.pool.forget(carrier, slot.pointee.endpoint) }
        discard(slot, carrier)
    }

    private func discard(_ slot: UnsafeMutablePointer<UpstreamConnection>, _ carrier: Token) {
        if slot.pointee.leg.isOpen { load.claim(-1) }
        if slot.pointee.isConnected && slot.pointee.leg.tls != nil {
            // Servers take the end of a connection without it for an attack, and say so in their logs.
            slot.pointee.leg.shut(space)
        }
        state.pointee.upstreamTimers.cancel(carrier)
        slot.pointee.leg.release(space)
        state.pointee.upstreams.retire(carrier)
    }

    /// Takes the leg of the request's connection, which is a tunnel's from here on.
    func takeLeg(_ request: RequestPointer) -> Leg {
        var leg = Leg(.none())
        guard let carrier = request.pointee.upstream?.connection,
            let slot = state.pointee.upstreams.pointer(carrier)
        else { return leg }
        request.pointee.upstream?.connection = nil
        // The session, or the stream's, has it for as long as the tunnel lives.
        swap(&leg, &slot.pointee.leg)
        discard(slot, carrier)
        return leg
    }
}
