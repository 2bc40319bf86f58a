// SPDX-License-Identifier: Apache-2.0
//
// Goal: where as many connections are open as there may be, everything that an operator looks at says so.
// Method: the program with a small `limits.connections`, and one client more than that.

import TestKit
import Testing

@Suite struct FullTests {
    @Test func `status, doctor and metrics say that limits.connections is reached`() throws {
        let backend = try ManualBackend()
        let sluice = try Operated(
            routes: ["{ path: /Esv/ocp, to: \"\(backend.address)\" }"],
            settings: ["limits: { connections: 2 }"])
        defer { Scratch.remove(sluice.folder) }
        #expect(!(try sluice.command(["status"]).output.contains("new connections wait")))
        let relays = try (0..<2).map { _ in try sluice.proxy.relay(to: backend) }
        let words =
            "new connections wait: all 2 connections that limits.connections allows are open"
        #expect(try sluice.command(["status"]).output.contains(words))
        let json = try sluice.command(["status", "--json"]).output
        #expect(json.contains("\"connectionsMax\" : 2"), "\(json)")
        let doctor = try sluice.command(["doctor"])
        #expect(doctor.status != 0 && doctor.output.contains(words), "\(doctor.output)")
        #expect(doctor.output.contains("Raise limits.connections"), "\(doctor.output)")
        #expect(!doctor.output.contains("handshake"), "\(doctor.output)")
        let hits = "sluice_limit_hits_total{route=\"\",limit=\"connections\"}"
        try eventually("it is counted") { try sluice.scrape()[hits] ?? 0 >= 1 }
        withExtendedLifetime(relays) {}
    }
}
