// SPDX-License-Identifier: Apache-2.0

extension UpstreamSettings {
    init?(_ value: Value) {
        guard let fields = value.mapping(.upstream) else { return nil }
        let items = fields.required("endpoints")?.nonEmptyList(of: "endpoints") ?? []
        self.init(endpoints: items.compactMap(EndpointAddress.init), place: fields.place)
        let hour: ClosedRange<Duration> = .zero ... .seconds(3_600)
        balance = fields["balance"].flatMap(Balance.init) ?? balance
        cooldown = fields["cooldown"]?.duration(hour) ?? cooldown
        cooldownMax = fields["cooldownMax"]?.duration(hour) ?? cooldownMax
        if let written = fields["cooldownMax"], cooldownMax < cooldown {
            written.report(
                "found '\(Units.text(cooldownMax))', allowed: no less than cooldown, "
                    + Units.text(cooldown))
        }
        failedUpgrades = fields["failedUpgrades"]?.integer(0...1_000_000) ?? failedUpgrades
        slowStart = fields["slowStart"]?.duration(hour) ?? slowStart
        resolve = fields["resolve"]?.word(Resolution.self) ?? resolve
        maxConnections = fields["maxConnections"]?.integer(1...1_000_000_000)
        proxyProtocol = fields["proxyProtocol"]?.word(ProxyProtocol.self) ?? proxyProtocol
        source = fields["source"]?.nonEmptyList(of: "addresses").map(SourceAddress.all) ?? source
        queue = fields["queue"].flatMap(QueueSettings.init)
        if fields["maxConnections"] == nil {
            fields["queue"]?.report("has no meaning without maxConnections: nobody has to wait")
        }
        health = fields["health"].flatMap(HealthSettings.init)
        if let pool = fields["pool"]?.mapping(.pool) {
            self.pool.max = pool["max"]?.integer(0...1_000_000) ?? self.pool.max
            self.pool.idle =
                pool["idle"]?.duration(.milliseconds(1) ... .seconds(3_600)) ?? self.pool.idle
        }
    }
}

extension UpstreamSettings.Balance {
    private static let words = [
        "leastConnections", "roundRobin", "random2", "hash(path)", "hash(header:NAME)",
        "hash(cookie:NAME)", "hash(client)",
    ]

    init?(_ value: Value) {
        let allowed = Self.words.joined(separator: ", ")
        guard let text = value.text(allowed) else { return nil }
        switch text {
        case "leastConnections": self = .leastConnections
        case "roundRobin": self = .roundRobin
        case "random2": self = .random2
        case "hash(path)": self = .hash(.path)
        case "hash(client)": self = .hash(.client)
        default:
            if let name = Self.name(in: text, behind: "hash(header:") {
                self = .hash(.header(name))
            } else if let name = Self.name(in: text, behind: "hash(cookie:") {
                self = .hash(.cookie(name))
            } else {
                value.report(
                    "found '\(text)', allowed: \(allowed)",
                    hint: Nearest.hint(for: text, among: Self.words))
                return nil
            }
        }
    }

    /// A token (RFC 9110 §5.6.2, RFC 6265 §4.1.1) between these words and the bracket.
    private static func name(in text: String, behind start: String) -> String? {
        guard text.hasPrefix(start), text.hasSuffix(")") else { return nil }
        let name = text.dropFirst(start.count).dropLast()
        let isToken =
            !name.isEmpty
            && name.utf8.allSatisfy {
                $0.isLetter || $0.isDigit || "!#$%&'*+-.^_`|~".utf8.contains($0)
            }
        return isToken ? String(name) : nil
    }
}

extension SourceAddress {
    /// Reads addresses, each once.
    fileprivate static func all(_ items: [Value]) -> [SourceAddress] {
        var seen: Set<String> = []
        return items.compactMap { value in
            let what = "an IPv4 or IPv6 address of this machine, without port and brackets"
            guard let text = value.text(what) else { return nil }
            guard Syntax.isIPv4(text[...]) || Syntax.isIPv6(text[...]) else {
                value.report("found '\(text)', allowed: \(what)")
                return nil
            }
            guard seen.insert(text).inserted else {
                value.report("found '\(text)' twice, allowed: each address once")
                return nil
            }
            return SourceAddress(text, place: value.place)
        }
    }
}

extension QueueSettings {
    fileprivate init?(_ value: Value) {
        guard let fields = value.mapping(.queue) else { return nil }
        self.init()
        wait = fields["wait"]?.duration(.milliseconds(1) ... .seconds(300)) ?? wait
        size = fields["size"]?.integer(1...1_000_000) ?? size
    }
}

extension HealthSettings {
    fileprivate init?(_ value: Value) {
        guard let fields = value.mapping(.health) else { return nil }
        self.init()
        // Who names a path means HTTP.
        kind = fields["kind"]?.word(Kind.self) ?? (fields["path"] == nil ? .tcp : .http)
        path = fields["path"].flatMap(Self.path) ?? path
        host = fields["host"].flatMap(Self.host)
        if kind == .http { status = fields["status"].map(Self.statuses) ?? status }
        every = fields["every"]?.duration(.milliseconds(100) ... .seconds(3_600)) ?? every
        timeout = fields["timeout"]?.duration(.milliseconds(10) ... .seconds(60)) ?? timeout
        rise = fields["rise"]?.integer(1...1_000) ?? rise
        fall = fields["fall"]?.integer(1...1_000) ?? fall
        if kind == .tcp {
            for key in ["path", "host", "status"] {
                fields[key]?.report("has no meaning where kind is tcp: nothing is asked for")
            }
        } else if kind == .websocket {
            fields["status"]?.report("has no meaning where kind is websocket: it is always 101")
        }
    }

    private static func path(_ value: Value) -> String? {
        let what = "a path, as /healthz"
        guard let text = value.text(what) else { return nil }
        let isPath =
            text.hasPrefix("/")
            && text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "#") }
        if isPath { return text }
        value.report(
            "found '\(text)', allowed: \(what)",
            hint: text.hasPrefix("/") ? nil : Nearest.didYouMean("/\(text)"))
        return nil
    }

    private static func host(_ value: Value) -> String? {
        let what = "a host, as app.internal:3000"
        guard let text = value.text(what) else { return nil }
        if HostSyntax.isAuthority(text[...]) { return text }
        value.report("found '\(text)', allowed: \(what)")
        return nil
    }

    private static func statuses(_ value: Value) -> [Int] {
        let items = value.isList ? value.nonEmptyList(of: "statuses, as 200") ?? [] : [value]
        return items.compactMap { $0.integer(200...599) }
    }
}
