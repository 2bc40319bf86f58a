// SPDX-License-Identifier: Apache-2.0
import Glibc
import HTTP2
import TLS

/// One connection, with a time up to which everything on it has to happen.
final class Line {
    /// What came of one attempt to connect.
    enum Connected {
        case done(Line)
        case refused
        case timedOut
        /// This machine has no such family, or no way there.
        case noRoute
        case failed(String)
    }

    private let descriptor: Int32
    /// Up to when everything has to happen.
    var deadline: Double
    /// TLS on it, once there is.
    var probe: TLSProbe?
    /// The stream of an HTTP/2 connection on which everything is sent and received, where there is one.
    var stream: HTTP2Probe?
    /// Bytes that came and were not taken.
    private(set) var waiting: [UInt8] = []
    /// The stream has ended, in order or not.
    private(set) var hasEnded = false

    private init(_ descriptor: Int32, _ deadline: Double) {
        self.descriptor = descriptor
        self.deadline = deadline
    }

    deinit { close(descriptor) }

    /// Seconds since an arbitrary moment.
    static func now() -> Double {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    static func connect(_ address: ResolvedAddress, by deadline: Double) -> Connected {
        let type =
            Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
            | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(address.family, type, 0)
        guard descriptor >= 0 else { return outcome(errno) }
        let line = Line(descriptor, deadline)
        let result = address.bytes.withUnsafeBytes { bytes in
            bytes.baseAddress.map {
                Glibc.connect(
                    descriptor, $0.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
            } ?? -1
        }
        if result != 0 {
            guard errno == EINPROGRESS else { return outcome(errno) }
            guard line.wait(POLLOUT) else { return .timedOut }
            var code: Int32 = 0
            var length = socklen_t(MemoryLayout<Int32>.size)
            getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
            if code != 0 { return outcome(code) }
        }
        return .done(line)
    }

    private static func outcome(_ code: Int32) -> Connected {
        switch code {
        case ECONNREFUSED: .refused
        case ETIMEDOUT, EHOSTUNREACH: .timedOut
        case ENETUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT: .noRoute
        default: .failed(text(code))
        }
    }

    private static func text(_ code: Int32) -> String { String(cString: strerror(code)) }

    /// Waits for the socket; false when the time is over.
    private func wait(_ events: Int32, until limit: Double = .infinity) -> Bool {
        while true {
            let left = min(deadline, limit) - Self.now()
            if left <= 0 { return false }
            var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
            let count = poll(&entry, 1, Int32(min(left * 1000 + 1, 1e9)))
            if count > 0 { return true }
            if count < 0 && errno != EINTR { return false }
        }
    }

    /// Sends bytes as they are; false when that is not possible any more.
    @discardableResult
    func sendRaw(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count < 0 && (errno == EAGAIN || errno == EINTR) {
                if !wait(POLLOUT) { return false }
            } else {
                return false
            }
        }
        return true
    }

    /// Sends bytes, sealed where there is TLS.
    @discardableResult
    func send(_ bytes: [UInt8]) -> Bool {
        guard let probe else { return sendRaw(bytes) }
        stream?.send(bytes)
        probe.write(stream?.takeOutput() ?? bytes)
        return sendRaw(probe.takeOutput())
    }

    /// What comes next, as it is; nil when the time is over, empty at the end.
    func receiveRaw(until limit: Double = .infinity) -> [UInt8]? {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            guard wait(POLLIN, until: limit) else { return nil }
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count > 0 { return Array(buffer.prefix(count)) }
            if count < 0 && (errno == EAGAIN || errno == EINTR) { continue }
            hasEnded = true
            return []
        }
    }

    /// Adds what comes next to `waiting`; false when the time is over or the stream has ended.
    func receive(until limit: Double = .infinity) -> Bool {
        if hasEnded { return false }
        guard let bytes = receiveRaw(until: limit) else { return false }
        guard let probe else {
            waiting += bytes
            return !hasEnded
        }
        let read = probe.read(bytes)
        if read.hasEnded { hasEnded = true }
        if let stream {
            stream.receive(read.plain)
            waiting += stream.takeArrived()
            probe.write(stream.takeOutput())
            if stream.hasEnded { hasEnded = true }
        } else {
            waiting += read.plain
        }
        sendRaw(probe.takeOutput())
        return !hasEnded || !read.plain.isEmpty
    }

    /// Takes waiting bytes away.
    func take(_ count: Int) { waiting.removeFirst(count) }
}
