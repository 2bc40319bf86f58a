// SPDX-License-Identifier: Apache-2.0
import Foundation
import Ledger
import Reactor
import Router
import Splice
import Testing
import Wire

@testable import Frontend

/// One reactor on the test's own thread, over real sockets: the test says when it turns, and what time
/// it is then.
final class TurnRig {
    let notebook: Notebook
    let group: EndpointGroup
    var settings: FrontendSettings
    /// The time of the next turn, in milliseconds of `Clock`.
    var now = Clock.nowMilliseconds()
    private var worker: Worker
    private let entrance: Entrance
    private let app: Listener
    private let journal: Journal

    /// A reactor with one plain entrance, behind which an app listens on `/*`, or `action` answers; `rules`
    /// say how the one endpoint, or one of the `others`, is chosen, and `queue` who may wait for a place
    /// there; `limits` hold for its relays.
    init(
        rules: UpstreamRules = UpstreamRules(balance: .roundRobin), queue: QueueLimits? = nil,
        others: [Endpoint] = [], settings: FrontendSettings = .init(), action: RouteAction? = nil,
        limits: RelayLimits = RelayLimits()
    ) throws {
        self.settings = settings
        notebook = try Notebook()
        journal = notebook.journal
        app = try Listener(address: .loopback(port: 0))
        group = EndpointGroup(
            name: "app",
            endpoints: [Endpoint(label: "ws://app", address: app.address)] + others,
            rules: rules, queueLimits: queue)
        let entry = RouteEntry(
            host: try HostPattern(parsing: nil), path: try PathPattern(parsing: "/*"), place: "test"
        )
        var route = Route(name: "/*", action: action ?? .forward(group))
        route.relayLimits = limits
        let routing = Routing(table: try RouteTable([entry]), routes: [route])
        var plan = ListenerPlan(address: .loopback(port: 0), certificates: nil)
        plan.multiplexing = MultiplexRules(
            allowsWebSockets: true, streamsMax: 100, windowBytes: 65_535, resetsPerSecond: 30,
            pingAfterMilliseconds: 600_000, pingTimeoutMilliseconds: 600_000)
        entrance = Entrance(
            number: 1, socket: try SharedListener(plan.address), plan: plan, settings.headLimits)
        let snapshot = Snapshot(settings: settings, routing: routing, entrances: [entrance])
        worker = Worker(
            index: 0, crew: try Crew(count: 1, journal: journal), snapshot: snapshot, entrances: [],
            poller: try Poller())
        let mailbox = worker.state.pointee.crew.mailboxes[0].descriptor
        let isWatched = worker.state.pointee.poller.add(mailbox, Worker.mailboxToken, .levelRead)
        try #require(isWatched)
        // What was armed before the first turn counts from now.
        worker.state.pointee.space.pointee.nowMilliseconds = now
    }

    var state: StatePointer { worker.state }

    /// Serves by other settings from now on, as after a reload.
    func use(_ settings: FrontendSettings) {
        self.settings = settings
        state.pointee.snapshot = Snapshot(
            settings: settings, routing: state.pointee.snapshot.routing, entrances: [entrance])
    }

    /// Is told of other settings, as by a reload, and takes them up.
    func take(_ settings: FrontendSettings) throws {
        self.settings = settings
        let snapshot = Snapshot(
            settings: settings, routing: state.pointee.snapshot.routing, entrances: [entrance])
        state.pointee.crew.mailboxes[0].post(.use(snapshot, [], done: try Mailbox<Int>()))
        turn()
    }

    /// The one request in progress.
    var request: RequestPointer? {
        state.pointee.requests.nextLive(after: -1).flatMap { state.pointee.requests.pointer($0) }
    }

    /// The one session.
    var session: SessionPointer? {
        state.pointee.sessions.nextLive(after: -1).flatMap { state.pointee.sessions.pointer($0) }
    }

    /// Turns until nothing is left to do at this time.
    func turn(after milliseconds: UInt64 = 0) {
        now += milliseconds
        while turnOnce() > 0 || !state.pointee.unfinished.isEmpty {}
    }

    /// Turns once; how many events there were.
    @discardableResult
    func turnOnce() -> Int {
        let count = state.pointee.poller.wait(timeoutMilliseconds: 20)
        worker.handle(count, now: now)
        return count
    }

    /// A client that has connected.
    func connect() throws -> Peer {
        var pair: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &pair) == 0)
        for descriptor in pair { _ = fcntl(descriptor, F_SETFL, O_NONBLOCK) }
        state.pointee.crew.loads[0].opened()
        SessionKeeper(state).begin(
            pair[0], peer: .ipv4(192, 0, 2, 7, port: 4_000), entrance: entrance)
        return Peer(pair[1])
    }

    /// Whether the app is offered a connection.
    var isCalled: Bool {
        var waitFor = pollfd(fd: app.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&waitFor, 1, 0) == 1
    }

    /// The next connection that the app is offered.
    func accept() throws -> Peer {
        var waitFor = pollfd(fd: app.descriptor, events: Int16(POLLIN), revents: 0)
        try #require(poll(&waitFor, 1, 20_000) == 1, "nobody connects to the app")
        guard case .accepted(let descriptor, _) = Listener.accept(on: app.descriptor) else {
            throw VisitorFault(description: "the app can't accept")
        }
        return Peer(descriptor)
    }

    /// A client and a connection of the app's that has its request.
    func forward(_ head: String) throws -> (client: Peer, app: Peer, request: String) {
        let client = try connect()
        client.send(head)
        turn()
        let app = try accept()
        turn()
        return (client, app, app.received())
    }

    /// Records of requests that are over.
    func records(_ count: Int) throws -> [AccessRecord] { try notebook.next(count) }
}

/// The other end of a connection.
final class Peer {
    private var descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    deinit { end() }

    /// Sends all of it, which has to fit into the socket.
    func send(_ text: String) { send(Array(text.utf8)) }

    /// Sends all of it, which has to fit into the socket.
    func send(_ bytes: [UInt8]) {
        let sent = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        #expect(sent == bytes.count, "the socket does not take \(bytes.count) bytes")
    }

    /// Sends what the socket takes of it, if the other end is still there.
    func sendIfOpen(_ bytes: [UInt8]) {
        _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT))
    }

    /// Sends as much as the socket takes; false where that is nothing.
    func sendSome(_ text: inout String) -> Bool {
        let bytes = Array(text.utf8)
        let flags = Int32(MSG_NOSIGNAL | MSG_DONTWAIT)
        let sent = Glibc.send(descriptor, bytes, bytes.count, flags)
        if sent <= 0 { return false }
        text = String(decoding: bytes[sent...], as: UTF8.self)
        return true
    }

    /// Says that it sends nothing more.
    func finish() { shutdown(descriptor, Int32(SHUT_WR)) }

    /// Closes.
    func end() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
    }

    /// What has come by now, or the first of it.
    func received(atMost bytesMax: Int = .max) -> String {
        String(decoding: receivedBytes(atMost: bytesMax), as: UTF8.self)
    }

    /// The same as it came.
    func receivedBytes(atMost bytesMax: Int = .max) -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while all.count < bytesMax {
            let wanted = min(buffer.count, bytesMax - all.count)
            let count = recv(descriptor, &buffer, wanted, Int32(MSG_DONTWAIT))
            if count <= 0 { break }
            all += buffer[..<count]
        }
        return all
    }

    /// Whether the stream ends, and nothing is left to be read; the end of another socket's stream may
    /// be under way for a moment.
    var hasEnded: Bool {
        var waitFor = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        _ = poll(&waitFor, 1, 20_000)
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_DONTWAIT | MSG_PEEK)) == 0
    }
}
