// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Splice
import Wire

/// The body of one message on its way through: taken out of its framing, and put into ours.
struct BodyTransfer: ~Copyable {
    var decoder: BodyDecoder
    /// Whether it goes on in chunks.
    let writesChunks: Bool
    /// Bytes that went on, framing included.
    var bytesSent: UInt64 = 0

    init(_ framing: BodyFraming, writesChunks: Bool, limits: HeadLimits, isAnswer: Bool) {
        decoder = BodyDecoder(framing, limits: limits, isAnswer: isAnswer)
        self.writesChunks = writesChunks
    }

    /// Bytes that went on without their framing: none where all that was read waits to be sent.
    var payloadSent: UInt64 { bytesSent == 0 ? 0 : decoder.payloadBytes }

    /// Whether all of it went on.
    var isDone: Bool { decoder.isDone }
}

/// When a request for a WebSocket reached what, in milliseconds of `Clock`; 0 for not yet.
struct UpgradeMarks {
    /// Its head was read.
    let judgedMilliseconds: UInt64
    /// It had a place at an endpoint, for the first time.
    var placedMilliseconds: UInt64 = 0
    /// Its head went to an endpoint, for the last time.
    var sentMilliseconds: UInt64 = 0
    /// The same more exactly, where its span is recorded.
    var recorded: RecordedMarks?
}

/// What a request for a WebSocket needs beyond others, and no tunnel does.
final class UpgradeAsked {
    /// Never changed, so that reading a part of it copies nothing else.
    let request: UpgradeRequest
    /// The path to ask the upstream for.
    let path: [UInt8]
    /// The key that the upstream is asked with, where the client's has not the length of one.
    var ownKey: [UInt8]?
    /// What its relay shares with the client's others.
    var rates: ClientRates?
    /// The subprotocol that is granted where the upstream grants none, since the client's token came as another.
    var ownSubprotocol: [UInt8]?
    /// How far it was at which time.
    var marks: UpgradeMarks

    init(_ request: consuming UpgradeRequest, path: [UInt8], nowMilliseconds now: UInt64) {
        self.request = request
        self.path = path
        marks = UpgradeMarks(judgedMilliseconds: now)
    }
}

/// The body of a request on its way to the upstream.
struct RequestBody: ~Copyable {
    var transfer: BodyTransfer
    /// The upstream takes no more of it; what it answers is still read.
    var isCut = false
    /// When a byte of it last moved, or the client was first asked for it.
    var movedMilliseconds: UInt64

    /// A body that comes in chunks has its end where its stream ends, if that is one of several
    /// (RFC 9113 §8.1).
    init(
        _ framing: BodyFraming, isMultiplexed: Bool, limits: HeadLimits, nowMilliseconds now: UInt64
    ) {
        transfer = BodyTransfer(
            isMultiplexed && framing == .chunked ? .untilClose : framing,
            writesChunks: framing == .chunked, limits: limits, isAnswer: false)
        movedMilliseconds = now
    }

    /// Whether all of it went on.
    var isDone: Bool { transfer.isDone }
}

/// What few requests have, made with the first of it: the others pay for one reference.
final class RequestExtras {
    /// The path to ask the upstream for, where the route rewrites it.
    var path: [UInt8]?
    /// Framed bytes of the body that travel with the head.
    var firstBody: [UInt8] = []
    /// What Sluice answers itself.
    var own: OwnAnswer?
    /// What is wrong with a message of the client's or the upstream's.
    var fault: HeadFault?
    /// What a rule of the route's `access` has it wait for.
    var wait: AccessWait?
    /// Lines of fields for the upstream, by which another server tells who asks.
    var granted: [UInt8]?
    /// Lines of cookies for the client that come from there.
    var cookies: [UInt8] = []
    /// Set by a proven 101.
    var opening: TunnelOpening?
}

/// Which connection to an upstream carries a request, and how one is found.
struct UpstreamUse {
    var search: EndpointSearch
    /// The connection: one that is being opened, or the one that carries the request.
    var connection: Token?
    /// Until when a place is waited for; nil before that has begun.
    var waitDeadlineMilliseconds: UInt64?
    /// The connection may carry another request when this one is over.
    var mayReuse: Bool

    init(_ search: consuming EndpointSearch, mayReuse: Bool) {
        self.search = search
        self.mayReuse = mayReuse
    }
}

/// One request of a client, from its judged head to its end.
///
/// Where it is and what has to be done next says `life`; what it holds of others' places is in
/// `places`; whoever carries things out is `RequestExecutor`.
struct Request: ~Copyable {
    /// Where it was read, which outlives it.
    let stream: ClientStream
    /// Its own slot in `WorkerState.requests`.
    var slot = Token(rawValue: 0)
    var life: RequestLife
    var facts: RequestFacts
    var places = Places()
    /// An ordinary request as it was judged; of an upgrade it is a `GET` of nothing.
    var asked: OrdinaryRequest
    /// A request for a WebSocket as it was judged.
    private(set) var upgrade: UpgradeAsked?
    /// Set where an upstream serves it.
    var upstream: UpstreamUse?
    var body: RequestBody
    var answer: AnswerReader
    private(set) var extras: RequestExtras?
    /// When a byte of the request or of its answer last moved, since which the next one is awaited.
    var movedMilliseconds: UInt64
    /// Whether a client that has to take what it was sent does so.
    var taking = TakingWatch()
    /// Its timer, which fires no later than what is awaited now may take.
    var timer = LazyTimer()
    /// It stands in `WorkerState.unfinished`.
    var goesOnLater = false

    /// An ordinary request.
    init(
        _ asked: consuming OrdinaryRequest, of stream: ClientStream, client: Address,
        limits: HeadLimits, nowMilliseconds now: UInt64
    ) {
        self.stream = stream
        let mayRepeat = asked.framing == .none && asked.head.verb.isIdempotent
        life = RequestLife(.ordinary, mayRepeat: mayRepeat)
        facts = RequestFacts(client: client, beganMilliseconds: now)
        body = RequestBody(
            asked.framing, isMultiplexed: stream.isMultiplexed, limits: limits,
            nowMilliseconds: now)
        self.asked = asked
        upgrade = nil
        answer = AnswerReader(limits)
        movedMilliseconds = now
    }

    /// A request for a WebSocket.
    init(
        _ upgrade: UpgradeAsked?, of stream: ClientStream, _ facts: RequestFacts, _ places: Places,
        limits: HeadLimits, nowMilliseconds now: UInt64
    ) {
        self.stream = stream
        life = RequestLife(.upgrade, mayRepeat: true)
        self.facts = facts
        self.places = places
        body = RequestBody(.none, isMultiplexed: false, limits: limits, nowMilliseconds: now)
        asked = .none()
        self.upgrade = upgrade
        answer = AnswerReader(limits)
        movedMilliseconds = now
    }

    /// Takes a place that was claimed for it.
    mutating func take(_ endpoint: Int, of group: EndpointGroup, nowMilliseconds now: UInt64) {
        places.take(endpoint, of: group)
        facts.endpoint = group.endpoints[endpoint]
        if let upgrade, upgrade.marks.placedMilliseconds == 0 {
            upgrade.marks.placedMilliseconds = now
            if upgrade.marks.recorded != nil {
                upgrade.marks.recorded?.placed = Clock.nowNanoseconds()
            }
        }
    }

    /// What few requests have; made now, if there is none of it yet.
    mutating func makeExtras() -> RequestExtras {
        if let extras { return extras }
        let made = RequestExtras()
        extras = made
        return made
    }

    /// Whether a WebSocket was asked for.
    var isUpgrade: Bool { life.kind == .upgrade }
    var method: Method { asked.head.verb }
    var isHTTP11: Bool { asked.head.isHTTP11 }

    /// What the head of its answer has to say of the client's connection.
    var persistence: ClientAnswer.Persistence {
        if stream.isMultiplexed { return .usual }
        if !stream.isPersistent { return .closes }
        return isHTTP11 ? .usual : .stated
    }

    /// What the log says where the client has gone.
    var goneDetail: String {
        isUpgrade && !answer.hasHead
            ? "the client left before the upstream answered"
            : "the client left before the answer was complete"
    }

    /// The memory of its head, to be used for another; of a request for a WebSocket nothing else is left then.
    mutating func takeMemory() -> HeadMemory {
        guard let memory = upgrade?.request.head.fields.memory else { return asked.takeMemory() }
        // Nobody else has a part in the memory then, so it is used anew without a copy.
        upgrade = nil
        return memory
    }
}

typealias RequestPointer = UnsafeMutablePointer<Request>
