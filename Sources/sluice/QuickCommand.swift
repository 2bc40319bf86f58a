// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Config
import Glibc
import Reactor
import TLS

/// `sluice 3000`: the shortest way from ws to wss.
struct QuickCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quick",
        abstract: "Serve wss://localhost:8443 in front of one app (the default command).",
        usage: """
            sluice 3000
            sluice ws://127.0.0.1:3000/Esv/ocp
            sluice app.internal:9000 --listen :443 --cert chain.pem --key key.pem
            """,
        discussion: """
            Listens on 127.0.0.1:8443 and [::1]:8443 unless told otherwise. Without --cert it makes \
            a local authority and a certificate for localhost on first use and keeps them in \
            $XDG_DATA_HOME/sluice (~/.local/share/sluice); it prints where, and how to make \
            browsers trust them.
            """)

    @Argument(
        help: ArgumentHelp(
            "The app: a port, host:port, ws://host:port[/path] or http://host:port.",
            valueName: "upstream"))
    var upstream: String

    @Option(
        help: ArgumentHelp(
            "Address to listen on; may be given several times. (default: 127.0.0.1:8443 [::1]:8443)",
            valueName: "address"))
    var listen: [String] = []

    @Option(help: ArgumentHelp("Certificate chain, PEM.", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("Its private key, PEM.", valueName: "file"))
    var key: String?

    @Option(
        help: ArgumentHelp(
            "Serve only this path; /p/* means everything below. (default: every path)",
            valueName: "path"))
    var path: String?

    @Option(help: ArgumentHelp("Reactor threads. (default: one per core)", valueName: "n"))
    var workers: Int?

    static let defaultAddresses = ["127.0.0.1:8443", "[::1]:8443"]

    /// Refuses what only makes sense together.
    func validate() throws {
        guard (cert == nil) == (key == nil) else {
            throw ValidationError("--cert and --key belong together: give both or neither.")
        }
        if let workers, !(1...1024).contains(workers) {
            throw ValidationError("--workers takes a number from 1 to 1024, found \(workers).")
        }
    }

    /// Serves until told to stop.
    func run() throws {
        let app = try QuickUpstream(parsing: upstream)
        var localAuthority: String?
        let certificate: CertificateSettings
        if let cert, let key {
            certificate = CertificateSettings(chain: cert, key: key)
        } else {
            let names = CertCommand.defaultNames
            let files = LocalCertificate(in: DataDirectory.path, named: names[0])
            let authority = try CertificateAuthority.loadOrMake(in: files.directory)
            _ = try authority.ensureLeaf(
                for: names, chainPath: files.chainPath, keyPath: files.keyPath)
            localAuthority = authority.certificatePath
            certificate = CertificateSettings(chain: files.chainPath, key: files.keyPath)
        }
        var configuration = Configuration.quick(
            listen: listen.isEmpty ? Self.usableDefaults() : listen,
            tls: TLSSettings(certificates: [certificate]), path: path ?? "/*", to: app.endpoint)
        configuration.workers = workers
        var announcement = Announcement(configuration: configuration)
        announcement.examplePath = app.path ?? path.flatMap { $0.hasSuffix("*") ? nil : $0 }
        announcement.localAuthority = localAuthority
        let announced = announcement
        try Server.run(.fixed(configuration)) { _ in announced }
    }
}

extension QuickCommand {
    /// The default addresses, less the IPv6 one where the machine has no IPv6 (many containers).
    private static func usableDefaults() -> [String] {
        let loopback = Address.loopback(port: 0, isIPv6: true)
        do throws(SystemError) {
            _ = try Listener(address: loopback)
            return defaultAddresses
        } catch {
            let isMissing = error.code == EAFNOSUPPORT || error.code == EADDRNOTAVAIL
            return isMissing ? defaultAddresses.filter { !$0.hasPrefix("[") } : defaultAddresses
        }
    }
}

/// The app that quick mode stands in front of, as people write it.
struct QuickUpstream: Equatable {
    let endpoint: EndpointAddress
    /// The path of a URL, which the wss URL will have too.
    let path: String?

    /// Reads a port, `host:port`, `ws://host:port[/path]` or `unix:/path`.
    init(parsing text: String) throws {
        // By name rather than 127.0.0.1: many development servers listen on ::1 only.
        if let port = UInt16(text), port > 0 {
            endpoint = .tcp(host: "localhost", port: port)
            path = nil
            return
        }
        let namesNoApp = Complaint(
            "\(text) names no app: give a port (3000), host:port, or ws://host:port/path")
        // A number that is no port is a slip, not the name of a host.
        if text.allSatisfy({ ("0"..."9").contains($0) }) { throw namesNoApp }
        var url = text
        if !text.contains("://") && !text.hasPrefix("unix:") { url = "ws://" + text }
        for (scheme, plain) in [("http://", "ws://"), ("HTTP://", "ws://")]
        where url.hasPrefix(scheme) {
            url = plain + url.dropFirst(scheme.count)
        }
        if url.hasPrefix("wss://") || url.hasPrefix("https://") {
            throw Complaint(
                "\(text): that app speaks TLS itself already; Sluice relays to plain ws://."
                    + " Give the port on which the app speaks without TLS.")
        }
        var urlPath: String?
        if url.hasPrefix("ws://"), let slash = url.dropFirst(5).firstIndex(of: "/") {
            urlPath = String(url[slash...].prefix { $0 != "?" && $0 != "#" })
            url = String(url[..<slash])
        }
        do {
            endpoint = try EndpointAddress(parsing: url)
        } catch {
            throw namesNoApp
        }
        path = urlPath == "/" ? nil : urlPath
    }
}
