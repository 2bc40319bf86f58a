// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@testable import Frontend

/// What is said of whom how often; time is a number here.
struct RemarksTests {
    private let client = Address.ipv4(192, 0, 2, 1, port: 1)

    @Test func `a thing is said once a minute of each client, whatever its port`() {
        let remarks = Remarks()
        #expect(remarks.isDue(about: client, nowMilliseconds: 1_000))
        for now: UInt64 in [1_000, 30_000, 60_999] {
            #expect(!remarks.isDue(about: client.with(port: 2), nowMilliseconds: now))
        }
        #expect(remarks.isDue(about: .ipv4(192, 0, 2, 2, port: 1), nowMilliseconds: 2_000))
        #expect(remarks.isDue(about: client, nowMilliseconds: 61_000))
    }

    @Test func `what many clients give reason for is said of so many and no more`() {
        let remarks = Remarks()
        func said(_ now: UInt64, _ first: UInt64) -> Int {
            (first..<first + 5_000).count { number in
                remarks.isDue(
                    about: .ipv6(high: number, low: 1, port: 1), nowMilliseconds: now)
            }
        }
        #expect(said(0, 0) == Remarks.clientsMax)
        #expect(said(59_500, 10_000) == 0)
        // Room is looked for once a second.
        #expect(said(60_499, 20_000) == 0)
        #expect(said(60_500, 30_000) == Remarks.clientsMax)
    }
}
