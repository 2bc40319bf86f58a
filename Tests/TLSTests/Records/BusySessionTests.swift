// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// Goal: a session through which much has passed leaves OpenSSL's object by itself, and only then, and
/// its peer notices nothing.
@Suite(.eachEngine, .namingEngine)
struct BusySessionTests {
    private static let busyBytes = Int(RecordTally.busyBytes)

    private func pair(_ version: TLSVersion = .tls13, isWanted: Bool = true) throws -> MemoryPair {
        let identities = try Identities.shared()
        let pair = MemoryPair(
            try identities.store([identities.local]), client: try client(version))
        #expect(pair.handshake() == (.done, .done))
        pair.server.releaseBusy(isWanted)
        return pair
    }

    private func bytes(_ count: Int, _ seed: Int = 0) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: ($0 &+ seed) &* 31 >> 3) }
    }

    private func goesOn(_ pair: MemoryPair) {
        let plain = bytes(50_000, 9)
        #expect(pair.client.read(pair.server.seal(plain)).plain == plain)
        #expect(pair.server.read(pair.client.seal(plain)).plain == plain)
    }

    @Test func `one that has written much leaves it before the next record`() throws {
        let pair = try pair()
        // With their overhead, and the ticket, they are a little less than what makes it busy.
        let quiet = bytes(Self.busyBytes - 1_000)
        #expect(pair.client.read(pair.server.seal(quiet)).plain == quiet)
        #expect(pair.client.read(pair.server.seal([1])).plain == [1])
        #expect(pair.server.pointer != nil)
        #expect(pair.client.read(pair.server.seal(quiet)).plain == quiet)
        #expect(pair.server.pointer != nil)
        #expect(pair.client.read(pair.server.seal([2])).plain == [2])
        #expect(pair.server.pointer == nil)
        #expect(pair.server.takeReleasedCount() == 1)
        #expect(pair.server.takeReleasedCount() == 0)
        goesOn(pair)
    }

    @Test func `one that has read much leaves it before the next record`() throws {
        let pair = try pair()
        let much = bytes(Self.busyBytes)
        #expect(pair.server.read(pair.client.seal(much)).plain == much)
        #expect(pair.server.pointer != nil)
        #expect(pair.server.read(pair.client.seal([2])).plain == [2])
        #expect(pair.server.pointer == nil)
        goesOn(pair)
    }

    @Test func `much in both directions together is not much in one`() throws {
        let pair = try pair()
        let half = bytes(Self.busyBytes / 2)
        for _ in 0..<2 {
            _ = pair.server.read(pair.client.seal(Array(half.prefix(20_000))))
            _ = pair.client.read(pair.server.seal(Array(half.prefix(20_000))))
        }
        #expect(pair.client.read(pair.server.seal([2])).plain == [2])
        #expect(pair.server.pointer != nil)
    }

    /// So reads the socket of a client that uploads: nearly every piece ends within a record.
    @Test(arguments: [1_000, 9_999, 16_411, 40_000])
    func `a record that is half read does not keep it there`(piece: Int) throws {
        let pair = try pair()
        let plain = bytes(300_000)
        let wire = pair.client.seal(plain)
        var got: [UInt8] = []
        var at = 0
        var releasedAt: Int?
        while at < wire.count {
            let read = pair.server.read(Array(wire[at..<min(wire.count, at + piece)]))
            #expect(read.status == .open)
            got += read.plain
            at += piece
            if pair.server.pointer == nil, releasedAt == nil { releasedAt = at }
        }
        #expect(got == plain)
        // With the next border of records behind it, unless a header is cut just there.
        #expect(try #require(releasedAt) <= Self.busyBytes + 2 * 16_406 + 2 * piece)
        goesOn(pair)
    }

    @Test func `a ticket that was set aside leaves in front of everything`() throws {
        let identities = try Identities.shared()
        let pair = MemoryPair(try identities.store([identities.local]), client: try client())
        #expect(pair.client.handshake() == .wantsInput)
        #expect(pair.server.handshake(pair.client.output()) == .wantsInput)
        #expect(pair.client.handshake(pair.server.output()) == .done)
        #expect(pair.server.handshake(pair.client.output()) == .done)
        pair.server.setOutputAside()
        pair.server.releaseBusy(true)
        let much = bytes(Self.busyBytes)
        #expect(pair.server.read(pair.client.seal(much)).plain == much)
        #expect(pair.server.read(pair.client.seal([3])).plain == [3])
        #expect(pair.server.pointer == nil)
        #expect(pair.client.read(pair.server.seal([4])).plain == [4])
        #expect(pair.client.ticket != nil)
    }

    @Test func `where it is not wanted, or can't be, OpenSSL keeps them`() throws {
        let unwanted = try pair(isWanted: false)
        let old = try pair(.tls12)
        let updated = try pair()
        let pointer = try #require(updated.client.pointer)
        #expect(SSL_key_update(pointer, SSL_KEY_UPDATE_REQUESTED) == 1)
        for pair in [unwanted, old, updated] {
            for round in 0..<4 {
                let plain = bytes(90_000, round)
                #expect(pair.server.read(pair.client.seal(plain)).plain == plain)
                #expect(pair.client.read(pair.server.seal(plain)).plain == plain)
            }
            #expect(pair.server.pointer != nil)
        }
    }

    @Test func `close_notify is seen in the read in which it leaves`() throws {
        let pair = try pair()
        let much = bytes(Self.busyBytes)
        let wire = pair.client.seal(much) + pair.client.seal([5, 6]) + pair.client.close()
        let border = wire.count - 40
        let first = pair.server.read(Array(wire[..<border]))
        let second = pair.server.read(Array(wire[border...]))
        #expect(first.plain + second.plain == much + [5, 6])
        #expect(second.status == .closed)
    }
}
