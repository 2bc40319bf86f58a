// SPDX-License-Identifier: Apache-2.0
import Ledger
public import Metrics
import Reactor
import Router
import Splice
import Wire

extension Frontend {
    /// Adds what the reactors have counted, and what their relays are at present.
    ///
    /// Counters are read while the reactors go on counting; of live relays each reactor counts a piece in a turn.
    ///
    /// - Returns: whether every reactor has answered; otherwise much is missing.
    public func measure(into readings: inout MetricReadings) -> Bool {
        guard surveyLive(into: &readings) else { return false }
        defer { tendTallies() }
        let (routing, _, _) = served
        for (name, tally) in routing.tallies + gone.tallies {
            if let meters = tally.meters.all { add(meters, of: name, to: &readings) }
        }
        if let meters = crew.unrouted.meters.all { add(meters, of: "", to: &readings) }
        addConnections(to: &readings)
        for (index, meter) in crew.meters.enumerated() {
            readings.add(.reactorTurns, ["\(index)"], count: meter.turns.value(at: 0))
            add(meter.lag, .reactorLag, ["\(index)"], to: &readings)
            for (key, count) in meter.handshakes.counts {
                readings.add(.handshakes, CompletedHandshake.labels(key), count: count)
            }
            for (key, count) in meter.troubles.counts {
                readings.add(.handshakeFailures, [HandshakeTrouble.label(key)], count: count)
            }
        }
        return true
    }

    // MARK: Relays

    private func surveyLive(into readings: inout MetricReadings) -> Bool {
        readings.add(.heldBytes, count: 0)
        guard let answers = try? Mailbox<LiveSurvey>() else { return false }
        for (index, mailbox) in crew.mailboxes.enumerated() where !crew.loads[index].hasEnded {
            var next: LiveSurvey.Position? = .relays(from: 0)
            while let first = next {
                mailbox.post(.survey(from: first, answer: answers))
                guard answers.wait(milliseconds: 2_000), let survey = answers.take().first else {
                    return false
                }
                readings.add(.heldBytes, count: survey.heldBytes)
                for group in survey.groups { add(group, to: &readings) }
                for (plan, count) in survey.requests {
                    readings.add(.requestsInFlight, [plan.route.name], count: count)
                }
                next = survey.next
            }
        }
        return true
    }

    private func add(_ group: LiveSurvey.Group, to readings: inout MetricReadings) {
        let upstream = group.plan?.route.upstream?.picker.name ?? ""
        readings.add(
            .relays,
            [
                "\(group.listener.address)", group.plan?.route.name ?? "", upstream,
                group.isHTTP2 ? "h2" : "h1",
            ], count: group.count)
        if let endpoint = group.endpoint {
            readings.add(.endpointRelays, [upstream, endpoint.label], count: group.count)
        }
    }

    // MARK: Routes

    private func add(_ meters: RouteMeters, of name: String, to readings: inout MetricReadings) {
        // Those in progress were added before; where none is, this says so.
        for index in 0..<meters.count
        where !meters.meter(of: index).pointee.requestDurations.isEmpty {
            readings.add(.requestsInFlight, [name], count: 0)
        }
        addTraffic(meters, of: name, to: &readings)
        for index in 0..<meters.count {
            add(meters.meter(of: index).pointee, of: name, to: &readings)
        }
    }

    private func add(
        _ meter: borrowing RouteMeter, of name: String, to readings: inout MetricReadings
    ) {
        add(meter.closes, .relaysClosed, [name], RelayEnd.labels, to: &readings)
        add(meter.refusals, .upgradesRefused, [name], RefusedUpgrade.labels, to: &readings)
        add(meter.requests, .requests, [name], AnsweredRequest.labels, to: &readings)
        add(meter.limits, .limitHits, [name], { [MetLimit.label($0)] }, to: &readings)
        add(meter.relayDurations, .relayDuration, [name], to: &readings)
        add(meter.requestDurations, .requestDuration, [name], to: &readings)
        add(meter.upgradeTimes.tls, .upgradeDuration, [name, "tls"], to: &readings)
        add(meter.upgradeTimes.head, .upgradeDuration, [name, "head"], to: &readings)
        add(meter.upgradeTimes.queue, .upgradeDuration, [name, "queue"], to: &readings)
        add(meter.upgradeTimes.connect, .upgradeDuration, [name, "connect"], to: &readings)
        add(meter.upgradeTimes.answer, .upgradeDuration, [name, "answer"], to: &readings)
        add(meter.upgradeTimes.total, .upgradeDuration, [name, "total"], to: &readings)
        add(meter.traffic.clientRoundTrips, .pingRoundTrip, [name, "client"], to: &readings)
        add(meter.traffic.upstreamRoundTrips, .pingRoundTrip, [name, "upstream"], to: &readings)
        add(meter.traffic.up, [name, "up"], to: &readings)
        add(meter.traffic.down, [name, "down"], to: &readings)
    }

    /// Relays and what they have carried, of a route that has had any.
    private func addTraffic(
        _ meters: RouteMeters, of name: String, to readings: inout MetricReadings
    ) {
        let opened = meters.sum(.relaysOpened)
        // Of relays that the process before has opened, this one counts what they carry.
        if opened == 0 && meters.sum(.upFrames) == 0 && meters.sum(.downFrames) == 0 { return }
        readings.add(.relaysOpened, [name], count: opened)
        readings.add(.frames, [name, "up"], count: meters.sum(.upFrames))
        readings.add(.frames, [name, "down"], count: meters.sum(.downFrames))
        readings.add(.payloadBytes, [name, "up"], count: meters.sum(.upPayloadBytes))
        readings.add(.payloadBytes, [name, "down"], count: meters.sum(.downPayloadBytes))
    }

    /// Messages and control frames of one direction, by kind and size.
    private func add(
        _ tally: borrowing FrameTally, _ labels: [String], to readings: inout MetricReadings
    ) {
        for kind in FrameTally.Kind.allCases {
            let count = tally.count(of: kind)
            if count > 0 { readings.add(.messages, labels + ["\(kind)"], count: count) }
        }
        let sizes = tally.sizes
        if sizes.allSatisfy({ $0 == 0 }) { return }
        readings.add(
            .messageBytes, labels,
            HistogramReading(
                bounds: FrameTally.sizeBounds.map { Double($0) }, counts: sizes,
                sum: Double(tally.messageBytes)))
    }

    private func add(
        _ counter: borrowing KeyedCounter, _ family: MetricFamily, _ labels: [String],
        _ more: (UInt64) -> [String], to readings: inout MetricReadings
    ) {
        for (key, count) in counter.counts {
            readings.add(family, labels + more(key), count: count)
        }
    }

    private func add(
        _ counter: borrowing DurationCounter, _ family: MetricFamily, _ labels: [String],
        to readings: inout MetricReadings
    ) {
        if !counter.isEmpty { readings.add(family, labels, counter.reading) }
    }

    // MARK: Connections

    private func addConnections(to readings: inout MetricReadings) {
        let (_, present, listeners) = served
        var begun: [Int: UInt64] = [:]
        var ended: [Int: UInt64] = [:]
        var misaddressed: [UInt64: UInt64] = [:]
        for meter in crew.meters {
            // First those that have ended: of a connection that ends meanwhile both or only its begin are seen.
            for (key, count) in meter.disconnected.counts where key != KeyedCounter.other {
                ended[Int(key), default: 0] += count
            }
            for (key, count) in meter.connected.counts where key != KeyedCounter.other {
                begun[Int(key), default: 0] += count
            }
            for (key, count) in meter.misaddressed.counts where key != KeyedCounter.other {
                misaddressed[key, default: 0] += count
            }
        }
        // By address, since a listener that a reload brings back has another number.
        let bound = Set(present.compactMap { listeners[$0].map { "\($0)" } })
        for (number, address) in listeners {
            let total = begun[number] ?? 0
            let open = total - min(total, ended[number] ?? 0)
            // One that a reload has taken away is told of for as long as somebody is connected.
            guard bound.contains("\(address)") || open > 0 else { continue }
            readings.add(.connections, ["\(address)"], count: open)
            readings.add(.connectionsTotal, ["\(address)"], count: total)
        }
        for (key, count) in misaddressed {
            let (number, kind) = OtherProtocol.labels(key)
            guard let address = listeners[number], bound.contains("\(address)") else { continue }
            readings.add(.wrongProtocol, ["\(address)", kind], count: count)
        }
    }
}
