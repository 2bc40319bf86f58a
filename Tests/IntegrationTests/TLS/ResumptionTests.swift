// SPDX-License-Identifier: Apache-2.0
//
// Goal: clients that use a session ticket once, as RFC 8446 §C.4 wants it, resume every connection
// but the first; also over a reload. And the groups over which keys are exchanged.
// Method: foreign clients, Python's ssl and `openssl s_client`.

import Foundation
import TestKit
import Testing

@Suite struct ResumptionTests {
    private static let route = "{ path: \"/*\", respond: { status: 200, body: hello } }"

    @Test func `of ten connections with tickets for one use, nine are resumed`() throws {
        let operated = try Operated(routes: [Self.route])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let client = try PythonPeer.start(
            "single_use.py",
            ["\(operated.proxy.port())", try TestCertificates.shared().authority, folder, "10"])
        try client.waitForLine(containing: "waiting", by: .after(.seconds(60)))
        try operated.rewrite("hello", "again")
        #expect(try operated.command(["reload"]).status == 0)
        try Scratch.write("", to: "\(folder)/go")
        #expect(try client.waitForExit(by: .after(.seconds(60))) == 0, "\(client.errors)")
        let lines = client.output.filter { $0 != "waiting" }
        #expect(lines == ["full"] + [String](repeating: "resumed", count: 9))
    }

    @Test func `each session that openssl writes down is taken up once more`() throws {
        let proxy = try ProxyFixture(routes: [Self.route])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let authority = try TestCertificates.shared().authority
        for number in 0..<4 {
            let take = number == 0 ? "" : "-sess_in \(folder)/\(number - 1)"
            let script = """
                printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' |
                openssl s_client -connect 127.0.0.1:\(proxy.port()) -tls1_3 -ign_eof \
                -CAfile \(authority) -sess_out \(folder)/\(number) \(take)
                """
            let child = try ChildProcess(["sh", "-c", script])
            try child.waitForExit()
            let begin = number == 0 ? "New, TLSv1.3" : "Reused, TLSv1.3"
            #expect(child.output.contains { $0.contains(begin) }, "\(number): \(child.output)")
        }
    }

    @Test(arguments: ["X25519", "P-256", "P-384"])
    func `foreign clients of one group are served`(group: String) throws {
        let proxy = try ProxyFixture(routes: [Self.route])
        let said = try clientSays(proxy, ["-tls1_3", "-groups", group])
        #expect(said.contains { $0.contains("New, TLSv1.3") }, "\(said)")
    }

    /// In TLS 1.2 the curve of a certificate's key has to be among the client's groups, though not among
    /// those over which the listener exchanges keys (RFC 8422 §5.1); TLS 1.3 has signature schemes for it.
    @Test func `a certificate on P-256 serves whoever takes its curve, over other groups too`()
        throws
    {
        let identity = try TestCertificates.shared().local
        let proxy = try ProxyFixture(
            configuration: """
                listen:
                  - address: "127.0.0.1:0"
                    tls: { certificates: [\(identity.setting)], groups: [P-521, X25519] }
                routes:
                  - \(Self.route)
                """)
        for (version, groups, isServed) in [
            ("-tls1_3", "P-521", true), ("-tls1_3", "X25519", true),
            ("-tls1_2", "P-521:P-256", true), ("-tls1_2", "X25519:P-256", true),
            ("-tls1_2", "P-521", false), ("-tls1_2", "P-256", false), ("-tls1_3", "P-256", false),
        ] {
            let said = try clientSays(proxy, [version, "-groups", groups])
            #expect(
                said.contains { $0.contains("Cipher is (NONE)") } != isServed,
                "\(version) \(groups): \(said)")
        }
        try proxy.process.waitForLine(containing: "can't use a certificate with a key on P-256")
        try proxy.process.waitForLine(containing: "no key exchange group")
    }

    @Test(arguments: ["-tls1_2", "-tls1_3"], ["P-256", "RSA"])
    func `sessions are taken up with a certificate of either kind`(
        version: String, kind: String
    ) throws {
        let made = try TestCertificates.shared()
        let proxy = try ProxyFixture(
            routes: [Self.route], listeners: [.tls([kind == "RSA" ? made.localRSA : made.local])])
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        for (begin, options) in [
            ("New", ["-sess_out", "\(folder)/1"]), ("Reused", ["-sess_in", "\(folder)/1"]),
        ] {
            let script =
                "printf 'GET / HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' |"
                + " openssl s_client -connect 127.0.0.1:\(proxy.port()) \(version) -ign_eof "
                + options.joined(separator: " ")
            let child = try ChildProcess(["sh", "-c", script])
            try child.waitForExit()
            #expect(child.output.contains { $0.contains("\(begin), TLSv1.") }, "\(child.output)")
        }
    }

    @Test func `the configuration says which groups are taken`() throws {
        let identity = try TestCertificates.shared().localRSA
        let proxy = try ProxyFixture(
            configuration: """
                listen:
                  - address: "127.0.0.1:0"
                    tls: { certificates: [\(identity.setting)], groups: [P-521, X448] }
                routes:
                  - \(Self.route)
                """)
        for (version, group, isServed) in [
            ("-tls1_3", "P-521", true), ("-tls1_2", "P-521", true), ("-tls1_3", "X448", true),
            ("-tls1_3", "X25519", false), ("-tls1_2", "P-256", false),
        ] {
            let said = try clientSays(proxy, [version, "-groups", group])
            #expect(
                said.contains { $0.contains("Cipher is (NONE)") } != isServed,
                "\(version) \(group): \(said)")
        }
        // One line a minute of a client and cause: the second one is counted.
        try proxy.process.waitForLine(containing: "no key exchange group", count: 1)
    }

    @Test func `a group that there is not is told with its place and what there is`() throws {
        let identity = try TestCertificates.shared().local
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let file = "\(folder)/s.yaml"
        try Scratch.write(
            """
            listen:
              - address: "127.0.0.1:0"
                tls:
                  certificates: [\(identity.setting)]
                  groups: [X25519, p256]
            routes:
              - \(Self.route)

            """, to: file)
        let checked = try ended([try ProxyFixture.program(), "check", "-c", file])
        #expect(checked.status == 1)
        #expect(
            checked.output.contains(
                "s.yaml:5:24: groups: found 'p256', which this OpenSSL has no group for, allowed:"),
            "\(checked.output)")
        #expect(checked.output.contains("X25519, P-256, P-384"), "\(checked.output)")
        #expect(checked.output.contains("(did you mean 'P-256'?)"), "\(checked.output)")
    }
}
