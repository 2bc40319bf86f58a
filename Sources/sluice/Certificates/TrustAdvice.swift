// SPDX-License-Identifier: Apache-2.0
import Trust

/// How programs and other machines come to trust an authority, as lines to copy.
enum TrustAdvice {
    /// For programs that have a list of their own, or none.
    ///
    /// `path` is a PEM file with the authority, `bundle` one with all that the system trusts, if the
    /// authority is among them.
    static func programs(_ path: String, bundle: String? = nil) -> [String] {
        let list = Shell.word(bundle ?? path)
        let lines = [
            "  Node.js       export NODE_EXTRA_CA_CERTS=\(Shell.word(path))  (beside its own list)",
            "  requests      export REQUESTS_CA_BUNDLE=\(list)  (Python; in place of its list)",
        ]
        if bundle != nil { return lines }
        return lines + [
            "  most others   export SSL_CERT_FILE=\(list)  (OpenSSL, Python, curl, Go, Ruby; in place"
                + " of the system's)"
        ]
    }

    /// For other machines that have the file there, as PEM.
    ///
    /// `folder` is where the authority is, if it had to be named.
    static func machines(pem name: String, in folder: String? = nil) -> [String] {
        let file = Shell.word(name)
        let mounted = name.hasPrefix("/") ? file : "\"$PWD\"/\(file)"
        let place = folder.map { " --directory \(Shell.word($0))" } ?? ""
        return [
            "With the file there (it is no secret; the key stays here):",
            "  Debian, Ubuntu  sudo cp \(file) /usr/local/share/ca-certificates/sluice-ca.crt && sudo"
                + " update-ca-certificates",
            "  Fedora          sudo cp \(file) /etc/pki/ca-trust/source/anchors/sluice-ca.crt && sudo"
                + " update-ca-trust extract",
            "  Arch            sudo trust anchor --store \(file)",
            "  macOS           sudo security add-trusted-cert -d -k /Library/Keychains/System.keychain"
                + " \(file)",
            "  Windows         certutil -user -addstore Root \(file)",
            "  Dockerfile      COPY \(file) /usr/local/share/ca-certificates/sluice-ca.crt",
            "                  RUN update-ca-certificates  (package ca-certificates; Alpine as well)",
            "  docker run      -v \(mounted):/sluice-ca.pem:ro -e NODE_EXTRA_CA_CERTS=/sluice-ca.pem"
                + " -e SSL_CERT_FILE=/sluice-ca.pem",
            "  phone           \(Program.name) cert export\(place) --der --output sluice-ca.cer",
            "and for programs with a list of their own:",
        ] + programs(name)
    }

    /// For phones, and what else reads DER.
    static func machines(der name: String) -> [String] {
        let file = Shell.word(name)
        return [
            "Send the file to the phone, by mail or a web server, and open it there:",
            "  Android         Settings, Security and privacy, Encryption and credentials, Install a"
                + " certificate, CA certificate",
            "  iOS, iPadOS     Settings, Profile downloaded, Install; then General, About, Certificate"
                + " Trust Settings, switch it on",
            "  macOS           sudo security add-trusted-cert -d -k /Library/Keychains/System.keychain"
                + " \(file)",
            "  Windows         certutil -user -addstore Root \(file)",
        ]
    }
}
