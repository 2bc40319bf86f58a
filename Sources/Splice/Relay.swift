// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Wire

/// Two legs and what flows between them, from the opened tunnel until both sockets may be closed.
///
/// Invariant: what a leg is sent is a sequence of whole frames of its peer, up to the point where
/// a Close of ours stands at a frame border, or the stream is cut and nothing follows.
/// Everything here is plain values; the executing of `Ending`'s actions is all that it decides.
public struct Relay: ~Copyable {
    /// What the caller has to do next.
    public struct Verdict: OptionSet, Sendable {
        /// One bit for each member.
        public let rawValue: UInt8
        /// A verdict with the given bits set.
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// The byte budget was used up: call `ready` again in the next turn.
        public static let again = Verdict(rawValue: 1)
        /// `deadlineMilliseconds` has changed.
        public static let deadline = Verdict(rawValue: 2)
        /// Close both sockets and forget the relay.
        public static let ended = Verdict(rawValue: 4)
        /// A source has to wait for its rate: call `ready` again at `resumeMilliseconds`.
        public static let paused = Verdict(rawValue: 8)
        /// The client's stream was cut on purpose: reset it, and call `letStreamGo`.
        public static let struck = Verdict(rawValue: 16)
    }

    enum Stage: UInt8 {
        /// Not a relay yet: what the peers may send is not known.
        case opening
        /// Frames flow, or the Closes are being exchanged.
        case relaying
        /// All is said; the peers may end their streams.
        case lingering
    }

    // The order decides which cache lines a message touches: the first of each leg, and those of its direction.

    /// The end that connected to us.
    public var client: Leg
    /// How the relay ends.
    public internal(set) var ending = Ending()
    var stage = Stage.opening
    /// Bytes are counted against a rate, or messages against one that relays share.
    var isPaced = false
    /// The closing deadline counts from the first Close or loss, and is not pushed on.
    var hasClosingDeadline = false
    /// When `deadlinePassed` is to be called, in milliseconds of `Clock`; 0 for never.
    public var deadlineMilliseconds: UInt64 = 0
    /// The end that we connected to; without a socket until one was dialled.
    public var backend: Leg
    /// Pings, silence and age, where the route has rules for them.
    var watch: Watch?
    /// Set while the last bytes of a peer that has gone wait for room at the other.
    private var stall: Stall?
    /// The reason in Closes of ours, where somebody has given one.
    private var closeText: CloseText?
    /// From the client to the upstream.
    var up: Flow
    /// From the upstream to the client.
    var down: Flow

    /// A relay whose client has connected and nothing more.
    public init(client: consuming Leg) {
        self.client = client
        backend = Leg(.none())
        up = Flow(scanner: FrameScanner(sender: .client, reservedBits: 0))
        down = Flow(scanner: FrameScanner(sender: .server, reservedBits: 0))
    }

    /// Opens the tunnel: from here on both legs carry frames.
    ///
    /// - Parameters:
    ///   - reservedBits: the RSV bits that the granted extensions may use (RFC 6455 §5.2).
    ///   - limits: what the peers may send.
    ///   - rules: pings and limits of time; nil for none.
    ///   - term: when it ends with what let it in; nil for never.
    ///   - rates: what all relays of the client may send together; nil for any.
    ///   - tally: where it is counted what passes, which has to live as long as the relay; nil for nowhere.
    public mutating func open(
        reservedBits: UInt8, limits: RelayLimits, rules: RelayRules? = nil,
        term: RelayTerm? = nil, rates: ClientRates? = nil, tally: UnsafePointer<RelayTally>? = nil
    ) {
        if let rules = rules ?? (term == nil ? nil : RelayRules.off) {
            let watch = Watch(rules, tally)
            watch.term = term
            self.watch = watch
        }
        up.scanner = FrameScanner(
            sender: .client, reservedBits: reservedBits, messageBytesMax: limits.messageBytesMax,
            fragmentsMax: limits.fragmentsMax, tally: tally?.pointee.up.cells)
        down.scanner = FrameScanner(
            sender: .server, reservedBits: reservedBits, messageBytesMax: limits.messageBytesMax,
            fragmentsMax: limits.fragmentsMax, tally: tally?.pointee.down.cells)
        isPaced = limits.bytesPerSecond != nil || rates != nil
        if isPaced || limits.messagesPerSecond != nil {
            let meter = Meter(
                messagesPerSecond: limits.messagesPerSecond, bytesPerSecond: limits.bytesPerSecond,
                sharedMessages: rates?.messages, sharedBytes: rates?.bytesUp)
            up.meter = meter
            // What it may send, it is told when something comes.
            if meter.countsMessages { up.scanner.allow(messages: 0) }
        }
        if isPaced {
            down.meter = Meter(
                bytesPerSecond: limits.bytesPerSecond, sharedBytes: rates?.bytesDown)
        }
        stage = .relaying
    }

    /// Takes note of a peer whose stream had ended before the relay was opened.
    public mutating func begin(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        if client.hasEnded { ended(.client, space) }
        if backend.hasEnded { ended(.backend, space) }
        return startWatching(space).union(settle(space))
    }

    /// Takes bytes that came behind a head: they belong to the stream.
    public mutating func feed(
        _ side: Side, _ bytes: UnsafeRawBufferPointer, _ space: UnsafeMutablePointer<Workspace>
    ) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = rest.prefix(space.pointee.openedCapacity)
            rest = rest.dropFirst(piece.count)
            let opened = space.pointee.opened
            UnsafeMutableRawBufferPointer(start: opened, count: piece.count)
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: piece))
            pass(side, opened, count: piece.count, space)
        }
    }

    /// Ends the relay of Sluice's own accord, with a Close to both at their next frame border.
    ///
    /// Whoever has not answered by the deadline is cut; one that is ending already has no longer for it than it
    /// had.
    public mutating func drain(
        code: UInt16, text: CloseText? = nil, deadlineMilliseconds deadline: UInt64,
        _ space: UnsafeMutablePointer<Workspace>
    ) -> Verdict {
        if stage == .lingering { return [] }
        if !ending.hasBegun { closeText = text }
        deadlineMilliseconds = hasClosingDeadline ? min(deadline, deadlineMilliseconds) : deadline
        hasClosingDeadline = true
        perform(ending.leave(.drain, code: code), space)
        let pacing = isPaced ? pace(space) : []
        return settle(space).union(.deadline).union(pacing)
    }

    /// Has a relay that is being ended be cut by a time, if that is sooner than it was to be.
    public mutating func hasToEnd(by deadline: UInt64) -> Verdict {
        guard ending.hasBegun, stage != .lingering, deadline < deadlineMilliseconds else {
            return []
        }
        deadlineMilliseconds = deadline
        return .deadline
    }

    /// The deadline has passed: whoever has not answered by now is cut, or the rules are looked at.
    public mutating func deadlinePassed(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        guard stage == .relaying, !ending.hasBegun else { return .ended }
        if let stall, space.pointee.nowMilliseconds >= stall.dueMilliseconds {
            if !hasStalled {
                // It has found room since: what is left waits for its rate.
                self.stall = nil
            } else if isTaking(stall) {
                stall.begin(space)
            } else {
                return .ended
            }
        }
        if let watch { return look(watch, space) }
        deadlineMilliseconds = stall?.dueMilliseconds ?? 0
        return .deadline
    }

    /// Gives all that was lent back; both sockets are about to be closed.
    public mutating func release(_ space: UnsafeMutablePointer<Workspace>) {
        client.release(space)
        backend.release(space)
    }

    // MARK: Ending

    /// Carries out what `Ending` asks for.
    mutating func perform(_ action: Ending.Action, _ space: UnsafeMutablePointer<Workspace>) {
        if action.tellClient != 0 { down.pendingClose = action.tellClient }
        if action.tellBackend != 0 { up.pendingClose = action.tellBackend }
        tellWherePossible(space)
    }

    /// Sends the Closes that are due where a frame border allows, and gives up where none will come.
    mutating func tellWherePossible(_ space: UnsafeMutablePointer<Workspace>) {
        if down.pendingClose == 0 && up.pendingClose == 0 { return }
        up.hasPendingPing = false
        down.hasPendingPing = false
        for side in [Side.client, .backend]
        where self[to: side].pendingClose != 0 && sendClose(to: side, space) {
            ending.markTold(side)
        }
    }

    /// Sends a side the pending Close if what flows to it stands at a frame border.
    ///
    /// - Returns: whether the side counts as told: it was sent the Close, or never can be.
    private mutating func sendClose(
        to side: Side, _ space: UnsafeMutablePointer<Workspace>
    ) -> Bool {
        let isOpen = self[to: side].state == .open
        if isOpen && self[to: side].isAtFrameBorder && !ask(side, { $0.isUnwritable }) {
            let control = space.pointee.control
            let code = CloseCode(rawValue: self[to: side].pendingClose)
            // Unpredictable, as a client's mask must be (RFC 6455 §5.3).
            let key: UInt32? = side == .client ? nil : UInt32.random(in: .min ... .max)
            let count =
                closeText.map {
                    ControlFrame.close(code, reason: $0.bytes, maskKey: key, into: control)
                } ?? ControlFrame.close(code, reason: ending.closeText, maskKey: key, into: control)
            tellOwn(to: side, control, count: count, space)
            putOwn(to: side, control, count: count, space)
            self[to: side].state = .closeInjected
            self[to: side].pendingClose = 0
            return true
        }
        let mayWait = !ask(side.other) { $0.hasEnded } && !ask(side) { $0.isUnwritable }
        if isOpen && mayWait { return false }
        // Inside a frame whose rest will never come: a Close there would be read as payload.
        if isOpen { self[to: side].state = .cut }
        self[to: side].pendingClose = 0
        return true
    }

    /// Draws the consequences of all that has happened: deadlines, the last goodbyes, the end.
    ///
    /// - Returns: what the caller has to do.
    mutating func settle(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        if stage == .relaying && !ending.hasBegun {
            return client.isHangingUp || backend.isHangingUp ? settleStalled(space) : []
        }
        return settleEnding(space)
    }

    /// A peer has gone, but its last bytes wait for room at the other: that one has to keep reading.
    ///
    /// It has the time anew with all that it takes; nothing else that happens gives it any.
    private mutating func settleStalled(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        if !hasStalled && stall == nil { return [] }
        if !hasStalled {
            stall = nil
        } else {
            let reader = isStalled(.client) ? Side.backend : .client
            let taken = takenBytes(of: reader)
            if stall?.reader != reader || stall?.takenBytes ?? 0 < taken {
                let stall = self.stall ?? Stall()
                self.stall = stall
                stall.reader = reader
                stall.takenBytes = taken
                stall.begin(space)
                // What is known of a stream's connection is of the last look.
                if ask(reader, { $0.feed == nil }) { _ = isTaking(stall) }
            }
        }
        let stallDue = stall?.dueMilliseconds ?? 0
        let watchDue = watch?.nextMilliseconds(space.pointee.nowMilliseconds) ?? 0
        deadlineMilliseconds =
            stallDue == 0 || watchDue == 0 ? max(stallDue, watchDue) : min(stallDue, watchDue)
        return .deadline
    }

    /// How many of the bytes that went to a peer are not held here any more.
    func takenBytes(of side: Side) -> UInt64 {
        flowedBytes(to: side) &- UInt64(truncatingIfNeeded: ask(side) { $0.held.count })
    }

    /// How many bytes have gone to a peer or are held for it; those that faults keep back have not.
    func flowedBytes(to side: Side) -> UInt64 {
        let bytes = self[to: side].bytes
        // Frames of Sluice's own wait there too, and are not among the bytes.
        return bytes &- min(bytes, UInt64(self[to: side].faults?.count ?? 0))
    }

    /// Whether whoever has to read takes some of what was sent before, which makes no event.
    private func isTaking(_ stall: Stall) -> Bool {
        let flowed = Int(truncatingIfNeeded: flowedBytes(to: stall.reader))
        let carriage = ask(stall.reader) { $0.carriage(flowedBytes: flowed) }
        // What an owner takes of a stream for a window that opens a little makes no event either.
        return stall.watch.look(own: takenBytes(of: stall.reader), carriage) != .nothing
    }

    private var hasStalled: Bool { isStalled(.client) || isStalled(.backend) }

    /// Whether a peer has gone whose last bytes wait for room at the other.
    private func isStalled(_ side: Side) -> Bool {
        ask(side) { $0.isHangingUp && !$0.hasEnded } && !ask(side.other) { $0.held.isEmpty }
    }

    private mutating func settleEnding(_ space: UnsafeMutablePointer<Workspace>) -> Verdict {
        var verdict: Verdict = []
        let now = space.pointee.nowMilliseconds
        if stage == .relaying {
            if !hasClosingDeadline {
                hasClosingDeadline = true
                deadlineMilliseconds = now + space.pointee.patience.closingMilliseconds
                verdict.insert(.deadline)
            }
            if up.state == .cut && !isDelayed(to: .backend) { backend.shut(space) }
            // Behind a Close, too, a client that has ended is told nothing any more.
            if (down.state == .cut || client.hasEnded && down.state != .open)
                && !isDelayed(to: .client)
            {
                client.shut(space)
            }
            client.endSession()
            backend.endSession()
            if ending.isOver && !isDelaying {
                stage = .lingering
                deadlineMilliseconds = now + space.pointee.patience.lingerMilliseconds
                verdict.insert(.deadline)
            }
        }
        if stage == .lingering {
            client.shut(space)
            // After both Closes it is the server's part to end TCP (RFC 6455 §7.1.1): the upstream
            // keeps the TIME-WAIT then, and Sluice its ports.
            if ending.reason != .close || backend.isIgnored { backend.shut(space) }
            let isClientDone = client.isUnwritable || client.hasEnded && client.held.isEmpty
            let isBackendDone = backend.isUnwritable || backend.hasEnded
            if isClientDone && isBackendDone { return .ended }
            // Whoever is done need not wait for the other.
            if isClientDone { Self.letGo(&client, space) }
            if isBackendDone { Self.letGo(&backend, space) }
        }
        if hasStruckStream { verdict.insert(.struck) }
        return verdict
    }

    static func letGo(_ leg: inout Leg, _ space: UnsafeMutablePointer<Workspace>) {
        guard leg.isOpen else { return }
        leg.release(space)
        let isTruncated = leg.isTruncated
        leg = Leg(.none())
        leg.isTruncated = isTruncated
    }
}

/// The wait for a peer that has to take the last bytes of one that has gone.
private final class Stall {
    /// Who has to take them.
    var reader = Side.client
    /// How many bytes were not held for it any more when it last got its time.
    var takenBytes: UInt64 = 0
    /// When it is over unless something was taken, in milliseconds of `Clock`.
    private(set) var dueMilliseconds: UInt64 = 0
    var watch = TakingWatch()

    /// Gives the reader its time anew.
    func begin(_ space: UnsafeMutablePointer<Workspace>) {
        dueMilliseconds =
            space.pointee.nowMilliseconds + space.pointee.patience.closingMilliseconds
    }
}
