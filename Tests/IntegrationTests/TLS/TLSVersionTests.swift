// SPDX-License-Identifier: Apache-2.0
//
// Goal: TLS 1.2 and 1.3 and nothing older; sessions are resumed; no renegotiation.
// Method: `openssl s_client` as a foreign client, and our own where tickets must be read.

import TLS
import TestKit
import Testing

/// What `openssl s_client` prints on a connection to the proxy's first listener.
func clientSays(_ proxy: ProxyFixture, _ arguments: [String]) throws -> [String] {
    let command =
        ["openssl", "s_client", "-connect", "127.0.0.1:\(proxy.port())"]
        + ["-CAfile", try TestCertificates.shared().authority] + arguments
    let child = try ChildProcess(command)
    try child.waitForExit()
    return child.output + child.errors
}

@Suite struct TLSVersionTests {
    @Test(arguments: [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
    func `both versions are spoken`(option: String, version: String) throws {
        let proxy = try ProxyFixture(to: try .refusing())
        let said = try clientSays(proxy, [option])
        #expect(said.contains { $0.contains("New, \(version), Cipher is") }, "\(said)")
        #expect(said.contains { $0.contains("Verify return code: 0 (ok)") }, "\(said)")
    }

    @Test func `TLS 1_1 is refused`() throws {
        let proxy = try ProxyFixture(to: try .refusing())
        let said = try clientSays(proxy, ["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"])
        #expect(said.contains { $0.contains("Cipher is (NONE)") }, "\(said)")
    }

    @Test func `the configuration may ask for 1_3 alone`() throws {
        let proxy = try ProxyFixture(
            to: try .refusing(), listeners: [.tls(minimumVersion: "1.3")])
        let old = try clientSays(proxy, ["-tls1_2"])
        #expect(old.contains { $0.contains("Cipher is (NONE)") }, "\(old)")
        let new = try clientSays(proxy, ["-tls1_3"])
        #expect(new.contains { $0.contains("New, TLSv1.3") }, "\(new)")
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `a session is taken up again`(version: TLSVersion) throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let first = try proxy.connect(security: .tls(version: version))
        try first.open()
        #expect(first.facts?.isResumed == false)
        #expect(first.facts?.version == version)
        let ticket = try #require(first.ticket)

        let second = try proxy.connect(security: .resuming(ticket, version: version))
        try second.open()
        #expect(second.facts?.isResumed == true)
        try second.send(Frame.text("again").masked())
        #expect(try second.readFrame() == Frame.text("again"))
    }

    @Test func `a foreign client's session is taken up again`() throws {
        let proxy = try ProxyFixture(to: try .refusing())
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        _ = try clientSays(proxy, ["-tls1_2", "-sess_out", "\(folder)/session"])
        let said = try clientSays(proxy, ["-tls1_2", "-sess_in", "\(folder)/session"])
        #expect(said.contains { $0.contains("Reused, TLSv1.2") }, "\(said)")
    }

    @Test func `a client that wants to renegotiate is not obeyed`() throws {
        let proxy = try ProxyFixture(to: try .refusing())
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        // The pipe stays open, so that s_client ends only by what the program does.
        let script = """
            cd \(folder); mkfifo in
            openssl s_client -connect 127.0.0.1:\(proxy.port()) -tls1_2 <in 2>&1 &
            exec 3>in; echo R >&3; wait
            """
        let child = try ChildProcess(["sh", "-c", script])
        try child.waitForExit()
        #expect(child.output.contains { $0.contains("RENEGOTIATING") })
        #expect(child.output.contains { $0.contains("renegotiation:") }, "\(child.output)")
    }

    @Test(arguments: [
        (ProxyListener.tls(), "http/1.1,h2", "h2"), (.tls(), "http/1.1", "http/1.1"),
        (.http1(), "h2,http/1.1", "http/1.1"),
    ])
    func `a foreign client agrees on a protocol by ALPN`(
        listener: ProxyListener, offered: String, agreed: String
    ) throws {
        let proxy = try ProxyFixture(to: try .refusing(), listeners: [listener])
        let said = try clientSays(proxy, ["-alpn", offered])
        #expect(said.contains("ALPN protocol: \(agreed)"), "\(said)")
    }
}
