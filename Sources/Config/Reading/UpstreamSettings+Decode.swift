// SPDX-License-Identifier: Apache-2.0
import Yams

extension UpstreamSettings {
    private static let hour: ClosedRange<Duration> = .zero ... .seconds(3_600)

    static let section = Section(
        "upstreams.NAME", UpstreamSettings(endpoints: []),
        [
            .required(
                "endpoints",
                .list(.either([.text("endpoint"), .mapping("upstreams.NAME.endpoints[]")])),
                "where relays may go; at least one, each an address or a mapping"
            ) { owner, value in
                owner.endpoints = (value.nonEmptyList(of: "endpoints") ?? [])
                    .compactMap(EndpointSettings.init)
                Self.checkNames(owner.endpoints, value)
                return true
            },
            .word(
                "resolve", \.resolve,
                "what the name of a host stands for: `one` endpoint, whose addresses are tried in turn, or `each` "
                    + "address an endpoint, see [names](#names)"),
            .custom(
                "balance", .text("word"), absent: "`\(UpstreamSettings(endpoints: []).balance)`",
                "how relays and requests are spread over the endpoints, see below"
            ) { owner, value in
                guard let balance = Balance(value) else { return false }
                owner.balance = balance
                return true
            },
            .custom(
                "sticky", .mapping("upstreams.NAME.sticky"), absent: "none",
                "a cookie that brings clients back to the endpoint that they had"
            ) { owner, value in
                owner.sticky = StickySettings.section.decode(value)
                return owner.sticky != nil
            },
            .custom(
                "health", .mapping("upstreams.NAME.health"), absent: "none",
                "how endpoints are checked"
            ) { owner, value in
                owner.health = HealthSettings(value)
                return owner.health != nil
            },
            .duration(
                "cooldown", \.cooldown, hour,
                "how long an endpoint is passed over after a failed connect, while there is another"
            ),
            .duration(
                "cooldownMax", \.cooldownMax, hour,
                "the longest of these times: each failure in a row doubles it"),
            .number(
                "failedUpgrades", \.failedUpgrades, 0...1_000_000,
                "how many upgrades in a row that are answered with 5xx, wrongly or not at all count as a failed "
                    + "connect; 0 for never"),
            .duration(
                "slowStart", \.slowStart, hour,
                "an endpoint that joins or comes back gets a tenth of its share at first, which grows to all of it in this time"
            ),
            .number(
                "maxConnections", \.maxConnections, 1...1_000_000_000,
                "relays and requests in progress that one endpoint may have. The others take over, and when all "
                    + "are full the answer is 503 with `Retry-After`"),
            .section(
                "tls", \.tls, "upstreams.NAME.tls",
                "how TLS is spoken with endpoints at `wss://` or `https://`, see [TLS to the app](#tls-to-the-app)"
            ) { UpstreamTLSSettings($0) },
            .word(
                "proxyProtocol", \.proxyProtocol,
                "`v1` or `v2`: each connection begins with a header of the PROXY protocol that says who the client "
                    + "is"),
            .custom(
                "source", .list(.text("address")), absent: "none",
                "addresses of this machine that connections come from, in turn. The system chooses the address "
                    + "if the key is absent. It also chooses if no address in the list is of the endpoint's family (IPv4 or "
                    + "IPv6). The addresses are checked when the file is read"
            ) { owner, value in
                guard let items = value.nonEmptyList(of: "addresses") else { return false }
                owner.source = SourceAddress.all(items)
                return true
            },
            .custom(
                "queue", .mapping("upstreams.NAME.queue"), absent: "none",
                "how requests wait when all endpoints are full"
            ) { owner, value in
                owner.queue = QueueSettings.section.decode(value)
                return owner.queue != nil
            },
            .section(
                "pool", \.pool, "upstreams.NAME.pool",
                "which connections are kept for the next ordinary request"
            ) { PoolSettings.section.decode($0) },
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { upstream, fields in
            upstream.place = fields.place
            if let written = fields["cooldownMax"] ?? fields["cooldown"],
                upstream.cooldownMax < upstream.cooldown
            {
                written.report(
                    fields["cooldownMax"] != nil
                        ? "found '\(Units.text(upstream.cooldownMax))', allowed: no less than cooldown, "
                            + Units.text(upstream.cooldown)
                        : "found '\(Units.text(upstream.cooldown))', allowed: no more than cooldownMax, "
                            + Units.text(upstream.cooldownMax))
            }
            if upstream.resolve == .each { Self.refuseNames(upstream.endpoints, value) }
            if !upstream.endpoints.isEmpty, !upstream.endpoints.contains(where: \.address.isSecure)
            {
                fields["tls"]?
                    .report(
                        "has no meaning: none of the endpoints speaks TLS. Write wss://host:port or"
                            + " https://host:port for one that does")
            }
            if fields["maxConnections"] == nil {
                fields["queue"]?
                    .report("has no meaning without maxConnections: nobody has to wait")
            }
            return true
        }
        guard let read else { return nil }
        self = read
    }
}

extension UpstreamSettings {
    /// Each name stands for one endpoint.
    private static func checkNames(_ endpoints: [EndpointSettings], _ value: Value) {
        var seen: [String: EndpointSettings] = [:]
        for endpoint in endpoints {
            // An address that stands there twice is another matter.
            if let other = seen[endpoint.label], endpoint.name != nil || other.name != nil {
                value.findings.report(
                    endpoint.place,
                    "\(value.path): found the name '\(endpoint.label)', which the endpoint at"
                        + " \(other.place) has too, allowed: a name for each")
            }
            seen[endpoint.label] = endpoint
        }
    }

    /// A host that stands for as many endpoints as it has addresses can't have one name.
    private static func refuseNames(_ endpoints: [EndpointSettings], _ value: Value) {
        for endpoint in endpoints where endpoint.name != nil {
            guard let host = endpoint.address.hostAndPort?.host, !Syntax.isIPv4(host[...]),
                !Syntax.isIPv6(host[...])
            else { continue }
            value.findings.report(
                endpoint.place,
                "\(value.path).endpoints: found a name for '\(host)', which stands for an endpoint"
                    + " for each of its addresses with resolve: each, allowed: no name")
        }
    }
}

extension StickySettings {
    static let section = Section(
        "upstreams.NAME.sticky", StickySettings(),
        [
            .custom(
                "cookie", .text("name"), absent: "`\(StickySettings().cookie)`", "the cookie's name"
            ) { owner, value in
                let what = "the name of a cookie, as sluice"
                guard let text = value.text(what) else { return false }
                guard text.utf8.allSatisfy(FieldSyntax.isToken) else {
                    value.report("found '\(text)', allowed: \(what)")
                    return false
                }
                owner.cookie = text
                return true
            },
            .duration(
                "maxAge", \.maxAge, .seconds(1) ... .seconds(365 * 86_400),
                absent: "until the browser is closed", "how long browsers keep it"),
            .custom(
                "path", .text("path"), absent: "`\(StickySettings().path)`",
                "below which path browsers send it"
            ) { owner, value in
                let what = "a path that begins with '/', without ';'"
                guard let text = value.text(what) else { return false }
                guard text.hasPrefix("/"),
                    text.utf8.allSatisfy({ 0x21...0x7E ~= $0 && $0 != UInt8(ascii: ";") })
                else {
                    value.report("found '\(text)', allowed: \(what)")
                    return false
                }
                owner.path = text
                return true
            },
            .word(
                "sameSite", \.sameSite,
                "whether browsers send it with requests that other sites bring about: with a link that is followed "
                    + "(`lax`), with none (`strict`), or with all (`none`)"),
        ])
}

extension EndpointSettings {
    static let section = Section(
        "upstreams.NAME.endpoints[]", EndpointSettings(.unix(path: "")),
        [
            .required(
                "url", .text("endpoint"),
                "the address, as it stands alone where nothing else is said"
            ) { owner, value in
                guard let address = EndpointAddress(value) else { return false }
                owner.address = address
                return true
            },
            .custom(
                "weight", .number(0...65_535), absent: "`1`",
                "its share beside the others: one of 2 gets twice as much as one of 1. 0 takes nothing new, "
                    + "and what runs on it goes on. Not for a service, whose records say it"
            ) { owner, value in
                owner.weight = value.integer(0...65_535)
                return owner.weight != nil
            },
            .custom(
                "name", .text("name"), absent: "its address",
                "what it is called in the log, in metrics, by commands and by hashing, so that it may move to "
                    + "another address and keep its keys: letters, digits, `-`, `_` and `.`. Not for a service"
            ) { owner, value in
                let what = "a name of letters, digits, '-', '_' and '.', up to 64"
                guard let text = value.text(what) else { return false }
                guard Self.isName(text) else {
                    value.report("found '\(text)', allowed: \(what)")
                    return false
                }
                owner.name = text
                return true
            },
        ])

    /// Reads an endpoint: its address alone, or a mapping.
    fileprivate init?(_ value: Value) {
        guard value.node.mapping != nil else {
            guard let address = EndpointAddress(value) else { return nil }
            self.init(address, place: value.place)
            return
        }
        let read = Self.section.decode(value) { endpoint, fields in
            endpoint.place = fields.place
            guard case .service = endpoint.address else { return true }
            for key in ["weight", "name"] {
                fields[key]?.report("has no meaning for a service, which stands for many endpoints")
            }
            return true
        }
        guard let read else { return nil }
        self = read
    }

    static func isName(_ text: String) -> Bool {
        text.utf8.count <= 64
            && text.utf8.allSatisfy { byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
                default: "-_.".utf8.contains(byte)
                }
            }
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

extension UpstreamSettings.Balance {
    private static let words = [
        "leastConnections", "roundRobin", "random2", "hash(path)", "hash(path:NAME)",
        "hash(header:NAME)", "hash(cookie:NAME)", "hash(client)",
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
            } else if let name = Self.name(in: text, behind: "hash(path:") {
                self = .hash(.segment(name))
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

extension PoolSettings {
    static let section = Section(
        "upstreams.NAME.pool", PoolSettings(),
        [
            .number("max", \.max, 0...1_000_000, "how many connections may be idle; 0 keeps none"),
            .duration(
                "idle", \.idle, .milliseconds(1) ... .seconds(3_600),
                "how long one may be idle; less than what apps grant (Node and uvicorn: 5s)"),
        ])
}

extension QueueSettings {
    static let section = Section(
        "upstreams.NAME.queue", QueueSettings(),
        [
            .duration(
                "wait", \.wait, .milliseconds(1) ... .seconds(300),
                "how long a request waits before it gets 503 with `Retry-After`"),
            .number(
                "size", \.size, 1...1_000_000,
                "how many requests wait at one time; the next gets 503 at once"),
        ])
}

extension HealthSettings {
    static let section = Section(
        "upstreams.NAME.health", HealthSettings(),
        [
            .custom(
                "kind", .words(Kind.allCases.map(\.rawValue)),
                absent: "`http` with a `path`, else `tcp`",
                "`http`: a GET; `tcp`: a connect; `websocket`: an opening handshake, whose 101 has to prove itself"
            ) { owner, value in
                guard let kind = value.word(Kind.self) else { return false }
                owner.kind = kind
                return true
            },
            .custom(
                "path", .text("text"), absent: "`\(HealthSettings().path)`",
                "the path that is asked for, which may have a query"
            ) { owner, value in
                guard let path = path(value) else { return false }
                owner.path = path
                return true
            },
            .custom(
                "host", .text("text"), absent: "the endpoint's own",
                "the `Host` that is asked for"
            ) { owner, value in
                owner.host = host(value)
                return owner.host != nil
            },
            .custom(
                "status", .either([.number(200...599), .list(.number(200...599))]),
                absent: "200 to 399", "the statuses of a GET's answer that pass"
            ) { _, _ in
                // Read once the kind is known.
                true
            },
            .duration(
                "every", \.every, .milliseconds(100) ... .seconds(3_600),
                "from one check of an endpoint to the next"),
            .duration(
                "timeout", \.timeout, .milliseconds(10) ... .seconds(60),
                "how long one check may take"),
            .number(
                "rise", \.rise, 1...1_000,
                "how many checks in a row have to pass until an endpoint is healthy again"),
            .number(
                "fall", \.fall, 1...1_000,
                "how many checks in a row have to fail until an endpoint is unhealthy"),
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { health, fields in
            // Whoever names a path means HTTP.
            if fields["kind"] == nil, fields["path"] != nil { health.kind = .http }
            if health.kind == .tcp {
                for key in ["path", "host", "status"] {
                    fields[key]?.report("has no meaning where kind is tcp: nothing is asked for")
                }
            } else if health.kind == .websocket {
                fields["status"]?
                    .report("has no meaning where kind is websocket: it is always 101")
            }
            if health.kind == .http, let status = fields["status"] {
                health.status = Self.statuses(status)
            }
            return true
        }
        guard let read else { return nil }
        self = read
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
            hint: text.hasPrefix("/") ? nil : Syntax.path(from: text).map(Nearest.didYouMean))
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
