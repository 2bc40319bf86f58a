// SPDX-License-Identifier: Apache-2.0
import Glibc
import HTTP2
import TLS

/// Why something failed, in a word by which errors are counted.
struct LoadCause: Sendable, Hashable {
    let word: String

    private init(_ word: String) { self.word = word }

    /// Nobody listens.
    static let refused = LoadCause("refused")
    /// No way leads to the address.
    static let unreachable = LoadCause("unreachable")
    /// The peer's system cut the connection.
    static let reset = LoadCause("reset")
    /// The connection ended without a Close.
    static let vanished = LoadCause("vanished")
    /// What came back is not what was sent.
    static let content = LoadCause("content")
    /// What came back breaks RFC 6455.
    static let protocolError = LoadCause("protocol")
    /// It did not come back at all.
    static let missing = LoadCause("missing")
    /// A client of a storm was waiting for its next attempt at the end.
    static let waiting = LoadCause("waiting")
    /// A client of a storm was being connected at the end.
    static let connecting = LoadCause("connecting")
    /// It came back later than it may.
    static let late = LoadCause("late")
    /// A socket that was held did not answer a Ping.
    static let dead = LoadCause("dead")
    /// The certificate is not trusted.
    static let certificate = LoadCause("certificate")
    /// TLS failed without an alert.
    static let tls = LoadCause("tls")
    /// The answer to the upgrade is no proper one.
    static let upgrade = LoadCause("upgrade")
    /// HTTP/2 failed.
    static let http2 = LoadCause("http2")
    /// This machine has no descriptors left.
    static let descriptors = LoadCause("no-descriptors")
    /// This machine has no ports left.
    static let ports = LoadCause("no-ports")
    /// Another failure of a system call.
    static let system = LoadCause("system")
    /// An expectation of a script was not met.
    static let expectation = LoadCause("expectation")

    /// The phases that have a time of their own.
    enum Phase: String {
        case connect, tls, upgrade, message, close
    }

    static func timeout(_ phase: Phase) -> LoadCause { LoadCause("timeout-\(phase.rawValue)") }
    static func status(_ status: Int) -> LoadCause { LoadCause("status-\(status)") }
    static func close(_ code: Int) -> LoadCause { LoadCause("close-\(code)") }

    /// The cause of a session's failure.
    static func session(_ fault: PeerFault) -> LoadCause {
        switch fault.cause {
        case .alert(let name): LoadCause("tls-alert-" + name.lowercased().replacing(" ", with: "-"))
        case .certificate: .certificate
        case .other: .tls
        }
    }

    /// The cause that an error of the system is.
    static func system(_ code: Int32) -> LoadCause {
        switch code {
        case ECONNREFUSED, ENOENT: .refused
        case EHOSTUNREACH, ENETUNREACH: .unreachable
        case ECONNRESET, EPIPE, ECONNABORTED: .reset
        case ETIMEDOUT: .timeout(.connect)
        case EMFILE, ENFILE: .descriptors
        case EADDRNOTAVAIL: .ports
        default: .system
        }
    }

    /// The same of a socket that was connected: there time runs out for a peer that is gone, and not for connecting.
    static func onOpenSocket(_ code: Int32) -> LoadCause {
        code == ETIMEDOUT ? .vanished : system(code)
    }
}

/// How often something failed for one cause.
struct LoadTally: Sendable {
    var count: UInt64
    /// The first that there was, in a sentence.
    let example: String
}
