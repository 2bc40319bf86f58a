// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@testable import Splice
@testable import TLS

/// How a connection ends that never had a tunnel.
struct LegLeavingTests {
    /// A leg that leaves, and the peer that it leaves.
    private final class Rig {
        let space: UnsafeMutablePointer<Workspace>
        let leg: UnsafeMutablePointer<Leg>
        let peer: RigPeer
        private var leaving = Leaving()
        private(set) var isOver = false
        /// The most bytes that one turn has read.
        private(set) var turnBytesMax = 0

        init(tls: Bool, smallBuffers: Bool = false) throws {
            space = .allocate(capacity: 1)
            space.initialize(
                to: Workspace(
                    receiveCapacity: 16 * 1024, pumpBytesMax: 256 * 1024, patience: .tests))
            let pair = try Socket.pair()
            if smallBuffers { pair.first.setSendBuffer(bytes: 4_096) }
            peer = RigPeer(pair.second)
            leg = .allocate(capacity: 1)
            leg.initialize(to: Leg(pair.first))
            guard tls else { return }
            try peer.startTLS()
            leg.pointee.tls = TLSSession.accepting(
                try Store.shared().initial, through: space.pointee.records)
            var isDone = false
            while !isDone || !peer.isSecure {
                peer.handshake()
                leg.pointee.note(.readable)
                let received = leg.pointee.receiveRaw(space)
                if received.count > 0 {
                    space.pointee.records.setInput(received.bytes, count: received.count)
                    isDone = leg.pointee.tls?.handshake() == .done || isDone
                }
                leg.pointee.flushRecords(space)
            }
        }

        deinit {
            leg.pointee.release(space)
            leg.deinitialize(count: 1)
            leg.deallocate()
            space.deinitialize(count: 1)
            space.deallocate()
        }

        func send(_ bytes: [UInt8]) {
            bytes.withUnsafeBufferPointer { buffer in
                guard let start = buffer.baseAddress else { return }
                leg.pointee.put(start, count: buffer.count, space)
            }
        }

        func leave() { isOver = leg.pointee.leave(space) }

        /// Turns until nothing moves any more.
        func settle() {
            var before = -1
            while !isOver && before != peer.movedCount {
                before = peer.movedCount
                peer.pump()
                var progress = Leaving.Progress.again
                while case .again = progress {
                    let left = leaving.droppable
                    progress = leg.pointee.readOff(&leaving, [.readable, .writable], space)
                    turnBytesMax = max(turnBytesMax, Int(left - leaving.droppable))
                }
                if case .over = progress { isOver = true }
                peer.pump()
            }
        }
    }

    @Test(arguments: [false, true])
    func `an answer is delivered, and what still comes is read off`(tls: Bool) throws {
        let rig = try Rig(tls: tls)
        rig.peer.enqueue([UInt8](repeating: 0x20, count: 300_000))
        let answer = [UInt8](repeating: 7, count: 1_000)
        rig.send(answer)
        rig.leave()
        #expect(!rig.isOver)
        rig.settle()
        #expect(rig.peer.unsentCount == 0)
        #expect(rig.peer.received == answer)
        #expect(rig.peer.hasEnded && !rig.peer.wasReset)
        #expect(rig.peer.wasClosedByNotify == tls)
        #expect(!rig.isOver)
        rig.peer.shutdown()
        rig.settle()
        #expect(rig.isOver)
        #expect(rig.turnBytesMax <= Relay.dropBytesPerTurn + 32 * 1024)
    }

    @Test(arguments: [false, true])
    func `an answer that the peer has no room for goes before the end`(tls: Bool) throws {
        let rig = try Rig(tls: tls, smallBuffers: true)
        let answer = [UInt8](repeating: 7, count: 200_000)
        for piece in stride(from: 0, to: answer.count, by: 10_000) {
            rig.send(Array(answer[piece..<piece + 10_000]))
        }
        rig.leave()
        #expect(!rig.leg.pointee.held.isEmpty)
        rig.settle()
        #expect(rig.peer.received == answer)
        #expect(rig.peer.hasEnded && !rig.peer.wasReset)
        #expect(rig.space.pointee.pool.lentCount == 0)
    }

    @Test func `a peer that has ended its side is not waited for`() throws {
        let rig = try Rig(tls: false)
        rig.peer.shutdown()
        rig.leave()
        rig.settle()
        #expect(rig.isOver)
    }

    @Test(arguments: [false, true])
    func `a body that nobody gets is read within a bound of its own`(tls: Bool) throws {
        let rig = try Rig(tls: tls)
        rig.leave()
        let piece = [UInt8](repeating: 0x20, count: 500_000)
        var sent = 0
        while sent < 24 << 20 && rig.peer.unsentCount == 0 {
            rig.peer.enqueue(piece)
            rig.settle()
            sent += piece.count
        }
        sent -= rig.peer.unsentCount
        #expect(sent >= 15 << 20, "\(sent): a client may send all before it reads")
        #expect(sent < Int(Flow.droppableBodyBytes) + (2 << 20), "\(sent)")
        #expect(rig.peer.hasEnded && !rig.peer.wasReset)
        #expect(!rig.isOver)
    }
}
