// SPDX-License-Identifier: Apache-2.0
import Foundation
import TestKit
import Testing

@testable import Doctor

/// What the program said of a URL, as JSON.
struct Finding: Decodable {
    struct Step: Decodable {
        let name: String
        let isGood: Bool
        let milliseconds: Double
        let found: String
    }

    let url: String
    let verdict: String
    let exitCode: Int32
    let sentence: String
    let remedy: String
    let notes: [String]
    let steps: [Step]
    let beyond: Prospect?

    struct Prospect: Decodable {
        let verdict: String
        let sentence: String
        let remedy: String
    }
}

/// Runs `sluice doctor` and checks what holds for every verdict.
///
/// `wrapper` is a command that runs it.
func diagnose(
    _ url: String, _ arguments: [String] = [], environment: [String: String] = [:],
    wrapper: [String] = []
) throws -> Finding {
    let home = try Scratch.makeFolder()
    defer { Scratch.remove(home) }
    // Most servers here are on 127.0.0.1 alone, and a machine may have ::1 for localhost as well.
    let isLocalhost =
        url.firstMatch(of: #/^([a-z]+:\/\/)?([^\/@]*@)?(localhost|\d+)([:\/?]|$)/#) != nil
    let address =
        arguments.contains("--resolve") || !isLocalhost ? [] : ["--resolve", "localhost:127.0.0.1"]
    let child = try ChildProcess(
        wrapper + [try ProxyFixture.program(), "doctor", url, "--json"]
            + (arguments.contains("--timeout") ? [] : ["--timeout", "5"]) + address + arguments,
        environment: ["HOME": home, "XDG_DATA_HOME": "\(home)/data"].merging(environment) { $1 })
    let status = try child.waitForExit()
    let text = child.output.joined(separator: "\n")
    let finding = try JSONDecoder().decode(Finding.self, from: Data(text.utf8))
    let verdict = try #require(Verdict(rawValue: finding.verdict), "\(finding)")
    #expect(status == verdict.exitCode && finding.exitCode == status, "\(finding)")
    #expect(!finding.sentence.isEmpty)
    #expect((finding.remedy.isEmpty) == (verdict == .healthy), "\(finding)")
    #expect(finding.steps.allSatisfy { $0.milliseconds >= 0 && !$0.found.isEmpty })
    let good = finding.steps.prefix { $0.isGood }.count
    #expect(finding.steps.count - good <= 1, "it ends at the first step that failed")
    return finding
}

/// Expects a verdict, the step at which it came, and words of its sentence.
func expect(
    _ finding: Finding, _ verdict: Verdict, at step: String, _ words: String...,
    sourceLocation: SourceLocation = #_sourceLocation
) {
    #expect(finding.verdict == verdict.rawValue, "\(finding)", sourceLocation: sourceLocation)
    // What HTTP/2 is like comes behind a socket that works, and does not decide.
    let deciding = finding.steps.last { $0.name != "HTTP/2" || !$0.isGood }
    #expect(deciding?.name == step, "\(finding)", sourceLocation: sourceLocation)
    for word in words {
        #expect(
            (finding.sentence + " " + finding.remedy).contains(word), "\(finding)",
            sourceLocation: sourceLocation)
    }
}

/// `openssl s_server` on a port of its own.
final class SecureServer {
    private let process: ChildProcess
    let port: UInt16

    init(_ arguments: [String]) throws {
        process = try ChildProcess(["openssl", "s_server", "-www", "-accept", "0"] + arguments)
        let line = try process.waitForLine(containing: "ACCEPT ")
        port = try #require(line.first?.split(separator: ":").last.flatMap { UInt16($0) })
    }

    deinit { process.signal(SIGKILL) }

    /// Has it do nothing for so many seconds, while the kernel takes connections for it.
    func sleep(forSeconds seconds: UInt32) -> TestThread<Void> {
        process.signal(SIGSTOP)
        return TestThread { [process] in
            usleep(seconds * 1_000_000)
            process.signal(SIGCONT)
        }
    }

    func url(_ host: String = "localhost") -> String { "wss://\(host):\(port)/" }
}

/// An authority and certificates of every kind, by the `openssl` command.
struct Papers {
    let folder: String
    var authority: String { "\(folder)/ca.pem" }

    init() throws {
        folder = try Scratch.makeFolder()
        try Scratch.write(Self.settings, to: "\(folder)/openssl.cnf")
        try Scratch.write("", to: "\(folder)/index.txt")
        try openssl(
            [
                "req", "-config", "openssl.cnf", "-x509", "-extensions", "signer", "-subj",
                "/CN=Root",
            ]
                + Self.key("ca") + ["-out", "ca.pem", "-days", "30"])
    }

    func remove() { Scratch.remove(folder) }

    @discardableResult
    func openssl(_ arguments: [String]) throws -> [String] {
        try run(["env", "-C", folder, "openssl"] + arguments)
    }

    private static func key(_ name: String, rsaBits: Int = 0) -> [String] {
        (rsaBits > 0
            ? ["-newkey", "rsa:\(rsaBits)"]
            : ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            + ["-nodes", "-keyout", "\(name).key"]
    }

    /// A certificate for localhost with these dates, signed by `issuer`.
    ///
    /// - Returns: the arguments with which `s_server` uses it.
    func issue(
        _ name: String, from start: String = "20240101000000Z", to end: String = "20491231000000Z",
        by issuer: String = "ca", extensions: String = "leaf", rsaBits: Int = 0,
        digest: String = "sha256"
    ) throws -> [String] {
        try openssl(
            ["req", "-config", "openssl.cnf", "-new", "-subj", "/CN=\(name)"]
                + Self.key(name, rsaBits: rsaBits) + ["-out", "\(name).csr"])
        try openssl([
            "ca", "-batch", "-config", "openssl.cnf", "-extensions", extensions, "-notext",
            "-cert", "\(issuer).pem", "-keyfile", "\(issuer).key", "-startdate", start,
            "-enddate", end, "-md", digest, "-in", "\(name).csr", "-out", "\(name).pem",
        ])
        return server(name)
    }

    /// A certificate signed by nobody but itself.
    func selfSigned() throws -> [String] {
        try openssl(
            ["req", "-config", "openssl.cnf", "-x509", "-extensions", "leaf", "-subj", "/CN=self"]
                + Self.key("self") + ["-out", "self.pem", "-days", "30"])
        return server("self")
    }

    private func server(_ name: String) -> [String] {
        ["-cert", "\(folder)/\(name).pem", "-key", "\(folder)/\(name).key"]
    }

    private static let settings = """
        [req]
        distinguished_name = name
        prompt = no
        [name]
        CN = replaced
        [signer]
        basicConstraints = critical,CA:TRUE
        keyUsage = critical,keyCertSign,cRLSign,digitalSignature
        subjectKeyIdentifier = hash
        [ca]
        default_ca = issuing
        [issuing]
        database = index.txt
        new_certs_dir = .
        default_md = sha256
        policy = any
        rand_serial = yes
        unique_subject = no
        [any]
        commonName = supplied
        [leaf]
        basicConstraints = critical,CA:FALSE
        keyUsage = critical,digitalSignature
        extendedKeyUsage = serverAuth
        subjectAltName = DNS:localhost
        [client]
        basicConstraints = critical,CA:FALSE
        extendedKeyUsage = clientAuth
        subjectAltName = DNS:localhost
        [nameless]
        basicConstraints = critical,CA:FALSE
        extendedKeyUsage = serverAuth
        [public]
        basicConstraints = critical,CA:FALSE
        extendedKeyUsage = serverAuth
        subjectAltName = DNS:localhost
        authorityInfoAccess = caIssuers;URI:http://ca.invalid/between.cer
        """
}
