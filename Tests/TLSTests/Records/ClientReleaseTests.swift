// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// Goal: a client's session that has released OpenSSL's object goes on as a server's does, whatever tickets and new
/// keys come before or after.
///
/// Method: the peer is OpenSSL, and knows nothing of it.
@Suite(.eachEngine, .namingEngine)
struct ClientReleaseTests {
    /// A pair that has shaken hands, with so many tickets.
    private func pair(_ suite: String? = nil, tickets: Int = 1) throws -> MemoryPair {
        let identities = try Identities.shared()
        let store = try identities.store(
            [identities.local],
            options: TLSServerOptions(minimumVersion: .tls12, cipherSuites: suite))
        let pair = MemoryPair(store, client: try client())
        SSL_set_num_tickets(pair.server.pointer, tickets)
        #expect(pair.handshake() == (.done, .done))
        return pair
    }

    private func bytes(_ count: Int, _ seed: Int = 0) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 31 >> 3) }
    }

    private func expectBoth(_ pair: MemoryPair, _ count: Int, _ seed: Int = 0) {
        let plain = bytes(count, seed)
        let up = pair.server.read(pair.client.seal(plain))
        #expect(up.plain == plain && up.status == .open)
        let down = pair.client.read(pair.server.seal(plain))
        #expect(down.plain == plain && down.status == .open)
    }

    /// The records of a ticket that the server sends of its own accord.
    private func ticket(of server: MemoryEnd) -> [UInt8] {
        #expect(SSL_new_session_ticket(server.pointer) == 1)
        // It goes out with the next step.
        #expect(server.handshake() == .done)
        return server.output()
    }

    @Test(arguments: RecordLayerTests.suites, [0, 1, 2, 5])
    func `bytes pass either way after the release, whatever passed before`(
        suite: String, tickets: Int
    ) throws {
        for before in [0, 1, 3] {
            let pair = try pair(suite, tickets: tickets)
            for round in 0..<before { expectBoth(pair, 20_000, round) }
            try #require(pair.client.release() == .released)
            #expect(pair.client.pointer == nil)
            for count in [1, 511, 16_384, 16_385, 100_000] { expectBoth(pair, count, before) }
        }
    }

    @Test func `both ends may be released`() throws {
        let pair = try pair()
        try #require(pair.client.release() == .released)
        try #require(pair.server.release() == .released)
        for count in [1, 16_385, 100_000] { expectBoth(pair, count) }
        #expect(pair.client.read(pair.server.close()).status == .closed)
    }

    @Test func `tickets that come before the release are counted, and those behind it skipped`()
        throws
    {
        let pair = try pair()
        #expect(pair.client.read(ticket(of: pair.server)).status == .open)
        expectBoth(pair, 1_000)
        try #require(pair.client.release() == .released)
        for round in 0..<10 {
            #expect(pair.client.read(ticket(of: pair.server)).status == .open)
            expectBoth(pair, 1_000, round)
        }
    }

    @Test func `a ticket that comes in pieces is skipped whole`() throws {
        let pair = try pair()
        try #require(pair.client.release() == .released)
        var wire: [UInt8] = []
        for _ in 0..<3 { wire += ticket(of: pair.server) }
        for byte in wire { #expect(pair.client.read([byte]).status == .open) }
        expectBoth(pair, 10)
    }

    @Test func `new keys of the server are taken after the release, and keep OpenSSL before it`()
        throws
    {
        let pair = try pair()
        try #require(pair.client.release() == .released)
        for kind in [SSL_KEY_UPDATE_NOT_REQUESTED, SSL_KEY_UPDATE_REQUESTED] {
            #expect(SSL_key_update(pair.server.pointer, kind) == 1)
            expectBoth(pair, 100)
            // The answer to the request went with what the client has sent since.
            _ = pair.server.read(pair.client.output())
            expectBoth(pair, 100)
        }
        let kept = try self.pair()
        #expect(SSL_key_update(kept.server.pointer, SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
        expectBoth(kept, 100)
        #expect(kept.client.release() == .never)
        expectBoth(kept, 100)
    }

    /// A message of one or two bytes' header is what OpenSSL keeps without beginning to read it.
    @Test func `a ticket of which OpenSSL has the first bytes keeps OpenSSL`() throws {
        for count in 1...3 {
            let pair = try pair()
            let forger = try Forger(pair.client)
            let first = try forger.sealAsServer(22, Array([4, 0, 0].prefix(count)))
            #expect(pair.client.read(first).status == .open)
            #expect(pair.client.release() == .never)
        }
    }

    /// A ticket as a message, with so many bytes of ticket.
    private func message(_ count: Int, _ nonce: UInt8) -> [UInt8] {
        let body: [UInt8] =
            [0, 0, 14, 16, 1, 2, 3, 4, 1, nonce, UInt8(count >> 8), UInt8(count & 255)]
            + bytes(count, Int(nonce)) + [0, 0]
        return [4, 0, UInt8(body.count >> 8), UInt8(body.count & 255)] + body
    }

    @Test func `whole tickets let a session leave OpenSSL, in whatever records they come`() throws {
        let (one, two) = (message(100, 9), message(300, 10))
        for records in [[one], [one + two], [one, two]] {
            let pair = try pair()
            let forger = try Forger(pair.client)
            for record in records {
                #expect(pair.client.read(try forger.sealAsServer(22, record)).status == .open)
            }
            let data = pair.client.read(try forger.sealAsServer(23, bytes(50)))
            #expect(data.plain == bytes(50) && data.status == .open)
            try #require(pair.client.release() == .released)
            let more = pair.client.read(try forger.sealAsServer(23, bytes(70)))
            #expect(more.plain == bytes(70) && more.status == .open)
        }
    }

    @Test func `a part of a ticket keeps OpenSSL, whatever whole ones came with it`() throws {
        let (one, two, three) = (message(100, 9), message(120, 10), message(140, 11))
        // The records, and what would make the last message whole.
        let cut: [(records: [[UInt8]], rest: [UInt8])] = [
            ([one + two.prefix(3)], Array(two.dropFirst(3))),
            ([one + two, Array(three.prefix(2))], Array(three.dropFirst(2))),
            (
                [Array(one.prefix(60)), Array(one.dropFirst(60)) + two.prefix(1)],
                Array(two.dropFirst(1))
            ),
        ]
        for (records, rest) in cut {
            let pair = try pair()
            let forger = try Forger(pair.client)
            for record in records {
                #expect(pair.client.read(try forger.sealAsServer(22, record)).status == .open)
            }
            #expect(pair.client.release() != .released, "\(records.map(\.count))")
            #expect(pair.client.read(try forger.sealAsServer(22, rest)).status == .open)
            let data = pair.client.read(try forger.sealAsServer(23, bytes(50)))
            #expect(data.plain == bytes(50) && data.status == .open)
            #expect(pair.client.release() == .never)
        }
    }

    @Test func `a record with padding keeps OpenSSL`() throws {
        let pair = try pair()
        let forger = try Forger(pair.client)
        // The type stands behind the content, in front of the padding.
        let padded = try forger.sealAsServer(0, message(100, 9) + [22, 0, 0])
        #expect(pair.client.read(padded).status == .open)
        #expect(pair.client.release() == .never)
        let data = pair.client.read(try forger.sealAsServer(23, bytes(50)))
        #expect(data.plain == bytes(50) && data.status == .open)
    }

    @Test func `what is repeated of a certificate that nobody has verified is bounded`() {
        let accents = String(repeating: "\u{301}", count: 40_000)
        for text in ["a" + accents, accents, "a\r\n\u{9B}" + accents] {
            let shown = TLSSession.shown(text, most: 100)
            #expect(shown.utf8.count <= 200)
            #expect(shown.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x9B })
        }
        #expect(TLSSession.shown("localhost", most: 100) == "localhost")
    }

    @Test func `alerts of the server are told by their number`() throws {
        for isReleased in [false, true] {
            let pair = try pair()
            if isReleased { try #require(pair.client.release() == .released) }
            try #require(pair.server.release() == .released)
            let layer = try #require(pair.server.layer)
            var alert: [UInt8] = []
            pair.server.withBuffers { buffers in
                layer.pointee.fail(.internalError, buffers)
                alert = buffers.takeOutput()
            }
            #expect(pair.client.read(alert).status == .failed)
        }
    }
}

/// Goal: a destination keeps the sessions that its server gives, and each is taken up once.
struct TLSDestinationTests {
    private func destination(_ identities: Identities, _ name: String = "localhost") throws
        -> TLSDestination
    {
        var options = TLSDestinationOptions()
        options.authorities = [identities.authority]
        options.trustsSystem = false
        return TLSDestination(try TLSContext.destinations(options), serverName: name)
    }

    private func shakeHands(
        _ destination: TLSDestination, _ store: CertificateStore
    ) throws -> (MemoryEnd, Bool) {
        let client = MemoryEnd(to: destination)
        let server = MemoryEnd(accepting: store.initial)
        var flight = {
            _ = client.handshake(); return client.output()
        }()
        var isDone = false
        for _ in 0..<4 where !isDone {
            _ = server.handshake(flight)
            isDone = client.handshake(server.output()) == .done
            flight = client.output()
        }
        _ = server.handshake(flight)
        _ = client.read(server.output())
        return (client, isDone)
    }

    @Test func `sessions are bounded, taken up once, and not shared`() throws {
        let identities = try Identities.shared()
        let store = try identities.store([identities.local])
        let destination = try destination(identities)
        for round in 0..<(TLSDestination.sessionsMax + 4) {
            let (client, isDone) = try shakeHands(destination, store)
            #expect(isDone && client.facts?.isResumed == (round > 0))
            #expect(destination.sessionCount == 1)
        }
        var open: [MemoryEnd] = []
        // As many at once as may be: each has taken its own.
        for _ in 0..<4 { open.append(MemoryEnd(to: destination)) }
        #expect(destination.sessionCount == 0)
        #expect(try self.destination(identities).sessionCount == 0)
    }

    /// Where it is taken up again the server shows no certificate, so that nobody would ever see a new one.
    @Test func `a session whose certificate has expired is not taken up`() throws {
        let identities = try Identities.shared()
        let store = try identities.store([identities.local])
        let destination = try destination(identities)
        var unverified = TLSDestinationOptions()
        unverified.isVerifying = false
        let trusting = TLSDestination(
            try TLSContext.destinations(unverified), serverName: "localhost")
        for (destination, isTakenUp) in [(destination, false), (trusting, true)] {
            _ = try shakeHands(destination, store)
            let session = try #require(destination.takeSession())
            #expect(!session.hasExpiredCertificate)
            let own = try #require(SSL_SESSION_get0_peer(session.pointer))
            X509_gmtime_adj(X509_getm_notAfter(own), -60)
            #expect(session.hasExpiredCertificate)
            destination.keep(session)
            let (client, isDone) = try shakeHands(destination, store)
            #expect(isDone && client.facts?.isResumed == isTakenUp)
        }
    }

    @Test func `what is wrong with a certificate is said`() throws {
        let identities = try Identities.shared()
        let store = try identities.store([identities.local])
        let other = try destination(identities, "other.example.")
        #expect(other.serverName == "other.example")
        let client = MemoryEnd(to: other)
        let server = MemoryEnd(accepting: store.initial)
        _ = client.handshake()
        _ = server.handshake(client.output())
        let fault = client.fault(of: other.serverName, after: server.output())
        #expect(fault?.kind == .certificate)
        #expect(fault?.clause.contains("not for other.example") == true, "\(fault as Any)")
    }
}
