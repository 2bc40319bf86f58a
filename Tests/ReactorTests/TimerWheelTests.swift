// SPDX-License-Identifier: Apache-2.0
import Reactor
import TestKit
import Testing

@Suite struct TimerWheelTests {
    private static let tick: UInt64 = 64

    @Test func `a timer fires once, not early, and less than a tick late`() {
        let token = Token(index: 3, generation: 9, tag: 2)
        for delay in [0, 1, 63, 64, 65, 4095, 4096, 4097, 262_143, 262_144, 90_000_000] as [UInt64]
        {
            var wheel = TimerWheel(tickMilliseconds: Self.tick, now: 1000)
            wheel.reserve(index: 3)
            wheel.arm(token, at: 1000 + delay)
            expect(wheel.isArmed(token))
            let early = wheel.popExpired(now: 1000 + max(delay, 1) - 1)
            #expect(early == nil, "after \(delay) ms")
            let due = wheel.popExpired(now: 1000 + delay + Self.tick)
            #expect(due == token, "after \(delay) ms")
            expect(!wheel.isArmed(token))
            let again = wheel.popExpired(now: 1000 + delay + 10 * Self.tick)
            #expect(again == nil)
        }
    }

    @Test func `a timer armed for the past fires with the next tick and not in the same turn`() {
        var wheel = TimerWheel(tickMilliseconds: 10, now: 0)
        wheel.reserve(index: 0)
        let token = Token(index: 0, generation: 0)
        let nothing = wheel.popExpired(now: 1005)
        #expect(nothing == nil)
        wheel.arm(token, at: 3)
        let sameTurn = wheel.popExpired(now: 1005)
        #expect(sameTurn == nil)
        let nextTick = wheel.popExpired(now: 1010)
        #expect(nextTick == token)
    }

    @Test func `re-arming moves the timer and cancelling one that was popped does no harm`() {
        var wheel = TimerWheel(tickMilliseconds: 1, now: 0)
        wheel.reserve(index: 1)
        let first = Token(index: 1, generation: 1)
        let second = Token(index: 1, generation: 2)
        wheel.arm(first, at: 10)
        wheel.arm(second, at: 500)
        expect(wheel.count == 1)
        let atTen = wheel.popExpired(now: 10)
        #expect(atTen == nil)
        let atFiveHundred = wheel.popExpired(now: 500)
        #expect(atFiveHundred == second)
        wheel.cancel(second)
        expect(wheel.count == 0)
        expect(wheel.millisecondsUntilNext(now: 500) == -1)
    }

    @Test func `a timer whose time has come can still be cancelled before it is popped`() {
        var wheel = TimerWheel(tickMilliseconds: 1, now: 0)
        wheel.reserve(index: 2)
        for index in 0...2 as ClosedRange<UInt32> {
            wheel.arm(Token(index: index, generation: 0), at: 5)
        }
        let first = wheel.popExpired(now: 9)
        #expect(first?.index == 0)
        wheel.cancel(Token(index: 1, generation: 0))
        let second = wheel.popExpired(now: 9)
        expect(second?.index == 2)
        let third = wheel.popExpired(now: 9)
        #expect(third == nil)
    }

    @Test func `a deadline beyond the wheel's range is the farthest one`() {
        var wheel = TimerWheel(tickMilliseconds: 64, now: 77)
        wheel.reserve(index: 0)
        let token = Token(index: 0, generation: 0)
        wheel.arm(token, at: .max)
        let inSevenYears = wheel.popExpired(now: 77 + 7 * 365 * 86_400_000)
        #expect(inSevenYears == nil)
        expect(wheel.isArmed(token))
        expect(wheel.millisecondsUntilNext(now: 77) > 0)
    }

    @Test(arguments: [1, 10, 64] as [UInt64], [1, 2, 3] as [UInt64])
    func `random use agrees with a list of deadlines`(tick: UInt64, seed: UInt64) {
        var random = SplitMix(seed: seed &* 1000 &+ tick)
        var now: UInt64 = 123_456
        var wheel = TimerWheel(tickMilliseconds: tick, now: now)
        let slots = 200
        wheel.reserve(index: 20)
        wheel.reserve(index: slots - 1)
        var model: [UInt32: (token: Token, due: UInt64, armedAt: UInt64)] = [:]
        let ranges: [UInt64] = [1, 50, 1000, 60_000, 4_000_000, 90_000_000, 3_000_000_000]
        for step in 0..<6000 {
            let index = UInt32(random.next() % UInt64(slots))
            switch random.next() % 10 {
            case 0...4:
                let token = Token(index: index, generation: UInt32(step), tag: UInt8(step & 255))
                let range = ranges[Int(random.next() % UInt64(ranges.count))]
                let due = now + random.next() % range
                wheel.arm(token, at: due)
                model[index] = (token, due, now)
            case 5:
                wheel.cancel(Token(index: index, generation: 0))
                model[index] = nil
            default:
                let range = ranges[Int(random.next() % UInt64(ranges.count))]
                let sleep = wheel.millisecondsUntilNext(now: now)
                expect((sleep == -1) == model.isEmpty)
                if let first = model.values.map(\.due).min(), first > now {
                    #expect(UInt64(sleep) <= first - now + tick)
                }
                now += random.next() % range
                while let token = wheel.popExpired(now: now) {
                    let expected = model.removeValue(forKey: token.index)
                    #expect(expected?.token == token)
                    #expect((expected?.due ?? .max) <= now)
                }
                // Late by less than a tick, and for the past by the next tick.
                let late = model.values.filter { max($0.due, $0.armedAt + 1) + tick <= now }
                #expect(late.isEmpty)
            }
            expect(wheel.count == model.count)
        }
    }

    @Test
    func `sleeping as long as the wheel says fires each timer within a tick and a millisecond`() {
        var random = SplitMix(seed: 5)
        var now: UInt64 = 0
        var wheel = TimerWheel(tickMilliseconds: 64, now: 0)
        var due: [UInt32: UInt64] = [:]
        for index in 0..<500 as Range<UInt32> {
            wheel.reserve(index: Int(index))
            due[index] = 1 + random.next() % 50_000_000
            wheel.arm(Token(index: index, generation: 0), at: due[index] ?? 0)
        }
        var wakeUps = 0
        while !due.isEmpty {
            let sleep = wheel.millisecondsUntilNext(now: now)
            #expect(sleep >= 0)
            now += UInt64(max(sleep, 1))
            wakeUps += 1
            while let token = wheel.popExpired(now: now) {
                let moment = due.removeValue(forKey: token.index) ?? .max
                #expect(now >= moment && now - moment < 65)
            }
        }
        // Each timer, and the borders at which timers change their level, and no more.
        #expect(wakeUps < 500 * 4)
    }
}
