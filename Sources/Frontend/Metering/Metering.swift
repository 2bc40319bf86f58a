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

    /// A tunnel has opened.
    func opened(_ tunnel: TunnelPointer) {
        let meter = meter(tunnel.pointee.asked.plan)
        meter.pointee.add(.relaysOpened)
        meter.pointee.upgradeDurations.note(now &- tunnel.pointee.facts.acceptedMilliseconds)
    }

    /// A tunnel ends.
    func ended(_ tunnel: TunnelPointer) {
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
        let meter = meter(tunnel.pointee.asked.plan)
        let up = tunnel.pointee.relay.upCounts
        let down = tunnel.pointee.relay.downCounts
        let before = tunnel.pointee.counted
        meter.pointee.add(.upFrames, up.frames &- before.up.frames)
        meter.pointee.add(.upMessages, up.messages &- before.up.messages)
        meter.pointee.add(.upPayloadBytes, up.payloadBytes &- before.up.payloadBytes)
        meter.pointee.add(.downFrames, down.frames &- before.down.frames)
        meter.pointee.add(.downMessages, down.messages &- before.down.messages)
        meter.pointee.add(.downPayloadBytes, down.payloadBytes &- before.down.payloadBytes)
        tunnel.pointee.counted.up = CountedTraffic.Direction(up)
        tunnel.pointee.counted.down = CountedTraffic.Direction(down)
    }

    // MARK: Requests

    /// A request is over that has opened no tunnel.
    func ended(_ request: RequestPointer) {
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
        meter.pointee.requestDurations.note(now &- request.pointee.facts.beganMilliseconds)
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
        // What spoke the wrong protocol is counted as that.
        if case .misaddressed = session.pointee.stage { return }
        let meter = meter(facts.plan)
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
        meter(plan).pointee.limits.add(limit.rawValue)
    }

    // MARK: Connections

    /// A client's connection was taken up.
    func connected(_ facts: borrowing ClientFacts) {
        reactor.connected.add(UInt64(facts.listener.number))
    }

    /// A client's connection ends.
    func disconnected(_ facts: borrowing ClientFacts) {
        reactor.disconnected.add(UInt64(facts.listener.number))
    }

    /// A TLS handshake was completed.
    func completed(_ facts: TLSFacts) { reactor.handshakes.add(CompletedHandshake(facts).key) }

    /// A TLS handshake has failed.
    func failed(_ trouble: HandshakeTrouble) { reactor.troubles.add(trouble.rawValue) }

    /// A connection closes; where it is within a TLS handshake, that has failed.
    func leftHandshake(_ session: SessionPointer) {
        guard case .handshaking = session.pointee.stage else { return }
        failed(now >= session.pointee.deadlineMilliseconds ? .timeout : .disconnected)
    }

    /// A connection speaks something else than its listener.
    func misaddressed(_ session: SessionPointer, _ kind: OtherProtocol) {
        reactor.misaddressed.add(kind.key(listener: session.pointee.facts.listener.number))
    }
}

extension CountedTraffic.Direction {
    fileprivate init(_ counts: DirectionCounts) {
        frames = counts.frames
        messages = counts.messages
        payloadBytes = counts.payloadBytes
    }
}
