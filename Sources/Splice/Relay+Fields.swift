// SPDX-License-Identifier: Apache-2.0
import Ledger
public import Reactor
public import Serialization
import TLS
import Wire

/// A relay as fields, so that another reactor or another process goes on where it stands.
///
/// Only one that is open on both sides moves: whatever is ending ends where it is. What the sockets have to tell
/// (bytes, room, an end) is not written, since who watches them anew is told again.
extension Relay {
    private enum Number {
        static let session: UInt16 = 1
        static let heldForClient: UInt16 = 2
        static let heldForBackend: UInt16 = 3
        static let deadline: UInt16 = 4
        static let isPaced: UInt16 = 5
        static let up: UInt16 = 6
        static let down: UInt16 = 7
        static let watch: UInt16 = 8
        static let backendSession: UInt16 = 9
    }

    /// Why a relay can't move now.
    public enum Obstacle: Sendable {
        /// Its end has begun, or one of its peers has ended its side: it is over soon.
        case ending
        /// It has no socket of its own, since it is a stream of HTTP/2.
        case stream
        /// One of its sessions needs OpenSSL's object: TLS 1.2, or `tls.release: false`.
        case session
        /// OpenSSL has read half a record: it can move a little later.
        case record
    }

    /// What keeps the relay from being moved at this moment.
    ///
    /// - Parameters:
    ///   - releases: whether a session may leave OpenSSL's object for it.
    ///   - space: the reactor's.
    /// - Returns: nil where nothing does.
    public mutating func obstacle(
        releases: Bool, _ space: UnsafeMutablePointer<Workspace>
    ) -> Obstacle? {
        if client.feed != nil || backend.feed != nil { return .stream }
        guard stage == .relaying, !ending.hasBegun, up.state == .open, down.state == .open,
            up.pendingClose == 0, down.pendingClose == 0, Self.isWhole(client),
            Self.isWhole(backend), !isAboutToBeStruck
        else { return .ending }
        if client.tls == nil && backend.tls == nil { return nil }
        guard releases else { return .session }
        return Self.obstacle(&client, space) ?? Self.obstacle(&backend, space)
    }

    /// What keeps the session of a leg from being moved; nil where nothing does, or where it has none.
    private static func obstacle(
        _ leg: inout Leg, _ space: UnsafeMutablePointer<Workspace>
    ) -> Obstacle? {
        guard leg.tls != nil else { return nil }
        switch leg.tls?.releaseOpenSSL() {
        case .never: return .session
        case .notNow: return .record
        case .released, nil: break
        }
        leg.tls?.putBackOutput()
        leg.flushRecords(space)
        if leg.isUnwritable { return .ending }
        return leg.tls?.canTravel == true ? nil : .ending
    }

    private static func isWhole(_ leg: borrowing Leg) -> Bool {
        leg.socket.isOpen && !leg.hasEnded && !leg.isHangingUp && !leg.isUnwritable && !leg.isShut
            && !leg.isIgnored && !leg.isTruncated && !leg.isCut
    }

    /// Writes all that another relay needs to go on, and gives this one up: nothing is read or sent by it any more, and
    /// the keys of its session are overwritten.
    ///
    /// `obstacle` has just been nil, and nobody watches the sockets any more.
    ///
    /// - Returns: the sockets.
    public mutating func moveOut(
        to writer: inout FieldWriter, _ space: UnsafeMutablePointer<Workspace>
    ) -> SocketPair {
        precondition(stage == .relaying && !ending.hasBegun, "a relay moves that is ending")
        // Faults end with the move; where it goes, new ones may begin.
        flushFaults(space)
        if client.tls != nil {
            writer.part(Number.session) { client.tls?.moveOut(to: &$0) }
            client.tls = nil
        }
        if backend.tls != nil {
            // A build that knows no such sessions would go on without TLS: it has to refuse the relay.
            writer.part(Number.backendSession) { backend.tls?.moveOut(to: &$0) }
            backend.tls = nil
        }
        client.held.write(Number.heldForClient, to: &writer)
        backend.held.write(Number.heldForBackend, to: &writer)
        writer.put(Number.deadline, deadlineMilliseconds)
        writer.put(Number.isPaced, isPaced)
        writer.part(Number.up) { up.write(to: &$0) }
        writer.part(Number.down) { down.write(to: &$0) }
        if let watch { writer.part(Number.watch) { watch.write(to: &$0) } }
        client.held.discard(pool: &space.pointee.pool)
        backend.held.discard(pool: &space.pointee.pool)
        stage = .lingering
        return SocketPair(first: client.takeSocket(), second: backend.takeSocket())
    }

    /// Goes on where another relay stood.
    ///
    /// - Parameters:
    ///   - reader: what `moveOut` wrote.
    ///   - sockets: the client's and the upstream's; they close where this throws.
    ///   - rates: what all relays of the client may send together.
    ///   - tally: where it is counted what passes, as in `open`.
    ///   - space: the reactor's.
    /// - Throws: `FieldFault`; then the sockets are closed.
    public init(
        _ reader: inout FieldReader, sockets: consuming SocketPair, rates: MovedRates,
        tally: UnsafePointer<RelayTally>?, _ space: UnsafeMutablePointer<Workspace>
    ) throws(FieldFault) {
        let held = (
            client: try reader.bytes(Number.heldForClient),
            backend: try reader.bytes(Number.heldForBackend)
        )
        let deadline: UInt64 = try reader.integer(Number.deadline)
        let isPaced = try reader.flag(Number.isPaced)
        var upPart = try reader.part(Number.up)
        var downPart = try reader.part(Number.down)
        let up = try Flow(
            &upPart, tally: tally?.pointee.up.cells, rates, bytesAs: .bytesUp)
        let down = try Flow(
            &downPart, tally: tally?.pointee.down.cells, rates, bytesAs: .bytesDown)
        var watch: Watch?
        if reader.has(Number.watch) {
            var part = try reader.part(Number.watch)
            watch = try Watch(&part, tally)
        }
        var session: TLSSession?
        if reader.has(Number.session) {
            var part = try reader.part(Number.session)
            session = try TLSSession(&part, through: space.pointee.records)
        }
        var backendSession: TLSSession?
        if reader.has(Number.backendSession) {
            var part = try reader.part(Number.backendSession)
            backendSession = try TLSSession(&part, through: space.pointee.records)
        }
        try reader.finish()
        self.init(client: Leg(sockets.first, tls: session))
        backend = Leg(sockets.second, tls: backendSession)
        deadlineMilliseconds = deadline
        self.isPaced = isPaced
        self.up = up
        self.down = down
        self.watch = watch
        Self.hold(held.client, in: &client, space)
        Self.hold(held.backend, in: &backend, space)
        stage = .relaying
    }

    private static func hold(
        _ bytes: UnsafeRawBufferPointer, in leg: inout Leg, _ space: UnsafeMutablePointer<Workspace>
    ) {
        guard let start = bytes.baseAddress, !bytes.isEmpty else { return }
        leg.held.append(
            start.assumingMemoryBound(to: UInt8.self), count: bytes.count,
            pool: &space.pointee.pool)
    }
}

extension Flow {
    private enum Number {
        static let scanner: UInt16 = 1
        static let hasPendingPing: UInt16 = 2
        static let awaitsPong: UInt16 = 3
        static let meter: UInt16 = 4
        static let bytes: UInt16 = 5
        static let droppable: UInt16 = 6
        static let tail: UInt16 = 7
    }

    fileprivate func write(to writer: inout FieldWriter) {
        writer.part(Number.scanner) { scanner.write(to: &$0) }
        writer.put(Number.hasPendingPing, hasPendingPing)
        writer.put(Number.awaitsPong, awaitsPong)
        if let meter { writer.part(Number.meter) { meter.write(to: &$0) } }
        writer.put(Number.bytes, bytes)
        writer.put(Number.droppable, droppable)
        withUnsafeBytes(of: tail) { kept in
            writer.put(
                Number.tail, bytes: UnsafeRawBufferPointer(rebasing: kept[..<Int(tailCount)]))
        }
    }

    fileprivate init(
        _ reader: inout FieldReader, tally: FrameTally.Cells?, _ rates: MovedRates,
        bytesAs kind: MovedRates.Kind
    ) throws(FieldFault) {
        var part = try reader.part(Number.scanner)
        self.init(scanner: try FrameScanner(&part, tally: tally))
        hasPendingPing = try reader.flag(Number.hasPendingPing)
        awaitsPong = try reader.flag(Number.awaitsPong)
        if reader.has(Number.meter) {
            var part = try reader.part(Number.meter)
            meter = try Meter(&part, rates, bytesAs: kind)
        }
        self.bytes = try reader.integer(Number.bytes)
        droppable = try reader.integer(Number.droppable)
        let kept = try reader.bytes(Number.tail)
        guard kept.count <= FrameScanner.tailBytesMax else { throw .outOfRange(Number.tail) }
        if let start = kept.baseAddress, !kept.isEmpty {
            keepTail(start.assumingMemoryBound(to: UInt8.self), count: kept.count)
        }
        try reader.finish()
    }
}

extension Meter {
    private enum Number {
        static let messagesPerSecond: UInt16 = 1
        static let messageThousandths: UInt16 = 2
        static let messagesFilled: UInt16 = 3
        static let messagesGranted: UInt16 = 4
        static let bytesPerSecond: UInt16 = 5
        static let byteThousandths: UInt16 = 6
        static let bytesFilled: UInt16 = 7
        static let resume: UInt16 = 8
        static let sharedMessages: UInt16 = 9
        static let sharedBytes: UInt16 = 10
    }

    fileprivate func write(to writer: inout FieldWriter) {
        writer.put(Number.messagesPerSecond, messagesPerSecond)
        writer.put(Number.messageThousandths, messageThousandths)
        writer.put(Number.messagesFilled, messagesFilledMilliseconds)
        writer.put(Number.messagesGranted, messagesGranted)
        writer.put(Number.bytesPerSecond, bytesPerSecond)
        writer.put(Number.byteThousandths, byteThousandths)
        writer.put(Number.bytesFilled, bytesFilledMilliseconds)
        writer.put(Number.resume, resumeMilliseconds)
        if let sharedMessages {
            writer.part(Number.sharedMessages) { sharedMessages.write(to: &$0) }
        }
        if let sharedBytes { writer.part(Number.sharedBytes) { sharedBytes.write(to: &$0) } }
    }

    fileprivate convenience init(
        _ reader: inout FieldReader, _ rates: MovedRates, bytesAs kind: MovedRates.Kind
    ) throws(FieldFault) {
        let ownMessages: UInt64 = try reader.integer(Number.messagesPerSecond)
        let ownBytes: Int64 = try reader.integer(Number.bytesPerSecond)
        guard ownBytes >= 0 else { throw .outOfRange(Number.bytesPerSecond) }
        self.init(
            messagesPerSecond: ownMessages, bytesPerSecond: UInt64(ownBytes),
            sharedMessages: try Self.shared(Number.sharedMessages, &reader, rates, .messages),
            sharedBytes: try Self.shared(Number.sharedBytes, &reader, rates, kind))
        messageThousandths = try reader.integer(Number.messageThousandths)
        messagesFilledMilliseconds = try reader.integer(Number.messagesFilled)
        messagesGranted = try reader.integer(Number.messagesGranted)
        byteThousandths = try reader.integer(Number.byteThousandths)
        bytesFilledMilliseconds = try reader.integer(Number.bytesFilled)
        resumeMilliseconds = try reader.integer(Number.resume)
        try reader.finish()
    }

    private static func shared(
        _ number: UInt16, _ reader: inout FieldReader, _ rates: MovedRates,
        _ kind: MovedRates.Kind
    ) throws(FieldFault) -> SharedRate? {
        guard reader.has(number) else { return nil }
        var part = try reader.part(number)
        return try SharedRate.read(&part, as: kind, joining: rates)
    }
}

extension Watch {
    private enum Number {
        static let pingMilliseconds: UInt16 = 1
        static let pongMilliseconds: UInt16 = 2
        static let pingsClient: UInt16 = 3
        static let pingsUpstream: UInt16 = 4
        static let idleMilliseconds: UInt16 = 5
        static let lifetimeMilliseconds: UInt16 = 6
        static let client: UInt16 = 7
        static let backend: UInt16 = 8
        static let lifetimeDue: UInt16 = 9
        static let idleSince: UInt16 = 10
        static let trafficBefore: UInt16 = 11
        static let termEnd: UInt16 = 12
        static let termCode: UInt16 = 13
    }

    fileprivate func write(to writer: inout FieldWriter) {
        writer.put(Number.pingMilliseconds, rules.pingMilliseconds)
        writer.put(Number.pongMilliseconds, rules.pongMilliseconds)
        writer.put(Number.pingsClient, rules.pingsClient)
        writer.put(Number.pingsUpstream, rules.pingsUpstream)
        writer.put(Number.idleMilliseconds, rules.idleMilliseconds)
        writer.put(Number.lifetimeMilliseconds, rules.lifetimeMilliseconds)
        writer.part(Number.client) { client.write(to: &$0) }
        writer.part(Number.backend) { backend.write(to: &$0) }
        writer.put(Number.lifetimeDue, lifetimeDue)
        writer.put(Number.idleSince, idleSince)
        writer.put(Number.trafficBefore, trafficBefore)
        // Needed: a build that does not know them would have the relay go on for ever.
        if let term {
            writer.put(Number.termEnd, term.endMilliseconds)
            writer.put(Number.termCode, term.code)
        }
    }

    fileprivate convenience init(
        _ reader: inout FieldReader, _ tally: UnsafePointer<RelayTally>?
    ) throws(FieldFault) {
        let rules = RelayRules(
            pingMilliseconds: try reader.integer(Number.pingMilliseconds),
            pongMilliseconds: try reader.integer(Number.pongMilliseconds),
            pingsClient: try reader.flag(Number.pingsClient),
            pingsUpstream: try reader.flag(Number.pingsUpstream),
            idleMilliseconds: try reader.integer(Number.idleMilliseconds),
            lifetimeMilliseconds: try reader.integer(Number.lifetimeMilliseconds))
        self.init(rules, tally)
        var part = try reader.part(Number.client)
        client = try Probe(&part)
        part = try reader.part(Number.backend)
        backend = try Probe(&part)
        lifetimeDue = try reader.integer(Number.lifetimeDue)
        idleSince = try reader.integer(Number.idleSince)
        trafficBefore = try reader.integer(Number.trafficBefore)
        if reader.has(Number.termEnd) {
            term = RelayTerm(
                endMilliseconds: try reader.integer(Number.termEnd),
                code: try reader.integer(Number.termCode))
        }
        try reader.finish()
    }
}

extension Watch.Probe {
    private enum Number {
        static let pingDue: UInt16 = 1
        static let pongDue: UInt16 = 2
        static let payload: UInt16 = 3
        static let sentNanoseconds: UInt16 = 4
        static let bytesBefore: UInt16 = 5
        static let sentBefore: UInt16 = 6
        static let takenBefore: UInt16 = 7
        static let owedBefore: UInt16 = 8
        static let ownBefore: UInt16 = 9
        static let roundTripCount: UInt16 = 10
        static let roundTripLast: UInt16 = 11
        static let roundTripMaximum: UInt16 = 12
    }

    fileprivate func write(to writer: inout FieldWriter) {
        writer.put(Number.pingDue, pingDue)
        writer.put(Number.pongDue, pongDue)
        writer.put(Number.payload, payload)
        writer.put(Number.sentNanoseconds, sentNanoseconds)
        writer.put(Number.bytesBefore, bytesBefore)
        writer.put(Number.sentBefore, sentBefore)
        writer.put(Number.takenBefore, takenBefore)
        writer.put(Number.owedBefore, owedBefore)
        writer.put(Number.ownBefore, ownBefore)
        writer.put(Number.roundTripCount, roundTrip.count)
        writer.put(Number.roundTripLast, roundTrip.lastMicroseconds)
        writer.put(Number.roundTripMaximum, roundTrip.maximumMicroseconds)
    }

    fileprivate init(_ reader: inout FieldReader) throws(FieldFault) {
        self.init()
        pingDue = try reader.integer(Number.pingDue)
        pongDue = try reader.integer(Number.pongDue)
        payload = try reader.integer(Number.payload)
        sentNanoseconds = try reader.integer(Number.sentNanoseconds)
        bytesBefore = try reader.integer(Number.bytesBefore)
        sentBefore = try reader.integer(Number.sentBefore)
        takenBefore = try reader.integer(Number.takenBefore)
        owedBefore = try reader.flag(Number.owedBefore)
        ownBefore = try reader.integer(Number.ownBefore)
        roundTrip.count = try reader.integer(Number.roundTripCount)
        roundTrip.lastMicroseconds = try reader.integer(Number.roundTripLast)
        roundTrip.maximumMicroseconds = try reader.integer(Number.roundTripMaximum)
        try reader.finish()
    }
}
