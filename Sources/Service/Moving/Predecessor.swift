// SPDX-License-Identifier: Apache-2.0
import Foundation
import Frontend
import Glibc
import Ledger
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
    /// How long it may take to end relays, of which it may have many.
    private static let answerMilliseconds: UInt64 = 10_000
    /// A process that ends closes its files a moment before others know that it is gone.
    private static let endMilliseconds: UInt64 = 1_000
    /// How long is waited for others who ask it.
    private static let turnMilliseconds: UInt64 = 2_000

    /// Its number.
    let process: Int32
    private let isParent: Bool
    private struct Line {
        var channel: MessageSocket?
        /// Whether it could ever be asked.
        var wasConnected = false
    }
    /// Held for moments only.
    private let line = Mutex(Line())
    /// The number of the last errand; held while somebody asks.
    ///
    /// So a late answer is not taken for another's, or one to another process for this one's.
    private let asking = Mutex(UInt64.random(in: 0...UInt64.max / 2))

    /// The process that has started this one; it can be asked once it is connected.
    init(parent process: Int32) {
        self.process = process
        isParent = true
    }

    /// A process before that one, with the channel that it has given up; nil where it can't be asked.
    init(_ process: Int32, _ channel: MessageSocket?) {
        self.process = process
        isParent = false
        if let channel { connect(channel) }
    }

    /// Whether it has not ended: whoever loses its parent gets another.
    var isThere: Bool {
        if isParent { return getppid() == process }
        if let channel = line.withLock({ $0.channel }) { return !channel.hasEnded }
        return kill(process, 0) == 0
    }

    /// It can be asked from now on.
    func connect(_ channel: MessageSocket) {
        line.withLock {
            $0.channel = channel
            $0.wasConnected = true
        }
    }

    /// It has ended, or hears nothing any more.
    func disconnect() { line.withLock { $0.channel = nil } }

    /// The channel to it; nil where there is none, or where it has ended.
    var channel: MessageSocket? { line.withLock { $0.channel.flatMap { $0.hasEnded ? nil : $0 } } }

    /// Has it end relays.
    func end(_ errand: EndErrand) -> EndErrand.Outcome {
        guard isThere else { return .told(0) }
        let silent = EndErrand.Outcome.silent(process: process)
        guard line.withLock({ $0.wasConnected }) else { return silent }
        let turnEnd = Clock.nowMilliseconds() + Self.turnMilliseconds
        while true {
            let answer = asking.withLockIfAvailable { ask(errand, &$0) }
            if let answer {
                if let outcome = answer { return outcome }
                break
            }
            if Clock.nowMilliseconds() >= turnEnd { return silent }
            usleep(10_000)
        }
        let deadline = Clock.nowMilliseconds() + Self.endMilliseconds
        while isThere {
            if Clock.nowMilliseconds() >= deadline { return silent }
            usleep(10_000)
        }
        // Nothing of it is left.
        return .told(0)
    }

    /// Sends an errand; what has become of it, or nil where the other end seems to be gone.
    private func ask(_ errand: EndErrand, _ number: inout UInt64) -> EndErrand.Outcome? {
        guard let channel = line.withLock({ $0.channel }) else { return nil }
        number += 1
        let message = MoveMessage.end(errand, number: number).bytes
        guard (1...MessageSocket.messageBytesMax).contains(message.count),
            channel.send(message, withinMilliseconds: 1_000)
        else { return nil }
        let deadline = Clock.nowMilliseconds() + Self.answerMilliseconds
        while true {
            let left = Int32(clamping: deadline - min(deadline, Clock.nowMilliseconds()))
            switch channel.receive(withinMilliseconds: left) {
            case .ended: return nil
            case .nothing: return .silent(process: process)
            case .message(let bytes, let descriptors):
                for descriptor in descriptors { close(descriptor) }
                if case .ended(let outcome, number)? = MoveMessage(bytes) { return outcome }
            }
        }
    }
}

/// All processes before this one that may drain sockets still: each upgrade hands the channels on.
struct Predecessors: Sendable {
    static let variable = "SLUICE_BEFORE"

    private let older: [Predecessor]
    /// The one that has started this process in an upgrade; nil where none has.
    let parent: Predecessor?

    /// What the variable says.
    struct Named: Equatable {
        /// A process before the one that has started this one.
        struct Older: Equatable {
            let process: Int32
            /// The number of its channel; -1 where there is none.
            let descriptor: Int32
        }
        /// The process that has started this one; nil where that is gone, or where there was none.
        var parent: Int32?
        var older: [Older] = []

        /// Reads the variable.
        ///
        /// Its first line is the number of whoever has written it. Where that is not the parent, the descriptors are
        /// not ours: the variable is left over, or the parent has ended and another process stands in for it.
        init(_ text: String?, parent: Int32, isTakingOver: Bool) {
            let lines = (text ?? "").split(separator: "\n")
            guard let first = lines.first.flatMap({ Int32($0) }) else {
                // Of a program that does not name itself.
                self.parent = isTakingOver && parent > 1 ? parent : nil
                return
            }
            guard isTakingOver, first == parent else { return }
            self.parent = parent
            older = lines.dropFirst().compactMap { line in
                let numbers = line.split(separator: " ").map { Int32($0) }
                guard numbers.count == 2, let process = numbers[0], process > 1,
                    let descriptor = numbers[1], descriptor == -1 || descriptor > 2
                else { return nil }
                return Older(process: process, descriptor: descriptor)
            }
        }
    }

    /// Those that this process was started with.
    ///
    /// To be asked once, before anything is opened: the variable is taken away.
    static func inherited() -> Predecessors {
        defer { unsetenv(variable) }
        return Predecessors(
            Named(
                getenv(variable).map { String(cString: $0) }, parent: getppid(),
                isTakingOver: Successor.isTakingOver))
    }

    /// Those that are named, whose channels are taken over.
    init(_ named: Named) {
        parent = named.parent.map { Predecessor(parent: $0) }
        older = named.older.map { one in
            let channel = one.descriptor < 0 ? nil : MessageSocket(adopting: one.descriptor)
            return Predecessor(one.process, channel.flatMap { $0.isOfThisUser ? $0 : nil })
        }
    }

    /// The variable for a process that this one starts: each with the number of its channel there, -1 where it has none.
    static func text(_ before: [(process: Int32, descriptor: Int32)]) -> String {
        (["\(getpid())"] + before.map { "\($0.process) \($0.descriptor)" })
            .joined(separator: "\n")
    }

    /// Those that have not ended, the last one first.
    var present: [Predecessor] { ([parent].compactMap(\.self) + older).filter(\.isThere) }

    /// They with the channels to them; nil where one can't be asked.
    var channels: [(process: Int32, channel: MessageSocket?)] {
        present.map { ($0.process, $0.channel) }
    }

    /// Has all of them end relays.
    func end(_ errand: EndErrand) -> EndErrand.Outcome {
        var isOne = false
        if case .one = errand { isOne = true }
        var count = 0
        var others: EndErrand.Outcome?
        for one in present {
            switch one.end(errand) {
            case .told(let told):
                if isOne && told > 0 { return .told(told) }
                count += told
            case .isEnding:
                if isOne { return .isEnding }
            case .silent(let process): others = .silent(process: process)
            }
        }
        return others ?? .told(count)
    }
}
