// SPDX-License-Identifier: Apache-2.0
import Reactor

/// What is still under way when the measured part is over, and what is lost with a connection.
extension LoadLoop {
    /// Whether connections come and go, so that each of them is awaited as a whole.
    private var isComingAndGoing: Bool { isCycling || kind == .cycle || kind == .script }

    /// What is awaited before the run may end.
    mutating func awaitedCount() -> UInt64 {
        guard isComingAndGoing else { return messagesUnderWay() }
        var count: UInt64 = 0
        forEachUnderWay { _, _ in count += 1 }
        return count
    }

    /// Messages that have left, or should have, and that are not back.
    mutating func messagesUnderWay() -> UInt64 {
        if kind == .script { return awaitingPlayers() }
        var count: UInt64 = 0
        for token in roster {
            guard let client = slab.pointer(token) else { continue }
            let begun = isByTheClock ? client.pointee.allowed : client.pointee.sent
            count += begun - min(begun, client.pointee.answered)
        }
        return count
    }

    /// Clients of a script that wait for a message.
    private mutating func awaitingPlayers() -> UInt64 {
        var count: UInt64 = 0
        var index = -1
        while let token = slab.nextLive(after: index) {
            index = Int(token.index)
            guard let client = slab.pointer(token), client.pointee.phase == .open else { continue }
            if client.pointee.player?.isAwaiting == true { count += 1 }
        }
        return count
    }

    /// Connections whose opening, message or Close is not through.
    private mutating func forEachUnderWay(_ body: (LoadCause, LoadClient.Phase) -> Void) {
        var index = -1
        while let token = slab.nextLive(after: index) {
            index = Int(token.index)
            guard let client = slab.pointer(token) else { continue }
            let phase = client.pointee.phase
            switch phase {
            case .connecting: body(.timeout(.connect), phase)
            case .handshaking, .greeting: body(.timeout(.tls), phase)
            case .upgrading: body(.timeout(.upgrade), phase)
            case .open: body(.missing, phase)
            case .closing: body(.timeout(.close), phase)
            case .ending where client.pointee.carrier != nil: body(.timeout(.close), phase)
            case .ending, .carrying: break
            }
        }
    }

    /// Counts what was awaited in vain.
    mutating func noteMissing() {
        guard !isComingAndGoing else {
            let meter = meter
            forEachUnderWay { cause, phase in
                if phase.rawValue <= LoadClient.Phase.greeting.rawValue {
                    meter.pointee.noteFailed()
                }
                meter.pointee.note(
                    cause, Self.sentence(ofEnd: phase))
            }
            return
        }
        if isByTheClock { noteUnsent() }
        let count = messagesUnderWay()
        if count > 0, kind == .idle {
            meter.pointee.note(count, .dead, "\(count) sockets did not answer a Ping")
        } else if count > 0 {
            meter.pointee.note(count, .missing, "\(count) messages did not come back")
        }
    }

    /// Counts messages of the clock that have not begun to leave, since their sockets take nothing.
    private mutating func noteUnsent() {
        for token in roster {
            guard let client = slab.pointer(token) else { continue }
            meter.pointee.unsent &+= unsentCount(client)
            client.pointee.allowed = client.pointee.sent
        }
    }

    /// Messages of the measured part that the clock has let go on a connection, and that have not begun to leave.
    private mutating func unsentCount(_ client: ClientPointer) -> UInt64 {
        guard isByTheClock, stage.rawValue >= Stage.measuring.rawValue else { return 0 }
        var first = client.pointee.sent
        let end = client.pointee.allowed
        // Those of the warm-up are the oldest.
        while first < end,
            intendedAt(position: client.pointee.position, index: first) < measureBeganAt
        {
            first += 1
        }
        return end - min(first, end)
    }

    private static func sentence(ofEnd phase: LoadClient.Phase) -> String {
        switch phase {
        case .connecting: "a connection was still being made when the run was over"
        case .handshaking, .greeting: "a TLS handshake was still under way when the run was over"
        case .upgrading: "an upgrade was not answered when the run was over"
        case .open: "a message had not come when the run was over"
        case .closing, .ending, .carrying: "a Close was not answered when the run was over"
        }
    }

    /// Clients of a script begin nothing more; those that wait for a message still get it.
    mutating func endScripts() {
        var index = -1
        while let token = slab.nextLive(after: index) {
            index = Int(token.index)
            guard let client = slab.pointer(token), client.pointee.phase == .open,
                let player = client.pointee.player, !player.isAwaiting
            else { continue }
            _ = sendClose(client, token)
        }
    }

    /// Counts what is lost with a connection: messages that were not back, and those that had not left.
    mutating func noteUnanswered(_ client: ClientPointer, _ cause: LoadCause) {
        guard plan.awaitsAll else { return }
        switch kind {
        case .echo, .closed, .rate, .stream: break
        case .connect, .idle, .cycle, .push, .storm, .script: return
        }
        // One that came back wrong is an error of its own.
        let known = client.pointee.answered &+ (cause == .content ? 1 : 0)
        let begun = client.pointee.sent
        if meter.pointee.isMeasuring, begun > client.pointee.answered {
            meter.pointee.gone &+= begun - client.pointee.answered
        }
        if begun > known {
            meter.pointee.note(
                begun - known, .missing, "messages were not back when their connection was lost")
        }
        meter.pointee.unsent &+= unsentCount(client)
    }
}
