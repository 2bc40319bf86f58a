// SPDX-License-Identifier: Apache-2.0
import Ledger
import Proxy
import Reactor
import Router
import Splice
import TestKit
import Testing
import Wire

@testable import Frontend

/// Requests in one reactor, turn by turn, at times that the test chooses.
struct RequestTurnTests {
    private static let get = "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n"
    static let upgrade =
        "GET /a HTTP/1.1\r\nHost: a.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    /// The 101 that belongs to it.
    static let switching =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    private static var onePlace: UpstreamRules {
        var rules = UpstreamRules(balance: .roundRobin)
        rules.activeMax = 1
        return rules
    }

    @Test func `a request is in its phases, and holds what they say`() throws {
        let rig = try TurnRig()
        let client = try rig.connect()
        client.send(Self.get)
        rig.turn()
        let request = try #require(rig.request)
        #expect(request.pointee.life.isExchanging)
        #expect(request.pointee.places.group === rig.group)
        #expect(rig.group.picker.active(0) == 1)
        let app = try rig.accept()
        #expect(app.received().hasPrefix("GET /a HTTP/1.1\r\nHost: a.test\r\n"))
        app.send(Self.answer)
        rig.turn()
        #expect(client.received().hasSuffix("\r\n\r\nok"))
        #expect(rig.request == nil)
        #expect(rig.group.picker.active(0) == 0)
        let record = try #require(try rig.records(1).first)
        #expect(record.status == 200)
        #expect(record.down.payloadBytes == 2)
    }

    @Test func `the next request goes out on the connection that was kept`() throws {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward(Self.get)
        app.send(Self.answer)
        rig.turn()
        _ = client.received()
        client.send(Self.get)
        rig.turn()
        #expect(app.received().hasPrefix("GET /a "))
        #expect(rig.request?.pointee.life.isOnReused == true)
    }

    /// More than was asked for: the client that asks next must not get it.
    @Test func `what comes on a kept connection in the turn of a request does not answer that`()
        throws
    {
        let rig = try TurnRig()
        let (first, app, _) = try rig.forward(Self.get)
        app.send(Self.answer)
        rig.turn()
        _ = first.received()
        let other = try rig.connect()
        rig.turn()
        // The request is the first event of the turn, the surplus the second.
        other.send(Self.get)
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        rig.turn()
        let fresh = try rig.accept()
        rig.turn()
        #expect(fresh.received().hasPrefix("GET /a "))
        fresh.send(Self.answer)
        rig.turn()
        #expect(other.received().hasSuffix("\r\n\r\nok"))
    }

    // RFC 9110 §9.2.2
    @Test func `a kept connection that has just been closed is replaced, once`() throws {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward(Self.get)
        app.send(Self.answer)
        rig.turn()
        _ = client.received()
        client.send(Self.get)
        // The end comes in the same turn as the request, behind it.
        rig.turn()
        app.end()
        rig.turn()
        let second = try rig.accept()
        rig.turn()
        #expect(second.received().hasPrefix("GET /a "))
        second.end()
        rig.turn()
        #expect(client.received().hasPrefix("HTTP/1.1 502 "))
    }

    // RFC 9110 §15.2
    @Test func `interim answers give the final one no further time`() throws {
        var settings = FrontendSettings()
        settings.answerMilliseconds = 1_000
        let rig = try TurnRig(settings: settings)
        let (client, app, _) = try rig.forward(Self.get)
        for _ in 0..<4 {
            app.send("HTTP/1.1 102 Processing\r\n\r\n")
            rig.turn(after: 300)
        }
        #expect(client.received().contains("HTTP/1.1 504 "))
        let record = try #require(try rig.records(1).first)
        #expect(record.proxyError == .httpResponseTimeout)
    }

    @Test func `a body that moves goes on beyond the time for an answer's head`() throws {
        var settings = FrontendSettings()
        settings.answerMilliseconds = 1_000
        let rig = try TurnRig(settings: settings)
        let (client, app, _) = try rig.forward(Self.get)
        app.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        for byte in ["a", "b", "c", "d"] {
            app.send(byte)
            rig.turn(after: 900)
        }
        #expect(client.received().hasSuffix("\r\n\r\nabcd"))
    }

    @Test func `the time for a body begins when the client can be asked for it`() throws {
        var settings = FrontendSettings()
        settings.bodyMilliseconds = 1_000
        settings.connectMilliseconds = 60_000
        let rig = try TurnRig(
            rules: Self.onePlace,
            queue: QueueLimits(waitMilliseconds: 30_000, size: 8), settings: settings)
        let (first, app, _) = try rig.forward(Self.get)
        let second = try rig.connect()
        second.send("POST /b HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\n")
        rig.turn()
        // It waits for its place for longer than a body may stand still.
        rig.turn(after: 5_000)
        app.send(Self.answer)
        rig.turn()
        #expect(first.received().hasSuffix("ok"))
        rig.turn(after: 900)
        second.send("body")
        rig.turn()
        #expect(app.received().hasSuffix("\r\n\r\nbody"))
        app.send(Self.answer)
        rig.turn()
        #expect(second.received().hasSuffix("ok"))
    }

    @Test func `whoever finds no place in time is told that all are taken`() throws {
        let rig = try TurnRig(
            rules: Self.onePlace,
            queue: QueueLimits(waitMilliseconds: 3_000, size: 8))
        let (first, app, _) = try rig.forward(Self.upgrade)
        let second = try rig.connect()
        second.send(Self.upgrade)
        rig.turn()
        #expect(second.received().isEmpty)
        for _ in 0..<4 { rig.turn(after: 1_000) }
        #expect(first.received().isEmpty)
        #expect(second.received().hasPrefix("HTTP/1.1 503 "))
        let record = try #require(try rig.records(1).first)
        #expect(record.proxyError == .connectionLimitReached)
        #expect(app.received().isEmpty)
    }

    @Test func `a client whose end came with its upgrade does not wait for a place`() throws {
        let rig = try TurnRig(
            rules: Self.onePlace,
            queue: QueueLimits(waitMilliseconds: 30_000, size: 8))
        let (first, app, _) = try rig.forward(Self.upgrade)
        let second = try rig.connect()
        second.send(Self.upgrade)
        second.finish()
        rig.turn()
        #expect(second.hasEnded)
        #expect(rig.group.queue?.count == 0)
        let record = try #require(try rig.records(1).first)
        #expect(record.detail == "the client left before the upstream answered")
        #expect(first.received().isEmpty)
        #expect(app.received().isEmpty)
    }

    @Test func `an ordinary request whose client has ended its side is served from the queue`()
        throws
    {
        let rig = try TurnRig(
            rules: Self.onePlace,
            queue: QueueLimits(waitMilliseconds: 30_000, size: 8))
        let (first, app, _) = try rig.forward(Self.get)
        let second = try rig.connect()
        second.send(Self.get)
        rig.turn()
        second.finish()
        rig.turn()
        #expect(rig.group.queue?.count == 1)
        app.send(Self.answer)
        rig.turn()
        #expect(first.received().hasSuffix("ok"))
        #expect(app.received().hasPrefix("GET /a "))
        app.send(Self.answer)
        rig.turn()
        #expect(second.received().hasSuffix("ok"))
    }

    @Test(arguments: [get, upgrade])
    func `a client that resets does not stay in the queue`(head: String) throws {
        let rig = try TurnRig(
            rules: Self.onePlace,
            queue: QueueLimits(waitMilliseconds: 30_000, size: 8))
        let (first, app, _) = try rig.forward(Self.get)
        let second = try rig.connect()
        second.send(head)
        rig.turn()
        #expect(rig.group.queue?.count == 1)
        second.end()
        rig.turn()
        #expect(rig.group.queue?.count == 0)
        #expect(first.received().isEmpty)
        #expect(app.received().isEmpty)
    }

    @Test func `an endpoint that has ended without a byte is not asked again from the queue`()
        throws
    {
        let closed = try HeldPort()
        let address = Address.loopback(port: closed.number)
        var rules = Self.onePlace
        rules.waitsForPlace = true
        let rig = try TurnRig(
            rules: rules, queue: QueueLimits(waitMilliseconds: 30_000, size: 8),
            others: [
                Endpoint(label: "ws://down", address: address),
                Endpoint(label: "ws://full", address: address),
            ])
        // The first of those that are left has the first turn.
        #expect(rig.group.picker.claim(only: 2))
        let (client, app, _) = try rig.forward(Self.upgrade)
        app.end()
        rig.turn()
        #expect(client.received().hasPrefix("HTTP/1.1 502 "))
        #expect(!rig.isCalled)
        #expect(rig.group.queue?.count == 0)
        let record = try #require(try rig.records(1).first)
        #expect(record.upstream == "ws://down")
        #expect(record.proxyError == .connectionRefused)
    }

    @Test func `the log has no bytes of a body that went nowhere`() throws {
        let closed = try HeldPort()
        let rig = try TurnRig()
        rig.group.endpoints[0].addresses = [.loopback(port: closed.number)]
        let client = try rig.connect()
        client.send("POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 4\r\n\r\nbody")
        rig.turn()
        #expect(client.received().hasPrefix("HTTP/1.1 502 "))
        let record = try #require(try rig.records(1).first)
        #expect(record.up.bytes == 0)
        #expect(record.up.payloadBytes == 0)
    }

    @Test(arguments: [false, true])
    func `the log has the bytes of a body that went along with its head`(isReused: Bool) throws {
        let rig = try TurnRig()
        let post = "POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        let (client, app, _) = try rig.forward(
            isReused ? Self.get : post + "4\r\nbody\r\n0\r\n\r\n")
        app.send(Self.answer)
        rig.turn()
        if isReused {
            _ = try rig.records(1)
            client.send(post + "4\r\nbody\r\n0\r\n\r\n")
            rig.turn()
            app.send(Self.answer)
            rig.turn()
        }
        let record = try #require(try rig.records(1).first)
        #expect(record.up.payloadBytes == 4)
        #expect(record.up.bytes == 14)
    }

    @Test(arguments: [false, true])
    func `the log has who leaves within a later head, in order or not`(isReset: Bool) throws {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward(Self.get)
        app.send(Self.answer)
        rig.turn()
        // Whoever closes with something unread resets.
        if !isReset { _ = client.received() }
        client.send("GET /b HTT")
        rig.turn()
        client.end()
        rig.turn()
        #expect(rig.session == nil)
        let records = try rig.records(2)
        #expect(records.last?.detail == "the client left within a request head")
    }

    @Test func `an answer on a kept connection ends a cool-down`() throws {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward(Self.get)
        app.send(Self.answer)
        rig.turn()
        _ = client.received()
        rig.group.picker.failed(0, nowMilliseconds: rig.now)
        client.send(Self.get)
        rig.turn()
        app.send(Self.answer)
        rig.turn()
        #expect(client.received().hasSuffix("ok"))
        #expect(rig.group.picker.isWell(0))
        #expect(rig.notebook.sentences.last?.hasSuffix("is back.") == true)
    }

    @Test func `a try that its client leaves is another's, and the cool-down no longer`() throws {
        var rules = UpstreamRules(balance: .roundRobin)
        rules.cooldownMilliseconds = 1_000
        let rig = try TurnRig(rules: rules)
        let picker = rig.group.picker
        let (client, app, _) = try rig.forward(Self.get)
        app.send(Self.answer)
        rig.turn()
        _ = client.received()
        picker.failed(0, nowMilliseconds: rig.now)
        // The first that comes behind the cool-down is the try, and has the kept connection.
        client.send(Self.get)
        rig.turn(after: 1_001)
        #expect(rig.request?.pointee.life.isOnReused == true)
        #expect(picker.isCoolingDown(0, nowMilliseconds: rig.now))
        client.end()
        rig.turn()
        #expect(rig.request == nil)
        #expect(!picker.isCoolingDown(0, nowMilliseconds: rig.now + 1))
    }

    @Test(arguments: ["HEAD", "GET"])
    func `the log has the bytes of an own answer that were sent`(method: String) throws {
        let answer = FixedAnswer(status: 200, type: "text/plain", body: Array("hello".utf8))
        let rig = try TurnRig(action: .respond(answer))
        let client = try rig.connect()
        client.send("\(method) / HTTP/1.1\r\nHost: a.test\r\n\r\n")
        rig.turn()
        let isHead = method == "HEAD"
        #expect(client.received().hasSuffix(isHead ? "\r\n\r\n" : "\r\n\r\nhello"))
        let record = try #require(try rig.records(1).first)
        #expect(record.down.payloadBytes == (isHead ? 0 : 5))
        #expect(record.down.bytes == (isHead ? 0 : 5))
    }

    @Test func `the log has the chunk that ends an answer whose upstream just closes`() throws {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward(Self.get)
        app.send("HTTP/1.1 200 OK\r\n\r\nhello")
        app.end()
        rig.turn()
        #expect(client.received().hasSuffix("\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
        let record = try #require(try rig.records(1).first)
        #expect(record.down.payloadBytes == 5)
        #expect(record.down.bytes == 15)
    }

    @Test func `the end of an answer waits for its reader longer than one lingers`() throws {
        var settings = FrontendSettings()
        settings.bodyMilliseconds = 5_000
        settings.patience = Patience(closingMilliseconds: 10_000, lingerMilliseconds: 1_000)
        // How much a socket takes is the kernel's: one of these ends while something is held.
        for size in stride(from: 200_000, through: 500_000, by: 20_000) {
            let rig = try TurnRig(settings: settings)
            let (client, app, _) = try rig.forward(
                "GET /a HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n")
            let body = String(repeating: "x", count: size)
            var rest = "HTTP/1.1 200 OK\r\nContent-Length: \(size)\r\n\r\n" + body
            var all = ""
            while rig.request != nil {
                let isStuck = !app.sendSome(&rest)
                rig.turn()
                if isStuck && rig.request != nil { all += client.received(atMost: 20_000) }
            }
            guard let session = rig.session, !session.pointee.stream.leg.held.isEmpty else {
                continue
            }
            rig.turn(after: 1_500)
            #expect(rig.session != nil)
            while rig.session?.pointee.stream.leg.held.isEmpty == false {
                all += client.received()
                rig.turn()
            }
            all += client.received()
            #expect(all.hasSuffix("\r\n\r\n" + body))
            #expect(client.hasEnded)
            rig.turn(after: 1_500)
            #expect(rig.session == nil)
            return
        }
        Issue.record("no answer ended while something was held")
    }

    @Test func `an upload goes on behind the head of an answer that came within it`() throws {
        var settings = FrontendSettings()
        // Less than a socket holds, so that a turn has to leave something there.
        settings.relayBufferBytes = 16 * 1_024
        let rig = try TurnRig(settings: settings)
        rig.state.pointee.space.pointee.pumpBytesMax = 16 * 1_024
        let client = try rig.connect()
        let head = "POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000000\r\n\r\n"
        client.send(head)
        rig.turn()
        let app = try rig.accept()
        rig.turn()
        var got = app.received().count { $0 == "x" }
        // The app reads nothing until all is full: then the client's bytes wait in its socket.
        var sent = 0
        let piece = String(repeating: "x", count: 10_000)
        while true {
            var rest = piece
            let isTaken = client.sendSome(&rest)
            sent += piece.utf8.count - rest.utf8.count
            if !isTaken { break }
            rig.turn()
        }
        // It reads all of that and answers the head of it: both are told in one event.
        got += app.received().count { $0 == "x" }
        app.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
        var idleTurns = 0
        while idleTurns < 5 {
            rig.turn()
            let more = app.received().count { $0 == "x" }
            idleTurns = more == 0 ? idleTurns + 1 : 0
            got += more
        }
        #expect(got == sent, "no byte of the body waits for an edge that does not come")
        #expect(client.received().contains("ok"))
    }

    @Test func `a connection that was kept reads answers within the limits of today`() throws {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward(Self.get)
        app.send(Self.answer)
        rig.turn()
        _ = client.received()
        var settings = FrontendSettings()
        settings.headLimits = HeadLimits(bytesMax: 40_000)
        rig.use(settings)
        client.send(Self.get)
        rig.turn()
        let field = String(repeating: "v", count: 30_000)
        app.send("HTTP/1.1 200 OK\r\nX-Long: \(field)\r\nContent-Length: 2\r\n\r\nok")
        rig.turn()
        #expect(client.received().hasPrefix("HTTP/1.1 200 "))
    }

    @Test func `a tunnel opens with what came early on both sides`() throws {
        let rig = try TurnRig()
        let (client, app, _) = try rig.forward(Self.upgrade + "\u{1}")
        app.send(Self.switching + "\u{1}\u{2}hi")
        rig.turn()
        #expect(client.received().hasSuffix("\r\n\r\n\u{1}\u{2}hi"))
        #expect(rig.state.pointee.tunnels.count == 1)
        #expect(rig.state.pointee.sessions.count == 0)
        #expect(rig.state.pointee.requests.count == 0)
        #expect(rig.state.pointee.upstreams.count == 0)
        client.end()
        rig.turn()
        app.end()
        rig.turn()
        #expect(rig.state.pointee.tunnels.count == 0)
        #expect(rig.state.pointee.clients.count == 0)
        #expect(rig.group.picker.active(0) == 0)
    }
}
