// SPDX-License-Identifier: Apache-2.0
//
// Goal: the next process knows what the one before it knew: the keys of session tickets, and which endpoints fail.
// Method: a client with a ticket of the old process, and an endpoint that only the old process has tried.

import Glibc
import TLS
import TestKit
import Testing

@Suite struct HandedStateTests {
    @Test func `a client takes up its session again behind an upgrade`() throws {
        let backend = try ScriptedBackend.echo()
        let sluice = try MovedSocketsTests.started(backend.address)
        defer { Scratch.remove(sluice.folder) }
        let client = try sluice.proxy.open()
        try MovedSocketsTests.exchange(client, "the ticket has come")
        let ticket = try #require(client.ticket)
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        let again = try sluice.proxy.connect(security: .resuming(ticket))
        #expect(again.facts?.isResumed == true)
        try again.open(Opening())
        try MovedSocketsTests.exchange(again, "resumed")
    }

    @Test func `an endpoint that fails is known to fail behind an upgrade`() throws {
        let sluice = try MovedSocketsTests.started(.tcp(9))
        defer { Scratch.remove(sluice.folder) }
        #expect(try sluice.proxy.connect().refusal(of: Opening()).status == 502)
        let before = try sluice.command(["status"]).output
        #expect(before.contains("failing"), "\(before)")
        let report = try MovedSocketsTests.upgrade(sluice)
        defer { kill(report.newProcess, SIGKILL) }
        #expect(try MovedSocketsTests.process(of: sluice) == report.newProcess)
        let after = try sluice.command(["status"]).output
        #expect(after.contains("failing"), "\(after)")
    }
}
