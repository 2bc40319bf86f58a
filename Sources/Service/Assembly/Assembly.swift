// SPDX-License-Identifier: Apache-2.0
public import Config
import Frontend
import Health
import Ledger
import Naming
import Reactor
import Router
import Splice
import TLS
import Wire

/// Turns a configuration's plain values into what the engine runs on, or says why it can't.
public struct Assembly: Sendable {
    let listeners: [ListenerPlan]
    let routing: Routing
    let settings: FrontendSettings
    /// Which endpoints are checked.
    let checks: [CheckedUpstream]
    /// Seals the session tickets of all listeners, also after a reload.
    let tickets: TicketKeys
    /// What names stood for that stand for endpoints.
    let found: NamesFound
    /// What is served, but not as people are likely to want it.
    public let warnings: [ConfigurationProblem]
    /// When the certificates of each listener end, in the order of the configuration.
    let certificateEnds: [[CertificateEnd]]
    /// From when until when the certificates are valid, each with the place where its chain was named.
    private let terms: [PlacedTerm]

    private struct PlacedTerm: Sendable {
        let place: SourcePlace
        let term: IdentityTerm
    }

    /// When the certificate ends that a listener has for a name, in seconds since 1970.
    struct CertificateEnd: Sendable {
        let name: String
        let seconds: Int64
    }

    /// What files hold that are read beside the listeners' certificates, by their paths.
    let files: [String: Int]
    /// Users and passwords, by their files.
    let passwords: PasswordLists
    /// The rules by which tokens are judged, and the keys.
    let tokens: TokenRules
    /// Whose certificates the listeners take, in the order of the configuration.
    let clients: [ListenerClients]
    /// What TLS is spoken in with endpoints.
    let destinationContexts: DestinationContexts
    /// Endpoints that were served before and on which something still runs.
    var departed: [DepartedEndpoint]

    /// The fingerprints of all certificates that are served, by their files.
    var certificates: [String: String] {
        listeners.compactMap(\.certificates).reduce(into: [:]) { found, store in
            found.merge(store.fingerprints) { first, _ in first }
        }
    }

    /// All endpoints, for those who look names up.
    var endpoints: [Endpoint] { routing.endpoints }

    /// Reads the certificates and builds the tables of a configuration that nothing was served by before.
    ///
    /// - Throws: `ConfigurationProblems`, each with its place.
    public init(_ configuration: Configuration) throws {
        try self.init(configuration, previous: nil, found: [:])
    }

    /// Reads the certificates and builds the tables; endpoints that `previous` has too stay what they
    /// are, with all that runs on them.
    ///
    /// - Throws: `ConfigurationProblems`, each with its place.
    init(
        _ configuration: Configuration, previous: Assembly? = nil, found: NamesFound = [:]
    ) throws {
        if let previous { tickets = previous.tickets } else { tickets = try TicketKeys() }
        self.found = found
        var known = KnownEndpoints(previous, found: found)
        // What is wrong with routes and with certificates is told together.
        let stores = try Self.certificates(
            configuration, tickets: tickets,
            beside: Self.entries(of: configuration.routes).problems)
        files = Self.contents(ofFilesIn: configuration)
        passwords = try Self.passwords(configuration, previous: previous?.passwords ?? [:])
        tokens = try TokenRules(configuration, previous: previous?.tokens)
        clients = zip(configuration.listen, stores).map { ListenerClients($0, $1?.clients) }
        routing = try Self.routing(
            configuration, &known, (passwords, tokens, clients), previous: previous?.routing)
        destinationContexts = known.contexts
        departed = DepartedEndpoint.all(since: previous, without: routing)
        checks = Self.checks(configuration, routing)
        var listeners: [ListenerPlan] = []
        warnings = Self.warnings(configuration, stores)
        certificateEnds = configuration.listen.map(Self.certificateEnds)
        terms = zip(configuration.listen, stores).flatMap { listener, store in
            (store?.terms ?? []).map { term in
                let place = listener.tls.flatMap { Self.place(ofFile: term.file, $0) }
                return PlacedTerm(place: place ?? listener.place, term: term)
            }
        }
        for (listener, store) in zip(configuration.listen, stores) {
            let address: Address
            do throws(AddressFault) {
                address = try Address(parsing: listener.address)
            } catch {
                throw Self.problem(listener.addressPlace ?? listener.place, error.sentence)
            }
            var plan = ListenerPlan(address: address, certificates: store)
            plan.multiplexing = Self.multiplexing(listener)
            plan.strictTransportSecurity = listener.tls?.hsts?.value
            plan.redirectsToHTTPS = listener.redirectsToHTTPS
            plan.expectsProxyHeader = listener.proxyProtocol == .required
            plan.name = listener.name ?? ""
            plan.trustedProxies = try Self.blocks(listener.trustedProxies)
            listeners.append(plan)
        }
        self.listeners = listeners
        try Self.checkListeners(configuration.listen, listeners)
        try Self.checkAdmin(configuration.admin, beside: listeners)
        try Self.checkMetrics(configuration.metrics, configuration.admin, beside: listeners)
        settings = Self.settings(configuration)
    }

    /// Two listeners can't have one port where one of them is for all addresses; where the kernel chooses the ports,
    /// they differ.
    private static func checkListeners(
        _ settings: [ListenerSettings], _ plans: [ListenerPlan]
    ) throws(ConfigurationProblems) {
        for index in plans.indices where plans[index].address.port != 0 {
            guard
                let other = plans[..<index].firstIndex(where: {
                    $0.address.standsInTheWay(of: plans[index].address)
                })
            else { continue }
            throw problem(
                settings[index].addressPlace ?? settings[index].place,
                "found '\(settings[index].address)', which '\(settings[other].address)' at"
                    + " \(settings[other].addressPlace ?? settings[other].place) takes in, allowed:"
                    + " another port")
        }
    }

    /// The same configuration again where names stand for other endpoints; no file is read.
    init(_ configuration: Configuration, unchanged previous: Assembly, found: NamesFound) throws {
        tickets = previous.tickets
        listeners = previous.listeners
        settings = previous.settings
        warnings = previous.warnings
        certificateEnds = previous.certificateEnds
        terms = previous.terms
        self.found = found
        var known = KnownEndpoints(previous, found: found)
        known.keepsGroups = true
        known.contexts = previous.destinationContexts
        files = previous.files
        passwords = previous.passwords
        tokens = previous.tokens
        clients = previous.clients
        routing = try Self.routing(
            configuration, &known, (passwords, tokens, clients), previous: previous.routing)
        destinationContexts = known.contexts
        departed = DepartedEndpoint.all(since: previous, without: routing)
        checks = Self.checks(configuration, routing)
    }

    /// What clients say of the time of the certificates at `now`, in seconds since 1970, or are going to say
    /// soon; each once.
    func timeWarnings(at now: Int64) -> [ConfigurationProblem] {
        var warnings: [ConfigurationProblem] = []
        // A chain of several listeners is named once.
        var told: [IdentityProblem] = []
        for placed in terms {
            guard let problem = placed.term.problem(at: now), !told.contains(problem) else {
                continue
            }
            told.append(problem)
            warnings.append(
                ConfigurationProblem(place: placed.place, sentence: problem.description))
        }
        return warnings
    }

    /// When the certificates of a listener end, by the names that each is for: of several the first.
    private static func certificateEnds(_ listener: ListenerSettings) -> [CertificateEnd] {
        var ends: [String: Int64] = [:]
        for certificate in listener.tls?.certificates ?? [] {
            guard let facts = try? CertificateFacts.readLeaf(chain: certificate.chain) else {
                continue
            }
            for name in facts.names { ends[name] = min(ends[name] ?? .max, facts.notAfter) }
        }
        return ends.sorted { $0.key < $1.key }
            .map { CertificateEnd(name: $0.key, seconds: $0.value) }
    }

    /// The certificates of every listener, read now; nil where it is plain.
    ///
    /// - Throws: `ConfigurationProblems`, with those of all listeners and the ones that were found before.
    private static func certificates(
        _ configuration: Configuration, tickets: TicketKeys, beside found: [ConfigurationProblem]
    ) throws -> [CertificateStore?] {
        var problems = found
        var stores: [CertificateStore?] = []
        for listener in configuration.listen {
            do {
                stores.append(try certificates(of: listener, tickets: tickets))
            } catch let error as ConfigurationProblems {
                // A chain of several listeners is named once.
                problems += error.problems.filter { !problems.contains($0) }
            }
        }
        guard problems.isEmpty else { throw ConfigurationProblems(sorting: problems) }
        return stores
    }

    private static func certificates(
        of listener: ListenerSettings, tickets: TicketKeys
    ) throws -> CertificateStore? {
        guard let tls = listener.tls else { return nil }
        let options = TLSServerOptions(
            minimumVersion: tls.minimumVersion == .tls13 ? .tls13 : .tls12,
            cipherList: tls.ciphers, cipherSuites: tls.cipherSuites,
            groups: try tls.groups.map(groups) ?? KeyExchangeGroups.defaults,
            speaksHTTP2: tls.protocols.contains(.http2))
        let clients = try tls.clientCertificates.map(clientAuthorities)
        do throws(TLSError) {
            return try CertificateStore(
                tls.certificates.map { IdentityFiles(chain: $0.chain, key: $0.key) },
                options: options, tickets: tickets, clients: clients)
        } catch {
            let place =
                switch error.setting {
                case .cipherList: tls.ciphersPlace ?? listener.place
                case .cipherSuites: tls.cipherSuitesPlace ?? listener.place
                case nil: listener.place
                }
            if error.problems.isEmpty { throw problem(place, error.description) }
            throw ConfigurationProblems(
                error.problems.map {
                    ConfigurationProblem(
                        place: Self.place(of: $0, tls) ?? listener.place,
                        sentence: $0.description)
                })
        }
    }

    /// Where the file was named in which something was found.
    private static func place(of problem: IdentityProblem, _ tls: TLSSettings) -> SourcePlace? {
        place(ofFile: problem.file, tls)
    }

    private static func place(ofFile file: String, _ tls: TLSSettings) -> SourcePlace? {
        tls.certificates.first { $0.chain == file || $0.key == file }?.place
            ?? tls.clientCertificates.flatMap {
                $0.authorities == file || $0.revoked == file ? $0.place : nil
            }
    }

    /// What clients are going to say of the certificates, each with its place, and once.
    private static func warnings(
        _ configuration: Configuration, _ stores: [CertificateStore?]
    ) -> [ConfigurationProblem] {
        var warnings: [ConfigurationProblem] = []
        // Quick mode serves one certificate on several addresses.
        var told: [(problem: IdentityProblem, place: SourcePlace)] = []
        for (listener, store) in zip(configuration.listen, stores) {
            guard let tls = listener.tls, let store else { continue }
            for problem in store.warnings {
                let place = place(of: problem, tls) ?? listener.place
                if told.contains(where: { $0 == (problem, place) }) { continue }
                told.append((problem, place))
                warnings.append(
                    ConfigurationProblem(place: place, sentence: problem.description))
            }
            if let policy = tls.hsts,
                let sentence = transportSecurityWarning(policy, names: store.names)
            {
                warnings.append(ConfigurationProblem(place: tls.hstsPlace, sentence: sentence))
            }
        }
        return warnings + repeatedEndpoints(configuration) + restingUpstreams(configuration)
            + unverifiedUpstreams(configuration) + tokenWarnings(configuration.admin)
            + unguardedRoutes(configuration) + emptyRoutes(configuration)
            + fieldsWithKeys(configuration) + strangerCookies(configuration)
            + audienceWarnings(configuration) + faultWarnings(configuration)
    }

    /// What `hsts` does beside what was meant, for a listener whose certificates have these names.
    ///
    /// Browsers keep it for a name with all its ports, and never for an address (RFC 6797 §8.1.1, §8.3).
    private static func transportSecurityWarning(
        _ policy: TransportSecuritySettings, names: [String]
    ) -> String? {
        guard policy.maxAge > .zero, !names.isEmpty else { return nil }
        let local = names.filter { $0 == "localhost" || $0.hasSuffix(".localhost") }
        if !local.isEmpty {
            return "hsts: browsers that have opened \(local.joined(separator: " or ")) here refuse"
                + " http there on every port, so also for other apps of this machine; leave hsts out"
                + " for names of this machine"
        }
        guard names.allSatisfy({ Address(host: $0, port: 0) != nil }) else { return nil }
        return "hsts: browsers heed it for names only, and the certificates have no name:"
            + " \(names.joined(separator: ", "))"
    }

    /// The names of groups, all of which this OpenSSL knows.
    private static func groups(_ groups: [TLSSettings.Group]) throws -> [String] {
        for group in groups where !KeyExchangeGroups.isKnown(group.name) {
            let allowed = KeyExchangeGroups.known.joined(separator: ", ")
            let hint = KeyExchangeGroups.known.first { fold($0) == fold(group.name) }
                .map { " (did you mean '\($0)'?)" }
            throw problem(
                group.place,
                "groups: found '\(group.name)', which this OpenSSL has no group for, allowed: "
                    + allowed + (hint ?? ""))
        }
        return groups.map(\.name)
    }

    /// A name without what people write differently: `p256` for P-256.
    private static func fold(_ name: String) -> String {
        name.lowercased().filter { $0 != "-" && $0 != "_" }
    }

    private static func routing(
        _ configuration: Configuration, _ known: inout KnownEndpoints, _ logins: Logins,
        previous: Routing?
    ) throws -> Routing {
        var groups: [String: EndpointGroup] = [:]
        // Routes straight to one endpoint share what is known of it.
        var single: [String: EndpointGroup] = [:]
        for (name, upstream) in configuration.upstreams {
            groups[name] = try group(name, upstream, &known)
        }
        let (entries, problems) = entries(of: configuration.routes)
        guard problems.isEmpty else { throw ConfigurationProblems(problems) }
        try checkListeners(ofRoutesIn: configuration)
        try checkStickyCookies(configuration, entries)
        var routes: [Route] = []
        let faultsBefore = (previous?.routes ?? []).reduce(into: [:]) { $0[$1.name] = $1.faults }
        for route in configuration.routes {
            let name = route.name
            var made: Route
            switch route.to {
            case .upstream(let upstream):
                guard let known = groups[upstream] else {
                    throw problem(route.place, "there is no upstream \(upstream)")
                }
                made = Route(name: name, upstream: known)
            case .endpoint(let address):
                let label = address.description
                let group = try single[label] ?? Self.single(address, &known)
                single[label] = group
                made = Route(name: name, upstream: group)
            case .respond(let answer):
                made = Route(name: name, action: .respond(fixed(answer)))
            case .redirect(let redirect):
                made = Route(
                    name: name,
                    action: .redirect(
                        RedirectRule(status: redirect.status, origin: redirect.origin)))
            }
            made.captures = entries[routes.count].path.captures
            made.conditions = entries[routes.count].conditions
            set(&made, to: route)
            made.faults = faults(route.faults, before: faultsBefore[name] ?? nil)
            if let settings = route.access {
                var asked: EndpointGroup?
                switch settings.forward?.to {
                case .upstream(let upstream)?: asked = groups[upstream]
                case .endpoint(let address)?:
                    let label = address.description
                    asked = try single[label] ?? Self.single(address, &known)
                    single[label] = asked
                default: break
                }
                guard settings.forward == nil || asked != nil else {
                    throw problem(route.place, "access.forward: there is no such upstream")
                }
                guard asked?.introduction == nil else {
                    throw problem(
                        route.place,
                        "access.forward: its upstream has proxyProtocol, and a question has no client"
                            + " to name: give it an upstream without")
                }
                made.access = try access(settings, logins, of: route, asking: asked)
                if let token = settings.token { tell(token, to: &made.requestFields) }
            }
            routes.append(made)
        }
        try checkSegments(configuration, routes)
        return Routing(table: try RouteTable(entries), routes: routes, previous: previous)
    }

    private static func fixed(_ answer: RespondSettings) -> FixedAnswer {
        FixedAnswer(
            status: answer.status, type: answer.body.isEmpty ? "" : answer.type,
            body: Array(answer.body.utf8))
    }

    /// Gives a route what its settings say of requests and relays, wherever they go.
    private static func set(_ made: inout Route, to route: RouteSettings) {
        made.origins = rule(route.origins)
        made.isFromCommandLine = route.place == .commandLine
        if route.accept.missingConnection { made.accept.insert(.missingConnection) }
        if route.accept.anyKeyLength { made.accept.insert(.anyKeyLength) }
        made.relayLimits = relayLimits(route.limits)
        made.bodyBytesMax = route.limits.bodyBytes.map(UInt64.init) ?? .max
        made.relayRules = relayRules(route)
        made.admission = AdmissionLimits(
            relays: route.limits.relays, relaysPerClient: route.limits.relaysPerClient,
            newRelaysPerSecond: route.limits.newRelaysPerSecond)
        made.admission.messagesPerSecondPerClient =
            route.limits.messagesPerSecondPerClient.map(UInt64.init)
        made.admission.bytesPerSecondPerClient =
            route.limits.bytesPerSecondPerClient.map(UInt64.init)
        made.drainsWhenRemoved = route.onRemove == .drain
        made.times = times(route.timeouts)
        made.wayTold = wayTold(route)
        made.rejectsEscapedSlash = route.escapedSlash == .reject
        made.requestFields = edits(route.request, made.captures)
        made.answerFields = edits(route.answer, made.captures)
        made.countedCaptures = route.metrics.captures.compactMap { name in
            made.captures.first { $0.name == name }
        }
        switch route.upstreamHost {
        case .keep: made.upstreamHost = .keep
        case .upstream: made.upstreamHost = .upstream
        case .name(let host): made.upstreamHost = .name(host)
        }
    }

    /// The routes' patterns, and what is wrong with one of them or with two together, as that they take the same
    /// requests.
    static func entries(
        of routes: [RouteSettings]
    ) -> (entries: [RouteEntry], problems: [ConfigurationProblem]) {
        var entries: [RouteEntry] = []
        var problems: [ConfigurationProblem] = []
        for route in routes {
            do throws(ConfigurationProblems) {
                entries.append(try entry(of: route))
            } catch {
                problems += error.problems
            }
        }
        let places = Dictionary(
            routes.map { ($0.place.description, $0.place) }, uniquingKeysWith: { first, _ in first }
        )
        for conflict in RouteTable.conflicts(in: entries) {
            problems.append(
                ConfigurationProblem(
                    place: places[conflict.second] ?? .commandLine, sentence: conflict.sentence))
        }
        return (entries, ConfigurationProblems(sorting: problems).problems)
    }

    /// Why a text is no path of a route, as a sentence; nil where it is one.
    public static func fault(inPath text: String) -> String? {
        do throws(ConfigurationProblems) {
            _ = try pattern(text, at: .commandLine)
            return nil
        } catch {
            return error.problems.map {
                $0.sentence.hasSuffix(".") ? $0.sentence : $0.sentence + "."
            }
            .joined(separator: " ")
        }
    }

    private static func rule(_ origins: OriginSettings) -> OriginRule {
        switch origins {
        case .any: .any
        case .same: .same
        case .list(let same, let origins):
            .list(same: same, origins: origins.map { OriginPattern($0) })
        }
    }

    private static func edits(
        _ fields: FieldSettings, _ captures: [PathCapture]
    ) -> FieldEdits {
        FieldEdits(
            removed: fields.remove.map { $0.lowercased() },
            set: fields.set.map { field($0, captures) },
            added: fields.add.map { field($0, captures) })
    }

    private static func relayRules(_ route: RouteSettings) -> RelayRules? {
        guard route.ping != nil || route.idle != nil || route.lifetime != nil else { return nil }
        let ping = route.ping
        return RelayRules(
            pingMilliseconds: ping?.every.wholeMilliseconds ?? 0,
            pongMilliseconds: ping?.timeout.wholeMilliseconds ?? 0,
            pingsClient: ping?.to != .upstream, pingsUpstream: ping?.to != .client,
            idleMilliseconds: route.idle?.wholeMilliseconds ?? 0,
            lifetimeMilliseconds: route.lifetime?.wholeMilliseconds ?? 0)
    }

    private static func relayLimits(_ limits: RouteLimits) -> RelayLimits {
        var made = RelayLimits(messageBytesMax: limits.messageBytes.map(UInt64.init) ?? .max)
        made.fragmentsMax = limits.fragments.map(UInt32.init) ?? .max
        made.messagesPerSecond = limits.messagesPerSecond.map(UInt64.init)
        made.bytesPerSecond = limits.bytesPerSecond.map(UInt64.init)
        return made
    }

    /// What holds for connections of a listener that speak HTTP/2; nil where none does.
    private static func multiplexing(_ listener: ListenerSettings) -> MultiplexRules? {
        guard listener.tls?.protocols.contains(.http2) == true else { return nil }
        let http2 = listener.http2
        return MultiplexRules(
            allowsWebSockets: http2.websockets, streamsMax: http2.maxStreams,
            windowBytes: http2.windowBytes, resetsPerSecond: http2.resetsPerSecond,
            pingAfterMilliseconds: http2.pingAfter.wholeMilliseconds,
            pingTimeoutMilliseconds: http2.pingTimeout.wholeMilliseconds)
    }

    private static func settings(_ configuration: Configuration) -> FrontendSettings {
        let timeouts = configuration.timeouts
        let limits = configuration.limits
        return FrontendSettings(
            clientHelloMilliseconds: timeouts.clientHello.wholeMilliseconds,
            handshakeMilliseconds: timeouts.handshake.wholeMilliseconds,
            headMilliseconds: timeouts.head.wholeMilliseconds,
            connectMilliseconds: timeouts.connect.wholeMilliseconds,
            upgradeMilliseconds: timeouts.upgrade.wholeMilliseconds,
            answerMilliseconds: timeouts.answer.wholeMilliseconds,
            bodyMilliseconds: timeouts.body.wholeMilliseconds,
            answerBodyMilliseconds: timeouts.answerBody.wholeMilliseconds,
            keepAliveMilliseconds: timeouts.keepAlive.wholeMilliseconds,
            requestsPerConnectionMax: limits.requestsPerConnection,
            releases: RecordPlan(configuration)?.releases ?? false,
            records: RecordPlan(configuration)?.engine ?? .openSSL,
            patience: Patience(
                closingMilliseconds: timeouts.closing.wholeMilliseconds,
                lingerMilliseconds: timeouts.linger.wholeMilliseconds),
            headLimits: HeadLimits(
                bytesMax: limits.headBytes, fieldsMax: limits.headFields,
                targetBytesMax: min(limits.targetBytes, limits.headBytes)),
            handshakesPerTurn: limits.handshakesPerTurn,
            connectionsMax: limits.connections ?? FrontendSettings.connectionsUnlimited,
            clientLimits: AdmissionLimits(
                relaysPerClient: limits.connectionsPerClient,
                newRelaysPerSecond: limits.newConnectionsPerSecond),
            relayBufferBytes: limits.relayBufferBytes,
            tracing: TracingRules(configuration.traces))
    }

    static func problem(_ place: SourcePlace, _ sentence: String) -> ConfigurationProblems {
        ConfigurationProblems([ConfigurationProblem(place: place, sentence: sentence)])
    }

    /// Where a route leads, for people.
    public static func label(of route: RouteSettings, in configuration: Configuration) -> String {
        switch route.to {
        case .endpoint(let address): return address.description
        case .upstream(let name):
            let endpoints = configuration.upstreams[name]?.endpoints ?? []
            return endpoints.map(\.address.description).joined(separator: " ")
        case .respond(let answer): return "answer \(answer.status)"
        case .redirect(let redirect):
            return "redirect \(redirect.status) \(redirect.origin)\(redirect.path)"
        }
    }

    /// How a route's upstream balances.
    public static func balance(of route: RouteSettings, in configuration: Configuration) -> String {
        guard case .upstream(let name) = route.to else { return "-" }
        return configuration.upstreams[name]?.balance.description ?? "-"
    }
}
