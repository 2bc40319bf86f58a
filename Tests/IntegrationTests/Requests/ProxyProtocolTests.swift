// SPDX-License-Identifier: Apache-2.0
//
// Goal: behind a load balancer that speaks the PROXY protocol the client's own address is known, and
// who does not speak it is turned away.
// Method: headers of the test's own in front of real TLS, in pieces too, and curl, which speaks it.

import TestKit
import Testing

@Suite struct ProxyProtocolTests {
    private func started(_ backend: PeerAddress, secure: Bool = true) throws -> ProxyFixture {
        let files = try TestCertificates.shared().local
        let tls = secure ? ", tls: { certificates: [\(files.setting)] }" : ""
        return try ProxyFixture(
            configuration: """
                listen: [{ address: "127.0.0.1:0"\(tls), proxyProtocol: required }]
                routes: [{ path: /Esv/ocp, to: "\(backend)" }]
                log: { access: stdout }

                """)
    }

    @Test func `curl's header names the client to the app and in the log`() throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address)
        let port = proxy.port()
        let asking = TestThread {
            try run([
                "curl", "-s", "-k", "--haproxy-protocol", "--max-time", "20", "-o", "/dev/null",
                "-w",
                "%{http_code}", "https://localhost:\(port)/Esv/ocp", "--connect-to",
                "localhost:\(port):127.0.0.1:\(port)",
            ])
        }
        let upstream = try backend.next()
        let request = try upstream.readHead()
        #expect(request["X-Forwarded-For"] == "127.0.0.1")
        try upstream.send(Array("HTTP/1.1 204 No Content\r\n\r\n".utf8))
        #expect(try asking.join() == ["204"])
    }

    @Test(
        arguments: [
            (Array("PROXY TCP4 192.0.2.7 10.0.0.1 4711 443\r\n".utf8), "192.0.2.7"),
            (Array("PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".utf8), "2001:db8::7"),
            (
                [
                    13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10, 0x21, 0x11, 0, 12,
                    198, 51, 100, 9, 10, 0, 0, 1, 0x12, 0x67, 1, 0xBB,
                ], "198.51.100.9"
            ),
            (Array("PROXY UNKNOWN\r\n".utf8), "127.0.0.1"),
            ([13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10, 0x20, 0, 0, 0], "127.0.0.1"),
        ] as [([UInt8], String)])
    func `a header in pieces names the client`(header: [UInt8], client: String) throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, secure: false)
        let peer = try proxy.connect()
        for byte in header.dropLast() { try peer.send([byte]) }
        // Its last byte comes together with the request.
        try peer.send([header[header.count - 1]] + Opening().bytes)
        let upstream = try backend.next()
        let request = try upstream.accept()
        #expect(request["X-Forwarded-For"] == client)
        #expect(try peer.readHead().status == 101)
        try peer.send(Frame.text("through").masked())
        #expect(try upstream.readFrame().text == "through")
    }

    @Test func `who sends no header is turned away, and it is said why`() throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, secure: false)
        let peer = try proxy.connect()
        try peer.send(Opening().bytes)
        _ = try peer.expectEnd()
        try proxy.process.waitForLine(containing: "no header of the PROXY protocol")
        #expect(try backend.hasPendingConnection(by: .after(.milliseconds(100))) == false)
    }
}
