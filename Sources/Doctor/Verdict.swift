// SPDX-License-Identifier: Apache-2.0

/// What is the matter with a WebSocket URL; each has a name and an exit code that stay as they are.
public enum Verdict: String, Sendable, CaseIterable {
    /// The socket opens and answers a ping.
    case healthy
    /// An `https` page may not open `ws:`.
    case mixedContent = "mixed-content"
    /// The name has no address.
    case nameNotFound = "name-not-found"
    /// Nobody listens on that port.
    case refused
    /// Nothing comes back: a packet filter, a machine that is off, or no way there.
    case unreachable
    /// It works on IPv4 or IPv6 only, and the name's first address is of the other family.
    case oneFamily = "one-family"
    /// It works, but Chromium lets no page of that kind open sockets to this machine or this network.
    case localNetwork = "local-network"
    /// The port speaks plain HTTP: the browser's ERR_SSL_PROTOCOL_ERROR.
    case plainHTTP = "plain-http"
    /// The port speaks something else.
    case otherProtocol = "other-protocol"
    /// The port speaks TLS, and the URL says that it does not.
    case speaksTLS = "speaks-tls"
    /// The connection ends in the middle of the handshake.
    case handshakeCut = "handshake-cut"
    /// The server refuses the handshake by an alert.
    case tlsAlert = "tls-alert"
    /// No version of TLS that both speak, or one that browsers have given up.
    case tlsVersion = "tls-version"
    /// No cipher suite that both have.
    case tlsCipher = "tls-cipher"
    /// The server wants a certificate of the client.
    case clientCertificate = "client-certificate"
    /// Signed by nobody but itself.
    case selfSigned = "self-signed"
    /// Signed by an authority that is not trusted here.
    case untrustedAuthority = "untrusted-authority"
    /// A certificate in between is not sent.
    case missingIntermediate = "missing-intermediate"
    /// The certificate is for other names than the URL's.
    case wrongName = "wrong-name"
    /// Its time is over.
    case expired
    /// Its time has not begun.
    case notYetValid = "not-yet-valid"
    /// Its key or its signature is too weak for browsers.
    case weakKey = "weak-key"
    /// Something else about the certificate.
    case badCertificate = "bad-certificate"
    /// The certificate is in order, and the clock of this machine or of the server is not.
    case clockOff = "clock-off"
    /// It works for programs that are told the authority, and no browser of this user trusts that.
    case untrustedByBrowsers = "untrusted-by-browsers"
    /// Connected, and no answer.
    case noAnswer = "no-answer"
    /// The server answers 404 to the opening handshake.
    case notFound = "not-found"
    /// The server answers 403 to the opening handshake.
    case forbidden
    /// The server answers 401 to the opening handshake.
    case unauthorized
    /// The server answers 426 to the opening handshake.
    case upgradeRequired = "upgrade-required"
    /// The server answers 429 to the opening handshake.
    case tooManyRequests = "too-many-requests"
    /// The server answers 502 to the opening handshake.
    case badGateway = "bad-gateway"
    /// The server answers 503 to the opening handshake.
    case unavailable
    /// The server answers 504 to the opening handshake.
    case gatewayTimeout = "gateway-timeout"
    /// A redirect, which WebSocket clients do not follow.
    case redirected
    /// An ordinary answer: this path serves pages.
    case notUpgraded = "not-upgraded"
    /// The server answers the opening handshake with another status than these.
    case refusedUpgrade = "refused-upgrade"
    /// 101 with an accept that does not belong to the key.
    case wrongAccept = "wrong-accept"
    /// The upgrade fields are lost on the way, there or back.
    case fieldsStripped = "fields-stripped"
    /// None of the subprotocols asked for was granted.
    case subprotocolRefused = "subprotocol-refused"
    /// It works, without the extension asked for.
    case extensionRefused = "extension-refused"
    /// A subprotocol or an extension was granted that nobody asked for.
    case unrequested
    /// It works by HTTP/1.1 and not in HTTP/2, where the server says that it does.
    case http2Fails = "http2-fails"
    /// Opened, and closed before anything happened.
    case closedAtOnce = "closed-at-once"
    /// Open, but it answers no ping.
    case noPong = "no-pong"
    /// Open, and gone after some silence.
    case diesIdle = "dies-idle"
    /// It works, and takes long.
    case slow
    /// Without a URL: no Sluice answers at the admin socket.
    case notRunning = "not-running"
    /// Without a URL: something about the running Sluice has to be mended.
    case needsAttention = "needs-attention"

    /// The exit code; 0 only where the socket opened and answered a ping in time.
    public var exitCode: Int32 {
        switch self {
        case .healthy: 0
        case .mixedContent: 10
        case .nameNotFound: 11
        case .refused: 12
        case .unreachable: 13
        case .oneFamily: 14
        case .localNetwork: 15
        case .plainHTTP: 20
        case .otherProtocol: 21
        case .speaksTLS: 22
        case .handshakeCut: 23
        case .tlsAlert: 24
        case .tlsVersion: 25
        case .tlsCipher: 26
        case .clientCertificate: 27
        case .selfSigned: 30
        case .untrustedAuthority: 31
        case .missingIntermediate: 32
        case .wrongName: 33
        case .expired: 34
        case .notYetValid: 35
        case .weakKey: 36
        case .badCertificate: 37
        case .clockOff: 38
        case .untrustedByBrowsers: 39
        case .noAnswer: 40
        case .notFound: 41
        case .forbidden: 42
        case .unauthorized: 43
        case .upgradeRequired: 44
        case .tooManyRequests: 45
        case .badGateway: 46
        case .unavailable: 47
        case .gatewayTimeout: 48
        case .redirected: 49
        case .notUpgraded: 50
        case .refusedUpgrade: 51
        case .wrongAccept: 52
        case .fieldsStripped: 53
        case .subprotocolRefused: 54
        case .extensionRefused: 55
        case .unrequested: 56
        case .http2Fails: 57
        case .closedAtOnce: 60
        case .noPong: 61
        case .diesIdle: 62
        case .slow: 63
        case .notRunning: 70
        case .needsAttention: 71
        }
    }
}

/// One step on the way, as it went.
public struct Step: Sendable, Encodable {
    /// What is tried in a step, named as people and programs read it.
    public enum Kind: String, Sendable, Encodable {
        /// Whether a page of that origin may open the URL.
        case page
        /// Looking the host's name up.
        case name
        /// Connecting by TCP to the addresses of the name.
        case tcp = "TCP"
        /// The TLS handshake, without judging the certificate.
        case tls = "TLS"
        /// Judging the server's certificate.
        case certificate
        /// The opening handshake (RFC 6455 §4).
        case upgrade
        /// A Ping and its answer.
        case ping
        /// Staying silent, and another Ping.
        case idle
        /// The same on another connection by HTTP/2 (RFC 8441).
        case http2 = "HTTP/2"
    }

    /// What the step has tried.
    public let kind: Kind
    /// Whether it went well.
    public let isGood: Bool
    /// How long it took.
    public let milliseconds: Double
    /// What the step has found, in a few words.
    public let found: String

    private enum CodingKeys: String, CodingKey {
        case kind = "name"
        case isGood
        case milliseconds
        case found
    }
}

/// What was found about a URL.
public struct Diagnosis: Sendable {
    /// The URL that was asked about, in its usual form.
    public let url: String
    /// The steps, in order, up to the first that failed.
    public internal(set) var steps: [Step] = []
    /// What is worth knowing besides.
    public internal(set) var notes: [String] = []
    /// The word for what is the matter, by which scripts decide.
    public internal(set) var verdict = Verdict.healthy
    /// What is the matter, in a sentence.
    public internal(set) var sentence = ""
    /// The one change that mends it; empty where nothing has to be mended.
    public internal(set) var remedy = ""
    /// What would come next if that were mended; nil where nobody could look.
    public internal(set) var beyond: Prospect?

    /// Puts a note in front of the others.
    public mutating func add(remark: String) { notes.insert(remark.harmless, at: 0) }
}

/// What was found behind the fault that decides.
public struct Prospect: Sendable, Encodable {
    /// The verdict if the fault before were not there.
    public let verdict: String
    /// What is the matter there, in a sentence.
    public let sentence: String
    /// The one change that mends it; empty where nothing has to be mended.
    public let remedy: String
}
