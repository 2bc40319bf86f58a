// SPDX-License-Identifier: Apache-2.0
import Reactor
import Splice
import TLS

/// The log of handshakes that have failed.
extension Worker {
    /// Ends a connection whose handshake has failed, with a line once a minute for its client and cause.
    mutating func handshakeFailed(
        _ connection: UnsafeMutablePointer<Connection>, _ token: Token, _ opening: Opening,
        _ received: Leg.Received
    ) {
        let notes = connection.pointee.notes
        // What came now is the whole hello where nothing was kept of it.
        let bytes = UnsafeRawBufferPointer(start: received.bytes, count: received.count)
        let failure =
            opening.hello.isEmpty
            ? connection.pointee.relay.client.tls?.takeHandshakeFailure(hello: bytes)
            : opening.hello.withUnsafeBytes {
                connection.pointee.relay.client.tls?.takeHandshakeFailure(hello: $0)
            }
        opening.hello = []
        if let failure { notes.detail = detail(of: failure, notes) }
        connection.pointee.relay.client.flushRecords(space)
        leave(connection, token)
    }

    /// The sentence for the access line; empty where it has none.
    private func detail(of failure: HandshakeFailure, _ notes: ConnectionNotes) -> String {
        let outcome = crew.handshakeComplaints.note(
            failure.cause, of: notes.peer, nowMilliseconds: space.pointee.nowMilliseconds)
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

    /// Keeps the ClientHello until the handshake is over, for the log of one that fails.
    func keepHello(_ opening: Opening, _ received: Leg.Received) {
        // OpenSSL takes no longer one (SSL3_RT_MAX_PLAIN_LENGTH), and records have some bytes more.
        guard opening.hello.count + received.count <= Opening.helloBytesMax else { return }
        opening.hello.append(
            contentsOf: UnsafeRawBufferPointer(start: received.bytes, count: received.count))
    }
}
