// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import Proxy
import Reactor
import Router
import TLS
public import Wire

/// An answer of Sluice's own that refuses a request: a status, a sentence and a `Proxy-Status`.
public struct Refusal: Sendable, Equatable {
    /// The status code (RFC 9110 §15).
    public let status: Int
    /// The error type (RFC 9209 §2.3).
    public let proxyError: ProxyError
    /// The body: what is wrong, and what to do.
    public private(set) var sentence: String
    /// Further parameters of `Proxy-Status` that the error type has, each with what stands in front of it.
    private(set) var proxyParameters = ""
    /// Fields that this status wants.
    public var extraFields: [(String, String)] = []

    /// A refusal with its status, its Proxy-Status error (RFC 9209 §2.3) and its sentence.
    public init(status: Int, proxyError: ProxyError, sentence: String) {
        self.status = status
        self.proxyError = proxyError
        self.sentence = sentence
    }

    /// Two refusals are equal when the client would see the same.
    public static func == (left: Refusal, right: Refusal) -> Bool {
        left.bytes(date: "") == right.bytes(date: "")
    }

    /// The whole answer, which closes the connection; `date` is the present time as `Date` says it.
    ///
    /// An answer to `HEAD` has no body, whatever it says of its length (RFC 9110 §9.3.2). `lines` are further fields, each
    /// with its end.
    public func bytes(
        date: String, to method: Method = .get, with lines: [UInt8] = []
    ) -> [UInt8] {
        var writer = HeadWriter()
        OwnAnswer(self).write(
            date: date, policyLine: lines, persistence: .closes, to: method, into: &writer)
        return writer.bytes
    }

    /// The value of `Proxy-Status` (RFC 9209 §2).
    var proxyStatus: String {
        "sluice; error=\(proxyError.rawValue)\(proxyParameters); details=\(quotedSentence)"
    }

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
        self.init(
            status: fault.status, proxyError: .httpRequestError,
            sentence: fault.sentenceWithKey)
    }

    /// The refusal that a request asks for which is no opening handshake.
    init(_ fault: UpgradeFault) {
        self.init(status: fault.status, proxyError: .httpRequestError, sentence: fault.sentence)
        extraFields = fault.extraFields
    }

    /// No route serves that host and path.
    ///
    /// `routing` is asked whether a slash at the end makes the difference, which is hard to see.
    static func noRoute(host: String, path: String, in routing: Routing) -> Refusal {
        let sentence =
            host.isEmpty
            ? "No route serves \(path) where the request names no host."
            : "No route serves \(path) on host \(host)."
        func isServed(_ other: String) -> Bool {
            routing.table.index(host: host.utf8.span, path: other.utf8.span) != nil
        }
        let hint =
            if routing.table.hasConditions, isServed(path) {
                " Routes for it ask for something else of a request (routes[].listen, routes[].when)."
            } else if path.hasSuffix("/"), path.utf8.count > 1, isServed(String(path.dropLast())) {
                " A route serves it without the slash at its end."
            } else if !path.hasSuffix("/"), isServed(path + "/-") {
                " A route serves what is below \(path)/."
            } else if !path.hasSuffix("/"), isServed(path + "/") {
                " A route serves it with a slash at its end."
            } else {
                ""
            }
        return Refusal(
            status: 404, proxyError: .destinationNotFound, sentence: sentence + hint)
    }

    /// The request names no host, so it can't be said where else it should go.
    static let noHost = Refusal(
        status: 400, proxyError: .httpRequestError,
        sentence: "Without a host in the Host field it can't be said where https is.")

    /// The route wants no escaped slash.
    static func escapedSlash(rejectedBy route: String) -> Refusal {
        Refusal(
            status: 400, proxyError: .httpRequestError,
            sentence: "The path holds an escaped slash (%2F or %5C), which 'escapedSlash' of the"
                + " route \(route) rejects.")
    }

    /// With `/` for its escaped slashes the path would not be the route's.
    static func escapedSlash(leaving route: String) -> Refusal {
        Refusal(
            status: 400, proxyError: .httpRequestError,
            sentence: "The path holds an escaped slash (%2F or %5C); read with '/' in its place it"
                + " would leave the route \(route).")
    }

    /// Without its parameters, or with slashes in a row as one, the path would not be the route's.
    static func otherReading(leaving route: String) -> Refusal {
        Refusal(
            status: 400, proxyError: .httpRequestError,
            sentence:
                "The path holds '//' or ';'; to a server that takes slashes in a row for one, or drops"
                + " what stands behind ';', it would leave the route \(route).")
    }

    /// The request head did not come in time.
    static let headTimeout = Refusal(
        status: 408, proxyError: .httpRequestError,
        sentence: "The request head did not arrive in time (timeouts.head).")

    /// A WebSocket was asked for without TLS where everything is sent on to https.
    static func useTLS(_ url: String) -> Refusal {
        var refusal = Refusal(
            status: 426, proxyError: .httpRequestError,
            sentence: "This port only leads to TLS, and WebSocket clients follow no redirect:"
                + " use \(url).")
        refusal.extraFields = [("Upgrade", "TLS/1.2, HTTP/1.1")]
        return refusal
    }

    /// The route answers by itself, and no WebSocket is behind it.
    static func noSocket(path: String) -> Refusal {
        Refusal(
            status: 404, proxyError: .destinationNotFound,
            sentence: "There is no WebSocket at \(path).")
    }

    /// The request's body is longer than the route allows.
    static func tooLarge(_ bytesMax: UInt64) -> Refusal {
        Refusal(
            status: 413, proxyError: .httpRequestDenied,
            sentence:
                "The body of the request is longer than \(bytesMax) bytes (routes[].limits.bodyBytes)."
        )
    }

    /// The request's body stands still.
    static let bodyTimeout = Refusal(
        status: 408, proxyError: .httpRequestError,
        sentence: "The body of the request did not arrive in time (timeouts.body).")

    /// The request's body breaks the rules of HTTP.
    static let badBody = Refusal(
        status: 400, proxyError: .httpRequestError,
        sentence: "The body of the request breaks the rules of HTTP.")

    /// The client has gone, so nobody reads this.
    static let clientGone = Refusal(
        status: 400, proxyError: .httpRequestError, sentence: "The client has gone.")

    /// The upstream broke off before it answered an ordinary request.
    static let incompleteAnswer = Refusal(
        status: 502, proxyError: .httpResponseIncomplete,
        sentence: "The upstream closed the connection before its answer was complete.")

    /// The upstream did not answer an ordinary request in time.
    static let requestTimeout = Refusal(
        status: 504, proxyError: .httpResponseTimeout,
        sentence: "The upstream did not answer the request in time (timeouts.answer).")

    /// The upstream's answer stands still.
    static let answerStalled = Refusal(
        status: 504, proxyError: .httpResponseTimeout,
        sentence: "The upstream's answer stood still for too long (timeouts.answerBody).")

    /// Sluice is going away.
    static let draining = later(
        503, "This server is shutting down.", seconds: 1, proxyError: .destinationUnavailable)

    /// The route has as many relays as it may have.
    static func routeFull(_ route: String) -> Refusal {
        later(
            503,
            "The route \(route) has as many WebSockets as it may have (routes[].limits.relays).",
            seconds: 5)
    }

    /// The route has faults, and the lot has fallen on this request.
    static func onPurpose(route: String) -> Refusal {
        Refusal(
            status: 503, proxyError: .proxyInternalResponse,
            sentence:
                "This request was refused on purpose: the route \(route) has faults (routes[].faults or"
                + " `sluice chaos`), so that clients' reconnecting can be tested.")
    }

    /// The client has as many relays as one may have.
    static let clientHasTooMany = later(
        429,
        "There are as many WebSockets from your address as one address may have"
            + " (routes[].limits.relaysPerClient).", seconds: 5)

    /// The client begins relays too often.
    static func clientComesTooOften(_ milliseconds: UInt64) -> Refusal {
        later(
            429, "Your address opens WebSockets too often (routes[].limits.newRelaysPerSecond).",
            seconds: max(1, (milliseconds + 999) / 1_000))
    }

    /// Every endpoint has as many connections as one may have.
    static func endpointsFull(_ upstream: String) -> Refusal {
        later(
            503,
            "Every endpoint of \(upstream) has as many connections as it may have"
                + " (upstreams.\(upstream).maxConnections).", seconds: 1)
    }

    /// A refusal that says when to come again (RFC 9110 §10.2.3, RFC 6585 §4).
    static func later(
        _ status: Int, _ sentence: String, seconds: UInt64,
        proxyError: ProxyError = .connectionLimitReached
    ) -> Refusal {
        var refusal = Refusal(status: status, proxyError: proxyError, sentence: sentence)
        refusal.extraFields = [("Retry-After", String(seconds))]
        return refusal
    }

    /// The route takes no new sockets.
    static func routeDraining(_ route: String) -> Refusal {
        later(
            503, "The route \(route) is being drained and takes no new WebSockets.", seconds: 5,
            proxyError: .destinationUnavailable)
    }

    /// All endpoints of the upstream are being drained.
    static func endpointsDraining(_ upstream: String, someRest: Bool = false) -> Refusal {
        later(
            503,
            "Every endpoint of \(upstream) is being drained"
                + (someRest ? ", or has the weight 0." : "."), seconds: 5,
            proxyError: .destinationUnavailable)
    }

    /// The upstream broke off before it answered.
    static let noAnswer = Refusal(
        status: 502, proxyError: .httpResponseIncomplete,
        sentence: "The upstream closed the connection before it answered the upgrade.")

    /// The upstream did not answer in time.
    static let answerTimeout = Refusal(
        status: 504, proxyError: .httpResponseTimeout,
        sentence: "The upstream did not answer the upgrade in time (timeouts.upgrade).")

    /// The upstream could not be connected to in time.
    static let connectTimeout = Refusal(
        status: 504, proxyError: .connectionTimeout,
        sentence: "The upstream did not accept the connection in time (timeouts.connect).")

    /// The upstream's name has no address.
    static func unresolved(_ label: String) -> Refusal {
        Refusal(
            status: 502, proxyError: .dnsError,
            sentence: "The name of the upstream \(label) does not resolve.")
    }

    /// The upstream took the connection, and its TLS handshake is not done.
    static func handshakeTimeout(_ label: String) -> Refusal {
        Refusal(
            status: 504, proxyError: .connectionTimeout,
            sentence:
                "The upstream \(label) accepted the connection, and its TLS handshake was not done in time"
                + " (timeouts.connect): see whether it speaks TLS at that port, and its own log.")
    }

    /// There is no TLS with the upstream (RFC 9209 §2.3.15 to §2.3.17).
    static func noTLS(_ label: String, _ fault: DestinationFault) -> Refusal {
        let proxyError: ProxyError
        var parameters = ""
        switch fault.kind {
        case .certificate: proxyError = .tlsCertificateError
        case .failure: proxyError = .tlsProtocolError
        case .alert(let number):
            proxyError = .tlsAlertReceived
            let name = DestinationFault.name(ofAlert: number)
            parameters = "; alert-id=\(number); alert-message=\"\(name)\""
        }
        var refusal = Refusal(
            status: 502, proxyError: proxyError,
            sentence: "No TLS with the upstream \(label): \(fault.clause).")
        refusal.proxyParameters = parameters
        return refusal
    }

    /// The upstream refused the connection or can't be reached.
    static func unreachable(_ label: String, code: Int32) -> Refusal {
        Refusal(
            status: 502,
            proxyError: code == ECONNREFUSED ? .connectionRefused : .destinationUnavailable,
            sentence: "No connection to the upstream \(label): \(SystemError.text(of: code))."
                + " \(SystemError.advice(connecting: code))")
    }

    /// The upstream answered, but not as it must.
    static func badAnswer(_ sentence: String) -> Refusal {
        Refusal(status: 502, proxyError: .httpProtocolError, sentence: sentence)
    }

    /// The upstream goes on sending interim answers (1xx).
    static func interimAnswers(_ bytesMax: Int) -> Refusal {
        badAnswer(
            "The upstream has sent more than \(bytesMax) bytes of interim answers (1xx) and no final one."
        )
    }

    /// The handshake is one of a device's, which the route does not accept.
    static func departure(
        _ fault: UpgradeFault, of request: UpgradeRequest, route: String
    ) -> Refusal {
        let key =
            fault == request.fault(accepting: .anyKeyLength) ? "missingConnection" : "anyKeyLength"
        return Refusal(
            status: fault.status, proxyError: .httpRequestError,
            sentence: fault.sentence
                + " For a device that can't do otherwise, set accept.\(key) on the route \(route).")
    }

    /// A tunnel was not proven by the 101.
    static func badUpgrade(_ sentence: String) -> Refusal {
        Refusal(status: 502, proxyError: .httpUpgradeFailed, sentence: sentence)
    }

    /// There is no port, descriptor or memory for one more connection to an upstream.
    static func shortage(_ shortage: Shortage, _ label: String) -> Refusal {
        later(503, "No connection to the upstream \(label): \(shortage.reason).", seconds: 1)
    }
}

extension Refusal {
    /// What the client is told where its request ends for this cause.
    init(_ cause: Cause, of request: RequestPointer) {
        let label =
            request.pointee.facts.endpoint?.label ?? request.pointee.upstream?.search.label ?? ""
        let upstream = request.pointee.upstream?.search.group.picker.name ?? ""
        let isUpgrade = request.pointee.isUpgrade
        let fault = request.pointee.extras?.fault
        switch cause {
        case .unresolved, .unreachable, .connectTimeout, .tlsFailed, .shortage:
            self = (request.pointee.upstream?.search.lastFailure ?? .unresolved).refusal(label)
        case .endpointsFull: self = .endpointsFull(upstream)
        case .endpointsDraining:
            let picker = request.pointee.upstream?.search.group.picker
            let rests = (0..<(picker?.endpointCount ?? 0)).contains {
                picker?.isResting($0) == true
            }
            self = .endpointsDraining(upstream, someRest: rests)
        case .noAnswer: self = .noAnswer
        case .incompleteAnswer: self = .incompleteAnswer
        case .answerTimeout: self = isUpgrade ? .answerTimeout : .requestTimeout
        case .answerStalled: self = .answerStalled
        case .badAnswer:
            self = .badAnswer(fault?.sentence ?? "The upstream's answer can't be used.")
        case .badUpgrade: self = .badUpgrade(fault?.sentence ?? "The 101 proves no tunnel.")
        case .notSwitching:
            self = .badUpgrade(fault?.sentence ?? "The upstream opens no WebSocket.")
        case .bodyTimeout: self = .bodyTimeout
        case .badBody: self = fault.map { Refusal($0) } ?? .badBody
        case .bodyTooLarge: self = .tooLarge(request.pointee.facts.plan?.route.bodyBytesMax ?? 0)
        case .clientGone:
            assertionFailure("somebody who has gone is refused")
            self = .clientGone
        case .leaving: self = .draining
        }
        if request.pointee.facts.plan?.times?.has(cause, isUpgrade: isUpgrade) == true {
            nameRoutesKey()
        }
    }

    /// Names the route's own key for a time.
    private mutating func nameRoutesKey() {
        guard let key = sentence.firstRange(of: "(timeouts.") else { return }
        sentence.replaceSubrange(key, with: "(routes[].timeouts.")
    }
}

extension HeadFault {
    /// The sentence, with the key of the configuration that sets the limit, where it was one that was met.
    var sentenceWithKey: String {
        guard let limit else { return sentence }
        let key =
            switch limit {
            case .bytes: "limits.headBytes"
            case .fields: "limits.headFields"
            case .targetBytes: "limits.targetBytes"
            }
        return "\(sentence.dropLast()) (\(key))."
    }
}
