// SPDX-License-Identifier: Apache-2.0
//
// Goal: each way in which people get the files of a certificate wrong has a sentence of its own, the same
// in `check`, at the start, in quick mode and at a reload; what OpenSSL can serve is served.
// Method: the files are made with the `openssl` program as people make them; what loads is proven by
// handshakes of `openssl s_client` and of GnuTLS.

import Foundation
import Glibc
import TestKit
import Testing

/// A root, an intermediate and a server's certificate, made once, and a folder of its own for a test.
private final class CertificateKit {
    let folder: String
    var chain: String { "\(folder)/chain.pem" }
    var key: String { "\(folder)/key.pem" }
    var identity: TestIdentity { TestIdentity(chain: chain, key: key) }

    private static let made: Result<String, any Error> = Result {
        let folder = try Scratch.makeFolder()
        try Scratch.write(prelude, to: "\(folder)/prelude.sh")
        try Scratch.write(
            """
            . ./prelude.sh
            curve='-algorithm EC -pkeyopt ec_paramgen_curve:P-256'
            openssl genpkey $curve -out root.key
            openssl req -x509 -new -key root.key -subj '/CN=Test root' -days 30 -out root.pem \
                -addext basicConstraints=critical,CA:TRUE
            openssl genpkey $curve -out between.key
            sign between 'Test intermediate' root 'basicConstraints=critical,CA:TRUE'
            openssl genpkey $curve -out server.key
            sign server 'Test server' between 'subjectAltName=DNS:localhost'
            openssl genpkey $curve -out other.key

            """, to: "\(folder)/make.sh")
        try run(["sh", "-ec", "cd \(folder) && . ./make.sh"])
        atexit { if let folder = try? CertificateKit.made.get() { Scratch.remove(folder) } }
        return folder
    }

    /// `sign NAME SUBJECT ISSUER EXTENSION [OPTION…]` makes NAME.pem for NAME.key.
    private static let prelude = """
        sign() {
            name=$1 subject=$2 issuer=$3 extension=$4; shift 4
            printf '%b\\n' "$extension" > $name.ext
            openssl req -new -key $name.key -subj "/CN=$subject" -out $name.req
            openssl x509 -req -in $name.req -CA $issuer.pem -CAkey $issuer.key -extfile $name.ext \
                -days 30 -out $name.pem "$@"
        }
        # A server's certificate with the key of these options.
        kind() {
            openssl genpkey "$@" -out key.pem
            cp key.pem server.key
            sign server 'Test server' between 'subjectAltName=DNS:localhost'
            cat server.pem between.pem > chain.pem
        }
        # One with the usual key and these extensions.
        extended() {
            cp server.key key.pem
            sign server 'Test server' between "$1"
            cat server.pem between.pem > chain.pem
        }

        """

    /// The files of a server, changed by a script.
    init(_ script: String) throws {
        folder = try Scratch.makeFolder()
        let kit = try Self.made.get()
        try Scratch.write(script, to: "\(folder)/change.sh")
        try run([
            "sh", "-ec",
            """
            cp \(kit)/*.pem \(kit)/*.key \(kit)/prelude.sh \(folder); cd \(folder); umask 077
            cat server.pem between.pem > chain.pem; cp server.key key.pem; chmod 600 key.pem
            . ./prelude.sh; . ./change.sh
            """,
        ])
    }

    deinit { Scratch.remove(folder) }

    /// What `sluice check` says of the pair.
    func check() throws -> (status: Int32, said: String) {
        let file = "\(folder)/sluice.yaml"
        try Scratch.write(
            """
            listen:
              - address: 127.0.0.1:0
                tls: { certificates: [\(identity.setting)] }
            routes: [{ path: /, respond: { status: 204 } }]

            """, to: file)
        let child = try ChildProcess([try ProxyFixture.program(), "check", "-c", file])
        let status = try child.waitForExit()
        return (status, (child.output + child.errors).joined(separator: "\n"))
    }

    /// A Sluice that serves the pair.
    func serve() throws -> ProxyFixture {
        try ProxyFixture(
            routes: ["{ path: /, respond: { status: 204 } }"], listeners: [.tls([identity])])
    }
}

@Suite struct CertificateFilesTests {
    /// A way to get it wrong: what is done, and words of the sentence that it gets.
    struct Slip: Sendable, CustomStringConvertible {
        let description: String
        let script: String
        let words: [String]
    }

    private static func slip(_ name: String, _ script: String, _ words: String...) -> Slip {
        Slip(description: name, script: script, words: words)
    }

    private static let refused = [
        slip(
            "no chain", "rm chain.pem", "chain.pem: there is no such file; correct the path",
            "correct the path"),
        slip("no key", "rm key.pem", "key.pem: there is no such file; correct the path"),
        slip("empty", ": > chain.pem", "chain.pem: it is empty"),
        slip("blank key", "echo > key.pem", "key.pem: it is empty"),
        slip("directory", "rm chain.pem; mkdir chain.pem", "it is a directory"),
        slip("pipe", "rm chain.pem; mkfifo chain.pem", "it is no file, but a pipe"),
        slip("key-pipe", "rm key.pem; mkfifo key.pem", "it is no file, but a pipe"),
        slip("large", "head -c 2000000 /dev/zero > chain.pem", "larger than 1 MiB"),
        slip("no PEM", "echo hello > chain.pem", "there is no certificate in PEM form in it"),
        slip(
            "DER", "openssl x509 -in server.pem -outform DER -out chain.pem",
            "it is a certificate in DER form", "openssl x509 -inform DER -in "),
        slip(
            "DER key", "openssl pkey -in server.key -outform DER -out key.pem",
            "it is a private key in DER form", "openssl pkey -inform DER -in "),
        slip(
            "PKCS#12",
            "openssl pkcs12 -export -in chain.pem -inkey key.pem -passout pass:x -out chain.pem.p12;"
                + " mv chain.pem.p12 chain.pem", "it is a PKCS#12 file", "openssl pkcs12 -in "),
        slip(
            "PKCS#7",
            "openssl crl2pkcs7 -nocrl -certfile server.pem -outform DER -out chain.pem",
            "it is a PKCS#7 file", "-print_certs"),
        slip(
            "UTF-16", "iconv -f UTF-8 -t UTF-16 server.pem > chain.pem", "it is text in UTF-16",
            "iconv -f UTF-16 -t UTF-8"),
        slip(
            "UTF-16 key without a mark", "iconv -f UTF-8 -t UTF-16BE server.key > key.pem",
            "key.pem: it is text in UTF-16"),
        slip(
            "a request",
            "mv server.req chain.pem 2>/dev/null ||"
                + " openssl req -new -key server.key -subj /CN=x -out chain.pem",
            "there is no certificate in it, but a request for one (CSR)"),
        slip(
            "a public key", "openssl pkey -in server.key -pubout -out key.pem",
            "there is no private key in it, but a public key"),
        slip(
            "OpenSSH's form", "rm key.pem; ssh-keygen -q -t ed25519 -N '' -f key.pem",
            "in the form of OpenSSH"),
        slip(
            "swapped", "mv chain.pem x; mv key.pem chain.pem; mv x key.pem",
            "there is a private key in it and no certificate", "chain and key are swapped"),
        slip(
            "another key", "cp other.key key.pem",
            "the key does not belong to the first certificate"),
        slip(
            "passphrase", "openssl pkey -in server.key -aes256 -passout pass:secret -out key.pem",
            "the private key has a passphrase", "openssl pkey -in "),
        slip(
            "passphrase of the old form",
            "openssl ec -in server.key -aes128 -passout pass:secret -out key.pem",
            "the private key has a passphrase"),
        slip(
            "cut off", "head -c 900 chain.pem > x; mv x chain.pem",
            "(CERTIFICATE) is cut off or damaged"),
        slip("damaged key", "sed -i '2s/^....../******/' key.pem", "is cut off or damaged"),
        slip(
            "secp256k1", "kind -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
            "its key is on the curve secp256k1"),
        slip(
            "brainpool", "kind -algorithm EC -pkeyopt ec_paramgen_curve:brainpoolP256r1",
            "its key is on the curve brainpoolP256r1"),
        slip(
            "explicit parameters",
            "kind -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
            "spells out the parameters of its curve"),
        slip(
            "RSA with 1024 bits", "kind -algorithm RSA -pkeyopt rsa_keygen_bits:1024",
            "the key of the certificate is too small (RSA 1024)"),
        slip(
            "clients only", "extended 'subjectAltName=DNS:localhost\\nextendedKeyUsage=clientAuth'",
            "its extended key usage is clientAuth", "serverAuth"),
        slip(
            "mail and code only",
            "extended 'subjectAltName=DNS:localhost\\nextendedKeyUsage=emailProtection,codeSigning'",
            "its extended key usage is emailProtection, codeSigning"),
        slip(
            "no digitalSignature",
            "extended 'subjectAltName=DNS:localhost\\nkeyUsage=keyEncipherment'",
            "lacks digitalSignature"),
        slip(
            "SHA-1",
            "cp server.key key.pem; sign server x between 'subjectAltName=DNS:localhost' -sha1;"
                + " cat server.pem between.pem > chain.pem",
            "is signed with a digest that is too weak"),
    ]

    @Test(arguments: refused)
    func `what can't be served is refused with a sentence of its own`(slip: Slip) throws {
        let kit = try CertificateKit(slip.script)
        let (status, said) = try kit.check()
        #expect(status == 1, "\(said)")
        for words in slip.words { #expect(said.contains(words), "\(said)") }
        // The place in the configuration stands in front.
        #expect(said.contains("sluice.yaml:3:"), "\(said)")
    }

    private static let warned = [
        slip(
            "expired",
            "cp server.key key.pem; sign server x between 'subjectAltName=DNS:localhost' -days -1;"
                + " cat server.pem between.pem > chain.pem",
            "Warning: ", "the certificate expired on ", "renew it"),
        slip(
            "near its end",
            "cp server.key key.pem; openssl req -new -key server.key -subj /CN=x -out r;"
                + " printf subjectAltName=DNS:localhost > e;"
                + " faketime '-59 days -12 hours' openssl x509 -req -in r -CA between.pem -CAkey between.key"
                + " -extfile e -days 65 -out server.pem; cat server.pem between.pem > chain.pem",
            "the certificate expires in 5 days, on ", "renew it before that"),
        slip(
            "expired intermediate",
            "sign between 'Test intermediate' root 'basicConstraints=critical,CA:TRUE' -days -1;"
                + " cat server.pem between.pem > chain.pem",
            "the intermediate certificate CN=Test intermediate expired on "),
        slip(
            "not yet valid",
            "cp server.key key.pem; cp server.req r 2>/dev/null || openssl req -new -key server.key"
                + " -subj /CN=x -out r; printf subjectAltName=DNS:localhost > e;"
                + " faketime '+20 days' openssl x509 -req -in r -CA between.pem -CAkey between.key"
                + " -extfile e -days 30 -out server.pem; cat server.pem between.pem > chain.pem",
            "the certificate is not valid before "),
        slip(
            "no subjectAltName", "extended 'basicConstraints=CA:FALSE'",
            "has no subjectAltName, only the common name test server", "RFC 9525"),
        slip(
            "root first", "cat root.pem between.pem server.pem > chain.pem",
            "the key belongs to certificate 3 of the file, not to the first"),
        slip(
            "leaf twice", "cat server.pem server.pem between.pem > chain.pem",
            "the certificate CN=Test server stands in it more than once"),
        slip(
            "out of order", "cat server.pem root.pem between.pem > chain.pem",
            "do not stand in the order in which they signed each other"),
        slip(
            "a stranger for the intermediate",
            "sed -n p server.pem > chain.pem; openssl req -x509 -new -key other.key -subj /CN=Stranger"
                + " -out s.pem; cat s.pem >> chain.pem",
            "the certificate of CN=Test intermediate, which signed the first one, is not in it",
            "the certificate CN=Stranger signed none of the others"),
        slip(
            "intermediate missing",
            "extended 'subjectAltName=DNS:localhost\\nauthorityInfoAccess=caIssuers;URI:http://a.test/i';"
                + " cp server.pem chain.pem", "which signed the first one, is not in it",
            "fullchain.pem"),
        slip(
            "self-signed by the usual command",
            "openssl req -x509 -new -key server.key -subj /CN=localhost -addext"
                + " subjectAltName=DNS:localhost -out chain.pem",
            "the certificate is one of an authority (CA:TRUE)"),
        slip("readable key", "chmod 644 key.pem", "key.pem: others can read the private key"),
        slip("RSA-PSS", "kind -algorithm RSA-PSS", "its key is of the kind RSA-PSS 2048"),
        slip("Ed25519", "kind -algorithm ED25519", "its key is of the kind ED25519"),
        slip("Ed448", "kind -algorithm ED448", "its key is of the kind ED448"),
    ]

    @Test(arguments: warned)
    func `what can be served is served with a warning`(slip: Slip) throws {
        let kit = try CertificateKit(slip.script)
        let (status, said) = try kit.check()
        #expect(status == 0, "\(said)")
        for words in slip.words { #expect(said.contains(words), "\(said)") }
        let proxy = try kit.serve()
        for words in slip.words where words != "Warning: " {
            try proxy.process.waitForLine(containing: words)
        }
        try expectHandshakes(proxy)
    }

    /// Files that need no word.
    private static let sound = [
        slip("as it should be", ":"),
        slip("CRLF", "sed -i 's/$/\\r/' chain.pem key.pem"),
        slip("CR alone", "tr '\\n' '\\r' < chain.pem > x; mv x chain.pem"),
        slip(
            "a byte order mark in front of each",
            "for f in server between key; do printf '\\357\\273\\277' | cat - $f.pem > x; mv x $f.pem;"
                + " done; cat server.pem between.pem > chain.pem; chmod 600 key.pem"),
        slip(
            "text around",
            "(echo Subject: x; openssl x509 -in server.pem -text; echo; echo Issuer:;"
                + " cat between.pem; echo end) > chain.pem"),
        slip(
            "joined without a line end",
            "(printf %s \"$(cat server.pem)\"; cat between.pem) > chain.pem"),
        slip("indented", "sed -i 's/^/    /' chain.pem key.pem"),
        slip(
            "one file for both",
            "cat key.pem server.pem between.pem > x; cp x chain.pem; mv x key.pem"),
        slip(
            "parameters in front of the key",
            "openssl ecparam -name prime256v1 -out x; openssl ec -in server.key >> x; mv x key.pem"),
        slip("with the root", "cat server.pem between.pem root.pem > chain.pem"),
        slip(
            "for both ends",
            "extended 'subjectAltName=DNS:localhost\\nextendedKeyUsage=serverAuth,clientAuth'"),
        slip("P-384", "kind -algorithm EC -pkeyopt ec_paramgen_curve:P-384"),
        slip("P-521", "kind -algorithm EC -pkeyopt ec_paramgen_curve:P-521"),
        slip("RSA", "kind -algorithm RSA -pkeyopt rsa_keygen_bits:2048"),
    ]

    @Test(arguments: sound)
    func `what people's tools leave behind is read, and needs no word`(slip: Slip) throws {
        let kit = try CertificateKit(slip.script)
        let (status, said) = try kit.check()
        #expect(status == 0 && !said.contains("Warning"), "\(said)")
        try expectHandshakes(try kit.serve(), verifiedBy: "\(kit.folder)/root.pem")
    }

    /// RFC 8446 §4.4.2: whatever the file's order, clients get the server's certificate first, and what
    /// signed it behind it.
    @Test(arguments: [
        "cat root.pem between.pem server.pem > chain.pem",
        "cat server.pem server.pem root.pem between.pem > chain.pem",
        "kind -algorithm RSA-PSS",
        "kind -algorithm RSA-PSS -pkeyopt rsa_pss_keygen_md:sha384"
            + " -pkeyopt rsa_pss_keygen_mgf1_md:sha384 -pkeyopt rsa_pss_keygen_saltlen:48",
        "kind -algorithm ED448",
    ])
    func `clients verify the chain that is sent`(script: String) throws {
        let kit = try CertificateKit(script)
        try expectHandshakes(try kit.serve(), verifiedBy: "\(kit.folder)/root.pem")
    }

    /// OpenSSL and GnuTLS, in both versions of TLS.
    private func expectHandshakes(
        _ proxy: ProxyFixture, verifiedBy root: String? = nil,
        _ location: SourceLocation = #_sourceLocation
    ) throws {
        let address = "127.0.0.1:\(proxy.port())"
        for version in ["-tls1_2", "-tls1_3"] {
            let client = try ChildProcess(
                ["openssl", "s_client", "-connect", address, "-servername", "localhost", version]
                    + (root.map { ["-CAfile", $0, "-verify_return_error"] } ?? []))
            try client.waitForExit()
            let said = (client.output + client.errors).joined(separator: "\n")
            #expect(said.contains("New, TLSv1."), "\(version): \(said)", sourceLocation: location)
            if root != nil {
                #expect(
                    said.contains("Verify return code: 0 (ok)"), "\(said)", sourceLocation: location
                )
            }
        }
        let gnu = try ChildProcess(
            ["gnutls-cli", "--port", "\(proxy.port())", "localhost"]
                + (root.map { ["--x509cafile", $0] } ?? ["--no-ca-verification"]))
        try gnu.waitForExit()
        let said = (gnu.output + gnu.errors).joined(separator: "\n")
        #expect(said.contains("Handshake was completed"), "\(said)", sourceLocation: location)
    }

    @Test func `the start, quick mode and a reload say the same`() throws {
        let kit = try CertificateKit(":")
        let file = "\(kit.folder)/sluice.yaml"
        let socket = "\(kit.folder)/admin.sock"
        try Scratch.write(
            """
            listen:
              - address: 127.0.0.1:0
                tls: { certificates: [\(kit.identity.setting)] }
            routes: [{ path: /, respond: { status: 204 } }]
            admin: { socket: "\(socket)" }

            """, to: file)
        let proxy = try ProxyFixture(configuration: try Scratch.read(file))
        func reload() throws -> (status: Int32, said: String) {
            let child = try ChildProcess([
                try ProxyFixture.program(), "reload", "--admin", socket,
            ])
            let status = try child.waitForExit()
            return (status, (child.output + child.errors).joined(separator: "\n"))
        }
        func change(_ script: String) throws {
            try run(["sh", "-ec", "cd \(kit.folder); \(script)"])
        }
        try change("cp chain.pem sound.pem; cat root.pem between.pem server.pem > chain.pem")
        let warned = try reload()
        #expect(warned.status == 0, "\(warned)")
        #expect(warned.said.contains("Warning: "), "\(warned)")
        #expect(warned.said.contains("the key belongs to certificate 3"), "\(warned)")
        try proxy.process.waitForLine(containing: "the key belongs to certificate 3")
        try proxy.process.waitForLine(containing: "The configuration was taken up as generation")
        let lines = proxy.process.output + proxy.process.errors
        #expect(
            lines.count { $0.contains("the key belongs to certificate 3") } == 1, "\(lines)")

        try change("openssl x509 -in server.pem -outform DER -out chain.pem")
        let sentence = "chain.pem: it is a certificate in DER form"
        let refused = try reload()
        #expect(refused.status == 1 && refused.said.contains(sentence), "\(refused)")
        // What was served before still is.
        try expectHandshakes(proxy, verifiedBy: "\(kit.folder)/root.pem")
        let program = try ProxyFixture.program()
        let pair = ["--cert", kit.chain, "--key", kit.key]
        for command in [
            ["run", "-c", file], ["9", "--listen", "127.0.0.1:0"] + pair,
        ] {
            let child = try ChildProcess([program] + command, environment: ["HOME": kit.folder])
            #expect(try child.waitForExit() == 1)
            #expect(child.errors.contains { $0.contains(sentence) }, "\(child.errors)")
        }
        try change("cp sound.pem chain.pem; chmod 644 key.pem")
        let quick = try ProxyFixture(arguments: ["9", "--listen", "127.0.0.1:0"] + pair)
        try quick.process.waitForLine(containing: "key.pem: others can read the private key")
    }

    @Test func `all that is wrong is said at once`() throws {
        let kit = try CertificateKit("cp other.key key.pem; : > empty.pem")
        let file = "\(kit.folder)/sluice.yaml"
        try Scratch.write(
            """
            listen:
              - address: 127.0.0.1:0
                tls:
                  certificates:
                    - \(kit.identity.setting)
                    - { chain: "\(kit.folder)/empty.pem", key: "\(kit.folder)/key.pem" }
            routes: [{ path: /, respond: { status: 204 } }]

            """, to: file)
        let child = try ChildProcess([try ProxyFixture.program(), "check", "-c", file])
        #expect(try child.waitForExit() == 1)
        let said = child.errors.joined(separator: "\n")
        #expect(said.contains("sluice.yaml:5:") && said.contains("does not belong"), "\(said)")
        #expect(
            said.contains("sluice.yaml:6:") && said.contains("empty.pem: it is empty"), "\(said)")
    }
}
