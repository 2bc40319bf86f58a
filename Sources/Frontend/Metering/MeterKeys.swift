// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import TLS
import Wire

// What is counted under one key of a `KeyedCounter`, and the values of labels that a key stands for. Whatever a peer
// chooses is folded here, so that nobody can make series without end.

/// An ordinary request that is over.
struct AnsweredRequest {
    let key: UInt64

    init(_ method: Method, status: Int, isHTTP2: Bool) {
        key =
            UInt64(UInt16(truncatingIfNeeded: status)) | UInt64(method.rawValue) << 16
            | (isHTTP2 ? 1 << 24 : 0)
    }

    /// Method, status and protocol.
    static func labels(_ key: UInt64) -> [String] {
        if key == KeyedCounter.other { return ["other", "other", "other"] }
        let method = Method(rawValue: UInt8(truncatingIfNeeded: key >> 16)) ?? .other
        let version = key >> 24 & 1 == 1 ? "h2" : "h1"
        return [method.label, statusLabel(key), version]
    }

    static func statusLabel(_ key: UInt64) -> String {
        let status = UInt16(truncatingIfNeeded: key)
        return status == 0 ? "none" : "\(status)"
    }
}

extension Method {
    fileprivate var label: String {
        switch self {
        case .other: "other"
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .connect: "CONNECT"
        case .options: "OPTIONS"
        case .trace: "TRACE"
        }
    }

    /// The method of this name, as far as it is known.
    init(named name: String) {
        let all: [Method] = [.get, .head, .post, .put, .delete, .connect, .options, .trace]
        self = all.first { $0.label == name } ?? .other
    }
}

/// A request for a WebSocket that opened none.
struct RefusedUpgrade {
    let key: UInt64

    init(status: Int, _ error: ProxyError?) {
        let number = error.flatMap { ProxyError.allCases.firstIndex(of: $0) }.map { $0 + 1 } ?? 0
        key = UInt64(UInt16(truncatingIfNeeded: status)) | UInt64(number) << 16
    }

    /// Status and error.
    static func labels(_ key: UInt64) -> [String] {
        if key == KeyedCounter.other { return ["other", "other"] }
        let number = Int(UInt8(truncatingIfNeeded: key >> 16))
        let all = ProxyError.allCases
        let error = number > 0 && number <= all.count ? all[number - 1].rawValue : ""
        return [AnsweredRequest.statusLabel(key), error]
    }
}

/// How a relay has ended.
struct RelayEnd {
    let key: UInt64

    init(code: UInt16, _ initiator: Initiator, _ reason: EndReason) {
        let code = Self.representative(code)
        key = UInt64(code) | UInt64(initiator.rawValue) << 16 | UInt64(reason.rawValue) << 24
    }

    /// Code, by and reason.
    static func labels(_ key: UInt64) -> [String] {
        if key == KeyedCounter.other { return ["other", "other", "other"] }
        let initiator = Initiator(rawValue: UInt8(truncatingIfNeeded: key >> 16)) ?? .none
        let reason = EndReason(rawValue: UInt8(truncatingIfNeeded: key >> 24)) ?? .none
        return [folded(UInt16(truncatingIfNeeded: key)), "\(initiator.word)", "\(reason.word)"]
    }

    /// A Close code, folded where it is not registered (RFC 6455 §7.4).
    ///
    /// Peers choose among thousands, so those that are folded have one key together.
    private static func folded(_ code: UInt16) -> String {
        switch code {
        case 0: "none"
        case 1_000...1_015: "\(code)"
        case 3_000...3_999: "3xxx"
        case 4_000...4_999: "4xxx"
        default: "other"
        }
    }

    /// The code that stands for all that are folded as this one is.
    private static func representative(_ code: UInt16) -> UInt16 {
        switch code {
        case 0, 1_000...1_015: code
        case 3_000...3_999: 3_000
        case 4_000...4_999: 4_000
        default: 1
        }
    }
}

/// A limit that somebody has met, by its key in the configuration.
enum MetLimit: UInt64, CaseIterable {
    case relays, relaysPerClient, newRelaysPerSecond, bodyBytes
    case messageBytes, fragments, messagesPerSecond, maxConnections
    case connections, connectionsPerClient, newConnectionsPerSecond, headBytes

    /// The limit that was met where frames broke it; nil where they broke a rule.
    init?(_ violation: FrameViolation) {
        switch violation {
        case .messageTooBig: self = .messageBytes
        case .tooManyFragments: self = .fragments
        case .tooManyMessages: self = .messagesPerSecond
        default: return nil
        }
    }

    static func label(_ key: UInt64) -> String {
        MetLimit(rawValue: key).map { "\($0)" } ?? "other"
    }
}

/// A TLS handshake that was completed.
struct CompletedHandshake {
    let key: UInt64

    init(_ facts: TLSFacts) {
        key =
            UInt64(facts.cipher) | UInt64(facts.group) << 16 | UInt64(facts.version.rawValue) << 32
            | (facts.isResumed ? 1 << 48 : 0)
    }

    /// Version, group, cipher and whether a session was taken up again.
    static func labels(_ key: UInt64) -> [String] {
        if key == KeyedCounter.other { return ["other", "other", "other", "other"] }
        let facts = TLSFacts(
            version: TLSVersion(rawValue: UInt16(truncatingIfNeeded: key >> 32)) ?? .tls13,
            cipher: UInt16(truncatingIfNeeded: key), group: UInt16(truncatingIfNeeded: key >> 16),
            serverName: nil, applicationProtocol: nil, isResumed: key >> 48 & 1 == 1)
        return [
            "\(facts.version)", facts.groupName ?? "none", facts.cipherName, "\(facts.isResumed)",
        ]
    }
}

/// Why a TLS handshake was not completed.
enum HandshakeTrouble: UInt64 {
    case alert, version, cipher, group, curve, signature, protocols, timeout, disconnected, other
    case clientCertificate, noClientCertificate

    init(_ cause: HandshakeFailure.Cause?) {
        self =
            switch cause {
            case .alert, .otherName: .alert
            case .noCommonVersion: .version
            case .noCommonSuite: .cipher
            case .noCommonGroup: .group
            case .noCurveOfCertificate: .curve
            case .noCommonSignature: .signature
            case .noCommonProtocol: .protocols
            case .clientCertificate: .clientCertificate
            case .noClientCertificate: .noClientCertificate
            case .other, nil: .other
            }
    }

    static func label(_ key: UInt64) -> String {
        let trouble = HandshakeTrouble(rawValue: key) ?? .other
        return switch trouble {
        case .protocols: "protocol"
        case .clientCertificate: "client_certificate"
        case .noClientCertificate: "no_client_certificate"
        default: "\(trouble)"
        }
    }
}

/// What a connection spoke that was to speak something else.
enum OtherProtocol: UInt64 {
    case plainOnTLS, tlsOnPlain, unknown

    func key(listener: Int) -> UInt64 { rawValue | UInt64(listener) << 8 }

    /// The listener's number and the kind.
    static func labels(_ key: UInt64) -> (listener: Int, kind: String) {
        let kind =
            switch OtherProtocol(rawValue: key & 0xFF) {
            case .plainOnTLS: "plain_on_tls"
            case .tlsOnPlain: "tls_on_plain"
            case .unknown, nil: "unknown"
            }
        return (Int(key >> 8), kind)
    }
}
