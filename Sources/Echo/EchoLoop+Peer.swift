// SPDX-License-Identifier: Apache-2.0
import Reactor
import TLS
import Wire

extension EchoLoop {
    mutating func peerIsReady(_ peer: PeerPointer, _ token: Token, _ flags: Readiness) {
        if flags.contains(.hangup) { peer.pointee.isHungUp = true }
        if flags.contains(.writable) && !peer.pointee.held.isEmpty {
            switch peer.pointee.held.drain(into: peer.pointee.socket, pool: &pool) {
            case .emptied:
                if peer.pointee.phase == .ending { peer.pointee.socket.shutdownWrite() }
            case .blocked:
                break
            case .failed:
                end(token)
                return
            }
        }
        if !flags.isDisjoint(with: [.readable, .hangup]) { peer.pointee.isUnread = true }
        if peer.pointee.isUnread && !peer.pointee.isQueued { readAll(peer, token) }
    }

    /// Receives and answers until the socket is empty, the client is full or the turn is over.
    mutating func readAll(_ peer: PeerPointer, _ token: Token) {
        for _ in 0..<Self.readsPerTurn {
            guard peer.pointee.held.isEmpty || peer.pointee.phase == .ending else { return }
            switch peer.pointee.socket.receive(into: received, count: Self.receiveBytes) {
            case .moved(let count):
                guard take(count, peer, token) else {
                    end(token)
                    return
                }
                // A short read has emptied the socket, unless the client's end is still to be seen.
                if count < Self.receiveBytes && !peer.pointee.isHungUp {
                    peer.pointee.isUnread = false
                    return
                }
            case .blocked:
                peer.pointee.isUnread = false
                return
            case .ended, .failed:
                end(token)
                return
            }
        }
        peer.pointee.isQueued = true
        queued.append(token)
    }

    /// Handles the bytes just received; false ends the connection.
    private mutating func take(_ count: Int, _ peer: PeerPointer, _ token: Token) -> Bool {
        switch peer.pointee.phase {
        case .opening: open(received, count: count, peer, token)
        case .open: echo(received, count: count, peer, token)
        case .ending: true
        }
    }

    private mutating func echo(
        _ bytes: UnsafeMutablePointer<UInt8>, count: Int, _ peer: PeerPointer, _ token: Token
    ) -> Bool {
        let tailCount = peer.pointee.tailCount
        let start = bytes - tailCount
        if tailCount > 0 {
            withUnsafeBytes(of: peer.pointee.tail) { tail in
                UnsafeMutableRawBufferPointer(start: start, count: tailCount)
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: tail[..<tailCount]))
            }
        }
        let total = tailCount &+ count
        let outcome = peer.pointee.scanner.scan(start, count: total)
        let left = total &- outcome.forwardable
        if outcome.violation == .none && !peer.pointee.scanner.isCloseComplete {
            peer.pointee.tailCount = left
            if left > 0 {
                withUnsafeMutableBytes(of: &peer.pointee.tail) { tail in
                    tail.copyMemory(
                        from: UnsafeRawBufferPointer(
                            start: start + outcome.forwardable, count: left))
                }
            }
        }
        let answer = peer.pointee.echo.answer(start, count: outcome.forwardable)
        guard send(start + answer.start, count: answer.count, peer) else { return false }
        if outcome.violation != .none {
            return sendClose(outcome.violation.closeCode, peer, token)
        }
        if peer.pointee.scanner.isCloseComplete { beginEnding(peer, token) }
        return true
    }

    private mutating func open(
        _ bytes: UnsafeMutablePointer<UInt8>, count: Int, _ peer: PeerPointer, _ token: Token
    ) -> Bool {
        guard var parser = peer.pointee.parser.take() else { return false }
        switch parser.append(UnsafeRawBufferPointer(start: bytes, count: count)) {
        case .needsMore:
            peer.pointee.parser = parser
            return true
        case .failed(let fault):
            return refuse(
                UpgradeFault(status: fault.status, sentence: fault.sentence, kind: .malformed),
                peer, token)
        case .complete(let head, let consumed):
            guard head.fields.listContains("upgrade", token: "websocket") else {
                let answer = EchoPage.answer(to: head)
                guard send(answer, count: answer.count, peer) else { return false }
                beginEnding(peer, token)
                return true
            }
            do throws(UpgradeFault) {
                let request = try UpgradeRequest.judge(head)
                var answer = HeadWriter()
                answer.statusLine(101)
                answer.field("Upgrade", "websocket")
                answer.field("Connection", "Upgrade")
                answer.field(
                    "Sec-WebSocket-Accept", WebSocketAccept.value(forKey: request.key))
                let isNoted = ConnectionNote.isWanted(by: head)
                if isNoted { answer.field("Sec-WebSocket-Protocol", ConnectionNote.subprotocol) }
                answer.end()
                let bytes = answer.bytes + (isNoted ? ConnectionNote.frame(for: head) : [])
                guard send(bytes, count: bytes.count, peer) else { return false }
            } catch {
                return refuse(error, peer, token)
            }
            peer.pointee.phase = .open
            loop.timers.cancel(token)
            guard consumed < count else { return true }
            return echo(bytes + consumed, count: count - consumed, peer, token)
        }
    }

    private mutating func refuse(
        _ fault: UpgradeFault, _ peer: PeerPointer, _ token: Token
    ) -> Bool {
        let body = fault.sentence + "\n"
        var answer = HeadWriter()
        answer.statusLine(fault.status)
        for (name, value) in fault.extraFields { answer.field(named: name, value) }
        answer.field("Connection", fault.extraFields.isEmpty ? "close" : "close, Upgrade")
        answer.field("Content-Type", "text/plain; charset=utf-8")
        answer.field("Content-Length", String(body.utf8.count))
        answer.end()
        let bytes = answer.bytes + body.utf8
        guard send(bytes, count: bytes.count, peer) else { return false }
        beginEnding(peer, token)
        return true
    }

    private mutating func sendClose(
        _ code: CloseCode, _ peer: PeerPointer, _ token: Token
    ) -> Bool {
        let isSent = withUnsafeTemporaryAllocation(
            of: UInt8.self, capacity: ControlFrame.byteCountMax
        ) { room in
            guard let start = room.baseAddress else { return false }
            let count = ControlFrame.close(code, reason: "", maskKey: nil, into: start)
            return send(start, count: count, peer)
        }
        if isSent { beginEnding(peer, token) }
        return isSent
    }

    /// Says that nothing more comes once all is sent, and waits a while for the client's end.
    ///
    /// What the client still sends is read and dropped: closing earlier would reset the connection,
    /// and the client might lose our last bytes.
    private mutating func beginEnding(_ peer: PeerPointer, _ token: Token) {
        guard peer.pointee.phase != .ending else { return }
        peer.pointee.phase = .ending
        if peer.pointee.held.isEmpty { peer.pointee.socket.shutdownWrite() }
        loop.timers.arm(token, at: loop.now + Self.endingMilliseconds)
    }

    /// Sends what goes at once and holds the rest; false when the connection is broken.
    private mutating func send(
        _ bytes: UnsafePointer<UInt8>, count: Int, _ peer: PeerPointer
    ) -> Bool {
        guard count > 0 else { return true }
        var sent = 0
        if peer.pointee.held.isEmpty {
            switch peer.pointee.socket.send(bytes, count: count) {
            case .moved(let moved): sent = moved
            case .blocked: break
            case .ended, .failed: return false
            }
        }
        if sent < count {
            peer.pointee.held.append(bytes + sent, count: count &- sent, pool: &pool)
        }
        return true
    }
}
