// SPDX-License-Identifier: Apache-2.0
import Wire

/// An ordinary answer's body on its way.
struct AnswerBody {
    let framing: BodyFraming
    var scanner: BodyScanner
    /// Bytes have moved since the deadline was last set.
    var hasMoved = true

    /// Whether there is nothing to relay.
    var isEmpty: Bool { framing == .none || framing == .length(0) }
}

/// Relaying the body of an ordinary HTTP answer, which is what an upstream says that refuses.
extension Relay {
    /// Sends body bytes on until the framing says that it ends.
    mutating func passBody(
        _ side: Side, _ bytes: UnsafeMutablePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        // What the client sends behind a request that was refused belongs to nothing.
        guard side == .backend, let body else { return }
        let outcome = body.pointee.scanner.scan(bytes, count: count)
        body.pointee.hasMoved = true
        if outcome.consumed > 0 {
            client.put(bytes, count: outcome.consumed, space)
            down.bytes &+= UInt64(truncatingIfNeeded: outcome.consumed)
        }
        // A broken body ends without close_notify, so that the client knows it is not whole.
        if outcome.isBroken { client.isTruncated = true }
        if outcome.isDone || outcome.isBroken || client.isUnwritable { ending.answered() }
    }

    /// Pushes the deadline on, if bytes have moved: an answer may be long, but not stand still.
    mutating func settleBody(
        _ body: UnsafeMutablePointer<AnswerBody>, _ space: UnsafeMutablePointer<Workspace>
    ) -> Verdict {
        if !body.pointee.hasMoved { return [] }
        body.pointee.hasMoved = false
        deadlineMilliseconds =
            space.pointee.nowMilliseconds + space.pointee.patience.answerMilliseconds
        return .deadline
    }

    /// A side's stream ended while a body was relayed.
    mutating func endBody(_ side: Side, _ space: UnsafeMutablePointer<Workspace>) {
        // An upstream that closes right behind a whole body has cut nothing short, and a client
        // that has said all there is to say still reads.
        if ending.isOver || side == .client && !client.isUnwritable { return }
        let isWhole =
            side == .backend && body?.pointee.framing == .untilClose && !backend.isUnwritable
        if !isWhole { client.isTruncated = true }
        ending.answered()
    }

    /// Takes note of what was over before the relay was opened: an answer without a body, a peer
    /// whose stream had ended already.
    public mutating func begin(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        if let body, body.pointee.isEmpty { ending.answered() }
        if client.hasEnded { ended(.client, space) }
        if backend.hasEnded { ended(.backend, space) }
        return settle(space)
    }
}
