// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import Serialization
import Splice

/// Gives relays up to another reactor or process, and takes up those of others.
struct RelayMover {
    /// Slots that are looked at in one turn, and relays that are given up in it: some 10 µs each.
    static let slotsPerTurn = 1_024
    static let relaysPerTurn = 100
    /// Bytes of images in one turn: what relays hold for slow readers goes along.
    static let imageBytesPerTurn = 8 << 20

    /// No time of a relay that has just come is over sooner: its sockets were not read while it was on its way.
    static let graceMilliseconds: UInt64 = 128

    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var space: UnsafeMutablePointer<Workspace> { state.pointee.space }

    // MARK: Out

    /// Gives up relays from a slot on.
    func moveOut(_ order: MoveOrder, from first: Int) -> MovedOut {
        var out = MovedOut()
        var last = first - 1
        var byteCount = 0
        let due = relaysOfDrains()
        for _ in 0..<Self.slotsPerTurn {
            if out.relays.count >= min(order.relaysMax, Self.relaysPerTurn) { break }
            if byteCount >= Self.imageBytesPerTurn { break }
            guard let slot = state.pointee.tunnels.nextLive(after: last) else { return out }
            last = Int(slot.index)
            guard let tunnel = state.pointee.tunnels.pointer(slot) else { continue }
            if order.isFirstLook { tunnel.pointee.wasRefused = false }
            if tunnel.pointee.wasRefused {
                out.staying.refused += 1
                continue
            }
            switch obstacle(tunnel, order, due) {
            case .record: out.waiting += 1
            case .stream: out.staying.streams += 1
            case .session: out.staying.sessions += 1
            case .ending: out.staying.ending += 1
            case nil:
                let relay = moveOut(tunnel, order.leavesProcess ? .process : .reactor)
                byteCount += relay.byteCount
                out.relays.append(relay)
            }
        }
        out.next = last + 1
        return out
    }

    /// Relays that drains are going to end; who is only of a drained route and came later is none of them.
    private func relaysOfDrains() -> Set<Token> {
        var due: Set<Token> = []
        for task in state.pointee.drains.tasks { due.formUnion(task.ahead) }
        return due
    }

    private func obstacle(
        _ tunnel: TunnelPointer, _ order: MoveOrder, _ due: Set<Token>
    ) -> Relay.Obstacle? {
        guard case .socket = tunnel.pointee.client else { return .stream }
        if tunnel.pointee.drain != nil || due.contains(tunnel.pointee.slot) { return .ending }
        let asked = tunnel.pointee.asked
        for task in state.pointee.drains.tasks
        where task.isScanning && task.drain.plan.concerns(asked) {
            // It is not known yet whether it is one of those.
            return .record
        }
        return tunnel.pointee.relay.obstacle(
            releases: order.releases && state.pointee.settings.releases, space)
    }

    /// Gives one up.
    ///
    /// Its books here are closed as if it had ended, but nothing is written down of it.
    private func moveOut(_ tunnel: TunnelPointer, _ goal: TapMove) -> RelayInTransit {
        let slot = tunnel.pointee.slot
        state.pointee.names.remove(tunnel)
        state.pointee.poller.remove(tunnel.pointee.relay.client.socket.descriptor)
        state.pointee.poller.remove(tunnel.pointee.relay.backend.socket.descriptor)
        state.pointee.tunnelTimers.cancel(slot)
        state.pointee.paceTimers.cancel(slot)
        state.pointee.recheckTimers.cancel(slot)
        Metering(state).countTraffic(of: tunnel)
        // Who listens is told that it has moved; where it goes on in this process, that it was live before.
        if tunnel.pointee.relay.isTapped { TapKeeper(state).ended(tunnel, moved: goal) }
        let seat = tunnel.pointee.places.group.map {
            (group: $0, index: tunnel.pointee.places.endpoint)
        }
        let place = RelayPlace(
            plan: tunnel.pointee.asked.plan, endpoint: tunnel.pointee.asked.endpoint, seat: seat,
            listener: tunnel.pointee.facts.listener)
        let faults = tunnel.pointee.relay.carriedFaults
        var writer = FieldWriter()
        var descriptors: (client: Int32, backend: Int32) = (-1, -1)
        RelayImage(tunnel).write(to: &writer) { relay in
            let handed = tunnel.pointee.relay.moveOut(to: &relay, space).handOver()
            descriptors = (handed.first, handed.second)
        }
        tunnel.pointee.places.giveBack(nowMilliseconds: state.pointee.now)
        tunnel.pointee.asked.plan?.tally.closed()
        ClientCounts(state).release(&tunnel.pointee.facts)
        let load = state.pointee.crew.loads[state.pointee.index]
        load.claim(-1)
        load.closed(hasUpstream: true)
        Metering(state).disconnected(from: tunnel.pointee.facts.listener)
        if case .socket(let token) = tunnel.pointee.client { state.pointee.clients.retire(token) }
        state.pointee.tunnels.retire(slot)
        return writer.withBytes {
            RelayInTransit(
                image: $0, client: descriptors.client, backend: descriptors.backend, place: place,
                faults: faults)
        }
    }

    // MARK: In

    /// Takes up a relay of another reactor or process.
    func takeOver(_ parcel: Parcel) -> TakeOver {
        parcel.relay.withImage { bytes in
            do throws(FieldFault) {
                return try takeOver(parcel, bytes)
            } catch {
                return .refused("\(error)")
            }
        }
    }

    private func takeOver(
        _ parcel: Parcel, _ bytes: UnsafeRawBufferPointer
    ) throws(FieldFault) -> TakeOver {
        let place = parcel.place
        var reader = try FieldReader(bytes)
        let image = try RelayImage(&reader)
        var part = try reader.part(RelayImage.Number.relay)
        guard let sockets = parcel.relay.takeSockets() else {
            return .refused("it was taken already")
        }
        var places = Places()
        let rates = admit(image, place, &places)
        let made: Relay
        do throws(FieldFault) {
            made = try Relay(
                &part, sockets: sockets, rates: rates,
                tally: place.plan.flatMap { Metering(state).tally($0) }, space)
        } catch {
            places.giveBack(nowMilliseconds: state.pointee.now)
            // Nothing was sent. A process that has handed it on has sockets and image of its own still.
            return parcel.relay.place == nil ? .refused("\(error)") : .lost("\(error)")
        }
        if let seat = place.seat {
            seat.group.picker.reopen(seat.index)
            places.take(seat.index, of: seat.group)
        }
        var facts = ClientFacts(
            peer: image.peer, listener: place.listener,
            acceptedMilliseconds: image.acceptedMilliseconds)
        facts.tls = image.tls
        var tunnel = Tunnel(
            relay: made, client: .gone, facts: facts, asked: TunnelFacts(image, place),
            agreed: image.agreed.flatMap {
                state.pointee.agreed.take(subprotocol: $0.subprotocol, extensions: $0.extensions)
            }, places: places)
        tunnel.wasRefused = parcel.wasRefused
        tunnel.recheck = image.recheck.map {
            Recheck(
                lines: $0, everyMilliseconds: image.recheckTime?.everyMilliseconds ?? 0,
                dueMilliseconds: image.recheckTime?.dueMilliseconds)
        }
        return insert(tunnel, counted: image.counted, parcel.relay)
    }

    /// Gives it its place on the route, where such places are counted; what its client may send together.
    private func admit(
        _ image: RelayImage, _ place: RelayPlace, _ places: inout Places
    ) -> MovedRates {
        guard let plan = place.plan else { return MovedRates() }
        let (admission, limits) = (plan.tally.admission, plan.route.admission)
        let client = image.client.subscriber
        if limits.isEmpty && !admission.isCounting {
            return MovedRates(of: client, present: nil, earlier: admission.earlierRates)
        }
        _ = admission.enter(
            image.client, AdmissionLimits(), nowMilliseconds: state.pointee.now)
        places.take(admission, as: image.client)
        return MovedRates(
            of: client, present: admission.rates(of: image.client, limits),
            earlier: admission.earlierRates)
    }

    private func insert(
        _ made: consuming Tunnel, counted: CountedTraffic, _ relay: RelayInTransit
    ) -> TakeOver {
        let client = made.relay.client.socket.descriptor
        let backend = made.relay.backend.socket.descriptor
        var places = made.places
        guard let slot = state.pointee.tunnels.insert(made),
            let tunnel = state.pointee.tunnels.pointer(slot)
        else {
            places.giveBack(nowMilliseconds: state.pointee.now)
            return .lost("there is no slot for it")
        }
        tunnel.pointee.slot = slot
        state.pointee.names.insert(tunnel)
        tunnel.pointee.counted = counted
        RecheckKeeper(state).arm(tunnel)
        guard let token = state.pointee.clients.insert(.tunnel(tunnel)) else {
            // There are as many slots for clients as for tunnels.
            preconditionFailure("there is no slot for a client")
        }
        tunnel.pointee.client = .socket(token)
        let load = state.pointee.crew.loads[state.pointee.index]
        load.opened()
        Metering(state).arrived(by: tunnel.pointee.facts.listener)
        let clients = state.pointee.crew.clients
        if !state.pointee.settings.clientLimits.isEmpty || clients.isCounting {
            ClientCounts(state).admitLate(&tunnel.pointee.facts)
        }
        tunnel.pointee.asked.plan?.tally.opened()
        if state.pointee.space.pointee.taps.isAny { TapKeeper(state).arrived(tunnel) }
        TunnelKeeper(state).beginFaults(
            tunnel, relay.faults, isFromOutside: relay.place == nil)
        // Watched last: what the sockets have to tell comes with the next turn.
        let isWatched =
            state.pointee.poller.add(client, token.tagged(TokenTag.client), .edgeBoth)
            && state.pointee.poller.add(backend, slot.tagged(TokenTag.tunnel), .edgeBoth)
        guard isWatched else {
            TunnelKeeper(state).close(tunnel)
            return .lost("the system has no room to watch its sockets")
        }
        if tunnel.pointee.relay.deadlineMilliseconds > 0 {
            // Not in this turn, though it may be over: what the sockets have for it comes first.
            state.pointee.tunnelTimers.reserve(index: Int(slot.index))
            state.pointee.tunnelTimers.arm(
                slot,
                at: max(
                    tunnel.pointee.relay.deadlineMilliseconds,
                    state.pointee.now + Self.graceMilliseconds))
        }
        DrainKeeper(state).join(tunnel)
        return .taken
    }
}

extension TunnelFacts {
    fileprivate init(_ image: RelayImage, _ place: RelayPlace) {
        client = image.client
        host = image.host
        path = image.path
        user = image.user
        tokenSubject = image.tokenSubject
        plan = place.plan
        endpoint = place.endpoint
        // What was hashed before says nothing where something else is hashed now.
        key = image.hash == place.plan?.route.upstream?.hash?.description ? image.key : nil
        trace = image.trace.map { TunnelTrace($0) }
        name = image.name
    }
}
