// SPDX-License-Identifier: Apache-2.0
import CIPSecMB
import Foundation
import TestKit
import Testing

@testable import TLS

/// Goal: what is kept of keys is right for each session, and is overwritten when it is not needed.
///
/// With every form that this processor can run.
@Suite(.enabled(if: Engines.fault == nil, "intel-ipsec-mb can't be used here"))
struct ExpandedKeysTests {
    private static let suites = [RecordSuite.aes128GCM, .aes256GCM]

    /// A key whose bytes follow from its number; its memory is the caller's.
    private func key(
        _ number: UInt64, _ memory: UnsafeMutablePointer<UInt8>, byte: UInt8
    ) -> TrafficKey {
        memory.initialize(repeating: byte, count: TrafficKey.byteCount)
        return TrafficKey(bytes: memory, sequence: 0, number: number)
    }

    private func withKeys(
        _ form: GCMForm, _ body: (ExpandedKeys, UnsafeMutablePointer<UInt8>) throws -> Void
    ) throws {
        let keys = try #require(ExpandedKeys(form))
        let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: TrafficKey.byteCount)
        defer {
            keys.free()
            memory.deallocate()
        }
        try body(keys, memory)
    }

    private func bytes(_ place: UnsafeMutableRawPointer) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: place, count: ExpandedKeys.placeBytes))
    }

    @Test(arguments: suites, suites)
    func `a key that takes another's place leaves nothing of it`(
        first: RecordSuite, second: RecordSuite
    ) throws {
        for form in Engines.forms {
            var alone: [UInt8] = []
            try withKeys(form) { keys, memory in
                alone = bytes(keys.expanded(key(7, memory, byte: 2), second))
            }
            try withKeys(form) { keys, memory in
                let before = keys.expanded(key(7, memory, byte: 1), first)
                #expect(bytes(before) != alone)
                let next = key(7 + UInt64(ExpandedKeys.placeCount), memory, byte: 2)
                let after = keys.expanded(next, second)
                #expect(after == before)
                #expect(bytes(after) == alone, "\(form.name)")
            }
        }
    }

    @Test(arguments: suites)
    func `a key that is forgotten is overwritten, and no other is`(suite: RecordSuite) throws {
        let nothing = [UInt8](repeating: 0, count: ExpandedKeys.placeBytes)
        for form in Engines.forms {
            try withKeys(form) { keys, memory in
                let place = keys.expanded(key(7, memory, byte: 1), suite)
                let expanded = bytes(place)
                #expect(expanded != nothing)
                keys.forget(key(7 + UInt64(ExpandedKeys.placeCount), memory, byte: 3), suite)
                #expect(bytes(place) == expanded)
                keys.forget(key(7, memory, byte: 1), suite)
                #expect(bytes(place) == nothing)
            }
        }
    }

    @Test(arguments: suites, [1, 100, 2_048, 2_049, 16_384])
    func `nothing is left of a record that nobody sealed`(suite: RecordSuite, count: Int) throws {
        for form in Engines.forms {
            let ciphers = RecordCiphers(RecordEngine(form))
            let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: TrafficKey.byteCount)
            defer {
                ciphers.free()
                memory.deallocate()
            }
            var sealing = key(1, memory, byte: 9)
            let plain = [UInt8](repeating: 0x61, count: count)
            var record = [UInt8](repeating: 0, count: count + RecordLayer.overheadBytes)
            let made = ciphers.seal(23, plain, count: count, &sealing, suite, into: &record)
            #expect(made == record.count)
            record[record.count - 1] ^= 1
            var opening = key(1, memory, byte: 9)
            var opened = [UInt8](repeating: 0xFF, count: count + 1)
            let isOpened = ciphers.open(
                record, bodyCount: record.count - 5, &opening, suite, into: &opened)
            #expect(!isOpened)
            #expect(opening.sequence == 0)
            #expect(opened == [UInt8](repeating: 0, count: count + 1))
        }
    }

    @Test func `more sessions than places do not mix up their keys`() throws {
        for form in Engines.forms {
            let fast = RecordCiphers(RecordEngine(form))
            let known = RecordCiphers(.openSSL)
            let count = ExpandedKeys.placeCount + 100
            let memory = UnsafeMutablePointer<UInt8>.allocate(
                capacity: count * TrafficKey.byteCount)
            defer {
                fast.free()
                known.free()
                memory.deallocate()
            }
            var random = SplitMix(seed: 3)
            var keys: [(key: TrafficKey, suite: RecordSuite)] = []
            for index in 0..<count {
                let place = memory + index * TrafficKey.byteCount
                for at in 0..<TrafficKey.byteCount {
                    place[at] = UInt8.random(in: 0...255, using: &random)
                }
                let key = TrafficKey(bytes: place, sequence: 0, number: fast.nextKeyNumber())
                keys.append((key, Self.suites[index % 3 == 0 ? 1 : 0]))
            }
            var (record, expected) = (
                [UInt8](repeating: 0, count: 400), [UInt8](repeating: 0, count: 400)
            )
            for round in 0..<5_000 {
                let index = Int.random(in: 0..<count, using: &random)
                let suite = keys[index].suite
                let plain = [UInt8](repeating: UInt8(round & 0xFF), count: round % 300 + 1)
                var other = keys[index].key
                let made = fast.seal(
                    23, plain, count: plain.count, &keys[index].key, suite, into: &record)
                #expect(
                    known.seal(23, plain, count: plain.count, &other, suite, into: &expected)
                        == made)
                #expect(record == expected)
            }
        }
    }

    /// A reload may change who does it.
    @Test func `a session goes on when another engine takes over`() throws {
        let store = try Identities.shared().store([Identities.shared().local])
        let pair = MemoryPair(store, client: try client())
        #expect(pair.handshake() == (.done, .done))
        try #require(pair.server.release() == .released)
        for round in 0..<12 {
            pair.server.use(Engines.all[round % Engines.all.count])
            let plain = [UInt8](repeating: UInt8(round), count: 5_000)
            #expect(pair.server.read(pair.client.seal(plain)).plain == plain)
            #expect(pair.client.read(pair.server.seal(plain)).plain == plain)
        }
    }
}
