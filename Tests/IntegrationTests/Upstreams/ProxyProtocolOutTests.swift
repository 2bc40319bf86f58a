// SPDX-License-Identifier: Apache-2.0
//
// Goal: an app that reads the PROXY protocol learns who the client is, on each connection first of
// all, and no connection carries requests of a client that it did not name.
// Method: both ends in the test's hand, and HAProxy as an app that reads the header.

import TestKit
import Testing

@Suite struct ProxyProtocolOutTests {
    private func started(
        _ backend: PeerAddress, _ version: String, listener: String? = nil, tls: Bool = false
    ) throws -> ProxyFixture {
        let entry = try listener ?? (tls ? ProxyListener.tls() : .plain).settingText()
        return try ProxyFixture(
            configuration: """
                listen: [\(entry)]
                routes: [{ path: /*, to: app }]
                upstreams:
                  app: { endpoints: ["\(backend)"], proxyProtocol: \(version) }

                """)
    }

    private func line(_ peer: WebSocketPeer) throws -> String {
        var line: [UInt8] = []
        while line.suffix(2) != [13, 10] { line += try peer.read(1) }
        return String(decoding: line.dropLast(2), as: UTF8.self)
    }

    @Test func `a tunnel begins with a line that names both ends`() throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, "v1", tls: true)
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        let upstream = try backend.next()
        let words = try line(upstream).split(separator: " ")
        try #require(words.count == 6)
        #expect(words[..<4] == ["PROXY", "TCP4", "127.0.0.1", "127.0.0.1"])
        #expect(UInt16(words[4]) != nil && words[5] == "\(proxy.port())")
        try upstream.accept()
        #expect(try client.readHead().status == 101)
        try client.send(Frame.text("through").masked())
        #expect(try upstream.readFrame().text == "through")
    }

    @Test func `version 2 has what is known of TLS`() throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, "v2", tls: true)
        let client = try proxy.connect()
        try client.send(Opening().bytes)
        let upstream = try backend.next()
        let fixed = try upstream.read(16)
        #expect(fixed[..<12] == [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10])
        #expect(fixed[12] == 0x21 && fixed[13] == 0x11)
        let rest = try upstream.read(Int(fixed[14]) << 8 | Int(fixed[15]))
        #expect(rest[..<8] == [127, 0, 0, 1, 127, 0, 0, 1])
        #expect(UInt16(rest[10]) << 8 | UInt16(rest[11]) == proxy.port())
        var fields: [UInt8: [UInt8]] = [:]
        var position = 12
        while position + 3 <= rest.count {
            let length = Int(rest[position + 1]) << 8 | Int(rest[position + 2])
            try #require(position + 3 + length <= rest.count)
            fields[rest[position]] = Array(rest[position + 3..<position + 3 + length])
            position += 3 + length
        }
        #expect(position == rest.count)
        #expect(fields[0x02] == Array("localhost".utf8))
        let ssl = try #require(fields[0x20])
        #expect(ssl[..<5] == [1, 0, 0, 0, 1])
        let text = String(decoding: ssl, as: UTF8.self)
        #expect(text.contains("TLSv1.3") && text.contains("TLS_"), "\(text)")
        try upstream.accept()
        #expect(try client.readHead().status == 101)
    }

    @Test func `whom a balancer in front has named is named on`() throws {
        let backend = try ManualBackend()
        let proxy = try started(
            backend.address, "v1",
            listener: "{ address: \"127.0.0.1:0\", proxyProtocol: required }")
        let client = try proxy.connect()
        try client.send(
            Array("PROXY TCP6 2001:db8::7 ::1 4711 443\r\n".utf8) + Opening().bytes)
        let upstream = try backend.next()
        let words = try line(upstream).split(separator: " ")
        // The listener's own address is an IPv4 one: mapped, since both are of one family there.
        #expect(words[..<4] == ["PROXY", "TCP6", "2001:db8:0:0:0:0:0:7", "0:0:0:0:0:ffff:7f00:1"])
        #expect(words[4] == "4711" && words[5] == "\(proxy.port())")
        #expect(try upstream.accept()["X-Forwarded-For"] == "2001:db8::7")
    }

    @Test func `no connection carries the requests of two clients`() throws {
        let backend = try ManualBackend()
        let proxy = try started(backend.address, "v1")
        func ask(_ client: WebSocketPeer, _ upstream: WebSocketPeer? = nil) throws -> WebSocketPeer
        {
            try client.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let used = try upstream ?? backend.next()
            if upstream == nil { #expect(try line(used).hasPrefix("PROXY TCP4 127.0.0.1 ")) }
            #expect(try used.readHead().startLine == "GET /a HTTP/1.1")
            try used.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            #expect(try client.readResponse().text == "ok")
            return used
        }
        let first = try proxy.connect()
        let second = try proxy.connect()
        let firsts = try ask(first)
        let seconds = try ask(second)
        // Each goes on with its own, without another header.
        for _ in 0..<3 {
            _ = try ask(second, seconds)
            _ = try ask(first, firsts)
        }
        #expect(try backend.hasPendingConnection(by: .after(.milliseconds(20))) == false)
        // When the client has gone, nobody else gets its connection.
        first.stream.close()
        #expect(try firsts.expectEnd() == .orderly)
        // One that the app has closed is replaced, with a header.
        seconds.stream.close()
        let again = try ask(second)
        try second.send(Opening("/socket").bytes)
        #expect(try again.expectEnd() == .orderly)
        let tunnel = try backend.next()
        #expect(try line(tunnel).hasPrefix("PROXY TCP4 127.0.0.1 "))
        try tunnel.accept()
        #expect(try second.readHead().status == 101)
    }

    @Test(arguments: ["v1", "v2"])
    func `HAProxy reads who the client is`(version: String) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let socket = "\(folder)/app.sock"
        try Scratch.write(
            """
            defaults
              mode http
              timeout client 20s
              timeout server 20s
              timeout connect 20s
            frontend app
              bind unix@\(socket) accept-proxy
              http-request return status 200 content-type text/plain lf-string \
            "%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority]"

            """, to: "\(folder)/haproxy.cfg")
        let app = try ChildProcess(["haproxy", "-db", "-f", "\(folder)/haproxy.cfg"])
        defer { app.signal(9) }
        let proxy = try started(.unix(socket), version, tls: true)
        var text = ""
        try eventually("HAProxy answers") {
            let client = try proxy.connect()
            try client.send("GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n")
            let answer = try client.readResponse()
            text = answer.text
            return answer.status == 200
        }
        let words = text.split(separator: " ")
        #expect(words.count >= 4 && words[0] == "127.0.0.1" && words[2] == "127.0.0.1")
        #expect(words.count >= 4 && words[3] == "\(proxy.port())")
        #expect(version == "v1" || words.last == "localhost", "\(text)")
    }
}
