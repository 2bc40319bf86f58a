// SPDX-License-Identifier: Apache-2.0

/// The keys that one mapping of the configuration may have.
///
/// This is the one list: the decoder refuses whatever is not in it, and the reference in
/// docs/configuration.md is checked against it. Defaults are taken from the values themselves.
struct KeySection: Sendable {
    struct Key: Sendable {
        let name: String
        /// The type in the reference's words.
        let type: String
        /// The default as the reference shows it.
        let defaultText: String
    }

    /// The heading in the reference: the path of the mapping.
    let title: String
    let keys: [Key]

    var names: [String] { keys.map(\.name) }

    private init(_ title: String, _ keys: [(name: String, type: String, defaultText: String)]) {
        self.title = title
        self.keys = keys.map { Key(name: $0.name, type: $0.type, defaultText: $0.defaultText) }
    }
}

extension KeySection {
    static let all = [
        root, listener, tls, certificate, route, routeLimits, upstream, drain, timeouts, log,
        limits,
    ]

    static let root = KeySection(
        "Top level",
        [
            ("listen", "list", "required"),
            ("routes", "list", "required"),
            ("upstreams", "mapping", "none"),
            ("drain", "mapping", "see below"),
            ("timeouts", "mapping", "see below"),
            ("log", "mapping", "see below"),
            ("limits", "mapping", "see below"),
            ("workers", "number", "one per core"),
        ])

    static let listener = KeySection(
        "listen[]",
        [
            ("address", "address", "required"),
            ("tls", "mapping", "none"),
        ])

    static let tls = KeySection(
        "listen[].tls",
        [
            ("certificates", "list", "required"),
            (
                "minimumVersion", "word",
                quoted(TLSSettings(certificates: []).minimumVersion.rawValue)
            ),
            ("cipherSuites", "text", "OpenSSL's"),
            ("ciphers", "text", "Mozilla intermediate"),
        ])

    static let certificate = KeySection(
        "listen[].tls.certificates[]",
        [
            ("chain", "path", "required"),
            ("key", "path", "required"),
        ])

    static let route = KeySection(
        "routes[]",
        [
            ("path", "pattern", "required"),
            ("host", "pattern", "any host"),
            ("to", "endpoint or name", "required"),
            ("rewrite", "pattern", "the path as it came"),
            ("origins", "word or list", "`same`"),
            ("limits", "mapping", "none"),
        ])

    static let routeLimits = KeySection(
        "routes[].limits",
        [("messageBytes", "size", "no limit")])

    static let upstream: KeySection = {
        let defaults = UpstreamSettings(endpoints: [])
        return KeySection(
            "upstreams.NAME",
            [
                ("endpoints", "list", "required"),
                ("balance", "word", quoted(defaults.balance.rawValue)),
                ("cooldown", "duration", quoted(Units.text(defaults.cooldown))),
            ])
    }()

    static let drain: KeySection = {
        let defaults = DrainSettings()
        return KeySection(
            "drain",
            [
                ("timeout", "duration", quoted(Units.text(defaults.timeout))),
                ("code", "number", quoted(String(defaults.code))),
            ])
    }()

    static let timeouts: KeySection = {
        let defaults = TimeoutSettings()
        return KeySection(
            "timeouts",
            [
                ("clientHello", "duration", quoted(Units.text(defaults.clientHello))),
                ("handshake", "duration", quoted(Units.text(defaults.handshake))),
                ("head", "duration", quoted(Units.text(defaults.head))),
                ("connect", "duration", quoted(Units.text(defaults.connect))),
                ("upgrade", "duration", quoted(Units.text(defaults.upgrade))),
                ("closing", "duration", quoted(Units.text(defaults.closing))),
                ("linger", "duration", quoted(Units.text(defaults.linger))),
            ])
    }()

    static let log: KeySection = {
        let defaults = LogSettings()
        return KeySection(
            "log",
            [
                ("format", "word", quoted(defaults.format.rawValue)),
                ("access", "word or path", quoted("\(defaults.access)")),
            ])
    }()

    static let limits: KeySection = {
        let defaults = GlobalLimits()
        return KeySection(
            "limits",
            [
                ("headBytes", "size", quoted(Units.text(bytes: defaults.headBytes))),
                ("headFields", "number", quoted(String(defaults.headFields))),
                ("connections", "number", "no limit"),
                ("handshakesPerTurn", "number", quoted(String(defaults.handshakesPerTurn))),
                ("relayBufferBytes", "size", quoted(Units.text(bytes: defaults.relayBufferBytes))),
            ])
    }()

    private static func quoted(_ text: String) -> String { "`\(text)`" }
}
