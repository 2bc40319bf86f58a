// SPDX-License-Identifier: Apache-2.0
import Reactor
import Wire

/// An answer of Sluice's own that refuses a request: a status, a sentence and a `Proxy-Status`.
public struct Refusal: Sendable, Equatable {
    /// The status code (RFC 9110 §15).
    public let status: Int
    /// The error type (RFC 9209 §2.3).
    public let proxyError: String
    /// The body: what is wrong, and what to do.
    public let sentence: String
    /// Fields that this status wants.
    public var extraFields: [(String, String)] = []

    /// A refusal of these values.
    public init(status: Int, proxyError: String, sentence: String) {
        self.status = status
        self.proxyError = proxyError
        self.sentence = sentence
    }

    /// Two refusals are equal when the client would see the same.
    public static func == (left: Refusal, right: Refusal) -> Bool {
        left.bytes(date: "") == right.bytes(date: "")
    }

    /// The whole answer, which closes the connection; `date` is the present time as `Date` says it.
    public func bytes(date: String) -> [UInt8] {
        var writer = HeadWriter()
        writer.statusLine(status)
        writer.field("Date", date)
        writer.field("Content-Type", "text/plain; charset=utf-8")
        writer.field("Content-Length", String(sentence.utf8.count + 1))
        writer.field("Cache-Control", "no-store")
        for (name, value) in extraFields {
            writer.field(named: name, value)
        }
        let isUpgradeRequired = extraFields.contains { $0.0 == "Upgrade" }
        writer.field("Connection", isUpgradeRequired ? "close, Upgrade" : "close")
        writer.field("Proxy-Status", proxyStatus)
        writer.end()
        return writer.bytes + Array(sentence.utf8) + [0x0A]
    }

    /// The value of `Proxy-Status` (RFC 9209 §2).
    var proxyStatus: String { "sluice; error=\(proxyError); details=\(quotedSentence)" }

    /// The sentence as a String of structured fields: ASCII, quoted (RFC 8941 §3.3.3).
    private var quotedSentence: String {
        var quoted = "\""
        for character in sentence.unicodeScalars {
            if character == "\"" || character == "\\" { quoted += "\\" }
            let isPrintable = character.value >= 0x20 && character.value < 0x7F
            quoted.unicodeScalars.append(isPrintable ? character : "?")
        }
        return quoted + "\""
    }
}

extension Refusal {
    /// The refusal that a malformed head asks for.
    init(_ fault: HeadFault) {
        self.init(status: fault.status, proxyError: "http_request_error", sentence: fault.sentence)
    }

    /// The refusal that a request asks for which is no opening handshake.
    init(_ fault: UpgradeFault) {
        self.init(status: fault.status, proxyError: "http_request_error", sentence: fault.sentence)
        extraFields = fault.extraFields
    }

    /// No route serves that host and path.
    static func noRoute(host: String, path: String) -> Refusal {
        Refusal(
            status: 404, proxyError: "destination_not_found",
            sentence: "No route serves \(path) on host \(host).")
    }

    /// The page's origin is not allowed.
    static func forbiddenOrigin(_ origin: String) -> Refusal {
        Refusal(
            status: 403, proxyError: "http_request_denied",
            sentence: "A page of origin \(origin) may not open this socket.")
    }

    /// The request head did not come in time.
    static let headTimeout = Refusal(
        status: 408, proxyError: "http_request_error",
        sentence: "The request head did not arrive in time.")

    /// A WebSocket was asked for without TLS where everything is sent on to https.
    static func useTLS(_ url: String) -> Refusal {
        var refusal = Refusal(
            status: 426, proxyError: "http_request_error",
            sentence: "This port only leads to TLS, and WebSocket clients follow no redirect:"
                + " use \(url).")
        refusal.extraFields = [("Upgrade", "TLS/1.2, HTTP/1.1")]
        return refusal
    }

    /// The route answers by itself, and no WebSocket is behind it.
    static func noSocket(path: String) -> Refusal {
        Refusal(
            status: 404, proxyError: "destination_not_found",
            sentence: "There is no WebSocket at \(path).")
    }

    /// The request's body is longer than the route allows.
    static func tooLarge(_ bytesMax: UInt64) -> Refusal {
        Refusal(
            status: 413, proxyError: "http_request_denied",
            sentence: "The body of the request is longer than \(bytesMax) bytes.")
    }

    /// The request's body stands still.
    static let bodyTimeout = Refusal(
        status: 408, proxyError: "http_request_error",
        sentence: "The body of the request did not arrive in time.")

    /// The upstream broke off before it answered an ordinary request.
    static let incompleteAnswer = Refusal(
        status: 502, proxyError: "http_response_incomplete",
        sentence: "The upstream closed the connection before its answer was complete.")

    /// The upstream did not answer an ordinary request in time.
    static let requestTimeout = Refusal(
        status: 504, proxyError: "http_response_timeout",
        sentence: "The upstream did not answer the request in time.")

    /// Sluice is going away.
    static let draining = later(
        503, "This server is shutting down.", seconds: 1, proxyError: "destination_unavailable")

    /// The route has as many relays as it may have.
    static func routeFull(_ route: String) -> Refusal {
        later(503, "The route \(route) has as many WebSockets as it may have.", seconds: 5)
    }

    /// The client has as many relays as one may have.
    static let clientHasTooMany = later(
        429, "There are as many WebSockets from your address as one address may have.", seconds: 5)

    /// The client begins relays too often.
    static func clientComesTooOften(_ milliseconds: UInt64) -> Refusal {
        later(
            429, "Your address opens WebSockets too often.",
            seconds: max(1, (milliseconds + 999) / 1_000))
    }

    /// Every endpoint has as many connections as one may have.
    static func endpointsFull(_ upstream: String) -> Refusal {
        later(
            503, "Every endpoint of \(upstream) has as many connections as it may have.", seconds: 1
        )
    }

    /// A refusal that says when to come again (RFC 9110 §10.2.3, RFC 6585 §4).
    private static func later(
        _ status: Int, _ sentence: String, seconds: UInt64,
        proxyError: String = "connection_limit_reached"
    ) -> Refusal {
        var refusal = Refusal(status: status, proxyError: proxyError, sentence: sentence)
        refusal.extraFields = [("Retry-After", String(seconds))]
        return refusal
    }

    /// The route takes no new sockets.
    static func routeDraining(_ route: String) -> Refusal {
        later(
            503, "The route \(route) is being drained and takes no new WebSockets.", seconds: 5,
            proxyError: "destination_unavailable")
    }

    /// All endpoints of the upstream are being drained.
    static func endpointsDraining(_ upstream: String) -> Refusal {
        later(
            503, "Every endpoint of \(upstream) is being drained.", seconds: 5,
            proxyError: "destination_unavailable")
    }

    /// The upstream broke off before it answered.
    static let noAnswer = Refusal(
        status: 502, proxyError: "http_response_incomplete",
        sentence: "The upstream closed the connection before it answered the upgrade.")

    /// The upstream did not answer in time.
    static let answerTimeout = Refusal(
        status: 504, proxyError: "http_response_timeout",
        sentence: "The upstream did not answer the upgrade in time.")

    /// The upstream could not be connected to in time.
    static let connectTimeout = Refusal(
        status: 504, proxyError: "connection_timeout",
        sentence: "The upstream did not accept the connection in time.")

    /// The upstream's name has no address.
    static func unresolved(_ label: String) -> Refusal {
        Refusal(
            status: 502, proxyError: "dns_error",
            sentence: "The name of the upstream \(label) does not resolve.")
    }

    /// The upstream refused the connection or can't be reached.
    static func unreachable(_ label: String, reason: String, isRefused: Bool) -> Refusal {
        Refusal(
            status: 502, proxyError: isRefused ? "connection_refused" : "destination_unavailable",
            sentence: "No connection to the upstream \(label): \(reason).")
    }

    /// The upstream answered, but not as it must.
    static func badAnswer(_ sentence: String) -> Refusal {
        Refusal(status: 502, proxyError: "http_protocol_error", sentence: sentence)
    }

    /// A tunnel was not proven by the 101.
    static func badUpgrade(_ sentence: String) -> Refusal {
        Refusal(status: 502, proxyError: "http_upgrade_failed", sentence: sentence)
    }

    /// There is no port, descriptor or memory for one more connection to an upstream.
    static func shortage(_ shortage: Shortage, _ label: String) -> Refusal {
        later(503, "No connection to the upstream \(label): \(shortage.reason).", seconds: 1)
    }

    /// One reactor has as many connections as it can have.
    static let noSlot = later(503, "There are as many connections as there can be.", seconds: 1)
}
