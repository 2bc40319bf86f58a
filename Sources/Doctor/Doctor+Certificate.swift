// SPDX-License-Identifier: Apache-2.0
import Glibc
import TLS

extension Doctor {
    /// What a fault of a certificate means to the reader.
    private struct Opinion {
        let found: String
        let verdict: Verdict
        let sentence: String
        let remedy: String
    }

    /// What the certificate is worth to a browser; false where it refuses it.
    mutating func judge(_ probe: TLSProbe) -> Bool {
        let facts = probe.certificate
        let names = Self.names(facts)
        let issuer = facts?.issuer ?? "nobody"
        var opinions = probe.faults.map { opinion($0, probe) }
        if let weakness = probe.weakness {
            opinions.append(
                Opinion(
                    found: weakness, verdict: .weakKey,
                    sentence: "Browsers refuse it: \(weakness).",
                    remedy: "Make a new key, EC P-256 or RSA 2048, and a certificate for it with a"
                        + " SHA-256 signature."))
        }
        guard let first = opinions.first else {
            good(.certificate, "for \(names), by \(issuer)")
            let now = Int64(time(nil))
            if let term = facts?.term, term.condition(at: now) == .endsSoon {
                diagnosis.notes.append(
                    "The certificate's time is over \(term.wait(at: now)), on"
                        + " \(Self.day(term.notAfter)): renew it.")
            }
            if let local = options.localAuthority,
                let authority = try? CertificateFacts.read(pemFile: local),
                probe.chain.contains(where: { $0.issuer == authority.subject })
            {
                askBrowsers()
            }
            return true
        }
        bad(.certificate, first.found, first.verdict, first.sentence, first.remedy)
        diagnosis.notes += opinions.dropFirst().map { "Besides: \($0.sentence)" }
        return false
    }

    private static func names(_ facts: CertificateFacts?) -> String {
        guard let names = facts?.names, !names.isEmpty else { return "no name" }
        // A large site's certificate has a hundred.
        let more = names.count > 8 ? " and \(names.count - 8) more" : ""
        return names.prefix(8).joined(separator: ", ") + more
    }

    private func opinion(_ fault: TLSProbe.Fault, _ probe: TLSProbe) -> Opinion {
        let facts = probe.certificate
        let names = Self.names(facts)
        let issuer = facts?.issuer ?? "nobody"
        switch fault {
        case .selfSigned:
            return Opinion(
                found: "signed by itself", verdict: .selfSigned,
                sentence:
                    "The certificate is signed by nobody but itself, so no browser believes it.",
                remedy: "Use one of an authority: "
                    + (url.isLocal
                        ? "" : "a public one such as Let's Encrypt, or, for your machines alone, ")
                    + "sluice cert \(NameScope.options(for: [url.host]))\(url.host), then sluice cert"
                    + " trust.")
        case .untrusted where probe.isLeafAlone:
            return Opinion(
                found: "issued by \(issuer), which was not sent", verdict: .missingIntermediate,
                sentence: "The server sends its own certificate and not the one of \(issuer) that"
                    + " signed it; some clients find it by themselves, others fail.",
                remedy: "Give the server the full chain: the leaf first, then the intermediates.")
        case .untrusted:
            return Opinion(
                found: "issued by \(issuer)", verdict: .untrustedAuthority,
                sentence: "The certificate is signed by \(issuer), which is not trusted here.",
                remedy: trusting(issuer, probe)
                    + " If this is only an intermediate certificate, the server must send it too.")
        case .wrongName:
            return Opinion(
                found: "for \(names)", verdict: .wrongName,
                sentence: "The certificate is for \(names), not for \(url.host).",
                remedy: facts?.names.isEmpty == true
                    ? "Make one with \(url.host) among its subjectAltNames; browsers ignore the CN."
                    : "Use one of those names in the URL, or a certificate for \(url.host)"
                        + (url.isLocal
                            ? " (a Sluice in quick mode makes one with --host \(url.host))." : "."))
        case .expired:
            let place = Self.outside(probe) { $0.notAfter < $1 }
            let day = place.map { " on \(Self.day($0.facts.notAfter))" } ?? ""
            return Opinion(
                found: "for \(names), its time is over", verdict: .expired,
                sentence: "The \(place?.whose ?? "certificate")'s time was over\(day).",
                remedy: "Renew it on the server; if it was renewed, have the server read it again.")
        case .notYetValid:
            let place = Self.outside(probe) { $0.notBefore > $1 }
            let day = place.map { " before \(Self.day($0.facts.notBefore))" } ?? ""
            return Opinion(
                found: "for \(names), its time has not begun", verdict: .notYetValid,
                sentence: "The \(place?.whose ?? "certificate") is not valid\(day); here it is"
                    + " \(Self.day(Int64(time(nil)))). Perhaps this machine's clock is slow.",
                remedy: "Set the clock right, or wait.")
        case .other(let reason):
            return Opinion(
                found: reason, verdict: .badCertificate,
                sentence: "The certificate is refused: \(reason).",
                remedy: "Use another certificate.")
        }
    }

    /// How to trust an authority, by its file where one of that name lies near.
    private func trusting(_ issuer: String, _ probe: TLSProbe) -> String {
        let root = probe.chain.last?.issuer ?? issuer
        let file = options.nearbyAuthorities.first { file in
            guard !options.authorities.contains(file) else { return false }
            return (try? CertificateFacts.read(pemFile: file))?.subject == root
        }
        guard let file else {
            return
                "Trust that authority (for one of Sluice's own: sluice cert trust, with --directory DIR if"
                + " its ca.pem is elsewhere), or give its file with --ca."
        }
        let folder = file.lastIndex(of: "/").map { String(file[..<$0]) } ?? "."
        return
            "\(file) has that name: trust it by `sluice cert trust --directory \(folder)`, or for this"
            + " look alone give --ca \(file)."
    }

    /// The first certificate of the chain that is outside of its time.
    private static func outside(
        _ probe: TLSProbe, _ isOutside: (CertificateFacts, Int64) -> Bool
    ) -> (facts: CertificateFacts, whose: String)? {
        let now = Int64(time(nil))
        return probe.chain.enumerated().first { isOutside($1, now) }.map { index, facts in
            (facts, index == 0 ? "certificate" : "intermediate certificate")
        }
    }

    /// A day in UTC, as 2026-11-25.
    static func day(_ unixSeconds: Int64) -> String {
        var time = time_t(unixSeconds)
        var parts = tm()
        guard gmtime_r(&time, &parts) != nil else { return "?" }
        func padded(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
    }

    /// Takes the certificate's part where the server's clock says another day, on which it is valid.
    mutating func blameTheClock(_ line: Line) {
        let verdict = diagnosis.verdict
        guard verdict == .expired || verdict == .notYetValid, let there = serverTime,
            let chain = line.probe?.chain, let facts = chain.first
        else { return }
        let here = Int64(time(nil))
        // All of the chain: an intermediate that is over is so by either clock, most likely.
        guard abs(there - here) > 86_400,
            chain.allSatisfy({ $0.notBefore <= there && there <= $0.notAfter })
        else { return }
        conclude(
            .clockOff,
            "Here it is \(Self.day(here)), at the server \(Self.day(there)): by the server's clock the"
                + " certificate is valid (\(Self.day(facts.notBefore)) to"
                + " \(Self.day(facts.notAfter))), by this one's it is not.",
            "Set the clock that is wrong, most likely this machine's: timedatectl set-ntp true.")
    }

    private static let months = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    /// Reads a `Date` field (RFC 9110 §5.6.7) to seconds since 1970; nil where it is none.
    static func seconds(ofDate text: String) -> Int64? {
        // Sun, 06 Nov 1994 08:49:37 GMT
        let words = text.split { " :".contains($0) }
        guard words.count == 8, words[7] == "GMT",
            let month = months.firstIndex(of: String(words[2])),
            let day = Int32(words[1]), let year = Int32(words[3]), let hour = Int32(words[4]),
            let minute = Int32(words[5]), let second = Int32(words[6]),
            (1...31).contains(day), (1970...9999).contains(year), (0...23).contains(hour),
            (0...59).contains(minute), (0...60).contains(second)
        else { return nil }
        var parts = tm()
        parts.tm_year = year - 1_900
        parts.tm_mon = Int32(month)
        parts.tm_mday = day
        parts.tm_hour = hour
        parts.tm_min = minute
        parts.tm_sec = second
        return Int64(timegm(&parts))
    }
}
