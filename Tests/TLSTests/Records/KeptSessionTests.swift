// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// Goal: a session that stays with OpenSSL does not seal more records with a key than it should (RFC 8446 §5.5).
///
/// Method: it is told how many records it has written; the peer is OpenSSL, or a session that has left it.
@Suite(.eachEngine, .namingEngine)
struct KeptSessionTests {
    private static let most = RecordTally.recordsPerKeyMax
    /// A KeyUpdate in a record.
    private static let updateBytes = RecordLayer.keyUpdateBytes + RecordLayer.overheadBytes

    private func pair(_ version: TLSVersion = .tls13) throws -> MemoryPair {
        let identities = try Identities.shared()
        let pair = MemoryPair(
            try identities.store([identities.local]), client: try client(version))
        #expect(pair.handshake() == (.done, .done))
        return pair
    }

    private func recordBytes(_ count: Int) -> Int { count + RecordLayer.overheadBytes }

    @Test func `the server's key is replaced, and the client goes on`() throws {
        #expect(Self.most < 23_726_566, "2^24.5 (RFC 8446 §5.5)")
        let pair = try pair()
        pair.server.writtenCount = Self.most - 1
        let last = pair.server.seal([1])
        #expect(last.count == recordBytes(1))
        #expect(pair.client.read(last).plain == [1])
        for round in 0..<3 {
            let wire = pair.server.seal([2, 3])
            #expect(wire.count == recordBytes(2) + (round == 0 ? Self.updateBytes : 0))
            let read = pair.client.read(wire)
            #expect(read.plain == [2, 3] && read.status == .open)
        }
        // Nobody but OpenSSL knows the keys in use.
        #expect(pair.server.release() == .never)
        #expect(pair.server.read(pair.client.seal([4])).plain == [4])
    }

    @Test func `many records at once count each`() throws {
        let pair = try pair()
        pair.server.writtenCount = Self.most - 2
        let much = [UInt8](repeating: 7, count: 5 * RecordLayer.plainBytesMax)
        #expect(pair.client.read(pair.server.seal(much)).plain == much)
        let wire = pair.server.seal([1])
        #expect(wire.count == recordBytes(1) + Self.updateBytes)
        #expect(pair.client.read(wire).plain == [1])
    }

    @Test func `the client's key is replaced too, also for a server that has left OpenSSL`() throws
    {
        for isReleased in [false, true] {
            let pair = try pair()
            if isReleased { try #require(pair.server.release() == .released) }
            pair.client.writtenCount = Self.most
            let wire = pair.client.seal([1])
            #expect(wire.count == recordBytes(1) + Self.updateBytes)
            for round in [wire, pair.client.seal([1])] {
                let read = pair.server.read(round)
                #expect(read.plain == [1] && read.status == .open)
            }
            #expect(pair.client.read(pair.server.seal([2])).plain == [2])
        }
    }

    @Test func `TLS 1.2 has no such thing`() throws {
        let pair = try pair(.tls12)
        let usual = pair.server.seal([1])
        pair.server.writtenCount = Self.most
        let wire = pair.server.seal([1])
        #expect(wire.count == usual.count)
        #expect(pair.client.read(usual + wire).plain == [1, 1])
    }
}
