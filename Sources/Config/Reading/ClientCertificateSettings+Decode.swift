// SPDX-License-Identifier: Apache-2.0

extension ClientCertificateSettings {
    static let section = Section(
        "listen[].tls.clientCertificates", ClientCertificateSettings(authorities: ""),
        [
            .required(
                "ca", .text("path"),
                "PEM: the authorities that have signed the certificates of clients"
            ) { owner, value in
                guard let path = value.text("the path of a PEM file") else { return false }
                owner.authorities = value.findings.resolve(path)
                return true
            },
            .word(
                "mode", \.mode,
                "`optional`: clients may show a certificate, and routes say where one is needed. `required`: a handshake "
                    + "without one fails"),
            .custom(
                "revoked", .text("path"), absent: "none is looked at",
                "PEM: lists of revoked certificates (CRL), one of each authority in the chains of clients"
            ) { owner, value in
                guard let path = value.text("the path of a PEM file") else { return false }
                owner.revoked = value.findings.resolve(path)
                return true
            },
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { settings, fields in
            settings.place = fields.place
            return true
        }
        guard let read else { return nil }
        self = read
    }
}

extension CertificateRuleSettings {
    static let section = Section(
        "routes[].access.clientCertificate", CertificateRuleSettings(),
        [
            .custom(
                "names", .list(.text("text")), absent: "any",
                "its names (subjectAltName), of which one is needed: DNS names, also as `*.example.com` for all one label "
                    + "below, mail addresses, URIs, addresses"
            ) { owner, value in
                guard let names = texts(value, "a name without blanks", { !$0.contains(" ") })
                else { return false }
                owner.names = names
                return true
            },
            .custom(
                "subjects", .list(.text("text")), absent: "any",
                "its subjects, of which one is needed, as `CN=alice,O=Example`: the last part of the name first (RFC 4514)"
            ) { owner, value in
                guard let subjects = texts(value, "a subject, as CN=alice,O=Example", isSubject)
                else { return false }
                owner.subjects = subjects
                return true
            },
            .custom(
                "fingerprints", .list(.text("text")), absent: "any",
                "SHA-256 of whole certificates, of which one is needed: 64 hexadecimal digits, with colons or without"
            ) { owner, value in
                let what = "the SHA-256 of a certificate, 64 hexadecimal digits"
                guard let texts = texts(value, what, { digits($0) != nil }) else { return false }
                owner.fingerprints = texts.compactMap(digits)
                return true
            },
            .word(
                "tell", \.tell,
                "what the app gets (RFC 9440): `certificate` for `Client-Cert`, `chain` for `Client-Cert-Chain` too, or "
                    + "`nothing`"),
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { rule, fields in
            rule.place = fields.place
            return true
        }
        guard let read else { return nil }
        self = read
    }

    /// The texts of a list, each of which has to be of some form.
    private static func texts(
        _ value: Value, _ what: String, _ isSound: (String) -> Bool
    ) -> [String]? {
        guard let items = value.nonEmptyList(of: "texts, each \(what)") else { return nil }
        return items.compactMap { item in
            guard let text = item.text(what) else { return nil }
            guard FieldSyntax.isValue(text), isSound(text) else {
                item.report("found '\(text)', allowed: \(what)")
                return nil
            }
            return text
        }
    }

    /// Whether a text can be a subject: no blank stands behind its commas, as other tools write it.
    private static func isSubject(_ text: String) -> Bool {
        text.contains("=") && !text.contains(", ") && !text.contains(" = ") && !text.hasPrefix("/")
    }

    /// The 64 digits of a fingerprint, in lower case.
    private static func digits(_ text: String) -> String? {
        let digits = text.lowercased().filter { $0 != ":" }
        guard digits.count == 64, digits.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
            return nil
        }
        return digits
    }
}
