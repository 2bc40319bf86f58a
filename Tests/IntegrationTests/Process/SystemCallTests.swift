// SPDX-License-Identifier: Apache-2.0
//
// Goal: in steady state a relayed small message costs at most one receive and one send, in each
// direction, and idle relays beside it change nothing; an ordinary request on kept connections costs
// no more.
// Method: strace attached to the program while a known number of messages goes to and fro; its lines
// are counted. Skipped only where tracing is not possible, which the condition records.

import Glibc
import TestKit
import Testing

@Suite struct SystemCallTests {
    /// Whether strace is here and may trace a process that is not its child.
    static let canTrace: Bool = {
        guard let idle = try? ChildProcess(["sleep", "60"]) else { return false }
        let trace = try? ChildProcess(["strace", "-p", "\(idle.identifier)"])
        return (try? trace?.waitForLine(containing: "attached")) != nil
    }()

    private struct Counts {
        var receives = 0
        var sends = 0
        var waits = 0
        var others: [Substring: Int] = [:]
    }

    private func count(
        messages: Int, idle: Int, listener: ProxyListener
    ) throws -> Counts {
        let backend = try ScriptedBackend.echo()
        // The log's thread writes lines later than what they tell of, and none is of a message.
        let proxy = try ProxyFixture(
            to: backend.address, listeners: [listener], settings: ["log: { access: \"off\" }"],
            workers: 1)
        let idlers = try (0..<idle).map { _ in try proxy.open() }
        let client = try proxy.open()
        func exchange(_ count: Int) throws {
            for _ in 0..<count {
                try client.send(Frame.text("a small message").masked())
                _ = try client.readFrame()
            }
        }
        try exchange(10)
        defer { withExtendedLifetime(idlers) {} }
        return try trace(proxy) { try exchange(messages) }
    }

    /// The calls of the program's one reactor while something goes on.
    private func trace(_ proxy: ProxyFixture, _ body: () throws -> Void) throws -> Counts {
        let file = "\(proxy.folder)/trace"
        let trace = try ChildProcess([
            "strace", "-f", "-o", file, "-p", "\(proxy.process.identifier)",
        ])
        // One line for all threads of the process, once each of them is traced.
        try trace.waitForLine(containing: "attached")
        try body()
        trace.signal(SIGINT)
        try trace.waitForExit()
        return Self.counts(in: try Scratch.read(file))
    }

    private static func counts(in trace: String) -> Counts {
        // By thread: the one that receives is the reactor; the log's may wake once more for what was
        // said at the start.
        var threads: [Substring: Counts] = [:]
        // A line is the padded thread id and `call(…) = result`; the rest of a call that another
        // thread interrupted begins with `<...`, and a signal with `---`.
        for line in trace.split(separator: "\n") {
            let thread = line.prefix { $0.isNumber }
            let call = line.drop { $0.isNumber || $0 == " " }
            var counts = threads[thread] ?? Counts()
            defer { threads[thread] = counts }
            guard let name = call.split(separator: "(").first, call.first?.isLetter == true else {
                continue
            }
            switch name {
            case "recvfrom", "recvmsg", "read", "readv": counts.receives += 1
            case "sendto", "sendmsg", "write", "writev": counts.sends += 1
            case "epoll_wait", "epoll_pwait", "epoll_pwait2": counts.waits += 1
            default: counts.others[name, default: 0] += 1
            }
        }
        return threads.values.max { $0.receives < $1.receives } ?? Counts()
    }

    @Test(.enabled(if: canTrace, "strace may not trace here"), arguments: [true, false])
    func `a small message costs one receive and one send in each direction`(isTLS: Bool) throws {
        let counts = try count(messages: 200, idle: 0, listener: isTLS ? .tls() : .plain)
        #expect(counts.receives == 2 * 200, "\(counts)")
        #expect(counts.sends == 2 * 200, "\(counts)")
        #expect(counts.waits <= 2 * 200 + 20, "\(counts)")
        // A timer may be read now and then, but nothing is called per message.
        #expect(counts.others.values.reduce(0, +) < 50, "\(counts)")
    }

    @Test(.enabled(if: canTrace, "strace may not trace here"), arguments: [true, false])
    func `a kept request costs one receive and one send on each side`(isTLS: Bool) throws {
        let backend = try ScriptedBackend { peer in
            while true {
                let target = try peer.readHead().target
                try peer.send(
                    "HTTP/1.1 200 OK\r\nContent-Length: \(target.utf8.count)\r\n\r\n\(target)")
            }
        }
        let proxy = try ProxyFixture(
            routes: ["{ path: /*, to: \"\(backend.address)\" }"],
            listeners: [isTLS ? .tls() : .plain], settings: ["log: { access: \"off\" }"], workers: 1
        )
        let client = try proxy.connect()
        func ask(_ count: Int) throws {
            for _ in 0..<count {
                try client.send("GET /small HTTP/1.1\r\nHost: localhost\r\n\r\n")
                _ = try client.readResponse()
            }
        }
        try ask(10)
        let counts = try trace(proxy) { try ask(200) }
        #expect(counts.receives == 2 * 200, "\(counts)")
        #expect(counts.sends == 2 * 200, "\(counts)")
        #expect(counts.waits <= 2 * 200 + 20, "\(counts)")
        #expect(counts.others.values.reduce(0, +) < 50, "\(counts)")
    }

    @Test(.enabled(if: canTrace, "strace may not trace here"))
    func `idle relays beside it change nothing`() throws {
        let alone = try count(messages: 200, idle: 0, listener: .tls())
        let crowded = try count(messages: 200, idle: 200, listener: .tls())
        #expect(crowded.receives <= alone.receives + 4, "\(alone) \(crowded)")
        #expect(crowded.sends <= alone.sends + 4, "\(alone) \(crowded)")
        // Those that were just opened leave OpenSSL's object meanwhile, many in one turn.
        #expect(crowded.waits <= alone.waits + 60, "\(alone) \(crowded)")
    }
}
