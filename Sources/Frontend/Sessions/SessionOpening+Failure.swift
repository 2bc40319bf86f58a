// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Splice
import TLS

/// The records of a ClientHello, kept until the handshake is over for the log of one that fails.
struct HelloRecords {
    /// OpenSSL takes no longer one (SSL3_RT_MAX_PLAIN_LENGTH), and records have some bytes more.
    private static let bytesMax = 20_480

    private(set) var bytes: [UInt8] = []
    /// Nothing of what comes now belongs to it any more.
    private var isWhole = false

    /// Keeps what came, while it still belongs to the hello; `wasAnswered` says that this completed it.
    mutating func keep(_ received: Leg.Received, wasAnswered: Bool) {
        if !isWhole, bytes.count + received.count <= Self.bytesMax {
            bytes.append(
                contentsOf: UnsafeRawBufferPointer(start: received.bytes, count: received.count))
        }
        isWhole = isWhole || wasAnswered
    }
}

/// The log of handshakes that have failed.
extension SessionOpening {
    /// Ends a session whose handshake has failed, with a line once a minute for its client and cause.
    func handshakeFailed(_ session: SessionPointer, _ received: Leg.Received) {
        // Cut in two, the hello ends with what came now; where nothing was kept, that is all of it.
        let hello = keepHello(session, received, wasAnswered: false)
        let failure = hello.withUnsafeBytes {
            session.pointee.stream.leg.tls?.takeHandshakeFailure(hello: $0)
        }
        Metering(state).failed(HandshakeTrouble(failure?.cause))
        if let failure {
            let detail = detail(of: failure, session.pointee.facts.peer)
            if !detail.isEmpty { sessions.note(session, detail) }
        }
        session.pointee.stream.leg.flushRecords(space)
        sessions.leave(session)
    }

    /// Keeps what came of the ClientHello, where it still belongs to it.
    ///
    /// - Returns: what is kept by now.
    @discardableResult
    func keepHello(
        _ session: SessionPointer, _ received: Leg.Received, wasAnswered: Bool
    ) -> [UInt8] {
        guard case .handshaking(let isDeferred, var hello) = session.pointee.stage else {
            return []
        }
        hello.keep(received, wasAnswered: wasAnswered)
        session.pointee.stage = .handshaking(isDeferred: isDeferred, hello)
        return hello.bytes
    }

    /// The sentence for the access line; empty where it has none.
    private func detail(of failure: HandshakeFailure, _ peer: Address) -> String {
        let crew = state.pointee.crew
        let outcome = crew.handshakeComplaints.note(failure.cause, of: peer, nowMilliseconds: now)
        for (key, count) in outcome.forgotten {
            crew.journal.event(
                LogEvent(
                    .info,
                    "\(key.client.hostString): \(count) more TLS handshakes failed within a minute:"
                        + " \(key.cause.sentence)."))
        }
        guard let before = outcome.countedBefore else { return "" }
        let count = before == 0 ? "" : "; \(before) more of this client since the last such line"
        return failure.description + count
    }
}
