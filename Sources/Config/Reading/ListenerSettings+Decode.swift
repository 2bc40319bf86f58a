// SPDX-License-Identifier: Apache-2.0

extension Configuration {
    static func listeners(_ value: Value) -> [ListenerSettings] {
        var places: [String: SourcePlace] = [:]
        var listeners: [ListenerSettings] = []
        var redirecting: [Value] = []
        for item in value.nonEmptyList(of: "listeners") ?? [] {
            let read = ListenerSettings.section.decode(item) { listener, fields in
                listener.place = fields.place
                var isSound = true
                if let value = fields["address"], !listener.address.isEmpty {
                    let address = listener.address
                    let bound = address.hasPrefix(":") ? "[::]\(address)" : address
                    // Port 0 is another one each time.
                    if let other = places[bound], !address.hasSuffix(":0") {
                        value.report("found '\(address)', which \(other) listens on already")
                        isSound = false
                    } else {
                        places[bound] = value.place
                    }
                }
                if let redirect = fields["redirect"], listener.redirectsToHTTPS {
                    if fields["tls"] != nil {
                        redirect.report("found beside 'tls', allowed: on a listener without it")
                    }
                    redirecting.append(redirect)
                }
                if let http2 = fields["http2"], fields["tls"] == nil {
                    http2.report("found without 'tls', allowed: on a listener with it")
                }
                return isSound && (fields["tls"] == nil || listener.tls != nil)
            }
            if let read { listeners.append(read) }
        }
        if !listeners.contains(where: { $0.tls != nil }) {
            for redirect in redirecting {
                redirect.report("found 'https', but no listener has 'tls' to send requests to")
            }
        }
        return listeners
    }
}

extension ListenerSettings {
    static let section = Section(
        "listen[]", ListenerSettings(address: ""),
        [
            .required(
                "address", .text("address"),
                "where to listen; `:8443` and `[::]:8443` take IPv4 and IPv6"
            ) { owner, value in
                guard let address = ListenAddress.checked(value) else { return false }
                owner.address = address
                owner.addressPlace = value.place
                return true
            },
            .custom(
                "name", .text("name"), absent: "none",
                "what `listen` of routes calls it; several listeners may have one name"
            ) { owner, value in
                let what = "a name of letters, digits, '-', '_' and '.'"
                guard let text = value.text(what) else { return false }
                guard EndpointSettings.isName(text) else {
                    value.report("found '\(text)', allowed: \(what)")
                    return false
                }
                owner.name = text
                value.findings.listenerNames.append(text)
                return true
            },
            .custom(
                "tls", .mapping("listen[].tls"), absent: "none",
                "how to speak TLS; without it the listener speaks plain `ws` and `http`"
            ) { owner, value in
                owner.tls = TLSSettings.section.decode(value)
                return owner.tls != nil
            },
            .custom(
                "http2", .mapping("listen[].http2"), absent: "see below",
                "what holds for connections that speak HTTP/2. Only with `tls`"
            ) { owner, value in
                guard let read = HTTP2Settings.section.decode(value) else { return false }
                owner.http2 = read
                return true
            },
            .custom(
                "redirect", .words(["https"]), absent: "none",
                "every request is answered with 308 and the same URL on the first listener that speaks TLS. A "
                    + "request for a WebSocket gets 426 with that URL, since WebSocket clients follow no redirects. "
                    + "Only without `tls`"
            ) { owner, value in
                owner.redirectsToHTTPS = redirectsToHTTPS(value)
                return owner.redirectsToHTTPS
            },
            .word(
                "proxyProtocol", \.proxyProtocol,
                "`required`: each connection begins with a header of the PROXY protocol, version 1 or 2, in which a "
                    + "load balancer says who has connected to it. A connection without it is closed, so nobody else "
                    + "may reach that address"),
            .custom(
                "trustedProxies", .list(.text("text")), absent: "none",
                "proxies in front whose `X-Forwarded-For` Sluice believes: addresses, blocks as `10.0.0.0/8` or "
                    + "`2001:db8::/32`, or `unix` for all that come through a socket file"
            ) { owner, value in
                owner.trustedProxies =
                    (value.list(of: "addresses, as 10.0.0.0/8") ?? []).compactMap(
                        PlacedBlock.init)
                return true
            },
        ])

    private static func redirectsToHTTPS(_ value: Value) -> Bool {
        guard let text = value.text("https") else { return false }
        if text == "https" { return true }
        value.report("found '\(text)', allowed: https")
        return false
    }
}

extension HTTP2Settings {
    static let section = Section(
        "listen[].http2", HTTP2Settings(),
        [
            .boolean(
                "websockets", \.websockets,
                "whether clients may open WebSockets on streams (RFC 8441). With `false` Sluice does not offer it, and "
                    + "browsers open them by HTTP/1.1, each on a connection of its own"),
            .number(
                "maxStreams", \.maxStreams, 1...10_000,
                "streams of one connection that are open at a time; each request and each WebSocket is one"
            ),
            .size(
                "windowBytes", \.windowBytes, 65_536...(16 << 20),
                "bytes that one stream may send ahead of its app. Sluice holds at most this many for each stream. An "
                    + "upload sends at most this many in each round trip"
            ),
            .number(
                "resetsPerSecond", \.resetsPerSecond, 1...100_000,
                "streams that a client may cancel in a second on average. Ten times as many may come at once. A client "
                    + "that cancels more loses its connection"
            ),
            .duration(
                "pingAfter", \.pingAfter, durations,
                "how long nothing comes from a client that has streams open before Sluice sends it a PING (RFC 9113 "
                    + "§6.7)"),
            .duration(
                "pingTimeout", \.pingTimeout, durations,
                "from a PING to the end of the connection, if nothing comes from the client"),
        ])

    private static let durations = Duration.milliseconds(100) ... .seconds(86_400)
}

extension TLSSettings {
    static let section = Section(
        "listen[].tls", TLSSettings(certificates: []),
        [
            .required(
                "certificates", .list(.mapping("listen[].tls.certificates[]")),
                "the chains to choose from by server name; the first is for clients that name none or an unknown one"
            ) { owner, value in
                owner.certificates = (value.nonEmptyList(of: "certificates") ?? [])
                    .compactMap(CertificateSettings.init)
                return true
            },
            .word("minimumVersion", \.minimumVersion, "the lowest version of TLS that is spoken"),
            .custom(
                "protocols", .list(.words(ApplicationProtocol.allCases.map(\.rawValue))),
                absent: "h2, http/1.1",
                "what is spoken within TLS, by the names of ALPN: `h2`, which is taken where a client offers both, and "
                    + "`http/1.1`, which has to be there"
            ) { owner, value in
                owner.protocols = protocols(value)
                return owner.protocols.contains(.http11)
            },
            .custom(
                "cipherSuites", .text("text"), absent: "AES-128-GCM, AES-256-GCM, ChaCha20",
                "cipher suites of TLS 1.3, colons between, preferred first; a client that offers ChaCha20 first "
                    + "gets it where it is in the list"
            ) { owner, value in
                owner.cipherSuites = value.text("names of cipher suites, colons between")
                owner.cipherSuitesPlace = value.place
                return owner.cipherSuites != nil
            },
            .custom(
                "ciphers", .text("text"), absent: "Mozilla intermediate",
                "ciphers of TLS 1.2 as OpenSSL names them, colons between, preferred first"
            ) { owner, value in
                owner.ciphers = value.text("names of ciphers, colons between")
                owner.ciphersPlace = value.place
                return owner.ciphers != nil
            },
            .custom(
                "groups", .list(.text("text")), absent: "X25519, P-256, P-384",
                "groups for the key exchange as OpenSSL names them, preferred first; in front of the default stands "
                    + "X25519MLKEM768 where the library has it"
            ) { owner, value in
                owner.groups = groups(value)
                return owner.groups?.isEmpty == false
            },
            .custom(
                "hsts",
                .either([.duration(TransportSecuritySettings.ages), .mapping("listen[].tls.hsts")]),
                absent: "none",
                "`Strict-Transport-Security` on every answer (RFC 6797): for how long, or a mapping"
            ) { owner, value in
                owner.hsts = TransportSecuritySettings(value)
                owner.hstsPlace = value.place
                return owner.hsts != nil
            },
            .custom(
                "clientCertificates", .mapping("listen[].tls.clientCertificates"),
                absent: "none are asked for",
                "whose clients may show certificates, for `access.clientCertificate` of routes"
            ) { owner, value in
                owner.clientCertificates = ClientCertificateSettings(value)
                return owner.clientCertificates != nil
            },
        ])

    /// Names of protocols, each once, `http/1.1` among them.
    private static func protocols(_ value: Value) -> [ApplicationProtocol] {
        let names = ApplicationProtocol.allCases.map(\.rawValue)
        var protocols: [ApplicationProtocol] = []
        var isSound = true
        let items = value.nonEmptyList(of: "protocols, as h2 and http/1.1") ?? []
        let given = items.compactMap(\.writtenText)
        for item in items {
            guard let name = item.text("h2, http/1.1") else {
                isSound = false
                continue
            }
            guard let known = ApplicationProtocol(rawValue: name) else {
                item.report(
                    "found '\(name)', allowed: \(names.joined(separator: ", "))",
                    hint: Nearest.hint(for: name, among: names.filter { !given.contains($0) }))
                isSound = false
                continue
            }
            if protocols.contains(known) {
                item.report("found '\(name)' again, allowed: each protocol once")
                isSound = false
            }
            protocols.append(known)
        }
        if isSound && !protocols.isEmpty && !protocols.contains(.http11) {
            value.report("found no 'http/1.1', which some clients speak alone: add it behind h2")
        }
        return protocols
    }

    /// Names of groups; which ones there are, the library knows.
    private static func groups(_ value: Value) -> [Group] {
        let what = "names of groups, as X25519 or P-256"
        var groups: [Group] = []
        for item in value.nonEmptyList(of: what) ?? [] {
            guard let name = item.text("the name of a group, as X25519 or P-256") else { continue }
            if let twin = groups.first(where: { $0.name == name }) {
                item.report("found '\(name)', which is at \(twin.place) already")
            } else {
                groups.append(Group(name, place: item.place))
            }
        }
        return groups
    }
}

extension CertificateSettings {
    static let section = Section(
        "listen[].tls.certificates[]", CertificateSettings(chain: "", key: ""),
        [
            .required(
                "chain", .text("path"),
                "PEM: the leaf certificate, then the ones that signed it"
            ) { owner, value in
                guard let path = value.text("the path of a PEM file") else { return false }
                owner.chain = value.findings.resolve(path)
                return true
            },
            .required("key", .text("path"), "PEM: the private key of the leaf") { owner, value in
                guard let path = value.text("the path of a PEM file") else { return false }
                owner.key = value.findings.resolve(path)
                return true
            },
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { certificate, fields in
            certificate.place = fields.place
            return true
        }
        guard let read else { return nil }
        self = read
    }
}

/// The form of an address to listen on; what it names is found out when the socket is bound.
private enum ListenAddress {
    private static let allowed = "127.0.0.1:8443, [::]:8443, :8443 or unix:/path"

    /// Why a text is no address, and what was probably meant.
    private struct Fault: Error {
        let sentence: String
        var suggestion: String?
    }

    static func checked(_ value: Value) -> String? {
        guard let text = value.text(allowed) else { return nil }
        do throws(Fault) {
            return try address(text)
        } catch {
            let meant = error.suggestion.flatMap { text in
                (try? address(text)) == nil ? nil : Nearest.didYouMean(text)
            }
            value.report(error.sentence, hint: meant)
            return nil
        }
    }

    /// The address as it is bound; throws for what is none.
    private static func address(_ text: String) throws(Fault) -> String {
        if text.hasPrefix("unix:") {
            do throws(EndpointFault) {
                return try EndpointAddress(parsing: text).description
            } catch {
                throw Fault(sentence: error.sentence)
            }
        }
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else {
            let isPort = UInt16(decimal: text[...]) != nil
            throw Fault(
                sentence: "found '\(text)' without a port, allowed: \(allowed)",
                suggestion: isPort ? "127.0.0.1:\(text)" : "\(meant(by: text[...]) ?? text):8443")
        }
        let portText = text[text.index(after: colon)...]
        let host = text[..<colon]
        guard let port = UInt16(decimal: portText) else {
            throw Fault(
                sentence: "found the port '\(portText)' in '\(text)', allowed: 0 to 65535",
                suggestion: meant(by: text[...]).map { "\($0):8443" })
        }
        guard isHost(host) else {
            throw Fault(
                sentence: "found '\(text)', allowed: \(allowed)",
                suggestion: (host == ":" && port >= 80 ? "[::]" : meant(by: host)).map {
                    "\($0):\(port)"
                }
                    ?? meant(by: text[...]).map { "\($0):8443" })
        }
        return text
    }

    private static func isHost(_ host: Substring) -> Bool {
        if host.hasPrefix("["), host.hasSuffix("]") {
            return Syntax.isIPv6(host.dropFirst().dropLast())
        }
        return host.isEmpty || Syntax.isIPv4(host)
    }

    /// The host of an address as it has to be written; nil where that can't be told.
    private static func meant(by host: Substring) -> String? {
        if host == "localhost" { return "127.0.0.1" }
        if host == "*" { return "" }
        return Syntax.isIPv6(host) ? "[\(host)]" : nil
    }
}
