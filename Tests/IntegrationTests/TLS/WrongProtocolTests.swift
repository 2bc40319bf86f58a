// SPDX-License-Identifier: Apache-2.0
//
// Goal: whoever speaks the wrong protocol to a port is told so in the one he speaks.
// Method: plain HTTP on the TLS port; a ClientHello on a plain port; bytes that are neither.

import TestKit
import Testing

@Suite struct WrongProtocolTests {
    @Test(arguments: ["GET /Esv/ocp?q=1", "POST /Esv/ocp", "HEAD /Esv/ocp"])
    func `plain HTTP on the TLS port is answered with the URL to use`(line: String) throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect(security: .plain)
        try client.send("\(line) HTTP/1.1\r\nHost: localhost:\(proxy.port())\r\n\r\n")
        let (bytes, ending) = try client.readUntilEnd()
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.hasPrefix("HTTP/1.1 400"), "\(text)")
        if !line.hasPrefix("HEAD") {
            #expect(text.contains("wss://localhost:\(proxy.port())"), "\(text)")
        }
        #expect(ending == .orderly)
        #expect(backend.connectionCount == 0)
    }

    @Test func `a plain ws client on the TLS port learns the wss URL`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect(security: .plain)
        let response = try client.refusal(of: Opening(host: "localhost:\(proxy.port())"))
        #expect(response.text.contains("wss://localhost:\(proxy.port())/Esv/ocp"), "\(response)")
        #expect(backend.connectionCount == 0)
    }

    @Test func `plain HTTP that arrives in pieces is answered too`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address)
        let client = try proxy.connect(security: .plain)
        let bytes = Opening(host: "localhost:\(proxy.port())").bytes
        try client.send(bytes, splitAt: [1, 3, 5, 20])
        #expect(try client.readResponse().text.contains("wss://"))
    }

    @Test func `a ClientHello on a plain port gets plain HTTP and a line in the log`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address, listeners: [.plain])
        let client = try proxy.connect(security: .plain)
        // A record header and the start of a ClientHello suffice to know one.
        let hello: [UInt8] = [0x16, 3, 1, 0, 0xf0, 1, 0, 0, 0xec, 3, 3]
        try client.send(hello + [UInt8](repeating: 0x55, count: 234))
        let (bytes, _) = try client.readUntilEnd()
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.hasPrefix("HTTP/1.1 400"), "\(text)")
        #expect(text.contains("This port speaks plain ws and http"), "\(text)")
        try proxy.process.waitForLine(containing: "TLS")
        #expect(backend.connectionCount == 0)
    }

    /// An alert in place of that would send readers after versions and ciphers.
    @Test func `clients of TLS and the doctor say that a plain port speaks no TLS`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address, listeners: [.plain])
        let place = "127.0.0.1:\(proxy.port())"
        let openssl = try ended(["openssl", "s_client", "-connect", place])
        #expect(openssl.output.contains("wrong version number"), "\(openssl.output)")
        for target in ["wss://\(place)/Esv/ocp", "wss://\(place)/Esv/ocp?token=1"] {
            let said = try ended([try ProxyFixture.program(), "doctor", target])
            #expect(said.status == 20, "\(said.output)")
            #expect(said.output.contains("\nplain-http: "), "\(said.output)")
            #expect(said.output.contains("ERR_SSL_PROTOCOL_ERROR"), "\(said.output)")
        }
        // Without a scheme the port itself tells which it is.
        let asked = try ended([try ProxyFixture.program(), "doctor", place + "/Esv/ocp"])
        #expect(asked.status == 0, "\(asked.output)")
        #expect(asked.output.contains("read as ws://\(place)"), "\(asked.output)")
    }

    @Test func `bytes that are neither HTTP nor TLS end the connection`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(to: backend.address, listeners: [.tls(), .plain])
        for listener in 0...1 {
            let client = try proxy.connect(listener: listener, security: .plain)
            try client.send("\u{0}\u{1}\u{2}\u{3}SSH-2.0-nonsense\r\n\r\n")
            _ = try client.readUntilEnd()
        }
        try proxy.connect().open()
        #expect(backend.connectionCount == 1)
    }
}
