// SPDX-License-Identifier: Apache-2.0

import Glibc

/// How the other side ended a connection.
public enum Ending: Sendable, Equatable {
    /// FIN; on TLS with a close_notify before it.
    case orderly
    /// FIN on TLS without a close_notify: indistinguishable from an attacker's cut.
    case truncated
    /// RST, or another error of the socket.
    case reset
}

/// What turns plain bytes into those on the wire and back; nothing for plain TCP.
protocol RecordLayer: AnyObject {
    /// Takes handshake bytes; returns what to send and whether the handshake is complete.
    func handshake(_ wire: [UInt8]) throws -> (reply: [UInt8], isDone: Bool)
    func seal(_ plain: ArraySlice<UInt8>) throws -> [UInt8]
    func open(_ wire: [UInt8]) throws -> (plain: [UInt8], reply: [UInt8], isClosed: Bool)
    func closeNotify() -> [UInt8]
}

/// A connection of a test peer: blocking for the test, byte-exact, with a deadline on everything.
///
/// While it waits for room to send it takes in what arrives, as real peers do; `stopsReading` turns
/// that off for tests of back-pressure.
public final class PeerStream {
    let socket: Descriptor
    /// Set where the peer should leave arriving bytes in the kernel while it sends.
    public var stopsReading = false
    /// How the other side ended, once that has been read.
    public private(set) var ending: Ending?
    /// Whether a close_notify has been read.
    public private(set) var sawCloseNotify = false

    let records: (any RecordLayer)?
    private let record: Monitor<[UInt8]>?
    private var inbox: [UInt8] = []
    private var taken = 0

    init(_ socket: Descriptor, records: (any RecordLayer)? = nil, record: Monitor<[UInt8]>? = nil)
        throws
    {
        self.socket = socket
        self.records = records
        self.record = record
        if let records { try shakeHands(records) }
    }

    // MARK: Sending

    /// Sends all of `bytes`.
    public func send(_ bytes: some Collection<UInt8>, by deadline: Deadline = .after()) throws {
        let bytes = Array(bytes)
        guard let records else { return try sendRaw(bytes, by: deadline) }
        for start in stride(from: 0, to: bytes.count, by: 16_384) {
            let sealed = try records.seal(bytes[start..<min(start + 16_384, bytes.count)])
            try sendRaw(sealed, by: deadline)
        }
    }

    /// What goes over the wire for bytes, for `sendRaw` to send it in pieces.
    public func sealed(_ bytes: [UInt8]) throws -> [UInt8] {
        try records?.seal(bytes[...]) ?? bytes
    }

    /// Sends bytes below TLS.
    public func sendRaw(_ bytes: [UInt8], by deadline: Deadline = .after()) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = try socket.send(rest)
            rest = rest.dropFirst(count)
            if count > 0 { continue }
            let alsoRead = !stopsReading && ending == nil
            let found = try socket.poll(POLLOUT | (alsoRead ? POLLIN : 0), by: deadline)
            if found == 0 {
                throw PeerError("timed out sending: \(rest.count) bytes of \(bytes.count) are left")
            }
            if alsoRead, found & POLLIN != 0 { try absorb() }
        }
    }

    /// Sends without waiting for room; returns false when the kernel takes no more of it within
    /// `patience`, with the rest of `bytes` left unsent.
    public func offer(_ bytes: [UInt8], patience: Duration = .seconds(1)) throws -> Bool {
        let wire = try records?.seal(bytes[...]) ?? bytes
        var rest = wire[...]
        while !rest.isEmpty {
            rest = rest.dropFirst(try socket.send(rest))
            if rest.isEmpty { break }
            if try socket.poll(POLLOUT, by: .after(patience)) == 0 { return false }
        }
        return true
    }

    /// Sends close_notify where there is TLS, and FIN.
    public func halfClose() throws {
        if let records { try sendRaw(records.closeNotify()) }
        try socket.shutdownWrite()
    }

    /// Sends FIN without a close_notify.
    public func halfCloseRaw() throws { try socket.shutdownWrite() }

    /// Cuts the connection with a reset.
    public func reset() { socket.reset() }

    /// Closes without a word to TLS.
    public func close() { socket.close() }

    // MARK: Reading

    /// The bytes read and not yet taken.
    public var buffered: ArraySlice<UInt8> { inbox[taken...] }

    /// Takes `count` of the buffered bytes.
    public func take(_ count: Int) -> [UInt8] {
        let bytes = Array(inbox[taken..<taken + count])
        taken += count
        if taken == inbox.count {
            inbox.removeAll(keepingCapacity: true)
            taken = 0
        } else if taken > 1 << 20 {
            inbox.removeFirst(taken)
            taken = 0
        }
        return bytes
    }

    /// Waits for more bytes; false once the other side has ended.
    public func fill(awaiting what: @autoclosure () -> String, by deadline: Deadline) throws -> Bool
    {
        while ending == nil {
            let before = inbox.count
            guard try socket.poll(POLLIN, by: deadline) != 0 else {
                throw PeerError("timed out waiting for \(what()); so far: \(show(buffered))")
            }
            try absorb()
            if inbox.count > before { return true }
        }
        return false
    }

    /// Whether something has arrived, or the end, before the deadline.
    public func hasInput(by deadline: Deadline) throws -> Bool {
        while ending == nil && buffered.isEmpty {
            if try socket.poll(POLLIN, by: deadline) == 0 { return false }
            try absorb()
        }
        return true
    }

    private func absorb() throws {
        switch socket.receive() {
        case .nothing: return
        case .ended: ending = records == nil || sawCloseNotify ? .orderly : .truncated
        case .reset: ending = .reset
        case .bytes(let wire):
            guard let records else { return keep(wire) }
            try keep(opening(wire, by: records))
        }
    }

    private func keep(_ plain: [UInt8]) {
        inbox += plain
        if let record, !plain.isEmpty { record.update { $0 += plain } }
    }

    private func opening(_ wire: [UInt8], by records: any RecordLayer) throws -> [UInt8] {
        let opened = try records.open(wire)
        if !opened.reply.isEmpty { try? sendRaw(opened.reply) }
        sawCloseNotify = sawCloseNotify || opened.isClosed
        return opened.plain
    }

    private func shakeHands(_ records: any RecordLayer) throws {
        let deadline = Deadline.after()
        var (reply, isDone) = try records.handshake([])
        try sendRaw(reply)
        while !isDone {
            guard try socket.poll(POLLIN, by: deadline) != 0 else {
                throw PeerError("timed out in the TLS handshake")
            }
            switch socket.receive() {
            case .nothing: continue
            case .ended: throw PeerError("the TLS handshake was ended by the other side")
            case .reset(let code): throw PeerError.system("TLS handshake", code)
            case .bytes(let wire):
                (reply, isDone) = try records.handshake(wire)
                if !reply.isEmpty { try sendRaw(reply) }
            }
        }
        // What came behind the last handshake message is already in the session.
        keep(try opening([], by: records))
    }
}
