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
        var captured: [CapturedRelays: Int] = [:]
        guard surveyLive(into: &readings, &captured) else { return false }
        defer { tendTallies() }
        let (routing, _, _) = served
        addCaptures(of: routing, live: captured, to: &readings)
        for (name, tally) in routing.tallies {
            if let meters = tally.meters.all { meters.add(to: &readings, as: name) }
        }
        crew.unrouted.meters.all?.add(to: &readings, as: "")
        addConnections(to: &readings)
        for (index, meter) in crew.meters.enumerated() {
            readings.append(.reactorTurns, ["\(index)"], count: meter.turns.value(at: 0))
            if !meter.lag.isEmpty { readings.append(.reactorLag, ["\(index)"], meter.lag.reading) }
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

    /// Asks all reactors side by side; each looks at its relays a piece at a time, and answers for each piece.
    private func surveyLive(
        into readings: inout MetricReadings, _ captured: inout [CapturedRelays: Int]
    ) -> Bool {
        readings.add(.heldBytes, count: 0)
        guard let answers = try? Mailbox<LiveSurvey>() else { return false }
        var awaited = 0
        for (index, mailbox) in crew.mailboxes.enumerated() where !crew.loads[index].hasEnded {
            mailbox.post(.survey(from: .relays(from: 0), answer: answers))
            awaited += 1
        }
        while awaited > 0 {
            guard answers.wait(milliseconds: 2_000) else { return false }
            for survey in answers.take() {
                if survey.isLast { awaited -= 1 }
                add(survey, to: &readings)
                captured.merge(survey.captured) { $0 + $1 }
            }
        }
        return true
    }

    private func add(_ survey: LiveSurvey, to readings: inout MetricReadings) {
        readings.add(.heldBytes, count: survey.heldBytes)
        for (group, count) in survey.relays { add(group, count, to: &readings) }
        for (route, count) in survey.requests {
            readings.add(.requestsInFlight, [route.plan.route.name], count: count)
        }
    }

    private func add(
        _ group: LiveSurvey.Group, _ count: Int, to readings: inout MetricReadings
    ) {
        let upstream = group.plan?.route.upstream?.picker.name ?? ""
        readings.add(
            .relays,
            [
                "\(group.listener.address)", group.plan?.route.name ?? "", upstream,
                group.isHTTP2 ? "h2" : "h1",
            ], count: count)
        if let endpoint = group.endpoint {
            readings.add(.endpointRelays, [upstream, endpoint.label], count: count)
        }
    }

    /// Adds what is counted by the values of segments.
    private func addCaptures(
        of routing: Routing, live: [CapturedRelays: Int], to readings: inout MetricReadings
    ) {
        func add(_ counter: CaptureCounter, _ capture: String, of route: String) {
            let identity = ObjectIdentifier(counter)
            for (place, (value, counts)) in counter.all {
                let labels = [route, capture, value]
                if counts.relaysOpened > 0 {
                    readings.append(.captureRelaysOpened, labels, count: counts.relaysOpened)
                }
                if counts.requests > 0 {
                    readings.append(.captureRequests, labels, count: counts.requests)
                }
                if let count = live[CapturedRelays(counter: identity, place: place)] {
                    readings.append(.captureRelays, labels, count: count)
                }
            }
        }
        for plan in routing.plans {
            for capture in plan.captures ?? [] {
                add(capture.counter, capture.name, of: plan.route.name)
            }
        }
        for (name, tally) in routing.departedTallies {
            for (capture, counter) in tally.captureCounters.sorted(by: { $0.key < $1.key }) {
                add(counter, capture, of: name)
            }
        }
    }

    // MARK: Connections

    private func addConnections(to readings: inout MetricReadings) {
        let (_, present, listeners) = served
        var begun: [Int: UInt64] = [:]
        var arrived: [Int: UInt64] = [:]
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
            for (key, count) in meter.arrived.counts where key != KeyedCounter.other {
                arrived[Int(key), default: 0] += count
            }
            for (key, count) in meter.misaddressed.counts where key != KeyedCounter.other {
                misaddressed[key, default: 0] += count
            }
        }
        // By address, since a listener that a reload brings back has another number.
        let bound = Set(present.compactMap { listeners[$0].map { "\($0)" } })
        for (number, address) in listeners {
            let total = begun[number] ?? 0
            let here = total + (arrived[number] ?? 0)
            let open = here - min(here, ended[number] ?? 0)
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
