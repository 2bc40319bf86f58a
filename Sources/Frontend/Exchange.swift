// SPDX-License-Identifier: Apache-2.0
import Reactor
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

/// The ordinary requests of one client connection, one after the other (RFC 9112 §9.3).
///
/// It knows no socket: bytes come from and go to legs, and who moves them is the `Worker`. It lives
/// behind a pointer, apart from the connection's slot, so that an idle tunnel does not carry it and
/// reaching it costs neither a reference count nor an exclusivity check.
struct Exchange: ~Copyable {
    /// Where the connection is between two requests or in one.
    enum Phase {
        /// Waiting for a request head, or for the rest of it.
        case head
        /// Waiting for a place at an endpoint.
        case waiting
        /// Connecting to the upstream.
        case dialing
        /// The request was sent, at least in part; the answer is awaited or on its way.
        case relaying
    }

    var phase = Phase.head
    var parser: RequestHeadParser
    /// Client bytes behind what was used so far: the begin of a body, or the next requests.
    private(set) var carry: ArraySlice<UInt8> = []
    /// Requests on this connection, the present one included.
    var requestCount = 0
    /// When the timer of the connection fires.
    var armedMilliseconds: UInt64 = 0
    /// When a byte of the present request or answer last moved.
    var movedMilliseconds: UInt64 = 0
    /// When a byte of the present request's body last moved.
    var bodyMovedMilliseconds: UInt64 = 0
    /// An idle connection to an endpoint that has been told who this client is.
    var kept: Token?
    /// What is said of the client, and to it.
    var passage: Passage

    // The present request.
    private(set) var request = OrdinaryRequest.none()
    /// There is one: it was taken up and is not over.
    private(set) var hasRequest = false
    /// When it was read.
    var beganMilliseconds: UInt64 = 0
    var method = Method.other
    var isHTTP11 = true
    /// The status that the client was sent; 0 before.
    var status = 0
    var plan: RoutePlan?
    /// The path to ask the upstream for, where the route rewrites it.
    var path: [UInt8]?
    var dialing: Dialing?
    /// The connection that carries it.
    var upstream: Token?
    var up: BodyTransfer
    /// The upstream takes no more of the body; what it answers is still read.
    var isUpCut = false
    /// Framed body bytes that travel with the head.
    var firstBody: [UInt8] = []
    var answerParser: ResponseHeadParser
    /// The head of the final answer went to the client, and `down` is its body.
    var hasAnswer = false
    var down: BodyTransfer
    /// Something of the upstream's answer has come, so the request must not be sent again.
    var hasAnswerBytes = false
    /// The request went out on a connection that was used before.
    var isOnReused = false
    /// The upstream's connection may carry another request when this one is over.
    var mayReuse = true
    /// No connection that was used before may carry the request.
    var mustBeFresh = false
    /// The end of the connection is what tells the client where the answer ends.
    var endsWithConnection = false
    /// The connection may carry another request.
    var isPersistent = true

    private let limits: HeadLimits

    init(parser: RequestHeadParser, limits: HeadLimits, passage: consuming Passage) {
        self.parser = parser
        self.limits = limits
        self.passage = passage
        answerParser = ResponseHeadParser(limits: limits)
        up = BodyTransfer(.none, writesChunks: false, limits: limits, isAnswer: false)
        down = BodyTransfer(.none, writesChunks: false, limits: limits, isAnswer: true)
    }

    /// Takes up a request.
    mutating func begin(_ taken: consuming OrdinaryRequest, nowMilliseconds now: UInt64) {
        requestCount += 1
        method = taken.head.verb
        isHTTP11 = taken.head.isHTTP11
        isPersistent = isPersistent && taken.isPersistent
        up = BodyTransfer(
            taken.framing, writesChunks: taken.framing == .chunked, limits: limits,
            isAnswer: false)
        passage.prepare(for: taken)
        request = taken
        hasRequest = true
        beganMilliseconds = now
        movedMilliseconds = now
        bodyMovedMilliseconds = now
        status = 0
        isUpCut = false
        hasAnswerBytes = false
        mayReuse = true
        mustBeFresh = false
        endsWithConnection = false
        hasAnswer = false
        renewAnswer()
    }

    /// Stands ready for the head of another answer to the same request.
    mutating func renewAnswer() {
        if !answerParser.isAtStart { answerParser = ResponseHeadParser(limits: limits) }
    }

    /// Begins to pass the body of the final answer on.
    mutating func beginAnswer(_ framing: BodyFraming, writesChunks: Bool) {
        hasAnswer = true
        down = BodyTransfer(framing, writesChunks: writesChunks, limits: limits, isAnswer: true)
    }

    /// Lets the present request go and waits for the next one.
    ///
    /// - Returns: the memory of its head.
    mutating func end() -> HeadMemory {
        phase = .head
        let memory = request.takeMemory()
        hasRequest = false
        plan = nil
        if dialing != nil { dialing = nil }
        upstream = nil
        if path != nil { path = nil }
        if !firstBody.isEmpty { firstBody = [] }
        hasAnswer = false
        return memory
    }

    /// Whether sending the request once more can do no harm (RFC 9110 §9.2.2): the method is
    /// idempotent, no byte of a body went out and nothing of an answer was seen.
    var maySendAgain: Bool {
        !hasAnswerBytes && request.framing == .none && method.isIdempotent
    }

    // MARK: Bytes held for later

    /// Keeps bytes behind those that are held.
    mutating func hold(_ bytes: UnsafeRawBufferPointer) {
        if bytes.isEmpty { return }
        if carry.isEmpty { carry = Array(bytes)[...] } else { carry.append(contentsOf: bytes) }
    }

    /// Puts bytes that were taken back in front of those that are held.
    mutating func unread(_ bytes: UnsafeRawBufferPointer) {
        carry = carry.isEmpty ? Array(bytes)[...] : (Array(bytes) + carry)[...]
    }

    /// Forgets the first `count` of the bytes that are held.
    mutating func drop(_ count: Int) {
        carry = count >= carry.count ? [] : carry.dropFirst(count)
    }
}
