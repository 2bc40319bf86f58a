// SPDX-License-Identifier: Apache-2.0

extension RouteSettings {
    init?(_ value: Value, upstreamNames: UpstreamNames) {
        guard let fields = value.mapping(.route) else { return nil }
        let path = fields.required("path")?.text("a path, as /chat or /chat/*")
        let target = Self.target(fields, value, upstreamNames)
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
        escapedSlash = fields["escapedSlash"]?.word(EscapedSlash.self) ?? escapedSlash
        ping = fields["ping"].flatMap(PingSettings.init)
        idle = fields["idle"]?.duration(.milliseconds(100) ... .seconds(30 * 86_400))
        lifetime = fields["lifetime"]?.duration(.milliseconds(100) ... .seconds(365 * 86_400))
        onRemove = fields["onRemove"]?.word(Removal.self) ?? onRemove
        if let request = fields["request"]?.mapping(.routeRequest) {
            self.request = FieldSettings(request, isRequest: true)
            upstreamHost = request["host"].flatMap(HostSettings.init) ?? upstreamHost
        }
        if let answer = fields["answer"]?.mapping(.routeAnswer) {
            self.answer = FieldSettings(answer, isRequest: false)
        }
    }

    /// Keys that say something of what goes to an upstream.
    private static let forwardingKeys = [
        "rewrite", "origins", "limits", "request", "ping", "idle", "lifetime", "onRemove",
    ]

    /// Where the route leads: exactly one of three keys says so.
    private static func target(
        _ fields: Fields, _ value: Value, _ upstreamNames: UpstreamNames
    ) -> Target? {
        let keys = ["to", "respond", "redirect"]
        let given = keys.filter { fields[$0] != nil }
        guard given.count == 1 else {
            if given.isEmpty {
                value.report("'to' is missing (or 'respond', or 'redirect')")
            } else {
                let names = given.map { "'\($0)'" }.joined(separator: " and ")
                value.report("found \(names), allowed: one of them")
            }
            return nil
        }
        if let respond = fields["respond"] {
            refuse(forwardingKeys, fields, "is answered here")
            return RespondSettings(respond).map(Target.respond)
        }
        if let redirect = fields["redirect"] {
            refuse(forwardingKeys, fields, "points elsewhere")
            return RedirectSettings(redirect).map(Target.redirect)
        }
        return fields["to"].flatMap { Target($0, upstreamNames: upstreamNames) }
    }

    private static func refuse(_ keys: [String], _ fields: Fields, _ why: String) {
        for key in keys {
            fields[key]?.report("has no meaning where a route \(why): nothing goes to an upstream")
        }
    }
}

extension RouteSettings.Target {
    fileprivate init?(_ value: Value, upstreamNames: UpstreamNames) {
        let what = "the name of an upstream, ws://host:port, unix:/path or srv:name"
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
        return (shown + ["ws://host:port, unix:/path or srv:name"]).joined(separator: ", ")
    }
}

extension PingSettings {
    fileprivate init?(_ value: Value) {
        guard let fields = value.mapping(.ping) else { return nil }
        self.init()
        let range = Duration.milliseconds(100) ... .seconds(86_400)
        every = fields["every"]?.duration(range) ?? every
        timeout = fields["timeout"]?.duration(range) ?? timeout
        to = fields["to"]?.word(Peers.self) ?? to
    }
}

extension RouteLimits {
    fileprivate init?(_ value: Value) {
        guard let fields = value.mapping(.routeLimits) else { return nil }
        self.init(
            messageBytes: fields["messageBytes"]?.size(1 ... .max),
            bodyBytes: fields["bodyBytes"]?.size(0 ... .max))
        relays = fields["relays"]?.integer(1...1_000_000_000)
        relaysPerClient = fields["relaysPerClient"]?.integer(1...1_000_000_000)
        newRelaysPerSecond = fields["newRelaysPerSecond"]?.integer(1...1_000_000)
        messagesPerSecond = fields["messagesPerSecond"]?.integer(1...1_000_000)
        fragments = fields["fragments"]?.integer(1...1_000_000)
        bytesPerSecond = fields["bytesPerSecond"]?.size(1_024...1_099_511_627_776)
        messagesPerSecondPerClient = fields["messagesPerSecondPerClient"]?.integer(1...1_000_000)
        bytesPerSecondPerClient = fields["bytesPerSecondPerClient"]?
            .size(1_024...1_099_511_627_776)
    }
}
