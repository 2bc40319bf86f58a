// SPDX-License-Identifier: Apache-2.0
import Reactor
import TestKit
import Testing

@Suite struct HeldBytesTests {
    @Test func `two words at rest`() {
        #expect(MemoryLayout<HeldBytes>.size == 16)
    }

    /// Appends pieces of random size while the socket's tiny buffers take what they can.
    @Test(arguments: [1, 2, 3] as [UInt64])
    func `what was held arrives through a slow socket as it was`(seed: UInt64) throws {
        var random = SplitMix(seed: seed)
        let content = random.bytes(700_000)
        let pair = try Socket.pair()
        pair.first.setSendBuffer(bytes: 4608)
        pair.second.setReceiveBuffer(bytes: 4608)
        var pool = BufferPool(chunksKept: 4)
        var held = HeldBytes()
        var received: [UInt8] = []
        var given = 0
        var buffer = [UInt8](repeating: 0, count: 9000)
        while received.count < content.count {
            let piece = min(content.count - given, Int(random.next() % 40_000))
            if piece > 0 {
                content.withUnsafeBufferPointer { bytes in
                    guard let start = bytes.baseAddress else { return }
                    held.append(start + given, count: piece, pool: &pool)
                }
                given += piece
            }
            let drained = held.drain(into: pair.first, pool: &pool)
            #expect((drained == .emptied) == held.isEmpty)
            if case .failed(let code) = drained { Issue.record("sendmsg: \(code)") }
            let result = buffer.withUnsafeMutableBufferPointer { bytes -> IOResult in
                guard let start = bytes.baseAddress else { return .blocked }
                return pair.second.receive(into: start, count: 1 + Int(random.next() % 8999))
            }
            if case .moved(let count) = result { received += buffer[..<count] }
            #expect(received.count + held.count <= given)
        }
        #expect(received == content)
        #expect(held.isEmpty)
        #expect(pool.lentCount == 0)
    }

    @Test func `holding nothing owns no chunk and discarding gives all back`() {
        var pool = BufferPool(chunksKept: 1)
        var held = HeldBytes()
        #expect(pool.lentCount == 0)
        let bytes = [UInt8](repeating: 1, count: 100_000)
        held.append(bytes, count: bytes.count, pool: &pool)
        #expect(held.count == 100_000)
        #expect(pool.lentCount == 7)
        held.append(bytes, count: 0, pool: &pool)
        held.discard(pool: &pool)
        #expect(held.isEmpty)
        #expect(pool.lentCount == 0)
        held.discard(pool: &pool)
        held.append(bytes, count: 1, pool: &pool)
        #expect(held.count == 1)
        held.discard(pool: &pool)
    }

    @Test func `a peer that is gone is a failure and not a signal`() throws {
        var pool = BufferPool()
        var held = HeldBytes()
        let pair = try Socket.pair()
        let kept = pair.first
        do { _ = consume pair.second }
        held.append([1, 2, 3], count: 3, pool: &pool)
        let drained = held.drain(into: kept, pool: &pool)
        #expect(drained == .failed(32))
        held.discard(pool: &pool)
    }

    @Test func `a chunk that was given back is lent again`() {
        var pool = BufferPool(chunksKept: 2)
        let first = pool.lend()
        pool.giveBack(first)
        let second = pool.lend()
        #expect(first == second)
        pool.giveBack(second)
        #expect(pool.lentCount == 0)
    }
}
