// SPDX-License-Identifier: Apache-2.0
import Wire

/// An ordinary answer's body on its way.
struct AnswerBody {
    let framing: BodyFraming
    var scanner: BodyScanner

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
        if outcome.consumed > 0 {
            client.put(bytes, count: outcome.consumed, space)
            down.bytes &+= UInt64(truncatingIfNeeded: outcome.consumed)
        }
        // A broken body ends without close_notify, so that the client knows it is not whole.
        if outcome.isBroken { client.isTruncated = true }
        if outcome.isDone || outcome.isBroken { ending.answered() }
    }

    /// A side's stream ended while a body was relayed.
    mutating func endBody(_ side: Side, _ space: UnsafeMutablePointer<Workspace>) {
        // An upstream that closes right behind a whole body has cut nothing short.
        if ending.isOver { return }
        let isWhole =
            side == .backend && body?.pointee.framing == .untilClose && !backend.isUnwritable
        if !isWhole { client.isTruncated = true }
        ending.answered()
    }

    /// Whether the answer is complete already, because it has no body.
    public mutating func finishEmptyBody(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        if let body, body.pointee.isEmpty { ending.answered() }
        return settle(space)
    }
}
