// SPDX-License-Identifier: Apache-2.0
import Proxy
import TLS
import Wire

/// What a proven 101 brought: the material of a tunnel.
struct TunnelOpening {
    /// The RSV bits that the granted extensions may use.
    let reservedBits: UInt8
    /// The 101 as the client gets it.
    let answer: [UInt8]
    /// The upstream's bytes behind its 101.
    let early: [UInt8]
}

/// Reads what an upstream answers to one request: heads up to the final one, and then that one's body.
///
/// It judges heads and sends nothing: what is passed on to the client, and when, is for others.
struct AnswerReader: ~Copyable {
    /// Bytes of interim answers (1xx) that an upgrade may have in front of its final answer.
    static let interimBytesMax = 64 * 1024

    /// What has come.
    enum Found {
        /// Nothing whole yet.
        case nothing
        /// An interim answer (1xx): another head follows.
        case interim(ResponseHead)
        /// The final answer, whose head and framing the reader has.
        case final
        /// A proven 101; `remark` says what is wrong with its subprotocol.
        case switching(TunnelOpening, remark: String?)
        /// An answer that can't be used.
        case failed(Cause, HeadFault)
    }

    private let limits: HeadLimits
    private var parser: ResponseHeadParser?
    private var interimBytes = 0
    /// Whether a byte of an answer has come.
    private(set) var hasBytes = false
    /// The head of the final answer, from when it was read until it was passed on.
    private(set) var head: ResponseHead?
    /// Where the body of the final answer ends.
    private(set) var framing = BodyFraming.none
    /// What came together with the head of the final answer and stands behind it, in the memory that it
    /// was received into; set until the body is read, before anything else is received.
    var rest: UnsafeMutableBufferPointer<UInt8>?
    /// The body, once the head of the final answer was passed on.
    var body: BodyTransfer?
    /// What the head of an answer in chunks says of its trailers.
    private(set) var named = ConnectionNames()
    /// The end of the connection is what tells the client where the answer ends.
    private(set) var endsWithConnection = false
    /// The answer was ended so that the client sees that it is not whole.
    var isCut = false
    /// Set by a proven 101.
    var opening: TunnelOpening?

    init(_ limits: HeadLimits) { self.limits = limits }

    /// Whether the head of the final answer was passed on.
    var hasHead: Bool { body != nil }

    /// Reads towards the next head.
    ///
    /// - Parameters:
    ///   - bytes: what was received behind what the reader has.
    ///   - method: the request's.
    ///   - upgrade: what was asked for, where that was a WebSocket.
    ///   - plan: what the route changes in the fields of a 101.
    ///   - store: whose memory heads are read into.
    /// - Returns: what was found, and how many of the bytes belong to it.
    mutating func readHead(
        _ bytes: UnsafeRawBufferPointer, to method: Method, _ upgrade: UpgradeAsked?,
        plan: RoutePlan, _ store: inout HeadStore
    ) -> (found: Found, consumed: Int) {
        if bytes.isEmpty { return (.nothing, 0) }
        hasBytes = true
        if parser == nil { parser = ResponseHeadParser(limits: limits) }
        if parser?.byteCount == 0 { parser?.lend(store.lend()) }
        switch parser?.append(bytes) {
        case .needsMore, nil: return (.nothing, bytes.count)
        case .failed(let fault)?:
            let sentence = "The upstream's answer can't be used: \(fault.sentenceWithKey)"
            return (.failed(.badAnswer, HeadFault(status: 502, sentence: sentence)), bytes.count)
        case .complete(let head, let consumed)?:
            if let upgrade {
                let early = UnsafeRawBufferPointer(rebasing: bytes[consumed...])
                if let found = judge(head, upgrade, plan, early: early) { return (found, consumed) }
            }
            do throws(HeadFault) {
                return (try judge(head, to: method), consumed)
            } catch {
                return (.failed(.badAnswer, error), consumed)
            }
        }
    }

    /// Judges an answer to an upgrade.
    ///
    /// - Returns: nil where it is an answer like any other.
    private mutating func judge(
        _ answer: ResponseHead, _ upgrade: UpgradeAsked, _ plan: RoutePlan,
        early: UnsafeRawBufferPointer
    ) -> Found? {
        let accept = WebSocketAccept.value(forKey: upgrade.ownKey ?? upgrade.request.key)
        switch UpgradeAnswer.judge(answer, expectedAccept: accept, offered: upgrade.request) {
        case .ordinary: return nil
        case .informational:
            // Each may come at once behind the last, so their number would be how long this reactor
            // does nothing else.
            interimBytes += answer.fields.bytes.count
            guard interimBytes > Self.interimBytesMax else { return nil }
            let sentence = Refusal.interimAnswers(Self.interimBytesMax).sentence
            return .failed(.badAnswer, HeadFault(status: 502, sentence: sentence))
        case .invalid(let sentence):
            return .failed(
                answer.status == 101 ? .badUpgrade : .badAnswer,
                HeadFault(status: 502, sentence: sentence))
        case .switching(let reservedBits, let subprotocol, let extensions, let remark):
            let ownAccept =
                upgrade.ownKey == nil ? nil : WebSocketAccept.value(forKey: upgrade.request.key)
            let head = ClientAnswer.switching(
                answer, subprotocol: subprotocol, extensions: extensions, accept: ownAccept,
                plan: plan.answer)
            return .switching(
                TunnelOpening(reservedBits: reservedBits, answer: head, early: Array(early)),
                remark: remark)
        }
    }

    private mutating func judge(
        _ answer: ResponseHead, to method: Method
    ) throws(HeadFault) -> Found {
        if answer.status == 101 {
            throw HeadFault(
                status: 502, sentence: "The upstream switches protocols though nobody asked it to.")
        }
        let framing = try BodyFraming(response: answer, to: method)
        if answer.status < 200 { return .interim(answer) }
        self.framing = framing
        head = answer
        return .final
    }

    /// Takes the final head, whose body is read from here on.
    ///
    /// The body goes on in chunks where its length is not known in advance and the client can read them.
    mutating func beginBody(clientKnowsChunks: Bool) -> ResponseHead? {
        guard let head = head.take() else { return nil }
        let isEndless = framing == .chunked || framing == .untilClose
        endsWithConnection = !clientKnowsChunks && isEndless
        body = BodyTransfer(
            framing, writesChunks: clientKnowsChunks && isEndless, limits: limits, isAnswer: true)
        if case .chunked = framing {
            named = ConnectionNames(head.fields, head.fields.connectionOptions)
        }
        return head
    }
}
