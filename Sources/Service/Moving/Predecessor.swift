// SPDX-License-Identifier: Apache-2.0
import Frontend
import Glibc
import Reactor
import Synchronization

/// Relays that are to be ended in a process before this one, which drains those that could not move.
enum EndErrand: Codable, Equatable {
    /// One, by its ID or name as text.
    case one(String, code: UInt16)
    /// All that a filter lets pass.
    case all(RelayFilter, code: UInt16, reason: String)

    /// What has become of it.
    enum Outcome: Codable, Equatable {
        /// So many were told.
        case told(Int)
        /// The one is ending already.
        case isEnding
        /// It was not done, or not by all: this process did not answer in time.
        case silent(process: Int32)
    }
}

/// A process before this one: it drains the live sockets that could not move, and then ends.
///
/// Those sockets have their clients' sessions there. So whoever is to be put out is put out there as well, through the
/// channel on which the others have come.
final class Predecessor: Sendable {
    /// How long is waited for it, in milliseconds.
    struct Patience {
        /// For the end of relays, of which it may have many.
        var answer: UInt64 = 10_000
        /// For the same, where it did not answer before.
        var known: UInt64 = 200
        /// For its end, where its files are closed already: others know a moment later that it is gone.
        var end: UInt64 = 1_000
        /// For others who ask it; after that long without an answer it counts as silent.
        var turn: UInt64 = 2_000
    }

    /// How often whoever waits for an answer looks at whether it may.
    private static let lookMilliseconds: UInt64 = 100

    /// Who it is.
    let mark: ProcessMark
    private let isParent: Bool
    private let patience: Patience
    private struct Line {
        var channel: MessageSocket?
        /// Whether it could ever be asked.
        var wasConnected = false
        /// Whether it has not answered the last time.
        ///
        /// It has all errands still that were sent and that it did not answer. So where it goes on, the next one who asks gets those answers,
        /// however short that one waits.
        var isSilent = false
    }
    /// Held for moments only.
    private let line = Mutex(Line())
    /// The number of the last errand; held while somebody asks.
    ///
    /// So a late answer is not taken for another's, or one to another process for this one's.
    private let asking = Mutex(UInt64.random(in: 0...UInt64.max / 2))
    private let isHandedOn = Atomic<Bool>(false)

    /// The process that has started this one; it can be asked once it is connected.
    init(parent mark: ProcessMark, _ patience: Patience = Patience()) {
        self.mark = mark
        self.patience = patience
        isParent = getppid() == mark.process
    }

    /// A process before that one, with the channel that it has given up; nil where it can't be asked.
    init(_ mark: ProcessMark, _ channel: MessageSocket?, _ patience: Patience = Patience()) {
        self.mark = mark
        self.patience = patience
        isParent = false
        line.withLock {
            $0.channel = channel
            $0.wasConnected = channel != nil
        }
    }

    /// Its number.
    var process: Int32 { mark.process }

    /// Whether it has not ended: whoever loses its parent gets another.
    var isThere: Bool { isParent ? getppid() == process : mark.isThere }

    /// It can be asked from now on, by others than this one as soon as the word was said.
    ///
    /// - Parameters:
    ///   - channel: leads to it.
    ///   - word: says through the channel that the relays have come.
    /// - Returns: what that says.
    func connect(_ channel: MessageSocket, saying word: () -> Bool) -> Bool {
        // The other end waits for the word, and takes nothing else for it.
        asking.withLock { _ in
            line.withLock {
                $0.channel = channel
                $0.wasConnected = true
            }
            return word()
        }
    }

    /// It has ended, or hears nothing any more.
    func disconnect() { line.withLock { $0.channel = nil } }

    /// The channel to it; nil where there is none, or where it has ended.
    var channel: MessageSocket? { line.withLock { $0.channel.flatMap { $0.hasEnded ? nil : $0 } } }

    /// From now on another process reads what it answers, or this one again.
    ///
    /// Both have one end of one channel, so each would take answers from the other.
    func handOn(_ isSo: Bool) {
        isHandedOn.store(isSo, ordering: .releasing)
        guard isSo else { return }
        let end = Clock.nowMilliseconds() + 2 * Self.lookMilliseconds
        while asking.withLockIfAvailable({ _ in true }) == nil, Clock.nowMilliseconds() < end {
            usleep(1_000)
        }
    }

    // MARK: Asking it

    /// What has come of asking.
    private enum Asked {
        case answered(EndErrand.Outcome)
        case silent
        /// The other end of the channel is closed.
        case closed
    }

    /// Has it end relays.
    func end(_ errand: EndErrand) -> EndErrand.Outcome {
        guard isThere else { return .told(0) }
        let silent = EndErrand.Outcome.silent(process: process)
        guard line.withLock({ $0.wasConnected }) else { return silent }
        switch askInTurn(errand) {
        case .answered(.told(let count)): return .told(max(0, min(count, Int(Int32.max))))
        case .answered(.isEnding): return .isEnding
        case .answered(.silent), .silent: return silent
        case .closed: break
        }
        let deadline = Clock.nowMilliseconds() + (isSilent ? patience.known : patience.end)
        while isThere {
            if Clock.nowMilliseconds() >= deadline {
                setSilent(true)
                return silent
            }
            usleep(10_000)
        }
        // Nothing of it is left.
        return .told(0)
    }

    private var isSilent: Bool { line.withLock { $0.isSilent } }

    private func setSilent(_ isSo: Bool) { line.withLock { $0.isSilent = isSo } }

    /// Asks when nobody else does; those who wait are told soon where whoever asks gets no answer.
    private func askInTurn(_ errand: EndErrand) -> Asked {
        let begin = Clock.nowMilliseconds()
        while true {
            if let asked = asking.withLockIfAvailable({ ask(errand, &$0) }) { return asked }
            let most = isSilent ? patience.known : patience.turn
            if Clock.nowMilliseconds() - begin >= most { return .silent }
            usleep(10_000)
        }
    }

    /// Sends an errand and waits for what becomes of it.
    ///
    /// It is sent to a silent process as well: that does it when it goes on.
    private func ask(_ errand: EndErrand, _ number: inout UInt64) -> Asked {
        guard let channel = line.withLock({ $0.channel }) else { return .closed }
        if isHandedOn.load(ordering: .acquiring) { return .silent }
        number += 1
        let message = MoveMessage.end(errand, number: number).bytes
        guard (1...MessageSocket.messageBytesMax).contains(message.count) else { return .silent }
        if channel.send(message, withinMilliseconds: isSilent ? 0 : 1_000) {
            return answer(to: number, channel)
        }
        if channel.hasEnded { return .closed }
        // There is no room for more, so it does not read. Its answers say whether it does again.
        setSilent(true)
        return answer(to: number, channel, unsent: message)
    }

    /// Waits for the answer to an errand.
    ///
    /// - Parameters:
    ///   - number: the errand's.
    ///   - channel: the one to the process.
    ///   - unsent: the errand, where it is to be sent when the process answers others; nil where it was sent.
    /// - Returns: what has become of it.
    private func answer(
        to number: UInt64, _ channel: MessageSocket, unsent: [UInt8]? = nil
    ) -> Asked {
        var unsent = unsent
        let begin = Clock.nowMilliseconds()
        var most = isSilent ? patience.known : patience.answer
        while true {
            let time = Clock.nowMilliseconds() - begin
            if isHandedOn.load(ordering: .acquiring) { return .silent }
            if time >= min(most, patience.turn) { setSilent(true) }
            if time >= most { return .silent }
            switch channel.receive(
                withinMilliseconds: Int32(clamping: min(most - time, Self.lookMilliseconds)))
            {
            case .ended: return .closed
            case .nothing: continue
            case .message(let bytes, let descriptors):
                for descriptor in descriptors { close(descriptor) }
                guard case .ended(let outcome, let answered)? = MoveMessage(bytes) else { continue }
                if answered == number {
                    setSilent(false)
                    return .answered(outcome)
                }
                if let message = unsent, !channel.send(message, withinMilliseconds: 0) { continue }
                unsent = nil
                // It does again what it is asked for, so this errand's turn comes too.
                setSilent(false)
                most = patience.answer
            }
        }
    }
}
