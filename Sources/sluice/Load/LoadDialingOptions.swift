// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Glibc
import LoadGenerator
import Reactor
import TLS

/// How a load makes its connections.
struct LoadDialingOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("A subprotocol to offer; several are possible.", valueName: "name"))
    var subprotocol: [String] = []

    @Option(
        help: ArgumentHelp(
            "A field to send, as 'Authorization: Bearer …'; several are possible.",
            valueName: "field"))
    var header: [String] = []

    @Option(help: ArgumentHelp("A cookie to send, as a=b; several are possible.", valueName: "a=b"))
    var cookie: [String] = []

    @Option(help: ArgumentHelp("The Origin to send. (default: none)", valueName: "origin"))
    var origin: String?

    @Option(
        help: ArgumentHelp(
            "File with authorities to trust beside the system's and Sluice's own (PEM or DER).",
            valueName: "file"))
    var ca: [String] = []

    @Flag(help: "Take any certificate.") var insecure = false

    @Option(help: ArgumentHelp("A certificate to show to the server (PEM).", valueName: "file"))
    var cert: String?

    @Option(help: ArgumentHelp("The key of --cert (PEM).", valueName: "file"))
    var key: String?

    @Option(
        help: ArgumentHelp(
            "The name that TLS asks for and verifies. (default: that of the URL)",
            valueName: "name"))
    var sni: String?

    @Option(
        help: ArgumentHelp(
            "Connect to this address in place of the URL's: 127.0.0.1:8443, unix:/path.",
            valueName: "address"))
    var resolve: String?

    @Option(
        help: ArgumentHelp(
            "Have connections leave from these addresses in turn, with commas between.",
            valueName: "address,…"))
    var source: String?

    @Option(
        help: ArgumentHelp(
            "In connect, the share of connections that take up an earlier TLS session, 0 to 1. (default: 0)",
            valueName: "share"))
    var resume: Double?

    @Flag(
        help:
            "Offer permessage-deflate (RFC 7692), each message compressed by itself; noise can be compressed then."
    )
    var deflate = false

    @Flag(name: .customLong("http2"), help: "Speak HTTP/2 (RFC 8441).") var http2 = false

    @Option(
        help: ArgumentHelp(
            "WebSockets on each connection of HTTP/2. (default: 1)", valueName: "n"))
    var streams: Int?

    /// Refuses what can't be used.
    func validate() throws {
        if let resume, !(0...1 ~= resume) {
            throw ValidationError("--resume takes a share from 0 to 1, found \(resume).")
        }
        if let streams, !(1...1_000_000 ~= streams) {
            throw ValidationError(
                "--streams takes a whole number from 1 to 1000000, found \(streams).")
        }
        if streams != nil, !http2 {
            throw ValidationError("--streams are those of HTTP/2: give --http2 too.")
        }
        if deflate, http2 {
            throw ValidationError(
                "--deflate and --http2 don't go together: messages are compressed in HTTP/1.1 alone."
            )
        }
        if (cert == nil) != (key == nil) {
            throw ValidationError("--cert and --key go together: give both.")
        }
        if insecure, !ca.isEmpty {
            throw ValidationError("--insecure and --ca don't go together: give one of them.")
        }
        try AuthorityOption.check(ca)
        _ = try fields()
        _ = try sources()
    }

    /// The fields that are added to the request.
    private func fields() throws -> [LoadField] {
        var fields = try header.map { text in
            guard let colon = text.firstIndex(of: ":"), colon > text.startIndex else {
                throw ValidationError("--header takes a field as 'Name: value', found \(text).")
            }
            let value = text[text.index(after: colon)...].drop { $0 == " " }
            return LoadField(name: String(text[..<colon]), value: String(value))
        }
        for text in cookie where !text.contains("=") {
            throw ValidationError("--cookie takes a name and a value as a=b, found \(text).")
        }
        if !cookie.isEmpty {
            fields.append(LoadField(name: "Cookie", value: cookie.joined(separator: "; ")))
        }
        if let origin { fields.append(LoadField(name: "Origin", value: origin)) }
        return fields
    }

    private func sources() throws -> [Address] {
        try (source ?? "").split(separator: ",").map { text in
            guard let address = Address(host: String(text), port: 0) else {
                throw ValidationError(
                    "--source takes addresses of this machine, as 127.0.0.2,127.0.0.3, found \(text)."
                )
            }
            return address
        }
    }

    /// The same for the generator.
    func dialing(rampSeconds: Double) throws -> LoadDialing {
        var dialing = LoadDialing()
        dialing.fields = try fields()
        dialing.subprotocols = subprotocol
        dialing.sources = try sources()
        dialing.serverName = sni
        dialing.offersDeflate = deflate
        dialing.resumedShare = resume ?? 0
        dialing.rampSeconds = rampSeconds
        if let cert, let key { dialing.identity = IdentityFiles(chain: cert, key: key) }
        dialing.trust = insecure ? .anything : .systemAnd(ca + Self.localAuthorities)
        return dialing
    }

    /// Sluice's own authority, where there is one.
    private static var localAuthorities: [String] {
        [DataDirectory.path + "/ca.pem"].filter { access($0, R_OK) == 0 }
    }
}
