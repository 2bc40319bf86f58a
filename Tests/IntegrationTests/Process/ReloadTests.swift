// SPDX-License-Identifier: Apache-2.0
//
// Goal: SIGHUP brings new certificates to new connections and touches no live relay; a broken file
// keeps what was there and says so (DESIGN §2, 7).
// Method: the configured files are overwritten and the program signalled; which certificate is shown
// is asked of `openssl s_client`.

import Glibc
import TestKit
import Testing

@Suite struct ReloadTests {
    /// Files of its own for one test to overwrite.
    private struct Replaceable {
        let files: TestIdentity
        let folder: String

        init() throws {
            folder = try Scratch.makeFolder()
            files = TestIdentity(chain: "\(folder)/chain.pem", key: "\(folder)/key.pem")
            try replace(with: try TestCertificates.shared().local)
        }

        func replace(with other: TestIdentity) throws {
            try Scratch.copy(other.chain, over: files.chain)
            try Scratch.copy(other.key, over: files.key)
        }
    }

    private func subject(_ proxy: ProxyFixture) throws -> String {
        let lines = try clientSays(proxy, ["-servername", "localhost"])
        return lines.first { $0.hasPrefix("subject=") } ?? "none: \(lines)"
    }

    @Test func `a new certificate is shown to new connections and live relays go on`() throws {
        let backend = try ManualBackend()
        let certificate = try Replaceable()
        defer { Scratch.remove(certificate.folder) }
        let proxy = try ProxyFixture(
            to: backend.address, listeners: [.tls([certificate.files])])
        let ends = try proxy.relay(to: backend)
        #expect(try subject(proxy).hasSuffix("local"))

        try certificate.replace(with: try TestCertificates.shared().issueLocal("renewed"))
        proxy.process.signal(SIGHUP)
        try eventually("the renewed certificate is shown") {
            try subject(proxy).hasSuffix("renewed")
        }
        try ends.exchange("still here")
        try proxy.relay(to: backend).exchange("also here")
    }

    @Test func `a broken certificate file keeps the old one and says so`() throws {
        let backend = try ManualBackend()
        let certificate = try Replaceable()
        defer { Scratch.remove(certificate.folder) }
        let proxy = try ProxyFixture(
            to: backend.address, listeners: [.tls([certificate.files])])
        let ends = try proxy.relay(to: backend)

        try Scratch.write("no certificate", to: certificate.files.chain)
        proxy.process.signal(SIGHUP)
        try proxy.process.waitForLine(containing: certificate.files.chain)
        #expect(try subject(proxy).hasSuffix("local"))
        try ends.exchange("still here")
        try proxy.relay(to: backend).exchange("also here")
    }

    @Test func `a key that does not belong to the certificate is refused`() throws {
        let certificate = try Replaceable()
        defer { Scratch.remove(certificate.folder) }
        let proxy = try ProxyFixture(
            to: try .refusing(), listeners: [.tls([certificate.files])])
        let other = try TestCertificates.shared().issueLocal("stranger")
        try Scratch.copy(other.chain, over: certificate.files.chain)
        proxy.process.signal(SIGHUP)
        try proxy.process.waitForLine(containing: certificate.folder)
        #expect(try subject(proxy).hasSuffix("local"))
    }

    @Test func `one broken certificate of two changes neither`() throws {
        let (first, second) = (try Replaceable(), try Replaceable())
        defer { for item in [first, second] { Scratch.remove(item.folder) } }
        let proxy = try ProxyFixture(
            to: try .refusing(), listeners: [.tls([first.files]), .tls([second.files])])
        try first.replace(with: try TestCertificates.shared().issueLocal("half"))
        try Scratch.write("no certificate", to: second.files.chain)
        proxy.process.signal(SIGHUP)
        try proxy.process.waitForLine(containing: second.files.chain)
        #expect(try subject(proxy).hasSuffix("local"))
    }
}
