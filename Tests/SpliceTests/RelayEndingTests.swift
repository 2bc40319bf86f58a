// SPDX-License-Identifier: Apache-2.0
import Ledger
import Testing
import Wire

@testable import Splice

/// How relays end: by Closes that pass, by peers that vanish, by a drain, by the deadline.
struct RelayEndingTests {
    /// Both peers go; the relay has ended and owns nothing.
    private func expectEnd(of rig: RelayRig) {
        rig.client.vanish()
        rig.backend.vanish()
        rig.settle()
        #expect(rig.isEnded)
        #expect(rig.lentCount == 0)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `a Close passes, its answer passes, and both streams end`(side: Side, end: ClientEnd)
        throws
    {
        let rig = try RelayRig.open(end)
        let close = Frames.from(side, .close, [0x0F, 0xA0] + Array("done".utf8))
        rig.exchange(side, close)
        #expect(rig.peer(side.other).takeReceived() == close)
        #expect(!rig.isEnded && !rig.client.hasEnded && !rig.backend.hasEnded)
        #expect(rig.deadlineMilliseconds > 0, "the answer is not awaited for ever")
        // The other may still send what it has under way.
        let last = Frames.from(side.other, .text, Array("one more".utf8))
        let answer = Frames.from(side.other, .close, [0x0F, 0xA0])
        rig.exchange(side.other, last)
        rig.exchange(side.other, answer)
        #expect(rig.peer(side).received == last + answer)
        #expect(rig.client.hasEnded)
        #expect(!rig.backend.hasEnded, "the upstream is the one to end TCP (RFC 6455 §7.1.1)")
        #expect(rig.client.wasClosedByNotify == (end == .tls))
        #expect(rig.ending.reason == .close)
        #expect(rig.ending.code == 4000)
        #expect(rig.ending.initiator == (side == .client ? .client : .upstream))
        #expect(!rig.isEnded, "the peers may close in order")
        expectEnd(of: rig)
    }

    @Test func `Closes that cross each other both arrive`() throws {
        let rig = try RelayRig.open()
        let up = Frames.close(from: .client, 1000)
        let down = Frames.close(from: .backend, 1012)
        rig.client.enqueue(up)
        rig.backend.enqueue(down)
        rig.exchange()
        #expect(rig.backend.received == up)
        #expect(rig.client.received == down)
        #expect(rig.ending.isOver)
        expectEnd(of: rig)
    }

    @Test(arguments: [Side.client, .backend])
    func `a Close split at any byte passes once it is whole`(side: Side) throws {
        let close = Frames.from(side, .close, [0x03, 0xE8] + Array("reason".utf8))
        for split in 1..<close.count {
            let rig = try RelayRig.open()
            rig.exchange(side, Array(close[..<split]))
            #expect(!rig.ending.hasBegun)
            rig.exchange(side, Array(close[split...]))
            #expect(rig.peer(side.other).received == close)
            #expect(rig.ending.code == 1000)
        }
    }

    @Test func `a Close without a code counts as 1005`() throws {
        let rig = try RelayRig.open()
        rig.exchange(.client, Frames.close(from: .client, nil))
        #expect(rig.backend.received == Frames.close(from: .client, nil))
        #expect(rig.ending.code == 1005)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `a peer that vanishes at a border is told of by a Close`(side: Side, end: ClientEnd) throws
    {
        let rig = try RelayRig.open(end)
        let text = Frames.from(side, .text, [1, 2, 3])
        rig.exchange(side, text)
        rig.peer(side).vanish()
        rig.exchange()
        let other = rig.peer(side.other)
        let received = other.takeReceived()
        #expect(received.starts(with: text))
        let behind = try #require(Frames.parse(Array(received.dropFirst(text.count))))
        #expect(behind.map(\.code) == [side == .client ? 1001 : 1014])
        #expect(behind.first?.isMasked == (side == .client))
        #expect(rig.ending.reason == .vanished)
        #expect(rig.ending.initiator == (side == .client ? .client : .upstream))
        #expect(rig.deadlineMilliseconds > 0)
        rig.exchange(side.other, Frames.close(from: side.other, 1000))
        #expect(other.hasEnded)
        expectEnd(of: rig)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `a peer that vanishes inside a frame leaves no Close in it`(
        side: Side, end: ClientEnd
    ) throws {
        let rig = try RelayRig.open(end)
        let frame = Frames.from(side, .binary, [UInt8](repeating: 7, count: 50))
        rig.exchange(side, Array(frame[..<30]))
        rig.peer(side).vanish()
        rig.exchange()
        let other = rig.peer(side.other)
        #expect(other.received == Array(frame[..<30]))
        #expect(other.hasEnded, "its stream was ended at once")
        #expect(rig.ending.reason == .vanished)
        expectEnd(of: rig)
    }

    @Test(arguments: [Side.client, .backend])
    func `an unfinished header of a peer that vanishes is no frame`(side: Side) throws {
        let rig = try RelayRig.open()
        rig.exchange(side, [0x82])
        rig.peer(side).vanish()
        rig.exchange()
        let frames = try #require(Frames.parse(rig.peer(side.other).received))
        #expect(frames.map(\.code) == [side == .client ? 1001 : 1014])
    }

    @Test(arguments: [Side.client, .backend])
    func `what a peer sent before it vanished arrives`(side: Side) throws {
        let rig = try RelayRig.open()
        let text = Frames.from(side, .binary, [UInt8](repeating: 3, count: 150_000))
        rig.peer(side).enqueue(text)
        #expect(rig.peer(side).unsentCount == 0 || rig.peer(side).unsentCount < text.count)
        while rig.peer(side).unsentCount > 0 { rig.exchange() }
        rig.peer(side).vanish()
        rig.exchange()
        #expect(rig.peer(side.other).received.starts(with: text))
        #expect(Frames.parse(rig.peer(side.other).received)?.count == 2)
        expectEnd(of: rig)
    }

    @Test func `a client that closes TLS in order, but without a Close, has vanished`() throws {
        let rig = try RelayRig.open(.tls)
        rig.client.shutdown()
        rig.exchange()
        #expect(Frames.parse(rig.backend.received)?.map(\.code) == [1001])
        #expect(rig.ending.reason == .vanished)
    }

    @Test(arguments: [false, true])
    func `a Close meant for a backend that is gone still counts`(isSplit: Bool) throws {
        let rig = try RelayRig.open()
        let close = Frames.from(.client, .close, [0x03, 0xE8] + Array("bye".utf8))
        let head = isSplit ? close.count - 2 : 0
        rig.exchange(.client, Array(close[..<head]))
        // The client's bytes are found first, and can't be sent any more.
        rig.client.enqueue(Array(close[head...]))
        rig.backend.vanish()
        rig.exchange()
        #expect(rig.ending.reason == .close)
        #expect(rig.ending.initiator == .client)
        #expect(rig.ending.code == 1000)
        #expect(Frames.parse(rig.client.received)?.map(\.code) == [1014])
        #expect(rig.client.hasEnded, "nothing more is awaited of a client that has said Close")
        expectEnd(of: rig)
    }

    @Test func `the rest of a Close counts though its destination has gone meanwhile`() throws {
        let rig = try RelayRig.open()
        let close = Frames.from(.client, .close, [0x03, 0xE8] + Array("bye".utf8))
        rig.exchange(.client, Array(close.dropLast(2)))
        rig.backend.vanish()
        rig.exchange()
        #expect(!rig.ending.isOver)
        rig.exchange(.client, Array(close.suffix(2)))
        #expect(rig.ending.isOver)
        #expect(rig.client.hasEnded)
        expectEnd(of: rig)
    }

    @Test(arguments: ClientEnd.allCases)
    func `a drain tells both, and the answers end it`(end: ClientEnd) throws {
        let rig = try RelayRig.open(end)
        rig.drain(code: 1012, deadline: 4_711)
        #expect(rig.deadlineMilliseconds == 4_711)
        rig.exchange()
        let down = try #require(Frames.parse(rig.client.takeReceived()))
        let up = try #require(Frames.parse(rig.backend.takeReceived()))
        #expect(down.map(\.code) == [1012] && down.map(\.isMasked) == [false])
        #expect(up.map(\.code) == [1012] && up.map(\.isMasked) == [true])
        rig.exchange(.client, Frames.client(.text, [1]) + Frames.close(from: .client, 1012))
        #expect(!rig.ending.isOver)
        rig.exchange(.backend, Frames.server(.text, [1]) + Frames.close(from: .backend, 1012))
        #expect(rig.ending.isOver)
        #expect(rig.client.received == [] && rig.backend.received == [])
        #expect(rig.ending.reason == .drain && rig.ending.initiator == .sluice)
        expectEnd(of: rig)
    }

    @Test(arguments: [Side.client, .backend], ClientEnd.allCases)
    func `a drain waits for the border of a frame, and the rest is dropped`(
        side: Side, end: ClientEnd
    ) throws {
        let frame = Frames.from(side, .binary, [UInt8](repeating: 5, count: 300))
        for cut in [1, 2, 7, 8, 9, 150, frame.count - 1] {
            let rig = try RelayRig.open(end)
            rig.exchange(side, Array(frame[..<cut]))
            let passed = rig.peer(side.other).received.count
            rig.drain(code: 1001)
            rig.exchange()
            let other = rig.peer(side.other)
            if passed > 0 {
                #expect(other.received == Array(frame[..<passed]), "cut at \(cut)")
                rig.exchange(side, Array(frame[cut...]) + frame + frame)
            }
            let received = other.takeReceived()
            let whole = passed > 0 ? frame : []
            #expect(received.starts(with: whole), "cut at \(cut)")
            let behind = try #require(Frames.parse(Array(received.dropFirst(whole.count))))
            #expect(behind.map(\.code) == [1001], "cut at \(cut)")
            #expect(Frames.parse(rig.peer(side).takeReceived())?.map(\.code) == [1001])
        }
    }

    @Test func `a Close that was under way when the drain came is not doubled`() throws {
        let rig = try RelayRig.open()
        let close = Frames.from(.client, .close, [0x03, 0xE8] + Array("bye".utf8))
        rig.exchange(.client, Array(close[..<9]))
        rig.drain(code: 1001)
        rig.exchange(.client, Array(close[9...]))
        #expect(rig.backend.received == close)
        #expect(Frames.parse(rig.client.received)?.map(\.code) == [1001])
        rig.exchange(.backend, Frames.close(from: .backend, 1000))
        #expect(rig.ending.isOver)
    }

    @Test func `a drain of a relay that is closing tells who does not know yet`() throws {
        let rig = try RelayRig.open()
        rig.exchange(.client, Frames.close(from: .client, 1000))
        rig.drain(code: 1001)
        rig.exchange()
        #expect(Frames.parse(rig.client.received)?.map(\.code) == [1001])
        #expect(Frames.parse(rig.backend.received)?.map(\.code) == [1000])
        #expect(rig.ending.reason == .close, "the first cause wins")
    }

    @Test(arguments: [Side.client, .backend])
    func `who does not answer a Close is cut at the deadline`(side: Side) throws {
        let rig = try RelayRig.open(smallBuffers: true)
        let now = rig.space.pointee.nowMilliseconds
        rig.peer(side.other).isDeaf = true
        rig.exchange(side, Frames.from(side, .binary, [UInt8](repeating: 1, count: 200_000)))
        #expect(rig.lentCount > 0)
        rig.peer(side.other).isDeaf = false
        rig.exchange()
        rig.exchange(side, Frames.close(from: side, 1000))
        #expect(
            rig.deadlineMilliseconds == now + rig.space.pointee.patience.closingMilliseconds)
        rig.deadlinePassed()
        #expect(rig.isEnded)
        #expect(rig.lentCount == 0)
        #expect(rig.ending.reason == .close)
    }

    @Test func `a deadline takes back what a deaf peer was to get`() throws {
        let rig = try RelayRig.open(.tls, smallBuffers: true)
        rig.client.isDeaf = true
        rig.exchange(.backend, Frames.server(.binary, [UInt8](repeating: 1, count: 400_000)))
        rig.drain(code: 1001)
        #expect(rig.lentCount > 0)
        rig.deadlinePassed()
        #expect(rig.isEnded)
        #expect(rig.lentCount == 0)
    }
}
