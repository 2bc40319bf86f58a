// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Connects and waits for it, for those who may wait.
public enum Knock {
    /// A connected, non-blocking descriptor, which is the caller's.
    public static func open(
        _ address: Address, withinMilliseconds: Int32 = 5_000
    ) throws(SystemError) -> Int32 {
        let socket = try Socket.stream(for: address)
        switch socket.connect(to: address) {
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
