// SPDX-License-Identifier: Apache-2.0

import TLS

/// TLS under a client peer, by the project's own client session.
final class TLSRecords: RecordLayer {
    private let buffers = RecordBuffers()
    private var session: TLSSession?
    /// Plaintext that came in one piece with the end of the handshake.
    private var early: [UInt8] = []

    init(name: String, version: TLSVersion, authority: String, ticket: ResumptionTicket?) throws {
        let context = try TLSContext.client(trusting: authority, maximumVersion: version)
        session = TLSSession.connecting(
            context, through: buffers, serverName: name, resuming: ticket)
        guard session != nil else { throw PeerError("no TLS session for the name \(name)") }
    }

    deinit {
        session = nil
        buffers.free()
    }

    var facts: TLSFacts? { session?.facts() }

    var ticket: ResumptionTicket? { session?.resumptionTicket() }

    func handshake(_ wire: [UInt8]) throws -> (reply: [UInt8], isDone: Bool) {
        var failure: TLSError?
        let isDone = withInput(wire) { () -> Bool in
            switch session?.handshake() ?? .failed {
            case .wantsInput: return false
            case .failed: failure = session?.takeError()
            case .done: early = read(capacity: buffers.inputRemaining + 32_768).plain
            }
            return failure == nil
        }
        if let failure { throw PeerError("the TLS handshake failed: \(failure)") }
        return (takeOutput(), isDone)
    }

    func seal(_ plain: ArraySlice<UInt8>) throws -> [UInt8] {
        let isSealed = plain.withUnsafeBufferPointer { bytes in
            bytes.baseAddress.map { session?.write($0, count: bytes.count) ?? false } ?? true
        }
        guard isSealed else { throw PeerError("TLS can't seal \(plain.count) bytes") }
        return takeOutput()
    }

    func open(_ wire: [UInt8]) throws -> (plain: [UInt8], reply: [UInt8], isClosed: Bool) {
        let (plain, status) = withInput(wire) { read(capacity: wire.count + 32_768) }
        if status == .failed {
            let failure = session?.takeError()
            throw PeerError("TLS failed: \(failure?.description ?? "no session")")
        }
        defer { early = [] }
        return (early + plain, takeOutput(), status == .closed)
    }

    func closeNotify() -> [UInt8] {
        session?.closeNotify()
        return takeOutput()
    }

    private func read(capacity: Int) -> (plain: [UInt8], status: ReadOutcome.Status) {
        var status = ReadOutcome.Status.failed
        let plain = [UInt8](unsafeUninitializedCapacity: capacity) { place, count in
            guard let start = place.baseAddress else { return }
            guard let outcome = session?.readAll(into: start, capacity: capacity) else { return }
            count = outcome.count
            status = outcome.status
        }
        return (plain, status)
    }

    private func takeOutput() -> [UInt8] {
        defer { buffers.clearOutput() }
        return Array(UnsafeBufferPointer(start: buffers.output, count: buffers.outputCount))
    }

    /// Lends `wire` to the session for the time of `body`.
    private func withInput<Result>(_ wire: [UInt8], _ body: () -> Result) -> Result {
        wire.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { buffers.setInput(start, count: bytes.count) }
            return body()
        }
    }
}
