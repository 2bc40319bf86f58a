// SPDX-License-Identifier: Apache-2.0
//
// Goal: what one client of HTTP/2 says reaches no other client, and no request of another's.
// Method: several clients of one reactor, each with a mark in all that it says, that send whole and half
// heads, bodies, trailers, frames and resets in a random order, before an app that answers with what it was
// asked, in pieces, and ends its connections as it likes. The marks of everything that arrives are looked at.

import Ledger
import Reactor
import Router
import Splice
import TLS
import TestKit
import Testing

@testable import Frontend

struct MixedStreamsTests {
    @Test(arguments: [1, 2, 3, 4, 5, 6])
    func `nothing of one client reaches another`(seed: UInt64) throws {
        let rig = try TurnRig(limits: Self.limits(2_000))
        let world = try MixedWorld(rig, seed: seed)
        for _ in 0..<400 { try world.step() }
        try world.finish()
        #expect(world.faults == [])
        // A run that did nothing shows nothing.
        #expect(world.headsSeen > 100 && world.marksBack > 50 && world.tunnels > 10)
        #expect(rig.state.pointee.substreams.count == 0 && rig.state.pointee.requests.count == 0)
    }

    @Test func `only DATA may come behind a CONNECT`() throws {
        let rig = try TurnRig()
        let (client, app) = try Self.tunnel(rig)
        client.send(
            FramePeer.frame(FramePeer.headers, flags: 5, 1, FramePeer.block([("x-sum", "7")])))
        rig.turn()
        #expect(client.got(FramePeer.reset, on: 1).map(\.code) == [1])
        // A Close, masked: the client has gone without one (RFC 6455 §7.1.5).
        #expect(Array(app.receivedBytes().prefix(2)) == [0x88, 0x82])
        app.end()
        rig.turn()
        let record = try #require(try rig.records(1).first)
        #expect(record.reason == .vanished && record.initiator == .client, "\(record)")
    }

    @Test func `a relay whose client is gone sees the end that its app had sent before`() throws {
        let rig = try TurnRig()
        let (client, app) = try Self.tunnel(rig, window: 1_000)
        // More than the stream's window, so the app is not read to its end.
        app.send(Frame(opcode: 2, payload: Array(repeating: 0x78, count: 10_000)).bytes)
        app.finish()
        rig.turn()
        #expect(rig.state.pointee.tunnels.count == 1)
        client.end()
        // On a busy machine the kernel brings an end later than the call for it returns.
        let deadline = Deadline.after()
        repeat { rig.turn() } while rig.state.pointee.tunnels.count > 0 && !deadline.hasPassed
        #expect(rig.state.pointee.tunnels.count == 0 && rig.state.pointee.substreams.count == 0)
        #expect(try rig.records(1).count == 1)
        // Its socket is open until here: nothing but the end that it had sent was there to be seen.
        app.end()
    }

    @Test func `a stream whose two sides end in one turn is let go of once`() throws {
        let rig = try TurnRig(limits: Self.limits(100))
        let (client, app) = try Self.tunnel(rig)
        // More than the rate lets through, so the relay does not read the client.
        for _ in 0..<3 { client.send(FramePeer.frame(FramePeer.data, 1, Self.frame(1_000))) }
        rig.turn()
        app.end()
        client.send(FramePeer.frame(FramePeer.reset, 1, FramePeer.number(8)))
        rig.turn(after: 10)
        #expect(rig.state.pointee.substreams.count == 0 && rig.state.pointee.tunnels.count == 0)
        // Two heads that are under way at one time are two heads.
        let (victim, other) = (try rig.connectMultiplexed(), try rig.connectMultiplexed())
        let fields = [
            (":method", "GET"), (":scheme", "https"), (":path", "/v"), (":authority", "a.test"),
            ("cookie", "secret"),
        ]
        victim.send(FramePeer.frame(FramePeer.headers, flags: 1, 1, FramePeer.block(fields)))
        rig.turn()
        other.send(FramePeer.head(1, path: "/o"))
        rig.turn()
        let request = try rig.accept().received()
        #expect(request.hasPrefix("GET /o ") && !request.contains("secret"), "\(request)")
    }

    @Test func `a tunnel whose client has ended its side and then resets the stream is over`()
        throws
    {
        let rig = try TurnRig()
        let (client, app) = try Self.tunnel(rig)
        client.send(FramePeer.frame(FramePeer.data, flags: 1, 1))
        rig.turn()
        #expect(Array(app.receivedBytes().prefix(2)) == [0x88, 0x82])
        client.send(FramePeer.frame(FramePeer.reset, 1, FramePeer.number(8)))
        rig.turn()
        app.end()
        rig.turn()
        #expect(rig.state.pointee.tunnels.count == 0 && rig.state.pointee.substreams.count == 0)
    }

    private static func limits(_ bytesPerSecond: UInt64) -> RelayLimits {
        var limits = RelayLimits()
        limits.bytesPerSecond = bytesPerSecond
        return limits
    }

    /// A client whose stream 1 is a WebSocket, and the app's end of it.
    private static func tunnel(_ rig: TurnRig, window: UInt32 = 1 << 20) throws -> (
        client: FramePeer, app: Peer
    ) {
        let client = try rig.connectMultiplexed(window: window)
        client.send(FramePeer.connect(1))
        rig.turn()
        let app = try rig.accept()
        rig.turn()
        app.send(try #require(MixedWorld.switching(app.received())))
        rig.turn()
        #expect(client.got(FramePeer.headers, on: 1).count == 1)
        return (client, app)
    }

    /// A binary frame of so many bytes, masked with nothing.
    private static func frame(_ count: Int) -> [UInt8] {
        Frame(opcode: 2, payload: Array(repeating: 0x78, count: count)).masked([0, 0, 0, 0]).bytes
    }
}

/// Clients of one reactor with marks, and the app behind it.
private final class MixedWorld {
    private enum Stream { case request, upload, tunnel, ended }

    private final class Client {
        let mark: String
        let peer: FramePeer
        var next: UInt32 = 1
        var streams: [UInt32: Stream] = [:]
        /// The stream whose head is not whole.
        var half: UInt32?
        var resets = 0

        init(_ name: String, _ peer: FramePeer) {
            mark = "mark-\(name)"
            self.peer = peer
        }

        func open(_ kind: Stream) -> UInt32 {
            defer { next += 2 }
            streams[next] = kind
            return next
        }

        func stream(_ kind: Stream, _ random: inout SplitMix) -> UInt32? {
            streams.filter { $0.value == kind }.keys.sorted().randomElement(using: &random)
        }
    }

    private final class Side {
        let peer: Peer
        var unread = ""
        /// The mark of whoever is served, where the rest of the connection is theirs.
        var owner: String?
        /// What was not sent yet of the answer.
        var answer = ""
        var endsBehindAnswer = false
        var isTunnel = false
        var isOver = false

        init(_ peer: Peer) { self.peer = peer }
    }

    private static let names = ["Ann", "Bob", "Cid", "Dan"]

    private let rig: TurnRig
    private let clients: [Client]
    private var sides: [Side] = []
    private var random: SplitMix
    private(set) var faults: [String] = []
    private(set) var headsSeen = 0
    private(set) var marksBack = 0
    private(set) var tunnels = 0

    init(_ rig: TurnRig, seed: UInt64) throws {
        self.rig = rig
        random = SplitMix(seed: seed)
        var clients: [Client] = []
        for name in Self.names { clients.append(Client(name, try rig.connectMultiplexed())) }
        self.clients = clients
    }

    /// A few things happen at once, and the reactor turns.
    func step() throws {
        for _ in 0..<Int.random(in: 1...6, using: &random) {
            if Bool.random(using: &random), let side = sides.randomElement(using: &random) {
                act(side)
            } else if let client = clients.randomElement(using: &random) {
                act(client)
            }
        }
        if Int.random(in: 0..<4, using: &random) == 0 {
            rig.turn(after: 20)
        } else {
            rig.now += 1
            rig.turnOnce()
        }
        try look()
    }

    /// All clients go, and with them whatever they asked for.
    func finish() throws {
        for client in clients {
            for (id, kind) in client.streams where kind != .ended && client.half == nil {
                client.peer.sendIfOpen(reset(id))
            }
        }
        rig.turn()
        try look()
        for side in sides { side.peer.end() }
        for client in clients { client.peer.end() }
        // Tunnels end by their deadline at the latest.
        for _ in 0..<8 { rig.turn(after: 30_000) }
    }

    // MARK: Clients

    private func act(_ client: Client) {
        let mark = client.mark
        if let id = client.half {
            // Nothing else may come before the head is whole (RFC 9113 §4.3).
            if Bool.random(using: &random) { return }
            client.peer.sendIfOpen(
                FramePeer.frame(
                    FramePeer.continuation, flags: 4, id, FramePeer.block([("x-rest", mark)])))
            client.half = nil
            return
        }
        let fields = [("cookie", "s=\(mark)"), ("x-mark", mark)]
        switch Int.random(in: 0..<12, using: &random) {
        case 0, 1:
            client.peer.sendIfOpen(FramePeer.head(client.open(.request), path: "/\(mark)", fields))
        case 2, 3:
            let id = client.open(.request)
            let all =
                [
                    (":method", "GET"), (":scheme", "https"), (":path", "/\(mark)"),
                    (":authority", "a.test"),
                ] + fields
            client.peer.sendIfOpen(
                FramePeer.frame(FramePeer.headers, flags: 1, id, FramePeer.block(all)))
            client.half = id
        case 4:
            client.peer.sendIfOpen(
                FramePeer.head(
                    client.open(.upload), method: "POST", path: "/\(mark)", fields, ends: false))
        case 5:
            guard let id = client.stream(.upload, &random) else { return }
            client.peer.sendIfOpen(FramePeer.frame(FramePeer.data, id, Array("[\(mark)]".utf8)))
        case 6:
            guard let id = client.stream(.upload, &random) else { return }
            client.streams[id] = .ended
            client.peer.sendIfOpen(
                FramePeer.frame(
                    FramePeer.headers, flags: 5, id, FramePeer.block([("x-trailer", mark)])))
        case 7: client.peer.sendIfOpen(FramePeer.connect(client.open(.tunnel), fields))
        case 8:
            guard let id = client.stream(.tunnel, &random) else { return }
            let text = String(repeating: "[\(mark)]", count: Int.random(in: 1...60, using: &random))
            let frame = Frame(opcode: 1, payload: Array(text.utf8)).masked([0, 0, 0, 0])
            client.peer.sendIfOpen(FramePeer.frame(FramePeer.data, id, frame.bytes))
        case 9:
            guard let id = client.stream(.tunnel, &random) else { return }
            client.streams[id] = .ended
            if Bool.random(using: &random) {
                client.peer.sendIfOpen(FramePeer.frame(FramePeer.data, flags: 1, id))
            } else {
                client.peer.sendIfOpen(
                    FramePeer.frame(
                        FramePeer.headers, flags: 5, id, FramePeer.block([("x-trailer", mark)])))
            }
        default:
            guard client.resets < 100,
                let id = client.streams.keys.sorted().randomElement(using: &random)
            else { return }
            client.resets += 1
            client.streams[id] = nil
            client.peer.sendIfOpen(reset(id))
        }
    }

    private func reset(_ id: UInt32) -> [UInt8] {
        FramePeer.frame(FramePeer.reset, id, FramePeer.number(8))
    }

    // MARK: The app

    private func act(_ side: Side) {
        if side.isOver { return }
        if side.isTunnel {
            switch Int.random(in: 0..<6, using: &random) {
            case 0: end(side)
            case 1...3:
                guard let owner = side.owner else { return }
                side.peer.sendIfOpen(Frame(opcode: 1, payload: Array("[\(owner)]".utf8)).bytes)
            default: break
            }
            return
        }
        if side.answer.isEmpty {
            if Int.random(in: 0..<20, using: &random) == 0 { end(side) }
            return
        }
        let count = Int.random(in: 1...side.answer.utf8.count, using: &random)
        side.peer.sendIfOpen(Array(side.answer.utf8.prefix(count)))
        side.answer = String(side.answer.dropFirst(count))
        let isDone = side.answer.isEmpty
        if isDone && side.endsBehindAnswer || Int.random(in: 0..<20, using: &random) == 0 {
            end(side)
        }
        if isDone && !side.isOver { take(side) }
    }

    private func end(_ side: Side) {
        side.isOver = true
        side.peer.end()
    }

    // MARK: What has come

    private func look() throws {
        while rig.isCalled { sides.append(Side(try rig.accept())) }
        for side in sides where !side.isOver {
            side.unread += side.peer.received()
            take(side)
        }
        sides.removeAll { $0.isOver }
        for client in clients {
            for frame in client.peer.takeNew() {
                let text = String(decoding: frame.payload, as: UTF8.self)
                for name in Self.names where text.contains("mark-\(name)") {
                    marksBack += 1
                    if "mark-\(name)" != client.mark {
                        faults.append("\(client.mark) gets \(name)'s on \(frame.stream)")
                    }
                }
            }
        }
    }

    private func take(_ side: Side) {
        if let owner = side.owner {
            check(side.unread, owner)
            side.unread = ""
            return
        }
        guard side.answer.isEmpty, let last = side.unread.firstRange(of: "\r\n\r\n") else { return }
        let head = String(side.unread[..<last.upperBound])
        side.unread.removeSubrange(..<last.upperBound)
        headsSeen += 1
        let marks = Self.names.filter { head.contains("mark-\($0)") }
        guard marks.count == 1, let name = marks.first else {
            faults.append("a request of \(marks): \(head)")
            return end(side)
        }
        if let switching = Self.switching(head) {
            tunnels += 1
            side.isTunnel = true
            side.owner = "mark-\(name)"
            side.peer.sendIfOpen(switching)
        } else if head.hasPrefix("POST") {
            side.owner = "mark-\(name)"
            side.endsBehindAnswer = true
            side.answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\(head)"
        } else {
            side.answer = "HTTP/1.1 200 OK\r\nContent-Length: \(head.utf8.count)\r\n\r\n\(head)"
        }
    }

    private func check(_ text: String, _ owner: String) {
        for name in Self.names where text.contains("mark-\(name)") && "mark-\(name)" != owner {
            faults.append("bytes of \(name)'s behind a request of \(owner)")
        }
    }

    /// The 101 for this head; nil where none was asked for.
    static func switching(_ head: String) -> [UInt8]? {
        let key = head.split(separator: "\r\n").first {
            $0.lowercased().hasPrefix("sec-websocket-key:")
        }
        guard let key = key?.dropFirst(18).drop(while: { $0 == " " }) else { return nil }
        let accept = String(decoding: WebSocketAccept.value(forKey: Array(key.utf8)), as: UTF8.self)
        return Array(
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                + "Sec-WebSocket-Accept: \(accept)\r\n\r\n").utf8)
    }
}
