// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import Proxy
import Reactor
import Splice
import TLS
import Wire

/// Counts what happens on one reactor, for `/metrics`.
///
/// Nothing here is called for a message: what relays carry is counted by their scanners anyway, and taken over
/// from these at the end of a relay and at a scrape.
struct Metering {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// Whether anything is counted: a build with `SLUICE_BARE` shows what counting costs, and serves nothing else.
    @inline(__always)
    private static var isOn: Bool {
        #if SLUICE_BARE
        false
        #else
        true
        #endif
    }

    private var now: UInt64 { state.pointee.now }
    private var reactor: ReactorMeter { state.pointee.crew.meters[state.pointee.index] }

    /// The counters of a route, or of what has none.
    private func meter(_ plan: RoutePlan?) -> UnsafeMutablePointer<RouteMeter> {
        let index = state.pointee.index
        if let plan {
            return plan.tally.meters.meter(of: index, among: state.pointee.crew.loads.count)
        }
        return state.pointee.crew.unrouted.meters.meter(
            of: index, among: state.pointee.crew.loads.count)
    }

    // MARK: Relays

    /// Where the relays of a route count what they pass on; it lives as long as the route's tally.
    func tally(_ plan: RoutePlan) -> UnsafePointer<RelayTally>? {
        guard Self.isOn else { return nil }
        return UnsafePointer(withUnsafeMutablePointer(to: &meter(plan).pointee.traffic) { $0 })
    }

    /// A request for a WebSocket opens one: how long each step to it has taken.
    func opens(_ request: RequestPointer) {
        guard Self.isOn else { return }
        let meter = meter(request.pointee.facts.plan)
        meter.pointee.add(.relaysOpened)
        if let captures = request.pointee.facts.plan?.captures,
            let path = request.pointee.upgrade?.request.target.path
        {
            count(captures, path.span, takesPlace: true) { $0.relaysOpened &+= 1 }
        }
        guard let marks = request.pointee.upgrade?.marks else { return }
        let times = withUnsafeMutablePointer(to: &meter.pointee.upgradeTimes) { $0 }
        let stream = request.pointee.stream
        var began = marks.judgedMilliseconds
        // A later request of a connection has waited for nothing but itself.
        if !stream.isMultiplexed, stream.session.pointee.reader.requestCount <= 1 {
            began = stream.session.pointee.facts.acceptedMilliseconds
            var ready = began
            if stream.session.pointee.securedMilliseconds > 0 {
                ready = stream.session.pointee.securedMilliseconds
                times.pointee.tls.note(ready &- began)
            }
            times.pointee.head.note(marks.judgedMilliseconds &- ready)
        }
        assert(
            marks.judgedMilliseconds <= marks.placedMilliseconds
                && marks.placedMilliseconds <= marks.sentMilliseconds,
            "a WebSocket opens that had no place, or was not asked for")
        times.pointee.queue.note(marks.placedMilliseconds &- marks.judgedMilliseconds)
        times.pointee.connect.note(marks.sentMilliseconds &- marks.placedMilliseconds)
        times.pointee.answer.note(now &- marks.sentMilliseconds)
        times.pointee.total.note(now &- began)
    }

    /// A tunnel ends.
    func ended(_ tunnel: TunnelPointer) {
        guard Self.isOn else { return }
        countTraffic(of: tunnel)
        let meter = meter(tunnel.pointee.asked.plan)
        meter.pointee.relayDurations.note(now &- tunnel.pointee.facts.acceptedMilliseconds)
        let ending = tunnel.pointee.relay.ending
        let end = RelayEnd(code: ending.code, ending.initiator, ending.toldReason)
        meter.pointee.closes.add(end.key)
        if let limit = MetLimit(ending.violation) { meter.pointee.limits.add(limit.rawValue) }
    }

    /// Counts what a relay has carried since this was last asked for.
    func countTraffic(of tunnel: TunnelPointer) {
        guard Self.isOn else { return }
        let meter = meter(tunnel.pointee.asked.plan)
        let up = tunnel.pointee.relay.upCounts
        let down = tunnel.pointee.relay.downCounts
        let before = tunnel.pointee.counted
        meter.pointee.add(.upFrames, up.frames &- before.up.frames)
        meter.pointee.add(.upPayloadBytes, up.payloadBytes &- before.up.payloadBytes)
        meter.pointee.add(.downFrames, down.frames &- before.down.frames)
        meter.pointee.add(.downPayloadBytes, down.payloadBytes &- before.down.payloadBytes)
        tunnel.pointee.counted.up = CountedTraffic.Direction(up)
        tunnel.pointee.counted.down = CountedTraffic.Direction(down)
    }

    // MARK: Requests

    /// A request is over that has opened no tunnel.
    func ended(_ request: RequestPointer) {
        guard Self.isOn else { return }
        let meter = meter(request.pointee.facts.plan)
        let status = request.pointee.facts.status
        if case .over(let cause?) = request.pointee.life.phase { note(cause, meter) }
        if request.pointee.isUpgrade {
            meter.pointee.refusals.add(
                RefusedUpgrade(status: status, request.pointee.facts.proxyError).key)
            return
        }
        let isHTTP2 = request.pointee.stream.isMultiplexed
        let kind = AnsweredRequest(request.pointee.method, status: status, isHTTP2: isHTTP2)
        meter.pointee.requests.add(kind.key)
        if let captures = request.pointee.facts.plan?.captures {
            // Somebody who is let in nowhere must not fill the places.
            let bytes = request.pointee.asked.bytes
            count(
                captures, bytes.span.extracting(request.pointee.asked.pathRange),
                takesPlace: request.pointee.facts.proxyError == nil
            ) { $0.requests &+= 1 }
        }
        meter.pointee.requestDurations.note(now &- request.pointee.facts.beganMilliseconds)
    }

    /// Counts by the values that segments of a path have.
    private func count(
        _ captures: [CountedCapture], _ path: Span<UInt8>, takesPlace: Bool,
        _ change: (inout CaptureCounter.Counts) -> Void
    ) {
        for capture in captures {
            if let value = capture.value(in: path) {
                capture.counter.count(value, takesPlace: takesPlace, change)
            }
        }
    }

    private func note(_ cause: Cause, _ meter: UnsafeMutablePointer<RouteMeter>) {
        switch cause {
        case .endpointsFull: meter.pointee.limits.add(MetLimit.maxConnections.rawValue)
        case .bodyTooLarge: meter.pointee.limits.add(MetLimit.bodyBytes.rawValue)
        default: break
        }
    }

    /// A request was refused before it was taken up.
    func refused(_ session: SessionPointer, _ facts: borrowing RequestFacts) {
        guard Self.isOn else { return }
        // What spoke the wrong protocol is counted as that.
        if case .misaddressed = session.pointee.stage { return }
        let meter = meter(facts.plan)
        if facts.status == 431 { meter.pointee.limits.add(MetLimit.headBytes.rawValue) }
        if facts.isUpgrade {
            let kind = RefusedUpgrade(status: facts.status, facts.proxyError)
            meter.pointee.refusals.add(kind.key)
        } else {
            let kind = AnsweredRequest(
                Method(named: facts.method), status: facts.status,
                isHTTP2: session.pointee.facts.isHTTP2)
            meter.pointee.requests.add(kind.key)
        }
    }

    /// A request for a WebSocket, or an ordinary one, was refused since it met a limit of its route.
    func met(_ limit: MetLimit, _ plan: RoutePlan) {
        guard Self.isOn else { return }
        meter(plan).pointee.limits.add(limit.rawValue)
    }

    /// A request for a WebSocket was refused on purpose.
    func refusedOnPurpose(_ plan: RoutePlan) {
        guard Self.isOn else { return }
        meter(plan).pointee.traffic.faults.add(1, at: Int(FaultKind.refuse.rawValue))
    }

    /// A request was refused by a rule of its route's `access`.
    func refused(by rule: AccessRule, _ plan: RoutePlan) {
        guard Self.isOn else { return }
        meter(plan).pointee.denials.add(rule.rawValue)
    }

    // MARK: Turns

    /// A turn has lasted from the present time of the reactor until then.
    ///
    /// Those that took less than a millisecond are nearly all, and are counted at a scrape.
    @inline(__always)
    func turned(until end: @autoclosure () -> UInt64) {
        guard Self.isOn else { return }
        let end = end()
        if end != now { reactor.lag.note(end &- now) }
    }

    /// Says how many turns there were.
    func countTurns() {
        guard Self.isOn else { return }
        let meter = reactor
        meter.turns.add(state.pointee.turnNumber &- meter.turns.value(at: 0), at: 0)
        // The one in which this is asked for is not over.
        meter.lag.fillFirst(total: state.pointee.turnNumber &- 1)
    }

    // MARK: Connections

    /// Somebody met a limit before there was a route.
    func met(_ limit: MetLimit) {
        guard Self.isOn else { return }
        meter(nil).pointee.limits.add(limit.rawValue)
    }

    /// A client's connection was taken up.
    func connected(by listener: ListenerFacts) {
        guard Self.isOn else { return }
        reactor.connected.add(UInt64(listener.number))
    }

    /// A client's connection has come from another reactor or process, where it was counted when it began.
    func arrived(by listener: ListenerFacts) {
        guard Self.isOn else { return }
        reactor.arrived.add(UInt64(listener.number))
    }

    /// A client's connection ends.
    func disconnected(from listener: ListenerFacts) {
        guard Self.isOn else { return }
        reactor.disconnected.add(UInt64(listener.number))
    }

    /// A TLS handshake was completed.
    func completed(_ facts: TLSFacts) {
        guard Self.isOn else { return }
        reactor.handshakes.add(CompletedHandshake(facts).key)
    }

    /// A TLS handshake has failed.
    func failed(_ trouble: HandshakeTrouble) {
        guard Self.isOn else { return }
        reactor.troubles.add(trouble.rawValue)
    }

    /// A connection closes; where it is within a TLS handshake, that has failed.
    func leftHandshake(_ session: SessionPointer) {
        guard case .handshaking = session.pointee.stage else { return }
        failed(now >= session.pointee.deadlineMilliseconds ? .timeout : .disconnected)
    }

    /// A connection speaks something else than its listener.
    func misaddressed(_ session: SessionPointer, _ kind: OtherProtocol) {
        guard Self.isOn else { return }
        reactor.misaddressed.add(kind.key(listener: session.pointee.facts.listener.number))
    }
}

extension CountedTraffic.Direction {
    fileprivate init(_ counts: DirectionCounts) {
        frames = counts.frames
        payloadBytes = counts.payloadBytes
    }
}
