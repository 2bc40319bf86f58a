// SPDX-License-Identifier: Apache-2.0

/// Why a request does not become a WebSocket.
public struct UpgradeFault: Error, Sendable, Equatable {
    /// What to make of the refusal.
    public enum Kind: Sendable, Equatable {
        /// An ordinary request that asks for no WebSocket.
        case notAnUpgrade
        /// A WebSocket of another version than 13.
        case wrongVersion
        /// A WebSocket asked for by another method than GET.
        case badMethod
        /// A request that breaks RFC 9112 or RFC 6455.
        case malformed
    }

    /// The HTTP status of the answer.
    public let status: Int
    /// What is wrong, in one sentence.
    public let sentence: String
    /// What to make of it.
    public let kind: Kind

    /// A fault with its answer.
    public init(status: Int, sentence: String, kind: Kind) {
        self.status = status
        self.sentence = sentence
        self.kind = kind
    }

    /// The fields that an answer of this kind must carry (RFC 9110 §15.5.22, RFC 6455 §4.4).
    public var extraFields: [(String, String)] {
        switch kind {
        case .notAnUpgrade: [("Upgrade", "websocket")]
        case .wrongVersion: [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
        case .badMethod, .malformed: []
        }
    }

    static func malformed(_ sentence: String) -> UpgradeFault {
        UpgradeFault(status: 400, sentence: sentence, kind: .malformed)
    }

    init(_ fault: HeadFault) {
        self.init(status: fault.status, sentence: fault.sentence, kind: .malformed)
    }
}
