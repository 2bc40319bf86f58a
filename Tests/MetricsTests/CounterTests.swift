// SPDX-License-Identifier: Apache-2.0
import Metrics
import Testing

@Suite struct CounterTests {
    @Test func `each counter of a row has its own sum`() {
        let row = CounterRow(count: 3)
        row.add(at: 0)
        row.add(41, at: 2)
        row.add(at: 2)
        var values: [UInt64] = []
        for index in 0..<row.count { values.append(row.value(at: index)) }
        #expect(values == [1, 0, 42])
    }

    @Test func `every key has its own count`() {
        let counter = KeyedCounter()
        for key: UInt64 in [7, 9, 7, 0, 7] { counter.add(key) }
        #expect(counter.count(of: 7) == 3)
        #expect(counter.count(of: 9) == 1)
        #expect(counter.count(of: 0) == 1)
        #expect(counter.count(of: 1) == 0)
        #expect(counter.counts.count == 3)
    }

    @Test func `keys beyond the bound are counted together, and known ones by themselves`() {
        let counter = KeyedCounter(keysMax: 2)
        for key: UInt64 in 0..<1_000 { counter.add(key) }
        counter.add(1)
        #expect(counter.counts.count == 3)
        #expect(counter.count(of: 0) == 1)
        #expect(counter.count(of: 1) == 2)
        #expect(counter.count(of: KeyedCounter.other) == 998)
    }

    @Test func `a duration that is a bound belongs to its bucket`() {
        let durations = DurationCounter(DurationCounter.Kind(bounds: [1, 10, 1_000]))
        let atFirst = durations.isEmpty
        #expect(atFirst)
        for milliseconds: UInt64 in [0, 1, 2, 10, 11, 1_000, 1_001, 60_000] {
            durations.note(milliseconds)
        }
        let reading = durations.reading
        #expect(reading.bounds == [0.001, 0.01, 1])
        #expect(reading.counts == [2, 2, 2, 2])
        #expect(reading.total == 8)
        #expect(reading.sum == 62.025)
    }

    @Test func `what was not noted is filled into the first bucket, and never taken out of it`() {
        let durations = DurationCounter(DurationCounter.Kind(bounds: [1, 10]))
        durations.note(5)
        durations.note(50)
        for total: UInt64 in [7, 3, 9] { durations.fillFirst(total: total) }
        let reading = durations.reading
        #expect(reading.counts == [7, 1, 1])
        #expect(reading.sum == 0.055)
    }

    @Test func `what another writer has counted comes to it bucket by bucket`() {
        let kind = DurationCounter.Kind(bounds: [100, 250], perSecond: 1_000_000)
        let one = DurationCounter(kind)
        let other = DurationCounter(kind)
        one.note(100)
        other.note(101)
        other.note(300)
        var sum = one.reading
        sum.add(other)
        #expect(sum.bounds == [0.0001, 0.00025])
        #expect(sum.counts == [1, 1, 1])
        #expect(sum.sum == 0.000501)
    }

    @Test func `histograms of two writers are added bucket by bucket`() {
        var one = HistogramReading(bounds: [1], counts: [2, 3], sum: 5)
        one.add(HistogramReading(bounds: [1], counts: [10, 20], sum: 0.5))
        #expect(one == HistogramReading(bounds: [1], counts: [12, 23], sum: 5.5))
    }
}
