// SPDX-License-Identifier: Apache-2.0

extension UpstreamTLSSettings {
    static let section = Section(
        "upstreams.NAME.tls", UpstreamTLSSettings(),
        [
            .custom(
                "ca", .text("path"), absent: "the system's authorities",
                "PEM: the authorities that are trusted, and no others. A certificate that has signed itself is one. "
                    + "Read again by a reload"
            ) { owner, value in
                guard let path = value.text("the path of a PEM file") else { return false }
                owner.authorities = value.findings.resolve(path)
                owner.authoritiesPlace = value.place
                return true
            },
            .custom(
                "serverName", .text("name"), absent: "the endpoint's host",
                "the name that the certificate has to have, and that is asked for (SNI); an address is not asked for"
            ) { owner, value in
                let what = "a host name or address, without port and brackets"
                guard let text = value.text(what) else { return false }
                guard Syntax.isHostName(text[...]) || Syntax.isIPv6(text[...]) else {
                    value.report("found '\(text)', allowed: \(what)")
                    return false
                }
                owner.serverName = text
                return true
            },
            .custom(
                "certificate", .mapping("upstreams.NAME.tls.certificate"), absent: "none",
                "what is shown to an endpoint that asks for a certificate"
            ) { owner, value in
                owner.certificate = CertificateSettings(client: value)
                return owner.certificate != nil
            },
            .word("minimumVersion", \.minimumVersion, "the lowest version of TLS that is spoken"),
            .boolean(
                "verify", \.isVerifying,
                "`false` takes any certificate, so that anybody on the way can read and change what passes: "
                    + "Sluice warns of it"),
        ])

    init?(_ value: Value) {
        let read = Self.section.decode(value) { tls, fields in
            tls.place = fields.place
            if !tls.isVerifying {
                fields["ca"]?.report("has no meaning with verify: false: nobody is asked")
            }
            return true
        }
        guard let read else { return nil }
        self = read
    }
}

extension CertificateSettings {
    static let clientSection = Section(
        "upstreams.NAME.tls.certificate", CertificateSettings(chain: "", key: ""),
        [
            .required(
                "chain", .text("path"),
                "PEM: the certificate, then the ones that signed it"
            ) { owner, value in
                guard let path = value.text("the path of a PEM file") else { return false }
                owner.chain = value.findings.resolve(path)
                return true
            },
            .required("key", .text("path"), "PEM: its private key") { owner, value in
                guard let path = value.text("the path of a PEM file") else { return false }
                owner.key = value.findings.resolve(path)
                return true
            },
        ])

    fileprivate init?(client value: Value) {
        let read = Self.clientSection.decode(value) { certificate, fields in
            certificate.place = fields.place
            return true
        }
        guard let read else { return nil }
        self = read
    }
}
