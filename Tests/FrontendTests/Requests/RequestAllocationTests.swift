// SPDX-License-Identifier: Apache-2.0
import Foundation
import Ledger
import Reactor
import Synchronization
import TLS
import TestKit
import Testing
import Wire

@testable import Frontend

/// Goal: an ordinary request on kept connections allocates nothing in steady state.
///
/// Method: the record of a request is handed over by the reactor's own thread, which is asked there
/// how many allocations it has made, in a second run of this program where they are counted.
@Suite(.enabled(if: AllocationCounting.isPossible, Comment(rawValue: AllocationCounting.whyNot)))
struct RequestAllocationTests {
    @Test func `a kept request allocates nothing in steady state`() throws {
        let counted = try AllocationCounting.run(suite: "CountedRequestTests")
        #expect(counted.status == 0, "\(counted.output)")
        #expect(counted.output.contains("with 1 test in 1 suite passed"), "\(counted.output)")
    }
}

/// What runs where allocations are counted, and nowhere else.
@Suite(.serialized, .enabled(if: AllocationCounting.isOn, "it needs the counting library"))
struct CountedRequestTests {
    private static let sources: [HashSource?] = [
        nil, .path, .header(Array("user-agent".utf8)), .cookie(Array("theme".utf8)), .client,
    ]

    /// As quick mode sets them: on connections with TLS they are filled in anew for each request.
    private static let connectionFields = FieldEdits(
        set: [
            .init(name: "X-TLS-Version", value: [.fact(.tlsVersion)]),
            .init(name: "X-TLS-Cipher", value: [.fact(.tlsCipher)]),
            .init(name: "X-TLS-Group", value: [.fact(.tlsGroup)]),
            .init(name: "X-TLS-ALPN", value: [.fact(.alpn)]),
        ])

    @Test(arguments: [
        (false, false, 0, false), (true, false, 0, false), (true, true, 0, false),
        (false, false, 1, false), (false, false, 2, false), (false, false, 3, false),
        (false, false, 4, false), (true, false, 0, true),
    ])
    func `a thousand requests of a browser allocate nothing`(
        tls: Bool, settles: Bool, source: Int, isTraced: Bool
    ) throws {
        // As the program does first of all: then what OpenSSL frees is kept.
        SessionMemory.install()
        let before = try #require(AllocationCounting.countOfThread)
        let probe = UnsafeMutablePointer<UInt64>.allocate(capacity: 1_000)
        #expect(try #require(AllocationCounting.countOfThread) > before, "the library counts")
        probe.deallocate()

        let count = Atomic<UInt>(0)
        let app = try KeptAnswerer(Self.answer)
        defer { app.stop() }
        let journal = Journal(
            access: { record in
                count.store(AllocationCounting.countOfThread ?? .max, ordering: .releasing)
            }, event: { _ in })
        // At once or not at all: in between it would depend on how long the first requests take.
        var settings = FrontendSettings()
        settings.settleMilliseconds = 0
        settings.releases = settles
        // Each has its place in a trace, and none is recorded.
        if isTraced {
            settings.tracing = TracingRules(sampling: TraceSampling(perMillion: 0))
        }
        let rig = try FrontendRig(
            secure: tls, settings: settings, journal: journal, hash: Self.sources[source],
            requestFields: Self.connectionFields
        ) { _ in [app.endpoint] }
        let context = tls ? try Certificates.shared().first.client() : nil
        let visitor = try rig.visitor(tls: context)
        func ask(_ times: Int) throws {
            for _ in 0..<times {
                try visitor.send(Self.request)
                #expect(try visitor.receiveHead().status == 200)
                _ = try visitor.receive { $0.count >= 1_024 ? 1_024 : nil }
            }
        }
        // The first ones make what is made once. The record of a request is handed over behind its
        // answer, so the last one may be missing from either count.
        try ask(100)
        if settles {
            let deadline = ContinuousClock.now + .seconds(20)
            while rig.frontend.crew.settledCount.load(ordering: .relaxed) == 0,
                ContinuousClock.now < deadline
            {
                usleep(10_000)
            }
            // The first ones make what is made once in that form.
            try ask(100)
        }
        let settled = rig.frontend.crew.settledCount.load(ordering: .relaxed)
        #expect(settled == (settles ? 1 : 0))
        let start = count.load(ordering: .acquiring)
        try ask(1_000)
        #expect(count.load(ordering: .acquiring) == start)
        #expect(start > 0)
    }

    private static func lines(_ lines: String...) -> [UInt8] {
        Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
    }

    private static let request = lines(
        "GET /page?query=1 HTTP/1.1", "Host: localhost:8443", "Connection: keep-alive",
        "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        "Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", "Accept-Language: en-GB",
        "Accept-Encoding: gzip, deflate, br, zstd", "Cookie: session=0123456789abcdef; theme=dark",
        "Sec-Fetch-Dest: document", "Sec-Fetch-Mode: navigate", "If-None-Match: \"abcdef\"")

    private static let answer =
        lines(
            "HTTP/1.1 200 OK", "Server: app", "Date: Sun, 06 Nov 1994 08:49:37 GMT",
            "Content-Type: text/html; charset=utf-8", "Content-Length: 1024",
            "Connection: keep-alive", "ETag: \"abcdef\"", "Cache-Control: max-age=60")
        + [UInt8](repeating: 0x61, count: 1_024)
}

/// An app that answers every request on one connection with the same bytes, on a thread of its own.
private final class KeptAnswerer: Sendable {
    let endpoint: Endpoint
    private let address: Address
    private let thread = Mutex<ReactorThread?>(nil)

    init(_ answer: [UInt8]) throws {
        let listener = try Listener(address: .loopback(port: 0))
        address = listener.address
        endpoint = Endpoint(label: "http://kept", address: address)
        let descriptor = listener.release()
        let started = try ReactorThread.start(name: "kept") {
            let listening = Socket(adopting: descriptor)
            guard Self.wait(listening.descriptor, POLLIN),
                case .accepted(let accepted, _) = Listener.accept(on: listening.descriptor)
            else { return }
            Self.serve(Socket(adopting: accepted), answer)
        }
        thread.withLock { $0 = started }
    }

    /// Waits for the end, which the client's leaving brings about.
    func stop() {
        // In case nobody ever connected.
        _ = try? Visitor(address)
        thread.withLock { $0 }?.join()
    }

    private static func wait(_ descriptor: Int32, _ events: Int32) -> Bool {
        var waitFor = pollfd(fd: descriptor, events: Int16(events), revents: 0)
        return poll(&waitFor, 1, 20_000) == 1
    }

    private static func serve(_ socket: consuming Socket, _ answer: [UInt8]) {
        var piece = [UInt8](repeating: 0, count: 65_536)
        while wait(socket.descriptor, POLLIN) {
            // A request is one small piece, and the answer fits into the socket's buffer.
            let result = piece.withUnsafeMutableBufferPointer { bytes in
                bytes.baseAddress.map { socket.receive(into: $0, count: bytes.count) } ?? .ended
            }
            switch result {
            case .moved:
                _ = answer.withUnsafeBufferPointer { bytes in
                    bytes.baseAddress.map { socket.send($0, count: bytes.count) }
                }
            case .blocked: continue
            case .ended, .failed: return
            }
        }
    }
}
