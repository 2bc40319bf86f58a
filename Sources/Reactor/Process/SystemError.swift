// SPDX-License-Identifier: Apache-2.0
import CLinux
import Glibc

/// A system call that failed while something was being set up.
///
/// The data path does not throw: it returns error codes as values (`IOResult`).
public struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The value of `errno`.
    public let code: Int32
    /// The call and what it was about, for people: "bind 127.0.0.1:80".
    public let call: String
    /// What it was about, where somebody decides by it.
    public let subject: Subject

    /// What a failed call was about.
    public enum Subject: Sendable, Equatable {
        /// Nothing that matters to anybody.
        case other
        /// Listening at this address.
        case listening(Address)
        /// Listening at the path of this unix socket, where something else stands, as "a folder".
        case occupied(Address, by: String)
        /// Opening the file of this path.
        case file(String)
    }

    /// Names a failed call.
    public init(code: Int32, call: String, subject: Subject = .other) {
        self.code = code
        self.call = call
        self.subject = subject
    }

    /// That no unix socket can be made where something else stands; nothing is removed for it.
    public static func occupied(_ address: Address, by what: String) -> SystemError {
        SystemError(code: EEXIST, call: "bind \(address)", subject: .occupied(address, by: what))
    }

    /// The address that could not be listened at; nil where it is about something else.
    public var listeningAddress: Address? {
        switch subject {
        case .listening(let address), .occupied(let address, _): address
        case .other, .file: nil
        }
    }

    /// The failure that `errno` tells of at this moment.
    static func last(_ call: String, subject: Subject = .other) -> SystemError {
        let code = errno
        return SystemError(code: code, call: call, subject: subject)
    }

    /// The failed call, what the system says of its error code, and what to do, where that is known.
    public var description: String { cause + (remedy.map { "; \($0)" } ?? "") }

    /// The failed call and what the system says of its error code.
    public var cause: String { "\(call): \(SystemError.text(of: code))" }

    /// What an error code means, in the system's words.
    public static func text(of code: Int32) -> String {
        guard let text = strerrordesc_np(code) else { return "error \(code)" }
        return String(cString: text)
    }
}
