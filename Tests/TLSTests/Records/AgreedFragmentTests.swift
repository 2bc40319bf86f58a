// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// Goal: what the handshake agreed on the size of records (max_fragment_length, RFC 6066 §4) holds as
/// long as the session lives, in both of its forms and both directions.
@Suite(.eachEngine, .namingEngine)
struct AgreedFragmentTests {
    static let codes = [UInt8(1), 2, 3, 4]
    static let suites = RecordLayerTests.suites

    /// A pair that has agreed on 2^(8 + code) bytes; on nothing where the code is 0.
    private func pair(
        _ code: UInt8, suite: String? = nil, resuming ticket: ResumptionTicket? = nil,
        _ store: CertificateStore? = nil
    ) throws -> MemoryPair {
        let identities = try Identities.shared()
        let store =
            try store
            ?? identities.store(
                [identities.local],
                options: TLSServerOptions(minimumVersion: .tls12, cipherSuites: suite))
        let pair = MemoryPair(store, client: try client(), resuming: ticket)
        let pointer = try #require(pair.client.pointer)
        #expect(SSL_set_tlsext_max_fragment_length(pointer, code) == 1)
        #expect(pair.handshake() == (.done, .done))
        return pair
    }

    /// The lengths of the records' bodies.
    private func lengths(_ wire: [UInt8]) -> [Int] {
        var lengths: [Int] = []
        var at = 0
        while at + 5 <= wire.count {
            lengths.append(Int(wire[at + 3]) << 8 | Int(wire[at + 4]))
            at += 5 + lengths[lengths.count - 1]
        }
        return lengths
    }

    @Test(arguments: codes, suites)
    func `records are as short after the release as before`(code: UInt8, suite: String) throws {
        let pair = try pair(code, suite: suite)
        let most = 1 << (8 + Int(code))
        let plain = (0..<8_192).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let before = pair.server.seal(plain)
        #expect(pair.client.read(before).plain == plain)
        try #require(pair.server.release() == .released)
        let after = pair.server.seal(plain)
        #expect(lengths(after) == lengths(before))
        #expect(lengths(after) == [Int](repeating: most + 1 + 16, count: 8_192 / most))
        // A client that keeps to it refuses what is longer.
        let read = pair.client.read(after)
        #expect(read.plain == plain && read.status == .open)
        for count in [1, most - 1, most, most + 1, 100_000] {
            let plain = [UInt8](repeating: 3, count: count)
            let wire = pair.server.seal(plain)
            #expect(lengths(wire).count == (count + most - 1) / most)
            #expect(pair.client.read(wire).plain == plain)
        }
    }

    @Test func `without an agreement records are as long as they may be`() throws {
        let pair = try pair(0)
        try #require(pair.server.release() == .released)
        #expect(lengths(pair.server.seal([UInt8](repeating: 1, count: 40_000))).first == 16_401)
    }

    @Test(arguments: codes)
    func `a resumed session keeps to it too`(code: UInt8) throws {
        let identities = try Identities.shared()
        let store = try identities.store([identities.local])
        let first = try pair(code, store)
        let second = try pair(code, resuming: first.client.ticket, store)
        #expect(second.server.facts?.isResumed == true)
        try #require(second.server.release() == .released)
        let wire = second.server.seal([UInt8](repeating: 1, count: 9_000))
        #expect(lengths(wire).max() == (1 << (8 + Int(code))) + 17)
        #expect(second.client.read(wire).status == .open)
    }

    @Test(arguments: codes, [false, true])
    func `a client that sends more than it agreed to gets record_overflow`(
        code: UInt8, isReleased: Bool
    ) throws {
        let pair = try pair(code)
        let forger = try Forger(pair.client)
        if isReleased { try #require(pair.server.release() == .released) }
        let most = 1 << (8 + Int(code))
        let full = [UInt8](repeating: 7, count: most)
        #expect(pair.server.read(try forger.seal(23, full)).plain == full)
        #expect(pair.server.read(try forger.seal(23, full + [7])).status == .failed)
        #expect(try forger.open(pair.server.output()) == [[2, 22, 21]])
    }

    /// Room for a full window of data has to be room for it in short records as well.
    @Test func `as much is sealed at once in short records as in long ones`() throws {
        let pair = try pair(1)
        try #require(pair.server.release() == .released)
        // What one turn of a reactor opens at most, and twice as much for its records.
        let plain = [UInt8](repeating: 1, count: RecordBuffers.outputCapacityDefault / 2)
        let wire = pair.server.seal(plain)
        #expect(pair.client.read(wire).plain.count == plain.count)
    }
}
