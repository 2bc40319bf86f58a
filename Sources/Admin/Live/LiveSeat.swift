// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Reactor
import Wire

/// One dashboard's WebSocket.
///
/// It holds one message at most: while that is on its way, later ones are left out. Whoever takes nothing of it for a
/// while is let go.
final class LiveSeat {
    /// For so long a dashboard may take nothing of what waits for it, or not answer a Close.
    static let patienceMilliseconds: UInt64 = 10_000
    /// What the kernel holds for a dashboard beside that.
    static let kernelBytes: Int32 = 262_144

    let descriptor: Int32
    private let patienceMilliseconds: UInt64
    /// What it wants to see.
    private(set) var query = LiveQuery()
    /// Whether it is to have something before the others: it is new, or wants to see something else.
    var isDue = true
    /// Whether nothing more comes from it or goes to it.
    private(set) var isOver = false
    private var frames = LiveFrames()
    private var outgoing: ArraySlice<UInt8> = []
    private var isClosing = false
    /// When the peer has last taken something, or the Close was sent.
    private var sinceMilliseconds: UInt64

    /// Takes over a socket whose opening handshake is done.
    init(_ descriptor: Int32, patienceMilliseconds: UInt64, nowMilliseconds now: UInt64) {
        self.descriptor = descriptor
        self.patienceMilliseconds = patienceMilliseconds
        sinceMilliseconds = now
        var bytes = Self.kernelBytes
        _ = setsockopt(
            descriptor, SOL_SOCKET, SO_SNDBUF, &bytes, socklen_t(MemoryLayout<Int32>.size))
    }

    deinit { _ = Glibc.close(descriptor) }

    /// Whether it has taken all that it was sent, so that it may have more.
    var isIdle: Bool { outgoing.isEmpty && !isClosing }

    /// What it is waited for by poll(2): nothing is read from one that takes nothing.
    var events: Int16 { Int16(outgoing.isEmpty ? POLLIN : POLLOUT) }

    /// When it is let go unless something happens; nil while it owes nothing.
    var deadlineMilliseconds: UInt64? {
        outgoing.isEmpty && !isClosing ? nil : sinceMilliseconds + patienceMilliseconds
    }

    /// Sends a text message; only to one that is idle.
    func send(_ text: Data, nowMilliseconds now: UInt64) {
        let header = FrameHeader(opcode: .text, payloadLength: UInt64(text.count))
        put(header.encoded() + text, now)
    }

    /// Ends it with a Close behind what is on its way.
    func close(_ code: CloseCode, _ reason: StaticString = "", nowMilliseconds now: UInt64) {
        if isClosing { return }
        put(
            Self.control { ControlFrame.close(code, reason: reason, maskKey: nil, into: $0) }, now)
        isClosing = true
        if outgoing.isEmpty { endWriting() }
    }

    private static func control(_ write: (UnsafeMutablePointer<UInt8>) -> Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: ControlFrame.byteCountMax) { buffer, count in
            if let start = buffer.baseAddress { count = write(start) }
        }
    }

    private func put(_ bytes: [UInt8], _ now: UInt64) {
        if outgoing.isEmpty { sinceMilliseconds = now }
        outgoing += bytes
        flush(nowMilliseconds: now)
    }

    /// Sends on as much as the peer takes.
    func flush(nowMilliseconds now: UInt64) {
        while !outgoing.isEmpty {
            let count = outgoing.withUnsafeBytes {
                Glibc.send(
                    descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
            }
            if count > 0 {
                outgoing = outgoing.dropFirst(count)
                sinceMilliseconds = now
            } else if count < 0 && errno == EAGAIN {
                return
            } else if count == 0 || errno != EINTR {
                isOver = true
                return
            }
        }
        // The memory of a message goes when it has left.
        outgoing = []
        if isClosing { endWriting() }
    }

    private func endWriting() {
        // The peer reads the Close, and ends the connection by its own.
        _ = shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Reads what has come.
    func read(nowMilliseconds now: UInt64) {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
        if count < 0 && (errno == EAGAIN || errno == EINTR) { return }
        guard count > 0 else {
            isOver = true
            return
        }
        // Behind our Close whatever comes says nothing.
        if isClosing { return }
        take(Array(buffer.prefix(count)), now)
    }

    /// Takes bytes that have come; those behind the opening handshake are the first.
    func take(_ bytes: [UInt8], _ now: UInt64) {
        for event in frames.take(bytes) where !isClosing { obey(event, now) }
    }

    private func obey(_ event: LiveFrames.Event, _ now: UInt64) {
        switch event {
        case .text(let text):
            guard let query = try? JSONDecoder().decode(LiveQuery.self, from: Data(text)) else {
                close(
                    .policyViolation, "a message is a JSON object with filter, sort and limit",
                    nowMilliseconds: now)
                return
            }
            self.query = query
            isDue = true
        case .binary:
            close(
                CloseCode(rawValue: 1003), "a message is JSON, as text", nowMilliseconds: now)
        case .ping(let payload):
            put(
                payload.withUnsafeBufferPointer { bytes in
                    Self.control { ControlFrame.pong(payload: bytes, maskKey: nil, into: $0) }
                }, now)
        case .close(let code):
            close(code.map { CloseCode(rawValue: $0) } ?? .noStatus, nowMilliseconds: now)
        case .violation(let violation): close(violation.closeCode, nowMilliseconds: now)
        }
    }
}
