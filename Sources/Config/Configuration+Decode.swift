// SPDX-License-Identifier: Apache-2.0

// How each value is read from its mapping. A key that is missing or wrong leaves the default.

extension DrainSettings {
    mutating func decode(_ value: Value) {
        guard let fields = value.mapping(.drain) else { return }
        timeout = fields["timeout"]?.duration(.zero ... .seconds(86_400)) ?? timeout
        code = fields["code"].flatMap(Self.code) ?? code
        if let value = fields["reason"], let text = value.text("text of up to 123 bytes") {
            // What a Close has room for (RFC 6455 §5.5).
            if text.utf8.count <= 123 {
                reason = text
            } else {
                value.report("found \(text.utf8.count) bytes, allowed: text of up to 123 bytes")
            }
        }
        spread = fields["spread"]?.duration(.zero ... .seconds(86_400)) ?? spread
        delay = fields["delay"]?.duration(.zero ... .seconds(3_600)) ?? delay
        if spread > timeout {
            fields["spread"]?.report(
                "found \(Units.text(spread)), allowed: no more than timeout, \(Units.text(timeout))"
            )
        }
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

extension AdminSettings {
    mutating func decode(_ value: Value) {
        guard let fields = value.mapping(.admin) else { return }
        if let value = fields["socket"], let text = value.text("a path with a '/', or off") {
            if text == "off" {
                socket = .off
            } else if text.contains("/") {
                socket = .path(value.findings.resolve(text))
            } else {
                value.report("found '\(text)', allowed: a path with a '/', or off")
            }
        }
        if let value = fields["address"], let text = value.text("a loopback address with a port") {
            address = text
            addressPlace = value.place
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
        answer = fields["answer"]?.duration(phase) ?? answer
        body = fields["body"]?.duration(phase) ?? body
        answerBody = fields["answerBody"]?.duration(phase) ?? answerBody
        keepAlive = fields["keepAlive"]?.duration(phase) ?? keepAlive
        closing = fields["closing"]?.duration(ending) ?? closing
        linger = fields["linger"]?.duration(ending) ?? linger
    }
}

extension LogSettings {
    mutating func decode(_ value: Value) {
        guard let fields = value.mapping(.log) else { return }
        format = fields["format"]?.word(Format.self) ?? format
        access =
            fields["access"].flatMap { Self.target($0, ["stdout", "stderr", "journald", "off"]) }
            ?? access
        events =
            fields["events"].flatMap { Self.target($0, ["stdout", "stderr", "journald"]) }
            ?? events
        accessPlace = fields["access"]?.place
        eventsPlace = fields["events"]?.place
        relayOpens = fields["relayOpens"]?.boolean() ?? relayOpens
        relayEnds = fields["relayEnds"]?.boolean() ?? relayEnds
    }

    private static func target(_ value: Value, _ words: [String]) -> Target? {
        let what = words.joined(separator: ", ") + " or a path with a '/'"
        guard let text = value.text(what) else { return nil }
        switch text {
        case "stdout": return .stdout
        case "stderr": return .stderr
        case "journald": return .journald(nil)
        case "off" where words.contains("off"): return .off
        default:
            if text.hasPrefix("journald:/") {
                return .journald(String(text.dropFirst("journald:".count)))
            }
            // A word without a slash is rather a mistyped one than a file.
            if text.contains("/") { return .file(value.findings.resolve(text)) }
            value.report(
                "found '\(text)', allowed: \(what)",
                hint: Nearest.hint(for: text, among: words))
            return nil
        }
    }
}

extension ResolverSettings {
    mutating func decode(_ value: Value) {
        guard let fields = value.mapping(.resolver) else { return }
        let what = "addresses of DNS servers, as 127.0.0.1:53"
        servers = (fields["servers"]?.nonEmptyList(of: what) ?? []).compactMap { item in
            guard let text = item.text(what) else { return nil }
            if let server = Self.server(text) { return server }
            item.report(
                "found '\(text)', allowed: an address, as 127.0.0.1, 127.0.0.1:53 or [::1]:53")
            return nil
        }
    }

    /// An address with its port, 53 where none is written; nil for anything else.
    private static func server(_ text: String) -> String? {
        if Syntax.isIPv6(text[...]) { return "[\(text)]:53" }
        var host = text[...]
        var port: UInt16? = 53
        if let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") {
            host = text[..<colon]
            port = UInt16(decimal: text[text.index(after: colon)...])
        }
        guard let port, port > 0 else { return nil }
        if host.hasPrefix("["), host.hasSuffix("]") {
            return Syntax.isIPv6(host.dropFirst().dropLast()) ? "\(host):\(port)" : nil
        }
        return Syntax.isIPv4(host) ? "\(host):\(port)" : nil
    }
}

extension GlobalLimits {
    mutating func decode(_ value: Value) {
        guard let fields = value.mapping(.limits) else { return }
        headBytes = fields["headBytes"]?.size(1_024...1_048_576) ?? headBytes
        headFields = fields["headFields"]?.integer(16...10_000) ?? headFields
        targetBytes = fields["targetBytes"]?.size(256...1_048_576) ?? targetBytes
        connections = fields["connections"]?.integer(1 ... .max) ?? connections
        connectionsPerClient = fields["connectionsPerClient"]?.integer(1...1_000_000_000)
        newConnectionsPerSecond = fields["newConnectionsPerSecond"]?.integer(1...1_000_000)
        requestsPerConnection =
            fields["requestsPerConnection"]?.integer(1...1_000_000_000) ?? requestsPerConnection
        handshakesPerTurn =
            fields["handshakesPerTurn"]?.integer(1...10_000) ?? handshakesPerTurn
        // Less than one TLS record would stop and go within a record.
        relayBufferBytes =
            fields["relayBufferBytes"]?.size(16_384...67_108_864) ?? relayBufferBytes
    }
}

extension EndpointAddress {
    init?(_ value: Value) {
        guard let text = value.text("ws://host:port, unix:/path or srv:name") else { return nil }
        do throws(EndpointFault) {
            try self.init(parsing: text)
        } catch {
            value.report(error.sentence, hint: error.suggestion.map(Nearest.didYouMean))
            return nil
        }
    }
}
