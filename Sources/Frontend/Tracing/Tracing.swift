// SPDX-License-Identifier: Apache-2.0
public import Ledger
import Reactor
import TLS
import Wire

/// What holds for the traces of requests.
public struct TracingRules: Sendable, Equatable {
    /// Which requests are recorded that begin a trace.
    public var sampling: TraceSampling

    /// Records the traces that `sampling` takes.
    public init(sampling: TraceSampling) { self.sampling = sampling }
}

/// Gives requests their places in traces.
///
/// Nothing here is called where nothing is traced. Of a request that is not recorded it costs three random
/// numbers at most.
struct Tracing {
    let state: StatePointer

    init(_ state: StatePointer) { self.state = state }

    /// The place of a request whose head was read: in the trace that a trusted proxy names, or in a new one.
    ///
    /// Anybody else's `traceparent` counts for nothing: it would choose which requests are recorded, and
    /// put spans into traces of others.
    func begin(
        _ rules: TracingRules, _ fields: FieldList, from stream: ClientStream
    ) -> TraceSpan {
        var span = TraceSpan()
        let facts = stream.facts
        if facts.pointee.listener.trusts(facts.pointee.peer), let parent = fields.traceParent {
            span.trace = parent.trace
            span.parent = parent.span
            span.flags = parent.flags
            span.passesState = fields.hasSoundTraceState
        } else {
            span.trace = newTrace()
            span.flags = rules.sampling.takes(span.trace) ? [.sampled, .random] : .random
        }
        span.span = state.pointee.randomNumbers.nextName()
        if span.isSampled { span.beganNanoseconds = Clock.nowNanoseconds() }
        return span
    }

    /// A place at the begin of a trace of its own, which is recorded.
    func beginRecorded() -> TraceSpan {
        var span = TraceSpan()
        span.trace = newTrace()
        span.span = state.pointee.randomNumbers.nextName()
        span.flags = [.sampled, .random]
        span.beganNanoseconds = Clock.nowNanoseconds()
        return span
    }

    private func newTrace() -> TraceID {
        TraceID(
            high: state.pointee.randomNumbers.next(),
            low: state.pointee.randomNumbers.nextName())
    }
}

/// What a tunnel keeps of the trace of its request.
///
/// Most tunnels have none, and pay for a reference.
final class TunnelTrace {
    let span: TraceSpan

    init(_ span: TraceSpan) { self.span = span }
}

/// The times of a request for a WebSocket that is recorded, in nanoseconds of `Clock`.
struct RecordedMarks {
    /// When its connection was accepted, for the first request of one in HTTP/1.1; else when it was read.
    var began: UInt64
    /// When the TLS handshake was completed; 0 where it has none, or the request is not the first.
    var secured: UInt64
    /// Whether the head was waited for: of the first request of a connection in HTTP/1.1.
    var hasHead: Bool
    /// When the head was read.
    let judged: UInt64
    /// It had a place at an endpoint, for the first time; 0 for not yet.
    var placed: UInt64 = 0
    /// Its head went to an endpoint, for the last time; 0 for not yet.
    var sent: UInt64 = 0

    init(_ stream: ClientStream, judged: UInt64) {
        self.judged = judged
        began = judged
        secured = 0
        hasHead = false
        // A later request of a connection has waited for nothing but itself.
        guard !stream.isMultiplexed, stream.requestCount <= 1 else { return }
        hasHead = true
        began = stream.facts.pointee.acceptedMilliseconds &* 1_000_000
        secured = stream.session.pointee.securedMilliseconds &* 1_000_000
    }

    /// The steps that were done, where the last one is over at `end`.
    ///
    /// - Parameters:
    ///   - end: the end of the last step; 0 where that was not reached.
    ///   - wall: what makes a time since 1970 of one of `Clock`.
    /// - Returns: the steps, in their order.
    func steps(until end: UInt64, wall: UInt64) -> [SpanRecord.Step] {
        var steps: [SpanRecord.Step] = []
        var last = began
        func add(_ name: SpanRecord.Step.Name, _ time: UInt64) {
            steps.append(
                SpanRecord.Step(
                    name, endWallNanoseconds: time &+ wall,
                    nanoseconds: time > last ? time - last : 0))
            last = time
        }
        if secured > 0 { add(.tls, secured) }
        if hasHead { add(.head, judged) }
        if placed > 0 { add(.queue, placed) }
        if sent > 0 { add(.connect, sent) }
        if end > 0 { add(.answer, end) }
        return steps
    }
}
