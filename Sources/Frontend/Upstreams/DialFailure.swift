// SPDX-License-Identifier: Apache-2.0
import Glibc
import Proxy
import Reactor
import TLS

/// Why an attempt to reach an endpoint came to nothing.
enum DialFailure: Equatable {
    /// Its name has no address.
    case unresolved
    /// The connect failed with this value of `errno`.
    case failed(Int32)
    /// Nothing came back in time.
    case timedOut
    /// The connection stood in time, and the TLS handshake on it was not done.
    case handshakeTimedOut
    /// The TLS handshake failed, or TLS broke before there was an answer.
    case tls(DestinationFault)
    /// It was connected, and ended before it said anything.
    case noAnswer
    /// Our own means were at an end: the endpoint is not to blame, and does not cool down.
    case shortage(Shortage)

    /// What a connection failed with, by a value of `errno`.
    init(_ code: Int32) {
        self = Shortage(code).map(DialFailure.shortage) ?? .failed(code)
    }

    /// What is decided by it.
    var cause: Cause {
        switch self {
        case .unresolved: .unresolved
        case .failed: .unreachable
        case .timedOut, .handshakeTimedOut: .connectTimeout
        case .tls: .tlsFailed
        case .noAnswer: .noAnswer
        case .shortage: .shortage
        }
    }

    /// Whether it may mean no more than that this machine has no address of that family.
    var isOfFamily: Bool {
        switch self {
        case .failed(EADDRNOTAVAIL), .failed(ENETUNREACH), .failed(EAFNOSUPPORT): true
        default: false
        }
    }

    /// Whether somebody was there, and TLS with it did not come about.
    var isOfTLS: Bool {
        switch self {
        case .tls, .handshakeTimedOut: true
        default: false
        }
    }

    /// Whether another address to come from may do better: it has ports of its own.
    var isOfSource: Bool { self == .shortage(.ports) || self == .shortage(.source) }

    /// What the client is told if there is nothing else to try.
    func refusal(_ label: String) -> Refusal {
        switch self {
        case .unresolved: .unresolved(label)
        case .failed(let code):
            .unreachable(label, code: code)
        case .timedOut: .connectTimeout
        case .handshakeTimedOut: .handshakeTimeout(label)
        case .tls(let fault): .noTLS(label, fault)
        case .noAnswer: .noAnswer
        case .shortage(let shortage): .shortage(shortage, label)
        }
    }
}
