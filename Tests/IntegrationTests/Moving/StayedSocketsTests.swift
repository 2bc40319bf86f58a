// SPDX-License-Identifier: Apache-2.0
//
// Goal: who is put out while an older process still drains sockets is put out there too; what named a relay before an
// upgrade names no other behind it.
// Method: sockets of TLS 1.2 and of HTTP/2 stay in the old process, which tells one of them to go at once and the others
// much later; curl asks the new one. A process stands still at a step of the move that SLUICE_TEST_STOP_AT names.

import Foundation
import Glibc
import Reactor
import TLS
import TestKit
import Testing

@Suite struct StayedSocketsTests {
    /// A Sluice whose drains tell one socket a minute.
    private struct Rig {
        let sluice: Operated
        /// Of TLS 1.2, in the order in which they are told to go.
        let sockets: [WebSocketPeer]
        /// Of those sockets.
        let ids: [String]

        init(
            _ backend: PeerAddress, count: Int = 4, isReplaceable: Bool = false,
            wrapper: [String] = []
        ) throws {
            sluice = try Operated(
                routes: ["{ path: /Esv/ocp, to: \"\(backend)\" }"], listeners: [.http2(), .tls()],
                settings: [
                    "drain: { timeout: 600s, spread: 600s, code: 1012 }", "workers: 1",
                ], isReplaceable: isReplaceable, wrapper: wrapper)
            let listener = sluice
            sockets = try (0..<count).map { _ in
                let socket = try listener.proxy.connect(
                    listener: 1, security: .tls(version: .tls12))
                try socket.open(Opening())
                return socket
            }
            ids = try Self.ids(sluice)
            #expect(ids.count == count)
        }

        static func ids(_ sluice: Operated) throws -> [String] {
            try sluice.ask("/relays").output.matches(of: /\d+-\d+-\d+/).map { String($0.output) }
        }

        func ask(_ target: String, _ body: String = "") throws -> String {
            try sluice.ask(target, ["-X", "POST", "-d", body, "-w", " %{http_code}"]).output
                .trimmingCharacters(in: .newlines)
        }

        /// Closes all of this machine's sockets.
        func closeAll() throws -> String {
            try ask("/relays/close", "{\"client\":\"127.0.0.1\",\"code\":4401,\"reason\":\"out\"}")
                .filter { !$0.isWhitespace }
        }
    }

    private func expectClose(_ client: WebSocketPeer, _ code: Int) throws {
        #expect(try client.readFrame(by: .after(.seconds(20))).closeCode == code)
        try client.send(Frame.close(code).masked())
    }

    @Test func `sockets that stayed are closed one by one, and all at once`() throws {
        let backend = try ScriptedBackend.echo()
        let rig = try Rig(backend.address)
        defer { Scratch.remove(rig.sluice.folder) }
        let authority = try TestCertificates.shared().authority
        let streams = try PythonPeer.start(
            "h2_client.py",
            ["\(rig.sluice.proxy.port())", authority, "token", "/Esv/ocp", "2", "x-any:x"])
        try streams.waitForLine(containing: "open 200")
        let report = try MovedSocketsTests.upgrade(rig.sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(report.stayed == 6 && report.moved == 0)
        try expectClose(rig.sockets[0], 1012)
        let other = try rig.sluice.proxy.open()
        for socket in rig.sockets.dropFirst() { try MovedSocketsTests.exchange(socket, "still") }
        let one = try rig.ask("/relays/\(rig.ids[1])/close?code=4001")
        #expect(one.hasSuffix(" 200"), "\(one)")
        let close = try rig.sockets[1].readFrame()
        #expect(close.closeCode == 4_001)
        try rig.sluice.proxy.process.waitForLine(
            containing: "1 relay was told 4001, as the process that has taken over asked for.")
        let again = try rig.ask("/relays/\(rig.ids[1])/close?code=4002")
        #expect(again.hasSuffix(" 409") && again.contains("is ending already"), "\(again)")
        #expect(try rig.ask("/relays/0-77-7/close").hasSuffix(" 404"))
        let more = try rig.ask("/relays/\(rig.ids[2])/extend", "{\"seconds\":5}")
        let words = "Process \(report.oldProcess), which has served before this one, still drains"
        #expect(more.hasSuffix(" 404") && more.contains(words), "\(more)")
        try MovedSocketsTests.exchange(rig.sockets[2], "untouched")
        // Two of TLS 1.2, two streams, and one of the new process.
        #expect(try rig.closeAll() == "{\"closed\":5}200")
        for socket in [rig.sockets[2], rig.sockets[3], other] { try expectClose(socket, 4_401) }
        try rig.sluice.proxy.process.waitForLine(
            containing: "4 relays were told 4401, as the process that has taken over asked for.")
        #expect(try streams.waitForExit() == 0, "\(streams.errors)")
        #expect(streams.output.last == "closed 4401")
        try rig.sockets[1].send(Frame.close(4_001).masked())
        try eventually("the old process is gone") { rig.sluice.proxy.process.hasEnded }
        #expect(try rig.closeAll() == "{\"closed\":0}200")
        let gone = try rig.ask("/relays/\(rig.ids[2])/extend", "{\"seconds\":5}")
        #expect(gone.hasSuffix(" 404") && !gone.contains("still drains"), "\(gone)")
    }

    @Test(arguments: [[], ["--no-move"]])
    func `they are reached over several upgrades`(more: [String]) throws {
        let backend = try ScriptedBackend.echo()
        let rig = try Rig(backend.address, count: 3)
        defer { Scratch.remove(rig.sluice.folder) }
        let first = try MovedSocketsTests.upgrade(rig.sluice, more)
        defer { kill(first.newProcess, SIGKILL) }
        try expectClose(rig.sockets[0], 1012)
        // The process in between has nothing, and ends at once.
        let second = try MovedSocketsTests.upgrade(rig.sluice, more)
        defer { kill(second.newProcess, SIGKILL) }
        // Its parent may not have asked yet how it has ended.
        try eventually("the process in between is gone") {
            !FileManager.default.fileExists(atPath: "/proc/\(first.newProcess)/exe")
        }
        for socket in rig.sockets.dropFirst() { try MovedSocketsTests.exchange(socket, "still") }
        #expect(try rig.ask("/relays/\(rig.ids[1])/close?code=4001").hasSuffix(" 200"))
        try expectClose(rig.sockets[1], 4_001)
        #expect(try rig.closeAll() == "{\"closed\":1}200")
        try expectClose(rig.sockets[2], 4_401)
        try eventually("the old process is gone") { rig.sluice.proxy.process.hasEnded }
        #expect(try rig.closeAll() == "{\"closed\":0}200")
    }

    @Test func `one that does not answer is told of, and what is here is closed`() throws {
        let backend = try ScriptedBackend.echo()
        let rig = try Rig(backend.address, count: 2)
        defer { Scratch.remove(rig.sluice.folder) }
        let report = try MovedSocketsTests.upgrade(rig.sluice)
        defer { kill(report.newProcess, SIGKILL) }
        try expectClose(rig.sockets[0], 1012)
        let other = try rig.sluice.proxy.open()
        kill(report.oldProcess, SIGSTOP)
        let said = try rig.ask("/relays/close", "{\"client\":\"127.0.0.1\"}")
        let words = "1 relay was told 1008. Process \(report.oldProcess), which has served"
        #expect(said.hasSuffix(" 503") && said.contains(words), "\(said)")
        try expectClose(other, 1_008)
        // Whoever asks next is not made to wait for it.
        let begin = Clock.nowMilliseconds()
        for _ in 0..<3 {
            let again = try rig.ask("/relays/close", "{\"client\":\"127.0.0.1\"}")
            let words = "0 relays were told 1008. Process \(report.oldProcess), which has served"
            #expect(again.hasSuffix(" 503") && again.contains(words), "\(again)")
        }
        #expect(Clock.nowMilliseconds() - begin < 9_000)
        kill(report.oldProcess, SIGCONT)
        // The late answer to the first one is not taken for that to the second, which found it ending.
        try expectClose(rig.sockets[1], 1_008)
        #expect(try rig.closeAll() == "{\"closed\":0}200")
    }

    @Test func `one that takes relays over late reaches those that stayed all the same`() throws {
        let backend = try ScriptedBackend.echo()
        let rig = try Rig(
            backend.address, count: 2,
            wrapper: ["/usr/bin/env", "SLUICE_TEST_STOP_AT=starting"])
        defer { Scratch.remove(rig.sluice.folder) }
        // The new process stands still before it has said that it takes relays over, so nobody waits for it any more.
        let upgrade = try rig.sluice.command(["upgrade", "--json", "--no-move"])
        let newProcess: Int32
        if upgrade.output.contains("{") {
            let report = try MovedSocketsTests.report(upgrade.output)
            newProcess = report.newProcess
            #expect(report.stayed == 2)
        } else {
            // On a busy machine the command asks meanwhile whether anybody is there: that is the one that stands still.
            let silent = try #require(
                upgrade.output.firstMatch(of: /Process ([0-9]+) at .* is stopped/),
                "\(upgrade.output)")
            newProcess = try #require(Int32(silent.1))
        }
        defer { kill(newProcess, SIGKILL) }
        try expectClose(rig.sockets[0], 1012)
        kill(newProcess, SIGCONT)
        // It may not have heard yet that none come.
        try eventually("the relay is reached") {
            let said = try rig.ask("/relays/\(rig.ids[1])/close?code=4001")
            #expect(said.hasSuffix(" 503") || said.hasSuffix(" 200"), "\(said)")
            return said.hasSuffix(" 200")
        }
        try expectClose(rig.sockets[1], 4_001)
    }

    @Test func `one that can't be asked is told of over several upgrades, until it ends`() throws {
        let backend = try ScriptedBackend.echo()
        let rig = try Rig(backend.address, count: 2, isReplaceable: true)
        defer { Scratch.remove(rig.sluice.folder) }
        let old = try MovedSocketsTests.process(of: rig.sluice)
        let program = "\(rig.sluice.folder)/sluice"
        func upgrade(_ script: String) throws -> Int32 {
            try FileManager.default.removeItem(atPath: program)
            try Scratch.writeProgram(
                "#!/bin/sh\n\(script)exec '\(try ProxyFixture.program())' \"$@\"\n", to: program)
            return try MovedSocketsTests.upgrade(rig.sluice, ["--no-move"]).newProcess
        }
        // It does not find the channel.
        let second = try upgrade("unset SLUICE_RELAYS\n")
        defer { kill(second, SIGKILL) }
        try expectClose(rig.sockets[0], 1012)
        func expectTold() throws {
            for said in try [rig.ask("/relays/\(rig.ids[1])/close"), rig.closeAll()] {
                let words = "Process \(old), which has served before this one, still drains"
                #expect(
                    said.hasSuffix("503")
                        && said.filter { !$0.isWhitespace }.contains(
                            words.filter { !$0.isWhitespace }),
                    "\(said)")
            }
        }
        try expectTold()
        let third = try upgrade("")
        defer { kill(third, SIGKILL) }
        try eventually("the process in between is gone") {
            !FileManager.default.fileExists(atPath: "/proc/\(second)/exe")
        }
        try expectTold()
        rig.sluice.proxy.process.signal(SIGKILL)
        try eventually("the old process is gone") { rig.sluice.proxy.process.hasEnded }
        #expect(try rig.closeAll() == "{\"closed\":0}200")
        #expect(try rig.ask("/relays/\(rig.ids[1])/close").hasSuffix(" 404"))
    }

    @Test func `the ID of a relay names no other behind an upgrade`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try MovedSocketsTests.started(backend.address, settings: ["workers: 1"])
        defer { Scratch.remove(sluice.folder) }
        let clients = try (0..<5).map { _ in try sluice.proxy.open() }
        let before = try Rig.ids(sluice)
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(before.count == 5 && report.moved == 5)
        let behind = try Rig.ids(sluice)
        #expect(behind.count == 5 && Set(behind).isDisjoint(with: before), "\(before) \(behind)")
        for id in before {
            #expect(
                try sluice.command(["status", "--close", id]).output.contains("no relay \(id)"))
        }
        for client in clients { try MovedSocketsTests.exchange(client, "goes on") }
        #expect(try sluice.command(["status", "--close", behind[0]]).status == 0)
    }
}
