// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router
import Splice
import TLS
import TestKit
import Testing
import Wire

@testable import Frontend

/// Goal: connections are accepted, spread, bounded, and relayed to whoever serves them.
///
/// Method: a Frontend with real reactors and sockets in this process; nobody sleeps, everybody waits
/// for what has to come.
struct FrontendServingTests {
    @Test func `a plain and a TLS listener serve side by side`() throws {
        let rig = try FrontendRig(both: true, workers: 2)
        #expect(rig.frontend.addresses.allSatisfy { $0.port != 0 })
        let plain = try rig.visitor()
        #expect(try plain.upgrade(path: "/a?secret=1").status == 101)
        let secure = try rig.visitor(tls: Certificates.shared().first.client(), at: 1)
        #expect(try secure.upgrade(path: "/b").status == 101)
        for round in 0..<20 {
            #expect(try plain.echoes("plain \(round)"))
            #expect(try secure.echoes("secure \(round)"))
        }
        #expect(rig.frontend.connectionCount == 2)
        #expect(rig.group.picker.active(0) == 2)

        for visitor in [plain, secure] {
            try visitor.sendFrame(.close, [0x03, 0xE8])
            #expect(try visitor.receiveFrame().opcode == .close)
            #expect(try visitor.receiveToEnd() == [])
        }
        #expect(secure.wasClosedByNotify)
        rig.frontend.cut()
        rig.frontend.wait()
        #expect(rig.group.picker.active(0) == 0)
    }

    @Test func `a relay has a record when it opens, and its id is that of the one when it ends`()
        throws
    {
        let notebook = try Notebook(takesRelayOpens: true)
        let rig = try FrontendRig(journal: notebook.journal)
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade(path: "/a").status == 101)
        let opened = try #require(try notebook.next().first)
        #expect(opened.kind == .opened)
        #expect(opened.path == "/a" && opened.status == 101 && opened.upstream == "ws://echo")
        let relay = try #require(opened.relay)
        #expect(rig.frontend.relays(RelayFilter(), countMax: 2).map(\.id) == [relay])
        try visitor.sendFrame(.close, [0x03, 0xE8])
        _ = try visitor.receiveToEnd()
        let ended = try #require(try notebook.next().first)
        #expect(ended.kind == .ended)
        #expect(ended.relay == relay)
        #expect(ended.closeCode == 1000)
    }

    @Test func `a record tells what became of a connection`() throws {
        let rig = try FrontendRig(secure: true)
        let address: Address
        do {
            let visitor = try rig.visitor(tls: Certificates.shared().first.client())
            #expect(try visitor.upgrade(path: "/a/b?secret=1").status == 101)
            #expect(try visitor.echoes("hello"))
            try visitor.sendFrame(.close, [0x03, 0xE8])
            _ = try visitor.receiveToEnd()
            address = rig.address
        }
        let record = try #require(try rig.notebook.next().first)
        #expect(record.status == 101)
        #expect(record.path == "/a/b")
        #expect(record.host == "localhost")
        #expect(record.route == "/*")
        #expect(record.upstream == "ws://echo")
        #expect(record.listener == address)
        #expect(record.client.isLoopback)
        #expect(record.tls?.version == .tls13)
        #expect(record.kind == .ended)
        #expect(record.up.messages == 1 && record.down.messages == 1)
        #expect(record.up.payloadBytes == 5)
        #expect(record.closeCode == 1000)
        #expect(record.initiator == .client && record.reason == .close)
        rig.frontend.cut()
        rig.frontend.wait()
        #expect(rig.frontend.connectionCount == 0)
        #expect(rig.group.picker.active(0) == 0)
    }

    @Test func `who comes and goes without a word is no record`() throws {
        let rig = try FrontendRig()
        do { _ = try rig.visitor() }
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade().status == 101)
        try visitor.sendFrame(.close, [])
        _ = try visitor.receiveToEnd()
        do { _ = consume visitor }
        #expect(try rig.notebook.next().map(\.status) == [101])
    }

    @Test func `connections are spread evenly over the reactors`() throws {
        let rig = try FrontendRig(workers: 2)
        var visitors: [Visitor] = []
        for _ in 0..<200 { visitors.append(try rig.visitor()) }
        for visitor in visitors { #expect(try visitor.upgrade().status == 101) }
        let loads = rig.frontend.connectionCounts
        #expect(loads.reduce(0, +) == 200)
        #expect(abs(loads[0] - loads[1]) <= 4, "\(loads)")
        #expect(try visitors.allSatisfy { try $0.echoes("x") })
    }

    @Test func `as many connections as allowed are served, the next one waits`() throws {
        var settings = FrontendSettings()
        settings.connectionsMax = 3
        let rig = try FrontendRig(settings: settings)
        var visitors: [Visitor] = []
        for _ in 0..<3 {
            let visitor = try rig.visitor()
            #expect(try visitor.upgrade().status == 101)
            visitors.append(visitor)
        }
        let late = try rig.visitor()
        // Every turn in which it could have been taken ends with an echo.
        for _ in 0..<10 {
            #expect(try visitors.allSatisfy { try $0.echoes("still here") })
            #expect(rig.frontend.connectionCount == 3)
        }
        visitors.removeFirst()
        #expect(try late.upgrade().status == 101)
        #expect(rig.frontend.connectionCount == 3)
    }

    @Test func `a listener that goes lets in no more connections than allowed`() throws {
        var settings = FrontendSettings()
        settings.connectionsMax = 1
        let rig = try FrontendRig(both: true, settings: settings)
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade().status == 101)
        // They wait in the queue of the listener.
        let late = [try rig.visitor(at: 1), try rig.visitor(at: 1)]
        try rig.use(certificates: [nil])
        #expect(rig.frontend.connectionCount == 1)
        #expect(try visitor.echoes("still here"))
        withExtendedLifetime(late) {}
    }

    @Test func `an endpoint that refuses is passed over, and cools down`() throws {
        let gone = Endpoint(label: "ws://gone", address: try freeAddress())
        let rig = try FrontendRig { [gone, Endpoint(label: "ws://echo", address: $0)] }
        for _ in 0..<4 {
            let visitor = try rig.visitor()
            #expect(try visitor.upgrade().status == 101)
            #expect(try visitor.echoes("x"))
        }
        #expect(
            rig.group.picker.isCoolingDown(0, nowMilliseconds: Clock.nowMilliseconds()))
        #expect(
            !rig.group.picker.isCoolingDown(1, nowMilliseconds: Clock.nowMilliseconds()))
        #expect(rig.group.picker.active(0) == 0)
    }

    @Test func `the addresses of an endpoint are tried in turn`() throws {
        let endpoint = Endpoint(label: "ws://app", host: "app", port: 1)
        let gone = try freeAddress()
        let rig = try FrontendRig { echo in
            endpoint.addresses = [gone, echo]
            return [endpoint]
        }
        let visitor = try rig.visitor()
        #expect(try visitor.upgrade().status == 101)
        #expect(!rig.group.picker.isCoolingDown(0, nowMilliseconds: Clock.nowMilliseconds()))
    }

    @Test func `where nobody serves, the client is told why`() throws {
        let gone = Endpoint(label: "ws://gone", address: try freeAddress())
        let rig = try FrontendRig { _ in [gone] }
        let head = try rig.visitor().upgrade()
        #expect(head.status == 502)
        #expect(
            head.fields.string("proxy-status")?.hasPrefix("sluice; error=connection_refused;")
                == true)
        #expect(rig.group.picker.active(0) == 0)
        let nameless = Endpoint(label: "ws://nameless", host: "nameless", port: 1)
        let other = try FrontendRig { _ in [nameless] }
        let answer = try other.visitor().upgrade()
        #expect(answer.status == 502)
        #expect(
            answer.fields.string("proxy-status")?.hasPrefix("sluice; error=dns_error;") == true)
        #expect(other.group.picker.active(0) == 0)
    }

    @Test(arguments: [false, true])
    func `an answer's head may be as long as the limits allow`(secure: Bool) throws {
        var settings = FrontendSettings()
        settings.headLimits = HeadLimits(bytesMax: 1_048_576, fieldsMax: 100)
        let value = String(repeating: "v", count: 400_000)
        let answerer = try Answerer(
            Array("HTTP/1.1 403 No\r\nContent-Length: 2\r\nX-Long: \(value)\r\n\r\nno".utf8))
        defer { answerer.stop() }
        let rig = try FrontendRig(secure: secure, settings: settings) { _ in
            [answerer.endpoint]
        }
        let visitor = try rig.visitor(tls: secure ? Certificates.shared().first.client() : nil)
        let head = try visitor.upgrade()
        #expect(head.status == 403)
        #expect(head.fields.string("x-long")?.utf8.count == 400_000)
        #expect(try visitor.receiveToEnd() == Array("no".utf8))
        #expect(visitor.wasClosedByNotify == secure)
    }

    @Test(arguments: [false, true])
    func `a session is taken up again, however the first request came`(
        comesWithFinished: Bool
    ) throws {
        let rig = try FrontendRig(secure: true)
        let context = try Certificates.shared().first.client()
        let first = try Visitor(rig.address, tls: context, holdsFinished: comesWithFinished)
        first.host = rig
        #expect(try first.upgrade().status == 101)
        #expect(try first.echoes("hello"))
        #expect(first.facts?.isResumed == false)
        let ticket = try #require(first.ticket)
        let second = try Visitor(
            rig.address, tls: context, holdsFinished: comesWithFinished, resuming: ticket)
        #expect(second.facts?.isResumed == true)
        // A refusal takes the next ticket along too.
        try second.send(
            Array("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\r\n".utf8))
        #expect(try second.receiveHead().status == 400)
        #expect(second.ticket != nil)
        #expect(try first.echoes("still here"))
        _ = try second.receiveToEnd()
        #expect(second.wasClosedByNotify)
    }

    /// RFC 8446 §5.3: records have numbers, so the ticket has to come before what follows it.
    @Test func `the alert for a bad record beside Finished does not overtake the ticket`() throws {
        let rig = try FrontendRig(secure: true)
        let context = try Certificates.shared().first.client()
        let visitor = try Visitor(rig.address, tls: context, holdsFinished: true)
        try visitor.send([]) { finished in
            finished + [23, 3, 3, 0, 32] + [UInt8](repeating: 0x5A, count: 32)
        }
        #expect(try visitor.receiveToEnd() == [])
        #expect(visitor.reasons == ["sslv3 alert bad record mac"])
    }

    @Test func `frames that come with the request wait for the tunnel`() throws {
        let rig = try FrontendRig(secure: true)
        let visitor = try Visitor(
            rig.address, tls: Certificates.shared().first.client(), holdsFinished: true)
        let early = FrameHeader(opcode: .text, payloadLength: 5, maskKey: 0).encoded()
        let head = """
            GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r
            Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n
            """
        try visitor.send(Array(head.utf8) + early + Array("early".utf8))
        #expect(try visitor.receiveHead().status == 101)
        #expect(try visitor.receiveFrame().payload == Array("early".utf8))
        #expect(rig.frontend.connectionCount == 1)
    }

    @Test func `plain HTTP on a TLS port is answered with the URL that works`() throws {
        let rig = try FrontendRig(secure: true)
        let visitor = try rig.visitor()
        let head = try visitor.upgrade(path: "/a/b?secret=1")
        #expect(head.status == 400)
        let body = String(decoding: try visitor.receiveToEnd(), as: UTF8.self)
        #expect(
            body.contains("wss://localhost:\(rig.frontend.addresses[0].port)/a/b instead of ws://"))
        #expect(!body.contains("secret"))
        #expect(rig.notebook.sentences.contains { $0.contains("sent plain HTTP") })
    }

    @Test func `TLS on a plain port gets plain HTTP, and a line in the log`() throws {
        let rig = try FrontendRig()
        let visitor = try rig.visitor()
        try visitor.send([0x16, 0x03, 0x01, 0x00, 0x05, 1, 0, 0, 1, 3])
        let answer = String(decoding: try visitor.receiveToEnd(), as: UTF8.self)
        #expect(answer.hasPrefix("HTTP/1.1 400 "), "\(answer)")
        #expect(rig.notebook.sentences.contains { $0.contains("began a TLS handshake") })
    }

    @Test func `a head that does not come in time is answered with 408`() throws {
        var settings = FrontendSettings()
        settings.headMilliseconds = 50
        let rig = try FrontendRig(settings: settings)
        let visitor = try rig.visitor()
        try visitor.send(Array("GET / HT".utf8))
        #expect(try visitor.receiveHead().status == 408)
    }

    @Test func `a ClientHello that does not come in time ends the connection`() throws {
        var settings = FrontendSettings()
        settings.clientHelloMilliseconds = 50
        let rig = try FrontendRig(secure: true, settings: settings)
        let visitor = try rig.visitor()
        #expect(try visitor.receiveToEnd() == [])
        let record = try #require(try rig.notebook.next().first)
        #expect(record.detail == "the TLS handshake took too long")
    }

    /// An address where nobody listens.
    private func freeAddress() throws -> Address {
        guard case .tcp(let port) = try PeerAddress.refusing() else {
            preconditionFailure("a port was asked for")
        }
        return .loopback(port: port)
    }
}
