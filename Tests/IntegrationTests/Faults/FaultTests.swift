// SPDX-License-Identifier: Apache-2.0
//
// Goal: clients meet the faults that a route or `sluice chaos` asks for, and no others; what arrives is whole and in order
// up to where it is cut; each fault is counted and marked in the log.
// Method: Python's websockets and Node's ws connect again as often as they are cut, and say how often that was; the
// counts of `/metrics` and of the access lines are the same. Times are lower bounds.

import Foundation
import Glibc
import TestKit
import Testing

@Suite struct FaultTests {
    private func started(
        _ faults: String = "", allowing: Bool = true, listener: ProxyListener = .tls()
    ) throws -> (sluice: Operated, backend: ScriptedBackend) {
        let backend = try ScriptedBackend.echo()
        let more = faults.isEmpty ? "" : ", faults: { \(faults) }"
        let sluice = try Operated(
            routes: [
                "{ path: /Esv/ocp, to: \"\(backend.address)\"\(more) }",
                "{ path: /calm, to: \"\(backend.address)\" }",
            ], listeners: [listener], settings: allowing ? ["allowFaults: true"] : [])
        return (sluice, backend)
    }

    private func python(
        _ what: String, _ sluice: Operated, _ number: Int, path: String = "/Esv/ocp"
    ) throws -> String {
        let authority = try TestCertificates.shared().authority
        return try PythonPeer.run(
            "fault_client.py", [what, sluice.proxy.url(path), authority, "\(number)"]
        ).joined()
    }

    private func faults(_ sluice: Operated, _ kind: String, route: String = "/Esv/ocp") throws
        -> Int
    {
        let samples = try sluice.scrape()
        return Int(samples["sluice_faults_total{route=\"\(route)\",kind=\"\(kind)\"}"] ?? 0)
    }

    // MARK: Of the configuration

    @Test(arguments: ["frames", "bytes"])
    func `an echo takes both latencies at least, and other routes none`(level: String) throws {
        let (sluice, _) = try started("latency: 150ms, jitter: 20ms, level: \(level)")
        defer { Scratch.remove(sluice.folder) }
        let shortest = try #require(Int(try python("latency", sluice, 4)))
        #expect(shortest >= 260, "\(shortest) ms")
        #expect(try python("burst", sluice, 100) == "in order")
        _ = try python("latency", sluice, 4, path: "/calm")
        #expect(try faults(sluice, "latency") >= 200)
        #expect(try faults(sluice, "latency", route: "/calm") == 0)
        try sluice.proxy.process.waitForLine(containing: " fault=latency")
    }

    @Test func `what passes in a second is bounded, and all of it arrives`() throws {
        let (sluice, _) = try started("bandwidth: 64KiB")
        defer { Scratch.remove(sluice.folder) }
        let clock = ContinuousClock()
        let began = clock.now
        #expect(try python("burst", sluice, 200) == "in order")
        // 200 messages of 730 bytes in the mean, up and down at one time.
        #expect((clock.now - began) / .seconds(1) >= 2)
        #expect(try faults(sluice, "bandwidth") > 0)
    }

    @Test(arguments: ["cut", "reset"], ["frames", "bytes"])
    func `Python comes back as often as it is cut, and loses no message`(
        kind: String, level: String
    ) throws {
        let (sluice, _) = try started("\(kind): 10%, level: \(level)")
        defer { Scratch.remove(sluice.folder) }
        let words = try python("reconnect", sluice, 60).split(separator: " ")
        let cuts = try #require(words.first.flatMap { Int($0) })
        // Of some 130 frames and more, a tenth.
        #expect(cuts > 0, "\(words)")
        #expect(words.dropFirst(2) == ["[1006]"], "\(words)")
        #expect(try faults(sluice, kind) == cuts)
        // The client is back before its relay's upstream has said goodbye. The last one may have been met in its closing
        // handshake, and has ended by its Close then.
        try eventually("each of them is closed") {
            let closed = try sluice.scrape().filter {
                $0.key.hasPrefix("sluice_relays_closed_total")
                    && $0.key.contains("reason=\"fault\"")
            }
            return [Double(cuts), Double(cuts - 1)].contains(closed.values.reduce(0, +))
        }
        try sluice.proxy.process.waitForLine(containing: "by=sluice reason=fault")
        try sluice.proxy.process.waitForLine(containing: " fault=\(kind)")
    }

    @Test func `Node comes back as often as it is cut`() throws {
        let (sluice, _) = try started("cut: 5%, reset: 5%")
        defer { Scratch.remove(sluice.folder) }
        let script = "\(Scratch.packageFolder)/Tests/IntegrationTests/Foreign/fault_client.js"
        let authority = try TestCertificates.shared().authority
        let said = try run(
            ["node", script, sluice.proxy.url(), authority, "60"],
            environment: ["NODE_PATH": "/usr/share/nodejs"], by: .after(.seconds(120)))
        let words = try #require(said.last).split(separator: " ")
        #expect(words.dropFirst() == ["1006"], "\(said)")
        #expect(try faults(sluice, "cut") + faults(sluice, "reset") == Int(words[0]))
    }

    @Test func `a share of the requests is refused with a sentence`() throws {
        let (sluice, _) = try started("refuse: 100%, share: 50%")
        defer { Scratch.remove(sluice.folder) }
        let refused = try #require(Int(try python("open", sluice, 100)))
        #expect((20...80).contains(refused), "\(refused) of 100")
        #expect(try faults(sluice, "refuse") == refused)
        try sluice.proxy.process.waitForLine(
            containing: "error=proxy_internal_response fault=refuse")
    }

    private func multiplexed(_ sluice: Operated, _ words: [String]) throws -> [String] {
        ["\(sluice.proxy.port(0))", try TestCertificates.shared().authority] + words
    }

    /// The upstream never answers a Close, and would be waited for longer than this client waits.
    @Test(arguments: ["cut", "reset"])
    func `a stream of HTTP 2 is reset at once, and its connection goes on`(kind: String) throws {
        let backend = try ScriptedBackend.echo(answersClose: false)
        let sluice = try Operated(
            routes: [
                "{ path: /struck, to: \"\(backend.address)\", faults: { \(kind): 20% } }",
                "{ path: /calm, to: \"\(try ScriptedBackend.echo().address)\" }",
            ], listeners: [.http2()],
            settings: ["allowFaults: true", "timeouts: { closing: 10m, linger: 10m }"])
        defer { Scratch.remove(sluice.folder) }
        let said = try PythonPeer.run(
            "h2_client.py", try multiplexed(sluice, ["struck", "/struck", "/calm"]))
        #expect(said.first?.hasPrefix("reset CANCEL message ") == true, "\(said)")
        #expect(said.last == "another goes on")
        #expect(try faults(sluice, kind, route: "/struck") == 1)
    }

    @Test func `a stream of HTTP 2 has what is due at once, also behind the faults`() throws {
        let (sluice, _) = try started("latency: 20ms", listener: .http2())
        defer { Scratch.remove(sluice.folder) }
        // One in each step of a timer would take longer than the client waits.
        #expect(
            try PythonPeer.run(
                "h2_client.py", try multiplexed(sluice, ["flood", "/Esv/ocp", "10000"])
            ) == ["sent", "in order"])
        let begun = try sluice.command([
            "chaos", "--latency", "1m", "--for", "1h", "--route", "/calm",
        ])
        #expect(begun.status == 0, "\(begun.output)")
        let client = try PythonPeer.start(
            "h2_client.py", try multiplexed(sluice, ["flood", "/calm", "10000"]))
        try client.waitForLine(containing: "sent")
        try eventually("all is late") {
            try faults(sluice, "latency", route: "/calm") == 10_000
        }
        #expect(try sluice.command(["chaos", "off"]).status == 0)
        #expect(try client.waitForExit(by: .after(.seconds(60))) == 0, "\(client.errors)")
    }

    // MARK: By command

    @Test func `chaos begins for live sockets, is shown, and ends`() throws {
        let (sluice, _) = try started()
        defer { Scratch.remove(sluice.folder) }
        let live = try sluice.proxy.open()
        let calm = try sluice.proxy.open(Opening("/calm"))
        let begun = try sluice.command([
            "chaos", "--route", "/Esv/ocp", "--stall", "1h", "--latency", "200ms", "--jitter",
            "50ms", "--bandwidth", "64k", "--for", "1h",
        ])
        #expect(begun.status == 0, "\(begun.output)")
        #expect(
            begun.output.contains(
                "Faults have begun for route /Esv/ocp for 1h: latency 200ms ± 50ms, bandwidth 64KiB in a"
                    + " second, stall 1h."), "\(begun.output)")
        try live.send(Frame.text("held").masked())
        try calm.send(Frame.text("calm").masked())
        #expect(try calm.readFrame().text == "calm")
        let status = try sluice.command(["status"])
        #expect(
            status.output.contains("faults of /Esv/ocp by sluice chaos, for another "),
            "\(status.output)")
        try eventually("the stall acts") { try faults(sluice, "stall") == 1 }
        #expect(live.stream.buffered.isEmpty)
        let off = try sluice.command(["chaos", "off"])
        #expect(off.output.contains("Faults have ended for route /Esv/ocp."), "\(off.output)")
        #expect(try live.readFrame().text == "held")
        #expect(!(try sluice.command(["status"])).output.contains("faults of"))
        let none = try sluice.command(["chaos", "off"])
        #expect(none.status == 0 && none.output.contains("There were no faults"))
    }

    @Test func `chaos ends by itself`() throws {
        let (sluice, _) = try started()
        defer { Scratch.remove(sluice.folder) }
        let live = try sluice.proxy.open()
        let begun = try sluice.command(["chaos", "--stall", "1h", "--for", "1s"])
        #expect(begun.status == 0, "\(begun.output)")
        try live.send(Frame.text("held").masked())
        #expect(try live.readFrame().text == "held")
        try eventually("the state tells of none") {
            !(try sluice.command(["status"])).output.contains("faults of")
        }
        let end = "Faults end for routes /Esv/ocp, /calm, since their time is over."
        try sluice.proxy.process.waitForLine(containing: end)
    }

    @Test func `only faults that last until their time are told as over`() throws {
        let (sluice, _) = try started()
        defer { Scratch.remove(sluice.folder) }
        for arguments in [
            ["--latency", "1ms", "--for", "20s"], ["off"],
            ["--route", "/Esv/ocp", "--latency", "1ms", "--for", "20s"],
            ["--route", "/Esv/ocp", "--latency", "2ms", "--for", "1h"],
            ["--route", "/calm", "--latency", "1ms", "--for", "1s"],
        ] {
            let said = try sluice.command(["chaos"] + arguments)
            #expect(said.status == 0, "\(said.output)")
        }
        let end = "Faults end for route /calm, since their time is over."
        try sluice.proxy.process.waitForLine(containing: end)
        let told = (sluice.proxy.process.output + sluice.proxy.process.errors).filter {
            $0.contains("since their time is over")
        }
        #expect(told.count == 1, "\(told)")
    }

    @Test func `behind chaos that ends by itself live sockets have what the file says`() throws {
        let (sluice, _) = try started("latency: 1s")
        defer { Scratch.remove(sluice.folder) }
        let live = try sluice.proxy.open()
        // The end of the first is no end of the second.
        for span in ["2s", "4s"] {
            let begun = try sluice.command(["chaos", "--latency", "1ms", "--for", span])
            #expect(begun.status == 0, "\(begun.output)")
        }
        try live.send(Frame.text("at once").masked())
        #expect(try live.readFrame().text == "at once")
        try eventually("the state tells of the file's alone") {
            !(try sluice.command(["status"])).output.contains("by sluice chaos")
        }
        let clock = ContinuousClock()
        try eventually("it is late again") {
            let began = clock.now
            try live.send(Frame.text("late").masked())
            guard try live.readFrame().text == "late" else { return false }
            return clock.now - began >= .seconds(2)
        }
    }

    @Test func `without allowFaults nothing is done, and a sentence says why`() throws {
        let (sluice, backend) = try started(allowing: false)
        defer { Scratch.remove(sluice.folder) }
        let refused = try sluice.command(["chaos", "--cut", "100%"])
        #expect(refused.status == 1)
        #expect(refused.output.contains("Set 'allowFaults: true'"), "\(refused.output)")
        let who = "(pid \(sluice.proxy.process.identifier)) goes by /"
        #expect(refused.output.contains(who), "\(refused.output)")
        let live = try sluice.proxy.open()
        try live.send(Frame.text("whole").masked())
        #expect(try live.readFrame().text == "whole")
        try sluice.rewrite(
            "to: \"\(backend.address)\" }", "to: \"\(backend.address)\", faults: { cut: 1% } }")
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 1)
        #expect(reload.output.contains("without 'allowFaults: true'"), "\(reload.output)")
    }

    @Test func `a reload keeps chaos, and one that forbids faults ends all`() throws {
        let (sluice, _) = try started("latency: 1s")
        defer { Scratch.remove(sluice.folder) }
        let begun = try sluice.command(["chaos", "--route", "/calm", "--stall", "1h"])
        #expect(begun.status == 0, "\(begun.output)")
        let calm = try sluice.proxy.open(Opening("/calm"))
        try calm.send(Frame.text("held").masked())
        try sluice.rewrite("allowFaults: true", "allowFaults: true\nwatch: false")
        #expect(try sluice.command(["reload"]).status == 0)
        let status = try sluice.command(["status"]).output
        #expect(status.contains("faults of /calm by sluice chaos: stall 1h"), "\(status)")
        #expect(status.contains("faults of /Esv/ocp by the configuration: latency 1s"))
        #expect(calm.stream.buffered.isEmpty)
        try sluice.rewrite("allowFaults: true\n", "")
        try sluice.rewrite(", faults: { latency: 1s }", "")
        let reload = try sluice.command(["reload"])
        #expect(reload.status == 0, "\(reload.output)")
        #expect(try calm.readFrame().text == "held")
        #expect(!(try sluice.command(["status"])).output.contains("faults of"))
    }

    @Test func `sockets move to the new process of an upgrade with all that faults held`() throws {
        let (sluice, _) = try started("latency: 2s")
        defer { Scratch.remove(sluice.folder) }
        let live = try sluice.proxy.open()
        let messages = (0..<20).map { "message \($0)" }
        for message in messages { try live.send(Frame.text(message).masked()) }
        try eventually("they wait") { try faults(sluice, "latency") == 20 }
        let upgrade = try sluice.command(["upgrade"])
        #expect(upgrade.status == 0, "\(upgrade.output)")
        let new = try MovedSocketsTests.process(of: sluice)
        #expect(new != sluice.proxy.process.identifier)
        defer { kill(new, SIGKILL) }
        for message in messages { #expect(try live.readFrame().text == message) }
    }

    @Test func `check warns of faults`() throws {
        let (sluice, _) = try started("cut: 1%")
        defer { Scratch.remove(sluice.folder) }
        let check = try ended([
            try ProxyFixture.program(), "check", "-c", sluice.proxy.configurationPath,
        ])
        #expect(check.status == 0)
        #expect(
            check.output.contains(
                "allowFaults: WebSockets of /Esv/ocp are delayed, cut or refused"),
            "\(check.output)")
    }

    @Test(arguments: [
        (["--latency", "200"], "--latency takes a duration"),
        (["--cut", "1"], "--cut takes a percentage"),
        (["--cut", "101%"], "--cut takes a percentage"),
        (["--jitter", "5ms"], "--jitter found 5ms"), (["--for", "1m"], "Say what is to be done"),
        (["off", "--cut", "1%"], "does not go together"), (["on"], "takes options or off"),
        (["--stall", "5s", "--stall-every", "5s"], "--stall-every found 5s"),
        (["--bandwidth", "1"], "--bandwidth takes bytes"),
    ])
    func `what is no fault is refused`(arguments: [String], sentence: String) throws {
        let refused = try ended([try ProxyFixture.program(), "chaos"] + arguments)
        #expect(refused.status == 64)
        #expect(refused.output.contains(sentence), "\(refused.output)")
    }
}
