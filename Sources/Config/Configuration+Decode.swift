// SPDX-License-Identifier: Apache-2.0

// How each value is read from its mapping. A key that is missing or wrong leaves the default.

extension DrainSettings {
    mutating func decode(_ value: Value) {
        guard let fields = value.mapping(.drain) else { return }
        timeout = fields["timeout"]?.duration(.zero ... .seconds(86_400)) ?? timeout
        code = fields["code"].flatMap(Self.code) ?? code
    }

    /// Codes that say "come back later" or are the operator's own (RFC 6455 §7.4).
    private static func code(_ value: Value) -> UInt16? {
        let what = "1000, 1001, 1012, 1013 or 3000 to 4999"
        guard let text = value.text(what) else { return nil }
        switch UInt16(decimal: text[...]) {
        case .some(let code) where [1000, 1001, 1012, 1013].contains(code) || 3000...4999 ~= code:
            return code
        default:
            value.report("found '\(text)', allowed: \(what)")
            return nil
        }
    }
}

extension TimeoutSettings {
    mutating func decode(_ value: Value) {
        guard let fields = value.mapping(.timeouts) else { return }
        // A phase without any time would refuse everybody; an ending without any is a quick one.
        let phase: ClosedRange<Duration> = .milliseconds(1) ... .seconds(86_400)
        let ending: ClosedRange<Duration> = .zero ... .seconds(86_400)
        clientHello = fields["clientHello"]?.duration(phase) ?? clientHello
        handshake = fields["handshake"]?.duration(phase) ?? handshake
        head = fields["head"]?.duration(phase) ?? head
        connect = fields["connect"]?.duration(phase) ?? connect
        upgrade = fields["upgrade"]?.duration(phase) ?? upgrade
        closing = fields["closing"]?.duration(ending) ?? closing
        linger = fields["linger"]?.duration(ending) ?? linger
    }
}

extension LogSettings {
    mutating func decode(_ value: Value) {
        guard let fields = value.mapping(.log) else { return }
        format = fields["format"]?.word(Format.self) ?? format
        access = fields["access"].flatMap(Self.access) ?? access
    }

    private static func access(_ value: Value) -> Access? {
        let what = "stdout, stderr, off or a path with a '/'"
        guard let text = value.text(what) else { return nil }
        switch text {
        case "stdout": return .stdout
        case "stderr": return .stderr
        case "off": return .off
        default:
            // A word without a slash is rather a mistyped one than a file.
            if text.contains("/") { return .file(value.findings.resolve(text)) }
            value.report(
                "found '\(text)', allowed: \(what)",
                hint: Nearest.hint(for: text, among: ["stdout", "stderr", "off"]))
            return nil
        }
    }
}

extension GlobalLimits {
    mutating func decode(_ value: Value) {
        guard let fields = value.mapping(.limits) else { return }
        headBytes = fields["headBytes"]?.size(1_024...1_048_576) ?? headBytes
        headFields = fields["headFields"]?.integer(16...10_000) ?? headFields
        connections = fields["connections"]?.integer(1 ... .max) ?? connections
        handshakesPerTurn =
            fields["handshakesPerTurn"]?.integer(1...10_000) ?? handshakesPerTurn
        // Less than one TLS record would stop and go within a record.
        relayBufferBytes =
            fields["relayBufferBytes"]?.size(16_384...67_108_864) ?? relayBufferBytes
    }
}

extension UpstreamSettings {
    init?(_ value: Value) {
        guard let fields = value.mapping(.upstream) else { return nil }
        let items = fields.required("endpoints")?.nonEmptyList(of: "endpoints") ?? []
        self.init(endpoints: items.compactMap(EndpointAddress.init), place: fields.place)
        balance = fields["balance"]?.word(Balance.self) ?? balance
        cooldown = fields["cooldown"]?.duration(.zero ... .seconds(3_600)) ?? cooldown
    }
}

extension EndpointAddress {
    init?(_ value: Value) {
        guard let text = value.text("ws://host:port or unix:/path") else { return nil }
        do throws(EndpointFault) {
            try self.init(parsing: text)
        } catch {
            value.report(error.sentence, hint: error.suggestion.map(Nearest.didYouMean))
            return nil
        }
    }
}

extension RouteSettings {
    init?(_ value: Value, upstreamNames: UpstreamNames) {
        guard let fields = value.mapping(.route) else { return nil }
        let path = fields.required("path")?.text("a path, as /chat or /chat/*")
        let target = fields.required("to").flatMap { Target($0, upstreamNames: upstreamNames) }
        let host = fields["host"]?.text("a host, as a.example.com or *.example.com")
        let rewrite = fields["rewrite"]?.text("a path, as /chat or /chat/*")
        let origins = fields["origins"].flatMap(OriginSettings.init)
        let limits = fields["limits"].flatMap(RouteLimits.init)
        guard let path, let target else { return nil }
        var places = Places(all: fields.place)
        places.path = fields["path"]?.place ?? places.path
        places.host = fields["host"]?.place ?? places.host
        places.rewrite = fields["rewrite"]?.place ?? places.rewrite
        self.init(
            path: path, host: host, to: target, rewrite: rewrite, origins: origins ?? .same,
            limits: limits ?? RouteLimits(), place: fields.place, places: places)
    }
}

extension RouteSettings.Target {
    fileprivate init?(_ value: Value, upstreamNames: UpstreamNames) {
        let what = "the name of an upstream, ws://host:port or unix:/path"
        guard let text = value.text(what) else { return nil }
        // Names have neither, and every endpoint has one.
        if text.contains(where: { ":/".contains($0) }) {
            guard let endpoint = EndpointAddress(value) else { return nil }
            self = .endpoint(endpoint)
            return
        }
        guard upstreamNames.contains(text) else {
            let port = UInt16(text).map { "ws://127.0.0.1:\($0)" }
            value.report(
                "found '\(text)', which is no upstream, allowed: \(Self.allowed(upstreamNames.ordered))",
                hint: (Nearest.suggestion(for: text, among: upstreamNames.ordered) ?? port)
                    .map(Nearest.didYouMean))
            return nil
        }
        self = .upstream(text)
    }

    private static func allowed(_ names: [String]) -> String {
        var shown = Array(names.prefix(8))
        if names.count > shown.count { shown.append("\(names.count - shown.count) more names") }
        return (shown + ["ws://host:port or unix:/path"]).joined(separator: ", ")
    }
}

extension RouteLimits {
    fileprivate init?(_ value: Value) {
        guard let fields = value.mapping(.routeLimits) else { return nil }
        self.init(messageBytes: fields["messageBytes"]?.size(1 ... .max))
    }
}
