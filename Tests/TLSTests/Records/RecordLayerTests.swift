// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import TestKit
import Testing

@testable import TLS

/// Goal: a session that has released OpenSSL's object goes on as if nothing had happened.
///
/// Method: the peer is OpenSSL, and knows nothing of it.
@Suite(.eachEngine, .namingEngine)
struct RecordLayerTests {
    let identities: Identities

    init() throws { identities = try Identities.shared() }

    static let suites = [
        "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256",
    ]

    /// A pair that has shaken hands, with so many tickets.
    private func pair(_ suite: String? = nil, tickets: Int = 1) throws -> MemoryPair {
        let store = try identities.store(
            [identities.local],
            options: TLSServerOptions(minimumVersion: .tls12, cipherSuites: suite))
        let pair = MemoryPair(store, client: try client())
        SSL_set_num_tickets(pair.server.pointer, tickets)
        #expect(pair.handshake() == (.done, .done))
        return pair
    }

    private func released(_ suite: String? = nil) throws -> MemoryPair {
        let pair = try pair(suite)
        try #require(pair.server.release() == .released)
        return pair
    }

    private func bytes(_ count: Int, _ seed: Int = 0) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 31 >> 3) }
    }

    @Test(arguments: suites, [0, 1, 2])
    func `bytes pass either way after the release, whatever passed before`(
        suite: String, tickets: Int
    ) throws {
        for before in [0, 1, 3] {
            let pair = try pair(suite, tickets: tickets)
            for round in 0..<before {
                let plain = bytes(20_000, round)
                #expect(pair.server.read(pair.client.seal(plain)).plain == plain)
                #expect(pair.client.read(pair.server.seal(plain)).plain == plain)
            }
            try #require(pair.server.release() == .released)
            #expect(pair.server.pointer == nil)
            #expect(pair.server.facts == nil)
            for count in [1, 511, 512, 513, 16_383, 16_384, 16_385, 100_000] {
                let plain = bytes(count, before)
                let up = pair.server.read(pair.client.seal(plain))
                #expect(up.plain == plain && up.status == .open)
                let down = pair.client.read(pair.server.seal(plain))
                #expect(down.plain == plain && down.status == .open)
            }
        }
    }

    @Test func `the release may be asked for twice`() throws {
        let pair = try released()
        #expect(pair.server.release() == .released)
        #expect(pair.server.read(pair.client.seal([1])).plain == [1])
    }

    @Test func `two sessions of one thread do not mix up their keys`() throws {
        // Their windows differ in these tests, so let one window see both.
        let buffers = RecordBuffers(engine: Engines.current)
        defer { buffers.free() }
        let store = try identities.store([identities.local])
        var ends: [(client: MemoryEnd, server: SharedEnd)] = []
        for _ in 0..<3 {
            let server = try #require(SharedEnd(store.initial, buffers))
            let client = MemoryEnd(connecting: try client())
            try server.shakeHands(with: client)
            ends.append((client, server))
        }
        for round in 0..<200 {
            let (client, server) = ends[round * round % 3]
            let plain = bytes(10 + round, round)
            #expect(server.read(client.seal(plain)) == plain)
            #expect(client.read(server.seal(plain)).plain == plain)
        }
    }

    @Test(arguments: suites)
    func `records split at any byte arrive whole`(suite: String) throws {
        let pair = try released(suite)
        let length = try self.pair(suite).client.seal([1, 2, 3]).count
        for split in 1..<(2 * length) {
            let wire = pair.client.seal([1, 2, 3]) + pair.client.seal([4, 5, 6])
            let first = pair.server.read(Array(wire[..<split]))
            let second = pair.server.read(Array(wire[split...]))
            #expect(first.plain == (split < length ? [] : [1, 2, 3]), "split at \(split)")
            #expect(first.plain + second.plain == [1, 2, 3, 4, 5, 6], "split at \(split)")
            #expect(first.status == .open && second.status == .open)
        }
        var plain: [UInt8] = []
        for byte in pair.client.seal(bytes(300)) { plain += pair.server.read([byte]).plain }
        #expect(plain == bytes(300))
    }

    @Test func `both forms make the same of the same traffic`() throws {
        var random = SplitMix(seed: 1)
        let kept = try pair()
        let released = try released()
        for _ in 0..<200 {
            var wires: ([UInt8], [UInt8]) = ([], [])
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                let plain = bytes(Int.random(in: 1...40_000, using: &random))
                wires.0 += kept.client.seal(plain)
                wires.1 += released.client.seal(plain)
            }
            try #require(wires.0.count == wires.1.count)
            var at = 0
            while at < wires.0.count {
                let end = min(wires.0.count, at + Int.random(in: 1...60_000, using: &random))
                let one = kept.server.read(Array(wires.0[at..<end]))
                let other = released.server.read(Array(wires.1[at..<end]))
                #expect(one.plain == other.plain)
                #expect(one.status == .open && other.status == .open)
                at = end
            }
        }
    }

    @Test func `a session with a half-read record is not released yet`() throws {
        let pair = try pair()
        let wire = pair.client.seal([1, 2, 3])
        for end in 1..<wire.count {
            let pair = try self.pair()
            let wire = pair.client.seal([1, 2, 3])
            #expect(pair.server.read(Array(wire[..<end])).plain == [])
            #expect(pair.server.release() == .notNow, "\(end) bytes")
            #expect(pair.server.read(Array(wire[end...])).plain == [1, 2, 3])
            #expect(pair.server.release() == .released)
            #expect(pair.server.read(pair.client.seal([4])).plain == [4])
        }
    }

    @Test func `whoever needs OpenSSL keeps it`() throws {
        let old = MemoryPair(
            try identities.store([identities.local]), client: try client(.tls12))
        #expect(old.server.release() == .notNow, "the handshake is not done")
        #expect(old.handshake() == (.done, .done))
        #expect(old.server.release() == .never, "TLS 1.2")
        #expect(old.server.read(old.client.seal([1])).plain == [1])

        let pair = try pair()
        let pointer = try #require(pair.client.pointer)
        #expect(SSL_key_update(pointer, SSL_KEY_UPDATE_REQUESTED) == 1)
        #expect(pair.server.read(pair.client.seal([2])).plain == [2])
        #expect(pair.server.release() == .never, "keys that changed")
        #expect(pair.client.read(pair.server.seal([3])).plain == [3])

        let closing = try self.pair()
        #expect(closing.server.close() != [])
        #expect(closing.server.release() == .never, "close_notify was sent")
    }

    @Test func `places that are wrong are found out`() throws {
        let layout = try #require(TrafficSecretLayout.learned, "this OpenSSL shows no secrets")
        for wrong in [
            TrafficSecretLayout(client: layout.server, server: layout.client),
            TrafficSecretLayout(client: layout.client + 1, server: layout.server),
            TrafficSecretLayout(client: layout.client, server: layout.server + 1),
        ] {
            #expect(try #require(Rehearsal(.aes128GCM)).goesOn(with: wrong) == false)
        }
        let rehearsal = try #require(Rehearsal(.aes256GCM))
        let found = try #require(rehearsal.find())
        #expect(found.client == layout.client && found.server == layout.server)
        #expect(rehearsal.goesOn(with: layout))
    }

    @Test(arguments: suites)
    func `new keys are taken, and given where they are asked for`(suite: String) throws {
        let pair = try released(suite)
        let pointer = try #require(pair.client.pointer)
        for round in 0..<1_000 {
            let kind = round % 2 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED
            #expect(SSL_key_update(pointer, kind) == 1)
            let read = pair.server.read(pair.client.seal([UInt8(truncatingIfNeeded: round)]))
            #expect(read.plain == [UInt8(truncatingIfNeeded: round)])
            #expect(read.status == .open, "round \(round)")
            let answer = pair.server.output()
            #expect(answer.isEmpty == (kind == SSL_KEY_UPDATE_NOT_REQUESTED))
            #expect(pair.client.read(answer + pair.server.seal([9])).plain == [9])
        }
    }

    @Test func `a key that has served long is replaced before the next record`() throws {
        let pair = try pair()
        let forger = try Forger(pair.client)
        try #require(pair.server.release() == .released)
        let layer = try #require(pair.server.layer)
        let last = layer.pointee.suite.recordsPerKeyMax - 1
        #expect(last < 23_726_566, "2^24.5 (RFC 8446 §5.5)")
        layer.pointee.writing.sequence = last
        forger.opening.sequence = last
        #expect(try forger.open(pair.server.seal([1])) == [[1, 23]])
        let wire = pair.server.seal([2])
        let update = Array(wire.prefix(5 + 5 + 1 + 16))
        #expect(try forger.open(update) == [[24, 0, 0, 1, 0, 22]])
        forger.updateOpening()
        #expect(try forger.open(Array(wire.dropFirst(update.count))) == [[2, 23]])
        #expect(layer.pointee.writing.sequence == 1)
    }

    @Test(arguments: suites)
    func `close_notify closes each direction for itself`(suite: String) throws {
        let pair = try released(suite)
        let read = pair.server.read(pair.client.seal([1, 2]) + pair.client.close())
        #expect(read.plain == [1, 2])
        #expect(read.status == .closed)
        let last = pair.client.read(pair.server.seal([3]) + pair.server.close())
        #expect(last.plain == [3])
        #expect(last.status == .closed)
        #expect(pair.server.close() == [], "it is sent once")
        #expect(pair.server.seal([4]) == [], "nothing follows it")
    }

    @Test func `what does not fit into the window is refused whole`() throws {
        let buffers = RecordBuffers(outputCapacity: 30_000, engine: Engines.current)
        defer { buffers.free() }
        let server = try #require(
            SharedEnd(try identities.store([identities.local]).initial, buffers))
        let client = MemoryEnd(connecting: try client())
        try server.shakeHands(with: client)
        #expect(server.seal(bytes(30_000)) == [])
        #expect(client.read(server.seal(bytes(29_000))).plain == bytes(29_000))
    }
}

/// A released server session on a window that it shares with others.
final class SharedEnd {
    private let buffers: RecordBuffers
    private var session: TLSSession?

    init?(_ context: TLSContext, _ buffers: RecordBuffers) {
        self.buffers = buffers
        session = TLSSession.accepting(context, through: buffers)
        if session == nil { return nil }
    }

    func shakeHands(with client: MemoryEnd) throws {
        var progress = HandshakeProgress.wantsInput
        _ = client.handshake()
        for _ in 0..<3 where progress == .wantsInput {
            withInput(client.output()) { progress = session?.handshake() ?? .failed }
            let answer = buffers.takeOutput()
            if progress == .done { _ = client.read(answer) } else { _ = client.handshake(answer) }
        }
        try #require(progress == .done)
        let outcome = session?.releaseOpenSSL()
        try #require(outcome == .released)
    }

    func read(_ wire: [UInt8]) -> [UInt8] {
        let capacity = wire.count + 17 * 1024
        return [UInt8](unsafeUninitializedCapacity: capacity) { bytes, count in
            withInput(wire) {
                guard let start = bytes.baseAddress else { return }
                count = session?.readAll(into: start, capacity: capacity).count ?? 0
            }
        }
    }

    func seal(_ plain: [UInt8]) -> [UInt8] {
        _ = session?.write(plain, count: plain.count)
        return buffers.takeOutput()
    }

    private func withInput(_ wire: [UInt8], _ body: () -> Void) {
        wire.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { buffers.setInput(start, count: bytes.count) }
            body()
        }
    }
}
