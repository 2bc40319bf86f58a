// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Splice
import Wire

/// Makes the records of the access log, and hands them to the journal.
///
/// A request has one record, written when it is over; a tunnel has one when it opens and one when it
/// ends. Somebody who connects and leaves without a word (a port scan, a health check) has none.
struct Recorder {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    private var journal: Journal { state.pointee.crew.journal }

    /// The record of a connection that ends, or is refused, before a request was taken up.
    func refused(_ session: SessionPointer, _ facts: borrowing RequestFacts) {
        let isSampled = facts.trace.isSampled
        guard journal.takesRequests || isSampled else { return }
        let record = record(session.pointee.facts, facts)
        if journal.takesRequests { journal.access(record) }
        if isSampled { put(.request, facts.trace, record, session.pointee.facts) }
    }

    /// The record of a request that is over, since its client has gone or its answer went out.
    func ended(_ request: RequestPointer, isGone: Bool) {
        let isSampled = request.pointee.facts.trace.isSampled
        guard journal.takesRequests || isSampled else { return }
        var record = record(request.pointee.stream.facts.pointee, request.pointee.facts)
        if isGone && record.detail.isEmpty { record.detail = request.pointee.goneDetail }
        let hasAnswer = request.pointee.answer.hasHead
        if request.pointee.isUpgrade {
            record.triedUpgrade = hasAnswer
            if hasAnswer { record.method = "GET" }
        } else {
            describe(request.pointee.asked, &record)
        }
        record.up.payloadBytes = request.pointee.body.transfer.payloadSent
        record.up.bytes = request.pointee.body.transfer.bytesSent
        if hasAnswer {
            record.down.payloadBytes = request.pointee.answer.body?.decoder.payloadBytes ?? 0
            record.down.bytes = request.pointee.answer.body?.bytesSent ?? 0
        } else if !request.pointee.isUpgrade {
            let own = request.pointee.extras?.own?.sentBody(to: request.pointee.method).count ?? 0
            record.down.payloadBytes = UInt64(own)
            record.down.bytes = UInt64(own)
        }
        if case .over(let cause?) = request.pointee.life.phase, !hasAnswer {
            record.isUpstreamFault = cause.blamesUpstream
        }
        if !request.pointee.isUpgrade || hasAnswer {
            record.reason = isGone || request.pointee.answer.isCut ? .none : .answered
        }
        if journal.takesRequests { journal.access(record) }
        if isSampled { putEnded(request, record) }
    }

    /// Says what was asked for.
    private func describe(_ request: borrowing OrdinaryRequest, _ record: inout AccessRecord) {
        let bytes = request.bytes
        record.method = request.head.method
        record.host = String(decoding: bytes[request.hostRange], as: UTF8.self)
        record.path = String(decoding: bytes[request.pathRange], as: UTF8.self)
        if request.head.fields.known.has(.upgrade), let value = request.head.fields.first("upgrade")
        {
            record.otherUpgrade = String(decoding: value.prefix(64), as: UTF8.self)
        }
    }

    // MARK: Spans

    /// The span of a request for a WebSocket, whose 101 has just gone out.
    func opens(_ request: RequestPointer) {
        guard request.pointee.facts.trace.isSampled else { return }
        var record = record(request.pointee.stream.facts.pointee, request.pointee.facts)
        record.status = 101
        putEnded(request, record)
    }

    private func putEnded(_ request: RequestPointer, _ access: AccessRecord) {
        let stream = request.pointee.stream
        let marks = request.pointee.upgrade?.marks.recorded
        let isOpen = access.status == 101
        put(
            isOpen ? .handshake : .request, request.pointee.facts.trace, access,
            stream.facts.pointee, since: marks?.began
        ) { span, now, wall in
            if let marks { span.steps = marks.steps(until: isOpen ? now : 0, wall: wall) }
            if let upgrade = request.pointee.upgrade {
                span.port = upgrade.request.host.port ?? 0
            } else if !request.pointee.isUpgrade {
                span.port = request.pointee.asked.port ?? 0
                span.isHTTP10 = !request.pointee.isHTTP11
            }
        }
    }

    /// Hands over a span that is over.
    private func put(
        _ kind: SpanRecord.Kind, _ trace: TraceSpan, _ access: AccessRecord,
        _ session: borrowing ClientFacts, since began: UInt64? = nil,
        _ complete: (inout SpanRecord, _ now: UInt64, _ wall: UInt64) -> Void = { _, _, _ in }
    ) {
        let now = Clock.nowNanoseconds()
        let wall = Clock.wallNanoseconds() &- now
        var span = SpanRecord(
            kind, trace, access, beganWallNanoseconds: (began ?? trace.beganNanoseconds) &+ wall,
            endedWallNanoseconds: now &+ wall)
        span.isSecure = session.listener.isSecure
        complete(&span, now, wall)
        state.pointee.crew.spans.take(span)
    }

    /// The span of a tunnel that ends: in a trace of its own, since the one of its request is long complete.
    private func putEnd(_ tunnel: TunnelPointer, _ access: AccessRecord, of handshake: TraceSpan) {
        put(.relayEnd, Tracing(state).beginRecorded(), access, tunnel.pointee.facts) { span, _, _ in
            span.handshake = handshake
        }
    }

    // MARK: Tunnels

    /// The record of a tunnel that has just opened.
    func opened(_ tunnel: UnsafeMutablePointer<Tunnel>) {
        guard journal.takesRelayOpens else { return }
        var record = record(of: tunnel)
        record.kind = .opened
        journal.access(record)
    }

    /// The record of a tunnel that ends.
    func ended(_ tunnel: UnsafeMutablePointer<Tunnel>) {
        let trace = tunnel.pointee.asked.trace?.span
        let isSampled = trace?.isSampled ?? false
        guard journal.takesRelayEnds || isSampled else { return }
        var record = record(of: tunnel)
        record.kind = .ended
        let ending = tunnel.pointee.relay.ending
        record.up = tunnel.pointee.relay.upCounts
        record.down = tunnel.pointee.relay.downCounts
        record.clientRoundTrip = tunnel.pointee.relay.clientRoundTrip
        record.upstreamRoundTrip = tunnel.pointee.relay.upstreamRoundTrip
        record.closeCode = ending.code
        record.initiator = ending.initiator
        record.reason = ending.toldReason
        record.faults = tunnel.pointee.relay.actedFaults
        if ending.violation != .none { record.detail = ending.violationSentence }
        if journal.takesRelayEnds { journal.access(record) }
        if isSampled, let trace { putEnd(tunnel, record, of: trace) }
    }

    private func record(of tunnel: UnsafeMutablePointer<Tunnel>) -> AccessRecord {
        let asked = tunnel.pointee.asked
        var record = blank(
            tunnel.pointee.facts, client: asked.client,
            began: tunnel.pointee.facts.acceptedMilliseconds)
        record.relay = RelayID(worker: state.pointee.index, token: tunnel.pointee.slot)
        record.relayName = asked.name
        record.host = asked.host
        record.path = asked.path
        record.user = asked.user
        record.route = asked.route
        record.upstream = asked.upstream
        record.status = 101
        if let trace = asked.trace { record.trace = trace.span.trace }
        return record
    }

    private func record(
        _ session: borrowing ClientFacts, _ facts: borrowing RequestFacts
    ) -> AccessRecord {
        var record = blank(session, client: facts.client, began: facts.beganMilliseconds)
        record.method = facts.method
        record.host = facts.host
        record.path = facts.path
        record.route = facts.route
        record.status = facts.status
        record.proxyError = facts.proxyError
        record.detail = facts.detail
        record.user = facts.user
        record.faults = facts.faults
        record.accessRule = facts.refusedBy?.word ?? ""
        record.upstream = facts.upstream
        record.trace = facts.trace.trace
        return record
    }

    private func blank(
        _ session: borrowing ClientFacts, client: Address, began: UInt64
    ) -> AccessRecord {
        var record = AccessRecord(client: client, listener: session.listener.address)
        let duration = state.pointee.now &- began
        record.durationMilliseconds = duration
        record.acceptedWallMilliseconds = Clock.wallMilliseconds() &- duration
        record.tls = session.tls
        return record
    }
}

extension Ending {
    /// The reason that is written down: who did not answer in time was told of the drain, and ended by force.
    var toldReason: EndReason { reason == .drain && !isOver ? .none : reason }
}
