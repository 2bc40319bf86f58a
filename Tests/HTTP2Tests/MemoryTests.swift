// SPDX-License-Identifier: Apache-2.0
import CNghttp2
import Glibc
import TestKit
import Testing

@testable import HTTP2

/// What connections and streams cost, and that nothing grows.
struct MemoryTests {
    @Test func `an idle connection and an open stream cost what is stated`() {
        let rig = Rig()
        let idle = rig.connection.memoryBytes
        print("HTTP/2: bytes of an idle connection: \(idle)")
        // 16.4 kB of it is the buffer for one frame that nghttp2 keeps.
        #expect(idle < 27_000)
        var streams: [HTTP2Stream] = []
        for id in stride(from: UInt32(1), to: 201, by: 2) {
            let stream = rig.open(.headers(id, RawFrame.webSocket, ends: false))
            if let head = rig.connection.takeHead(stream) { rig.memory.recycle(head) }
            rig.answer(stream, 200, hasBody: true)
            _ = rig.output()
            streams.append(stream)
        }
        let each = (rig.connection.memoryBytes - idle) / 100
        print("HTTP/2: bytes of an open tunnel's stream: \(each)")
        #expect(streams.count == 100 && each < 1_024 && rig.memory.usedBytes == 0)
    }

    @Test(arguments: [1, 7, 8, 16, 23, 24, 40, 519, 536, 4_096])
    func `what another malloc makes smaller or larger than this one is not kept`(_ size: Int) {
        var objects = LibraryMemory.FreeObjects()
        guard let object = malloc(4_096) else { return }
        let isKept = objects.keep(object, size)
        #expect(isKept == (24..<536 ~= size))
        #expect((objects.take((size - 8) / 16 * 16 + 8) == object) == isKept)
        free(object)
    }

    @Test func `10,000 streams opened and closed leave nothing behind`() {
        let rig = Rig {
            $0.resetsReceived = HTTP2Budget(burst: 10_000, perSecond: 0)
        }
        var marks: [Int] = []
        for number in 0..<10_000 {
            let id = UInt32(number) * 2 + 1
            let stream = rig.open(
                .headers(id, RawFrame.post + [("x-number", "\(number % 10)")], ends: false),
                .data(id, RawFrame.bytes(300), ends: number % 3 != 0))
            if let head = rig.connection.takeHead(stream) { rig.memory.recycle(head) }
            rig.answer(stream, 200, [("x-number", "\(number % 10)")], hasBody: true)
            rig.send(stream, RawFrame.bytes(700))
            rig.connection.finish(stream)
            let sent = rig.frames()
            if number % 3 == 0 { rig.receive(.reset(id)) }
            // What was used of the connection's window comes back.
            rig.receive(.windowUpdate(0, UInt32(sent.of(0).flatMap(\.payload).count) + 324))
            guard case .closed? = rig.kinds().last else {
                Issue.record("stream \(id) is not closed")
                return
            }
            rig.connection.forget(stream)
            if number % 1_000 == 999 { marks.append(rig.connection.memoryBytes) }
            rig.now += 1
        }
        #expect(rig.connection.end == nil && rig.connection.openStreams == 0)
        #expect(Set(marks.dropFirst()).count == 1, "\(marks)")
        #expect(rig.memory.usedBytes == 0)
    }

    @Test func `128 busy streams leave an idle connection that costs little`() {
        let rig = Rig()
        let idle = rig.connection.memoryBytes
        var streams: [HTTP2Stream] = []
        for number in 0..<128 {
            streams.append(
                rig.open(
                    .headers(UInt32(number) * 2 + 1, RawFrame.post, ends: false),
                    .data(UInt32(number) * 2 + 1, [1], ends: true)))
        }
        for stream in streams {
            rig.answer(stream)
            _ = rig.output()
            rig.connection.forget(stream)
        }
        _ = rig.events()
        #expect(rig.connection.openStreams == 0 && rig.connection.memoryBytes < idle + 4_096)
    }

    @Test(.enabled(if: AllocationCounting.isPossible, Comment(rawValue: AllocationCounting.whyNot)))
    func `what nghttp2 has freed is taken once, for what fits into it`() throws {
        var objects = LibraryMemory.FreeObjects()
        defer { objects.clear() }
        var kept: [UnsafeMutableRawPointer: Int] = [:]
        for size in 1...600 {
            let object = try #require(malloc(size))
            let usable = malloc_usable_size(object)
            let isKept = objects.keep(object, usable)
            #expect(isKept == (usable <= 520), "\(size)")
            if isKept { kept[object] = usable } else { free(object) }
        }
        for size in [0, 1, 24, 25, 100, 520, 1, 520, 521, 100_000, Int.max] {
            guard let object = objects.take(size) else {
                #expect(size > 520)
                continue
            }
            let usable = kept.removeValue(forKey: object)
            #expect(usable.map { $0 >= size } == true, "it was not taken before, and has room")
            free(object)
        }
        while let object = objects.take(520) {
            let usable = kept.removeValue(forKey: object)
            #expect(usable != nil)
            free(object)
        }
    }

    @Test func `a buffer for frames is nobody else's, and only its first page is kept`() throws {
        var buffers = FrameBuffers()
        defer { buffers.unmap() }
        let pageBytes = 4_096
        func residentPages(_ buffer: UnsafeMutableRawPointer) -> Int {
            var pages = [UInt8](repeating: 0, count: 5)
            #expect(mincore(buffer, 5 * pageBytes, &pages) == 0)
            return pages.reduce(0) { $0 + Int($1 & 1) }
        }
        let taken = [buffers.take(), buffers.take()]
        let first = try #require(taken[0])
        let second = try #require(taken[1])
        #expect(UInt(bitPattern: first) % UInt(pageBytes) == 0)
        #expect(residentPages(first) == 0)
        first.storeBytes(of: 7, as: UInt8.self)
        #expect(residentPages(first) == 1)
        #expect(second - first >= FrameBuffers.sizes.upperBound)
        memset(second, 7, FrameBuffers.sizes.upperBound)
        #expect(residentPages(second) == 5)
        let other = try #require(malloc(16_384))
        #expect(buffers.holds(first) && buffers.holds(second) && !buffers.holds(other))
        free(other)
        buffers.giveBack(second)
        #expect(residentPages(second) == 1)
        let again = buffers.take()
        #expect(again == second)
        for buffer in [first, second] { buffers.giveBack(buffer) }
    }

    @Test func `a queue of bytes keeps their order through every growth and shift`() {
        let memory = HTTP2Memory(keptBytesMax: 4_096)
        var queue = ByteQueue()
        var model: [UInt8] = []
        var number: UInt8 = 0
        var random = SplitMix(seed: 1)
        for _ in 0..<3_000 {
            if Bool.random(using: &random) || model.count > 100_000 {
                let count = Int.random(
                    in: 0...(model.count > 50_000 ? 30_000 : 3_000), using: &random)
                queue.drop(count, memory.blocks)
                model.removeFirst(min(count, model.count))
            } else {
                let count = Int.random(in: 0...3_000, using: &random)
                let more = (0..<count).map { _ in
                    number &+= 1
                    return number
                }
                let isIn = more.withUnsafeBytes { queue.append($0, memory.blocks) }
                #expect(isIn)
                model += more
            }
            #expect(queue.count == model.count)
            if queue.count != model.count || Array(queue.bytes) != model {
                Issue.record("they differ at \(model.count) bytes")
                return
            }
            #expect((memory.usedBytes == 0) == model.isEmpty)
            // What is in front of the bytes and behind them is anybody's; it is nobody else's memory.
            if let start = queue.bytes.baseAddress {
                for offset in 0..<ByteQueue.margin {
                    start.storeBytes(of: 0xEE, toByteOffset: -1 - offset, as: UInt8.self)
                    start.storeBytes(of: 0xEE, toByteOffset: queue.count + offset, as: UInt8.self)
                }
            }
        }
        queue.clear(memory.blocks)
        #expect(memory.usedBytes == 0)
    }

    @Test(arguments: [
        (0, 1_024), (1, 1_024), (1_024, 1_024), (1_025, 2_048), (2_048, 2_048), (2_049, 4_096),
        (65_535, 65_536), (262_145, 524_288),
    ])
    func `a block has the next power of two`(count: Int, size: Int) {
        #expect(HTTP2Memory.Blocks.bytes(for: count) == size)
    }

    @Test func `a budget refills with time and never beyond its burst`() {
        let policy = HTTP2Policy(.usual)
        var budgets = AbuseBudgets(milliseconds: 0)
        func spendAll() -> Int {
            var count = 0
            while budgets.spend(.pings, policy) { count += 1 }
            return count
        }
        #expect(spendAll() == 120 && spendAll() == 0)
        budgets.refill(milliseconds: 99, policy)
        #expect(spendAll() == 0)
        budgets.refill(milliseconds: 100, policy)
        #expect(spendAll() == 1)
        budgets.refill(milliseconds: 1_100, policy)
        #expect(spendAll() == 10)
        budgets.refill(milliseconds: 500, policy)
        #expect(spendAll() == 0, "time that goes back gives nothing")
        budgets.refill(milliseconds: .max, policy)
        #expect(spendAll() == 120)
        budgets.earn(5, .pings)
        #expect(spendAll() == 5)
        budgets.refill(milliseconds: .min, policy)
        #expect(spendAll() == 0)
    }
}
