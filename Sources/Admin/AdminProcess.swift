// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor

/// How answers name the process that gives them, so that two questions to one place are known to have gone to
/// one process.
enum AdminProcess {
    /// The `Server` field of the admin socket's answers (RFC 9110 §10.2.4).
    static let serverName = "sluice-admin"
    /// The field that names the process.
    static let fieldName: StaticString = "Sluice-Process"
    /// This process: its number and when it was first asked, since numbers come again.
    static let own = "\(getpid())-\(Clock.wallMilliseconds())"

    /// The number in the name of a process; nil where it is none.
    static func number(of process: String) -> Int32? {
        process.split(separator: "-").first.flatMap { Int32($0) }
    }
}
