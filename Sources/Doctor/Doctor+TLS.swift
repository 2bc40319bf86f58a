// SPDX-License-Identifier: Apache-2.0
import TLS

extension Doctor {
    /// TLS and certificate; false where the way ends.
    mutating func secure(_ line: Line) throws(TLSError) -> Bool {
        let known = options.authorities + (options.localAuthority.map { [$0] } ?? [])
        let probe = try TLSProbe(serverName: url.host, trusting: known)
        var step = probe.handshake()
        line.sendRaw(probe.takeOutput())
        var first: [UInt8] = []
        while step == .wantsInput {
            guard let bytes = line.receiveRaw(until: answerDeadline) else {
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
        if probe.isVersionOld {
            bad(
                "TLS", "\(probe.version), \(probe.cipher)", .tlsVersion,
                "The server speaks \(probe.version) at most, which browsers have given up.",
                "Enable TLS 1.2 or 1.3 on the server.")
            return false
        }
        good("TLS", "\(probe.version), \(probe.cipher)")
        guard judge(probe) else { return false }
        line.probe = probe
        return true
    }

    /// The port takes the hello and says nothing: a plain server may wait for a line's end.
    private mutating func silent(_ line: Line) {
        if plainWorks() != nil {
            plain("no answer to a TLS handshake")
            return
        }
        bad(
            "TLS", "no answer to the handshake", .handshakeCut,
            "The port takes the connection and does not answer a TLS handshake.",
            "See whether the server is stuck, or whether another program has that port.")
    }

    /// The connection ended in the handshake.
    private mutating func ended(_ probe: TLSProbe, _ bytes: [UInt8]) {
        if bytes.isEmpty || bytes.first != 0x15, plainWorks() != nil {
            plain("the connection ends at a TLS handshake")
            return
        }
        if probe.alert != nil {
            refusedHandshake(probe)
            return
        }
        bad(
            "TLS", "the connection ends in the handshake", .handshakeCut,
            "The server closes the connection in the middle of the TLS handshake.",
            "Look into the server's log: it may lack a certificate for \(url.host), or a middle box"
                + " cuts the connection.")
    }

    /// Something that is no TLS came back.
    private mutating func other(_ bytes: [UInt8]) {
        let text = String(
            decoding: bytes.prefix { $0 != 13 && $0 != 10 }.prefix(60).map {
                $0 >= 0x20 && $0 < 0x7F ? $0 : UInt8(ascii: ".")
            }, as: UTF8.self)
        if bytes.starts(with: Array("HTTP/".utf8)) {
            plain("it answers a TLS handshake with \"\(text)\"")
            return
        }
        if plainWorks() != nil {
            plain("it answers a TLS handshake with something else")
            return
        }
        bad(
            "TLS", "the server says \"\(text)\"", .otherProtocol,
            "Port \(url.port) speaks neither TLS nor HTTP; it says \"\(text)\".",
            "Correct the port in the URL.")
    }

    /// The browser's ERR_SSL_PROTOCOL_ERROR.
    private mutating func plain(_ found: String) {
        let status = plainWorks()
        let works =
            status == 101
            ? " \(url.text(secure: false)) works."
            : status.map { " Asked for a WebSocket without TLS, it answers \($0)." } ?? ""
        bad(
            "TLS", found, .plainHTTP,
            "Port \(url.port) speaks plain HTTP, not TLS: that is what browsers call"
                + " ERR_SSL_PROTOCOL_ERROR.\(works)",
            "Put TLS in front of it: sluice \(url.port) makes it wss://localhost:8443\(url.target)."
                + " Changing ws to wss in the URL does not add TLS.")
    }

    /// Another connection to the same port, with two seconds for all on it.
    private func secondLine() -> Line? {
        let name = options.addresses[url.host] ?? url.host
        guard case .success(let addresses) = ResolvedAddress.find(name, port: url.port) else {
            return nil
        }
        for address in addresses {
            if case .done(let line) = Line.connect(address, by: Line.now() + 2) { return line }
        }
        return nil
    }

    /// The status that the port answers a WebSocket with, asked without TLS; nil where none comes.
    private func plainWorks() -> Int? {
        guard let line = secondLine() else { return nil }
        line.send(request(key: WebSocketAccept.makeKey()))
        while line.receive() {
            if let head = Self.head(line.waiting) { return head.status }
        }
        return Self.head(line.waiting)?.status
    }

    /// Whether the port answers a TLS handshake in TLS.
    func speaksTLS() -> Bool {
        guard let line = secondLine(),
            let probe = try? TLSProbe(serverName: url.host, trusting: [])
        else { return false }
        _ = probe.handshake()
        line.sendRaw(probe.takeOutput())
        let first = line.receiveRaw()?.first
        return first == 0x16 || first == 0x15
    }

    private mutating func refusedHandshake(_ probe: TLSProbe) {
        guard let alert = probe.alert else {
            bad(
                "TLS", probe.failure, .handshakeCut,
                "The TLS handshake fails: \(probe.failure).", "Look into the server's log.")
            return
        }
        let found = "the server's alert: \(alert.name) (\(alert.number))"
        switch alert.number {
        case 70:
            bad(
                "TLS", found, .tlsVersion,
                "The server speaks no version of TLS that browsers speak.",
                "Enable TLS 1.2 or 1.3 on the server.")
        case 40, 71:
            bad(
                "TLS", found, .tlsCipher,
                "The server has no cipher suite, key exchange or certificate in common with clients.",
                "Give the server an EC or RSA certificate and the suites of Mozilla's intermediate"
                    + " list.")
        case 116:
            clientCertificate("TLS", found)
        case 112:
            bad(
                "TLS", found, .tlsAlert,
                "The server knows no \(url.host): it refuses that name (SNI).",
                "Give the server a certificate for \(url.host), or use the name that it has.")
        default:
            bad(
                "TLS", found, .tlsAlert, "The server refuses the handshake: \(alert.name).",
                "Look into the server's log.")
        }
    }

    mutating func clientCertificate(_ step: String, _ found: String) {
        bad(
            step, found, .clientCertificate,
            "The server lets in only clients that show a certificate.",
            "Install a client certificate in the browser, or have the server not require one.")
    }

    /// What the certificate is worth to a browser.
    private mutating func judge(_ probe: TLSProbe) -> Bool {
        let facts = probe.certificate
        let names = facts?.names.joined(separator: ", ") ?? "none"
        let issuer = facts?.issuer ?? "nobody"
        switch probe.trust {
        case .trusted: break
        case .selfSigned:
            bad(
                "certificate", "signed by itself", .selfSigned,
                "The certificate is signed by nobody but itself, so no browser believes it.",
                "Use one of an authority: sluice cert \(url.host), then sluice cert trust.")
            return false
        case .untrusted:
            bad(
                "certificate", "issued by \(issuer)", .untrustedAuthority,
                "The certificate is signed by \(issuer), which is not trusted here.",
                "Trust that authority (for Sluice's own: sluice cert trust), or give it with --ca.")
            return false
        case .incomplete:
            bad(
                "certificate", "issued by \(issuer), which was not sent", .missingIntermediate,
                "The server sends its own certificate and not the one of \(issuer) that signed it;"
                    + " some clients find it by themselves, others fail.",
                "Give the server the full chain: the leaf first, then the intermediates.")
            return false
        case .wrongName:
            bad(
                "certificate", "for \(names)", .wrongName,
                "The certificate is for \(names), not for \(url.host).",
                "Use one of those names in the URL, or a certificate for \(url.host).")
            return false
        case .expired:
            bad(
                "certificate", "for \(names), its time is over", .expired,
                "The certificate's time is over.",
                "Renew it on the server; if it was renewed, have the server read it again.")
            return false
        case .notYetValid:
            bad(
                "certificate", "for \(names), its time has not begun", .notYetValid,
                "The certificate's time has not begun; perhaps this machine's clock is slow.",
                "Set the clock right, or wait.")
            return false
        case .other(let reason):
            bad(
                "certificate", reason, .badCertificate, "The certificate is refused: \(reason).",
                "Use another certificate.")
            return false
        }
        if probe.rsaBits > 0 && probe.rsaBits < 2_048 {
            bad(
                "certificate", "an RSA key of \(probe.rsaBits) bits", .weakKey,
                "The certificate's key has \(probe.rsaBits) bits; browsers want 2048 for RSA.",
                "Make a new key, EC P-256 or RSA 2048, and a certificate for it.")
            return false
        }
        good("certificate", "for \(names), by \(issuer)")
        if options.localAuthority != nil, issuer.contains("Sluice development CA") {
            diagnosis.notes.append(
                "It is signed by Sluice's local authority; browsers believe it after"
                    + " `sluice cert trust` (`sluice cert status` says which do).")
        }
        return true
    }
}
