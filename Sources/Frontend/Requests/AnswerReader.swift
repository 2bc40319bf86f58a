// SPDX-License-Identifier: Apache-2.0
import Proxy
import TLS
import Wire

/// What a proven 101 brought: the material of a tunnel.
struct TunnelOpening {
    /// The RSV bits that the granted extensions may use.
    let reservedBits: UInt8
    /// The subprotocol that the client is granted; nil for none.
    let subprotocol: String?
    /// The extensions that it is granted; nil for none.
    let extensions: String?
    /// The 101 as the client gets it.
    let answer: [UInt8]
    /// The upstream's bytes behind its 101.
    let early: [UInt8]
}

/// Reads what an upstream answers to one request: heads up to the final one, and then that one's body.
///
/// It judges heads and sends nothing: what is passed on to the client, and when, is for others.
struct AnswerReader: ~Copyable {
    /// Bytes of interim answers (1xx) that may come in front of the final one.
    ///
    /// Each may come at once behind the last, so their number would be how long a reactor does nothing
    /// else; and what HTTP/2 does not send at once, since its peer does not read, is kept.
    static let interimBytesMax = 64 * 1024

    /// What has come.
    enum Found {
        /// Nothing whole yet.
        case nothing
        /// A head, which the reader has.
        case head
        /// A head that can't be used.
        case failed(HeadFault)
    }

    /// What the head of an answer to an upgrade means.
    enum Verdict {
        /// The same as that of an answer to any request.
        case ordinary
        /// A tunnel, proven; `remark` says what is wrong with its subprotocol.
        case switching(TunnelOpening, remark: String?)
        /// An answer that can't be used.
        case failed(Cause, HeadFault)
    }

    private let limits: HeadLimits
    private var interimBytes = 0
    /// Whether a byte of an answer has come.
    private(set) var hasBytes = false
    /// The head that was read last, until it was passed on or dropped.
    private(set) var head: ResponseHead?
    /// Where the body of the final answer ends.
    private(set) var framing = BodyFraming.none
    /// What came together with the head of the final answer and stands behind it, in the memory that it
    /// was received into; set until the body is read, before anything else is received.
    var rest: UnsafeMutableBufferPointer<UInt8>?
    /// The body, once the head of the final answer was passed on.
    var body: BodyTransfer?
    /// What the head of an answer in chunks says of its trailers.
    private(set) var named: ConnectionNames?
    /// The end of the connection is what tells the client where the answer ends.
    private(set) var endsWithConnection = false
    /// The answer was ended so that the client sees that it is not whole.
    var isCut = false

    init(_ limits: HeadLimits) { self.limits = limits }

    /// Whether the head of the final answer was passed on.
    var hasHead: Bool { body != nil }

    /// Reads towards the next head, and leaves the bytes behind it.
    ///
    /// - Parameters:
    ///   - bytes: what was received behind what `parser` has.
    ///   - parser: that of the connection.
    ///   - store: whose memory heads are read into.
    /// - Returns: whether there is a head now.
    mutating func readHead(
        _ bytes: inout UnsafeMutableBufferPointer<UInt8>, _ parser: inout ResponseHeadParser,
        _ store: inout HeadStore
    ) -> Found {
        if bytes.isEmpty { return .nothing }
        hasBytes = true
        if parser.byteCount == 0 { parser.lend(store.lend()) }
        switch parser.append(UnsafeRawBufferPointer(bytes)) {
        case .needsMore: return .nothing
        case .failed(let fault):
            let sentence = "The upstream's answer can't be used: \(fault.sentenceWithKey)"
            return .failed(HeadFault(status: 502, sentence: sentence))
        case .complete(let head, let consumed):
            self.head = head
            bytes = UnsafeMutableBufferPointer(rebasing: bytes[consumed...])
            return .head
        }
    }

    /// Judges the head that was read as one of an answer to an upgrade; `early` are the bytes behind it.
    mutating func judge(
        _ upgrade: UpgradeAsked, _ plan: FieldPlan, _ told: AnswerTold? = nil,
        sticky: [UInt8]? = nil, early: UnsafeMutableBufferPointer<UInt8>
    ) -> Verdict {
        guard let answer = head else { return .ordinary }
        let accept = WebSocketAccept.value(forKey: upgrade.ownKey ?? upgrade.request.key)
        switch UpgradeAnswer.judge(answer, expectedAccept: accept, offered: upgrade.request) {
        case .ordinary: return .ordinary
        case .informational: return .ordinary
        case .unproven(let sentence):
            return .failed(.badUpgrade, HeadFault(status: 502, sentence: sentence))
        case .invalid(let sentence):
            return .failed(.badAnswer, HeadFault(status: 502, sentence: sentence))
        case .switching(let reservedBits, let granted, let extensions, let remark):
            // Browsers give a socket up that grants none of what they asked for.
            let own =
                granted == nil
                ? upgrade.ownSubprotocol.map { String(decoding: $0, as: UTF8.self) } : nil
            let subprotocol = granted ?? own
            let ownAccept =
                upgrade.ownKey == nil ? nil : WebSocketAccept.value(forKey: upgrade.request.key)
            let bytes = ClientAnswer.switching(
                answer, subprotocol: granted, ownSubprotocol: own, extensions: extensions,
                accept: ownAccept,
                plan: plan, told: told, sticky: sticky)
            return .switching(
                TunnelOpening(
                    reservedBits: reservedBits, subprotocol: subprotocol, extensions: extensions,
                    answer: bytes, early: Array(early)),
                remark: remark)
        }
    }

    /// Judges the head that was read as one of an answer to any request of that method.
    ///
    /// - Returns: whether it is that of the final answer; else another follows.
    mutating func judge(to method: Method) throws(HeadFault) -> Bool {
        guard let answer = head else { return false }
        if answer.status == 101 {
            throw HeadFault(
                status: 502, sentence: "The upstream switches protocols though nobody asked it to.")
        }
        let framing = try BodyFraming(response: answer, to: method)
        if answer.status < 200 {
            interimBytes += answer.fields.bytes.count
            if interimBytes <= Self.interimBytesMax { return false }
            let sentence = Refusal.interimAnswers(Self.interimBytesMax).sentence
            throw HeadFault(status: 502, sentence: sentence)
        }
        self.framing = framing
        return true
    }

    /// Gives the head away that was read last: one of an interim answer, or the 101 that opens a tunnel.
    mutating func takeHead() -> ResponseHead? { head.take() }

    /// Gives the final head away, whose body is read from here on.
    ///
    /// The body goes on in chunks where its length is not known in advance and the client can read them;
    /// on one stream of several it ends with the stream.
    mutating func beginBody(clientKnowsChunks: Bool, isMultiplexed: Bool) -> ResponseHead? {
        guard let head = head.take() else { return nil }
        let isEndless = framing == .chunked || framing == .untilClose
        endsWithConnection = !clientKnowsChunks && isEndless && !isMultiplexed
        body = BodyTransfer(
            framing, writesChunks: clientKnowsChunks && isEndless, limits: limits, isAnswer: true)
        if case .chunked = framing {
            named = ConnectionNames(head.fields, head.fields.connectionOptions)
        }
        return head
    }
}
