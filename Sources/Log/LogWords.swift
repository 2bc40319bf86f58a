// SPDX-License-Identifier: Apache-2.0
import Ledger
import TLS

// What the values of a record are called in the log.

extension AccessRecord {
    /// The word of the access line for why it ended: `refused` where Sluice has refused a request.
    var reasonWord: StaticString {
        reason == .none && proxyError != nil ? "refused" : reason.word
    }
}

extension AccessRecord.Kind {
    var word: StaticString {
        switch self {
        case .request: "request"
        case .opened: "open"
        case .ended: "end"
        }
    }
}

extension TLSVersion {
    var text: StaticString { self == .tls12 ? "TLSv1.2" : "TLSv1.3" }
}

extension LogEvent.Level {
    /// The level as syslog(3) numbers it.
    var priority: UInt8 {
        switch self {
        case .error: 3
        case .warning: 4
        case .info: 6
        }
    }
}
