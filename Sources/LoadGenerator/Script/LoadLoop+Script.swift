// SPDX-License-Identifier: Apache-2.0
import Config
import HTTP2
import Reactor
import Wire

/// Clients that do what a script says.
extension LoadLoop {
    /// What one player may do in a turn before the others get theirs.
    private static let operationsPerTurn = 1_024
    /// Bytes that wait for a socket beyond which its player waits too.
    private static let queueBytesMax = 64 * 1_024

    /// Begins a client's scenario, with a handshake of its own where it wants one.
    mutating func player(number: UInt64, iteration: Int) -> ScriptPlayer? {
        guard let program = plan.program else { return nil }
        let player = ScriptPlayer(
            program, number: number, iteration: iteration, handshake: opening, random: &random)
        let scenario = player.scenario
        if scenario.path == nil, scenario.headers.isEmpty, scenario.subprotocols.isEmpty {
            return player
        }
        var dialing = plan.dialing
        dialing.fields += scenario.headers.map {
            LoadField(name: $0.name, value: player.filled($0.value))
        }
        if !scenario.subprotocols.isEmpty { dialing.subprotocols = scenario.subprotocols }
        var target = plan.target
        if let path = scenario.path { target.target = player.filled(path) }
        guard let handshake = try? OpeningHandshake(target: target, dialing: dialing) else {
            return nil
        }
        player.handshake = handshake
        return player
    }

    /// The client's WebSocket is open: its scenario begins; false when the connection is gone.
    mutating func beginPlay(_ client: ClientPointer, _ token: Token) -> Bool {
        guard let player = client.pointee.player else { return true }
        player.openedAt = now
        player.sentAt = now
        player.freeAt = now
        return play(client, token)
    }

    /// Goes on with a client's scenario as far as that goes; false when the connection is gone.
    mutating func play(_ client: ClientPointer, _ token: Token) -> Bool {
        guard let player = client.pointee.player else { return true }
        var count = 0
        while client.pointee.phase == .open {
            count += 1
            if count > Self.operationsPerTurn {
                postponed.append(token)
                return true
            }
            if stage == .draining, !player.isAwaiting { return sendClose(client, token) }
            guard let operation = player.operation() else {
                player.isDone = true
                return sendClose(client, token)
            }
            switch operation {
            case .send, .sendBytes:
                if queuedBytes(client) > Self.queueBytesMax {
                    player.isHeldUp = true
                    return true
                }
            default: break
            }
            switch operation {
            case .send(let template):
                let bytes = Array(player.filled(template).utf8)
                guard sendScripted(bytes, .text, player, client, token) else { return false }
            case .sendBytes(let bytes):
                guard sendScripted(bytes, .binary, player, client, token) else { return false }
            case .expect(let check, let pattern):
                guard expect(check, pattern, player, client, token) else {
                    return slab.pointer(token) != nil
                }
            case .wait(let range):
                let (low, high) = (range.lowerBound.nanoseconds, range.upperBound.nanoseconds)
                let pause = UInt64.random(in: low...max(low, high), using: &random)
                guard hasWaited(until: now &+ pause, player, token) else { return true }
            case .until(let time):
                let moment = player.openedAt &+ time.nanoseconds
                guard hasWaited(until: moment, isExact: true, player, token) else { return true }
                player.intendedAt = moment
            case .close(let code):
                player.isDone = true
                return sendClose(client, token, code: CloseCode(rawValue: UInt16(clamping: code)))
            case .loop, .again: break
            }
            player.advance()
        }
        return true
    }

    /// Notes how late this program is with a message: what it has waited for the server is not counted.
    private mutating func noteSendLag(_ moment: UInt64, _ player: ScriptPlayer) {
        player.sendLag = nil
        guard meter.pointee.isMeasuring else { return }
        // Of several that are due in one turn, the last ones leave later than the turn has begun.
        now = Clock.nowNanoseconds()
        let due = max(moment, player.freeAt)
        let lag = now &- min(now, due)
        meter.pointee.sendLag.record(lag)
        player.sendLag = lag
    }

    /// Bytes that wait until the client's socket or stream takes them.
    private mutating func queuedBytes(_ client: ClientPointer) -> Int {
        guard let carrier = client.pointee.carrier else { return client.pointee.held.count }
        return slab.pointer(carrier)?.pointee.http2?.heldBytes(client.pointee.streamID) ?? 0
    }

    /// Lets a player go on whose socket has taken what was sent; false when the connection is gone.
    mutating func playHeldUp(_ client: ClientPointer, _ token: Token) -> Bool {
        guard let player = client.pointee.player, player.isHeldUp,
            queuedBytes(client) <= Self.queueBytesMax
        else { return true }
        player.isHeldUp = false
        now = Clock.nowNanoseconds()
        player.freeAt = now
        return play(client, token)
    }

    /// Lets players go on that have had their share of the last turn.
    mutating func playPostponed() {
        if postponed.isEmpty { return }
        var tokens: [Token] = []
        swap(&tokens, &postponed)
        for token in tokens {
            guard let client = slab.pointer(token), client.pointee.phase == .open else { continue }
            now = Clock.nowNanoseconds()
            _ = play(client, token)
        }
    }

    /// Whether a wait is over; where it is not, the client is woken when it is.
    private mutating func hasWaited(
        until moment: UInt64, isExact: Bool = false, _ player: ScriptPlayer, _ token: Token
    ) -> Bool {
        if player.waitsUntil == 0 { player.waitsUntil = moment }
        if now >= player.waitsUntil { return true }
        if isExact {
            wake(player, token)
        } else {
            arm(token, player.waitsUntil)
        }
        return false
    }

    /// For so long before its moment a player waits in a queue of nanoseconds.
    private static let exactNanoseconds: UInt64 = 4_000_000

    /// Has a player go on at its moment, and not up to two milliseconds behind it as a timer would.
    ///
    /// A timer brings it close to the moment, since it can be taken back when a client is gone before.
    private mutating func wake(_ player: ScriptPlayer, _ token: Token) {
        if player.isWaking { return }
        let moment = player.waitsUntil
        guard moment - now <= Self.exactNanoseconds else {
            loop.timers.arm(token, at: moment / 1_000_000 - 3)
            return
        }
        player.isWaking = true
        wakings.insert(Waking(at: moment, token: token))
    }

    /// Lets players go on whose moments have come.
    mutating func playDue() {
        guard let first = wakings.first else { return }
        now = Clock.nowNanoseconds()
        if first > now { return }
        let due = now
        while let waking = wakings.pop(before: due) {
            guard let client = slab.pointer(waking.token), let player = client.pointee.player else {
                continue
            }
            player.isWaking = false
            if client.pointee.phase == .open { _ = play(client, waking.token) }
        }
    }

    /// A timer never fires early: up to the next millisecond.
    private mutating func arm(_ token: Token, _ moment: UInt64) {
        loop.timers.arm(token, at: (moment + 999_999) / 1_000_000)
    }

    private mutating func sendScripted(
        _ content: [UInt8], _ opcode: Opcode, _ player: ScriptPlayer, _ client: ClientPointer,
        _ token: Token
    ) -> Bool {
        if player.intendedAt > 0 { noteSendLag(player.intendedAt, player) }
        meter.pointee.countSent(isTimed: meter.pointee.isMeasuring)
        // By the clock of a recording, it counts from the moment at which it should have left.
        player.sentAt = player.intendedAt > 0 ? player.intendedAt : now
        player.intendedAt = 0
        return sendMessage(content, opcode, client, token)
    }

    /// Looks for a message; false where it has not come, or the scenario has failed.
    private mutating func expect(
        _ check: LoadCheck, _ pattern: Int?, _ player: ScriptPlayer, _ client: ClientPointer,
        _ token: Token
    ) -> Bool {
        let matcher = pattern.flatMap { plan.program?.patterns[$0] }
        switch player.find(check, matcher) {
        case .found:
            loop.timers.cancel(token)
            player.freeAt = max(player.freeAt, player.foundAt)
            let (cameAt, sentAt) = (player.foundAt, player.sentAt)
            let latency = cameAt > sentAt ? cameAt &- sentAt : 0
            meter.pointee.record(nanoseconds: latency)
            if meter.pointee.isMeasuring, let lag = player.sendLag {
                meter.pointee.timedSendLag.record(lag)
            }
            if latency > lateNanoseconds { meter.pointee.noteLate(nanoseconds: latency) }
            return true
        case .wrong:
            return failScript(
                "\(player.place): \(player.wish(check)) was expected, and \(player.lastShown)",
                client, token)
        case .tooLong:
            return failScript(
                "\(player.place): a message is too long to be searched for '\(check.matches ?? "")'; \(player.lastShown)",
                client, token)
        case .missing:
            if player.waitsUntil == 0 {
                player.waitsUntil = now &+ check.within.nanoseconds
                arm(token, player.waitsUntil)
            } else if now >= player.waitsUntil {
                let within = Double(check.within.nanoseconds / 1_000_000) / 1000
                return failScript(
                    "\(player.place): \(player.wish(check)) did not come within \(within) s;"
                        + " \(player.lastShown)", client, token)
            }
            return false
        }
    }

    /// An expectation is not met: the scenario ends here, with an orderly Close.
    private mutating func failScript(
        _ sentence: String, _ client: ClientPointer, _ token: Token
    ) -> Bool {
        // As every other error, it counts in the warm-up too.
        if stage.rawValue < Stage.closing.rawValue { meter.pointee.note(.expectation, sentence) }
        client.pointee.hasFailed = true
        _ = sendClose(client, token)
        return false
    }

    /// A message of a scripted client is whole; false when the connection is gone.
    mutating func endScripted(_ client: ClientPointer, _ token: Token) -> Bool {
        let size = client.pointee.messageOffset
        client.pointee.messageOffset = 0
        meter.pointee.countReceived()
        meter.pointee.countOne(payloadBytes: size)
        client.pointee.player?.endMessage(at: now)
        return play(client, token)
    }

    /// A scripted client's connection is gone: another one follows where scenarios are repeated.
    mutating func scriptEnded(_ client: ClientPointer) {
        guard let player = client.pointee.player else { return }
        client.pointee.player = nil
        meter.pointee.dropped &+= UInt64(player.droppedCount)
        noteScenarioEnd(player, hasFailed: client.pointee.hasFailed || !player.isDone)
        followScript(
            client.pointee.number, iteration: player.iteration,
            hasFailed: client.pointee.hasFailed || !player.isDone)
    }

    private mutating func noteScenarioEnd(_ player: ScriptPlayer, hasFailed: Bool) {
        guard stage == .measuring else { return }
        let name = player.scenario.name
        if hasFailed {
            meter.pointee.scenarios[name, default: ScenarioTally()].failed &+= 1
        } else {
            meter.pointee.scenarios[name, default: ScenarioTally()].finished &+= 1
        }
    }

    /// Begins the client's next round, behind a pause where the one before went wrong.
    mutating func followScript(_ number: UInt64, iteration: Int, hasFailed: Bool) {
        guard stage == .measuring || stage == .warming else { return }
        guard plan.repeatsScenarios else {
            servedCount += 1
            return
        }
        let pause = hasFailed ? Self.second : 0
        comebacks.insert(
            Comeback(
                at: now + pause, number: Int(number - plan.firstNumber), attempt: iteration + 1))
    }
}

extension Duration {
    /// The same in nanoseconds, 0 or more.
    var nanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        guard seconds >= 0, attoseconds >= 0 else { return 0 }
        return UInt64(seconds) &* 1_000_000_000 &+ UInt64(attoseconds) / 1_000_000_000
    }
}
