// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// The body of one message on its way through: taken out of its framing, and put into ours.
struct BodyTransfer {
    var decoder: BodyDecoder
    /// Whether it goes on in chunks.
    let writesChunks: Bool
    /// Bytes that went on, framing included.
    var bytesSent: UInt64 = 0

    init(_ framing: BodyFraming, writesChunks: Bool, limits: HeadLimits) {
        decoder = BodyDecoder(framing, limits: limits)
        self.writesChunks = writesChunks
    }

    /// Whether all of it went on.
    var isDone: Bool { decoder.isDone }
}

/// The ordinary requests of one client connection, one after the other (RFC 9112 §9.3).
///
/// It knows no socket: bytes come from and go to legs, and who moves them is the `Worker`.
final class Exchange {
    /// Where the connection is between two requests or in one.
    enum Phase {
        /// Waiting for a request head, or for the rest of it.
        case head
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

    // The present request.
    var request: OrdinaryRequest?
    var route: Route?
    /// The path to ask the upstream for.
    var path: [UInt8] = []
    var dialing: Dialing?
    /// The connection that carries it.
    var upstream: Token?
    var up: BodyTransfer
    /// The upstream takes no more of the body; what it answers is still read.
    var isUpCut = false
    /// Framed body bytes that travel with the head.
    var firstBody: [UInt8] = []
    var answerParser: ResponseHeadParser
    /// Set once the head of the final answer went to the client.
    var down: BodyTransfer?
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

    init(parser: RequestHeadParser, limits: HeadLimits) {
        self.parser = parser
        self.limits = limits
        answerParser = ResponseHeadParser(limits: limits)
        up = BodyTransfer(.none, writesChunks: false, limits: limits)
    }

    /// Takes up a request.
    func begin(_ request: OrdinaryRequest, nowMilliseconds now: UInt64) {
        self.request = request
        requestCount += 1
        isPersistent = isPersistent && request.isPersistent
        up = BodyTransfer(
            request.framing, writesChunks: request.framing == .chunked, limits: limits)
        movedMilliseconds = now
        isUpCut = false
        hasAnswerBytes = false
        mayReuse = true
        mustBeFresh = false
        endsWithConnection = false
        down = nil
        renewAnswer()
    }

    /// Stands ready for the head of another answer to the same request.
    func renewAnswer() { answerParser = ResponseHeadParser(limits: limits) }

    /// Begins to pass the body of the final answer on.
    func beginAnswer(_ framing: BodyFraming, writesChunks: Bool) {
        down = BodyTransfer(framing, writesChunks: writesChunks, limits: limits)
    }

    /// Lets the present request go and waits for the next one.
    func end() {
        phase = .head
        request = nil
        route = nil
        dialing = nil
        upstream = nil
        path = []
        firstBody = []
        down = nil
    }

    /// Whether sending the request once more can do no harm (RFC 9110 §9.2.2): the method is
    /// idempotent, no byte of a body went out and nothing of an answer was seen.
    var maySendAgain: Bool {
        guard let request, !hasAnswerBytes, request.framing == .none else { return false }
        switch request.head.method {
        case "GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE": return true
        default: return false
        }
    }

    // MARK: Bytes held for later

    /// Keeps bytes behind those that are held.
    func hold(_ bytes: UnsafeRawBufferPointer) {
        if bytes.isEmpty { return }
        if carry.isEmpty { carry = Array(bytes)[...] } else { carry.append(contentsOf: bytes) }
    }

    /// Puts bytes that were taken back in front of those that are held.
    func unread(_ bytes: UnsafeRawBufferPointer) {
        carry = carry.isEmpty ? Array(bytes)[...] : (Array(bytes) + carry)[...]
    }

    /// Forgets the first `count` of the bytes that are held.
    func drop(_ count: Int) {
        carry = count >= carry.count ? [] : carry.dropFirst(count)
    }
}
