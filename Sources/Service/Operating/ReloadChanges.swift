// SPDX-License-Identifier: Apache-2.0
import Config

/// What a reload has changed, in words for the operator who asked for it.
struct ReloadChanges: Equatable {
    /// Things of one kind by their names, sorted.
    struct Kind: Equatable {
        /// What they are called: `routes`.
        let word: String
        var added: [String] = []
        var changed: [String] = []
        var gone: [String] = []

        /// What differs between two states; the values are compared, the keys are named.
        init<Value: Equatable>(
            _ word: String, from old: [String: Value], to new: [String: Value]
        ) {
            self.word = word
            added = new.keys.filter { old[$0] == nil }.sorted()
            gone = old.keys.filter { new[$0] == nil }.sorted()
            changed = new.filter { name, value in
                old[name].map { $0 != value } ?? false
            }.keys.sorted()
        }

        /// Things that are always there and differ now.
        init(_ word: String, changed: [String]) {
            self.word = word
            self.changed = changed
        }

        /// A sentence; nil where nothing differs.
        var sentence: String? {
            let parts = [("added", added), ("changed", changed), ("gone", gone)]
                .filter { !$0.1.isEmpty }
                .map { "\($0.0) \(Self.listed($0.1))" }
            return parts.isEmpty ? nil : "\(word): \(parts.joined(separator: "; "))."
        }

        /// How many names a message has room for.
        private static let namesMax = 8

        private static func listed(_ names: [String]) -> String {
            let shown = names.prefix(namesMax).joined(separator: ", ")
            return names.count > namesMax
                ? "\(shown) and \(names.count - namesMax) more" : shown
        }
    }

    let kinds: [Kind]

    /// - Parameters:
    ///   - old: what was served before, with the fingerprints of its certificates by their files.
    ///   - new: what is served now.
    ///   - files: others that hold something else than before.
    init(
        from old: (configuration: Configuration, certificates: [String: String]),
        to new: (configuration: Configuration, certificates: [String: String]),
        files: [String] = []
    ) {
        kinds = [
            Kind(
                "Listeners", from: Self.listeners(old.configuration),
                to: Self.listeners(new.configuration)),
            Kind("Certificates", from: old.certificates, to: new.certificates),
            Kind("Files", changed: files),
            Kind(
                "Routes", from: Self.routes(old.configuration), to: Self.routes(new.configuration)),
            Kind(
                "Upstreams", from: Self.upstreams(old.configuration),
                to: Self.upstreams(new.configuration)),
            Kind(
                "Endpoints", from: Self.endpoints(old.configuration),
                to: Self.endpoints(new.configuration)),
            Kind("Settings", changed: Self.settings(old.configuration, new.configuration)),
        ]
    }

    /// One sentence for each kind in which something differs, or that nothing does; and one for what a
    /// reload can't take up.
    ///
    /// - Parameter keys: what differs from what the process started with and needs a restart.
    /// - Returns: the sentences, with blanks between.
    func text(waiting keys: [String]) -> String {
        var sentences = kinds.compactMap(\.sentence)
        if sentences.isEmpty {
            sentences.append(
                keys.isEmpty ? "Nothing has changed." : "Nothing else has changed.")
        }
        if !keys.isEmpty {
            sentences.append(
                "\(keys.joined(separator: " and ")) \(keys.count == 1 ? "waits" : "wait") for"
                    + " `sluice upgrade` or a restart.")
        }
        return sentences.joined(separator: " ")
    }

    // MARK: Values that differ only where their meaning does, not where they stand in the file

    private static func listeners(_ configuration: Configuration) -> [String: ListenerSettings] {
        var found: [String: ListenerSettings] = [:]
        for var listener in configuration.listen {
            listener.place = .commandLine
            listener.addressPlace = nil
            listener.trustedProxies = listener.trustedProxies.map(\.withoutPlace)
            if var tls = listener.tls {
                tls.certificates = tls.certificates
                    .map { CertificateSettings(chain: $0.chain, key: $0.key) }
                tls.groups = tls.groups?.map { TLSSettings.Group($0.name) }
                tls.hstsPlace = .commandLine
                tls.clientCertificates?.place = .commandLine
                tls.ciphersPlace = nil
                tls.cipherSuitesPlace = nil
                listener.tls = tls
            }
            found[listener.address] = listener
        }
        return found
    }

    private static func routes(_ configuration: Configuration) -> [String: RouteSettings] {
        var found: [String: RouteSettings] = [:]
        for var route in configuration.routes {
            route.place = .commandLine
            route.places = RouteSettings.Places(all: .commandLine)
            route.access = route.access?.withoutPlaces
            route.faults = route.faults?.withoutPlace
            found[route.name] = route
        }
        return found
    }

    /// Without their endpoints, which are a kind of their own.
    private static func upstreams(_ configuration: Configuration) -> [String: UpstreamSettings] {
        configuration.upstreams.mapValues { upstream in
            var upstream = upstream
            upstream.place = .commandLine
            upstream.source = upstream.source.map { SourceAddress($0.address) }
            upstream.endpoints = []
            upstream.tls.place = .commandLine
            upstream.tls.authoritiesPlace = .commandLine
            upstream.tls.certificate = upstream.tls.certificate
                .map { CertificateSettings(chain: $0.chain, key: $0.key) }
            return upstream
        }
    }

    /// Each with the upstreams that have it, since it may be added to one and stay in another; a route's own
    /// endpoint has none.
    private static func endpoints(_ configuration: Configuration) -> [String: Set<String>] {
        var found: [String: Set<String>] = [:]
        for (name, upstream) in configuration.upstreams {
            for endpoint in upstream.endpoints {
                // Another weight makes it another one.
                let weight = endpoint.weight.map { " (\($0))" } ?? ""
                found[endpoint.label + weight, default: []].insert(name)
            }
        }
        for case .endpoint(let endpoint) in configuration.routes.map(\.to) {
            found[endpoint.description, default: []].insert("")
        }
        return found
    }

    /// The sections that hold for everything and differ.
    private static func settings(_ old: Configuration, _ new: Configuration) -> [String] {
        func bare(_ log: LogSettings) -> LogSettings {
            var log = log
            (log.accessPlace, log.eventsPlace) = (nil, nil)
            return log
        }
        let sections = [
            ("admin.tap", old.admin.tap != new.admin.tap),
            ("allowFaults", old.allowsFaults != new.allowsFaults),
            ("drain", old.drain != new.drain), ("limits", old.limits != new.limits),
            ("log", bare(old.log) != bare(new.log)), ("resolver", old.resolver != new.resolver),
            ("timeouts", old.timeouts != new.timeouts), ("tls", old.tls != new.tls),
            ("traces", old.traces?.bare != new.traces?.bare),
            ("watch", old.watch != new.watch),
        ]
        return sections.filter(\.1).map(\.0)
    }
}
