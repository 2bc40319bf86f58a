// SPDX-License-Identifier: Apache-2.0
import TestKit
import Testing

@testable import HTTP2

/// Goal: a small message of a tunnel allocates nothing in steady state, and a request hardly anything.
///
/// Method: this test program runs itself once more, with one suite of it, under a library that counts
/// each thread's allocations.
@Suite(.enabled(if: AllocationCounting.isPossible, Comment(rawValue: AllocationCounting.whyNot)))
struct AllocationTests {
    @Test func `messages allocate nothing, and requests what nghttp2 needs`() throws {
        let counted = try AllocationCounting.run(suite: "CountedHTTP2AllocationTests")
        #expect(counted.status == 0, "\(counted.output)")
        #expect(counted.output.contains("with 2 tests in 1 suite passed"), "\(counted.output)")
        for line in counted.output.split(separator: "\n") where line.hasPrefix("HTTP/2:") {
            print(line)
        }
    }
}

/// What runs under the counting library, and nowhere else.
@Suite(.enabled(if: AllocationCounting.isOn, "it needs the counting library"))
struct CountedHTTP2AllocationTests {
    @Test func `a thousand small messages each way allocate for window updates alone`() throws {
        let counted = AllocationCounting.countOfThread
        #expect(counted != nil)
        let rig = Rig()
        let stream = rig.open(.headers(1, RawFrame.webSocket, ends: false))
        rig.answer(stream, 200, hasBody: true)
        let message = RawFrame.data(1, RawFrame.bytes(100)).bytes
        let updates = [RawFrame.windowUpdate(1, 100), .windowUpdate(0, 100)].bytes
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 1)
        defer { room.deallocate() }
        var windowUpdates = 0
        var allocations: UInt = 0
        for round in 0..<1_100 {
            let before = AllocationCounting.countOfThread ?? 0
            message.withUnsafeBytes { rig.connection.receive($0, milliseconds: 0) }
            while let event = rig.connection.nextEvent(), event.kind == .data {
                let bytes = rig.connection.arrived(stream)
                _ = rig.connection.send(stream, UnsafeRawBufferPointer(bytes))
                rig.connection.consume(stream, bytes.count)
            }
            let produced = rig.connection.produce(into: room)
            // A header of nine bytes and the message; what is more is a WINDOW_UPDATE of 13.
            windowUpdates += (produced - 109) / 13
            updates.withUnsafeBytes { rig.connection.receive($0, milliseconds: 0) }
            if round >= 100 {
                allocations += (AllocationCounting.countOfThread ?? 0) - before
            }
        }
        #expect(windowUpdates > 0 && rig.connection.end == nil)
        #expect(allocations <= UInt(windowUpdates), "\(allocations) for \(windowUpdates)")
    }

    @Test func `a request allocates what nghttp2 needs, and nothing grows`() throws {
        let rig = Rig()
        let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 65_536, alignment: 1)
        defer { room.deallocate() }
        var fields = HTTP2Fields()
        fields.append("content-type", "text/plain")
        fields.append("server", "x")
        let body = RawFrame.bytes(1_000)
        var allocations: UInt = 0
        for round in 0..<1_100 {
            let frame = RawFrame.headers(UInt32(round) * 2 + 1, RawFrame.get + [("a", "b")]).bytes
            let update = RawFrame.windowUpdate(0, 2_000).bytes
            let before = AllocationCounting.countOfThread ?? 0
            frame.withUnsafeBytes { rig.connection.receive($0, milliseconds: 0) }
            for _ in 0..<2 {
                while let event = rig.connection.nextEvent() {
                    if event.isRequest, let head = rig.connection.takeHead(event.stream) {
                        rig.memory.recycle(head)
                        rig.connection.answer(event.stream, status: 200, fields, hasBody: true)
                        _ = body.withUnsafeBytes { rig.connection.send(event.stream, $0) }
                        rig.connection.finish(event.stream)
                    } else if event.kind == .closed(.complete) {
                        rig.connection.forget(event.stream)
                    }
                }
                _ = rig.connection.produce(into: room)
            }
            while let event = rig.connection.nextEvent() { rig.connection.forget(event.stream) }
            update.withUnsafeBytes { rig.connection.receive($0, milliseconds: 0) }
            if round >= 100 {
                allocations += (AllocationCounting.countOfThread ?? 0) - before
            }
        }
        #expect(rig.connection.openStreams == 0 && rig.connection.end == nil)
        print("HTTP/2: allocations of 1,000 requests: \(allocations)")
        // Of each, nghttp2 makes some sixteen objects: its stream, the answer's fields and frame, the body's frame, and
        // what HPACK has to decode and encode. Most are small, and had been others' before.
        #expect(allocations <= 1_000 * 3, "\(allocations)")
    }
}
