// SPDX-License-Identifier: Apache-2.0
public import TLS

/// Walks the way of a WebSocket from name to ping, and says where it ends.
public struct Doctor {
    /// What is asked for besides the URL.
    public struct Options: Sendable {
        /// The page that opens the socket, for mixed content.
        public var page: SocketURL?
        /// The `Origin` to send; nil for that of the page, or of a page of the URL's own host.
        public var origin: String?
        /// Whether no `Origin` is sent, as programs do.
        public var isWithoutOrigin = false
        /// Further fields of the request.
        public var fields: [(name: String, value: String)] = []
        /// Subprotocols to offer in `Sec-WebSocket-Protocol` (RFC 6455 §1.9).
        public var subprotocols: [String] = []
        /// Extensions to offer, with their parameters.
        public var extensions: [String] = []
        /// PEM files with further authorities.
        public var authorities: [String] = []
        /// The local authority of Sluice's own, if there is one.
        public var localAuthority: String?
        /// PEM files of authorities that may have signed what nobody here trusts, as `certs/ca.pem` of a project;
        /// they are not trusted for that, but named.
        public var nearbyAuthorities: [String] = []
        /// Finds out which browsers trust that authority; asked only where it has signed a certificate.
        public var browserTrust: (@Sendable () -> BrowserTrust)?
        /// Addresses to use for names, in lower case, in the order in which they are tried.
        public var addresses: [String: [String]] = [:]
        /// How long to be silent before a second ping; nil for none.
        public var idleSeconds: Double?
        /// Up to when everything must have happened, without the silence.
        public var timeoutSeconds = 10.0
        /// A walk that takes longer is slow.
        public var slowSeconds = 3.0

        /// What is asked of a server without any wish of the user.
        public init() {}
    }

    /// How a step went.
    enum Way {
        /// The step found nothing wrong, and the next one follows.
        case open
        /// It has a fault that ends a browser's way, and not this one's.
        case faulty
        /// Here everybody's way ends.
        case ended
    }

    /// Something that spoils a socket that works.
    struct Reservation {
        let verdict: Verdict
        let sentence: String
        let remedy: String
    }

    let url: SocketURL
    let options: Options
    var diagnosis: Diagnosis
    /// What spoils a socket that works; the first counts if nothing worse is found.
    private(set) var reservations: [Reservation] = []
    /// What this user's browsers say of the certificate, where they were asked.
    var browserTrust: BrowserTrust?
    /// The certificate is not believed: what may be secret stays here.
    var isUntrusted = false
    /// Where the server was found.
    var address: ResolvedAddress?
    /// What the server's clock said, in seconds since 1970.
    var serverTime: Int64?
    /// Asks once more as a program would that is no browser.
    var isWithoutOrigin = false
    private var stepBegan = Line.now()
    /// When the time began that there is.
    var began = Line.now()

    init(_ url: SocketURL, _ options: Options) {
        self.url = url
        self.options = options
        isWithoutOrigin = options.isWithoutOrigin
        diagnosis = Diagnosis(url: url.text(secure: url.isSecure))
    }

    /// Looks at a URL.
    ///
    /// - Throws: `TLSError` when a file with authorities can't be read.
    public static func examine(_ url: SocketURL, _ options: Options) throws(TLSError) -> Diagnosis {
        var doctor = Doctor(url, options)
        try doctor.walk()
        return doctor.diagnosis.harmless
    }

    var deadline: Double { began + options.timeoutSeconds + (options.idleSeconds ?? 0) }
    /// Up to when an answer must have come that is not about silence.
    var answerDeadline: Double { began + options.timeoutSeconds }

    /// Up to when to wait for a first word, so that there is time to ask in another way where none comes.
    var firstWordDeadline: Double {
        answerDeadline - min(2, options.timeoutSeconds * 0.4)
    }

    mutating func good(_ kind: Step.Kind, _ found: String) { step(kind, found, isGood: true) }

    mutating func bad(
        _ kind: Step.Kind, _ found: String, _ verdict: Verdict, _ sentence: String, _ remedy: String
    ) {
        step(kind, found, isGood: false)
        conclude(verdict, sentence, remedy)
    }

    /// A step that fails and leaves the verdict to the reservations.
    mutating func poor(_ kind: Step.Kind, _ found: String) { step(kind, found, isGood: false) }

    private mutating func step(_ kind: Step.Kind, _ found: String, isGood: Bool) {
        let now = Line.now()
        diagnosis.steps.append(
            Step(
                kind: kind, isGood: isGood, milliseconds: Self.milliseconds(now - stepBegan),
                found: found))
        stepBegan = now
    }

    mutating func conclude(_ verdict: Verdict, _ sentence: String, _ remedy: String) {
        diagnosis.verdict = verdict
        diagnosis.sentence = sentence
        diagnosis.remedy = remedy
    }

    /// Notes what spoils a socket that works.
    mutating func reserve(_ verdict: Verdict, _ sentence: String, _ remedy: String) {
        reservations.append(
            Reservation(verdict: verdict, sentence: sentence, remedy: remedy))
    }

    /// Reservations in the order in which they count; `slow` comes behind them.
    private static let ranks: [Verdict] = [
        .untrustedByBrowsers, .localNetwork, .http2Fails, .oneFamily, .extensionRefused,
    ]

    private static func milliseconds(_ seconds: Double) -> Double {
        (seconds * 100_000).rounded() / 100
    }

    private mutating func walk() throws(TLSError) {
        guard mayOpen(), let line = connect() else { return }
        compareSpaces()
        if url.isSecure {
            switch try secure(line) {
            case .ended: return
            case .faulty:
                lookBeyond { doctor in
                    if doctor.upgrade(line) == .open { doctor.ping(line) }
                }
                blameTheClock(line)
                return
            case .open: break
            }
        }
        switch upgrade(line) {
        case .ended: return
        case .faulty:
            lookBeyond { doctor in doctor.ping(line) }
            return
        case .open: break
        }
        guard ping(line) else { return }
        let took = elapsed
        lookAtHTTP2()
        sum(took)
    }

    /// Seconds since the start, without the silence.
    private var elapsed: Double { Line.now() - began - (options.idleSeconds ?? 0) }

    /// The last word on a socket that works, which took so many seconds.
    private mutating func sum(_ took: Double) {
        let ordered = Self.ranks.flatMap { rank in reservations.filter { $0.verdict == rank } }
        if let first = ordered.first {
            conclude(first.verdict, first.sentence, first.remedy)
            for other in ordered.dropFirst() {
                diagnosis.notes.append("Besides: \(other.sentence) \(other.remedy)")
            }
        } else if took > options.slowSeconds {
            let slowest = diagnosis.steps.filter { $0.kind != .idle }
                .max { $0.milliseconds < $1.milliseconds }?.kind
            conclude(
                .slow,
                "It works, but opening took \((took * 10).rounded() / 10) s, most of it for"
                    + " \(slowest?.rawValue ?? "the network").", Self.slowRemedy(slowest))
        } else {
            conclude(.healthy, "The socket opens and answers a ping.", "")
        }
    }

    private static func slowRemedy(_ step: Step.Kind?) -> String {
        switch step {
        case .name: "See which name server this machine asks (resolvectl status): it is slow."
        case .tcp: "See what is lost on the way there, or take a server that is nearer."
        case .tls: "See what keeps the server in the handshake: too little CPU, a large key."
        case .upgrade: "See what the app does before it accepts a socket."
        default: "See what keeps the server from answering a ping: its event loop may be blocked."
        }
    }

    /// What comes behind a fault, as if it were mended.
    private mutating func lookBeyond(_ steps: (inout Doctor) -> Void) {
        var other = self
        other.diagnosis = Diagnosis(url: diagnosis.url)
        other.reservations = []
        steps(&other)
        if other.diagnosis.verdict == .healthy { other.sum(other.elapsed) }
        let found = other.diagnosis
        serverTime = other.serverTime
        diagnosis.beyond = Prospect(
            verdict: found.verdict.rawValue, sentence: found.sentence, remedy: found.remedy)
        let held =
            isHoldingBack
            ? " (Asked without the query and the fields of --header: they may be secret, and this"
                + " server is not believed.)" : ""
        diagnosis.notes.append("Apart from that: \(found.sentence)\(held)")
        diagnosis.notes += found.notes
    }

    /// Whether something given is not sent, since it may be secret.
    var isHoldingBack: Bool {
        let staysHere = url.isLocal && address?.isLoopback == true
        return isUntrusted && !staysHere
            && (!options.fields.isEmpty || url.target.contains("?"))
    }

    /// Mixed content: whether the page may open the socket at all.
    private mutating func mayOpen() -> Bool {
        guard let page = options.page, page.isSecure, !url.isSecure else { return true }
        if url.isLocal {
            diagnosis.notes.append(
                "An https page may open ws: to this very machine in Chromium and Firefox; Safari"
                    + " refuses that too.")
            return true
        }
        bad(
            .page, "\(page.origin) may not open ws:", .mixedContent,
            "A page that came by https may not open a ws: socket; browsers refuse that as mixed"
                + " content before anything is sent.",
            "Use \(url.secured) in the page, and have that port speak TLS"
                + " (sluice does that for an app that does not).")
        return false
    }
}
