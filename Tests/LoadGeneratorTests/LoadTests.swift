// SPDX-License-Identifier: Apache-2.0
//
// Goal: what the load generator reports is what happened.
// Method: runs that end by count, against the echo app directly and through the program with TLS.

import Echo
import Foundation
import LoadGenerator
import Reactor
import TLS
import TestKit
import Testing

/// A plan for this server with an end that comes soon.
func plan(
    _ port: UInt16, _ mode: LoadPlan.Mode, connections: Int = 1, count: UInt64 = 20
) throws -> LoadPlan {
    var plan = LoadPlan(target: try LoadTarget(parsing: "ws://127.0.0.1:\(port)/"), mode: mode)
    plan.connections = connections
    plan.end = .count(count)
    return plan
}

@Suite struct LoadTests {
    private let server: EchoServer
    private let port: UInt16

    init() throws {
        server = try EchoServer.start(listening: ["127.0.0.1:0"])
        port = try #require(server.addresses.first).port
    }

    @Test(arguments: [0, 1, 8, 126, 70_000])
    func `one connection ends at exactly the count`(messageBytes: Int) throws {
        var plan = try plan(port, .echo, count: 50)
        plan.messageBytes = messageBytes
        let report = try LoadGenerator.run(plan)
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.messages == 50)
        #expect(report.mode == "echo")
        #expect(report.messageBytes == messageBytes)
        #expect(report.megabytes == Double(50 * messageBytes) / 1e6)
        #expect(report.opened == 1)
        #expect(report.p50Microseconds > 0)
        #expect(report.p50Microseconds <= report.maxMicroseconds)
    }

    @Test func `several connections pass the count by less than their number`() throws {
        var told: [Int] = []
        let report = try LoadGenerator.run(try plan(port, .echo, connections: 8, count: 200)) {
            told.append($0)
        }
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect((200..<208).contains(report.messages), "\(report.messages)")
        #expect(report.opened == 8)
        #expect(report.handshakes == 8)
        #expect(told == [8])
    }

    @Test func `a stream keeps its window under way`() throws {
        var plan = try plan(port, .stream(windowBytes: 65_536), connections: 2, count: 500)
        plan.messageBytes = 4_096
        let report = try LoadGenerator.run(plan)
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.mode == "stream")
        #expect(report.messages >= 500)
    }

    @Test func `the clock's messages are those of the time measured`() throws {
        var plan = try plan(port, .rate(messagesPerSecond: 500), connections: 3)
        plan.end = .seconds(0.2)
        let report = try LoadGenerator.run(plan)
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.mode == "rate")
        #expect(abs(Double(report.messages) - report.seconds * 500) <= 2, "\(report)")
    }

    @Test func `a cycle is counted when its Close is answered`() throws {
        let report = try LoadGenerator.run(try plan(port, .connect(resumes: false), count: 25))
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.mode == "connect")
        #expect(report.handshakes == 25)
        #expect(report.messages == 0)
        #expect(report.resumed == 0)
    }

    @Test func `idle connections are opened and held for the time`() throws {
        var plan = try plan(port, .idle, connections: 30)
        plan.end = .seconds(0.05)
        plan.watchedProcesses = [getpid()]
        let report = try LoadGenerator.run(plan)
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.mode == "idle")
        #expect(report.opened == 30)
        #expect(report.messages == 0)
        #expect((report.residentKilobytes ?? 0) > 0)
    }

    @Test func `a unix socket can stand in for the URL's address`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let server = try EchoServer.start(listening: ["unix:\(folder)/echo"])
        defer { server.stop() }
        var target = try LoadTarget(parsing: "ws://app.invalid/")
        try target.connect(to: "unix:\(folder)/echo")
        var plan = LoadPlan(target: target, mode: .echo)
        plan.connections = 1
        plan.end = .count(5)
        let report = try LoadGenerator.run(plan)
        #expect(report.errors == 0, "\(report.firstError ?? "")")
        #expect(report.messages == 5)
    }

    // MARK: TLS

    private func securePlan(_ proxy: ProxyFixture, _ mode: LoadPlan.Mode) throws -> LoadPlan {
        var plan = LoadPlan(target: try LoadTarget(parsing: proxy.url()), mode: mode)
        plan.connections = 1
        plan.end = .count(20)
        plan.caFile = try TestCertificates.shared().authority
        return plan
    }

    @Test func `the same holds through TLS, with what was agreed on`() throws {
        let proxy = try ProxyFixture(to: .tcp(port))
        let echo = try LoadGenerator.run(try securePlan(proxy, .echo))
        #expect(echo.errors == 0, "\(echo.firstError ?? "")")
        #expect(echo.messages == 20)
        #expect(echo.tlsVersion == "1.3")
        #expect(echo.cipher?.hasPrefix("TLS_") == true)
        let connect = try LoadGenerator.run(try securePlan(proxy, .connect(resumes: false)))
        #expect(connect.errors == 0, "\(connect.firstError ?? "")")
        #expect(connect.handshakes == 20)
        #expect(connect.resumed == 0)
        let resumed = try LoadGenerator.run(try securePlan(proxy, .connect(resumes: true)))
        #expect(resumed.errors == 0, "\(resumed.firstError ?? "")")
        #expect(resumed.handshakes == 20)
        #expect(resumed.resumed == 19)
    }

    @Test func `a certificate of another authority is refused`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let proxy = try ProxyFixture(to: .tcp(port))
        var plan = try securePlan(proxy, .echo)
        plan.caFile = try CertificateAuthority.loadOrMake(in: folder).certificatePath
        let report = try LoadGenerator.run(plan)
        #expect(report.errors == 1)
        #expect(report.messages == 0)
        #expect(report.firstError?.hasPrefix("TLS handshake: ") == true, "\(report)")
        plan.caFile = "\(folder)/none.pem"
        #expect(throws: LoadFault.self) { try LoadGenerator.run(plan) }
    }

    // MARK: JSON

    @Test func `the report's keys are those that the program's help lists`() throws {
        var report = LoadReport()
        let always = Set(try keys(of: report))
        report.streams = 0
        report.firstError = ""
        report.tlsVersion = ""
        report.cipher = ""
        report.cpuSeconds = 0
        report.cpuShare = 0
        report.cpuMicrosecondsPerMessage = 0
        report.cpuMicrosecondsPerMegabyte = 0
        report.cpuMicrosecondsPerConnection = 0
        report.residentKilobytesBefore = 0
        report.residentKilobytes = 0
        report.residentBytesPerConnection = 0
        let all = try keys(of: report)
        let help = try Scratch.read("\(Scratch.packageFolder)/Sources/Bench/Main.swift")
        let words = Set(help.split { !$0.isLetter && !$0.isNumber }.map(String.init))
        #expect(all.filter { !words.contains($0) } == [])
        #expect(all.count == 31)
        #expect(always.isSuperset(of: ["mode", "url", "messages", "p50Microseconds", "errors"]))
        #expect(!always.contains("firstError"))
    }

    private func keys(of report: LoadReport) throws -> [String] {
        let object = try JSONSerialization.jsonObject(with: JSONEncoder().encode(report))
        return try #require(object as? [String: Any]).keys.sorted()
    }
}
