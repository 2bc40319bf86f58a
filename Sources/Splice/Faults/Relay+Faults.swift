// SPDX-License-Identifier: Apache-2.0
public import Ledger
import Reactor
import Wire

/// Faults that are done on purpose: what passes waits on a line in each direction, and a connection may be cut.
///
/// A relay without faults has no lines. One that has them is paced, so that everything here is reached from where rates
/// are looked at.
extension Relay {
    /// What was done to it.
    public var actedFaults: FaultKinds { down.faults?.course.acted ?? [] }

    /// The faults that it has, or has had last.
    public var faultPlan: FaultPlan? { down.faults?.course.plan }

    /// Draws whether the relay is one of the share that has faults, and begins them.
    ///
    /// Faults that it had before end, also where it is not drawn; what they hold back goes on in front of the rest.
    public mutating func begin(
        _ plan: FaultPlan, tally: UnsafePointer<RelayTally>?,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        let now = space.pointee.nowMilliseconds
        guard stage == .relaying, !plan.isOver(nowMilliseconds: now),
            plan.rules.concernsRelays || down.faults != nil
        else { return }
        let acted = actedFaults
        if down.faults != nil { flushFaults(space) }
        // Nothing is left then but a connection that is about to be cut.
        guard !isAboutToBeStruck else { return }
        let course = FaultCourse(plan, acted: acted, tally: tally, nowMilliseconds: now)
        if !plan.takes(nowMilliseconds: now) { course.spend() }
        hang(course, now)
    }

    /// The faults that it has, for a relay that goes on at another reactor; nil where it never had any.
    public var carriedFaults: CarriedFaults? { down.faults.map { $0.course.carried } }

    /// Goes on with the faults that it had at another reactor.
    public mutating func resume(
        _ faults: CarriedFaults, tally: UnsafePointer<RelayTally>?,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        guard stage == .relaying else { return }
        hang(FaultCourse(faults, tally: tally), space.pointee.nowMilliseconds)
    }

    private mutating func hang(_ course: FaultCourse, _ now: UInt64) {
        up.faults = FaultLine(
            course, outstanding: up.scanner.outstanding, nowMilliseconds: now)
        down.faults = FaultLine(
            course, outstanding: down.scanner.outstanding, nowMilliseconds: now)
        isPaced = true
    }

    /// Whether something for a side waits on its line.
    func isDelayed(to side: Side) -> Bool {
        guard let line = side == .client ? down.faults : up.faults else { return false }
        return !line.isEmpty || line.isAboutToStrike
    }

    /// Whether anything waits on a line.
    public var isDelaying: Bool {
        down.faults != nil && (isDelayed(to: .client) || isDelayed(to: .backend))
    }

    /// When what waits first may go on.
    func faultsResume(_ now: UInt64) -> UInt64 {
        var first = UInt64.max
        if isDelayed(to: .client), let line = down.faults {
            first = resume(line, isBlocked: !client.held.isEmpty, now)
        }
        if isDelayed(to: .backend), let line = up.faults {
            first = min(first, resume(line, isBlocked: !backend.held.isEmpty, now))
        }
        return first
    }

    /// When a line may go on; where what went on before has not left, its leaving is an event of its own.
    private func resume(_ line: FaultLine, isBlocked: Bool, _ now: UInt64) -> UInt64 {
        isBlocked ? now &+ FaultLine.blockedMilliseconds : line.resumeMilliseconds(now)
    }

    /// Whether so much waits for the other side that this one is not read.
    func isLineFull(from side: Side) -> Bool {
        (side == .client ? up.faults : down.faults)?.isFull ?? false
    }

    /// Has bytes wait on a line, or sends them where its faults are over.
    ///
    /// Out of line: a relay without faults pays for a comparison alone.
    @inline(never)
    static func delay(
        _ line: FaultLine, into destination: inout Leg, _ bytes: UnsafePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) -> Bool {
        let now = space.pointee.nowMilliseconds
        if !line.isInTheWay(now) { return destination.put(bytes, count: count, space) }
        line.take(bytes, count: count, now)
        return true
    }

    /// Sends a frame of Sluice's own, behind what is on its way.
    mutating func putOwn(
        to side: Side, _ frame: UnsafePointer<UInt8>, count: Int,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        let now = space.pointee.nowMilliseconds
        if let line = self[to: side].faults, line.isInTheWay(now) {
            line.take(frame, count: count, now, isOwn: true)
        } else {
            _ = change(side) { $0.put(frame, count: count, space) }
        }
    }

    /// Sends on what is due, and does what is to be done to the connection.
    ///
    /// - Returns: `paused` where something waits for its rate or on its line.
    mutating func pace(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        if down.faults == nil { return isPaused ? .paused : [] }
        passDelayed(to: .client, space)
        passDelayed(to: .backend, space)
        return isPaused || isDelaying ? .paused : []
    }

    private mutating func passDelayed(
        to side: Side, _ space: UnsafeMutablePointer<Workspace>
    ) {
        guard let line = self[to: side].faults, isDelayed(to: side) else { return }
        let now = space.pointee.nowMilliseconds
        // What is put into a stream waits there for the end of its connection's turn. Where pieces are to be sent each by
        // itself, they wait for one another.
        let heldMax = line.sendsWhole(now) ? FaultLine.streamBytesMax : 1
        while ask(
            side,
            {
                !$0.isUnwritable
                    && ($0.held.isEmpty || $0.feed != nil && $0.held.count < heldMax)
            })
        {
            let count = line.dueCount(now)
            if count == 0 { break }
            _ = line.withFirst { first in
                change(side) { $0.put(first, count: count, space) }
            }
            line.drop(count, now)
        }
        if ask(side, { $0.isUnwritable }) {
            line.discard()
            if self[to: side].state == .open { lost(side) }
        }
        if line.isEmpty, line.isAboutToStrike, let kind = line.struck {
            strike(kind, to: side, line.course, space)
        }
    }

    /// Cuts or resets the client's connection, in whichever direction the fault was met.
    ///
    /// To the upstream it looks as if the client had gone: what was on its way there arrives.
    private mutating func strike(
        _ kind: FaultKind, to side: Side, _ course: FaultCourse,
        _ space: UnsafeMutablePointer<Workspace>
    ) {
        course.note(kind)
        course.strike()
        // Part of a frame may have gone there, behind which a Close would be read as payload.
        if side == .backend || up.faults?.struck != nil { up.state = .cut }
        down.state = .cut
        down.faults?.discard()
        client.isTruncated = true
        if kind == .reset {
            if client.feed != nil {
                client.abandon(space)
            } else {
                client.resetOnClose()
                Self.letGo(&client, space)
            }
        }
        perform(ending.struck(), space)
        if side == .client { passDelayed(to: .backend, space) }
    }

    /// Whether the client's stream was cut on purpose and has all that it gets.
    var hasStruckStream: Bool {
        client.isTruncated && client.feed != nil && (client.held.isEmpty || client.isUnwritable)
            && down.faults?.course.hasStruck == true
    }

    /// Lets go of a stream that was cut on purpose; its owner has left it, or does so now.
    public mutating func letStreamGo(_ space: UnsafeMutablePointer<Workspace>) {
        client.abandon(space)
        Self.letGo(&client, space)
    }

    /// Sends on all that waits, due or not, before the relay moves or gets other faults.
    mutating func flushFaults(_ space: UnsafeMutablePointer<Workspace>) {
        for side in [Side.client, .backend] {
            guard let line = self[to: side].faults, !line.isEmpty else { continue }
            // No more at once than the window of the records has room for.
            let pieceMax = 64 * 1_024
            var at = 0
            while at < line.count {
                let count = min(line.count &- at, pieceMax)
                _ = line.withFirst { first in
                    change(side) { $0.put(first + at, count: count, space) }
                }
                at &+= count
            }
            line.discard()
        }
    }

    /// Whether a connection is about to be cut or reset.
    var isAboutToBeStruck: Bool {
        up.faults?.isAboutToStrike ?? false || down.faults?.isAboutToStrike ?? false
    }
}
