// SPDX-License-Identifier: Apache-2.0
//
// Goal: what is drawn from a shared rate, by however many threads, is a second's worth and what the
// time brings, and nothing gets lost in between.
// Method: drawing by a clock of the test's own, and by several threads at once.

import Reactor
import Testing
import Wire

@testable import Splice

@Suite struct SharedRateTests {
    @Test(arguments: [1, 7, 1_000, RelayLimits.bytesPerSecondMax])
    func `a second's worth is there at once, and again after a second`(perSecond: UInt64) {
        let rate = SharedRate(perSecond: perSecond)
        #expect(rate.available(nowMilliseconds: 5_000) == perSecond)
        rate.spend(perSecond, nowMilliseconds: 5_000)
        #expect(rate.available(nowMilliseconds: 5_000) == 0)
        #expect(!rate.isIdle(nowMilliseconds: 5_999))
        #expect(rate.available(nowMilliseconds: 5_500) == perSecond / 2)
        #expect(rate.isIdle(nowMilliseconds: 6_000))
        #expect(rate.available(nowMilliseconds: 60_000) == perSecond)
    }

    @Test func `what was drawn too much is waited for`() {
        let rate = SharedRate(perSecond: 1_000)
        rate.spend(1_500, nowMilliseconds: 1_000)
        #expect(rate.available(nowMilliseconds: 1_400) == 0)
        let wait = rate.wait(for: 100, nowMilliseconds: 1_000)
        #expect((600...602).contains(wait))
        #expect(rate.available(nowMilliseconds: 1_000 + wait) >= 100)
    }

    @Test func `however much is drawn, the debt has a bound and no sum overflows`() {
        let rate = SharedRate(perSecond: 1)
        for _ in 0..<1_000 { rate.spend(.max, nowMilliseconds: 10) }
        #expect(rate.available(nowMilliseconds: 20) == 0)
        #expect(rate.wait(for: 1, nowMilliseconds: 20) <= 1_000 * 257 * 1_000)
    }

    @Test func `draws of several threads all count`() async {
        let rate = SharedRate(perSecond: 1_000_000)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<50_000 { rate.spend(1, nowMilliseconds: 1_000) }
                }
            }
        }
        #expect(rate.available(nowMilliseconds: 1_000) == 800_000)
    }

    @Test func `what the relays share is drawn from as messages pass`() {
        let shared = SharedRate(perSecond: 10)
        let meter = Meter(messagesPerSecond: 6, sharedMessages: shared)
        let other = Meter(sharedMessages: shared)
        var scanner = FrameScanner(sender: .server, reservedBits: 0)
        var second = FrameScanner(sender: .server, reservedBits: 0)
        scanner.allow(messages: 0)
        second.allow(messages: 0)
        meter.refill(&scanner, nowMilliseconds: 2_000)
        #expect(scanner.messagesAllowed == 6)
        let frames: [UInt8] = [0x81, 0, 0x81, 0, 0x81, 0, 0x81, 0]
        let outcome = frames.withUnsafeBufferPointer {
            scanner.scan($0.baseAddress.unsafelyUnwrapped, count: 8)
        }
        #expect(outcome.violation == .none)
        meter.charge(scanner, nowMilliseconds: 2_000)
        meter.charge(scanner, nowMilliseconds: 2_000)
        #expect(shared.available(nowMilliseconds: 2_000) == 6)
        other.refill(&second, nowMilliseconds: 2_000)
        #expect(second.messagesAllowed == 6)
        // Allowed without end, as where nothing passes any more: no use of it counts.
        scanner.allow(messages: nil)
        meter.charge(scanner, nowMilliseconds: 2_000)
        #expect(shared.available(nowMilliseconds: 2_000) == 6)
    }
}

/// Goal: relays of one client that have moved share what they shared, also where the rules have changed meanwhile.
struct MovedRatesTests {
    @Test func `those with the same rate share it, whatever the rules say now`() throws {
        let earlier = EarlierRates()
        let client = try #require(Address(host: "192.0.2.7", port: 0))
        let other = try #require(Address(host: "192.0.2.8", port: 0))
        let present = ClientRates(messagesPerSecond: 100, bytesPerSecond: nil)
        let rates = MovedRates(of: client, present: present, earlier: earlier)
        let changed = MovedRates(of: client, present: nil, earlier: earlier)
        #expect(rates.rate(.messages, perSecond: 100) === present.messages)
        let first = rates.rate(.messages, perSecond: 5)
        #expect(first === changed.rate(.messages, perSecond: 5))
        #expect(first !== rates.rate(.bytesUp, perSecond: 5))
        #expect(
            first
                !== MovedRates(of: other, present: nil, earlier: earlier).rate(
                    .messages, perSecond: 5))
        // Nobody draws from it any more, so it is forgotten, and so are many others.
        weak var forgotten: SharedRate?
        do { forgotten = rates.rate(.bytesDown, perSecond: 7) }
        #expect(forgotten == nil)
        for perSecond in 1...1_000 { _ = rates.rate(.bytesUp, perSecond: UInt64(perSecond)) }
        #expect(first === rates.rate(.messages, perSecond: 5))
    }
}
