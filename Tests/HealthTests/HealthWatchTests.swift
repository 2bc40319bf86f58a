// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Ledger
import Reactor
import Router
import Synchronization
import TestKit
import Testing
import Wire

@testable import Health

/// What checks find, how often, and what they make of it; against real sockets.
struct HealthWatchTests {
    /// A watch, and what it has said.
    private final class Rig: Sendable {
        let watch: HealthWatch
        private let said = Said()

        init() throws { watch = try HealthWatch(journal: said.journal) }

        var sentences: [String] { said.sentences }
        deinit { watch.stop() }
    }

    private final class Said: Sendable {
        private let events = Mutex<[LogEvent]>([])
        var journal: Journal {
            Journal(
                access: { _ in }, event: { [self] event in events.withLock { $0.append(event) } })
        }
        var sentences: [String] { events.withLock { $0.map(\.sentence) } }
    }

    private struct Group {
        let endpoints: [Endpoint]

        func checked(_ check: HealthCheck) -> CheckedUpstream {
            CheckedUpstream(name: "app", endpoints: endpoints, check: check)
        }
    }

    private func group(_ addresses: [PeerAddress]) throws -> Group {
        Group(
            endpoints: try addresses.map {
                let text = "\($0)".replacingOccurrences(of: "ws://", with: "")
                return Endpoint(label: "\($0)", address: try Address(parsing: text))
            })
    }

    private func eventually(_ what: String, _ isTrue: () throws -> Bool) throws {
        let deadline = Deadline.after(.seconds(60))
        while try !isTrue() {
            if deadline.hasPassed { throw PeerError("timed out before \(what)") }
            usleep(5_000)
        }
    }

    private func check(
        _ question: HealthCheck.Question, timeout: UInt64 = 10_000, rise: Int = 1, fall: Int = 1
    ) -> HealthCheck {
        HealthCheck(
            question, everyMilliseconds: 100, timeoutMilliseconds: timeout, rise: rise, fall: fall)
    }

    private static let get = HealthCheck.Question.get(path: "/up?a=1", statuses: [])
    private static let handshake = HealthCheck.Question.handshake(path: "/ws")

    private static func answer(_ line: String, _ fields: String = "") -> String {
        "HTTP/1.1 \(line)\r\n\(fields)Content-Length: 0\r\n\r\n"
    }

    // MARK: One check

    @Test(arguments: [
        ("200 OK", [], nil), ("302 Found", [], nil), ("404 Not Found", [], "status 404"),
        ("500 Oh", [], "status 500"), ("503 Busy", [503], nil),
        ("200 OK", [204, 503], "status 200"),
    ])
    func `the status of the answer decides`(
        line: String, statuses: [Int], reason: String?
    ) throws {
        let app = try ScriptedBackend.answering(Self.answer(line))
        let group = try group([app.address])
        let rig = try Rig()
        try rig.watch.watch([
            group.checked(check(.get(path: "/up?a=1", statuses: statuses)))
        ])
        let endpoint = group.endpoints[0]
        try eventually("the check has ended") { rig.watch.report(of: endpoint) != nil }
        #expect(rig.watch.report(of: endpoint)?.failure == reason)
        #expect(endpoint.load.health == (reason == nil ? .healthy : .unhealthy))
        #expect(
            rig.sentences
                == (reason.map {
                    ["The endpoint \(app.address) of app is unhealthy: its check failed: \($0)."]
                } ?? []))
        let request = String(decoding: app.received(), as: UTF8.self)
        let port = app.address.port
        #expect(
            request.hasPrefix("GET /up?a=1 HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n"), "\(request)")
        #expect(request.contains("\r\nConnection: close\r\n"))
    }

    @Test(arguments: [
        (ProxyHeader.Version.one, Array("PROXY UNKNOWN\r\n".utf8)),
        (.two, [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10, 0x20, 0, 0, 0]),
    ])
    func `an app that reads the PROXY protocol hears that the check is nobody's`(
        version: ProxyHeader.Version, header: [UInt8]
    ) throws {
        let app = try ScriptedBackend.answering(Self.answer("200 OK"))
        let group = try group([app.address])
        let rig = try Rig()
        var check = check(Self.get)
        check.introduction = version
        try rig.watch.watch([group.checked(check)])
        try eventually("the check has ended") {
            rig.watch.report(of: group.endpoints[0]) != nil
        }
        #expect(app.received().starts(with: header + Array("GET /up?a=1 HTTP/1.1\r\n".utf8)))
    }

    @Test(arguments: [
        ("HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n", nil),
        ("HTTP/1.1 20", "it closed the connection within its answer"),
        ("", "it closed the connection without an answer"),
        ("220 mail.example ESMTP\r\n", "its answer can't be used: "),
    ])
    func `an answer has to be one`(bytes: String, reason: String?) throws {
        let app = try ScriptedBackend.answering(bytes)
        let group = try group([app.address])
        let rig = try Rig()
        try rig.watch.watch([group.checked(check(Self.get))])
        let endpoint = group.endpoints[0]
        try eventually("the check has ended") { rig.watch.report(of: endpoint) != nil }
        let found = rig.watch.report(of: endpoint)?.failure
        if let reason {
            #expect(found?.hasPrefix(reason) == true, "\(found ?? "none")")
        } else {
            #expect(found == nil)
        }
    }

    @Test func `an answer without end is not read for ever`() throws {
        let app = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send("HTTP/1.1 200 OK\r\n")
            while true { try peer.send("X-\(String(repeating: "a", count: 4_000)): 1\r\n") }
        }
        let group = try group([app.address])
        let rig = try Rig()
        try rig.watch.watch([group.checked(check(Self.get))])
        try eventually("it is unhealthy") { group.endpoints[0].load.health == .unhealthy }
    }

    @Test func `a connect is enough where nothing is asked`() throws {
        let silent = try ScriptedBackend.silent()
        let group = try group([silent.address, .refusing()])
        let rig = try Rig()
        try rig.watch.watch([group.checked(check(.connection))])
        try eventually("both are checked") {
            group.endpoints.map(\.load.health) == [.healthy, .unhealthy]
        }
        #expect(
            rig.sentences == [
                "The endpoint \(group.endpoints[1].label) of app is unhealthy: its check failed: "
                    + "Connection refused."
            ])
        #expect(silent.receivedCount == 0)
    }

    @Test func `a handshake has to prove itself, and is closed in order`() throws {
        let ended = Monitor<[Int?]>([])
        let right = try ScriptedBackend { peer in
            let head = try peer.accept()
            guard head.target == "/ws" else { throw PeerError("asked for \(head.target)") }
            let close = try peer.readFrame()
            ended.update { $0.append(close.maskKey == nil ? nil : close.closeCode) }
            try peer.send(Frame.close(1000))
            try peer.stream.halfClose()
            guard try peer.expectEnd() == .orderly else { throw PeerError("broken off") }
        }
        let wrong = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send(WebSocketPeer.switching(key: "AAAAAAAAAAAAAAAAAAAAAA=="))
            _ = try peer.readUntilEnd()
        }
        let plain = try ScriptedBackend.answering(Self.answer("200 OK"))
        let group = try group([right.address, wrong.address, plain.address])
        let rig = try Rig()
        try rig.watch.watch([group.checked(check(Self.handshake))])
        try eventually("all are checked") {
            group.endpoints.map(\.load.health) == [.healthy, .unhealthy, .unhealthy]
        }
        #expect(
            group.endpoints.map { rig.watch.report(of: $0)?.failure } == [
                nil, "a 101 with another Sec-WebSocket-Accept than the key's",
                "status 200 instead of 101",
            ])
        try right.waitForScripts()
        #expect(ended.value.first == 1000)
    }

    // MARK: Many checks

    @Test func `endpoints that hang delay no other's checks`() throws {
        let silent = try (0..<40).map { _ in try ScriptedBackend.silent() }
        let fine = try ScriptedBackend.answering(Self.answer("200 OK"))
        let group = try group(silent.map(\.address) + [fine.address])
        let rig = try Rig()
        try rig.watch.watch([group.checked(check(Self.get, timeout: 60_000))])
        // All hang for far longer than this takes.
        try eventually("it is checked again and again") { fine.connectionCount >= 5 }
        #expect(group.endpoints.last?.load.health == .healthy)
        #expect(group.endpoints.dropLast().allSatisfy { $0.load.health == .pending })
        #expect(silent.allSatisfy { $0.connectionCount <= 1 })
    }

    @Test func `who says nothing in time is unhealthy`() throws {
        let silent = try ScriptedBackend.silent()
        let group = try group([silent.address])
        let rig = try Rig()
        try rig.watch.watch([group.checked(check(Self.get, timeout: 100))])
        try eventually("it is unhealthy") { group.endpoints[0].load.health == .unhealthy }
        #expect(rig.watch.report(of: group.endpoints[0])?.failure == "no answer within 100 ms")
    }

    @Test func `so many checks in a row make an endpoint unhealthy, and healthy again`() throws {
        let status = Monitor(200)
        let app = try ScriptedBackend { peer in
            _ = try peer.readHead()
            try peer.send(Self.answer("\(status.value) As told"))
            try peer.stream.halfClose()
            _ = try peer.readUntilEnd()
        }
        let group = try group([app.address])
        let endpoint = group.endpoints[0]
        let rig = try Rig()
        try rig.watch.watch([group.checked(check(Self.get, rise: 3, fall: 4))])
        try eventually("it is healthy") { endpoint.load.health == .healthy }
        #expect(!endpoint.load.hasJoined, "it was there from the start")
        let before = app.connectionCount
        status.update { $0 = 500 }
        try eventually("it is unhealthy") { endpoint.load.health == .unhealthy }
        // One may have been under way when the status changed.
        #expect(app.connectionCount - before >= 4)
        let between = app.connectionCount
        status.update { $0 = 200 }
        try eventually("it is healthy") { endpoint.load.health == .healthy }
        #expect(app.connectionCount - between >= 2)
        #expect(endpoint.load.hasJoined, "its share grows")
        #expect(
            rig.sentences == [
                "The endpoint \(app.address) of app is unhealthy: 4 checks in a row failed, "
                    + "at last: status 500.",
                "The endpoint \(app.address) of app is healthy again.",
            ])
        let report = try #require(rig.watch.report(of: endpoint))
        #expect(report.failure == nil && report.lastFailure == "status 500")
    }

    // MARK: Who is checked

    @Test func `a new endpoint is not fit before its first check, and one let go is well`() throws {
        let fine = try ScriptedBackend.answering(Self.answer("200 OK"))
        let silent = try ScriptedBackend.silent()
        let before = try group([fine.address])
        let rig = try Rig()
        try rig.watch.watch([before.checked(check(Self.get))])
        #expect(before.endpoints[0].load.health != .unchecked)
        try eventually("it is healthy") { before.endpoints[0].load.health == .healthy }
        let joined = try group([silent.address]).endpoints[0]
        let after = Group(endpoints: [before.endpoints[0], joined])
        let slow = check(Self.get, timeout: 60_000)
        try rig.watch.watch([after.checked(slow)])
        #expect(after.endpoints.map(\.load.health) == [.healthy, .pending])
        let picker = Upstream(
            name: "app", endpoints: after.endpoints.map { ($0.load, $0.label) },
            rules: UpstreamRules(
                balance: .roundRobin, cooldownMilliseconds: 10_000, cooldownMaxMilliseconds: 10_000,
                failedAnswersMax: 0, slowStartMilliseconds: 0, activeMax: .max))
        let picks = Set((0..<4).compactMap { _ in picker.pick(nowMilliseconds: 0) })
        #expect(picks == [0])
        try rig.watch.watch([before.checked(slow)])
        #expect(joined.load.health == .unchecked)
        try rig.watch.watch([])
        #expect(before.endpoints[0].load.health == .unchecked)
        try eventually("nothing is known any more") {
            rig.watch.report(of: before.endpoints[0]) == nil
        }
        // Somebody else who is asked as often as it was is asked again and again; it is not.
        let other = try ScriptedBackend.answering(Self.answer("200 OK"))
        try rig.watch.watch([try group([other.address]).checked(check(Self.get))])
        try eventually("another one is asked") { other.connectionCount >= 1 }
        let count = fine.connectionCount
        try eventually("another one is asked thrice more") { other.connectionCount >= 4 }
        #expect(fine.connectionCount == count, "nobody asks any more")
    }
}
