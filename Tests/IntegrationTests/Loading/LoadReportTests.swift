// SPDX-License-Identifier: Apache-2.0
//
// Goal: reports are written as a whole or not at all, reports of older versions can be compared, the percentiles of an open
// and a closed load are those that can be worked out by hand, and what can't run says why.
// Method: the program as a child, with limits of the system in its way, against servers in Python.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct LoadReportTests {
    private func server(_ script: String) throws -> (process: ChildProcess, url: String) {
        let process = try PythonPeer.start(script)
        let line = try process.waitForLine(containing: "port ", by: .after(.seconds(900)))[0]
        let port = try #require(line.split(separator: " ").last)
        return (process, "ws://127.0.0.1:\(port)/echo")
    }

    private func load(_ arguments: [String], wrapper: [String] = []) throws -> ChildProcess {
        try ChildProcess(wrapper + [try ProxyFixture.program(), "load"] + arguments)
    }

    private func latency(_ path: String) throws -> [String: Double] {
        let report = try JSONSerialization.jsonObject(
            with: Data(contentsOf: URL(fileURLWithPath: path)))
        let latency = try #require((report as? [String: Any])?["latencyMicroseconds"])
        return try #require(latency as? [String: Double])
    }

    private func isGeneratorLimited(_ path: String) throws -> Bool {
        let report = try JSONSerialization.jsonObject(
            with: Data(contentsOf: URL(fileURLWithPath: path)))
        return try #require((report as? [String: Any])?["generatorLimited"] as? Bool)
    }

    @Test func `where there is no room, the old report is as it was`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let app = try server("load_server.py")
        let url = app.url
        let files = ["json": "a.json", "report": "a.html"]
        for name in files.values { try Scratch.write("the old one", to: "\(folder)/\(name)") }
        // The limit of a file's size stands for a full disk: both fail in the middle of a write.
        let run = try load(
            [
                url, "--connections", "1", "--messages", "5", "--json", "\(folder)/a.json",
                "--report", "\(folder)/a.html",
            ],
            wrapper: ["/bin/sh", "-c", "trap '' XFSZ; ulimit -f 1; exec \"$@\"", "sh"])
        #expect(try run.waitForExit() == 2)
        for name in files.values {
            #expect(
                run.errors.joined().contains("\(folder)/\(name): it can't be written"),
                "\(run.errors)")
            #expect(try Scratch.read("\(folder)/\(name)") == "the old one")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 2)
        // With room it takes the old one's place, also through a link, and keeps its mode.
        #expect(chmod("\(folder)/a.json", 0o640) == 0)
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder)/link", withDestinationPath: "\(folder)/a.json")
        let again = try load([
            url, "--connections", "1", "--messages", "5", "--json", "\(folder)/link",
        ])
        #expect(try again.waitForExit() == 0, "\(again.errors)")
        #expect(try latency("\(folder)/a.json")["count"] == 5)
        var facts = stat()
        #expect(lstat("\(folder)/link", &facts) == 0 && facts.st_mode & S_IFMT == S_IFLNK)
        #expect(stat("\(folder)/a.json", &facts) == 0 && facts.st_mode & 0o777 == 0o640)
    }

    @Test func `a run that can't begin leaves no file behind, and an old one as it was`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        try Scratch.write("the old one", to: "\(folder)/a.html")
        let run = try load([
            "ws://nobody.invalid/", "--json", "\(folder)/a.json", "--report", "\(folder)/a.html",
        ])
        #expect(try run.waitForExit() == 2)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["a.html"])
        #expect(try Scratch.read("\(folder)/a.html") == "the old one")
        // Through a link that leads nowhere yet, the file is made where it leads.
        let app = try server("load_server.py")
        try FileManager.default.createSymbolicLink(
            atPath: "\(folder)/link", withDestinationPath: "\(folder)/new.json")
        let linked = try load([
            app.url, "--connections", "1", "--messages", "5", "--json", "\(folder)/link",
        ])
        #expect(try linked.waitForExit() == 0, "\(linked.errors)")
        #expect(try latency("\(folder)/new.json")["count"] == 5)
    }

    @Test func `a report of an older version is compared`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let app = try server("load_server.py")
        let url = app.url
        let run = try load([
            url, "--connections", "1", "--messages", "5", "--json", "\(folder)/new.json",
        ])
        #expect(try run.waitForExit() == 0, "\(run.errors)")
        try Scratch.write(
            "{\"version\":1,\"mode\":\"echo\",\"model\":\"closed\",\"latencyMicroseconds\":{\"p50\":1000}}",
            to: "\(folder)/old.json")
        let compared = try load(["compare", "\(folder)/old.json", "\(folder)/new.json"])
        #expect(try compared.waitForExit() == 0, "\(compared.errors)")
        #expect(
            compared.output.contains { $0.hasPrefix("p50") && $0.contains("1 ms") },
            "\(compared.output)")
    }

    @Test func `a player waits for its socket, and what it sends does not pile up`() throws {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        let app = try server("load_server.py")
        let url = app.url
        let message = String(repeating: "x", count: 1_000_000)
        try Scratch.write(
            "scenarios: [{ name: a, steps: [{ loop: { times: 300, steps: [{ send: \(message) }] } }] }]\n",
            to: "\(folder)/s.yaml")
        let run = try load([
            url, "--script", "\(folder)/s.yaml", "--connections", "1", "--json",
            "\(folder)/a.json",
        ])
        #expect(try run.waitForExit(by: .after(.seconds(120))) == 0, "\(run.errors)")
        let report = try JSONSerialization.jsonObject(
            with: Data(contentsOf: URL(fileURLWithPath: "\(folder)/a.json")))
        let messages = try #require((report as? [String: Any])?["messages"] as? [String: Any])
        #expect(messages["totalSent"] as? Int == 300)
        let generator = try #require((report as? [String: Any])?["generator"] as? [String: Any])
        let peak = try #require(generator["peakKilobytes"] as? Int)
        #expect(peak < 200_000, "300 MB would have been queued")
    }

    @Test func `a thread that can't be started is an error, and nothing hangs`() throws {
        let run = try load(
            ["ws://127.0.0.1:1/", "--connections", "64", "--threads", "64", "--duration", "600s"],
            wrapper: ["setpriv", "--reuid=61234", "--clear-groups", "prlimit", "--nproc=16"])
        #expect(try run.waitForExit() == 2)
        #expect(
            run.errors.joined().contains(
                /thread [0-9]+ of 64 can't be started: Resource temporarily/),
            "\(run.errors)")
    }

    @Test
    func `the open model finds a stall as it is worked out by hand, and the closed one does not`()
        throws
    {
        let folder = try Scratch.makeFolder()
        defer { Scratch.remove(folder) }
        var tries: [String] = []
        var isRight = false
        // On a machine that is busy both server and client are late: it goes on until nothing was in the way.
        while !isRight, tries.count < 10 {
            let (process, url) = try server("load_stalls.py")
            let open = try load([
                url, "--connections", "10", "--duration", "10s", "--rate", "100/s", "--json",
                "\(folder)/open.json",
            ])
            #expect(try open.waitForExit() == 0, "\(open.errors)")
            process.signal(SIGTERM)
            let told = try process.waitForLine(containing: "stalls ")[0].split(separator: " ")
                .compactMap { Double($0) }
            try #require(told.count == 3)
            let (mean, longest, period) = (told[0], told[1], told[2])
            // Messages come evenly. Of those that come in a stall, each waits for what is left of it: so the share of
            // messages that wait for longer than t is (stall - t) / period.
            let p99 = mean - 0.01 * period
            let p90 = mean - 0.1 * period
            let found = try latency("\(folder)/open.json")
            func isNear(_ key: String, _ milliseconds: Double) -> Bool {
                abs((found[key] ?? 0) / 1_000 / milliseconds - 1) <= 0.05
            }
            // Where the generator was the limit, the report says so, and its numbers prove nothing.
            let isLimited = try isGeneratorLimited("\(folder)/open.json")
            isRight =
                !isLimited && isNear("p99", p99) && isNear("max", longest)
                && abs((found["p90"] ?? 0) / 1_000 - p90) <= 15
            tries.append(
                "by hand \(p90), \(p99), \(longest); found \(found), limited: \(isLimited)")
        }
        #expect(isRight, "\(tries)")
        let app = try server("load_stalls.py")
        let url = app.url
        let closed = try load([
            url, "--connections", "10", "--duration", "5s", "--json", "\(folder)/closed.json",
        ])
        #expect(try closed.waitForExit() == 0, "\(closed.errors)")
        let found = try latency("\(folder)/closed.json")
        #expect(
            (found["p99"] ?? .infinity) < 100_000,
            "the closed model leaves out what it did not send")
        #expect((found["max"] ?? 0) >= 190_000)
    }
}
