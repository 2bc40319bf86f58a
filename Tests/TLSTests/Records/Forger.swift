// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Testing

@testable import TLS

/// Whoever knows a client's keys, and can seal what no client would.
final class Forger {
    private let ciphers = RecordCiphers(.openSSL)
    private let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: 2 * TrafficKey.byteCount)
    private let suite: RecordSuite
    /// What the client seals with.
    var sealing: TrafficKey
    /// What the server seals with.
    var opening: TrafficKey

    /// Copies the secrets of a client whose handshake is done, and which has read one ticket.
    init(_ client: MemoryEnd, ticketCount: UInt64 = 1) throws {
        let layout = try #require(TrafficSecretLayout.learned)
        let ssl = UnsafeRawPointer(try #require(client.pointer))
        let facts = try #require(client.facts)
        suite = try #require(RecordSuite(number: facts.cipher))
        sealing = TrafficKey(bytes: memory, sequence: 0)
        opening = TrafficKey(bytes: memory + TrafficKey.byteCount, sequence: ticketCount)
        UnsafeMutableRawPointer(sealing.secret).copyMemory(
            from: ssl + layout.client, byteCount: suite.secretBytes)
        UnsafeMutableRawPointer(opening.secret).copyMemory(
            from: ssl + layout.server, byteCount: suite.secretBytes)
        let isDerived =
            sealing.derive(suite, number: ciphers.nextKeyNumber())
            && opening.derive(suite, number: ciphers.nextKeyNumber())
        #expect(isDerived)
    }

    deinit {
        ciphers.free()
        memory.deallocate()
    }

    /// A record with this inner plaintext and type.
    func seal(_ type: UInt8, _ plain: [UInt8]) throws -> [UInt8] {
        var record = [UInt8](repeating: 0, count: plain.count + RecordLayer.overheadBytes)
        let source = plain.isEmpty ? [0] : plain
        let made = ciphers.seal(type, source, count: plain.count, &sealing, suite, into: &record)
        #expect(try #require(made) == record.count)
        return record
    }

    /// A record of the server's with this inner plaintext and type.
    func sealAsServer(_ type: UInt8, _ plain: [UInt8]) throws -> [UInt8] {
        var record = [UInt8](repeating: 0, count: plain.count + RecordLayer.overheadBytes)
        let made = ciphers.seal(type, plain, count: plain.count, &opening, suite, into: &record)
        #expect(try #require(made) == record.count)
        return record
    }

    /// The inner plaintexts of the server's records, each with its type at the end.
    func open(_ wire: [UInt8]) throws -> [[UInt8]] {
        var records: [[UInt8]] = []
        var rest = wire[...]
        while rest.count > RecordLayer.headerBytes {
            let start = rest.startIndex
            let length = Int(rest[start + 3]) << 8 | Int(rest[start + 4])
            let record = Array(rest.prefix(RecordLayer.headerBytes + length))
            var plain = [UInt8](repeating: 0, count: length)
            let isOpened = ciphers.open(
                record, bodyCount: length, &opening, suite, into: &plain)
            try #require(isOpened, "the server's record can't be opened")
            records.append(Array(plain.prefix(length - RecordSuite.tagBytes)))
            rest = rest.dropFirst(record.count)
        }
        return records
    }

    /// Takes the server's new keys, as after its KeyUpdate.
    func updateOpening() {
        let isUpdated = opening.update(suite, ciphers)
        #expect(isUpdated)
    }

    /// Takes the client's new keys, as after one that it sent.
    func updateSealing() {
        let isUpdated = sealing.update(suite, ciphers)
        #expect(isUpdated)
    }
}
