// SPDX-License-Identifier: Apache-2.0
import Yams

extension RouteSettings {
    /// What stands for a target until it was read: exactly one of three keys has to say it.
    private static let noTarget = Target.upstream("")

    /// A path, with or without `*`, whose first letter is looked at here and the rest with the other routes.
    private static func pattern(_ value: Value) -> String? {
        guard let path = value.text("a path, as /chat or /chat/*") else { return nil }
        if path.hasPrefix("/") { return path }
        value.report(
            "found '\(path)', allowed: a path that begins with '/'",
            hint: Syntax.path(from: path).map(Nearest.didYouMean))
        return nil
    }

    /// Names that listeners have.
    private static func listeners(_ value: Value) -> [String]? {
        guard let items = value.nonEmptyList(of: "names of listeners") else { return nil }
        let known = value.findings.listenerNames
        return items.compactMap { item in
            guard let text = item.text("the name of a listener") else { return nil }
            guard known.contains(text) else {
                let allowed =
                    known.isEmpty
                    ? "a name that listen[].name gives"
                    : Set(known).sorted().joined(separator: ", ")
                item.report(
                    "found '\(text)', which no listener is called, allowed: \(allowed)",
                    hint: Nearest.suggestion(for: text, among: known).map(Nearest.didYouMean))
                return nil
            }
            return text
        }
    }

    static let section = Section(
        "routes[]", RouteSettings(path: "", to: noTarget),
        [
            .required(
                "path", .text("pattern"),
                "`/chat` for that path, `/chat/*` for everything below `/chat/`, `/ocpp/{station}` for any one segment, "
                    + "which [has a name](#segments-with-names)"
            ) { owner, value in
                owner.places.path = value.place
                guard let path = pattern(value) else { return false }
                owner.path = path
                return true
            },
            .custom(
                "host", .text("pattern"), absent: "any host",
                "`a.example.com` for that host, `*.example.com` for one label in front"
            ) { owner, value in
                owner.places.host = value.place
                owner.host = value.text("a host, as a.example.com or *.example.com")
                return owner.host != nil
            },
            .custom(
                "listen", .list(.text("name")), absent: "all listeners",
                "the names of the listeners (`listen[].name`) by which requests come"
            ) { owner, value in
                guard let names = listeners(value) else { return false }
                owner.listen = names
                return true
            },
            .custom(
                "when", .mapping("routes[].when"), absent: "any request",
                "what else requests have to be, so that several routes may have one path"
            ) { owner, value in
                guard let when = WhenSettings(value) else { return false }
                owner.when = when
                return true
            },
            .custom(
                "to", .text("endpoint or name"), absent: "required",
                "one endpoint, or the name of an upstream; or one of the next two keys instead"
            ) { owner, value in
                guard let target = Target(value) else { return false }
                owner.to = target
                return true
            },
            .custom(
                "respond", .mapping("routes[].respond"), absent: "none",
                "Sluice answers by itself, always the same"
            ) { owner, value in
                guard let answer = RespondSettings.section.decode(value) else { return false }
                owner.to = .respond(answer)
                return true
            },
            .custom(
                "redirect", .mapping("routes[].redirect"), absent: "none",
                "Sluice points the client elsewhere"
            ) { owner, value in
                guard let rule = RedirectSettings.section.decode(value) else { return false }
                owner.to = .redirect(rule)
                return true
            },
            .custom(
                "rewrite", .text("pattern"), absent: "the path as it came",
                "the path that the upstream sees instead; for a prefix `/socket/*` keeps what stands below"
            ) { owner, value in
                owner.places.rewrite = value.place
                owner.rewrite = pattern(value)
                return owner.rewrite != nil
            },
            .word(
                "escapedSlash", \.escapedSlash,
                "what becomes of a path with `%2F` or `%5C`: `keep` passes it on, unless it [could be another "
                    + "route's](#what-the-upstream-sees-of-the-path); `reject` answers 400"),
            .custom(
                "origins", .either([.text("word"), .list(.text("text"))]), absent: "`same`",
                "which pages may open a WebSocket here"
            ) { owner, value in
                guard let origins = OriginSettings(value) else { return false }
                owner.origins = origins
                return true
            },
            .section(
                "accept", \.accept, "routes[].accept", absent: "none",
                "what the opening handshakes of devices may lack"
            ) { AcceptSettings.section.decode($0) },
            .custom(
                "access", .mapping("routes[].access"), absent: "everybody",
                "who may use the route: each rule that is there has to let a request in"
            ) { owner, value in
                owner.access = AccessSettings(value)
                return owner.access != nil
            },
            .section(
                "timeouts", \.timeouts, "routes[].timeouts", absent: "those of `timeouts`",
                "how long requests of this route may take"
            ) { RouteTimeouts.section.decode($0) },
            .section(
                "forwarded", \.forwarded, "routes[].forwarded",
                "what the upstream is told of the way that requests came"
            ) { ForwardedSettings.section.decode($0) },
            .boolean(
                "via", \.via,
                "whether requests and answers get a `Via` that says that they have come through Sluice"
            ),
            .custom(
                "request", .mapping("routes[].request"), absent: "none",
                "what is changed in the fields of requests, upgrades included"
            ) { owner, value in
                guard let read = requestSection.decode(value) else { return false }
                owner.request = read.request
                owner.upstreamHost = read.upstreamHost
                return true
            },
            .custom(
                "answer", .mapping("routes[].answer"), absent: "none",
                "what is changed in the fields of answers, 101 included"
            ) { owner, value in
                guard let read = answerSection.decode(value) else { return false }
                owner.answer = read.answer
                return true
            },
            .custom(
                "ping", .mapping("routes[].ping"), absent: "none",
                "whether Sluice asks the peers of a relay if they are there"
            ) { owner, value in
                owner.ping = PingSettings.section.decode(value)
                return owner.ping != nil
            },
            .duration(
                "idle", \.idle, .milliseconds(100) ... .seconds(30 * 86_400),
                "without a data frame in either direction; then both sides get Close 1001"),
            .duration(
                "lifetime", \.lifetime, .milliseconds(100) ... .seconds(365 * 86_400),
                "how long a socket may last; then it gets Close 1001. Each one's time is shorter by up to a tenth, so "
                    + "that not all end at once"),
            .word(
                "onRemove", \.onRemove,
                "what becomes of live relays when a reload takes the route away: `keep` lets them go on, `drain` "
                    + "ends them as `drain` says"),
            .section(
                "limits", \.limits, "routes[].limits", absent: "none",
                "what one relay, request or client may use"
            ) { RouteLimits.section.decode($0) },
            .custom(
                "faults", .mapping("routes[].faults"), absent: "none",
                "what is done on purpose to the route's WebSockets, so that you see [how clients "
                    + "take it](faults.md); only with `allowFaults: true`"
            ) { owner, value in
                owner.faults = FaultSettings(value)
                return owner.faults != nil
            },
            .section(
                "metrics", \.metrics, "routes[].metrics", absent: "none",
                "what is counted of the route beside what is counted of every route"
            ) { RouteMetrics.section.decode($0) },
        ])

    static let requestSection = Section(
        "routes[].request", RouteSettings(path: "", to: noTarget),
        FieldSettings.settings(\.request, isRequest: true) + [
            .custom(
                "host", .text("word or host"), absent: "`keep`",
                "the `Host` that the upstream sees: `keep` (the client's), `upstream` (the endpoint's) or a name"
            ) { owner, value in
                guard let host = HostSettings(value) else { return false }
                owner.upstreamHost = host
                return true
            }
        ])

    static let answerSection = Section(
        "routes[].answer", RouteSettings(path: "", to: noTarget),
        FieldSettings.settings(\.answer, isRequest: false))

    init?(_ value: Value) {
        let read = Self.section.decode(value) { route, fields in
            let places = route.places
            route.place = fields.place
            route.places = Places(all: fields.place)
            if fields["path"] != nil { route.places.path = places.path }
            if fields["host"] != nil { route.places.host = places.host }
            if fields["rewrite"] != nil { route.places.rewrite = places.rewrite }
            if !route.path.isEmpty, route.host != nil || fields["host"] == nil {
                value.findings.routes.append(route)
            }
            Self.checkCaptures(fields, path: route.path)
            return Self.hasOneTarget(fields, value) && route.to != Self.noTarget
        }
        guard let read else { return nil }
        self = read
    }

    /// The names in braces of a path pattern, whose form is judged later.
    static func captures(of path: String) -> [String] {
        path.split(separator: "/").filter { $0.hasPrefix("{") && $0.hasSuffix("}") }
            .map { String($0.dropFirst().dropLast()) }
    }

    /// Whether the values of fields name segments that the path has; what is wrong is reported.
    private static func checkCaptures(_ fields: Fields, path: String) {
        let known = captures(of: path)
        let words = RequestWord.allCases.map(\.rawValue)
        if let taken = known.first(where: words.contains) {
            fields["path"]?
                .report("found {\(taken)}, which is a word of Sluice's own, allowed: another name")
        }
        RouteMetrics.checkCaptures(fields["metrics"], known)
        for (key, isRequest) in [("request", true), ("answer", false)] {
            guard let changes = fields[key], let mapping = changes.node.mapping else { continue }
            for (kind, node) in mapping where ["set", "add"].contains(kind.scalar?.string) {
                guard let pairs = node.mapping else { continue }
                let path = "\(changes.path).\(kind.scalar?.string ?? "")"
                for (name, value) in pairs {
                    guard let text = value.scalar?.string,
                        let read = try? FieldValue(parsing: text, isRequest: isRequest)
                    else { continue }
                    for capture in read.captures where !known.contains(capture) {
                        let allowed = words + known
                        Value(
                            node: value, path: "\(path).\(name.scalar?.string ?? "?")",
                            findings: changes.findings
                        ).report(
                            "found {\(capture)}, allowed: "
                                + allowed.map { "{\($0)}" }.joined(separator: ", ")
                                + ", or {{ for a brace",
                            hint: Nearest.suggestion(for: capture, among: allowed)
                                .map { Nearest.didYouMean("{\($0)}") })
                    }
                }
            }
        }
    }

    /// Keys that say something of what goes to an upstream.
    private static let forwardingKeys = [
        "rewrite", "origins", "accept", "limits", "request", "ping", "idle", "lifetime", "onRemove",
        "timeouts", "forwarded", "via", "faults",
    ]

    /// Whether exactly one of three keys says where the route leads; what is wrong is reported.
    private static func hasOneTarget(_ fields: Fields, _ value: Value) -> Bool {
        let given = ["to", "respond", "redirect"].filter { fields[$0] != nil }
        guard given.count == 1 else {
            if given.isEmpty {
                let isMistyped = ["to", "respond", "redirect"].contains(where: fields.isMeant)
                if !isMistyped { value.report("'to' is missing (or 'respond', or 'redirect')") }
            } else {
                let names = given.map { "'\($0)'" }.joined(separator: " and ")
                value.report("found \(names), allowed: one of them")
            }
            return false
        }
        if fields["respond"] != nil { refuse(forwardingKeys, fields, "is answered here") }
        if fields["redirect"] != nil { refuse(forwardingKeys, fields, "points elsewhere") }
        return true
    }

    private static func refuse(_ keys: [String], _ fields: Fields, _ why: String) {
        for key in keys {
            fields[key]?.report("has no meaning where a route \(why): nothing goes to an upstream")
        }
    }
}

extension RouteSettings.Target {
    /// Reads an endpoint or the name of an upstream, to which requests go or which `isAsked` about them.
    init?(_ value: Value, isAsked: Bool = false) {
        let upstreamNames = value.findings.upstreamNames
        let what =
            "the name of an upstream, ws://host:port, wss://host:port, unix:/path or srv:name"
        guard let text = value.text(what) else { return nil }
        // Names have neither, and every endpoint has one.
        if text.contains(where: { ":/".contains($0) }) {
            guard let endpoint = EndpointAddress(value, isAsked: isAsked) else { return nil }
            self = .endpoint(endpoint)
            return
        }
        guard upstreamNames.contains(text) else {
            let port = UInt16(text).flatMap { EndpointAddress.accepted("ws://127.0.0.1:\($0)") }
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
        if names.isEmpty { shown.append("a name under upstreams") }
        if names.count > shown.count { shown.append("\(names.count - shown.count) more names") }
        return (shown + ["ws://host:port, wss://host:port, unix:/path or srv:name"]).joined(
            separator: ", ")
    }
}

extension AcceptSettings {
    static let section = Section(
        "routes[].accept", AcceptSettings(),
        [
            .boolean(
                "missingConnection", \.missingConnection,
                "whether the `Connection` field may be missing"),
            .boolean(
                "anyKeyLength", \.anyKeyLength,
                "whether the key may have another length than 16 bytes"),
        ])
}

extension RouteMetrics {
    static let section = Section(
        "routes[].metrics", RouteMetrics(),
        [
            .custom(
                "captures", .list(.text("name")), absent: "none",
                "names of [segments of the path](#segments-with-names): WebSockets and requests are also counted by the "
                    + "[value](metrics.md#by-the-value-of-a-segment) that each of these has"
            ) { owner, value in
                guard let items = value.nonEmptyList(of: "names of segments of the path") else {
                    return false
                }
                owner.captures = items.compactMap { $0.text("the name of a segment of the path") }
                return owner.captures.count == items.count
            }
        ])

    /// Whether the path has the segments that are named, each once; what is wrong is reported.
    static func checkCaptures(_ metrics: Value?, _ known: [String]) {
        let listed = metrics?.node.mapping?["captures"]?.sequence
        guard let metrics, let listed else { return }
        var seen: Set<String> = []
        for (index, node) in listed.enumerated() {
            guard let name = node.scalar?.string else { continue }
            let item = Value(
                node: node, path: "\(metrics.path).captures[\(index)]", findings: metrics.findings)
            if !known.contains(name) {
                let allowed =
                    known.isEmpty
                    ? "none, since the path has no segment with a name"
                    : known.joined(separator: ", ")
                item.report(
                    "found '\(name)', allowed: \(allowed)",
                    hint: Nearest.suggestion(for: name, among: known).map(Nearest.didYouMean))
            } else if !seen.insert(name).inserted {
                item.report("found '\(name)' a second time")
            }
        }
    }
}

extension PingSettings {
    private static let range = Duration.milliseconds(100) ... .seconds(86_400)

    static let section = Section(
        "routes[].ping", PingSettings(),
        [
            .duration("every", \.every, range, "from one ping to the next"),
            .duration(
                "timeout", \.timeout, range,
                "from a ping to the end of the relay, if nothing came from the peer"),
            .word("to", \.to, "which peers of a relay Sluice sends pings to"),
        ])
}

extension RouteTimeouts {
    static let section = Section(
        "routes[].timeouts", RouteTimeouts(),
        [
            .duration(
                "connect", \.connect, TimeoutSettings.phase, absent: same("connect"),
                meaning("connect")),
            .duration(
                "upgrade", \.upgrade, TimeoutSettings.phase, absent: same("upgrade"),
                meaning("upgrade")),
            .duration(
                "answer", \.answer, TimeoutSettings.phase, absent: same("answer"), meaning("answer")
            ),
            .duration("body", \.body, TimeoutSettings.phase, absent: same("body"), meaning("body")),
            .duration(
                "answerBody", \.answerBody, TimeoutSettings.phase, absent: same("answerBody"),
                meaning("answerBody")),
        ])

    private static func same(_ key: String) -> String { "`timeouts.\(key)`" }

    /// What the key of this name means everywhere.
    private static func meaning(_ key: String) -> String {
        TimeoutSettings.section.keys.keys.first { $0.name == key }?.meaning ?? ""
    }
}

extension ForwardedSettings {
    static let section = Section(
        "routes[].forwarded", ForwardedSettings(),
        [
            .boolean(
                "xForwarded", \.xForwarded,
                "whether `X-Forwarded-For`, `-Proto`, `-Host` and `-Port` are written"),
            .boolean("forwarded", \.forwarded, "whether `Forwarded` is written (RFC 7239)"),
            .custom(
                "port", .either([.words(["auto"]), .number(1...65_535)]), absent: "`auto`",
                "the port in `X-Forwarded-Port`: `auto` is the one that the client used, or always this number"
            ) { owner, value in
                if value.writtenText == "auto" {
                    owner.port = .auto
                    return true
                }
                guard let number = value.writtenText.flatMap({ Int(decimal: $0[...]) }),
                    let port = UInt16(exactly: number), port > 0
                else {
                    value.report("found \(value.found), allowed: auto, or a port, 1 to 65535")
                    return false
                }
                owner.port = .number(port)
                return true
            },
        ])
}

extension RouteLimits {
    private static let rates = 1_024...1_099_511_627_776

    static let section = Section(
        "routes[].limits", RouteLimits(),
        [
            .size(
                "messageBytes", \.messageBytes, 1 ... .max,
                "bytes of one message in either direction; a longer one ends the relay with 1009"),
            .size(
                "bodyBytes", \.bodyBytes, 0 ... .max,
                "bytes of the body of one request; a longer one gets 413"),
            .number(
                "relays", \.relays, 1...1_000_000_000,
                "live relays of the route; further ones get 503 and `Retry-After`"),
            .number(
                "relaysPerClient", \.relaysPerClient, 1...1_000_000_000,
                "live relays of one client on the route; further ones get 429"),
            .number(
                "newRelaysPerSecond", \.newRelaysPerSecond, 1...1_000_000,
                "relays that one client may begin in a second; a burst of as many at once is allowed. More get 429, "
                    + "which says when to come again"),
            .number(
                "messagesPerSecond", \.messagesPerSecond, 1...1_000_000,
                "messages, pings and pongs that the client of a relay may send in a second; a burst "
                    + "of as many at once is allowed. One more ends the relay with 1008"),
            .number(
                "fragments", \.fragments, 1...1_000_000,
                "frames in which one message may come, in either direction; one more ends the relay with 1008"
            ),
            .size(
                "bytesPerSecond", \.bytesPerSecond, rates,
                "bytes of frames that each peer of a relay may send in a second; a burst of as many at once is "
                    + "allowed. A peer that sends more has to wait, and nothing is lost"),
            .number(
                "messagesPerSecondPerClient", \.messagesPerSecondPerClient, 1...1_000_000,
                "the same as `messagesPerSecond` for all relays of one client on the route together: the relay that "
                    + "sends one more ends with 1008"),
            .size(
                "bytesPerSecondPerClient", \.bytesPerSecondPerClient, rates,
                "bytes of frames that all relays of one client on the route may send in a second together, and as "
                    + "many that they may get. What is more has to wait"),
        ])
}
