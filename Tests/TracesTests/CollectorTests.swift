// SPDX-License-Identifier: Apache-2.0
//
// Goal: whatever a collector does costs counted spans and nothing else, and a line in the log once in a while.
// Method: a collector whose answers the test writes, and whom spans are handed to as reactors do it.

import Foundation
import Ledger
import Reactor
import TestKit
import Testing
import Wire

@testable import Traces

/// What a collector was asked, and what the operator was told.
private final class Exporting: Sendable {
    let exporter: TraceExporter
    let events: Monitor<[LogEvent]>

    init(_ change: (inout ExportPatience) -> Void = { _ in }) throws {
        var patience = ExportPatience()
        patience.gatherMilliseconds = 10
        patience.pauseMilliseconds = 10
        patience.farewellMilliseconds = 500
        change(&patience)
        let events = Monitor<[LogEvent]>([])
        self.events = events
        exporter = try TraceExporter(
            events: { event in events.update { $0.append(event) } }, patience: patience)
    }

    func use(
        _ address: PeerAddress, queue: Int = 2_048, timeout: UInt64 = 60_000,
        headers: [TracePlan.Header] = []
    ) throws {
        try exporter.use(
            TracePlan(
                endpoint: "http://127.0.0.1:\(address.port)/v1/traces", serviceName: "tests",
                version: "0", headers: headers, timeoutMilliseconds: timeout, spansMax: queue))
    }

    func put(_ count: Int) {
        let sink = exporter.sink
        for number in 0..<count { sink.take(Self.span(UInt64(number) + 1)) }
    }

    static func span(_ number: UInt64) -> SpanRecord {
        var place = TraceSpan()
        place.trace = TraceID(high: 7, low: number)
        place.span = number
        place.flags = .sampled
        var access = AccessRecord(client: .loopback(port: 1), listener: .loopback(port: 2))
        access.method = "GET"
        access.path = "/a"
        access.status = 200
        return SpanRecord(
            .request, place, access, beganWallNanoseconds: 1_000, endedWallNanoseconds: 2_000)
    }

    func losses() -> [Int] { SpanLoss.allCases.map(exporter.droppedCount) }

    func waitUntil(_ what: String, _ isTrue: (TraceExporter) -> Bool) throws {
        let deadline = Deadline.after()
        while !isTrue(exporter) {
            if deadline.hasPassed { throw PeerError("timed out before \(what): \(losses())") }
            usleep(5_000)
        }
    }
}

extension WebSocketPeer {
    /// Reads a request with its body.
    fileprivate func readRequest() throws -> (head: HTTPHead, body: [UInt8]) {
        let head = try readHead()
        return (head, try read(Int(head["Content-Length"] ?? "") ?? 0))
    }

    fileprivate func answer(_ status: Int, _ more: String = "", body: String = "{}") throws {
        try send(
            "HTTP/1.1 \(status) x\r\n\(more)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }
}

@Suite struct CollectorTests {
    @Test func `spans arrive in batches on one connection, with the fields that are asked for`()
        throws
    {
        let bodies = Monitor<[[UInt8]]>([])
        let backend = try ScriptedBackend { peer in
            while true {
                let request = try peer.readRequest()
                #expect(request.head.startLine == "POST /v1/traces HTTP/1.1")
                #expect(request.head["Content-Type"] == "application/json")
                #expect(request.head["Authorization"] == "Bearer abc")
                #expect(request.head["X-Empty"] == "")
                #expect(request.head["User-Agent"] == "sluice/0")
                #expect(request.head["Expect"] == nil)
                bodies.update { $0.append(request.body) }
                try peer.answer(200)
            }
        }
        let run = try Exporting()
        try run.use(
            backend.address,
            headers: [
                .init(name: "Authorization", value: "Bearer abc"),
                .init(name: "X-Empty", value: ""),
            ])
        run.put(1_300)
        try run.waitUntil("all have arrived") { $0.exportedCount == 1_300 }
        #expect(run.losses() == [0, 0, 0, 0])
        #expect(backend.connectionCount == 1)
        let counts = try bodies.value.map { body in
            let object = try JSONSerialization.jsonObject(with: Data(body)) as? [String: Any]
            let resources = object?["resourceSpans"] as? [[String: Any]]
            let scopes = resources?.first?["scopeSpans"] as? [[String: Any]]
            return (scopes?.first?["spans"] as? [Any])?.count ?? 0
        }
        #expect(counts.reduce(0, +) == 1_300 && counts.allSatisfy { $0 <= 512 }, "\(counts)")
        run.exporter.close()
        #expect(run.events.value.isEmpty)
    }

    @Test func `texts of a span have a bound in bytes before they wait`() throws {
        var span = Exporting.span(1)
        // One character of one thousand and more scalars, and scalars of four bytes.
        span.access.host = "e" + String(repeating: "\u{301}", count: 5_000)
        span.access.path = "/" + String(repeating: "\u{1F600}", count: 5_000)
        span.access.detail = String(repeating: "a", count: TraceAttributes.textMax)
        let bounded = span.bounded.access
        #expect(bounded.host == "e" + String(repeating: "\u{301}", count: 511))
        #expect(bounded.path == "/" + String(repeating: "\u{1F600}", count: 255))
        #expect(bounded.detail == span.access.detail)
        let texts = span.message.attributes.compactMap {
            if case .text(let text) = $0.value { text } else { nil }
        }
        #expect(texts.allSatisfy { $0.utf8.count <= TraceAttributes.textMax })
    }

    @Test(arguments: [400, 401, 404, 413, 500, 501, 301])
    func `what a collector does not want is dropped, counted and said once`(status: Int) throws {
        let backend = try ScriptedBackend { peer in
            while true {
                _ = try peer.readRequest()
                try peer.answer(
                    status, "Location: http://127.0.0.1:1/\r\n",
                    body: "{\"code\":3,\"message\":\"no \\u000a spans\"}")
            }
        }
        let run = try Exporting()
        try run.use(backend.address)
        for count in 1...3 {
            run.put(2)
            try run.waitUntil("they are dropped") { $0.droppedCount(.rejected) == 2 * count }
        }
        #expect(run.losses() == [0, 6, 0, 0] && run.exporter.exportedCount == 0)
        run.exporter.close()
        #expect(run.events.value.count == 1)
        let said = try #require(run.events.value.first)
        #expect(said.level == .warning)
        #expect(
            said.sentence.contains("it answered \(status): no \n spans"), "\(said.sentence)")
    }

    @Test(arguments: [429, 502, 503, 504])
    func `what it can't take now is sent again, when it says so`(status: Int) throws {
        let times = Monitor<[ContinuousClock.Instant]>([])
        let backend = try ScriptedBackend { peer in
            while true {
                _ = try peer.readRequest()
                let count = times.update {
                    $0.append(.now)
                    return $0.count
                }
                try peer.answer(
                    count < 3 ? status : 200, count == 2 ? "Retry-After: 1\r\n" : "")
            }
        }
        let run = try Exporting { $0.complaintMilliseconds = 0 }
        try run.use(backend.address)
        run.put(5)
        try run.waitUntil("they are taken") { $0.exportedCount == 5 }
        #expect(run.losses() == [0, 0, 0, 0])
        let seen = times.value
        #expect(seen.count == 3)
        // A bound from below, which no slow machine breaks.
        #expect(seen[2] - seen[1] >= .milliseconds(990))
        run.exporter.close()
        let levels = run.events.value.map(\.level)
        #expect(levels == [.warning, .warning, .info], "\(run.events.value)")
    }

    @Test func `one that is away for too long costs spans, and is asked again`() throws {
        let port = try HeldPort()
        let address = PeerAddress.tcp(port.number)
        let run = try Exporting { $0.retryMilliseconds = 100 }
        try run.use(address)
        run.put(3)
        try run.waitUntil("they are given up") { $0.droppedCount(.failed) == 3 }
        let backend = try ScriptedBackend(at: address) { peer in
            while true {
                _ = try peer.readRequest()
                try peer.answer(200)
            }
        }
        run.put(4)
        try run.waitUntil("the next ones arrive") { $0.exportedCount == 4 }
        #expect(run.losses() == [0, 0, 3, 0])
        run.exporter.close()
        backend.stop()
        #expect(run.events.value.count == 1)
    }

    @Test func `one that says nothing is waited for so long, and the queue overflows meanwhile`()
        throws
    {
        let backend = try ScriptedBackend.silent()
        let run = try Exporting { $0.retryMilliseconds = 0 }
        try run.use(backend.address, queue: 100, timeout: 300)
        run.put(100)
        try backend.waitForConnections(1)
        run.put(50)
        #expect(run.exporter.droppedCount(.queueFull) == 50)
        try run.waitUntil("they are given up") { $0.droppedCount(.failed) == 100 }
        // There is room again.
        run.put(100)
        #expect(run.exporter.droppedCount(.queueFull) == 50)
        try run.waitUntil("they too are given up") { $0.droppedCount(.failed) == 200 }
        run.exporter.close()
        #expect(run.exporter.exportedCount == 0)
    }

    @Test func `one that reads nothing is given up as one that says nothing`() throws {
        let isOver = Gate("the test is over")
        let backend = try ScriptedBackend { _ in try isOver.wait(by: .after(.seconds(600))) }
        defer { isOver.open() }
        let run = try Exporting { $0.retryMilliseconds = 0 }
        try run.use(backend.address, queue: 20_000, timeout: 500)
        // A batch of these is larger than what sockets of the machine hold.
        let sink = run.exporter.sink
        for number in 1...512 {
            var span = Exporting.span(UInt64(number))
            for _ in 0..<200 {
                span.steps.append(.init(.head, endWallNanoseconds: .max, nanoseconds: 1))
            }
            sink.take(span)
        }
        try run.waitUntil("they are given up") { $0.droppedCount(.failed) == 512 }
        #expect(run.events.value.count == 1)
        run.exporter.close()
    }

    @Test func `an answer without end is read so far and no further`() throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readRequest()
            try peer.send("HTTP/1.1 200 OK\r\n\r\n")
            while true { try peer.send([UInt8](repeating: 0x78, count: 65_536)) }
        }
        let run = try Exporting()
        try run.use(backend.address)
        run.put(2)
        try run.waitUntil("they count as taken") { $0.exportedCount == 2 }
        run.exporter.close()
    }

    @Test(arguments: ["\"2\"", "2"])
    func `what it took in part is counted so`(count: String) throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readRequest()
            try peer.answer(
                200,
                body:
                    "{\"partialSuccess\":{\"rejectedSpans\":\(count),\"errorMessage\":\"too old\"}}"
            )
        }
        let run = try Exporting()
        try run.use(backend.address)
        run.put(5)
        try run.waitUntil("it has answered") { $0.exportedCount == 3 }
        #expect(run.losses() == [0, 2, 0, 0])
        run.exporter.close()
        #expect(run.events.value.map(\.sentence).joined().contains("2 of 5 spans: too old"))
    }

    @Test(arguments: [
        "{\"partialSuccess\":{\"rejectedSpans\":\"99\"}}", "{\"partialSuccess\":{}}", "[]", "",
        "{\"partialSuccess\":{\"rejectedSpans\":\"-3\"}}", "{", "\u{0}\u{1}",
        "{\"partialSuccess\":{\"rejectedSpans\":\"x\"}}",
    ])
    func `an answer of any kind is survived`(body: String) throws {
        let backend = try ScriptedBackend { peer in
            _ = try peer.readRequest()
            try peer.answer(200, body: body)
        }
        let run = try Exporting()
        try run.use(backend.address)
        run.put(5)
        try run.waitUntil("it has answered") {
            $0.exportedCount + $0.droppedCount(.rejected) == 5
        }
        #expect(run.exporter.droppedCount(.rejected) == (body.contains("99") ? 5 : 0))
        run.exporter.close()
    }

    @Test func `what waits at the end is sent, and a collector that hangs holds nobody up`() throws
    {
        let bodies = Monitor(0)
        let backend = try ScriptedBackend { peer in
            while true {
                _ = try peer.readRequest()
                bodies.update { $0 += 1 }
                try peer.answer(200)
            }
        }
        let run = try Exporting { $0.gatherMilliseconds = 600_000 }
        try run.use(backend.address)
        run.put(7)
        run.exporter.close()
        #expect(run.exporter.exportedCount == 7 && bodies.value == 1)

        let silent = try ScriptedBackend.silent()
        let stuck = try Exporting { $0.gatherMilliseconds = 600_000 }
        try stuck.use(silent.address)
        stuck.put(7)
        stuck.exporter.close()
        try stuck.waitUntil("they are dropped") { $0.droppedCount(.stopped) == 7 }
        #expect(stuck.losses() == [0, 0, 0, 7])
    }

    @Test func `another plan sends elsewhere what waits, and none sends it a last time`() throws {
        let port = try HeldPort()
        let run = try Exporting()
        try run.use(.tcp(port.number))
        run.put(3)
        try run.events.wait(for: "the first has failed") { !$0.isEmpty }
        let backend = try ScriptedBackend { peer in
            while true {
                _ = try peer.readRequest()
                try peer.answer(200)
            }
        }
        try run.use(backend.address)
        try run.waitUntil("they arrive there") { $0.exportedCount == 3 }
        try run.exporter.use(nil)
        run.put(5)
        #expect(run.exporter.droppedCount(.stopped) == 5)
        try run.use(backend.address)
        run.put(1)
        try run.waitUntil("it goes on") { $0.exportedCount == 4 }
        run.exporter.close()
        #expect(run.losses() == [0, 0, 0, 5])
    }

    @Test func `without a plan there is no thread, and nothing is counted as lost`() throws {
        let run = try Exporting()
        try run.exporter.use(nil)
        #expect(!run.exporter.isInUse)
        run.exporter.close()
        #expect(run.exporter.exportedCount == 0)
    }
}
