// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@Suite struct PollerTests {
    @Test func `an edge is reported once, and again when more comes`() throws {
        let pair = try Socket.pair()
        var poller = try Poller()
        let token = Token(index: 5, generation: 6, tag: 1)
        let isWatched = poller.add(pair.first.descriptor, token, .edgeBoth)
        #expect(isWatched)
        var count = poller.wait(timeoutMilliseconds: 0)
        try #require(count == 1)
        expect(poller.event(0).token == token)
        expect(poller.event(0).flags == .writable)
        count = poller.wait(timeoutMilliseconds: 0)
        #expect(count == 0)
        _ = pair.second.send([1], count: 1)
        count = poller.wait(timeoutMilliseconds: 0)
        try #require(count == 1)
        expect(poller.event(0).flags.contains(.readable))
        count = poller.wait(timeoutMilliseconds: 0)
        #expect(count == 0)
        _ = pair.second.send([2], count: 1)
        count = poller.wait(timeoutMilliseconds: 0)
        #expect(count == 1)
        pair.second.shutdownWrite()
        count = poller.wait(timeoutMilliseconds: 0)
        try #require(count == 1)
        expect(poller.event(0).flags.contains(.hangup))
    }

    @Test func `what is removed is not reported, and modifying reports a standing edge anew`()
        throws
    {
        let pair = try Socket.pair()
        var poller = try Poller(eventsMax: 1)
        let token = Token(index: 1, generation: 1)
        _ = poller.add(pair.first.descriptor, token, .edgeBoth)
        _ = poller.wait(timeoutMilliseconds: 0)
        _ = poller.modify(pair.first.descriptor, token.tagged(3), .edgeBoth)
        var count = poller.wait(timeoutMilliseconds: 0)
        try #require(count == 1)
        expect(poller.event(0).token.tag == 3)
        let wasThere = poller.remove(pair.first.descriptor)
        #expect(wasThere)
        let isThere = poller.remove(pair.first.descriptor)
        #expect(!isThere)
        _ = pair.second.send([1], count: 1)
        count = poller.wait(timeoutMilliseconds: 0)
        #expect(count == 0)
    }

    @Test func `events beyond the batch's room come with the next batch`() throws {
        let one = try Socket.pair()
        let two = try Socket.pair()
        var poller = try Poller(eventsMax: 1)
        _ = poller.add(one.first.descriptor, Token(index: 1, generation: 0), .edgeBoth)
        _ = poller.add(two.first.descriptor, Token(index: 2, generation: 0), .edgeBoth)
        var seen: Set<UInt32> = []
        for _ in 0..<2 {
            let count = poller.wait(timeoutMilliseconds: 0)
            try #require(count == 1)
            seen.insert(poller.event(0).token.index)
        }
        #expect(seen == [1, 2])
    }

    @Test func `a blocked send goes on when the peer has read`() throws {
        let pair = try Socket.pair()
        pair.first.setSendBuffer(bytes: 4608)
        var poller = try Poller()
        _ = poller.add(pair.first.descriptor, Token.fixed(0), .edgeBoth)
        _ = poller.wait(timeoutMilliseconds: 0)
        let bytes = [UInt8](repeating: 9, count: 4096)
        var sent = 0
        while case .moved(let count) = pair.first.send(bytes, count: bytes.count) { sent += count }
        var count = poller.wait(timeoutMilliseconds: 0)
        #expect(count == 0)
        var buffer = [UInt8](repeating: 0, count: 1 << 20)
        var received = 0
        while received < sent {
            let result = buffer.withUnsafeMutableBufferPointer { room -> IOResult in
                guard let start = room.baseAddress else { return .blocked }
                return pair.second.receive(into: start, count: room.count)
            }
            guard case .moved(let moved) = result else { break }
            received += moved
        }
        #expect(received == sent)
        count = poller.wait(timeoutMilliseconds: 0)
        try #require(count == 1)
        expect(poller.event(0).flags == .writable)
        let again = pair.first.send(bytes, count: bytes.count)
        #expect(again == .moved(bytes.count))
    }
}
