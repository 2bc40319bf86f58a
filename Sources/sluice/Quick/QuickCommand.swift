// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Reactor
import Service
import TLS
import Trust

/// `sluice 3000`: the shortest way from ws to wss.
struct QuickCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quick",
        abstract: "Serve wss://localhost:8443 in front of one app (the default command).",
        usage: """
            sluice 3000
            sluice ws://127.0.0.1:3000/Esv/ocp
            sluice 3000 --host myapp.localhost
            sluice 3000 --lan
            sluice https://localhost:5001
            sluice app.internal:9000 --listen :443 --cert chain.pem --key key.pem
            """,
        discussion: """
            Listens on 127.0.0.1:8443 and [::1]:8443 unless told otherwise, or on the next port \
            that is free. Without --cert it makes a local authority and a certificate for localhost \
            on first use and keeps them in $XDG_DATA_HOME/sluice (~/.local/share/sluice); \
            `sluice cert trust` has browsers trust them. The app may come up later: it is waited \
            for. When it is there, Sluice opens one WebSocket to it and says what to change if \
            that fails; --no-check leaves that out.
            """ + ExitCodes.help("quick"))

    @Argument(
        help: ArgumentHelp(
            "The app: a port, host:port, ws://host:port[/path][?query], the same with wss, http or https, or unix:/path.",
            valueName: "upstream"))
    var upstream: String

    @Option(
        help: ArgumentHelp(
            """
            A port of this machine, or an address as :443; may be given several times. (default: \
            8443)
            """, valueName: "address"))
    var listen: [String] = []

    @OptionGroup(visibility: .hidden) var port: PortOption

    @Option(
        help: ArgumentHelp(
            """
            A name for this machine, as myapp.localhost; may be given several times. The URLs are \
            printed with it, and the local certificate is made for it; one of --cert has to be for it.
            """, valueName: "name"))
    var host: [String] = []

    @Flag(
        help: """
            Listen for the whole network, with a certificate for this machine's addresses, and show \
            a QR code for a phone.
            """)
    var lan = false

    @Option(
        help: ArgumentHelp(
            """
            Pages of this origin may open sockets too, as https://example.com, null or any; may be \
            given several times. null lets in files that were opened in a browser, and with them frames \
            of any site. (default: pages of the same host)
            """, valueName: "origin"))
    var origin: [String] = []

    @Option(help: ArgumentHelp("Certificate chain, PEM.", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("Its private key, PEM.", valueName: "file"))
    var key: String?

    @Option(
        name: .customLong("app-ca"),
        help: ArgumentHelp(
            "An authority of an app that speaks TLS, or its own certificate if nobody has signed that, PEM.",
            valueName: "file"))
    var appAuthority: String?

    @Option(
        help: ArgumentHelp(
            "Serve only this path; /p/* means everything below. (default: every path)",
            valueName: "path"))
    var path: String?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp("Reactor threads. (default: one per core)", valueName: "n"),
        transform: { try Number.read("--workers", $0, 1...1_024) })
    var workers: Int?

    @Option(
        help: ArgumentHelp(
            "What sluice tap is shown of frames: headers, payloads or off. (default: headers)",
            valueName: "level"), transform: Self.tapLevel)
    var tap: TapLevel?

    @Flag(
        name: .customLong("no-check"),
        help: "Do not test the app by opening a WebSocket to it.")
    var isUnchecked = false

    private static func tapLevel(_ text: String) throws -> TapLevel {
        guard let level = TapLevel(rawValue: text) else {
            throw ValidationError("--tap takes headers, payloads or off, found \(text).")
        }
        return level
    }

    static let defaultHosts = ["127.0.0.1", "[::1]"]

    /// Refuses what only makes sense together, or not together.
    func validate() throws {
        try port.refuse { "sluice \(Shell.word($0))" }
        let app = try QuickUpstream(parsing: upstream)
        try ListenOption.check(listen)
        try requireOtherPlaces(than: app)
        guard (cert == nil) == (key == nil) else {
            throw ValidationError("--cert and --key belong together: give both or neither.")
        }
        guard appAuthority == nil || app.endpoint.isSecure else {
            throw ValidationError(
                "--app-ca is for an app that speaks TLS, and \(upstream) does not: give its URL with https:// or wss://."
            )
        }
        guard !lan || listen.isEmpty else {
            throw ValidationError(
                "--lan listens on every address of the machine: leave out --lan or --listen.")
        }
        for name in host {
            do throws(CertificateFault) {
                try CertificateAuthority.requireName(name)
            } catch {
                throw ValidationError("--host: \(error).")
            }
        }
        if let path, let fault = Assembly.fault(inPath: path) {
            throw ValidationError(
                "--path takes a path, as /chat or /chat/*, found '\(path)': \(fault)")
        }
        if let path, let own = app.path, !Self.covers(path, own) {
            throw ValidationError(
                "Two paths are given, \(own) in \(upstream) and --path \(path): the app gets the path that the"
                    + " browser asks for. Give one of them.")
        }
        do throws(OriginFault) {
            _ = try OriginSettings(arguments: origin)
        } catch {
            throw ValidationError("--origin: \(error).")
        }
        for text in origin {
            guard let site = OriginSettings.site(ofPage: text) else { continue }
            throw ValidationError(
                "--origin takes an origin, which has no path: found \(text). Did you mean --origin \(site)?"
            )
        }
    }

    /// Where the app's socket is, as far as that is known: with the path of its URL, or that of `--path`.
    private static func target(of app: QuickUpstream, servedAt path: String?) -> String? {
        guard app.path == nil, let path, !path.hasSuffix("*") else { return app.target }
        return path + (app.query.map { "?\($0)" } ?? "")
    }

    /// Whether requests for a path are served with `--path`.
    private static func covers(_ path: String, _ own: String) -> Bool {
        path.hasSuffix("/*") ? own.hasPrefix(path.dropLast()) : own == path
    }

    /// Refuses to listen where the app is: each connection would be led to Sluice again.
    private func requireOtherPlaces(than app: QuickUpstream) throws {
        guard let port = app.loopbackPort else { return }
        for text in listen {
            let isSame = try ListenOption.addresses(text).contains { text in
                guard let address = try? Address(parsing: text) else { return false }
                return address.port == port && (address.isLoopback || address.isWildcard)
            }
            if isSame {
                throw ValidationError(
                    "--listen \(text) is where the app is, \(app.endpoint): Sluice would call itself. Give"
                        + " another port.")
            }
        }
    }

    /// Serves until told to stop.
    func run() throws {
        let app = try QuickUpstream(parsing: upstream)
        var network: [Address] = []
        var localAuthority: String?
        var certificateNotice: String?
        let certificate: CertificateSettings
        if let cert, let key {
            if lan { network = NetworkAddresses.all() }
            certificateNotice = Self.notice(
                onCertificate: cert, for: host.isEmpty ? ["localhost"] : host)
            certificate = CertificateSettings(
                chain: cert, key: key,
                place: SourcePlace(file: "--cert and --key", line: 0, column: 0))
        } else {
            let directory = try DataDirectory.usable(orGive: "--cert and --key")
            let authority = try CertificateAuthority.loadOrMake(in: directory, for: host)
            if lan { network = try Self.network(signedBy: authority) }
            let names = host + CertCommand.defaultNames + network.map(\.hostString)
            let files = LocalCertificate(
                in: directory, named: host.first ?? (lan ? "lan" : names[0]))
            _ = try authority.ensureLeaf(
                for: names, others: .stayUnlessOfNetwork, chainPath: files.chainPath,
                keyPath: files.keyPath)
            localAuthority = authority.certificatePath
            certificate = CertificateSettings(chain: files.chainPath, key: files.keyPath)
        }
        let listening =
            listen.isEmpty
            ? QuickListening.choose(
                hosts: lan ? [""] : Self.defaultHosts, from: QuickListening.usualPort,
                besides: app.loopbackPort,
                inherited: Successor.handedOn.filter { $0.purpose == .listen }.map(\.address))
            : QuickListening(addresses: try listen.flatMap { try ListenOption.addresses($0) })
        var configuration = Configuration.quick(
            listen: listening.addresses, tls: TLSSettings(certificates: [certificate]),
            path: path ?? "/*", to: app.endpoint,
            trusting: authorities(beside: localAuthority),
            origins: try OriginSettings(
                arguments: origin, more: Self.isForThisMachine(listening) ? ["file://"] : []))
        configuration.workers = workers
        if let tap { configuration.admin.tap = tap }
        for (index, place) in try listenPlaces().enumerated() {
            configuration.listen[index].place = place
        }
        if localAuthority != nil {
            // Of localhost, a browser would keep it for all apps of this machine, and for long.
            for index in configuration.routes.indices {
                configuration.routes[index].answer.remove = ["Strict-Transport-Security"]
            }
        }
        // With the query of the app's URL, which is of no account for routes.
        let socketPath = Self.target(of: app, servedAt: path)
        var announcement = Announcement(configuration: configuration)
        announcement.examplePath = socketPath
        announcement.hosts = host
        announcement.network = network
        announcement.notices = [
            listening.notice, certificateNotice, unreachedHost(listening), Self.queryNotice(app),
        ].compactMap(\.self)
        if localAuthority != nil, let invoker = Invoker.current {
            announcement.notices.append(invoker.otherAuthority)
        }
        announcement.localAuthority = localAuthority
        let announced = announcement
        let watch = try AppWatch(
            app.endpoint, path: socketPath, names: host, isChecked: !isUnchecked,
            trusting: authorities(beside: localAuthority))
        let held = listening.held.map { Successor.Handed(.listen, $0.address, $0.descriptor) }
        try Serving.run(.fixed(configuration), watching: watch, holding: held) { _ in announced }
    }

    /// Whom an app that speaks TLS may be signed by, beside the system's authorities: Sluice's own among them, which
    /// may have made its certificate too.
    private func authorities(beside localAuthority: String?) -> [String] {
        [appAuthority, localAuthority].compactMap(\.self)
    }

    /// That a certificate is not for the names in the URLs that are printed, so that clients refuse them; nil where it
    /// is, and where it can't be read, which is said elsewhere.
    static func notice(onCertificate chain: String, for hosts: [String]) -> String? {
        guard let names = try? CertificateFacts.readLeaf(chain: chain).names else { return nil }
        func covers(_ host: String) -> Bool {
            let host = host.lowercased()
            let parent = host.firstIndex(of: ".").map { "*" + host[$0...] }
            return names.contains(host) || parent.map(names.contains) ?? false
        }
        let missing = hosts.filter { !covers($0) }
        guard !missing.isEmpty else { return nil }
        let usable = names.first { !$0.contains("*") }
        let shown = names.isEmpty ? "no name" : names.prefix(4).joined(separator: ", ")
        return
            "\(chain) is for \(shown) and not for \(missing.joined(separator: ", ")), so clients refuse it there: "
            + (usable.map { "add --host \($0) and use that name, or " } ?? "")
            + "give a certificate for \(missing[0])."
    }

    /// Where the command line names each address; none where it leaves that to quick mode.
    private func listenPlaces() throws -> [SourcePlace] {
        try listen.flatMap { text in
            try ListenOption.addresses(text).map { _ in
                SourcePlace(file: "--listen \(text)", line: 0, column: 0)
            }
        }
    }

    /// Whether nobody but programs of this machine can connect.
    ///
    /// Then a page with the origin `file://` is a file here that a program with a browser in it has opened (Electron,
    /// or Chromium with `--allow-file-access-from-files`); no site can send that origin. `null`, which browsers
    /// themselves send for files, any site can have sent by a sandboxed frame.
    private static func isForThisMachine(_ listening: QuickListening) -> Bool {
        listening.addresses.allSatisfy { text in
            (try? Address(parsing: text)).map { $0.isLoopback || $0.isUnix } ?? false
        }
    }

    /// That an address of the network is named where only programs of this machine can connect; nil where none is.
    private func unreachedHost(_ listening: QuickListening) -> String? {
        guard Self.isForThisMachine(listening),
            let name = host.first(where: { name in
                Address(host: name, port: 0).map { !$0.isLoopback } ?? false
            })
        else { return nil }
        return
            "nobody reaches \(name) by that URL: Sluice listens for this machine alone"
            + " (\(listening.addresses.joined(separator: ", "))). Add --listen :8443, or take --lan."
    }

    /// That the query of the app's URL is left to clients; nil where there is none.
    private static func queryNotice(_ app: QuickUpstream) -> String? {
        app.query.map { query in
            "Sluice adds the query ?\(query) to no request: the app gets the query that the client sends, so it"
                + " has to stand in the page's URL, as it does below."
        }
    }

    /// The machine's addresses that the authority may sign for.
    private static func network(signedBy authority: CertificateAuthority) throws -> [Address] {
        let all = NetworkAddresses.all()
        let facts = try CertificateFacts.read(pemFile: authority.certificatePath)
        let signed = facts.isConstrained ? all.filter(NetworkAddresses.isPrivate) : all
        guard signed.isEmpty else { return signed }
        let there = all.isEmpty ? "none" : all.map(\.hostString).joined(separator: ", ")
        throw Complaint(
            "--lan: this machine has no private network address (it has \(there)), and the local"
                + " authority may sign for no other. Join a network, or give --cert and --key.")
    }
}
