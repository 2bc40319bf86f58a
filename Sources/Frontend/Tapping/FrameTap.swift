// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
public import Splice
import Synchronization

/// A tap: what it asks for is told by all reactors until it is left.
///
/// One thread takes what is told; any may end it.
public final class FrameTap: Sendable {
    let plan: TapPlan
    private let frontend: Frontend
    private let readers: Mutex<[TapReader]>
    private let reason = Mutex<String?>(nil)

    fileprivate init(_ plan: TapPlan, _ frontend: Frontend) {
        self.plan = plan
        self.frontend = frontend
        readers = Mutex(plan.lines.map { TapReader($0) })
    }

    /// What it is told.
    public var scope: TapScope { plan.wish.scope }

    /// Why it has to end; nil as long as it need not.
    public var end: String? { reason.withLock { $0 } }

    /// Has whoever takes what is told end it, for a reason in plain words.
    public func end(because sentence: String) {
        reason.withLock { $0 = $0 ?? sentence }
    }

    /// Frames that were lost because they were taken too slowly, since the begin.
    public var lostFrames: UInt64 { plan.lines.reduce(0) { $0 + $1.lostFrames } }

    /// Begins and ends of relays that were lost so.
    public var lostRelays: UInt64 { plan.lines.reduce(0) { $0 + $1.lostRelays } }

    /// All that was told by now, by time, each reactor's with its number.
    ///
    /// What one reactor tells is in order over all calls; what several tell, within one.
    public func take() -> [(worker: Int, news: TapNews)] {
        let all = readers.withLock { readers in
            readers.indices.flatMap { index in
                readers[index].take().map { (worker: index, news: $0) }
            }
        }
        guard plan.lines.count > 1 else { return all }
        return all.enumerated().sorted {
            ($0.element.news.nanoseconds, $0.offset) < ($1.element.news.nanoseconds, $1.offset)
        }.map(\.element)
    }

    /// Has all reactors tell it nothing any more, and makes room for another tap; to be called once.
    ///
    /// A reactor that does not answer may still use the number: that is free again when it has.
    public func leave() { leave(within: 5_000) }

    fileprivate func leave(within milliseconds: UInt64) {
        frontend.taps.remove(self)
        var asked = frontend.post { .untap(plan, from: 0, done: $0) }
        if asked.wait(within: milliseconds) {
            frontend.taps.giveBack(plan.bit)
        } else {
            frontend.taps.giveBack(plan.bit, behind: asked)
        }
    }
}

/// Why no tap listens.
public enum TapFault: Error {
    /// There are as many as there may be (`TapTable.tapsMax`).
    case full
    /// A reactor has not answered, so it may not have looked at its relays.
    case silent
}

extension Frontend {
    /// Has a tap listen.
    ///
    /// Returns when every reactor has looked at all of its relays.
    ///
    /// - Throws: `TapFault` where none listens.
    public func tap(_ wish: TapWish) throws(TapFault) -> FrameTap {
        try tap(wish, within: 5_000)
    }

    func tap(_ wish: TapWish, within milliseconds: UInt64) throws(TapFault) -> FrameTap {
        guard let bit = taps.take() else { throw .full }
        let plan = TapPlan(wish, bit: bit, reactors: crew.mailboxes.count)
        let tap = FrameTap(plan, self)
        taps.add(tap)
        guard ask(within: milliseconds, { .tap(plan, from: 0, done: $0) }) else {
            // It was waited for already.
            tap.leave(within: 0)
            throw .silent
        }
        return tap
    }

    /// Those that listen now.
    public var frameTaps: [FrameTap] { taps.all }
}
