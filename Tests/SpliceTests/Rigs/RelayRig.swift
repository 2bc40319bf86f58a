// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import Reactor
import Wire

@testable import Splice
@testable import TLS

/// What the client's leg is made of.
enum ClientEnd: CaseIterable {
    /// A socket.
    case plain
    /// A socket with TLS.
    case tls
    /// A stream of a connection that carries several.
    case stream
}

/// One relay between two peers of the test, turned by hand on the test's own thread.
///
/// Socket pairs pass bytes on at once, so whatever can happen has happened when `settle` returns:
/// nobody waits for time to pass.
final class RelayRig {
    let space: UnsafeMutablePointer<Workspace>
    private let relay: UnsafeMutablePointer<Relay>
    /// What passes is counted, as it is in the program.
    private let tally: UnsafeMutablePointer<RelayTally>
    private var poller: Poller
    /// Who brings and takes the bytes of the client's leg, where that is a stream.
    private var owner: StreamOwner?
    let client: RigPeer
    let backend: RigPeer
    /// What the relay asked for since the start.
    private(set) var verdict: Relay.Verdict = []
    /// The most chunks that were lent at once.
    private(set) var lentCountMax = 0

    private static let token = Token(index: 0, generation: 0)

    /// Two legs with a test's peer at the other end of each, and no tunnel yet.
    init(
        _ end: ClientEnd = .plain, released: Bool = false, receiveCapacity: Int = 64 * 1024,
        pumpBytesMax: Int = 256 * 1024, smallBuffers: Bool = false, secureBackend: Bool = false
    ) throws {
        space = .allocate(capacity: 1)
        space.initialize(
            to: Workspace(
                receiveCapacity: receiveCapacity, pumpBytesMax: pumpBytesMax, patience: .tests))
        poller = try Poller()
        let front = try Socket.pair()
        let back = try Socket.pair()
        if smallBuffers {
            front.first.setSendBuffer(bytes: 4_096)
            back.first.setSendBuffer(bytes: 4_096)
        }
        let descriptors = (front.first.descriptor, back.first.descriptor)
        client = RigPeer(front.second)
        backend = RigPeer(back.second)
        var leg = Leg(.none())
        if end == .stream {
            let owner = StreamOwner(front.first)
            leg = Leg(owner.feed)
            self.owner = owner
        } else {
            leg = Leg(front.first)
        }
        if end == .tls {
            try client.startTLS()
            leg.tls = TLSSession.accepting(
                try Store.shared().initial, through: space.pointee.records)
        }
        tally = .allocate(capacity: 1)
        tally.initialize(to: RelayTally())
        relay = .allocate(capacity: 1)
        relay.initialize(to: Relay(client: leg))
        relay.pointee.backend = Leg(back.first)
        if end == .tls { handshake() }
        if secureBackend {
            backend.acceptTLS(try Store.shared().initial)
            relay.pointee.backend.tls = TLSSession.connecting(
                try TLSContext.client(trusting: nil), through: space.pointee.records,
                serverName: "localhost")
            handshakeWithBackend()
        }
        if released {
            guard case .released? = relay.pointee.client.tls?.releaseOpenSSL() else {
                preconditionFailure("OpenSSL keeps the session")
            }
        }
        precondition(poller.add(descriptors.0, Self.token.tagged(0), .edgeBoth))
        precondition(poller.add(descriptors.1, Self.token.tagged(1), .edgeBoth))
    }

    deinit {
        relay.pointee.release(space)
        relay.deinitialize(count: 1)
        relay.deallocate()
        tally.deinitialize(count: 1)
        tally.deallocate()
        space.deinitialize(count: 1)
        space.deallocate()
    }

    /// A rig whose tunnel is open.
    static func open(
        _ end: ClientEnd = .plain, released: Bool = false, reservedBits: UInt8 = 0,
        limits: RelayLimits = RelayLimits(),
        receiveCapacity: Int = 64 * 1024, smallBuffers: Bool = false, secureBackend: Bool = false,
        rules: RelayRules? = nil
    ) throws -> RelayRig {
        let rig = try RelayRig(
            end, released: released, receiveCapacity: receiveCapacity,
            smallBuffers: smallBuffers, secureBackend: secureBackend)
        rig.relay.pointee.open(
            reservedBits: reservedBits, limits: limits, rules: rules, tally: rig.tally)
        if rules != nil { rig.verdict.formUnion(rig.relay.pointee.begin(rig.space)) }
        rig.settle()
        return rig
    }

    var ending: Ending { relay.pointee.ending }
    var isEnded: Bool { verdict.contains(.ended) }
    var lentCount: Int { space.pointee.pool.lentCount }
    /// Text messages that were counted for `/metrics`.
    var talliedTexts: (up: UInt64, down: UInt64) {
        (tally.pointee.up.count(of: .text), tally.pointee.down.count(of: .text))
    }
    var upCounts: DirectionCounts { relay.pointee.upCounts }
    var downCounts: DirectionCounts { relay.pointee.downCounts }
    var deadlineMilliseconds: UInt64 { relay.pointee.deadlineMilliseconds }
    /// Whether the client's session, and with it its secrets, is still there.
    var hasSession: Bool { relay.pointee.client.tls != nil }
    var heldForClient: Int { relay.pointee.client.held.count }
    var heldForBackend: Int { relay.pointee.backend.held.count }

    /// What may still be read of each direction for nobody.
    var droppable: (up: Int32, down: Int32) {
        (relay.pointee.up.droppable, relay.pointee.down.droppable)
    }

    var clientRoundTrip: RoundTrip { relay.pointee.clientRoundTrip }
    var upstreamRoundTrip: RoundTrip { relay.pointee.upstreamRoundTrip }

    /// Lets the next deadline pass, as a timer would; and so much time more.
    func passDeadline(late: UInt64 = 0) {
        precondition(deadlineMilliseconds > 0)
        space.pointee.nowMilliseconds =
            max(
                space.pointee.nowMilliseconds, deadlineMilliseconds) + late
        deadlinePassed()
    }

    /// Takes some of what is held for the client's stream, as its owner does for a window that opens a little.
    func takeHeld(_ count: Int) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count) { buffer in
            guard let start = buffer.baseAddress else { return }
            _ = relay.pointee.client.takeHeld(into: start, capacity: count, space)
        }
    }

    /// How far the connection is that carries the client's stream, as its owner says.
    var carriage: Carriage {
        get { owner?.feed.carriage ?? Carriage() }
        set { owner?.feed.carriage = newValue }
    }

    /// Lets time go on; the next turn has the new one.
    func passTime(_ milliseconds: UInt64) { space.pointee.nowMilliseconds += milliseconds }

    var isPaused: Bool { relay.pointee.isPaused }
    var resumeMilliseconds: UInt64 {
        relay.pointee.resumeMilliseconds(now: space.pointee.nowMilliseconds)
    }

    /// What a worker does when a relay's rate allows more.
    func resume() {
        for side in [Side.client, .backend] where !isEnded {
            verdict.formUnion(relay.pointee.ready(side, [], space))
        }
        settle()
    }

    /// Begins faults, in time of the test's own.
    func begin(_ rules: FaultRules, forMilliseconds: UInt64? = nil) -> FaultPlan {
        let now = space.pointee.nowMilliseconds
        let plan = FaultPlan(rules, endMilliseconds: forMilliseconds.map { now + $0 } ?? .max)
        relay.pointee.begin(plan, tally: tally, space)
        return plan
    }

    /// Goes on with faults of another reactor.
    func resume(_ faults: CarriedFaults) { relay.pointee.resume(faults, tally: tally, space) }

    var carriedFaults: CarriedFaults? { relay.pointee.carriedFaults }
    var faultPlan: FaultPlan? { relay.pointee.faultPlan }
    var isAtRest: Bool { relay.pointee.isAtRest }
    var isDelaying: Bool { relay.pointee.isDelaying }
    var actedFaults: FaultKinds { relay.pointee.actedFaults }
    /// What was counted of a fault for `/metrics`.
    func talliedFaults(_ kind: FaultKind) -> UInt64 {
        tally.pointee.faults.value(at: Int(kind.rawValue))
    }

    /// Has a tap listen from here on.
    func listen(_ scope: TapScope, bit: Int = 0, capacity: Int = TapLine.capacity) -> TapLine {
        let line = TapLine(scope, capacity: capacity)
        space.pointee.taps.set(line, of: bit)
        let counts = relay.pointee.listen(bit: bit, slot: Self.token, space)
        line.begun(
            TapRelay(
                id: RelayID(worker: 0, token: Self.token), nanoseconds: 0, isLive: true,
                ageMilliseconds: 0, client: Address.loopback(port: 1), host: "", path: "/",
                route: "/*", endpoint: "", isHTTP2: false, isTLS: false, agreed: nil), counts)
        return line
    }

    /// The end of the relay, as that tap is told of it.
    func end(bit: Int) -> TapEnd {
        var end = TapEnd(
            id: RelayID(worker: 0, token: Self.token), nanoseconds: 1, code: 1001,
            initiator: .client, reason: .vanished, detail: "", up: DirectionCounts(),
            down: DirectionCounts())
        end.unfinished = relay.pointee.unfinished(bit: bit, space)
        return end
    }

    /// Has a tap listen no more.
    func ignore(bit: Int) {
        space.pointee.taps.set(nil, of: bit)
        relay.pointee.ignore(bit: bit, space)
    }

    var isTapped: Bool { relay.pointee.isTapped }

    func peer(_ side: Side) -> RigPeer { side == .client ? client : backend }

    /// Turns the relay until nothing is left to do, as a reactor would.
    func settle() {
        var again = false
        serveStream(&verdict)
        while !isEnded {
            let count = poller.wait(timeoutMilliseconds: 0)
            if count == 0 && !again { return }
            var asked: Relay.Verdict = []
            if again {
                asked.formUnion(relay.pointee.ready(.client, [], space))
                if !asked.contains(.ended) {
                    asked.formUnion(relay.pointee.ready(.backend, [], space))
                }
            }
            for index in 0..<count where !asked.contains(.ended) {
                let event = poller.event(index)
                let side: Side = event.token.tag == 0 ? .client : .backend
                var flags = event.flags
                if side == .client, let owner { flags = owner.take(flags, space) }
                asked.formUnion(relay.pointee.ready(side, flags, space))
            }
            serveStream(&asked)
            again = asked.contains(.again)
            verdict.formUnion(asked)
            // The window is shared by all sessions: what one left behind, another would send.
            precondition(space.pointee.records.outputCount == 0)
            lentCountMax = max(lentCountMax, lentCount)
        }
        finish()
    }

    /// Lets one side send bytes and everybody read, until all have arrived or nothing moves.
    func exchange(_ side: Side, _ bytes: [UInt8]) {
        peer(side).enqueue(bytes)
        exchange()
    }

    /// Lets everybody send what waits and read what came, until nothing moves.
    func exchange() {
        var before = -1
        while true {
            settle()
            let progress = client.pump() + backend.pump()
            settle()
            let now = client.movedCount + backend.movedCount
            if progress == 0 && now == before { return }
            before = now
        }
    }

    /// Opens the tunnel and gives the client's leg one turn.
    ///
    /// - Returns: the bytes that went up.
    func openAndTurnOnce() -> UInt64 {
        relay.pointee.open(reservedBits: 0, limits: RelayLimits())
        verdict.formUnion(relay.pointee.ready(.client, .readable, space))
        return relay.pointee.upCounts.bytes
    }

    /// One turn of a reactor: the events that wait, and nothing else.
    func turn() {
        let count = poller.wait(timeoutMilliseconds: 0)
        var index = 0
        while index < count {
            let event = poller.event(index)
            let side: Side = event.token.tag == 0 ? .client : .backend
            verdict.formUnion(relay.pointee.ready(side, event.flags, space))
            index += 1
        }
    }

    func feed(_ side: Side, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { relay.pointee.feed(side, $0, space) }
        settle()
    }

    func drain(code: UInt16, deadline: UInt64 = 99) {
        verdict.formUnion(
            relay.pointee.drain(code: code, deadlineMilliseconds: deadline, space))
        settle()
    }

    func deadlinePassed() {
        verdict.formUnion(relay.pointee.deadlinePassed(space))
        settle()
    }

    /// What a worker does with a relay that has ended: all that was lent comes back, both close.
    private func finish() {
        relay.pointee.release(space)
        owner = nil
        relay.pointee.client = Leg(.none())
        relay.pointee.backend = Leg(.none())
    }

    /// What the owner of a stream does at the end of a turn: it takes what is held, as far as it may, and
    /// brings more where there is room.
    private func serveStream(_ asked: inout Relay.Verdict) {
        guard let owner else { return }
        while !asked.contains(.ended) {
            let flags = owner.serve(&relay.pointee.client, space)
            if flags.isEmpty { return }
            asked.formUnion(relay.pointee.ready(.client, flags, space))
        }
    }

    private func handshake() {
        for _ in 0..<4 {
            client.handshake()
            let received = relay.pointee.client.receiveRaw(space)
            space.pointee.records.setInput(received.bytes, count: received.count)
            let progress = relay.pointee.client.tls?.handshake()
            relay.pointee.client.flushRecords(space)
            if progress == .done { break }
        }
        client.handshake()
        precondition(client.isSecure)
    }

    private func handshakeWithBackend() {
        for _ in 0..<16 where !backend.isSecure {
            let received = relay.pointee.backend.receiveRaw(space)
            space.pointee.records.setInput(received.bytes, count: received.count)
            _ = relay.pointee.backend.tls?.handshake()
            relay.pointee.backend.flushRecords(space)
            backend.handshake()
        }
        precondition(backend.isSecure)
    }
}
