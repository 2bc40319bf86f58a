// SPDX-License-Identifier: Apache-2.0
import Frontend
import Glibc
import Reactor

/// Moves the live relays of this process to the one that has taken over its listeners.
///
/// Invariant: a relay is served by one process at most. It is given up here before its image leaves, and taken back
/// only where the image has not left, or the other process has said that it did not touch it. Where the answer is
/// missing, its sockets are closed: both processes sealing records with one key and number would give the key away
/// (RFC 5116 §5.1.1).
struct RelayMove {
    /// What became of all.
    struct Outcome: Equatable {
        var moved = 0
        var lost = 0
        var staying = MovedOut.Staying()
        var milliseconds: UInt64 = 0
        /// Why no further ones were moved; nil where all were that could be.
        var fault: String?
        /// Whether the new process has said that it expects no more.
        var isConfirmed = false
        /// Why the new process has refused some, of one of them; nil where it has refused none.
        var refusal: String?
    }

    /// How long the other process may take to say that it takes relays over.
    private static let helloMilliseconds: Int32 = 2_000
    /// How long it may take for one message.
    private static let answerMilliseconds: Int32 = 15_000
    /// From one look at the relays that could not move to the next.
    private static let pauseMicroseconds: UInt32 = 20_000
    /// For so long at least is looked at what becomes of handshakes that were under way.
    private static let handshakeMilliseconds: UInt64 = 300

    let frontend: Frontend
    let channel: MessageSocket
    /// How long relays are waited for that can't move at once.
    let settleMilliseconds: UInt64
    /// Whether nobody wants it any more.
    let isGivenUp: () -> Bool

    /// Moves whatever can be moved.
    func run() -> Outcome {
        var outcome = Outcome()
        do throws(SystemError) {
            outcome = run(try MoveAnswers())
        } catch {
            outcome.fault = error.description
        }
        outcome.isConfirmed = finish()
        return outcome
    }

    /// Says that no relays come.
    func moveNothing() {
        if case .message(_, let descriptors) = channel.receive(
            withinMilliseconds: Self.helloMilliseconds)
        {
            for descriptor in descriptors { close(descriptor) }
        }
        // Also where it has said nothing yet: else it would wait for relays, and refuse changes meanwhile.
        _ = finish()
    }

    private func run(_ answers: MoveAnswers) -> Outcome {
        let begin = Clock.nowMilliseconds()
        var outcome = Outcome()
        guard
            case .message(let bytes, let descriptors) = channel.receive(
                withinMilliseconds: Self.helloMilliseconds), MoveMessage(bytes) == .hello
        else {
            outcome.fault = "the new process does not take live sockets over"
            return outcome
        }
        for descriptor in descriptors { close(descriptor) }
        var order = MoveOrder(relaysMax: MoveMessage.relaysMax, leavesProcess: true)
        while true {
            let movedBefore = outcome.moved
            let waiting = pass(order, &outcome, answers)
            order.isFirstLook = false
            let time = Clock.nowMilliseconds() - begin
            if outcome.moved > movedBefore || outcome.lost > 0 { outcome.milliseconds = time }
            if outcome.fault != nil || isGivenUp() { break }
            let left = frontend.connectionCount - outcome.staying.sum
            let isQuiet = waiting == 0 && outcome.moved == movedBefore
            let isEarly = time < Self.handshakeMilliseconds && left > 0
            if isQuiet && !isEarly || time >= settleMilliseconds { break }
            usleep(Self.pauseMicroseconds)
        }
        return outcome
    }

    /// Moves what can be moved at this moment; how many could not and may a little later.
    ///
    /// While the new process takes a group over, this one writes the next; that leaves when the answer has come.
    private func pass(
        _ order: MoveOrder, _ outcome: inout Outcome, _ answers: MoveAnswers
    ) -> Int {
        var waiting = 0
        var sent: SentGroup?
        outcome.staying = MovedOut.Staying()
        for reactor in 0..<frontend.reactorCount {
            var position: Int? = 0
            while let first = position, outcome.fault == nil {
                guard let out = frontend.moveOut(order, of: reactor, from: first, answers) else {
                    outcome.fault = "reactor \(reactor) does not answer"
                    break
                }
                waiting += out.waiting
                outcome.staying += out.staying
                position = out.next
                settle(&sent, &outcome, answers)
                if outcome.fault != nil {
                    takeBack(out.relays, &outcome, answers)
                } else if !out.relays.isEmpty {
                    sent = send(out.relays, &outcome, answers)
                }
            }
        }
        settle(&sent, &outcome, answers)
        return waiting
    }

    /// Relays that were sent, with the memory in which the other process reads them.
    private final class SentGroup {
        let relays: [RelayInTransit]
        /// Overwritten as it ends, so it lasts until the answer.
        private let file: SharedFile

        init(_ relays: [RelayInTransit], _ file: consuming SharedFile) {
            self.relays = relays
            self.file = file
        }

        var descriptor: Int32 { file.descriptor }
    }

    /// Sends a group; nil where that can't be, and it was taken back.
    private func send(
        _ relays: [RelayInTransit], _ outcome: inout Outcome, _ answers: MoveAnswers
    ) -> SentGroup? {
        guard let file = ImageFile.write(relays) else {
            takeBack(relays, &outcome, answers)
            outcome.fault = "no memory or no descriptor is left for what is handed on"
            return nil
        }
        let group = SentGroup(relays, file)
        MoveStep.written.reached()
        let sockets = relays.flatMap { [$0.descriptors.client, $0.descriptors.backend] }
        let message = MoveMessage.relays(count: relays.count)
        let isSent = channel.send(
            message.bytes, [group.descriptor] + sockets,
            withinMilliseconds: Self.answerMilliseconds)
        guard isSent else {
            takeBack(relays, &outcome, answers)
            outcome.fault = "the new process takes nothing any more"
            return nil
        }
        MoveStep.sent.reached()
        return group
    }

    /// Waits for what has become of a group that was sent; does nothing where none was.
    private func settle(
        _ sent: inout SentGroup?, _ outcome: inout Outcome, _ mailboxes: MoveAnswers
    ) {
        guard let group = sent else { return }
        defer { sent = nil }
        let relays = group.relays
        guard
            case .message(let bytes, let descriptors) = channel.receive(
                withinMilliseconds: Self.answerMilliseconds),
            case .outcomes(let answers)? = MoveMessage(bytes), answers.count == relays.count
        else {
            // Nobody knows whether it serves them: they end here, and there if it is gone.
            outcome.lost += relays.count
            for relay in relays { relay.end() }
            outcome.fault = "the new process has not said what became of some sockets"
            return
        }
        for descriptor in descriptors { close(descriptor) }
        MoveStep.answered.reached()
        var refused: [RelayInTransit] = []
        var lost = 0
        for (relay, answer) in zip(relays, answers) {
            switch answer {
            case .taken: outcome.moved += 1
            case .refused(let reason):
                refused.append(relay)
                outcome.refusal = reason
            case .lost(let reason):
                lost += 1
                if lost == relays.count {
                    outcome.fault = "the new process has lost all of some sockets, since \(reason)"
                }
            }
        }
        outcome.lost += lost
        takeBack(refused, wereRefused: true, &outcome, mailboxes)
    }

    /// They go on here, as if they had never been given up.
    private func takeBack(
        _ relays: [RelayInTransit], wereRefused: Bool = false, _ outcome: inout Outcome,
        _ answers: MoveAnswers
    ) {
        if relays.isEmpty { return }
        let outcomes = frontend.takeBack(relays, wasRefused: wereRefused, answers)
        outcome.lost += outcomes.count { $0 != .taken }
    }

    /// Waits until the new process expects no more of them: then it can be asked for everything.
    private func finish() -> Bool {
        guard channel.send(MoveMessage.finished.bytes, withinMilliseconds: 1_000),
            case .message(let bytes, let descriptors) = channel.receive(
                withinMilliseconds: Self.helloMilliseconds)
        else { return false }
        for descriptor in descriptors { close(descriptor) }
        return MoveMessage(bytes) == .finished
    }
}

/// The steps of a move, at which a test can have a process end or stand still: what follows from that is the same as with
/// a kill.
enum MoveStep: String {
    /// Images were written, and nobody has them yet.
    case written
    /// They were sent.
    case sent
    /// The answer has come.
    case answered
    /// The new process serves, and has not said that it takes relays over.
    case starting
    /// It has said so.
    case ready
    /// It has got a message, and looked at nothing of it.
    case received
    /// It serves the relays, and has not said so.
    case taken
    /// It has said so.
    case told

    /// Goes on, unless a test wants the process to end here.
    @inline(__always) func reached() {
        #if DEBUG
        endIfWanted()
        #endif
    }

    #if DEBUG
    private func endIfWanted() {
        for (name, signal) in [("SLUICE_TEST_END_AT", SIGKILL), ("SLUICE_TEST_STOP_AT", SIGSTOP)] {
            guard let wanted = getenv(name), String(cString: wanted) == rawValue else { continue }
            kill(getpid(), signal)
        }
    }
    #endif
}
