// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Foundation
import Glibc
import Reactor
import Synchronization
import TLS

/// The command `Bench handshakes`: what the server's side of a TLS handshake takes, without a network.
struct Handshakes: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "handshakes",
        abstract: "The server's side of TLS handshakes in memory, on one thread or on several.",
        discussion: """
            Each thread runs on a core of its own and is server and client in turn; only the \
            processor time of the server's steps counts, with the ticket that it sends. To see \
            what threads cost each other by what they share, compare two threads of one process \
            with two processes of one thread each on the same cores.
            """)

    @Option(help: ArgumentHelp("The server's certificates, in PEM form.", valueName: "file"))
    var certificate: String
    @Option(help: ArgumentHelp("The key of the first of them, in PEM form.", valueName: "file"))
    var key: String
    @Option(help: "How many threads.")
    var threads = 1
    @Option(
        name: .customLong("first-cpu"), help: "The core of the first thread; the others follow.")
    var firstCPU = 0
    @Option(help: ArgumentHelp("Measure this long.", valueName: "seconds"))
    var duration = 2.0
    @Option(
        name: .customLong("start-at"),
        help: ArgumentHelp(
            "Begin at this time, in seconds since 1970, so that several processes begin together.",
            valueName: "time"))
    var startAt: Double?
    @Flag(help: "Take up sessions with the tickets of those before.")
    var resume = false
    @Flag(name: .customLong("own-contexts"), help: "Give each thread an SSL_CTX of its own.")
    var ownContexts = false
    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        guard threads >= 1 else { throw ValidationError("--threads must be at least 1.") }
    }

    func run() throws {
        _ = KeySchedule.fault
        let results = Mutex([HandshakeResult]())
        let shared = try store()
        var running: [ReactorThread] = []
        for index in 0..<threads {
            let store = ownContexts ? try store() : shared
            let cpu = firstCPU + index
            let plan = self
            running.append(
                try ReactorThread.start(name: "handshakes-\(index)", cpu: cpu) {
                    guard let result = try? plan.measure(store) else { return }
                    results.withLock { $0.append(result) }
                })
        }
        for thread in running { thread.join() }
        let made = results.withLock { $0 }
        guard made.count == threads else { throw ValidationError("A handshake has failed.") }
        let result = HandshakeResult(
            handshakes: made.reduce(0) { $0 + $1.handshakes },
            nanoseconds: made.reduce(0) { $0 + $1.nanoseconds })
        print(json ? try ReportText.json(result) : result.line)
    }

    private func store() throws -> CertificateStore {
        try CertificateStore(
            [IdentityFiles(chain: certificate, key: key)],
            options: TLSServerOptions(minimumVersion: .tls12), tickets: TicketKeys())
    }

    private func measure(_ store: CertificateStore) throws -> HandshakeResult {
        var pair = HandshakePair(store.initial, try TLSContext.client(trusting: nil))
        defer { pair.free() }
        // The first ones fetch what later ones find.
        for _ in 0..<20 { try pair.shake(resumes: resume) }
        pair.serverNanoseconds = 0
        if let startAt {
            let left = startAt - Date().timeIntervalSince1970
            if left > 0 { usleep(UInt32(min(left, 60) * 1_000_000)) }
        }
        let end = Clock.nowNanoseconds() + UInt64(duration * 1e9)
        var count: UInt64 = 0
        while Clock.nowNanoseconds() < end {
            try pair.shake(resumes: resume)
            count += 1
        }
        return HandshakeResult(handshakes: count, nanoseconds: pair.serverNanoseconds)
    }
}

/// What handshakes took.
struct HandshakeResult: Codable, Sendable {
    var handshakes: UInt64
    /// Processor time of the server's steps, of all of them.
    var nanoseconds: UInt64
    var microsecondsEach: Double

    init(handshakes: UInt64, nanoseconds: UInt64) {
        self.handshakes = handshakes
        self.nanoseconds = nanoseconds
        microsecondsEach = handshakes == 0 ? 0 : Double(nanoseconds) / Double(handshakes) / 1000
    }

    var line: String {
        "\(handshakes) handshakes, \(ReportText.number(microsecondsEach)) µs of the server's processor time each"
    }
}

/// A server and a client that send each other bytes through memory.
private struct HandshakePair {
    private let server: RecordBuffers
    private let client: RecordBuffers
    private let serverContext: TLSContext
    private let clientContext: TLSContext
    private let plain = UnsafeMutablePointer<UInt8>.allocate(capacity: plainBytes)
    private var ticket: ResumptionTicket?
    var serverNanoseconds: UInt64 = 0

    private static let plainBytes = 64 * 1024

    init(_ serverContext: TLSContext, _ clientContext: TLSContext) {
        self.serverContext = serverContext
        self.clientContext = clientContext
        server = RecordBuffers()
        client = RecordBuffers()
    }

    func free() {
        server.free()
        client.free()
        plain.deallocate()
    }

    /// One handshake from its first byte to the ticket behind it.
    mutating func shake(resumes: Bool) throws {
        guard
            var near = TLSSession.connecting(
                clientContext, through: client, serverName: "localhost",
                resuming: resumes ? ticket : nil)
        else { throw HandshakeFault() }
        // The whole life of the server's object counts.
        var began = Self.threadNanoseconds()
        guard var far = TLSSession.accepting(serverContext, through: server) else {
            throw HandshakeFault()
        }
        serverNanoseconds += Self.threadNanoseconds() - began
        var isDone = false
        while !isDone {
            guard near.handshake() != .failed else { throw HandshakeFault() }
            server.clearOutput()
            server.setInput(client.output, count: client.outputCount)
            began = Self.threadNanoseconds()
            let progress = far.handshake()
            serverNanoseconds += Self.threadNanoseconds() - began
            guard progress != .failed else { throw HandshakeFault() }
            isDone = progress == .done
            client.clearOutput()
            client.setInput(server.output, count: server.outputCount)
        }
        // Behind the handshake comes a ticket.
        guard near.handshake() == .done,
            near.readAll(into: plain, capacity: Self.plainBytes).status == .open
        else { throw HandshakeFault() }
        if resumes {
            if ticket != nil, near.facts()?.isResumed != true { throw HandshakeFault() }
            guard let next = near.resumptionTicket() else { throw HandshakeFault() }
            ticket = next
        }
        began = Self.threadNanoseconds()
        _ = consume far
        serverNanoseconds += Self.threadNanoseconds() - began
    }

    private static func threadNanoseconds() -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return UInt64(truncatingIfNeeded: time.tv_sec) &* 1_000_000_000
            &+ UInt64(truncatingIfNeeded: time.tv_nsec)
    }
}

private struct HandshakeFault: Error {}
