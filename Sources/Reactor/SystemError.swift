// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// A system call that failed while something was being set up.
///
/// The data path does not throw: it returns error codes as values (`IOResult`).
public struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The value of `errno`.
    public let code: Int32
    /// The call and what it was about: "bind 127.0.0.1:80".
    public let call: String

    /// Names a failed call.
    public init(code: Int32, call: String) {
        self.code = code
        self.call = call
    }

    /// The failure that `errno` tells of at this moment.
    static func last(_ call: String) -> SystemError {
        let code = errno
        return SystemError(code: code, call: call)
    }

    /// The same in words.
    public var description: String { "\(call): \(SystemError.text(of: code))" }

    /// What an error code means, in the system's words.
    public static func text(of code: Int32) -> String {
        guard let text = strerrordesc_np(code) else { return "error \(code)" }
        return String(cString: text)
    }
}
