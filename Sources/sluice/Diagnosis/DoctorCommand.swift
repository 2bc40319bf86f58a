// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Doctor
import Foundation
import Glibc
import Reactor
import Trust

/// `sluice doctor [URL]`: why a WebSocket does not open, step by step; or what is wrong with the Sluice
/// that runs.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Say why a WebSocket URL fails, and what to change.",
        usage: """
            sluice doctor wss://localhost:8443/Esv/ocp
            sluice doctor localhost:3000
            sluice doctor wss://example.com/chat --origin https://example.com --idle 70
            sluice doctor
            """,
        discussion: """
            Walks name, TCP, TLS, certificate, upgrade and ping of any server, and ends with a \
            verdict and the one change that mends it. The exit code tells the verdict, 0 only when \
            the socket opens and answers a ping. It asks as a page of the \
            same host would. host:port is asked whether it speaks TLS, and an https: URL is read as the \
            wss: URL of that server. Without a URL it looks at the Sluice that runs: configuration, \
            listeners, certificates, endpoints.
            """ + ExitCodes.doctorHelp)

    @Argument(
        help: ArgumentHelp(
            "A ws: or wss: URL, host:port or a port. (default: the Sluice that runs)",
            valueName: "url"))
    var url: String?

    @Option(
        help: ArgumentHelp(
            "The page that opens the socket, for mixed content and Local Network Access.",
            valueName: "url"))
    var page: String?

    @Option(
        help: ArgumentHelp(
            "The Origin to send; none for none. (default: that of --page, or of a page of the same host)",
            valueName: "origin"))
    var origin: String?

    @Option(
        help: ArgumentHelp(
            "A field to send, as 'Cookie: a=b'; may be given several times.", valueName: "field"))
    var header: [String] = []

    @Option(help: ArgumentHelp("A subprotocol to offer; several are possible.", valueName: "name"))
    var subprotocol: [String] = []

    @Option(
        help: ArgumentHelp(
            "An extension to offer, as permessage-deflate; several are possible.",
            valueName: "extension"))
    var `extension`: [String] = []

    @Option(
        help: ArgumentHelp(
            "File with authorities to trust as well (PEM or DER).", valueName: "file"))
    var ca: [String] = []

    @Option(
        help: ArgumentHelp(
            "Use this address for that name, as app.test:127.0.0.1; several are tried in order.",
            valueName: "name:address"))
    var resolve: [String] = []

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Stay silent so long, then see whether the socket is still there.",
            valueName: "seconds"),
        transform: { try Number.seconds("--idle", $0, max: 86_400) })
    var idle: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Give up after so long; the wait of --idle does not count. (default: \(Doctor.Options().timeoutSeconds))",
            valueName: "seconds"),
        transform: { try Number.seconds("--timeout", $0, max: 600) })
    var timeout: Double?

    @Option(
        parsing: .unconditional,
        help: ArgumentHelp(
            "Call it slow if it takes longer; the wait of --idle does not count. (default: \(Doctor.Options().slowSeconds))",
            valueName: "seconds"),
        transform: { try Number.seconds("--slow", $0, max: 86_400, hasZero: true) })
    var slow: Double?

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var admin: AdminOptions

    /// Refuses what can't be used.
    func validate() throws {
        if let url, let fault = DoctorTarget.fault(in: url) { throw ValidationError(fault) }
        if let url, DoctorTarget(url) == nil {
            throw ValidationError(
                "\(url) is no WebSocket URL: give one as wss://localhost:8443/path, or host:port."
                    + (url.utf8.allSatisfy { $0 < 0x80 }
                        ? ""
                        : " A name in other letters stands there as browsers send it (xn--…), and the rest of what"
                            + " is no ASCII as %XX."))
        }
        let asks =
            page != nil || origin != nil || idle != nil || timeout != nil || slow != nil
        let lists = header + subprotocol + `extension` + ca + resolve
        if url == nil, asks || !lists.isEmpty {
            throw ValidationError(
                "The options are about a URL: give one; only --json and --admin go without.")
        }
        if let page, !isFile(page), SocketURL(page) == nil || !page.lowercased().hasPrefix("http") {
            throw ValidationError(
                "--page takes the page's URL, as https://app.test/ or file:///home/me/page.html, found"
                    + " '\(page)'.")
        }
        for field in header where Self.field(field) == nil {
            throw ValidationError("--header takes 'Name: value', found '\(field)'.")
        }
        for field in header.compactMap(Self.field) {
            if let instead = Self.reason(against: field.name) {
                throw ValidationError("--header can't send \(field.name): \(instead).")
            }
        }
        for value in [origin].compactMap({ $0 }) + subprotocol + `extension`
        where value.isEmpty || !value.utf8.allSatisfy({ $0 >= 0x20 && $0 < 0x7F }) {
            throw ValidationError("'\(value)' can't stand in a request.")
        }
        for entry in resolve where Self.resolution(entry) == nil {
            throw ValidationError(
                "--resolve takes name:address, as app.test:127.0.0.1 or app.test:::1, found '\(entry)'."
            )
        }
        if let url, let target = DoctorTarget(url) {
            for name in resolve.compactMap(Self.resolution).map(\.name) {
                try require(name, askedBy: target.url, url)
            }
        }
        try AuthorityOption.check(ca)
    }

    /// Refuses an address for a name that nothing asks for.
    private func require(_ name: String, askedBy target: SocketURL, _ url: String) throws {
        // The page's host is looked up too.
        let asked = [target.host, page.flatMap { SocketURL($0)?.host }].compactMap {
            $0?.lowercased()
        }
        guard !asked.contains(name.lowercased()) else { return }
        throw ValidationError(
            "--resolve gives \(name) an address, and \(url) is about \(target.host): did you mean"
                + " --resolve \(target.host):ADDRESS?")
    }

    /// Whether a page is a file that somebody has opened in a browser.
    private func isFile(_ page: String) -> Bool { page.lowercased().hasPrefix("file:") }

    /// Why a field may not be given: the walk has one of its own, or the answer would mean something
    /// else; nil where it may.
    private static func reason(against name: String) -> String? {
        switch name.lowercased() {
        case "origin": "give --origin"
        case "sec-websocket-protocol": "give --subprotocol"
        case "sec-websocket-extensions": "give --extension"
        case "host": "it is that of the URL; --resolve gives a name another address"
        case "upgrade", "connection", "sec-websocket-key", "sec-websocket-version":
            "the handshake has its own"
        case "content-length", "transfer-encoding":
            "a WebSocket begins with a request without a body"
        default: nil
        }
    }

    private static func field(_ text: String) -> (name: String, value: String)? {
        guard let colon = text.firstIndex(of: ":"), colon > text.startIndex,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }),
            text[..<colon].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
        else { return nil }
        let value = text[text.index(after: colon)...].drop { $0 == " " }
        return (String(text[..<colon]), String(value))
    }

    private static func resolution(_ text: String) -> (name: String, address: String)? {
        guard let colon = text.firstIndex(of: ":"), colon > text.startIndex else { return nil }
        var address = String(text[text.index(after: colon)...])
        if address.hasPrefix("["), address.hasSuffix("]") {
            address = String(address.dropFirst().dropLast())
        }
        let isAddress = ["\(address):0", "[\(address)]:0"].contains { whole in
            (try? Address(parsing: whole)).map { !$0.isUnix } ?? false
        }
        return address.isEmpty || !isAddress ? nil : (String(text[..<colon]), address)
    }

    /// Looks, prints, and ends with the verdict's code.
    func run() throws {
        let code = try url.flatMap { DoctorTarget($0) }.map(walk) ?? lookAround()
        if code != 0 { throw ExitCode(code) }
    }

    private func walk(_ target: DoctorTarget) throws -> Int32 {
        var options = Self.baseOptions
        let isFile = page.map(isFile) ?? false
        options.page = isFile ? nil : page.flatMap { SocketURL($0) }
        options.origin = origin == "none" ? nil : origin ?? (isFile ? Self.fileOrigin : nil)
        options.isWithoutOrigin = origin == "none"
        options.fields = header.compactMap(Self.field)
        options.subprotocols = subprotocol
        options.extensions = `extension`
        options.authorities = ca
        options.idleSeconds = idle
        let timeout = timeout ?? options.timeoutSeconds
        options.timeoutSeconds = timeout
        options.slowSeconds = slow ?? options.slowSeconds
        for entry in resolve.compactMap(Self.resolution) {
            options.addresses[entry.name.lowercased(), default: []].append(entry.address)
        }
        let start = Clock.nowMilliseconds()
        let (socket, remark) = target.resolved(options)
        // What that took is a part of the time that there is.
        options.timeoutSeconds = max(
            0.01, timeout - Double(Clock.nowMilliseconds() - start) / 1_000)
        var diagnosis = try Doctor.examine(socket, options)
        if let remark { diagnosis.add(remark: remark) }
        if socket.hasUserInfo {
            diagnosis.add(
                remark:
                    "The user and the password in the URL were not sent: --header 'Authorization: Basic …' sends"
                    + " them.")
        }
        if isFile && origin == nil {
            diagnosis.add(
                remark:
                    "A page from a file has the origin \(Self.fileOrigin) in browsers, which was sent. Programs"
                    + " with a browser in them may send file://: --origin file:// asks as these do."
            )
        }
        if json { try Self.printJSON(diagnosis) } else { Self.printText(diagnosis) }
        return diagnosis.verdict.exitCode
    }

    /// What browsers send for a page from a file.
    private static let fileOrigin = "null"

    /// What holds for every walk: Sluice's own authority is known.
    static var baseOptions: Doctor.Options {
        var options = Doctor.Options()
        let local = DataDirectory.path + "/ca.pem"
        if access(local, R_OK) == 0 { options.localAuthority = local }
        // Where `make run` and `sluice cert --directory certs` put it.
        options.nearbyAuthorities = ["certs/ca.pem", "./ca.pem"].filter { access($0, R_OK) == 0 }
        options.browserTrust = { browserTrust(of: local) }
        return options
    }

    /// Which of this user's browsers trust an authority, as `sluice cert status` says it.
    private static func browserTrust(of authority: String) -> BrowserTrust {
        let stores = try? TrustStores(
            authorityPath: authority, home: DataDirectory.home, root: nil)
        var trust = BrowserTrust()
        for report in stores?.status() ?? [] {
            let name = "\(report.name) \(report.path)"
            switch report.outcome {
            case .trusted: trust.trusting.append(name)
            case .absent: trust.refusing.append(name)
            // What can't be looked into, nothing is said of.
            default: break
            }
        }
        return trust
    }

    private func lookAround() throws -> Int32 {
        let found = RunningSluice.examine(admin)
        if json {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
            Output.line(String(decoding: try encoder.encode(found), as: UTF8.self))
        } else {
            for line in found.lines { Output.line(Program.pasteable(line)) }
        }
        return found.exitCode
    }

    private static func printText(_ diagnosis: Diagnosis) {
        Output.line(diagnosis.url)
        for step in diagnosis.steps {
            let name = step.kind.rawValue.padding(toLength: 11, withPad: " ", startingAt: 0)
            let time = "(\(step.milliseconds) ms)"
            Output.line("  \(step.isGood ? "✓" : "✗") \(name) \(step.found) \(time)")
        }
        for note in diagnosis.notes { Output.line("  ! \(Program.pasteable(note))") }
        Output.line("")
        Output.line("\(diagnosis.verdict.rawValue): \(Program.pasteable(diagnosis.sentence))")
        if !diagnosis.remedy.isEmpty {
            Output.line("What to change: \(Program.pasteable(diagnosis.remedy))")
        }
    }

    /// The diagnosis for programs.
    private struct Report: Encodable {
        let url: String
        let verdict: String
        let exitCode: Int32
        let sentence: String
        let remedy: String
        let notes: [String]
        let steps: [Step]
        let beyond: Prospect?
    }

    private static func printJSON(_ diagnosis: Diagnosis) throws {
        let report = Report(
            url: diagnosis.url, verdict: diagnosis.verdict.rawValue,
            exitCode: diagnosis.verdict.exitCode, sentence: diagnosis.sentence,
            remedy: diagnosis.remedy, notes: diagnosis.notes, steps: diagnosis.steps,
            beyond: diagnosis.beyond)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes, .prettyPrinted]
        Output.line(String(decoding: try encoder.encode(report), as: UTF8.self))
    }
}
