// SPDX-License-Identifier: Apache-2.0
//
// Goal: what a request of HTTP/2 may not do to a client, an upstream or the log.
// Method: frames by hand to one reactor, and an upstream by hand behind it.

import Ledger
import Reactor
import Router
import Splice
import TLS
import Testing
import Wire

@testable import Frontend

struct MultiplexRequestTests {
    /// What an upstream is asked for on a stream.
    private func forward(
        _ rig: TurnRig, _ client: FramePeer, _ head: [UInt8]
    ) throws -> (app: Peer, request: String) {
        client.send(head)
        rig.turn()
        let app = try rig.accept()
        rig.turn()
        return (app, app.received())
    }

    private static let interim = Array(
        repeating: "HTTP/1.1 103 Soon\r\nLink: \(String(repeating: "x", count: 400))\r\n\r\n",
        count: 200
    ).joined()

    @Test func `interim answers without end are not kept for a client that does not read`() throws {
        let rig = try TurnRig()
        let client = try rig.connectMultiplexed()
        let (app, _) = try forward(rig, client, FramePeer.head(1))
        app.send(Self.interim)
        rig.turn()
        let record = try #require(try rig.records(1).first)
        #expect(record.status == 502 && record.detail.contains("interim"), "\(record)")
        #expect(client.got(FramePeer.headers, on: 1).count < 200)
        #expect(client.got(FramePeer.data, on: 1).last?.endsStream == true)
    }

    @Test func `interim answers without end are not passed on in HTTP_1 either`() throws {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward("GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n")
        app.send(Self.interim)
        rig.turn()
        #expect(client.received().contains("HTTP/1.1 502 "))
    }

    @Test func `a refused HEAD has no body`() throws {
        let rig = try TurnRig()
        let client = try rig.connectMultiplexed()
        client.send(
            FramePeer.head(1, method: "HEAD", path: "/%00")
                + FramePeer.head(3, method: "HEAD", [("expect", "a miracle")])
                + FramePeer.head(5, method: "GET", path: "/%00"))
        rig.turn()
        for stream: UInt32 in [1, 3] {
            #expect(client.got(FramePeer.headers, on: stream).map(\.endsStream) == [true])
            #expect(client.got(FramePeer.data, on: stream).isEmpty)
        }
        #expect(client.got(FramePeer.data, on: 5).count == 1)
    }

    @Test func `a refused HEAD has no body in HTTP_1 either`() throws {
        let rig = try TurnRig()
        let client = try rig.connect()
        client.send("HEAD /%00 HTTP/1.1\r\nHost: a.test\r\n\r\n")
        rig.turn()
        let answer = client.received()
        #expect(answer.hasPrefix("HTTP/1.1 400 ") && answer.hasSuffix("\r\n\r\n"), "\(answer)")
    }

    @Test func `a WebSocket whose client has ended its side with its head ends`() throws {
        let rig = try TurnRig()
        let client = try rig.connectMultiplexed()
        let (app, request) = try forward(rig, client, FramePeer.connect(1, ends: true))
        let key = try #require(
            request.split(separator: "\r\n").first {
                $0.lowercased().hasPrefix("sec-websocket-key:")
            }?.dropFirst(18).drop { $0 == " " })
        let accept = String(decoding: WebSocketAccept.value(forKey: Array(key.utf8)), as: UTF8.self)
        app.send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: \(accept)\r\n\r\n")
        rig.turn()
        // A Close, masked (RFC 6455 §5.5.1).
        #expect(Array(app.receivedBytes().prefix(2)) == [0x88, 0x82])
    }

    @Test func `a request that was cancelled in the same read goes nowhere`() throws {
        let rig = try TurnRig()
        let client = try rig.connectMultiplexed()
        for stream: UInt32 in [1, 3, 5] {
            let head = stream == 5 ? FramePeer.connect(stream) : FramePeer.head(stream)
            client.send(head + FramePeer.frame(FramePeer.reset, stream, FramePeer.number(8)))
            rig.turn()
        }
        #expect(!rig.isCalled)
        #expect(rig.state.pointee.substreams.count == 0 && rig.state.pointee.requests.count == 0)
        let (_, request) = try forward(rig, client, FramePeer.head(7))
        #expect(request.hasPrefix("GET /a "))
    }

    @Test func `fields that could be taken for those of our handshake do not go on`() throws {
        let rig = try TurnRig()
        let client = try rig.connectMultiplexed()
        let (_, request) = try forward(
            rig, client,
            FramePeer.connect(
                1,
                [
                    ("sec_websocket_key", "bWluZQ=="), ("sec.websocket-key", "bWluZQ=="),
                    ("sec-websocket-accept", "yes"), ("sec_websocket_accept", "yes"),
                    ("x-kept", "1"),
                ]))
        let names = request.split(separator: "\r\n").map { $0.prefix { $0 != ":" }.lowercased() }
        #expect(names.filter { $0.contains("websocket") && $0.contains("key") }.count == 1)
        #expect(!names.contains { $0.contains("accept") }, "\(request)")
        #expect(names.contains("x-kept"))
    }

    /// Else a client could take an endpoint from the others by asking for WebSockets where there are none.
    @Test func `an endpoint that answers 200 where a WebSocket was asked for does well`() throws {
        let rig = try TurnRig()
        let client = try rig.connectMultiplexed()
        for number in 0..<8 {
            let stream = UInt32(number * 2 + 1)
            let (app, _) = try forward(rig, client, FramePeer.connect(stream))
            app.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            rig.turn()
            #expect(client.got(FramePeer.headers, on: stream).count == 1)
            #expect(rig.group.picker.isWell(0), "after \(number + 1)")
        }
        let records = try rig.records(8)
        #expect(records.allSatisfy { $0.status == 502 }, "\(records)")
    }

    @Test(arguments: [
        ("plain CONNECT", 405, ""), ("other protocol", 501, "/known"), ("too large", 431, "/known"),
        ("field of HTTP/1.1", 0, "/known"), ("two hosts", 0, "/known"),
    ])
    func `the log says what was asked for by a request that was refused for its head`(
        kind: String, status: Int, path: String
    ) throws {
        var settings = FrontendSettings()
        settings.headLimits = HeadLimits(bytesMax: 1_000)
        let rig = try TurnRig(settings: settings)
        let client = try rig.connectMultiplexed()
        let known = "/known?secret"
        switch kind {
        case "plain CONNECT":
            client.send(
                FramePeer.frame(
                    FramePeer.headers, flags: 5, 1,
                    FramePeer.block([(":method", "CONNECT"), (":authority", "a.test")])))
        case "other protocol":
            client.send(
                FramePeer.head(1, method: "CONNECT", path: known, [(":protocol", "else")]))
        case "too large":
            let field = ("x-a", String(repeating: "a", count: 120))
            client.send(FramePeer.head(1, path: known, Array(repeating: field, count: 10)))
        case "two hosts": client.send(FramePeer.head(1, path: known, [("host", "b.test")]))
        default: client.send(FramePeer.head(1, path: known, [("connection", "close")]))
        }
        rig.turn()
        let record = try #require(try rig.records(1).first)
        #expect(record.status == status && record.host == "a.test" && record.path == path)
        #expect(!record.detail.isEmpty && !record.detail.contains("secret"), "\(record.detail)")
        #expect(record.method == (kind.hasSuffix("CONNECT") || status == 501 ? "CONNECT" : "GET"))
        if status == 0 { #expect(client.got(FramePeer.reset).map(\.code) == [1]) }
    }

    @Test func `the log says that a body contradicts its length`() throws {
        let rig = try TurnRig()
        let client = try rig.connectMultiplexed()
        let (app, _) = try forward(
            rig, client,
            FramePeer.head(1, method: "POST", [("content-length", "3")], ends: false))
        client.send(FramePeer.frame(FramePeer.data, flags: 1, 1, [0x61, 0x62]))
        rig.turn()
        let record = try #require(try rig.records(1).first)
        #expect(record.detail.contains("PROTOCOL_ERROR"), "\(record.detail)")
        _ = app.received()
        #expect(app.hasEnded)
    }
}
