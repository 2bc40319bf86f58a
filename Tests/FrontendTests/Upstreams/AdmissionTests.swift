// SPDX-License-Identifier: Apache-2.0
import Reactor
import Testing

@testable import Frontend

/// Who gets a place on a route; time is a number here.
struct AdmissionTests {
    private let client = Address.ipv4(192, 0, 2, 1, port: 1)

    @Test func `a route has so many places and no more, and one that is left is free again`() {
        let admission = Admission()
        let limits = AdmissionLimits(relays: 2)
        let other = Address.ipv4(192, 0, 2, 2, port: 1)
        #expect(admission.enter(client, limits, nowMilliseconds: 0) == .admitted)
        #expect(admission.enter(other, limits, nowMilliseconds: 0) == .admitted)
        #expect(admission.enter(other, limits, nowMilliseconds: 0) == .full)
        admission.leave(client, nowMilliseconds: 0)
        #expect(admission.enter(other, limits, nowMilliseconds: 0) == .admitted)
    }

    @Test func `a client has its own number of places, whatever its port`() {
        let admission = Admission()
        let limits = AdmissionLimits(relaysPerClient: 2)
        for port: UInt16 in [1, 2] {
            #expect(
                admission.enter(client.with(port: port), limits, nowMilliseconds: 0) == .admitted)
        }
        #expect(admission.enter(client, limits, nowMilliseconds: 0) == .tooMany)
        let other = Address.ipv4(192, 0, 2, 2, port: 1)
        #expect(admission.enter(other, limits, nowMilliseconds: 0) == .admitted)
        admission.leave(client, nowMilliseconds: 0)
        #expect(admission.enter(client, limits, nowMilliseconds: 0) == .admitted)
    }

    @Test func `an IPv6 network of 64 bits is one client`() {
        let admission = Admission()
        let limits = AdmissionLimits(relaysPerClient: 1)
        let first = Address.ipv6(high: 0x2001_0DB8_0000_0001, low: 1, port: 1)
        let neighbour = Address.ipv6(high: 0x2001_0DB8_0000_0001, low: .max, port: 1)
        let stranger = Address.ipv6(high: 0x2001_0DB8_0000_0002, low: 1, port: 1)
        #expect(admission.enter(first, limits, nowMilliseconds: 0) == .admitted)
        #expect(admission.enter(neighbour, limits, nowMilliseconds: 0) == .tooMany)
        #expect(admission.enter(stranger, limits, nowMilliseconds: 0) == .admitted)
    }

    @Test func `a second's worth may come at once, and then one after the other`() {
        let admission = Admission()
        let limits = AdmissionLimits(newRelaysPerSecond: 4)
        let start: UInt64 = 1_000_000
        for _ in 0..<4 {
            #expect(admission.enter(client, limits, nowMilliseconds: start) == .admitted)
        }
        #expect(admission.enter(client, limits, nowMilliseconds: start) == .tooOften(251))
        #expect(admission.enter(client, limits, nowMilliseconds: start + 249) == .tooOften(2))
        #expect(admission.enter(client, limits, nowMilliseconds: start + 250) == .admitted)
        #expect(admission.enter(client, limits, nowMilliseconds: start + 250) != .admitted)
        #expect(admission.enter(client, limits, nowMilliseconds: start + 5_000) == .admitted)
    }

    @Test func `clients are forgotten once they mean nothing any more`() {
        let admission = Admission()
        let limits = AdmissionLimits(newRelaysPerSecond: 1)
        for index in 0..<5_000 {
            let one = Address.ipv4(10, 0, UInt8(index >> 8), UInt8(index & 0xFF), port: 1)
            let now = UInt64(index) * 10
            #expect(admission.enter(one, limits, nowMilliseconds: now) == .admitted)
            admission.leave(one, nowMilliseconds: now)
        }
        #expect(admission.clientCount <= 1_024)
    }
}
