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
    /// What the head of an answer in chunks says of its trailers; the head itself is gone by then.
    var named = ConnectionNames()

    init(_ framing: BodyFraming, writesChunks: Bool, limits: HeadLimits, isAnswer: Bool) {
        decoder = BodyDecoder(framing, limits: limits, isAnswer: isAnswer)
        self.writesChunks = writesChunks
    }

    /// Whether all of it went on.
    var isDone: Bool { decoder.isDone }
}

/// What the log is told of a request.
struct RequestFacts {
    /// Who asks: who connected, or whom a trusted proxy names.
    var client: Address
    /// When it began: an ordinary request when it was read, an upgrade when its client connected.
    var beganMilliseconds: UInt64
    /// What was asked of a WebSocket; of an ordinary request it is read out of its head.
    var host = ""
    var path = ""
    /// The method, where it is no request for a WebSocket.
    var method = ""
    /// What holds for its route.
    var plan: RoutePlan?
    /// The endpoint that was asked last.
    var endpoint: Endpoint?
    /// The status that the client was sent; 0 before.
    var status = 0
    var proxyError = ""
    var detail = ""

    /// The route's pattern; empty where none was found.
    var route: String { plan?.route.name ?? "" }
    /// The label of the endpoint that was asked last; empty for none.
    var upstream: String { endpoint?.label ?? "" }
}

/// What a request for a WebSocket needs beyond others, and no tunnel does.
final class UpgradeAsked {
    let request: UpgradeRequest
    /// The path to ask the upstream for.
    let path: [UInt8]
    /// The key that the upstream is asked with, where the client's has not the length of one.
    var ownKey: [UInt8]?
    /// What its relay shares with the client's others.
    var rates: ClientRates?

    init(_ request: UpgradeRequest, path: [UInt8]) {
        self.request = request
        self.path = path
    }
}

/// What a proven 101 brought: the material of a tunnel.
struct TunnelOpening {
    /// The RSV bits that the granted extensions may use.
    let reservedBits: UInt8
    /// The 101 as the client gets it.
    let answer: [UInt8]
    /// The upstream's bytes behind its 101.
    let early: [UInt8]
}

/// One request of a session, from its judged head to its end.
///
/// Where it is and what has to be done next says `life`; what it holds of others' places is in
/// `places`; whoever carries things out is `RequestExecutor`.
struct Request: ~Copyable {
    /// Its session, which outlives it.
    let session: SessionPointer
    var life: RequestLife
    var facts: RequestFacts
    var places = Places()
    /// An ordinary request as it was judged.
    private(set) var asked: OrdinaryRequest
    /// A request for a WebSocket as it was judged.
    let upgrade: UpgradeAsked?
    let method: Method
    let isHTTP11: Bool
    /// The path to ask the upstream for, where the route rewrites it.
    var path: [UInt8]?
    /// What Sluice answers itself.
    var own: OwnAnswer?
    /// What is wrong with a message of the client's or the upstream's, where something is.
    var fault: HeadFault?

    // The connection that carries it.
    var search: EndpointSearch?
    var upstream: Token?
    /// Until when it waits for a place, once it has begun to.
    var waitDeadlineMilliseconds: UInt64?
    /// The connection that carries it was used before.
    var isOnReused = false
    /// No connection that was used before may carry it.
    var mustBeFresh = false
    /// The upstream's connection may carry another request when this one is over.
    var mayReuse = true

    // Its body.
    var up: BodyTransfer
    /// The upstream takes no more of the body; what it answers is still read.
    var isUpCut = false
    /// Framed body bytes that travel with the head.
    var firstBody: [UInt8] = []

    // Its answer.
    /// Bytes of interim answers (1xx) to an upgrade so far.
    var interimBytes = 0
    /// The head of the final answer went to the client.
    var hasAnswerHead = false
    /// The answer was ended so that the client sees that it is not whole.
    var isCut = false
    var answerParser: ResponseHeadParser
    var down: BodyTransfer
    /// The end of the connection is what tells the client where the answer ends.
    var endsWithConnection = false
    /// Set by a proven 101.
    var opening: TunnelOpening?

    /// When a byte of the request or answer last moved.
    var movedMilliseconds: UInt64
    /// When a byte of the request's body last moved.
    var bodyMovedMilliseconds: UInt64

    let limits: HeadLimits

    /// An ordinary request.
    init(
        _ asked: consuming OrdinaryRequest, of session: SessionPointer, client: Address,
        limits: HeadLimits, nowMilliseconds now: UInt64
    ) {
        self.session = session
        let mayRepeat = asked.framing == .none && asked.head.verb.isIdempotent
        life = RequestLife(.ordinary, mayRepeat: mayRepeat)
        facts = RequestFacts(client: client, beganMilliseconds: now)
        method = asked.head.verb
        isHTTP11 = asked.head.isHTTP11
        up = BodyTransfer(
            asked.framing, writesChunks: asked.framing == .chunked, limits: limits, isAnswer: false)
        self.asked = asked
        upgrade = nil
        answerParser = ResponseHeadParser(limits: limits)
        down = BodyTransfer(.none, writesChunks: false, limits: limits, isAnswer: true)
        movedMilliseconds = now
        bodyMovedMilliseconds = now
        self.limits = limits
    }

    /// A request for a WebSocket.
    init(
        _ upgrade: UpgradeAsked?, of session: SessionPointer, client: Address,
        limits: HeadLimits, nowMilliseconds now: UInt64
    ) {
        self.session = session
        life = RequestLife(.upgrade, mayRepeat: true)
        facts = RequestFacts(
            client: client, beganMilliseconds: session.pointee.facts.acceptedMilliseconds)
        method = .get
        isHTTP11 = true
        up = BodyTransfer(.none, writesChunks: false, limits: limits, isAnswer: false)
        asked = .none()
        self.upgrade = upgrade
        answerParser = ResponseHeadParser(limits: limits)
        down = BodyTransfer(.none, writesChunks: false, limits: limits, isAnswer: true)
        movedMilliseconds = now
        bodyMovedMilliseconds = now
        self.limits = limits
    }

    /// What the head of its answer has to say of the client's connection.
    var persistence: ClientAnswer.Persistence {
        if !session.pointee.reader.isPersistent { return .closes }
        return isHTTP11 ? .usual : .stated
    }

    /// What the log says where the client has gone.
    var goneDetail: String {
        isUpgrade && !hasAnswerHead
            ? "the client left before the upstream answered"
            : "the client left before the answer was complete"
    }

    /// Whether a WebSocket was asked for.
    var isUpgrade: Bool { life.kind == .upgrade }

    /// Stands ready for the head of another answer to the same request.
    mutating func renewAnswer() {
        if !answerParser.isAtStart { answerParser = ResponseHeadParser(limits: limits) }
    }

    /// Begins to pass the body of the final answer on.
    mutating func beginAnswer(_ framing: BodyFraming, writesChunks: Bool) {
        hasAnswerHead = true
        down = BodyTransfer(framing, writesChunks: writesChunks, limits: limits, isAnswer: true)
    }

    /// The memory of its head, to be used for another.
    mutating func takeMemory() -> HeadMemory { asked.takeMemory() }
}

typealias RequestPointer = UnsafeMutablePointer<Request>
