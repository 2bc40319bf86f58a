// SPDX-License-Identifier: Apache-2.0
//
// Goal: when the process has no descriptor left (EMFILE), it neither dies nor spins, live relays go
// on, and when descriptors are free again new connections are served.
// Method: the program under a small `ulimit -n`, soft and hard; clients come until no more is served.

import Glibc
import TestKit
import Testing

@Suite struct OpenFilesTests {
    private static let limited = ["sh", "-c", "ulimit -n 48 && exec \"$@\"", "sh"]

    @Test func `the program recovers from having no descriptors left`() throws {
        let backend = try ScriptedBackend.echo()
        let proxy = try ProxyFixture(
            to: backend.address, listeners: [.plain], workers: 1, wrapper: Self.limited)
        var clients: [WebSocketPeer] = []
        var unserved: [WebSocketPeer] = []
        while unserved.isEmpty, clients.count < 60 {
            let client = try proxy.connect()
            try client.send(Opening().bytes)
            if try !client.stream.hasInput(by: .after(.seconds(2))) {
                unserved.append(client)
            } else if try client.readHead().status == 101 {
                clients.append(client)
            } else {
                // Refused because the upstream's socket found no descriptor: full as well.
                unserved.append(client)
            }
        }
        #expect(!clients.isEmpty && clients.count < 48)
        for _ in 0..<8 { unserved.append(try proxy.connect()) }

        // Full, but alive: relays go on, and the processor is not burnt on accept.
        let ticks = try processorTicks(of: proxy)
        for turn in 0..<50 {
            let client = clients[turn % clients.count]
            try client.send(Frame.text("\(turn)").masked())
            #expect(try client.readFrame().text == "\(turn)")
        }
        _ = try unserved[unserved.count - 1].stream.hasInput(by: .after(.seconds(1)))
        #expect(try processorTicks(of: proxy) - ticks < 60)

        for client in clients + unserved { client.stream.close() }
        try eventually("a new connection is served") {
            let client = try proxy.connect()
            try client.send(Opening().bytes)
            guard try client.stream.hasInput(by: .after(.seconds(5))) else { return false }
            return try client.readHead().status == 101
        }
        #expect(try proxy.terminate() == 0)
    }

    @Test func `each client of a burst at the end of the descriptors waits or is served`() throws {
        let backend = try ScriptedBackend.echo()
        defer { backend.stop() }
        let proxy = try ProxyFixture(
            to: backend.address, listeners: [.plain],
            workers: 2, wrapper: ["sh", "-c", "ulimit -n 300 && exec \"$@\"", "sh"])
        // All come before the first of them asks for an endpoint's connection.
        var waiting = try (0..<200).map { _ in try proxy.connect() }
        for client in waiting { try client.send(Opening().bytes) }
        var open: [WebSocketPeer] = []
        func takeServed() throws {
            var left: [WebSocketPeer] = []
            for client in waiting {
                guard try client.stream.hasInput(by: .after(.zero)) else {
                    left.append(client)
                    continue
                }
                #expect(try client.readHead().status == 101)
                open.append(client)
            }
            waiting = left
        }
        // All but the reserve is used: a third, and a sixteenth, of what is free after the start.
        try eventually("the descriptors are used") {
            try takeServed()
            return try openDescriptors(of: proxy) > 170 && open.count > 70
        }
        #expect(!waiting.isEmpty)
        // Room that becomes free goes to those that wait, however it lies among the numbers.
        while !waiting.isEmpty {
            // Reactors that accept in the same moment may have let in one more each than there was room for.
            let before = waiting.count
            for _ in 0..<min(10, open.count) { open.removeFirst().stream.close() }
            try eventually("those that wait come in") {
                try takeServed()
                return waiting.count <= max(0, before - 8)
            }
        }
        for client in open {
            try client.send(Frame.text("all").masked())
            #expect(try client.readFrame().text == "all")
        }
        #expect(proxy.count(of: "this process may open no more files") == 0)
    }

    @Test func `with every descriptor held that may be, the process itself wants for none`() throws
    {
        let backend = try ScriptedBackend { peer in
            if let key = try peer.readHead(by: .after(.seconds(600)))["Sec-WebSocket-Key"] {
                try peer.send(WebSocketPeer.switching(key: key))
                try peer.echo()
            } else {
                try peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nwell")
            }
        }
        defer { backend.stop() }
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let made = try TestCertificates.shared()
        let identity = TestIdentity(chain: "\(folder)/chain.pem", key: "\(folder)/key.pem")
        func put(_ other: TestIdentity) throws {
            try Scratch.write(try Scratch.read(other.chain), to: identity.chain)
            try Scratch.write(try Scratch.read(other.key), to: identity.key)
        }
        try put(made.local)
        let sluice = try Operated(
            routes: ["{ path: /*, to: \"\(backend.address)\" }"],
            listeners: [.plain, .tls([identity])],
            settings: ["log: { access: \(folder)/access.log }"],
            wrapper: ["sh", "-c", "ulimit -n 160 && exec \"$@\"", "sh"])
        defer { Scratch.remove(sluice.folder) }

        // Relays, and clients that have asked for something before; then idle ones as they come.
        let relays = try (0..<4).map { _ in try sluice.proxy.open(Opening("/")) }
        let asking = try sluice.proxy.connect()
        let request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
        try asking.send(request)
        #expect(try asking.readResponse().text == "well")
        var idle: [WebSocketPeer] = []
        for _ in 0..<200 { idle.append(try sluice.proxy.connect()) }
        try sluice.proxy.process.waitForLine(containing: "New connections have to wait")
        let open = try openDescriptors(of: sluice.proxy)
        // Each idle client may ask for an endpoint's connection yet, which is kept for it.
        #expect(open > 60 && open < 150, "\(open)")

        #expect(try sluice.ask("/healthz").output == "ok\n")
        #expect(try sluice.ask("/readyz").output == "ready\n")
        let status = try sluice.command(["status"])
        #expect(
            status.status == 0 && status.output.contains("new connections wait: all "), "\(status)")
        let doctor = try sluice.command(["doctor"])
        #expect(doctor.output.contains("descriptors for connections are in use"), "\(doctor)")
        // Another certificate, another listener, another log.
        try put(made.localRSA)
        try sluice.rewrite(
            "routes:", "  - { address: \"unix:\(folder)/new.sock\" }\nroutes:")
        let reload = try sluice.command(["reload"])
        #expect(
            reload.status == 0 && reload.output.contains("Listeners: added unix:"),
            "\(reload.output)")
        #expect(rename("\(folder)/access.log", "\(folder)/access.log.1") == 0)
        sluice.proxy.process.signal(SIGUSR1)
        try sluice.proxy.process.waitForLine(containing: "The log was opened anew: ")
        // Who was let in is served: relays go on, and the endpoint is reached.
        for (number, relay) in relays.enumerated() {
            try relay.send(Frame.text("\(number)").masked())
            #expect(try relay.readFrame().text == "\(number)")
        }
        try asking.send(request)
        #expect(try asking.readResponse().text == "well")
        try idle[0].send(request)
        #expect(try idle[0].readResponse().text == "well")
        #expect(sluice.proxy.count(of: "Too many open files") == 0)

        // Room for clients again: the new certificate and the new listener serve them.
        for client in idle { client.stream.close() }
        let kind = try run([
            "sh", "-c",
            "openssl s_client -connect 127.0.0.1:\(sluice.proxy.port(1)) < /dev/null 2> /dev/null"
                + " | openssl x509 -noout -text | grep 'Public Key Algorithm'",
        ])
        #expect(kind.first?.contains("rsaEncryption") == true, "\(kind)")
        let answer = try run([
            "curl", "-s", "--max-time", "60", "--unix-socket", "\(folder)/new.sock",
            "http://localhost/",
        ])
        #expect(answer == ["well"])
    }
}
