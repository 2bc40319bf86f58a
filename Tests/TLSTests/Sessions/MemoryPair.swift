// SPDX-License-Identifier: Apache-2.0

@testable import TLS

/// One session with a window of its own, driven with bytes in memory.
final class MemoryEnd {
    private let buffers: RecordBuffers
    private var session: TLSSession?
    /// OpenSSL's reasons for the last failure, taken at once: its queue is the thread's.
    private(set) var reasons: [String] = []

    init(
        accepting context: TLSContext, outputCapacity: Int = RecordBuffers.outputCapacityDefault
    ) {
        buffers = RecordBuffers(outputCapacity: outputCapacity, engine: Engines.current)
        session = TLSSession.accepting(context, through: buffers)
    }

    init(
        connecting context: TLSContext, serverName: String? = nil,
        resuming ticket: ResumptionTicket? = nil
    ) {
        buffers = RecordBuffers(engine: Engines.current)
        session = TLSSession.connecting(
            context, through: buffers, serverName: serverName, resuming: ticket)
    }

    init(to destination: TLSDestination) {
        buffers = RecordBuffers(engine: Engines.current)
        session = TLSSession.connecting(to: destination, through: buffers)
    }

    /// What a handshake fails with that gets these bytes; nil where it does not.
    func fault(of serverName: String, after wire: [UInt8]) -> DestinationFault? {
        guard withInput(wire, { session?.handshake() ?? .failed }) == .failed else { return nil }
        return session?.takeDestinationFault(of: serverName)
    }

    func withBuffers(_ body: (RecordBuffers) -> Void) { body(buffers) }

    deinit {
        session = nil
        buffers.free()
    }

    var facts: TLSFacts? { session?.facts() }
    var ticket: ResumptionTicket? { session?.resumptionTicket() }

    /// The session's pointer, for what only a test does to it.
    var pointer: OpaquePointer? { session?.ssl }

    /// The record layer that took the place of OpenSSL's object.
    var layer: UnsafeMutablePointer<RecordLayer>? { session?.layer }

    /// How many records it has written with its keys, as far as it knows.
    var writtenCount: UInt32 {
        get { session?.tally.writtenCount ?? 0 }
        set { session?.tally.writtenCount = newValue }
    }

    /// Asks the session to go on without OpenSSL's object.
    func release() -> ReleaseOutcome { session?.releaseOpenSSL() ?? .never }

    /// Has another engine seal and open once OpenSSL's object is released.
    func use(_ engine: RecordEngine) { buffers.use(engine) }

    /// Says whether the session releases OpenSSL's object by itself once it is busy.
    func releaseBusy(_ isWanted: Bool) { buffers.releaseBusy(isWanted) }

    /// How many sessions have released it since the last time.
    func takeReleasedCount() -> Int { buffers.takeReleasedCount() }

    /// Lets the session take its records back, to send them with those it makes next.
    func setOutputAside() { session?.setOutputAside() }

    /// Lets it send them without.
    func putBackOutput() { session?.putBackOutput() }

    /// Gives the handshake some bytes; what it answers is in `output()`.
    func handshake(_ wire: [UInt8] = []) -> HandshakeProgress {
        let progress = withInput(wire) { session?.handshake() ?? .failed }
        if progress == .failed {
            let error = session?.takeError()
            reasons = error?.reasons ?? []
        }
        return progress
    }

    /// What readAll makes of some bytes.
    func read(_ wire: [UInt8], capacity: Int? = nil) -> (plain: [UInt8], status: ReadOutcome.Status)
    {
        withInput(wire) { readRest(capacity: capacity ?? wire.count + 17 * 1024) }
    }

    /// What readAll makes of the input that is there.
    private func readRest(capacity: Int) -> (plain: [UInt8], status: ReadOutcome.Status) {
        var status = ReadOutcome.Status.failed
        let plain = [UInt8](unsafeUninitializedCapacity: capacity) { bytes, count in
            guard let start = bytes.baseAddress,
                let outcome = session?.readAll(into: start, capacity: capacity)
            else { return }
            status = outcome.status
            count = outcome.count
        }
        if status == .failed { reasons = session?.takeError().reasons ?? [] }
        return (plain, status)
    }

    /// Seals some bytes: the records that came of it.
    func seal(_ plain: [UInt8]) -> [UInt8] {
        plain.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { _ = session?.write(start, count: bytes.count) }
        }
        return output()
    }

    /// The records of a close_notify.
    func close() -> [UInt8] {
        session?.closeNotify()
        return output()
    }

    /// The records made since the last time.
    func output() -> [UInt8] {
        let made = Array(UnsafeBufferPointer(start: buffers.output, count: buffers.outputCount))
        buffers.clearOutput()
        return made
    }

    private func withInput<Result>(_ wire: [UInt8], _ body: () -> Result) -> Result {
        wire.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { buffers.setInput(start, count: bytes.count) }
            return body()
        }
    }
}

/// A client and a server that talk to each other in memory.
struct MemoryPair {
    let client: MemoryEnd
    let server: MemoryEnd

    init(
        _ store: CertificateStore, client context: TLSContext, serverName: String? = nil,
        resuming ticket: ResumptionTicket? = nil
    ) {
        client = MemoryEnd(connecting: context, serverName: serverName, resuming: ticket)
        server = MemoryEnd(accepting: store.initial)
    }

    /// Takes the handshake to its end, each flight cut into pieces by `cut`.
    ///
    /// - Returns: how each end ended, and whether both may talk.
    @discardableResult
    func handshake(
        cut: ([UInt8]) -> [[UInt8]] = { [$0] }
    ) -> (client: HandshakeProgress, server: HandshakeProgress) {
        var ends = (client: client.handshake(), server: HandshakeProgress.wantsInput)
        var flight = client.output()
        // Two round trips are enough for any version; four bound a mistake.
        for _ in 0..<4 {
            for piece in cut(flight) where ends.server == .wantsInput {
                ends.server = server.handshake(piece)
            }
            flight = server.output()
            if ends.client != .wantsInput || flight.isEmpty { break }
            for piece in cut(flight) where ends.client == .wantsInput {
                ends.client = client.handshake(piece)
            }
            flight = client.output()
            if ends.server != .wantsInput { break }
        }
        // What the server says behind its Finished: a ticket.
        if ends.client == .done, ends.server == .done {
            let rest = flight + server.output()
            if !rest.isEmpty { _ = client.read(rest) }
        }
        return ends
    }
}
