// SPDX-License-Identifier: Apache-2.0
import Reactor
import Serialization
import Testing

@testable import Frontend

/// Goal: a client that comes too often is not forgiven by an upgrade.
struct HandedAdmissionTests {
    @Test func `who has come too often before comes too often in the next process`() throws {
        let client = try #require(Address(host: "192.0.2.7", port: 1))
        let other = try #require(Address(host: "192.0.2.8", port: 1))
        let limits = AdmissionLimits(newRelaysPerSecond: 2)
        let (before, next) = (Admission(), Admission())
        for _ in 0..<2 {
            #expect(before.enter(client, limits, nowMilliseconds: 10_000) == .admitted)
        }
        var writer = FieldWriter()
        before.write(to: &writer, nowMilliseconds: 10_000)
        try writer.withBytes { bytes in
            Result {
                var reader = try FieldReader(bytes)
                try next.take(&reader)
            }
        }.get()
        #expect(next.enter(client, limits, nowMilliseconds: 10_000) != .admitted)
        #expect(next.enter(other, limits, nowMilliseconds: 10_000) == .admitted)
        #expect(next.enter(client, limits, nowMilliseconds: 11_000) == .admitted)
    }
}
