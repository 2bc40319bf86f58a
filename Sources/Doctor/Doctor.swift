// SPDX-License-Identifier: Apache-2.0
public import TLS

/// Walks the way of a WebSocket from name to ping, and says where it ends.
public struct Doctor {
    /// What is asked for besides the URL.
    public struct Options: Sendable {
        /// The page that opens the socket, for mixed content.
        public var page: String?
        /// The `Origin` to send.
        public var origin: String?
        /// Further fields of the request.
        public var fields: [(name: String, value: String)] = []
        /// Subprotocols to offer.
        public var subprotocols: [String] = []
        /// PEM files with further authorities.
        public var authorities: [String] = []
        /// The local authority of Sluice's own, if there is one.
        public var localAuthority: String?
        /// Addresses to use for names.
        public var addresses: [String: String] = [:]
        /// How long to be silent before a second ping; nil for none.
        public var idleSeconds: Double?
        /// Up to when everything must have happened, without the silence.
        public var timeoutSeconds = 10.0
        /// A walk that takes longer is slow.
        public var slowSeconds = 3.0

        /// The defaults.
        public init() {}
    }

    let url: SocketURL
    let options: Options
    var diagnosis: Diagnosis
    private var stepBegan = Line.now()
    let began = Line.now()

    private init(_ url: SocketURL, _ options: Options) {
        self.url = url
        self.options = options
        diagnosis = Diagnosis(url: url.text(secure: url.isSecure))
    }

    /// Looks at a URL.
    ///
    /// - Throws: `TLSError` when a file with authorities can't be read.
    public static func examine(_ url: SocketURL, _ options: Options) throws(TLSError) -> Diagnosis {
        var doctor = Doctor(url, options)
        try doctor.walk()
        return doctor.diagnosis
    }

    var deadline: Double { began + options.timeoutSeconds + (options.idleSeconds ?? 0) }
    /// Up to when an answer must have come that is not about silence.
    var answerDeadline: Double { began + options.timeoutSeconds }

    mutating func good(_ name: String, _ found: String) {
        let now = Line.now()
        diagnosis.steps.append(
            Step(
                name: name, isGood: true, milliseconds: Self.milliseconds(now - stepBegan),
                found: found))
        stepBegan = now
    }

    mutating func bad(
        _ name: String, _ found: String, _ verdict: Verdict, _ sentence: String, _ remedy: String
    ) {
        let now = Line.now()
        diagnosis.steps.append(
            Step(
                name: name, isGood: false, milliseconds: Self.milliseconds(now - stepBegan),
                found: found))
        diagnosis.verdict = verdict
        diagnosis.sentence = sentence
        diagnosis.remedy = remedy
    }

    private static func milliseconds(_ seconds: Double) -> Double {
        (seconds * 100_000).rounded() / 100
    }

    private mutating func walk() throws(TLSError) {
        if let page = options.page, page.lowercased().hasPrefix("https:"), !url.isSecure,
            !url.isLocal
        {
            bad(
                "page", "\(page) may not open ws:", .mixedContent,
                "A page that came by https may not open a ws: socket; browsers refuse that as mixed"
                    + " content before anything is sent.",
                "Use \(url.text(secure: true)) in the page, and have that port speak TLS"
                    + " (sluice does that for an app that does not).")
            return
        }
        guard let line = connect() else { return }
        if url.isSecure {
            guard try secure(line) else { return }
        }
        guard upgrade(line) else { return }
        guard ping(line) else { return }
        let took = Line.now() - began - (options.idleSeconds ?? 0)
        if took > options.slowSeconds {
            diagnosis.verdict = .slow
            let slowest = diagnosis.steps.max { $0.milliseconds < $1.milliseconds }
            diagnosis.sentence =
                "It works, but opening took \((took * 10).rounded() / 10) s, most of it for"
                + " \(slowest?.name ?? "the network")."
            diagnosis.remedy = "Look at what is slow there."
        } else {
            diagnosis.sentence = "The socket opens and answers."
        }
    }

    /// Name and TCP: the first address that somebody listens on.
    private mutating func connect() -> Line? {
        let addresses: [ResolvedAddress]
        let name = options.addresses[url.host] ?? url.host
        switch ResolvedAddress.find(name, port: url.port) {
        case .failure(let fault):
            bad(
                "name", "\(url.host): \(fault.reason)", .nameNotFound,
                "The name \(url.host) has no address: \(fault.reason).",
                "Correct the name in the URL, or enter it in DNS or /etc/hosts.")
            return nil
        case .success(let found): addresses = found
        }
        good("name", "\(url.host) is \(addresses.map(\.text).joined(separator: ", "))")
        var missed: [String] = []
        var hasTimedOut = false
        for (index, address) in addresses.enumerated() {
            let left = addresses.count - index
            switch Line.connect(address, by: deadline(for: left)) {
            case .done(let line):
                line.deadline = deadline
                good("TCP", "\(address.text) port \(url.port)")
                if !missed.isEmpty {
                    diagnosis.notes.append(
                        "\(url.host) answers on \(address.text) only, not on"
                            + " \(missed.joined(separator: ", ")): clients that try that one first"
                            + " lose time or fail. Have the server listen on both.")
                }
                return line
            case .refused: missed.append(address.text)
            case .timedOut:
                hasTimedOut = true
                missed.append(address.text)
            case .failed(let reason): missed.append("\(address.text) (\(reason))")
            }
        }
        let tried = missed.joined(separator: ", ")
        if hasTimedOut {
            bad(
                "TCP", "no answer from \(tried) port \(url.port)", .unreachable,
                "Nothing comes back from \(url.host) port \(url.port): a packet filter drops it, or"
                    + " the machine is off.",
                "Open port \(url.port) on the way, or correct the host in the URL.")
        } else {
            bad(
                "TCP", "refused by \(tried) port \(url.port)", .refused,
                "Nobody listens on \(url.host) port \(url.port).",
                "Start the server, or correct the port in the URL.")
        }
        return nil
    }

    /// A share of the time for each address that is left.
    private func deadline(for left: Int) -> Double {
        let now = Line.now()
        return now + max(0.1, (answerDeadline - now) / Double(left))
    }
}
