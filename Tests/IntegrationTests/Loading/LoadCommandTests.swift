// SPDX-License-Identifier: Apache-2.0
//
// Goal: `sluice load` counts what a foreign server counts, and what it writes says the same in every form.
// Method: the program as a child, against `websockets` in Python, directly and through Sluice with TLS.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct LoadCommandTests {
    /// A running server in Python.
    private final class Server {
        let process: ChildProcess
        let port: UInt16

        init() throws {
            process = try PythonPeer.start("load_server.py")
            let line = try process.waitForLine(
                containing: "port ", by: .after(.seconds(900)))[0]
            port = try #require(line.split(separator: " ").last.flatMap { UInt16($0) })
        }

        func url(_ path: String = "/echo") -> String { "ws://127.0.0.1:\(port)\(path)" }

        /// The messages of so many connections, when all are closed.
        func messages(connections: Int) throws -> Int {
            try process.waitForLine(containing: "closed ", count: connections)
                .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
        }
    }

    private func load(
        _ arguments: [String], environment: [String: String] = [:]
    ) throws -> ChildProcess {
        try ChildProcess(
            [try ProxyFixture.program(), "load"] + arguments, environment: environment)
    }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test(arguments: [
        ["--rate", "300/s"], ["--in-flight", "4"], ["--size", "0..2000", "--text"],
    ])
    func `messages are as many as the server has counted`(options: [String]) throws {
        let server = try Server()
        let run = try load(
            [server.url(), "--connections", "3", "--messages", "200", "--json", "-"] + options)
        #expect(try run.waitForExit() == 0, "\(run.errors)")
        let report = try object(run.output.joined(separator: "\n"))
        let messages = try #require(report["messages"] as? [String: Any])
        #expect(messages["sent"] as? Int == 200)
        #expect(messages["received"] as? Int == 200)
        #expect(messages["late"] as? Int == 0)
        #expect(try server.messages(connections: 3) == 200)
        #expect(report["model"] as? String == (options[0] == "--rate" ? "open" : "closed"))
        #expect(report["generatorLimited"] is Bool)
        #expect((report["errors"] as? [Any])?.isEmpty == true)
        let latency = try #require(report["latencyMicroseconds"] as? [String: Any])
        #expect(Set(latency.keys).isSuperset(of: ["p50", "p90", "p99", "p999", "max"]))
        let connections = try #require(report["connections"] as? [String: Any])
        #expect(connections["opened"] as? Int == 3)
        #expect(connections["failed"] as? Int == 0)
        #expect(connections["lost"] as? Int == 0)
    }

    @Test(arguments: [
        ["--size", "0..3000"], ["--size", "200KiB", "--text"], ["--in-flight", "5", "--text"],
        ["--rate", "300/s"], ["--message", "to and fro, to and fro"],
    ])
    func `messages are compressed where the server grants it`(options: [String]) throws {
        let server = try Server()
        let run = try load(
            [server.url("/compressed"), "--deflate", "--connections", "3", "--messages", "60"]
                + options)
        #expect(try run.waitForExit() == 0, "\(run.output)")
        #expect(run.output.contains { $0.contains("60 sent, 60 received") }, "\(run.output)")
        #expect(try server.messages(connections: 3) == 60)
        let plain = try load([server.url("/compressed"), "--connections", "1"])
        #expect(try plain.waitForExit() == 1)
        #expect(plain.output.contains { $0.contains("close-1008, the first") })
    }

    @Test func `the page, the percentiles and the JSON tell the same numbers`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let server = try Server()
        let run = try load([
            server.url("/echo?token=hush"), "--connections", "2", "--messages", "100",
            "--header", "Authorization: Bearer hush", "--repeat", "2",
            "--json", "\(folder)/a.json", "--report", "\(folder)/a.html",
            "--hgrm", "\(folder)/a.hgrm",
        ])
        #expect(try run.waitForExit() == 0, "\(run.errors)")
        let text = try Scratch.read("\(folder)/a.json")
        let report = try object(text)
        let page = try Scratch.read("\(folder)/a.html")
        // Both runs together.
        #expect((report["messages"] as? [String: Any])?["received"] as? Int == 200)
        #expect((report["runs"] as? [Any])?.count == 2)
        let connections = try #require(report["connections"] as? [String: Any])
        #expect(connections["opened"] as? Int == 4 && connections["wanted"] as? Int == 4)
        #expect(run.output.contains { $0.hasPrefix("opened      4 of 4 in ") }, "\(run.output)")
        for group in ["latencyMicroseconds", "messages", "connections"] {
            let values = try #require(report[group] as? [String: Any])
            for match in page.matches(of: /data-key="(\w+)\.(\w+)" data-value="([0-9.e+-]+)"/)
            where match.output.1 == group {
                let value = try #require(values[String(match.output.2)] as? Double)
                // Foundation reads a number of JSON up to its last bit but one.
                let shown = try #require(Double(match.output.3))
                #expect(abs(shown - value) <= abs(value) * 1e-12, "\(match.output.0)")
            }
        }
        #expect(page.matches(of: /data-key=/).count == 12)
        #expect(try Scratch.read("\(folder)/a.hgrm").contains("Total count    =          200"))
        for secret in [text, page] { #expect(!secret.contains("hush")) }
        #expect(!page.contains("<script") && !page.contains("http://") && !page.contains("src="))
    }

    @Test func `the page shows in a browser what the JSON says, in light and dark`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let server = try Server()
        let run = try load([
            server.url(), "--connections", "5", "--duration", "3s", "--rate", "200/s",
            "--expect", "p99 < 1us", "--expect", "errors < 5%",
            "--json", "\(folder)/a.json", "--report", "\(folder)/a.html",
        ])
        #expect(try run.waitForExit() == 1, "\(run.errors)")
        let lines = try PythonPeer.run(
            "load_page.py",
            [folder, "\(folder)/a.html", "\(folder)/a.json", try PythonPeer.axeScript()])
        #expect(lines == ["numbers 12"])
    }

    @Test func `two reports are compared, by their single runs`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let server = try Server()
        for name in ["a", "b"] {
            let run = try load([
                server.url(), "--connections", "1", "--messages", "20", "--repeat", "4",
                "--json", "\(folder)/\(name).json",
            ])
            #expect(try run.waitForExit() == 0, "\(run.errors)")
        }
        let comparison = try load([
            "compare", "\(folder)/a.json", "\(folder)/b.json", "--report", "\(folder)/c.html",
            "--json", "-",
        ])
        #expect(try comparison.waitForExit() == 0, "\(comparison.errors)")
        let rows = try object(comparison.output.joined(separator: "\n"))["rows"] as? [[String: Any]]
        #expect(rows?.compactMap { $0["name"] as? String }.contains("p99") == true)
        #expect(rows?.allSatisfy { $0["verdict"] as? String != "unknown" } == true)
        #expect(try Scratch.read("\(folder)/c.html").contains("beyond the noise?"))
        let other = try load([
            server.url(), "--connections", "2", "--messages", "20", "--repeat", "4",
            "--json", "\(folder)/b.json",
        ])
        #expect(try other.waitForExit() == 0, "\(other.errors)")
        let different = try load([
            "compare", "\(folder)/a.json", "\(folder)/b.json", "--json", "\(folder)/c.json",
        ])
        #expect(try different.waitForExit() == 1, "\(different.errors)")
        let said = different.output
        #expect(said.first?.hasPrefix("These are different loads") == true, "\(said)")
        #expect(said.contains("  connections: 1 in the first, 2 in the second"), "\(said)")
        #expect(!said.contains { $0.contains("yes, ") }, "\(said)")
        let object = try object(try Scratch.read("\(folder)/c.json"))
        let fields = (object["differences"] as? [[String: Any]])?.map { $0["field"] as? String }
        #expect(fields == ["connections"])
        try Scratch.write("{}", to: "\(folder)/none.json")
        let wrong = try load(["compare", "\(folder)/a.json", "\(folder)/none.json"])
        #expect(try wrong.waitForExit() == 2)
        #expect(wrong.errors.joined().contains("no report of sluice load"))
    }

    @Test func `a run through Sluice trusts its authority when told so`() throws {
        let server = try Server()
        let proxy = try ProxyFixture(to: .tcp(server.port))
        let authority = try TestCertificates.shared().authority
        let refused = try load([proxy.url(), "--connections", "1", "--messages", "5"])
        #expect(try refused.waitForExit() == 1)
        #expect(refused.output.contains { $0.contains("certificate is not trusted") })
        for more in [["--ca", authority], ["--insecure"]] {
            let run = try load([proxy.url(), "--connections", "2", "--messages", "50"] + more)
            #expect(try run.waitForExit() == 0, "\(run.output)")
            #expect(run.output.contains { $0.contains("50 sent, 50 received") })
        }
    }

    @Test func `streams of HTTP/2 count what the server counts`() throws {
        let server = try Server()
        let proxy = try ProxyFixture(to: .tcp(server.port), listeners: [.http2()])
        let authority = try TestCertificates.shared().authority
        let run = try load([
            proxy.url(), "--ca", authority, "--http2", "--streams", "3", "--connections", "2",
            "--messages", "120", "--text", "--json", "-",
        ])
        #expect(try run.waitForExit() == 0, "\(run.errors)")
        let report = try object(run.output.joined(separator: "\n"))
        let messages = try #require(report["messages"] as? [String: Any])
        let sent = try #require(messages["totalSent"] as? Int)
        #expect(sent >= 120 && messages["totalReceived"] as? Int == sent)
        #expect(try server.messages(connections: 6) == sent)
        let connections = try #require(report["connections"] as? [String: Any])
        #expect(connections["opened"] as? Int == 6 && connections["wanted"] as? Int == 6)
    }

    @Test func `a cycle on a stream of HTTP/2 has one message there and back`() throws {
        let server = try Server()
        let proxy = try ProxyFixture(to: .tcp(server.port), listeners: [.http2()])
        let authority = try TestCertificates.shared().authority
        let run = try load([
            proxy.url(), "--ca", authority, "--mode", "connect", "--http2", "--streams", "3",
            "--connections", "2", "--messages", "60", "--json", "-",
        ])
        #expect(try run.waitForExit() == 0, "\(run.errors)")
        let report = try object(run.output.joined(separator: "\n"))
        let connections = try #require(report["connections"] as? [String: Any])
        let opened = try #require(connections["opened"] as? Int)
        #expect(opened >= 60)
        let messages = try #require(report["messages"] as? [String: Any])
        #expect(messages["totalSent"] as? Int == opened)
        #expect(messages["totalReceived"] as? Int == opened)
        #expect(try server.messages(connections: opened) == opened)
        #expect(!run.errors.contains { $0.hasPrefix("messages") }, "\(run.errors)")
    }

    @Test func `what a server pushes is told by its clock`() throws {
        let server = try Server()
        let run = try load([
            server.url("/push"), "--mode", "push", "--message", "go", "--clock", "ts",
            "--connections", "2", "--messages", "100", "--json", "-",
        ])
        #expect(try run.waitForExit() == 0, "\(run.errors)")
        let report = try object(run.output.joined(separator: "\n"))
        let messages = try #require(report["messages"] as? [String: Any])
        #expect(messages["totalReceived"] as? Int == 100)
    }

    @Test func `Ctrl-C ends a run early, and the report is written`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let server = try Server()
        let run = try load([
            server.url(), "--connections", "2", "--duration", "600s", "--json", "\(folder)/a.json",
        ])
        try run.waitForLine(containing: "msg/s")
        run.signal(SIGINT)
        #expect(try run.waitForExit() == 0, "\(run.errors)")
        let report = try object(try Scratch.read("\(folder)/a.json"))
        let messages = try #require(report["messages"] as? [String: Any])
        let sent = try #require(messages["sent"] as? Int)
        #expect(sent > 0)
        #expect(messages["received"] as? Int == sent)
        #expect(try server.messages(connections: 2) == sent)
    }

    @Test(arguments: [
        ("storm", ["--mode", "storm", "--back-off", "600s..600s", "--jitter", "0"]),
        ("echo", ["--ramp", "600s"]), ("hold", ["--mode", "hold", "--duration", "600s"]),
        ("stream", ["--mode", "stream", "--duration", "600s"]),
        ("connect", ["--mode", "connect", "--duration", "600s"]),
        ("echo", ["--duration", "600s", "--repeat", "5"]),
        ("echo", ["--warm-up", "600s", "--rate", "100/s"]), ("script", []),
    ])
    func `Ctrl-C ends each mode early, and the report is written`(
        mode: String, options: [String]
    ) throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let server = try Server()
        var options = options
        if mode == "script" {
            try Scratch.write(
                """
                duration: 600s
                scenarios:
                  - { name: talks, steps: [{ loop: { times: 1000000, steps: [{ send: x }, { expect: { text: x } }] } }] }
                  - { name: waits, steps: [{ send: x }, { expect: { text: x } }, { wait: 600s }] }
                """, to: "\(folder)/s.yaml")
            options += ["--script", "\(folder)/s.yaml"]
        }
        let run = try load(
            [
                server.url(), "--connections", "4", "--json", "\(folder)/a.json", "--expect",
                "failed == 0",
            ] + options)
        try run.waitForLine(containing: " open ")
        run.signal(SIGINT)
        #expect(try run.waitForExit() == 0, "\(run.errors)")
        let report = try object(try Scratch.read("\(folder)/a.json"))
        #expect(report["mode"] as? String == mode)
        // A second run is not begun.
        #expect((report["runs"] as? [Any])?.count ?? 0 <= 1)
        let messages = try #require(report["messages"] as? [String: Any])
        #expect(messages["totalSent"] as? Int == messages["totalReceived"] as? Int)
        // The server has counted as many, over all connections that were ever open.
        let connections = try #require(report["connections"] as? [String: Any])
        let opened = try #require(connections["opened"] as? Int)
        #expect(try server.messages(connections: opened) == messages["totalSent"] as? Int)
        server.process.signal(SIGTERM)
        _ = try server.process.waitForExit()
        #expect(server.process.output.count { $0.contains("closed ") } == opened)
        let storm = report["storm"] as? [String: Any]
        #expect(storm?["served"] as? Int == (mode == "storm" ? 0 : nil))
    }

    @Test func `a server that is faster than the generator is told, and holds up no Ctrl-C`() throws
    {
        let isOver = Monitor(false)
        defer { isOver.update { $0 = true } }
        let empty: [UInt8] = Array(repeatElement([0x82, 0x00], count: 1 << 19).joined())
        let server = try ScriptedBackend { peer in
            try peer.accept()
            peer.stream.stopsReading = true
            while !isOver.value { try peer.send(empty) }
        }
        defer { server.stop() }
        let run = try load([
            "ws://127.0.0.1:\(server.address.port)/", "--mode", "push", "--connections", "1",
            "--duration", "600s", "--strict",
        ])
        try run.waitForLine(containing: "1 open ")
        run.signal(SIGINT)
        #expect(try run.waitForExit() == 3, "\(run.output) \(run.errors)")
        #expect(run.output.first?.hasPrefix("The generator was the limit: ") == true)
    }

    @Test func `where no way leads there, and where descriptors run out, the cause is told`() throws
    {
        // Nothing but this machine can be reached in a network of its own.
        let unshare = ["unshare", getuid() == 0 ? "-n" : "-rn"]
        let away = try ChildProcess(
            unshare + [
                try ProxyFixture.program(), "load", "ws://192.0.2.1/", "--connections", "2",
                "--resolve", "192.0.2.1:80",
            ])
        #expect(try away.waitForExit() == 1, "\(away.output) \(away.errors)")
        #expect(
            away.output.contains { $0.contains("2 unreachable, the first: connect 192.0.2.1:80") },
            "\(away.output)")
        // What was open before the program began counts too.
        let server = try Server()
        let crowded = try ChildProcess(
            [
                "/bin/bash", "-c",
                "ulimit -n 70; for i in $(seq 40); do exec {fd}</dev/null; done; exec \"$@\"",
                "bash",
                try ProxyFixture.program(), "load", server.url(), "--threads", "1", "--connections",
                "45", "--duration", "200ms",
            ])
        #expect(try crowded.waitForExit() == 1, "\(crowded.output) \(crowded.errors)")
        #expect(
            crowded.output.contains { $0.contains(" no-descriptors, the first: ") },
            "\(crowded.output)")
    }

    @Test func `where one thread can't begin, the others do not run to their end`() throws {
        let server = try Server()
        // Of 30 threads some get the descriptor that each of them waits with.
        let run = try ChildProcess([
            "/bin/bash", "-c",
            "ulimit -n 200; for i in $(seq 170); do exec {fd}</dev/null; done; exec \"$@\"", "bash",
            try ProxyFixture.program(), "load", server.url(), "--threads", "30", "--connections",
            "30",
            "--duration", "600s",
        ])
        #expect(try run.waitForExit() == 2, "\(run.output)")
        #expect(run.errors.joined().contains("Too many open files"), "\(run.errors)")
    }

    @Test func `a disk that is full is told, and the other reports are written`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let server = try Server()
        let run = try load([
            server.url(), "--connections", "1", "--messages", "5", "--json", "/dev/full",
            "--hgrm", "\(folder)/a.hgrm",
        ])
        #expect(try run.waitForExit() == 2)
        #expect(run.errors.joined().contains("/dev/full: it can't be written: No space left"))
        #expect(run.output.contains { $0.contains("5 sent, 5 received") })
        #expect(try Scratch.read("\(folder)/a.hgrm").contains("Percentile"))
    }

    @Test func `what can't work is said before the run`() throws {
        let files = try load(["ws://127.0.0.1:1/", "--connections", "5000000"])
        #expect(try files.waitForExit() == 2)
        #expect(files.errors.joined().contains("open files"))
        #expect(files.errors.joined().contains("source ports"))
        let streams = try load([
            "wss://127.0.0.1:1/", "--connections", "10000000", "--in-flight", "1000000", "--http2",
            "--streams", "1000000",
        ])
        #expect(try streams.waitForExit() == 2)
        #expect(streams.errors.joined().contains("10,000,000 WebSockets at most"))
        let folder = try load(["ws://127.0.0.1:1/", "--json", "/nowhere/a.json"])
        #expect(try folder.waitForExit() == 2)
        let name = try load(["ws://nobody.invalid/"])
        #expect(try name.waitForExit() == 2)
    }
}
