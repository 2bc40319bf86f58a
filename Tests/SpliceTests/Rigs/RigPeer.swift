// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor
import TLS

/// A peer of a relay: it sends and reads when the test says so, and never waits.
final class RigPeer {
    private var socket: Socket?
    private var records: RecordBuffers?
    private var session: TLSSession?
    private(set) var isSecure = false
    private var unsent: [UInt8] = []
    /// The bytes that came, opened where there is TLS.
    private(set) var received: [UInt8] = []
    /// The stream has ended.
    private(set) var hasEnded = false
    /// The session was closed before the stream ended.
    private(set) var wasClosedByNotify = false
    /// The connection was broken.
    private(set) var wasReset = false
    /// While set, nothing is read.
    var isDeaf = false
    /// Bytes sent and received, as they went over the socket.
    private(set) var movedCount = 0
    /// Bytes that the socket did not take yet.
    var unsentCount: Int { unsent.count }

    init(_ socket: consuming Socket) { self.socket = Optional(consume socket) }

    deinit {
        session = nil
        records?.free()
    }

    func startTLS() throws {
        let records = RecordBuffers()
        self.records = records
        session = TLSSession.connecting(
            try TLSContext.client(trusting: nil), through: records, serverName: "localhost")
    }

    /// Is the server of a handshake.
    func acceptTLS(_ context: TLSContext) {
        let records = RecordBuffers()
        self.records = records
        session = TLSSession.accepting(context, through: records)
    }

    /// Goes on with the handshake.
    func handshake() {
        let wire = take()
        wire.withUnsafeBufferPointer { bytes in
            if let start = bytes.baseAddress { records?.setInput(start, count: bytes.count) }
            if !isSecure { isSecure = session?.handshake() == .done }
            if isSecure { open() }
        }
        flush()
    }

    /// Sends bytes, as many as the socket takes; the rest goes with `pump`.
    func enqueue(_ bytes: [UInt8]) {
        if isSecure {
            bytes.withUnsafeBufferPointer { buffer in
                var rest = buffer[...]
                while !rest.isEmpty {
                    let piece = UnsafeBufferPointer(rebasing: rest.prefix(16_384))
                    rest = rest.dropFirst(piece.count)
                    if let start = piece.baseAddress {
                        _ = session?.write(start, count: piece.count)
                    }
                    collect()
                }
            }
        } else {
            unsent += bytes
        }
        send()
    }

    /// Sends what waits and reads what came.
    ///
    /// - Returns: how many bytes were moved.
    @discardableResult
    func pump() -> Int {
        let before = movedCount
        send()
        if isDeaf { return movedCount - before }
        let wire = take()
        if isSecure {
            wire.withUnsafeBufferPointer { bytes in
                guard let start = bytes.baseAddress else { return }
                records?.setInput(start, count: bytes.count)
                open()
            }
        } else {
            received += wire
        }
        return movedCount - before
    }

    /// Reads some of what came, as it came.
    ///
    /// - Returns: how many bytes that were.
    @discardableResult
    func read(atMost count: Int) -> Int {
        var piece = [UInt8](repeating: 0, count: count)
        let result = piece.withUnsafeMutableBufferPointer { bytes in
            bytes.baseAddress.flatMap { socket?.receive(into: $0, count: count) } ?? .ended
        }
        guard case .moved(let moved) = result else { return 0 }
        movedCount += moved
        received += piece[..<moved]
        return moved
    }

    /// What came since the last time.
    func takeReceived() -> [UInt8] {
        pump()
        defer { received = [] }
        return received
    }

    /// Ends its side of the stream, in order where there is TLS.
    func shutdown(notifying: Bool = true) {
        if notifying, isSecure {
            session?.closeNotify()
            flush()
        }
        socket?.shutdownWrite()
    }

    /// Is gone, without a word.
    func vanish() {
        // A child that another test is just starting may hold a copy of the socket for a moment,
        // so that closing it alone would not end the stream yet.
        if let descriptor = socket?.descriptor {
            _ = Glibc.shutdown(descriptor, Int32(SHUT_RDWR))
        }
        socket = nil
    }

    private func open() {
        guard let remaining = records?.inputRemaining, remaining > 0 else { return }
        let capacity = remaining + 32_768
        var isClosed = false
        received += [UInt8](unsafeUninitializedCapacity: capacity) { bytes, count in
            guard let start = bytes.baseAddress,
                let outcome = session?.readAll(into: start, capacity: capacity)
            else { return }
            count = outcome.count
            isClosed = outcome.status == .closed
        }
        if isClosed { wasClosedByNotify = true }
        flush()
    }

    private func flush() {
        collect()
        send()
    }

    private func collect() {
        guard let records else { return }
        unsent += UnsafeBufferPointer(start: records.output, count: records.outputCount)
        records.clearOutput()
    }

    private func send() {
        while !unsent.isEmpty {
            let result = unsent.withUnsafeBufferPointer { bytes in
                bytes.baseAddress.flatMap { socket?.send($0, count: bytes.count) } ?? .ended
            }
            guard case .moved(let count) = result else { return }
            unsent.removeFirst(count)
            movedCount += count
        }
    }

    private func take() -> [UInt8] {
        var wire: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while true {
            let result = piece.withUnsafeMutableBufferPointer { bytes in
                bytes.baseAddress.flatMap { socket?.receive(into: $0, count: bytes.count) }
                    ?? .blocked
            }
            switch result {
            case .moved(let count):
                wire += piece[..<count]
                movedCount += count
            case .blocked: return wire
            case .ended:
                hasEnded = true
                return wire
            case .failed:
                wasReset = true
                return wire
            }
        }
    }
}

/// A certificate for the TLS legs, made once.
enum Store {
    private static let made = Result {
        let url = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-splice-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: url) }
        let chain = url.path + "/leaf.pem"
        let key = url.path + "/leaf-key.pem"
        _ = try CertificateAuthority.loadOrMake(in: url.path).ensureLeaf(
            for: ["localhost"], chainPath: chain, keyPath: key)
        return try CertificateStore(
            [IdentityFiles(chain: chain, key: key)],
            options: TLSServerOptions(minimumVersion: .tls12),
            tickets: try TicketKeys())
    }

    static func shared() throws -> CertificateStore { try made.get() }
}
