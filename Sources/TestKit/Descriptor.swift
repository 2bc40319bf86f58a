// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// An open file descriptor, closed once: by `close()` or when the last reference goes.
///
/// All descriptors are close-on-exec: tests start children in parallel, and a socket that leaked
/// into one would never show its end to the peer. Where the flag cannot be set in the same call,
/// both happen under `spawning`, which starting a child holds too.
final class Descriptor: Sendable {
    static let spawning = Mutex(())

    let number: Int32
    private let isClosed = Mutex(false)

    init(_ number: Int32) {
        self.number = number
    }

    deinit { close() }

    func close() {
        isClosed.withLock { isClosed in
            if !isClosed { _ = Glibc.close(number) }
            isClosed = true
        }
    }

    /// Waits for `events`; returns what poll(2) found, 0 when the deadline passed.
    func poll(_ events: Int32, by deadline: Deadline) throws -> Int32 {
        while true {
            var entry = pollfd(fd: number, events: Int16(events), revents: 0)
            let count = Glibc.poll(&entry, 1, deadline.millisecondsLeft)
            if count >= 0 { return Int32(entry.revents) }
            if errno != EINTR { throw PeerError.system("poll") }
        }
    }

    enum Received {
        case bytes([UInt8])
        case ended
        case reset(Int32)
        case nothing
    }

    /// Takes what is there without waiting.
    func receive(max: Int = 65536) -> Received {
        while true {
            var code: Int32 = 0
            let bytes = [UInt8](unsafeUninitializedCapacity: max) { buffer, count in
                let taken = recv(number, buffer.baseAddress, max, Int32(MSG_DONTWAIT))
                code = taken < 0 ? errno : 0
                count = Swift.max(0, taken)
            }
            if !bytes.isEmpty { return .bytes(bytes) }
            switch code {
            case 0: return .ended
            case EINTR: continue
            case EAGAIN: return .nothing
            default: return .reset(code)
            }
        }
    }

    /// Sends what fits without waiting; 0 when nothing does.
    func send(_ bytes: ArraySlice<UInt8>) throws -> Int {
        while true {
            let flags = Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL)
            let sent = bytes.withUnsafeBytes {
                Glibc.send(number, $0.baseAddress, $0.count, flags)
            }
            if sent >= 0 { return sent }
            switch errno {
            case EINTR: continue
            case EAGAIN: return 0
            default: throw PeerError.system("send")
            }
        }
    }

    func setOption(_ level: Int32, _ name: Int32, _ value: Int32) throws {
        var value = value
        let size = socklen_t(MemoryLayout<Int32>.size)
        guard setsockopt(number, level, name, &value, size) == 0 else {
            throw PeerError.system("setsockopt")
        }
    }

    /// Sends the end of this direction.
    func shutdownWrite() throws {
        guard shutdown(number, Int32(SHUT_WR)) == 0 else { throw PeerError.system("shutdown") }
    }

    /// Closes with a reset: SO_LINGER 0 makes close(2) discard and send RST.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        let size = socklen_t(MemoryLayout<linger>.size)
        setsockopt(number, SOL_SOCKET, SO_LINGER, &option, size)
        close()
    }
}
