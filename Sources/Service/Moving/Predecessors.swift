// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Synchronization

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
            let mark: ProcessMark
            /// The number of its channel; -1 where there is none.
            let descriptor: Int32
        }
        /// The process that has started this one; nil where there was none.
        var parent: ProcessMark?
        var older: [Older] = []

        /// Reads the variable.
        ///
        /// Its first line is whoever has written it. That one may have ended meanwhile, or have started a program that has
        /// started this one: so its number and its start tell who it is, and not that it is the parent.
        init(_ text: String?, parent: Int32, isTakingOver: Bool) {
            guard isTakingOver else { return }
            let lines = (text ?? "").split(separator: "\n").map { line in
                line.split(separator: " ").map { Int64($0) ?? -2 }
            }
            guard let first = lines.first, first.count == 2,
                let giver = Self.mark(first[0], first[1])
            else {
                // Of a program that does not name itself.
                self.parent = parent > 1 ? ProcessMark(of: parent) : nil
                return
            }
            self.parent = giver
            older = lines.dropFirst().compactMap { line in
                guard line.count == 3, let descriptor = Int32(exactly: line[1]),
                    descriptor == -1 || descriptor > 2, let mark = Self.mark(line[0], line[2])
                else { return nil }
                return Older(mark: mark, descriptor: descriptor)
            }
        }

        private static func mark(_ process: Int64, _ began: Int64) -> ProcessMark? {
            guard let process = Int32(exactly: process), process > 0, began >= 0 else { return nil }
            return ProcessMark(process, began: began == 0 ? nil : UInt64(began))
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

    /// Those that are named, whose channels are taken over: a descriptor that is none of theirs is left alone.
    init(_ named: Named) {
        parent = named.parent.map { Predecessor(parent: $0) }
        older = named.older.map { one in
            let channel =
                one.descriptor < 0
                ? nil : MessageSocket(adopting: one.descriptor, madeBy: one.mark.process)
            return Predecessor(one.mark, channel)
        }
    }

    /// Those.
    init(parent: Predecessor?, older: [Predecessor]) {
        self.parent = parent
        self.older = older
    }

    /// The variable for a process that this one starts: each with the number of its channel there, -1 where it has none,
    /// and when it began, 0 where that is not known.
    static func text(_ before: [(mark: ProcessMark, descriptor: Int32)]) -> String {
        let own = ProcessMark(of: getpid())
        return
            (["\(own.process) \(own.began ?? 0)"]
            + before.map { "\($0.mark.process) \($0.descriptor) \($0.mark.began ?? 0)" })
            .joined(separator: "\n")
    }

    /// Those that have not ended, the last one first; the channels of the others are closed.
    var present: [Predecessor] {
        all.filter { one in
            let isThere = one.isThere
            if !isThere { one.disconnect() }
            return isThere
        }
    }

    private var all: [Predecessor] { [parent].compactMap(\.self) + older }

    /// They with the channels to them; nil where one can't be asked.
    var channels: [(mark: ProcessMark, channel: MessageSocket?)] {
        present.map { ($0.mark, $0.channel) }
    }

    /// From now on another process reads what they answer, or this one again.
    func handOn(_ isSo: Bool) {
        for one in all { one.handOn(isSo) }
    }

    /// What has become of the wish to end relays in all of them.
    struct Ended: Equatable {
        var told = 0
        /// Whether the one relay is ending already.
        var isEnding = false
        /// The numbers of those that did not answer in time.
        var silent: [Int32] = []
    }

    /// Has all of them end relays, at the same time: none waits for another that is silent.
    func end(_ errand: EndErrand) -> Ended {
        var ended = Ended()
        for outcome in ask(errand) {
            switch outcome {
            case .told(let told): ended.told += told
            case .isEnding: ended.isEnding = true
            case .silent(let process): ended.silent.append(process)
            }
        }
        return ended
    }

    private final class Outcomes: Sendable {
        let all = Mutex<[Int: EndErrand.Outcome]>([:])
    }

    private func ask(_ errand: EndErrand) -> [EndErrand.Outcome] {
        let asked = present
        let outcomes = Outcomes()
        let threads = asked.enumerated().dropFirst().map { index, one in
            let ask: @Sendable () -> Void = {
                let outcome = one.end(errand)
                outcomes.all.withLock { $0[index] = outcome }
            }
            let thread = try? ReactorThread.start(name: "sluice-errand", body: ask)
            // Where there is no room for another thread, one goes behind the other.
            if thread == nil { ask() }
            return thread
        }
        let first = asked.first.map { $0.end(errand) }
        for thread in threads { thread?.join() }
        return [first].compactMap(\.self)
            + outcomes.all.withLock { found in found.sorted { $0.key < $1.key }.map(\.value) }
    }
}
