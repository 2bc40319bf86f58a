// SPDX-License-Identifier: Apache-2.0
import TLS
import Wire

extension Doctor {
    /// Shakes hands by TLS, and judges the version and the certificate.
    mutating func secure(_ line: Line) throws(TLSError) -> Way {
        let probe = try TLSProbe(serverName: url.host, trusting: knownAuthorities)
        guard shakeHands(line, probe) else { return .ended }
        line.probe = probe
        if probe.isVersionOld {
            isUntrusted = true
            bad(
                .tls, "\(probe.version), \(probe.cipher)", .tlsVersion,
                "The server speaks \(probe.version) at most, which browsers have given up.",
                "Enable TLS 1.2 or 1.3 on the server.")
            return .faulty
        }
        good(.tls, "\(probe.version), \(probe.cipher)")
        guard judge(probe) else {
            isUntrusted = true
            return .faulty
        }
        return .open
    }

    /// Files with authorities that are trusted besides the system's.
    var knownAuthorities: [String] {
        options.authorities + (options.localAuthority.map { [$0] } ?? [])
    }

    /// Another connection, as far as the request, where the server is believed there too or was not in the
    /// first place.
    mutating func anotherLine(offering protocols: [String] = ["http/1.1"]) -> Line? {
        guard let line = secondLine() else { return nil }
        guard url.isSecure else { return line }
        guard
            let probe = try? TLSProbe(
                serverName: url.host, trusting: knownAuthorities, offering: protocols),
            shakeHands(line, probe), probe.faults.isEmpty || isUntrusted
        else { return nil }
        line.probe = probe
        return line
    }

    private mutating func shakeHands(_ line: Line, _ probe: TLSProbe) -> Bool {
        var step = probe.handshake()
        line.sendRaw(probe.takeOutput())
        var first: [UInt8] = []
        while step == .wantsInput {
            guard let bytes = line.receiveRaw(until: firstWordDeadline) else {
                silent(line)
                return false
            }
            if first.count < 64 { first += bytes }
            if bytes.isEmpty {
                ended(probe, first)
                return false
            }
            if first.first != 0x16 && first.first != 0x15 {
                other(first)
                return false
            }
            step = probe.handshake(bytes)
            line.sendRaw(probe.takeOutput())
        }
        guard step == .done else {
            refusedHandshake(probe)
            return false
        }
        return true
    }

    /// The port takes the hello and says nothing: a plain server may wait for a line's end.
    private mutating func silent(_ line: Line) {
        if let status = plainStatus(), Self.isPlain(status) {
            plain("no answer to a TLS handshake", status)
            return
        }
        bad(
            .tls, "no answer to the handshake", .handshakeCut,
            "The port takes the connection and does not answer a TLS handshake.",
            "See whether the server is stuck, or whether another program has that port.")
    }

    /// The connection ended in the handshake.
    private mutating func ended(_ probe: TLSProbe, _ bytes: [UInt8]) {
        if bytes.first != 0x15, let status = plainStatus(), Self.isPlain(status) {
            plain("the connection ends at a TLS handshake", status)
            return
        }
        if probe.alert != nil {
            refusedHandshake(probe)
            return
        }
        bad(
            .tls, "the connection ends in the handshake", .handshakeCut,
            "The server closes the connection in the middle of the TLS handshake.",
            "Look into the server's log: it may lack a certificate for \(url.host), or a middle box"
                + " cuts the connection.")
    }

    /// Whether a status proves plain HTTP where a handshake was not answered so.
    ///
    /// 400 is what TLS servers say to plain HTTP.
    private static func isPlain(_ status: Int) -> Bool { status != 400 }

    /// Something that is no TLS came back.
    private mutating func other(_ bytes: [UInt8]) {
        let text = Self.printable(bytes.prefix { $0 != 13 && $0 != 10 }.prefix(60))
        let status = plainStatus()
        if bytes.starts(with: Array("HTTP/".utf8)) {
            plain("it answers a TLS handshake with \"\(text)\"", status)
            return
        }
        if let status {
            plain("it answers a TLS handshake with something else", status)
            return
        }
        bad(
            .tls, "the server says \"\(text)\"", .otherProtocol,
            "Port \(url.port) speaks neither TLS nor HTTP; it says \"\(text)\".",
            "Correct the port in the URL.")
    }

    /// Says that the port speaks no TLS, which browsers call ERR_SSL_PROTOCOL_ERROR or ERR_CONNECTION_CLOSED.
    private mutating func plain(_ found: String, _ status: Int?) {
        let works =
            status == 101
            ? " \(url.text(secure: false)) works."
            : status.map { " Asked for a WebSocket without TLS, it answers \($0)." } ?? ""
        bad(
            .tls, found, .plainHTTP,
            "Port \(url.port) speaks plain HTTP, not TLS: that is what browsers call"
                + " ERR_SSL_PROTOCOL_ERROR, or ERR_CONNECTION_CLOSED where the app hangs up.\(works)",
            "Put TLS in front of it: sluice \(url.port) "
                + (url.isLocal
                    ? "makes it wss://localhost:8443\(url.target) (or the port that it prints)."
                    : "there, or Sluice with a certificate for \(url.host) (sluice run).")
                + " Changing ws to wss in the URL does not add TLS.")
    }

    /// The status that the port answers a WebSocket with, asked without TLS; nil where none comes.
    private func plainStatus() -> Int? {
        guard let line = secondLine() else { return nil }
        // Everybody on the way can read it.
        var open = self
        open.isUntrusted = true
        line.send(open.request(key: WebSocketAccept.makeKey()))
        while Self.fault(line.waiting) == nil, line.receive() {
            if Self.head(line.waiting) != nil { break }
        }
        let status = Self.head(line.waiting)?.status
        // The app has a socket now, which ends as a page's does that is left.
        if status == 101 { line.send(frame(.close, [0x03, 0xE9])) }
        return status
    }

    /// Whether the port answers a TLS handshake in TLS, at once.
    func speaksTLS() -> Bool {
        guard let line = secondLine() else { return false }
        return greet(line).flatMap { $0.receiveRaw() }.map(Self.isTLS) ?? false
    }

    /// Begins a TLS handshake on a connection; nil where this machine can't.
    private func greet(_ line: Line) -> Line? {
        guard let probe = try? TLSProbe(serverName: url.host, trusting: []) else { return nil }
        _ = probe.handshake()
        line.sendRaw(probe.takeOutput())
        return line
    }

    /// Whether what came first is a handshake or an alert (RFC 8446 §5.1).
    private static func isTLS(_ bytes: [UInt8]) -> Bool {
        bytes.first == 0x16 || bytes.first == 0x15
    }

    /// Whether it does within all the time that there is; nil where nothing comes that tells it.
    func findsTLS() -> Bool? {
        guard let address, case .done(let line) = Line.connect(address, by: answerDeadline),
            greet(line) != nil
        else { return nil }
        line.deadline = answerDeadline
        var answer = line.receiveRaw(until: Line.now() + (answerDeadline - Line.now()) / 2)
        if answer == nil {
            // A plain server may wait for a line's end, and one that speaks TLS may be slow.
            if let status = plainStatus(), Self.isPlain(status) { return false }
            answer = line.receiveRaw(until: answerDeadline)
        }
        return answer.map(Self.isTLS)
    }

    private mutating func refusedHandshake(_ probe: TLSProbe) {
        guard let alert = probe.alert else {
            bad(
                .tls, probe.failure, .handshakeCut,
                "The TLS handshake fails: \(probe.failure).", "Look into the server's log.")
            return
        }
        let found = "the server's alert: \(alert.name) (\(alert.number))"
        if probe.wantsClientCertificate {
            clientCertificate(.tls, found)
            return
        }
        switch alert.number {
        case 70:
            bad(
                .tls, found, .tlsVersion,
                "The server speaks no version of TLS that browsers speak.",
                "Enable TLS 1.2 or 1.3 on the server.")
        case 40, 71:
            bad(
                .tls, found, .tlsCipher,
                "The server has no cipher suite, key exchange or certificate in common with browsers.",
                "Give the server an EC or RSA certificate and the suites of Mozilla's intermediate"
                    + " list.")
        case 116:
            clientCertificate(.tls, found)
        case 120:
            bad(
                .tls, found, .tlsAlert,
                "The server does not speak HTTP/1.1 on that port (ALPN), and a WebSocket of a browser"
                    + " begins with that.", "Enable http/1.1 on the server, beside h2.")
        case 112:
            bad(
                .tls, found, .tlsAlert,
                "The server knows no \(url.host): it refuses that name (SNI).",
                "Give the server a certificate for \(url.host), or use the name that it has.")
        default:
            bad(
                .tls, found, .tlsAlert, "The server refuses the handshake: \(alert.name).",
                "Look into the server's log.")
        }
    }

    mutating func clientCertificate(_ step: Step.Kind, _ found: String) {
        let opinion = Self.wantsCertificate
        bad(step, found, opinion.verdict, opinion.sentence, opinion.remedy)
    }
}
