// SPDX-License-Identifier: Apache-2.0
//
// Goal: where this machine has run out of something, the endpoint is not blamed: 503 with Retry-After, a
// line with the cure, no cool-down, and another address to come from where there is one.
// Method: the program in a network of its own with 50 local ports and an app behind it; a unix socket
// whose queue is full; a small limit of open files.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct ShortageTests {
    private static let ports = 50

    /// A network with few ports, and an app in it; all of it ends with the first process.
    private static func wrapper() throws -> [String] {
        let inside = """
            ip link set lo up && echo '40000 40049' > /proc/sys/net/ipv4/ip_local_port_range || exit 1
            "$SLUICE" echo --listen 127.0.0.1:9000 --listen 127.0.0.1:9001 > /dev/null &
            exec "$@"
            """
        return [
            "env", "SLUICE=\(try ProxyFixture.program())", "unshare",
            getuid() == 0 ? "-np" : "-rnp",
            "--fork", "--kill-child", "--mount-proc", "sh", "-c", inside, "sh",
        ]
    }

    private static func started(_ upstream: String) throws -> (sluice: Operated, door: PeerAddress)
    {
        let folder = try Scratch.makeFolder()
        let sluice = try Operated(
            routes: ["{ path: /*, to: app }"], listeners: [.plain],
            settings: ["upstreams: { app: { \(upstream) } }"], wrapper: try wrapper())
        // Clients come by a socket file, which takes no port.
        let file = "\(folder)/door.sock"
        try sluice.rewrite(
            "  - \(try ProxyListener.plain.settingText())\n", "  - { address: \"unix:\(file)\" }\n")
        try eventually("the app is there") {
            try sluice.command(["reload"]).status == 0 && access(file, F_OK) == 0
        }
        return (sluice, .unix(file))
    }

    /// Opens relays until one is refused; the relays, and the refusal.
    private static func fill(
        _ door: PeerAddress, upTo most: Int
    ) throws -> (relays: [WebSocketPeer], refusal: HTTPResponse?) {
        var relays: [WebSocketPeer] = []
        while relays.count < most {
            let client = try WebSocketPeer.connect(to: door)
            try client.send(Opening("/").bytes)
            let head = try client.readHead()
            guard head.status == 101 else {
                let length = Int(head["Content-Length"] ?? "") ?? 0
                return (relays, HTTPResponse(head: head, body: try client.read(length)))
            }
            relays.append(client)
        }
        return (relays, nil)
    }

    private static func waitForApp(_ door: PeerAddress) throws {
        try eventually("the app listens") {
            let client = try WebSocketPeer.connect(to: door)
            try client.send("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return try client.readResponse().status == 200
        }
    }

    @Test func `without a free port the answer is 503, and the endpoint does not cool down`() throws
    {
        let (sluice, door) = try Self.started("endpoints: [\"ws://127.0.0.1:9000\"]")
        defer { Scratch.remove(sluice.folder) }
        try Self.waitForApp(door)
        let before = sluice.proxy.count(of: "fails:")
        let (relays, found) = try Self.fill(door, upTo: 2 * Self.ports)
        #expect(relays.count > Self.ports / 2 && relays.count <= Self.ports)
        let refusal = try #require(found)
        #expect(refusal.status == 503 && refusal.head["Retry-After"] == "1", "\(refusal.head)")
        #expect(refusal.text.contains("no local port is free"), "\(refusal.text)")
        try sluice.proxy.process.waitForLine(containing: "net.ipv4.ip_local_port_range")
        // An ordinary request fares as well, and the line is said once.
        let client = try WebSocketPeer.connect(to: door)
        try client.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        let answer = try client.readResponse()
        #expect(answer.status == 503 && answer.head["Retry-After"] == "1", "\(answer.head)")
        #expect(sluice.proxy.count(of: "ip_local_port_range") == 1)
        #expect(sluice.proxy.count(of: "fails:") == before)
        let status = try sluice.command(["status"])
        let line = status.output.split(separator: "\n").first {
            $0.hasPrefix("ws://127.0.0.1:9000")
        }
        #expect(line?.contains(" ok ") == true, "\(status.output)")
        // Whose port is free again, the next one gets.
        try relays[0].send(Frame.text("live").masked())
        #expect(try relays[0].readFrame().text == "live")
        for relay in relays { relay.stream.close() }
        try eventually("one has a port again") { try Self.fill(door, upTo: 1).refusal == nil }
    }

    @Test func `another endpoint, which has ports of its own, takes over`() throws {
        let (sluice, door) = try Self.started(
            "endpoints: [\"ws://127.0.0.1:9000\", \"ws://127.0.0.1:9001\"], balance: hash(path)")
        defer { Scratch.remove(sluice.folder) }
        try Self.waitForApp(door)
        let before = sluice.proxy.count(of: "fails:")
        let (relays, _) = try Self.fill(door, upTo: Self.ports + 20)
        #expect(relays.count == Self.ports + 20)
        #expect(sluice.proxy.count(of: "fails:") == before)
    }

    @Test func `more addresses to come from are more ports`() throws {
        let (sluice, door) = try Self.started(
            "endpoints: [\"ws://127.0.0.1:9000\"], source: [127.0.0.1, 127.0.0.2, 127.0.0.3]")
        defer { Scratch.remove(sluice.folder) }
        try Self.waitForApp(door)
        let (relays, refusal) = try Self.fill(door, upTo: 4 * Self.ports)
        #expect(relays.count > 2 * Self.ports && relays.count <= 3 * Self.ports)
        #expect(refusal?.status == 503)
    }

    @Test func `a check that finds no port says nothing of the endpoint`() throws {
        let (sluice, door) = try Self.started(
            "endpoints: [\"ws://127.0.0.1:9000\"], health: { every: 100ms, timeout: 10s, fall: 1 }")
        defer { Scratch.remove(sluice.folder) }
        try Self.waitForApp(door)
        func health() throws -> String {
            let status = try sluice.command(["status"])
            let line = status.output.split(separator: "\n").first {
                $0.hasPrefix("ws://127.0.0.1:9000")
            }
            return line.map(String.init) ?? status.output
        }
        try eventually("the endpoint is well") { try health().contains(" ok ") }
        var relays: [WebSocketPeer] = []
        // Ports of checks come back one by one, and are taken.
        for _ in 0..<20 {
            relays += try Self.fill(door, upTo: Self.ports).relays
            #expect(try health().contains(" ok "))
        }
        #expect(sluice.proxy.count(of: "is unhealthy: its check failed: Cannot assign") == 0)
        #expect(!relays.isEmpty)
    }

    @Test func `an address of a family that this machine has not is no shortage`() throws {
        // Both addresses of localhost are tried, and the second is none here.
        let inside = """
            ip link set lo up && echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6 || exit 1
            exec "$@"
            """
        let sluice = try Operated(
            routes: ["{ path: /*, to: \"ws://localhost:9\" }"], listeners: [.plain],
            wrapper: ["unshare", getuid() == 0 ? "-n" : "-rn", "sh", "-c", inside, "sh"])
        defer { Scratch.remove(sluice.folder) }
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try sluice.rewrite(
            "  - \(try ProxyListener.plain.settingText())\n",
            "  - { address: \"unix:\(folder)/door.sock\" }\n")
        #expect(try sluice.command(["reload"]).status == 0)
        let client = try WebSocketPeer.connect(to: .unix("\(folder)/door.sock"))
        let response = try client.refusal(of: Opening("/"))
        #expect(response.status == 502 && response.text.contains("Connection refused"))
        try sluice.proxy.process.waitForLine(containing: "fails: ")
    }

    @Test func `an app whose queue is full is busy, and not gone`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let app = try FullSocket("\(folder)/app.sock")
        let proxy = try ProxyFixture(to: .unix(app.path), listeners: [.plain], workers: 1)
        let client = try proxy.connect()
        let response = try client.refusal(of: Opening())
        try expectRefusal(response, 503, on: client)
        #expect(response.head["Retry-After"] == "1")
        #expect(response.text.contains("its queue of connections is full"))
        try proxy.process.waitForLine(containing: "net.core.somaxconn")
        #expect(proxy.count(of: "fails:") == 0)
        // Once it takes somebody, the next one gets in.
        app.takeAll()
        let next = try proxy.connect()
        try next.send(Opening().bytes)
        let upstream = try app.next()
        defer { close(upstream) }
        var buffer = [UInt8](repeating: 0, count: 4_096)
        #expect(recv(upstream, &buffer, buffer.count, 0) > 0)
    }

    @Test func `without a descriptor for it, the answer says when to come again`() throws {
        let backend = try ScriptedBackend.echo()
        defer { backend.stop() }
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: \"\(backend.address)\" }"], listeners: [.plain, .http2()],
            workers: 1, wrapper: ["sh", "-c", "ulimit -n 128 && exec \"$@\"", "sh"])
        // What those who are in already are going to need is kept from one who opens more and more.
        let clients = try (0..<10).map { _ in try proxy.connect() }
        let crowd = try PythonPeer.start(
            "h2_client.py",
            ["\(proxy.port(1))", try TestCertificates.shared().authority, "crowd"])
        let said = try crowd.waitForLine(containing: "refused behind")
        let words = said[said.count - 1].split(separator: " ")
        #expect(words.count == 5 && words.suffix(2) == ["503", "1"], "\(said)")
        #expect(Int(words[2]) ?? 0 > 10)
        for client in clients { try client.open() }
        try proxy.process.waitForLine(containing: "No connection to ws://127.0.0.1")
        #expect(proxy.count(of: "fails:") == 0)
    }
}

/// A listening unix socket whose queue is full.
private final class FullSocket {
    let path: String
    private let socket: Int32
    private var fillers: [Int32] = []

    init(_ path: String) throws {
        self.path = path
        socket = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var bound = false
        Self.withAddress(path) { bound = bind(socket, $0, $1) == 0 }
        guard bound, listen(socket, 0) == 0 else { throw PeerError("no socket at \(path)") }
        while fillers.count < 64 {
            let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
            let filler = Glibc.socket(AF_UNIX, type, 0)
            var code: Int32 = 0
            Self.withAddress(path) { code = connect(filler, $0, $1) == 0 ? 0 : errno }
            guard code == 0 else {
                close(filler)
                return
            }
            fillers.append(filler)
        }
        throw PeerError("the queue has no end")
    }

    deinit {
        for filler in fillers { close(filler) }
        close(socket)
    }

    /// Takes those who fill the queue.
    func takeAll() {
        for _ in fillers { close(accept(socket, nil, nil)) }
    }

    /// The next connection.
    func next() throws -> Int32 {
        var waitFor = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
        guard poll(&waitFor, 1, 60_000) == 1 else { throw PeerError("nobody came") }
        return accept(socket, nil, nil)
    }

    private static func withAddress(
        _ path: String, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Void
    ) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
    }
}
