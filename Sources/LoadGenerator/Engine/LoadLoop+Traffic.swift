// SPDX-License-Identifier: Apache-2.0
import Reactor
import TLS
import Wire

extension LoadLoop {
    mutating func clientIsReady(_ client: ClientPointer, _ token: Token, _ flags: Readiness) {
        if flags.contains(.hangup) { client.pointee.isHungUp = true }
        if client.pointee.phase == .connecting {
            guard flags.contains(.writable) || flags.contains(.hangup) else { return }
            guard connected(client, token) else { return }
        }
        if flags.contains(.writable) && !client.pointee.held.isEmpty {
            guard drain(client, token) else { return }
        }
        if !flags.isDisjoint(with: [.readable, .hangup]) {
            if isPutOff(client) {
                if stage == .measuring, !client.pointee.isUnread { meter.pointee.notePutOff() }
                readLater(client, token, since: waitingSince)
            } else {
                noteReceiveLag(since: waitingSince)
                guard receiveAll(client, token) else { return }
            }
        }
        goOn(client, token)
    }

    /// Sends what may be sent now, once what there was has been read.
    private mutating func goOn(_ client: ClientPointer, _ token: Token) {
        if client.pointee.http2 == nil {
            sendMore(client, token)
        } else {
            _ = flushCarrier(client, token)
        }
    }

    /// For how long one connection may be read before the others get their turns.
    private static let readingNanosecondsMax: UInt64 = 2_000_000

    /// For how long a turn reads, and then reads on, before it looks at the end of the run.
    static let turnNanosecondsMax: UInt64 = 50_000_000

    /// Whether a connection is read later, since others are before it or the turn has read for long enough.
    ///
    /// One that is being opened is read at once, so that servers that never pause do not keep others from it.
    private func isPutOff(_ client: ClientPointer) -> Bool {
        if client.pointee.isOpening { return false }
        return client.pointee.isUnread || now > readUntil
    }

    private func noteReceiveLag(since: UInt64) {
        if stage == .measuring { meter.pointee.receiveLag.record(now &- min(now, since)) }
    }

    /// Receives until the socket is empty; false when the connection is gone.
    ///
    /// A server that sends faster than this program reads would keep its thread for ever: what it has after a
    /// while is read in the next turn.
    private mutating func receiveAll(_ client: ClientPointer, _ token: Token) -> Bool {
        let beganAt = now
        var isFirst = true
        while true {
            if !isFirst {
                // What this read brings has come later than what the one before has brought.
                now = Clock.nowNanoseconds()
                if now &- beganAt > Self.readingNanosecondsMax || now > readUntil {
                    readLater(client, token, since: beganAt)
                    return true
                }
            }
            isFirst = false
            switch client.pointee.socket.receive(into: received, count: Self.receiveBytes) {
            case .moved(let count):
                if stage == .measuring {
                    meter.pointee.reads &+= 1
                    if count == Self.receiveBytes { meter.pointee.fullReads &+= 1 }
                }
                guard take(count, client, token) else { return false }
                if count < Self.receiveBytes && !client.pointee.isHungUp { return true }
            case .blocked:
                return true
            case .ended:
                return streamEnded(client, token)
            case .failed(let code):
                if client.pointee.phase == .ending { return streamEnded(client, token) }
                return fail(
                    client, token, .onOpenSocket(code), "receive: \(SystemError.text(of: code))")
            }
        }
    }

    private mutating func readLater(_ client: ClientPointer, _ token: Token, since: UInt64) {
        if client.pointee.isUnread { return }
        client.pointee.isUnread = true
        unread.append(Unread(token: token, since: since))
    }

    /// Reads on where the socket has more: it tells so only once.
    ///
    /// Those for which there is no time now come first in the next turn.
    mutating func readOn() {
        if unread.isEmpty { return }
        var waiting: [Unread] = []
        swap(&waiting, &unread)
        now = Clock.nowNanoseconds()
        readOnBeganAt = now
        readUntil = now &+ Self.turnNanosecondsMax
        for (index, entry) in waiting.enumerated() {
            if now > readUntil {
                unread.insert(contentsOf: waiting[index...], at: 0)
                break
            }
            guard let client = slab.pointer(entry.token) else { continue }
            client.pointee.isUnread = false
            noteReceiveLag(since: entry.since)
            if receiveAll(client, entry.token) { goOn(client, entry.token) }
            now = Clock.nowNanoseconds()
        }
    }

    private mutating func take(_ count: Int, _ client: ClientPointer, _ token: Token) -> Bool {
        if client.pointee.tls == nil { return takePlain(received, count, client, token) }
        records.setInput(received, count: count)
        if client.pointee.phase == .handshaking {
            guard shakeHands(client, token) else { return false }
            if client.pointee.phase == .handshaking || records.inputRemaining == 0 { return true }
        }
        guard
            let outcome = client.pointee.tls?.readAll(into: opened, capacity: Self.openedBytes)
        else { return false }
        if outcome.count > 0 {
            guard takePlain(opened, outcome.count, client, token) else { return false }
        }
        switch outcome.status {
        case .open:
            return flush(client, token)
        case .closed:
            return streamEnded(client, token)
        case .failed:
            guard let fault = client.pointee.tls?.takePeerFault() else { return false }
            return fail(client, token, .session(fault), "TLS: \(fault.sentence)")
        }
    }

    private mutating func takePlain(
        _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        switch client.pointee.phase {
        case .upgrading: takeAnswer(bytes, count: count, client, token)
        case .open, .closing: takeFrames(bytes, count: count, client, token)
        case .greeting, .carrying: takeCarried(bytes, count: count, client, token)
        case .ending, .connecting, .handshaking: true
        }
    }

    private mutating func streamEnded(_ client: ClientPointer, _ token: Token) -> Bool {
        if client.pointee.phase == .ending {
            finish(client, token)
            return false
        }
        return fail(
            client, token, .vanished, "the connection ended without a Close\(whereItEnded(client))")
    }

    /// In which phase of its opening a connection is, for a sentence.
    private func whereItEnded(_ client: ClientPointer) -> String {
        switch client.pointee.phase {
        case .connecting, .handshaking:
            ", in the TLS handshake: where the port speaks plain ws, give ws:// (`sluice doctor` tells)"
        case .upgrading, .greeting: ", before the upgrade was answered"
        case .open, .closing, .ending, .carrying: ""
        }
    }

    // MARK: Sending

    /// Sends messages as far as the mode allows and the socket takes them.
    mutating func sendMore(_ client: ClientPointer, _ token: Token) {
        if kind == .script {
            guard playHeldUp(client, token) else { return }
        }
        if client.pointee.isDeflated {
            guard sendDeflated(client, token) else { return }
        }
        while client.pointee.phase == .open && !isBlocked(client) {
            let count = fillScratch(client)
            if count == 0 { break }
            guard put(scratch, count: count, client, token) else { return }
        }
        let isDone = stage == .closing || kind == .cycle && client.pointee.answered == 1
        if isDone, client.pointee.phase == .open, client.pointee.frameOffset == 0,
            !isBlocked(client)
        {
            _ = sendClose(client, token)
        }
    }

    /// A masked Pong with all the payload that it may have (RFC 6455 §5.5).
    private static let pongBytesMax = 131

    /// Writes the next bytes of the connection's messages into `scratch`, with a Pong between them that is owed.
    private mutating func fillScratch(_ client: ClientPointer) -> Int {
        var filled = 0
        var isFirst = true
        while filled < Self.scratchBytes {
            if client.pointee.frameOffset == 0 {
                if client.pointee.pingToAnswer != nil {
                    if filled + Self.pongBytesMax > Self.scratchBytes { break }
                    filled &+= writePong(client, scratch + filled)
                    continue
                }
                guard client.pointee.sent < allowance(client) else { break }
                beginMessage(client, isFirst: isFirst)
                isFirst = false
            }
            let offset = client.pointee.frameOffset
            let size = client.pointee.sentSize
            let whole = template.frameBytes(size)
            let piece = min(whole &- offset, Self.scratchBytes &- filled)
            let marker = FrameMarker(
                sequence: client.pointee.sent &- 1, connection: client.pointee.number)
            template.write(
                into: scratch + filled, offset: offset, count: piece, marker: marker, size: size)
            filled &+= piece
            client.pointee.frameOffset = offset &+ piece == whole ? 0 : offset &+ piece
        }
        return filled
    }

    /// Begins the next message, and notes when it leaves where its latency is measured.
    mutating func beginMessage(_ client: ClientPointer, isFirst: Bool) {
        let sequence = client.pointee.sent
        let marker = FrameMarker(sequence: sequence, connection: client.pointee.number)
        client.pointee.sentSize = template.size(of: marker)
        client.pointee.sent = sequence &+ 1
        if let sentTimes {
            // What leaves in one piece leaves at one time.
            if isFirst { now = Clock.nowNanoseconds() }
            sentTimes[sendPlace(client, sequence)] = now
        } else if client.pointee.trackedIndex == .max, !isByTheClock {
            client.pointee.trackedIndex = sequence
            client.pointee.trackedAt = Clock.nowNanoseconds()
        }
        var isTimed = meter.pointee.isMeasuring
        if isByTheClock {
            let intended = intendedAt(position: client.pointee.position, index: sequence)
            isTimed = intended >= measureBeganAt && intended < measureEndedAt && isTimed
        }
        meter.pointee.countSent(isTimed: isTimed)
    }

    /// Where the time is kept at which a message was sent.
    @inline(__always)
    mutating func sendPlace(_ client: ClientPointer, _ sequence: UInt64) -> Int {
        Int(truncatingIfNeeded: (client.pointee.number &- plan.firstNumber) &* inFlight)
            &+ Int(truncatingIfNeeded: sequence % inFlight)
    }

    /// How many messages the connection may have begun.
    mutating func allowance(_ client: ClientPointer) -> UInt64 {
        guard stage == .warming || stage == .measuring || stage == .draining else { return 0 }
        let mayBegin = stage != .draining && meter.pointee.sent < messagesMax
        switch kind {
        case .echo, .closed, .stream:
            return mayBegin ? client.pointee.answered &+ inFlight : client.pointee.sent
        case .rate:
            return client.pointee.allowed
        case .cycle:
            return 1
        case .connect, .idle, .push, .storm, .script:
            return 0
        }
    }

    mutating func sendClose(
        _ client: ClientPointer, _ token: Token, code: CloseCode = .normal
    ) -> Bool {
        client.pointee.phase = .closing
        if kind == .script {
            loop.timers.arm(token, at: now / 1_000_000 + UInt64(plan.openingSeconds * 1000))
        }
        let key = random.next(upperBound: UInt32.max)
        let count = ControlFrame.close(code, reason: "", maskKey: key, into: scratch)
        return put(scratch, count: count, client, token)
    }

    /// Sends bytes, sealed where there is TLS; false when the connection is gone.
    mutating func put(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        if client.pointee.carrier != nil {
            return putOnStream(bytes, count: count, client, token)
        }
        if client.pointee.tls == nil { return transmit(bytes, count: count, client, token) }
        guard client.pointee.tls?.write(bytes, count: count) == true else {
            return fail(client, token, .tls, "TLS: nothing more can be sent")
        }
        return flush(client, token)
    }

    /// Sends the records that wait; false when the connection is gone.
    mutating func flush(_ client: ClientPointer, _ token: Token) -> Bool {
        let count = records.outputCount
        guard count > 0 else { return true }
        records.clearOutput()
        return transmit(records.output, count: count, client, token)
    }

    private mutating func transmit(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        var sent = 0
        if client.pointee.held.isEmpty {
            switch client.pointee.socket.send(bytes, count: count) {
            case .moved(let moved): sent = moved
            case .blocked, .ended: break
            case .failed(let code):
                if client.pointee.phase == .ending { return streamEnded(client, token) }
                return fail(
                    client, token, .onOpenSocket(code), "send: \(SystemError.text(of: code))")
            }
        }
        if sent < count {
            client.pointee.held.append(bytes + sent, count: count &- sent, pool: &pool)
        }
        return true
    }

    private mutating func drain(_ client: ClientPointer, _ token: Token) -> Bool {
        switch client.pointee.held.drain(into: client.pointee.socket, pool: &pool) {
        case .emptied:
            if client.pointee.phase == .ending { client.pointee.socket.shutdownWrite() }
            return true
        case .blocked:
            return true
        case .failed(let code):
            if client.pointee.phase == .ending { return streamEnded(client, token) }
            return fail(
                client, token, .onOpenSocket(code), "send: \(SystemError.text(of: code))")
        }
    }

    /// Both Closes have passed: ends our side and waits for the other's.
    mutating func beginEnding(_ client: ClientPointer, _ token: Token) -> Bool {
        client.pointee.phase = .ending
        if client.pointee.carrier != nil { return endStream(client) }
        loop.timers.arm(token, at: now / 1_000_000 + 1000)
        client.pointee.tls?.closeNotify()
        guard flush(client, token) else { return false }
        if client.pointee.held.isEmpty { client.pointee.socket.shutdownWrite() }
        return true
    }
}

/// A connection that is read on later.
struct Unread {
    let token: Token
    /// Since when what it has may have waited, in nanoseconds.
    let since: UInt64
}
