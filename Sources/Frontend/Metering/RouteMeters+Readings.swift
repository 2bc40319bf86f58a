// SPDX-License-Identifier: Apache-2.0
import Ledger
import Metrics
import Splice
import Wire

extension RouteMeters {
    private static let sizes = HistogramLimits(FrameTally.sizeBounds.map { Double($0) })

    /// Adds what all reactors have counted of the route of this name.
    ///
    /// They are summed here: readings have each series of a route once, and need not look for it.
    func add(to readings: inout MetricReadings, as name: String) {
        addRelays(to: &readings, as: name)
        addRequests(to: &readings, as: name)
        addKeyed(.limitHits, name, { [MetLimit.label($0)] }, to: &readings) { $0.limits.counts }
        addKeyed(.accessRefused, name, { [AccessRule.label($0)] }, to: &readings) {
            $0.denials.counts
        }
        addFaults(to: &readings, as: name)
    }

    private func addFaults(to readings: inout MetricReadings, as name: String) {
        for kind in FaultKind.allCases {
            var sum: UInt64 = 0
            for index in 0..<count {
                sum &+= meter(of: index).pointee.traffic.faults.value(at: Int(kind.rawValue))
            }
            if sum > 0 { readings.append(.faults, [name, kind.word], count: sum) }
        }
    }

    private func addRelays(to readings: inout MetricReadings, as name: String) {
        addKeyed(.upgradesRefused, name, RefusedUpgrade.labels, to: &readings) {
            $0.refusals.counts
        }
        let opened = sum(.relaysOpened)
        // Without a relay nothing of this happens.
        // Of relays that the process before has opened, this one counts what they carry.
        if opened == 0 && sum(.upFrames) == 0 && sum(.downFrames) == 0 { return }
        readings.append(.relaysOpened, [name], count: opened)
        readings.append(.frames, [name, "up"], count: sum(.upFrames))
        readings.append(.frames, [name, "down"], count: sum(.downFrames))
        readings.append(.payloadBytes, [name, "up"], count: sum(.upPayloadBytes))
        readings.append(.payloadBytes, [name, "down"], count: sum(.downPayloadBytes))
        addKeyed(.relaysClosed, name, RelayEnd.labels, to: &readings) { $0.closes.counts }
        addMessages([name, "up"], to: &readings) { $0.traffic.up.add(to: &$1) }
        addMessages([name, "down"], to: &readings) { $0.traffic.down.add(to: &$1) }
        addUpgradeTimes(to: &readings, as: name)
        addDurations(.relayDuration, [name], to: &readings) { $0.relayDurations.add(to: &$1) }
        addDurations(.pingRoundTrip, [name, "client"], to: &readings) {
            $0.traffic.clientRoundTrips.add(to: &$1)
        }
        addDurations(.pingRoundTrip, [name, "upstream"], to: &readings) {
            $0.traffic.upstreamRoundTrips.add(to: &$1)
        }
    }

    private func addUpgradeTimes(to readings: inout MetricReadings, as name: String) {
        func add(
            _ phase: String, _ each: (borrowing UpgradeTimes, inout HistogramReading?) -> Void
        ) {
            addDurations(.upgradeDuration, [name, phase], to: &readings) {
                each($0.upgradeTimes, &$1)
            }
        }
        add("tls") { $0.tls.add(to: &$1) }
        add("head") { $0.head.add(to: &$1) }
        add("queue") { $0.queue.add(to: &$1) }
        add("connect") { $0.connect.add(to: &$1) }
        add("answer") { $0.answer.add(to: &$1) }
        add("total") { $0.total.add(to: &$1) }
    }

    private func addRequests(to readings: inout MetricReadings, as name: String) {
        addKeyed(.requests, name, AnsweredRequest.labels, to: &readings) { $0.requests.counts }
        let hasAny = addDurations(.requestDuration, [name], to: &readings) {
            $0.requestDurations.add(to: &$1)
        }
        // Those in progress were added before; where none is, this says so.
        if hasAny { readings.add(.requestsInFlight, [name], count: 0) }
    }

    /// Messages and control frames of one direction, by kind and size.
    private func addMessages(
        _ labels: [String], to readings: inout MetricReadings,
        _ each: (borrowing RouteMeter, inout TallyReading) -> Void
    ) {
        var all = TallyReading()
        for index in 0..<count { each(meter(of: index).pointee, &all) }
        for (kind, count) in zip(FrameTally.Kind.allCases, all.kinds) where count > 0 {
            readings.append(.messages, labels + [kind.word], count: count)
        }
        var sizes = HistogramReading(Self.sizes)
        sizes.add(Self.sizes, sum: Double(all.bytes)) { all.sizes[$0] }
        if !sizes.isEmpty { readings.append(.messageBytes, labels, sizes) }
    }

    /// Adds what is counted under keys, of which each stands for labels of its own.
    private func addKeyed(
        _ family: MetricFamily, _ name: String, _ labels: (UInt64) -> [String],
        to readings: inout MetricReadings,
        _ each: (borrowing RouteMeter) -> [(key: UInt64, count: UInt64)]
    ) {
        var sums: [UInt64: UInt64] = [:]
        for index in 0..<count {
            for (key, count) in each(meter(of: index).pointee) { sums[key, default: 0] += count }
        }
        for (key, count) in sums.sorted(by: { $0.key < $1.key }) {
            readings.append(family, [name] + labels(key), count: count)
        }
    }

    /// Adds durations if there are any; whether there are.
    @discardableResult
    private func addDurations(
        _ family: MetricFamily, _ labels: [String], to readings: inout MetricReadings,
        _ each: (borrowing RouteMeter, inout HistogramReading?) -> Void
    ) -> Bool {
        var all: HistogramReading?
        for index in 0..<count { each(meter(of: index).pointee, &all) }
        guard let all else { return false }
        readings.append(family, labels, all)
        return true
    }
}

/// What the tallies of one direction come to.
private struct TallyReading {
    /// In the order of `FrameTally.Kind.allCases`.
    var kinds = [UInt64](repeating: 0, count: FrameTally.Kind.allCases.count)
    var sizes = [UInt64](repeating: 0, count: FrameTally.sizeBounds.count + 1)
    var bytes: UInt64 = 0
}

extension FrameTally {
    fileprivate func add(to reading: inout TallyReading) {
        for (index, kind) in Kind.allCases.enumerated() { reading.kinds[index] &+= count(of: kind) }
        for index in reading.sizes.indices { reading.sizes[index] &+= size(index) }
        reading.bytes &+= messageBytes
    }
}

extension FrameTally.Kind {
    fileprivate var word: String {
        switch self {
        case .text: "text"
        case .binary: "binary"
        case .close: "close"
        case .ping: "ping"
        case .pong: "pong"
        }
    }
}

extension DurationCounter {
    /// Adds what was counted, if anything was.
    fileprivate func add(to reading: inout HistogramReading?) {
        if isEmpty { return }
        if reading == nil { reading = self.reading } else { reading?.add(self) }
    }
}
