// SPDX-License-Identifier: Apache-2.0
import Reactor
import TLS
import Testing

@testable import Frontend

/// Which failed handshakes have a line; time is a number here.
struct HandshakeComplaintsTests {
    private let client = Address.ipv4(192, 0, 2, 1, port: 1)
    private let complaints = HandshakeComplaints()

    private func line(
        _ now: UInt64, _ cause: HandshakeFailure.Cause = .alert(48), _ client: Address? = nil
    ) -> Int? {
        complaints.note(cause, of: client ?? self.client, nowMilliseconds: now).countedBefore
    }

    @Test func `a cause of a client has a line a minute, and the next one counts the others`() {
        #expect(line(1_000) == 0)
        for now: UInt64 in [1_000, 30_000, 60_999] {
            #expect(line(now, .alert(48), client.with(port: 2)) == nil)
        }
        // Another cause and another client have lines of their own.
        #expect(line(2_000, .alert(46), client) == 0)
        #expect(line(2_000, .alert(48), .ipv4(192, 0, 2, 2, port: 1)) == 0)
        #expect(line(61_000) == 3)
        #expect(line(61_001) == nil)
    }

    @Test func `those of a client that is gone are counted when their minute is over`() {
        for _ in 0..<5 { _ = line(1_000) }
        let other = Address.ipv4(192, 0, 2, 2, port: 1)
        let outcome = complaints.note(.noCommonGroup, of: other, nowMilliseconds: 62_000)
        #expect(outcome.countedBefore == 0)
        #expect(
            outcome.forgotten == [.init(client: client.subscriber, cause: .alert(48)): 4])
        #expect(line(63_000) == 0)
    }

    @Test func `many clients take no more memory than some`() {
        func said(_ now: UInt64, _ first: UInt64) -> Int {
            (first..<first + 5_000).count { number in
                line(now, .alert(48), .ipv6(high: number, low: 1, port: 1)) == 0
            }
        }
        #expect(said(1_000, 0) == HandshakeComplaints.entriesMax)
        #expect(said(60_500, 10_000) == 0)
        #expect(said(61_600, 30_000) == HandshakeComplaints.entriesMax)
    }
}
