// SPDX-License-Identifier: Apache-2.0
//
// Goal: scripts talk to real servers of real protocols, and what a tap has recorded is played again.
// Method: the examples in docs/load against servers of Socket.IO, OCPP, GraphQL and MQTT in Python, and against Debian's mosquitto; a record by `sluice tap` itself.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct LoadScriptCommandTests {
    private func load(_ arguments: [String]) throws -> ChildProcess {
        try ChildProcess([try ProxyFixture.program(), "load"] + arguments)
    }

    private func example(_ name: String) -> String { "\(Scratch.packageFolder)/docs/load/\(name)" }

    private func port(of process: ChildProcess) throws -> UInt16 {
        let line = try process.waitForLine(containing: "port ", by: .after(.seconds(900)))[0]
        return try #require(line.split(separator: " ").last.flatMap { UInt16($0) })
    }

    @Test(arguments: [
        ("load_server.py", "chat.yaml"), ("load_socketio.py", "socketio.yaml"),
        ("load_ocpp.py", "ocpp.yaml"), ("load_graphql.py", "graphql.yaml"),
        ("load_mqtt.py", "mqtt.yaml"), ("load_mosquitto.py", "mqtt.yaml"),
        ("load_stomp.py", "stomp.yaml"),
    ])
    func `an example runs against a real server`(server: String, script: String) throws {
        let app = try PythonPeer.start(server)
        let port = try port(of: app)
        let run = try load([
            "ws://127.0.0.1:\(port)/", "--script", example(script), "--connections", "8",
        ])
        #expect(try run.waitForExit() == 0, "\(run.output) \(run.errors)")
        let rows = run.output.filter { $0.hasPrefix("scenario ") }
        #expect(!rows.isEmpty)
        #expect(rows.allSatisfy { $0.hasSuffix(" 0 failed") }, "\(rows)")
    }

    @Test func `a mistake in a script is told as one in a configuration, and ends with 2`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write("scenarios: [{ name: a, stepps: [] }]\n", to: "\(folder)/s.yaml")
        let run = try load(["ws://127.0.0.1:1/", "--script", "\(folder)/s.yaml"])
        #expect(try run.waitForExit() == 2)
        #expect(
            run.errors.contains {
                $0.hasPrefix("\(folder)/s.yaml:1:24: scenarios[0]: unknown key 'stepps'")
            }, "\(run.errors)")
    }

    @Test func `a warm-up needs a duration, where clients play what a file says`() throws {
        let script = try load([
            "ws://127.0.0.1:1/", "--script", example("chat.yaml"), "--warm-up", "1s",
        ])
        #expect(try script.waitForExit() == 2)
        #expect(script.errors.joined().contains("no warm-up: give --duration"), "\(script.errors)")
        let replay = try load(["ws://127.0.0.1:1/", "--replay", "/none", "--warm-up", "1s"])
        #expect(try replay.waitForExit() == 64)
        #expect(replay.errors.joined().contains("--warm-up and --replay need --duration"))
    }

    @Test func `what a tap has recorded is played again`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let app = try PythonPeer.start("load_server.py")
        let sluice = try Operated.tapped(.tcp(try port(of: app)))
        let authority = try TestCertificates.shared().authority
        let tap = try Tapping(sluice, ["--record", "\(folder)/r.jsonl"])
        try tap.process.waitForLine(containing: "Listening")
        let proxied = sluice.proxy.url()
        let first = try load([
            proxied, "--ca", authority, "--script", example("chat.yaml"), "--connections", "4",
        ])
        #expect(try first.waitForExit() == 0, "\(first.output)")
        let count = try app.waitForLine(containing: "closed ", count: 4).compactMap {
            $0.split(separator: " ").last.flatMap { Int($0) }
        }.reduce(0, +)
        #expect(try tap.stop() == 0)
        let second = try load([
            proxied, "--ca", authority, "--replay", "\(folder)/r.jsonl", "--speed", "max",
            "--expect-replies", "--expect", "errors == 0", "--expect", "sent == \(count)",
        ])
        #expect(try second.waitForExit() == 0, "\(second.output) \(second.errors)")
        #expect(try app.waitForLine(containing: "closed ", count: 8).count == 8)
    }
}
