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

    /// Its number.
    let process: Int32
    private let isParent: Bool
    private struct Line {
        var channel: MessageSocket?
        /// Of the last errand, so that a late answer is not taken for another's, or one to another process for this one's.
        var number = UInt64.random(in: 0...UInt64.max / 2)
    }
    private let line = Mutex(Line())

    /// The process that has started this one; it can be asked once it is connected.
    init(parent process: Int32) {
        self.process = process
        isParent = true
    }

    /// A process before that one, with the channel that it has given up.
    init(_ process: Int32, _ channel: MessageSocket) {
        self.process = process
        isParent = false
        line.withLock { $0.channel = channel }
    }

    /// Whether it has not ended: whoever loses its parent gets another.
    var isThere: Bool {
        isParent
            ? getppid() == process : line.withLock { $0.channel.map { !$0.hasEnded } ?? false }
    }

    /// It can be asked from now on.
    func connect(_ channel: MessageSocket) { line.withLock { $0.channel = channel } }

    /// It has ended, or hears nothing any more.
    func disconnect() { line.withLock { $0.channel = nil } }

    /// The channel to it; nil where there is none, or where it has ended.
    var channel: MessageSocket? { line.withLock { $0.channel.flatMap { $0.hasEnded ? nil : $0 } } }

    /// Has it end relays.
    func end(_ errand: EndErrand) -> EndErrand.Outcome {
        guard isThere else { return .told(0) }
        if let outcome = line.withLock({ Self.ask(errand, &$0) }) { return outcome }
        let deadline = Clock.nowMilliseconds() + Self.endMilliseconds
        while isThere {
            if Clock.nowMilliseconds() >= deadline { return .silent(process: process) }
            usleep(10_000)
        }
        // Nothing of it is left.
        return .told(0)
    }

    /// Sends an errand; what has become of it, or nil where there is no answer.
    private static func ask(_ errand: EndErrand, _ line: inout Line) -> EndErrand.Outcome? {
        guard let channel = line.channel else { return nil }
        line.number += 1
        let message = MoveMessage.end(errand, number: line.number).bytes
        guard (1...MessageSocket.messageBytesMax).contains(message.count),
            channel.send(message, withinMilliseconds: 1_000)
        else { return nil }
        let deadline = Clock.nowMilliseconds() + answerMilliseconds
        while true {
            let left = Int32(clamping: deadline - min(deadline, Clock.nowMilliseconds()))
            guard
                case .message(let bytes, let descriptors) = channel.receive(
                    withinMilliseconds: left)
            else { return nil }
            for descriptor in descriptors { close(descriptor) }
            if case .ended(let outcome, let number)? = MoveMessage(bytes), number == line.number {
                return outcome
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

    /// Those that this process was started with.
    init() {
        let text = ProcessInfo.processInfo.environment[Self.variable] ?? ""
        older = text.split(separator: "\n").compactMap { line in
            let numbers = line.split(separator: " ").compactMap { Int32($0) }
            guard numbers.count == 2, numbers[1] > 2,
                let channel = MessageSocket(adopting: numbers[1]), channel.isOfThisUser
            else { return nil }
            return Predecessor(numbers[0], channel)
        }
        parent = Successor.isTakingOver ? Predecessor(parent: getppid()) : nil
    }

    /// Those that have not ended, the last one first.
    var present: [Predecessor] { ([parent].compactMap(\.self) + older).filter(\.isThere) }

    /// The channels to them.
    var channels: [(process: Int32, channel: MessageSocket)] {
        present.compactMap { one in one.channel.map { (one.process, $0) } }
    }

    /// Has all of them end relays.
    func end(_ errand: EndErrand) -> EndErrand.Outcome {
        var count = 0
        var others: EndErrand.Outcome?
        for one in present {
            switch one.end(errand) {
            case .told(let told): count += told
            case .isEnding: others = others ?? .isEnding
            case .silent(let process): others = .silent(process: process)
            }
        }
        if case .one = errand, count > 0 { return .told(count) }
        return others ?? .told(count)
    }
}
