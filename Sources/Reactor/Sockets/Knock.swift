// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Connects and waits for it, for those who may wait.
public enum Knock {
    /// A connected, non-blocking descriptor, which is the caller's.
    ///
    /// A unix socket with a full queue is tried again: whoever listens there is there, but slow.
    public static func open(
        _ address: Address, withinMilliseconds: Int32 = 5_000
    ) throws(SystemError) -> Int32 {
        let socket = try Socket.stream(for: address)
        let deadline = Clock.nowMilliseconds() + UInt64(max(0, withinMilliseconds))
        var result = socket.connect(to: address)
        while case .failed(EAGAIN) = result, address.isUnix, Clock.nowMilliseconds() < deadline {
            usleep(10_000)
            result = socket.connect(to: address)
        }
        switch result {
        case .connected: return socket.release()
        case .failed(let code): throw SystemError(code: code, call: "connect \(address)")
        case .inProgress:
            var waitFor = pollfd(fd: socket.descriptor, events: Int16(POLLOUT), revents: 0)
            let count = poll(&waitFor, 1, withinMilliseconds)
            let code = count > 0 ? socket.pendingError() : ETIMEDOUT
            guard code == 0 else { throw SystemError(code: code, call: "connect \(address)") }
            return socket.release()
        }
    }

    /// Why nobody takes connections there, in the system's words; nil when somebody does.
    public static func failure(_ address: Address, withinMilliseconds: Int32) -> String? {
        do throws(SystemError) {
            close(try open(address, withinMilliseconds: withinMilliseconds))
            return nil
        } catch {
            return SystemError.text(of: error.code)
        }
    }
}
