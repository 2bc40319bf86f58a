// SPDX-License-Identifier: Apache-2.0

// What each mapping may say, key by key. A key that is missing leaves the default; one that is wrong is
// reported, and nothing is served then.

extension DrainSettings {
    static let section = Section(
        "drain", DrainSettings(),
        [
            .duration(
                "timeout", \.timeout, .zero ... .seconds(86_400),
                "how long relays may take to close before they are cut"),
            .custom(
                "code", .number(1_000...4_999), absent: "`\(DrainSettings().code)`",
                "the code of the Close that both sides are sent: \(codesAllowed)"
            ) { owner, value in
                guard let code = code(value) else { return false }
                owner.code = code
                return true
            },
            .custom(
                "reason", .text("text"), absent: "none",
                "the reason in that Close, up to \(reasonBytesMax) bytes"
            ) { owner, value in
                let what = "text of up to \(reasonBytesMax) bytes"
                guard let text = value.text(what) else { return false }
                guard text.utf8.count <= reasonBytesMax else {
                    value.report("found \(text.utf8.count) bytes, allowed: \(what)")
                    return false
                }
                owner.reason = text
                return true
            },
            .duration(
                "spread", \.spread, .zero ... .seconds(86_400),
                absent: "10 ms for each open socket, 10 s at most",
                "the time from the first Close to the last, which are sent evenly; no more than `timeout`"
            ),
            .duration(
                "delay", \.delay, .zero ... .seconds(3_600),
                "how long Sluice goes on listening after `/readyz` has begun to say no: the time that a load "
                    + "balancer takes to notice"),
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { drain, fields in
            if let spread = drain.spread, spread > drain.timeout {
                fields["spread"]?.report(
                    "found \(Units.text(spread)), allowed: no more than timeout, "
                        + Units.text(drain.timeout))
            }
            return true
        }
        guard let read else { return nil }
        self = read
    }

    static func code(_ value: Value) -> UInt16? {
        guard let text = value.text(codesAllowed) else { return nil }
        if let code = UInt16(decimal: text[...]), allows(code: code) { return code }
        value.report("found '\(text)', allowed: \(codesAllowed)")
        return nil
    }
}

extension AdminSettings {
    static let section = Section(
        "admin", AdminSettings(),
        [
            .custom(
                "socket", .text("path or `off`"),
                absent: "`sluice.sock` in `$XDG_RUNTIME_DIR`, `/run/sluice` or `/tmp/sluice-UID`",
                "a unix socket that its owner alone may use. The path has a `/`: `./admin.sock` lies in the "
                    + "folder of the configuration. Without the key Sluice takes the first of these folders that "
                    + "it may write to, and makes the last one with mode 0700. If another Sluice of the same user serves there, the file is `sluice-PID.sock` in the same folder"
            ) { owner, value in
                guard let text = value.text("a path with a '/', or off") else { return false }
                owner.socketPlace = value.place
                if text == "off" {
                    owner.socket = .off
                } else if text.contains("/") {
                    owner.socket = .path(value.findings.resolve(text))
                } else {
                    value.report("found '\(text)', allowed: a path with a '/', or off")
                    return false
                }
                return true
            },
            .custom(
                "address", .text("address"), absent: "none",
                "a loopback address beside it, which everybody on the machine may use"
            ) { owner, value in
                guard let text = value.text("a loopback address with a port") else { return false }
                owner.address = text
                owner.addressPlace = value.place
                return true
            },
            .custom(
                "token", .text("path"), absent: "none",
                "a file with a token of 16 to 4,096 visible characters, which its owner alone may read. "
                    + "With it the dashboard may act, and whoever changes something at `address` has to send it; "
                    + "without it the dashboard shows and does nothing. It is read at each use, so a new token holds at once"
            ) { owner, value in
                guard let path = value.text("the path of a file with a token") else { return false }
                owner.token = value.findings.resolve(path)
                owner.tokenPlace = value.place
                return true
            },
            .word(
                "tap", \.tap,
                "what `sluice tap` is told of the frames of live sockets: `headers` (times, lengths and opcodes), "
                    + "`payloads` too, or nothing. Payloads are all that clients and apps say to each other, secrets "
                    + "included. A reload ends taps that are told more than it allows"),
        ])
}

extension MetricsSettings {
    static let section = Section(
        "metrics", MetricsSettings(),
        [
            .custom(
                "address", .text("address"), absent: "none",
                "an address at which `GET /metrics` is answered and nothing else, as `127.0.0.1:9902` or `:9902`. "
                    + "Whoever reaches it may read the names of routes and endpoints, and all that is counted"
            ) { owner, value in
                guard let text = value.text("an address with a port") else { return false }
                owner.address = text
                owner.addressPlace = value.place
                return true
            }
        ])
}

extension TimeoutSettings {
    // A phase without any time would refuse everybody; an ending without any is a quick one.
    static let phase: ClosedRange<Duration> = .milliseconds(1) ... .seconds(86_400)
    private static let ending: ClosedRange<Duration> = .zero ... .seconds(86_400)

    static let section = Section(
        "timeouts", TimeoutSettings(),
        [
            .duration(
                "clientHello", \.clientHello, phase, "from accept to a complete ClientHello"),
            .duration(
                "handshake", \.handshake, phase, "from accept to the end of the TLS handshake"),
            .duration("head", \.head, phase, "from the handshake to a complete request head"),
            .duration(
                "connect", \.connect, phase,
                "for connecting to the upstream, all attempts together"),
            .duration(
                "upgrade", \.upgrade, phase,
                "from a request for a WebSocket that was sent upstream to its answer; then the client gets 504"
            ),
            .duration(
                "answer", \.answer, phase,
                "from an ordinary request that was sent upstream to the head of its answer; then the client "
                    + "gets 504"),
            .duration(
                "body", \.body, phase,
                "without a byte of a request's body from the client (it gets 408, or the answer is cut where it "
                    + "has begun), or without the client taking a byte of an answer's body (it is cut)"
            ),
            .duration(
                "answerBody", \.answerBody, phase,
                "without a byte of an answer's body from the upstream; then the answer is cut. It is long for "
                    + "the sake of server-sent events"),
            .duration(
                "keepAlive", \.keepAlive, phase,
                "from an answer to the next request on the same connection"),
            .duration("closing", \.closing, ending, "from a Close to its answer"),
            .duration(
                "linger", \.linger, ending,
                "for reading what a peer still sends after the last byte to it"),
        ])
}

extension LogSettings {
    static let section = Section(
        "log", LogSettings(),
        [
            .word("format", \.format, "`text` for people, `json` for one object per line"),
            .custom(
                "access", .text("word or path"), absent: "`\(LogSettings().access)`",
                "where the lines of relays and requests go: `stdout`, `stderr`, `journald`, `off` or a path with "
                    + "a `/`"
            ) { owner, value in
                owner.accessPlace = value.place
                guard let target = target(value, ["stdout", "stderr", "journald", "off"]) else {
                    return false
                }
                owner.access = target
                return true
            },
            .custom(
                "events", .text("word or path"), absent: "`\(LogSettings().events)`",
                "where everything else goes: `stdout`, `stderr`, `journald` or a path with a `/`"
            ) { owner, value in
                owner.eventsPlace = value.place
                guard let target = target(value, ["stdout", "stderr", "journald"]) else {
                    return false
                }
                owner.events = target
                return true
            },
            .boolean("relayOpens", \.relayOpens, "whether a relay leaves a line when it opens"),
            .boolean("relayEnds", \.relayEnds, "whether a relay leaves a line when it ends"),
        ])

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
    static let section = Section(
        "resolver", ResolverSettings(),
        [
            .custom(
                "servers", .list(.text("address")), absent: "the system's",
                "DNS servers by address, with port 53 if none is written: `[192.0.2.1, \"[::1]:5353\"]`"
            ) { owner, value in
                let what = "addresses of DNS servers, as 127.0.0.1:53"
                owner.servers = (value.nonEmptyList(of: what) ?? []).compactMap { item in
                    guard let text = item.text(what) else { return nil }
                    if let server = server(text) { return server }
                    item.report(
                        "found '\(text)', allowed: an address, as 127.0.0.1, 127.0.0.1:53 or [::1]:53"
                    )
                    return nil
                }
                return true
            }
        ])

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

extension ProcessTLSSettings {
    static let section = Section(
        "tls", ProcessTLSSettings(),
        [
            .word(
                "records", \.records,
                "who seals and opens records in AES-GCM once a session has left OpenSSL's object: `auto` takes the "
                    + "library intel-ipsec-mb where it is installed, the processor has what it needs and a check "
                    + "finds it right, and else OpenSSL; `openssl` takes OpenSSL in any case"),
            .word(
                "keySchedule", \.keySchedule,
                "who derives the keys of a handshake of TLS 1.3 (RFC 8446 §7.1): `auto` has Sluice do it with OpenSSL's "
                    + "hashes, which takes a tenth off a handshake, where a check finds it right and OpenSSL's own "
                    + "configuration wants no other providers; `openssl` takes OpenSSL in any case"),
            .boolean(
                "release", \.release,
                "whether a session over TLS 1.3 leaves OpenSSL's object after one second or 64 KiB, which saves some "
                    + "13 kB for each connection, and time for each record; with `false` every session keeps it"
            ),
        ])
}

extension GlobalLimits {
    static let section = Section(
        "limits", GlobalLimits(),
        [
            .size(
                "headBytes", \.headBytes, 1_024...1_048_576, "bytes of a request or response head"),
            .number(
                "headFields", \.headFields, 16...10_000, "fields of a request or response head"),
            .size(
                "targetBytes", \.targetBytes, 256...1_048_576,
                "bytes that a request's target (path and query) may have, at most `headBytes`; a longer one gets 414"
            ),
            .number(
                "connections", \.connections, 1 ... .max,
                "connections from clients at one time; further ones wait in the listener's queue"),
            .number(
                "connectionsPerClient", \.connectionsPerClient, 1...1_000_000_000,
                "connections of one client at one time, whatever they carry; further ones are closed"
            ),
            .number(
                "newConnectionsPerSecond", \.newConnectionsPerSecond, 1...1_000_000,
                "connections that one client may open in a second; a burst of as many at once is allowed. "
                    + "Further ones are closed"),
            .number(
                "requestsPerConnection", \.requestsPerConnection, 1...1_000_000_000,
                "requests that one client connection may carry"),
            .number(
                "handshakesPerTurn", \.handshakesPerTurn, 1...10_000,
                "TLS handshakes that a reactor goes on with in one turn of its loop"),
            // Less than one TLS record would stop and go within a record.
            .size(
                "relayBufferBytes", \.relayBufferBytes, 16_384...67_108_864,
                "bytes held for one direction of a relay before its source is read no further"),
        ])
}

extension EndpointAddress {
    /// Reads an endpoint; `isAsked` says that it is for a server that is asked at a path of its own.
    init?(_ value: Value, isAsked: Bool = false) {
        guard let text = value.text("ws://host:port, wss://host:port, unix:/path or srv:name")
        else { return nil }
        do throws(EndpointFault) {
            try self.init(parsing: text)
        } catch {
            var sentence = error.sentence
            // All that is wrong is what stands behind host and port, as other proxies have it.
            if isAsked, let meant = error.suggestion, text.hasPrefix(meant + "/") {
                sentence =
                    "found '\(text)', but an endpoint has no path; 'path' beside 'to' says what it is asked"
                    + " for: path: \(text.dropFirst(meant.count))"
            }
            value.report(sentence, hint: error.suggestion.map(Nearest.didYouMean))
            return nil
        }
    }
}
