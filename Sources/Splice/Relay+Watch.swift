// SPDX-License-Identifier: Apache-2.0
public import Ledger
import Reactor
import Wire

/// Pings, silence and age: what a timer looks at, and the answers that are swallowed.
extension Relay {
    /// How long the client took to answer Pings.
    public var clientRoundTrip: RoundTrip { watch?.client.roundTrip ?? RoundTrip() }

    /// How long the upstream took.
    public var upstreamRoundTrip: RoundTrip { watch?.backend.roundTrip ?? RoundTrip() }

    /// Begins to watch a relay that has just been opened, where its route has rules.
    mutating func startWatching(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        guard let watch, !ending.hasBegun else { return [] }
        let now = space.pointee.nowMilliseconds
        watch.start(now)
        watch.trafficBefore = traffic
        deadlineMilliseconds = watch.nextMilliseconds(now)
        return deadlineMilliseconds == 0 ? [] : .deadline
    }

    /// A number that changes with every byte of a data frame that passes.
    private var traffic: UInt64 {
        up.scanner.messages &+ up.scanner.payloadBytes &+ down.scanner.messages
            &+ down.scanner.payloadBytes
    }

    /// Does what is due by the rules.
    mutating func look(
        _ watch: Watch, _ space: UnsafeMutablePointer<Workspace>
    ) -> Verdict {
        let now = space.pointee.nowMilliseconds
        let rules = watch.rules
        if let term = watch.term, term.isOver { return end(.token, code: term.code, space) }
        if watch.lifetimeDue > 0 && now >= watch.lifetimeDue { return end(.lifetime, space) }
        if rules.idleMilliseconds > 0 {
            if traffic != watch.trafficBefore || isPaused {
                watch.trafficBefore = traffic
                watch.idleSince = now
            } else if now >= watch.idleSince + rules.idleMilliseconds {
                return end(.idle, space)
            }
        }
        for side in [Side.client, .backend] {
            var probe = watch[side]
            if probe.pingDue == 0 { continue }
            if probe.pongDue > 0 && now >= probe.pongDue {
                if isDead(side, probe) { return unresponsive(side, space) }
                // It is not silent, or it can't be heard: the question stands.
                remember(side, &probe)
                probe.pongDue = now + rules.pongMilliseconds
            }
            if probe.pongDue == 0 && now >= probe.pingDue {
                probe.pingDue = now + rules.pingMilliseconds
                probe.pongDue = now + rules.pongMilliseconds
                remember(side, &probe)
                self[to: side].hasPendingPing = true
            }
            watch[side] = probe
        }
        pingWherePossible(space)
        deadlineMilliseconds = watch.nextMilliseconds(now)
        let pacing = isPaced ? pace(space) : []
        return settle(space).union(.deadline).union(pacing)
    }

    private func remember(_ side: Side, _ probe: inout Watch.Probe) {
        let carriage = carriage(of: side)
        probe.bytesBefore = self[from: side].bytes
        probe.takenBefore = carriage.takenBytes
        probe.owedBefore = ask(side) { $0.bytesOnTheWay() > 0 }
        probe.ownBefore = takenBytes(of: side)
        if probe.sentBefore == .max { probe.sentBefore = carriage.sentBytes }
    }

    /// Whether a peer that owes an answer has given no other sign of life, though it could.
    private func isDead(_ side: Side, _ probe: Watch.Probe) -> Bool {
        // Not read now, because the other is full or for its rate: its answer may lie in the socket.
        if ask(side.other, { !$0.held.isEmpty }) { return false }
        if self[from: side].isPaused { return false }
        if self[from: side].bytes != probe.bytesBefore { return false }
        // The Ping stands behind what is held for a stream, which others of its connection overtake.
        let isHeld = ask(side) { $0.feed != nil && !$0.held.isEmpty }
        if isHeld && takenBytes(of: side) > probe.ownBefore { return false }
        if isHeld && self[to: side].hasPendingPing { return probe.owedBefore }
        let takesNothing = carriage(of: side).takenBytes <= probe.takenBefore
        // Not asked yet, since a frame to it is still in progress: that may be the other's fault.
        if self[to: side].hasPendingPing { return takesNothing && probe.owedBefore }
        // As long as it takes what was sent before the Ping, the question stands behind that.
        return takesNothing || probe.takenBefore >= probe.sentBefore
    }

    /// How far the connection to a peer is; what is held for one stream of several stands behind all else.
    private func carriage(of side: Side) -> Carriage {
        let flowed = Int(truncatingIfNeeded: flowedBytes(to: side))
        return ask(side) { leg in
            var carriage = leg.carriage(flowedBytes: flowed)
            if leg.feed != nil { carriage.sentBytes += leg.held.count }
            return carriage
        }
    }

    /// Ends the relay by a rule, with a Close to both.
    private mutating func end(
        _ reason: EndReason, code: UInt16 = CloseCode.goingAway.rawValue,
        _ space: UnsafeMutablePointer<Workspace>
    ) -> Verdict {
        perform(ending.leave(reason, code: code), space)
        let pacing = isPaced ? pace(space) : []
        return settle(space).union(pacing)
    }

    /// When the relay ends with what let it in; nil for never.
    public var term: RelayTerm? { watch?.term }

    /// Gives a relay that has a term another end, which may be over already.
    public mutating func extend(
        toMilliseconds end: UInt64, _ space: UnsafeMutablePointer<Workspace>
    ) -> Verdict {
        guard let watch, watch.term != nil, !ending.hasBegun else { return [] }
        watch.term?.endMilliseconds = end
        let next = watch.nextMilliseconds(space.pointee.nowMilliseconds)
        // What else the relay waits for is no later than it was.
        deadlineMilliseconds =
            deadlineMilliseconds == 0 ? next : min(next, deadlineMilliseconds)
        return .deadline
    }

    /// A peer has not answered: it is given up, and the other told.
    private mutating func unresponsive(
        _ side: Side, _ space: UnsafeMutablePointer<Workspace>
    ) -> Verdict {
        change(side) { $0.abandon(space) }
        self[to: side].state = .cut
        perform(ending.unresponsive(side), space)
        // What waited for it is dropped, so the other is read again.
        return ready(side.other, [], space)
    }

    /// The connection that the client's stream belongs to has not answered: the client is given up, and the
    /// upstream told.
    public mutating func clientIsUnresponsive(
        _ space: UnsafeMutablePointer<Workspace>
    ) -> Verdict {
        assert(client.feed != nil, "a connection of one relay answers Pings of its own")
        return unresponsive(.client, space)
    }

    /// The client's stream was reset, or its connection is gone: nothing more comes on it, and nothing is sent.
    ///
    /// Reading would not tell where the client has ended its side before.
    public mutating func clientIsGone(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        // Who has ended in order is let go of while the upstream's end is still awaited.
        guard client.isOpen else { return [] }
        assert(client.feed != nil, "a socket of its own tells of its end when it is read")
        client.discardHeld(space)
        client.isUnwritable = true
        // Nothing waits for the client any more, so the upstream is read again: its end may have been
        // reported before.
        return ready(.client, [.readable, .writable, .hangup], space)
    }

    /// Sends the Pings that are due where a frame border allows.
    mutating func pingWherePossible(_ space: UnsafeMutablePointer<Workspace>) {
        guard down.hasPendingPing || up.hasPendingPing, let watch else { return }
        if ending.hasBegun {
            // Nobody is given up any more for want of an answer, and who has sent its Close could
            // answer only behind it.
            down.hasPendingPing = false
            up.hasPendingPing = false
            return
        }
        for side in [Side.client, .backend]
        where self[to: side].hasPendingPing && self[to: side].isAtFrameBorder {
            self[to: side].hasPendingPing = false
            guard self[to: side].state == .open, !ask(side, { $0.isUnwritable }) else { continue }
            let key: UInt32? = side == .client ? nil : UInt32.random(in: .min ... .max)
            // What has gone out on a stream's connection is known when a timer next looks.
            watch[side].sentBefore =
                side == .client && client.feed != nil ? .max : carriage(of: side).sentBytes
            let count = Relay.ping(&watch[side], maskKey: key, space)
            putOwn(to: side, space.pointee.control, count: count, space)
            self[from: side].awaitsPong = true
            tellOwn(to: side, space.pointee.control, count: count, space)
        }
    }

    /// Writes a Ping into `Workspace.control`; how long it is.
    private static func ping(
        _ probe: inout Watch.Probe, maskKey: UInt32?, _ space: UnsafeMutablePointer<Workspace>
    ) -> Int {
        probe.payload = UInt64.random(in: .min ... .max)
        probe.sentNanoseconds = Clock.nowNanoseconds()
        return ControlFrame.ping(
            payload: probe.payload, maskKey: maskKey, into: space.pointee.control)
    }

    /// `pass` while a Pong is awaited from that side: the answer to our Ping is taken out, and all
    /// else goes on as it came.
    mutating func passWatching(
        _ side: Side, _ bytes: UnsafeMutablePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        let total = count &+ Int(self[from: side].tailCount)
        let start = self[from: side].prependTail(to: bytes)
        let mask: UInt8 = side == .client ? 0x80 : 0
        let pongBytes = side == .client ? 14 : 10
        var at = 0
        while at < total {
            let left = total &- at
            let isOpen = self[from: side].state == .open
            if !isOpen || !self[from: side].awaitsPong || stage != .relaying {
                passPiece(side, start + at, count: left, space)
                return
            }
            let run = Relay.bytesBeforePong(
                start + at, count: left, outstanding: self[from: side].scanner.outstanding,
                mask: mask)
            if run > 0 {
                passPiece(side, start + at, count: run, space)
                at &+= run
            } else if left < pongBytes {
                self[from: side].keepTail(start + at, count: left)
                return
            } else if isAnswer(side, start + at) {
                tellSwallowed(from: side, start + at, count: pongBytes, space)
                at &+= pongBytes
            } else {
                passPiece(side, start + at, count: pongBytes, space)
                at &+= pongBytes
            }
        }
    }

    /// How many bytes stand in front of the first Pong with a payload of eight bytes.
    private static func bytesBeforePong(
        _ bytes: UnsafePointer<UInt8>, count: Int, outstanding: UInt64, mask: UInt8
    ) -> Int {
        if outstanding >= UInt64(truncatingIfNeeded: count) { return count }
        var at = Int(truncatingIfNeeded: outstanding)
        while at &+ 2 <= count {
            if bytes[at] == 0x8A && bytes[at &+ 1] == mask | 8 { return at }
            guard let (header, length) = FrameHeader.decode(bytes + at, count: count &- at),
                header.payloadLength < UInt64(truncatingIfNeeded: count &- at &- length)
            else { return count }
            at &+= length &+ Int(truncatingIfNeeded: header.payloadLength)
        }
        return count
    }

    /// Whether a frame against the rules, of which `count` bytes have come, is a Pong that our Ping
    /// has provoked: without that the peer would have had no occasion to send it.
    func isProvoked(_ side: Side, _ frame: UnsafePointer<UInt8>, count: Int) -> Bool {
        guard self[from: side].awaitsPong, let watch, count >= 2,
            frame[0] & 0x0F == Opcode.pong.rawValue, frame[1] & 0x7F == 8
        else { return false }
        let isMasked = frame[1] & 0x80 != 0
        let begin = isMasked ? 6 : 2
        let payload = watch[side].payload
        var index = 0
        while index < 8 && begin &+ index < count {
            var byte = frame[begin &+ index]
            if isMasked { byte ^= frame[2 &+ index & 3] }
            if byte != UInt8(truncatingIfNeeded: payload >> UInt64(56 &- 8 &* index)) {
                return false
            }
            index &+= 1
        }
        return true
    }

    /// Whether a Pong answers our Ping; if so, it is noted how long it took.
    private mutating func isAnswer(_ side: Side, _ bytes: UnsafePointer<UInt8>) -> Bool {
        guard let watch else { return false }
        let frame = UnsafeRawPointer(bytes)
        var payload = frame.loadUnaligned(
            fromByteOffset: side == .client ? 6 : 2, as: UInt64.self)
        if side == .client {
            let key = UInt64(frame.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
            payload ^= key << 32 | key
        }
        let probe = watch[side]
        guard UInt64(bigEndian: payload) == probe.payload else { return false }
        watch[side].pongDue = 0
        watch.answered(side, (Clock.nowNanoseconds() &- probe.sentNanoseconds) / 1_000)
        self[from: side].awaitsPong = false
        return true
    }
}
