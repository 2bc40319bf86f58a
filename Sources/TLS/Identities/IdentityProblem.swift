// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc

/// What is wrong with a certificate chain or its key, as files: why it can't be served, or what clients
/// are going to say of it.
///
/// All sentences are made here, for `sluice check`, the start, quick mode and a reload alike.
public struct IdentityProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// What is wrong with the file, or with the pair of chain and key.
    public enum Cause: Equatable, Sendable {
        // Of one file: what it is instead of PEM.
        /// It can't be opened or read; the `errno`.
        case unreadable(Int32)
        /// It is a directory.
        case directory
        /// It is a pipe, a socket or a device.
        case noFile
        /// Nothing is in it.
        case empty
        /// It has more than a mebibyte.
        case tooLarge
        /// Its characters have two bytes each.
        case utf16
        /// It is in a binary form; which one.
        case der(Binary)
        /// It is a Java keystore (JKS).
        case javaKeystore
        /// It is something else.
        case notPEM
        /// Its PEM blocks are something else; the first one's label, and what was wanted.
        case otherContent(String, wanted: String)
        /// A block of it, counted from 1, is cut off or can't be decoded.
        case damaged(block: Int, label: String)
        /// A private key, where the certificate should be.
        case keyInsteadOfCertificate
        /// A certificate, where the private key should be.
        case certificateInsteadOfKey
        /// The key has a passphrase.
        case passphrase

        // Of both: why they can't be served.
        /// The key belongs to none of the chain's certificates; the chain's file.
        case keyOfAnother(chain: String)
        /// TLS has no signatures by keys of this kind.
        case keyKind(String)
        /// TLS 1.3 has no signatures by keys on this curve.
        case curve(String)
        /// The certificate spells its curve out instead of naming it.
        case explicitParameters
        /// The key is too small for the security level of OpenSSL; its kind, and whose it is.
        case keyTooSmall(String, Member)
        /// A certificate is signed with a digest that OpenSSL does not take any more.
        case weakSignature(Member)
        /// The extended key usage does not name servers (RFC 5280 §4.2.1.12); what it names.
        case purpose([String])
        /// The key usage lacks digitalSignature (RFC 5280 §4.2.1.3).
        case noDigitalSignature
        /// A trial signature with the key failed.
        case cannotSign
        /// OpenSSL refuses it for these reasons.
        case refused([String])

        // What clients are going to say of it.
        /// The time of a certificate is over: since when, in seconds since 1970.
        case expired(Int64, Member)
        /// The time of a certificate is over soon: when, in seconds since 1970, and in how many days.
        case endsSoon(Int64, String, Member)
        /// The time of a certificate has not begun: when it begins.
        case notYetValid(Int64, Member)
        /// There is no subjectAltName; the common name, if there is one.
        case noAlternativeName(commonName: String?)
        /// The certificate that belongs to the key is this one of the file, counted from 1.
        case leafNotFirst(Int)
        /// A certificate stands there more than once.
        case repeated(String)
        /// The certificates do not stand in the order in which they signed each other.
        case outOfOrder
        /// What signed the certificate is not there; its name.
        case intermediateMissing(String)
        /// A certificate that signed none of the others.
        case stray(String)
        /// The certificate is one of an authority (CA:TRUE).
        case authority
        /// Browsers accept no keys of this kind.
        case browsersRefuse(String)
        /// Group or others may read the private key.
        case readableByOthers
        /// Another chain of the listener answers for all of its names; that chain.
        case shadowed(by: String)

        // Of what clients' certificates are judged by.
        /// There is no list of revoked certificates in it; the first block's label.
        case noRevocationList(String)
        /// It has no list of this authority's.
        case revocationListMissing(String)
        /// It is a longer list than is read.
        case revocationListTooLong
    }

    /// A binary form that was found where PEM should be.
    public enum Binary: Equatable, Sendable {
        /// One certificate in DER.
        case certificate
        /// A private key in DER.
        case key
        /// Certificates and key together, mostly under a password: `.p12`, `.pfx`.
        case pkcs12
        /// Certificates without key: `.p7b`.
        case pkcs7
    }

    /// Which certificate of a chain is meant.
    public enum Member: Equatable, Sendable {
        /// The server's own certificate.
        case leaf
        /// One behind it, by its subject.
        case intermediate(String)
        /// An authority of clients' certificates, by its subject.
        case clientAuthority(String)
        /// A list of revoked certificates, by who made it.
        case revocationList(String)

        var text: String {
            switch self {
            case .leaf: "the certificate"
            case .intermediate(let subject): "the intermediate certificate \(subject)"
            case .clientAuthority(let subject): "the authority \(subject)"
            case .revocationList(let issuer): "the list of revoked certificates of \(issuer)"
            }
        }
    }

    /// The file that it is about.
    public let file: String
    /// What is wrong with it; the sentence is made of this.
    public let cause: Cause

    init(_ file: String, _ cause: Cause) {
        self.file = file
        self.cause = cause
    }

    /// One line: file, what was found, what to do.
    public var description: String { "\(file): \(found); \(remedy)" }

    /// The same as commands that make certificates say it.
    var fault: CertificateFault { CertificateFault(file, found: found, remedy: remedy) }
}

// MARK: Sentences

extension IdentityProblem {
    /// What was found, as a clause.
    var found: String {
        switch cause {
        case .unreadable(ENOENT): "there is no such file"
        case .unreadable(let code): "it can't be read: \(String(cString: strerror(code)))"
        case .directory: "it is a directory"
        case .noFile: "it is no file, but a pipe (as <(…) of a shell), a socket or a device"
        case .empty: "it is empty"
        case .tooLarge: "it is larger than 1 MiB, which no certificate or key is"
        case .utf16: "it is text in UTF-16, in which no certificate in PEM form can be read"
        case .der(.certificate): "it is a certificate in DER form, not in PEM form"
        case .der(.key): "it is a private key in DER form, not in PEM form"
        case .der(.pkcs12): "it is a PKCS#12 file (.p12, .pfx), not PEM"
        case .der(.pkcs7): "it is a PKCS#7 file (.p7b), not PEM"
        case .javaKeystore: "it is a Java keystore, not PEM"
        case .notPEM: "there is no certificate in PEM form in it, and no key"
        case .otherContent(let label, let wanted):
            "there is no \(wanted) in it, but \(Self.name(of: label))"
        case .damaged(let block, let label):
            "block \(block) (\(label.prefix(40))) is cut off or damaged"
        case .keyInsteadOfCertificate: "there is a private key in it and no certificate"
        case .certificateInsteadOfKey: "there is a certificate in it and no private key"
        case .passphrase: "the private key has a passphrase"
        case .keyOfAnother(let chain):
            "the key does not belong to the first certificate in \(chain)"
        case .keyKind(let kind): "its key is of the kind \(kind), which can't sign in TLS"
        case .curve(let name):
            "its key is on the curve \(name), for which TLS 1.3 has no signatures (RFC 8446 §4.2.3)"
        case .explicitParameters:
            "its key spells out the parameters of its curve, which clients refuse (RFC 5480 §2.1.1)"
        case .keyTooSmall(let kind, let member):
            "the key of \(member.text) is too small (\(kind))"
        case .weakSignature(let member):
            "\(member.text) is signed with a digest that is too weak, as SHA-1 and MD5 are"
        case .purpose(let names):
            "the certificate is not for servers: its extended key usage is"
                + " \(names.joined(separator: ", "))"
        case .cannotSign: "a trial signature with the private key failed"
        case .refused(let reasons): "OpenSSL refuses it: \(reasons.joined(separator: ", "))"
        case .expired(let time, let member): "\(member.text) expired on \(Self.date(time))"
        case .endsSoon(let time, let wait, let member):
            "\(member.text) expires \(wait), on \(Self.date(time))"
        case .notYetValid(let time, let member):
            "\(member.text) is not valid before \(Self.date(time))"
        case .noAlternativeName(let name):
            name.map { "the certificate has no subjectAltName, only the common name \($0)" }
                ?? "the certificate names nobody: it has no subjectAltName"
        case .leafNotFirst(let place):
            "the key belongs to certificate \(place) of the file, not to the first"
        case .repeated(let subject): "the certificate \(subject) stands in it more than once"
        case .outOfOrder:
            "the certificates do not stand in the order in which they signed each other"
        case .intermediateMissing(let issuer):
            "the certificate of \(issuer), which signed the first one, is not in it"
        case .stray(let subject): "the certificate \(subject) signed none of the others in it"
        case .authority: "the certificate is one of an authority (CA:TRUE)"
        case .noDigitalSignature: "the certificate's key usage lacks digitalSignature"
        case .browsersRefuse(let kind): "its key is of the kind \(kind), which browsers refuse"
        case .readableByOthers: "others can read the private key"
        case .shadowed(let chain): "\(chain) already answers for all of its names"
        case .noRevocationList(let label):
            "there is no list of revoked certificates (X509 CRL) in it, but \(Self.name(of: label))"
        case .revocationListTooLong: "it is larger than 32 MiB, and no longer list is read"
        case .revocationListMissing(let authority):
            "it has no list of revoked certificates of \(authority)"
        }
    }

    /// What the reader can do about it, as a clause.
    var remedy: String {
        let path = Self.word(file)
        let newKey = "make another key (openssl ecparam -name prime256v1 -genkey) and certificate"
        return switch cause {
        case .unreadable(ENOENT): "correct the path"
        case .unreadable: "check who may read it: namei -l \(path)"
        case .noFile:
            "write what comes out of it to a file and name that: a server reads it again at each reload"
        case .directory, .tooLarge: "give the file in it, in PEM form (-----BEGIN …)"
        case .empty: "put the file there again; a full disk leaves such a one"
        case .utf16: "convert it: iconv -f UTF-16 -t UTF-8 \(path) > NEW.pem"
        case .der(.certificate): "convert it: openssl x509 -inform DER -in \(path) -out NEW.pem"
        case .der(.key): "convert it: openssl pkey -inform DER -in \(path) -out NEW.pem"
        case .der(.pkcs12):
            "convert it: openssl pkcs12 -in \(path) -nokeys -out CHAIN.pem, and -nocerts -nodes -out"
                + " KEY.pem"
        case .der(.pkcs7):
            "convert it: openssl pkcs7 -inform DER -in \(path) -print_certs -out NEW.pem"
        case .javaKeystore:
            "convert it: keytool -importkeystore -srckeystore \(path) -destkeystore NEW.p12"
                + " -deststoretype PKCS12, then openssl pkcs12"
        case .notPEM:
            "expected -----BEGIN CERTIFICATE----- or PRIVATE KEY; give the right file or move it away"
        case .otherContent(let label, _): Self.remedy(for: label, path)
        case .damaged: "get the file anew, whole"
        case .keyInsteadOfCertificate, .certificateInsteadOfKey:
            "perhaps chain and key are swapped"
        case .passphrase: "give a key without one: openssl pkey -in \(path) -out NEW.pem"
        case .keyOfAnother:
            "give the private key that belongs to this certificate (openssl x509 -pubkey and openssl"
                + " pkey -pubout print the same for both)"
        case .keyKind, .curve: newKey + " on P-256"
        case .explicitParameters: newKey + " with -param_enc named_curve"
        case .keyTooSmall, .weakSignature: newKey + ", signed with SHA-256"
        case .purpose: "ask the authority for one with serverAuth"
        case .cannotSign: "get the key anew; openssl pkey -check tells more"
        case .refused: "make another certificate"
        case .expired(_, .clientAuthority):
            "clients whose certificates it has signed are refused: put its new one there"
        case .expired(_, .revocationList), .revocationListMissing:
            "clients whose certificates it has signed are refused: put its new list there, and do:"
                + " sluice reload"
        case .notYetValid(_, .clientAuthority), .notYetValid(_, .revocationList):
            "clients are refused until then: check the clock of this machine"
        case .revocationListTooLong: "have the authority make shorter ones (RFC 5280 §5.2.5)"
        case .noRevocationList: "give what `openssl ca -gencrl` or the authority has made"
        case .expired: "clients refuse it: renew it"
        case .endsSoon: "renew it before that, and do: sluice reload"
        case .notYetValid: "clients refuse it until then: check the clock of this machine"
        case .noAlternativeName:
            "clients refuse it (RFC 9525 §2): ask for a new one with subjectAltName=DNS:NAME"
        case .leafNotFirst: "Sluice sends that one first; put it first in the file"
        case .repeated: "Sluice sends it once; leave the other out of the file"
        case .outOfOrder:
            "Sluice sends them in that order; put the server's first, then what signed it, and so on"
        case .intermediateMissing:
            "clients that do not have it refuse the certificate: append it, or use the file with the"
                + " whole chain (fullchain.pem)"
        case .stray: "clients do not need it there; append the one that signed the first instead"
        case .authority:
            "Firefox refuses it: have an authority sign one with CA:FALSE"
        case .noDigitalSignature: "ask the authority for one with it"
        case .browsersRefuse: "other clients take it; for browsers \(newKey) on P-256"
        case .readableByOthers: "chmod 600 it"
        case .shadowed: "it is never used: remove it, or the other"
        }
    }

    private static func name(of label: String) -> String {
        switch label {
        case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST": "a request for one (CSR)"
        case "PUBLIC KEY", "RSA PUBLIC KEY": "a public key"
        case "OPENSSH PRIVATE KEY": "a private key in the form of OpenSSH"
        case "PKCS7": "a PKCS#7 bundle"
        default: String(label.prefix(40))
        }
    }

    private static func remedy(for label: String, _ path: String) -> String {
        switch label {
        case "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST":
            "give the file that the authority sent back"
        case "PUBLIC KEY", "RSA PUBLIC KEY": "give the private key, which it was made from"
        case "OPENSSH PRIVATE KEY": "convert a copy of it: ssh-keygen -p -m PKCS8 -f COPY"
        case "PKCS7": "convert it: openssl pkcs7 -in \(path) -print_certs -out NEW.pem"
        default: "give the right file"
        }
    }

    /// A path as one word of a shell.
    static func word(_ text: String) -> String {
        let isPlain = text.utf8.allSatisfy { byte in
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
            default: "/._-+@%:".utf8.contains(byte)
            }
        }
        return isPlain && !text.isEmpty ? text : "'" + text.replacing("'", with: "'\\''") + "'"
    }

    /// The day of a time (UTC).
    static func date(_ unixSeconds: Int64) -> String {
        var time = time_t(unixSeconds)
        var parts = tm()
        guard gmtime_r(&time, &parts) != nil else { return "?" }
        func padded(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
    }
}
