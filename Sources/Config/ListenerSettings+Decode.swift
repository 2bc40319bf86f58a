// SPDX-License-Identifier: Apache-2.0

extension Configuration {
    static func listeners(_ value: Value) -> [ListenerSettings] {
        var places: [String: SourcePlace] = [:]
        var listeners: [ListenerSettings] = []
        var redirecting: [Value] = []
        for item in value.nonEmptyList(of: "listeners") ?? [] {
            guard let fields = item.mapping(.listener) else { continue }
            let address = fields.required("address").flatMap { value -> String? in
                guard let address = ListenAddress.checked(value) else { return nil }
                let bound = address.hasPrefix(":") ? "[::]\(address)" : address
                // Port 0 is another one each time.
                guard let other = places[bound], !address.hasSuffix(":0") else {
                    places[bound] = value.place
                    return address
                }
                value.report("found '\(address)', which \(other) listens on already")
                return nil
            }
            var isComplete = true
            var tls: TLSSettings?
            if let value = fields["tls"] {
                tls = TLSSettings(value)
                isComplete = tls != nil
            }
            let redirect = fields["redirect"]
            let redirects = redirect.map(redirectsToHTTPS) ?? false
            if redirects, fields["tls"] != nil {
                redirect?.report("found beside 'tls', allowed: on a listener without it")
            }
            guard let address, isComplete else { continue }
            listeners.append(
                ListenerSettings(
                    address: address, tls: tls, redirectsToHTTPS: redirects, place: fields.place))
            if let word = fields["proxyProtocol"]?.word(ListenerSettings.ProxyProtocol.self) {
                listeners[listeners.count - 1].proxyProtocol = word
            }
            listeners[listeners.count - 1].trustedProxies =
                (fields["trustedProxies"]?.list(of: "addresses, as 10.0.0.0/8") ?? [])
                .compactMap(ListenerSettings.TrustedProxy.init)
            if redirects, let redirect { redirecting.append(redirect) }
        }
        if !listeners.contains(where: { $0.tls != nil }) {
            for redirect in redirecting {
                redirect.report("found 'https', but no listener has 'tls' to send requests to")
            }
        }
        return listeners
    }

    private static func redirectsToHTTPS(_ value: Value) -> Bool {
        guard let text = value.text("https") else { return false }
        if text == "https" { return true }
        value.report("found '\(text)', allowed: https")
        return false
    }
}

extension ListenerSettings.TrustedProxy {
    /// Judges the form; whether the block's bits fit its length is seen when it is made.
    fileprivate init?(_ value: Value) {
        let allowed = "an address or a block of them, as 10.0.0.0/8, 2001:db8::/32 or ::1, or unix"
        guard let text = value.text(allowed) else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let isIPv4 = Syntax.isIPv4(parts[0])
        guard text == "unix" || parts.count <= 2 && (isIPv4 || Syntax.isIPv6(parts[0])) else {
            value.report("found '\(text)', allowed: \(allowed)")
            return nil
        }
        if parts.count == 2 {
            let most = isIPv4 ? 32 : 128
            guard let length = Int(decimal: parts[1]), length <= most else {
                value.report("found '/\(parts[1])' in '\(text)', allowed: /0 to /\(most)")
                return nil
            }
        }
        self.init(text, place: value.place)
    }
}

extension TLSSettings {
    fileprivate init?(_ value: Value) {
        guard let fields = value.mapping(.tls) else { return nil }
        let items = fields.required("certificates")?.nonEmptyList(of: "certificates") ?? []
        self.init(certificates: items.compactMap(CertificateSettings.init))
        minimumVersion = fields["minimumVersion"]?.word(Version.self) ?? minimumVersion
        cipherSuites = fields["cipherSuites"]?.text("names of cipher suites, colons between")
        ciphers = fields["ciphers"]?.text("names of ciphers, colons between")
        groups = fields["groups"].map(Self.groups)
        hsts = fields["hsts"].flatMap(TransportSecuritySettings.init)
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
    fileprivate init?(_ value: Value) {
        guard let fields = value.mapping(.certificate) else { return nil }
        let chain = fields.required("chain")?.text("the path of a PEM file")
        let key = fields.required("key")?.text("the path of a PEM file")
        guard let chain, let key else { return nil }
        self.init(
            chain: value.findings.resolve(chain), key: value.findings.resolve(key),
            place: fields.place)
    }
}

/// The form of an address to listen on; what it names is found out when the socket is bound.
private enum ListenAddress {
    private static let allowed = "127.0.0.1:8443, [::]:8443, :8443 or unix:/path"

    static func checked(_ value: Value) -> String? {
        guard let text = value.text(allowed) else { return nil }
        if text.hasPrefix("unix:") {
            do throws(EndpointFault) {
                return try EndpointAddress(parsing: text).description
            } catch {
                value.report(error.sentence)
                return nil
            }
        }
        guard let colon = text.lastIndex(of: ":"), !text.hasSuffix("]") else {
            let isPort = UInt16(text) != nil
            value.report(
                "found '\(text)' without a port, allowed: \(allowed)",
                hint: Nearest.didYouMean(isPort ? ":\(text)" : "\(text):8443"))
            return nil
        }
        let portText = text[text.index(after: colon)...]
        guard let port = UInt16(decimal: portText) else {
            value.report("found the port '\(portText)' in '\(text)', allowed: 0 to 65535")
            return nil
        }
        guard isHost(text[..<colon]) else {
            value.report(
                "found '\(text)', allowed: \(allowed)",
                hint: suggestion(text[..<colon]).map { Nearest.didYouMean("\($0):\(port)") })
            return nil
        }
        return text
    }

    private static func isHost(_ host: Substring) -> Bool {
        if host.hasPrefix("["), host.hasSuffix("]") {
            return Syntax.isIPv6(host.dropFirst().dropLast())
        }
        return host.isEmpty || Syntax.isIPv4(host)
    }

    private static func suggestion(_ host: Substring) -> String? {
        if host == "localhost" { return "127.0.0.1" }
        if host == "*" { return "" }
        return Syntax.isIPv6(host) ? "[\(host)]" : nil
    }
}
