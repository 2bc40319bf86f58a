// SPDX-License-Identifier: Apache-2.0
import Access
import Admin
import Foundation
import Frontend
import Ledger
import Log
import Metrics
import Reactor
import Router
import Synchronization
import Traces

/// Answers a scrape: gathers what all parts of the process have counted, and writes it down.
struct MetricsDesk {
    let controller: Controller

    /// The answer in the form that the request asks for.
    ///
    /// It is made on the control thread, one scrape after the other: it takes memory for every series.
    func answer(_ request: AdminRequest) -> AdminAnswer {
        let form = Exposition(accept: request.accept)
        return onControlThread { $0.made(form) }
    }

    private func onControlThread(
        _ make: @escaping @Sendable (MetricsDesk) -> AdminAnswer
    ) -> AdminAnswer {
        let controller = controller
        do throws(SystemError) {
            return try controller.thread.perform { make(MetricsDesk(controller: controller)) }
        } catch {
            return AdminAnswer(status: 503, text: error.description)
        }
    }

    private func kept(_ form: Exposition) -> AdminAnswer? {
        controller.scrapes.withLock { $0.answer(form, nowMilliseconds: Clock.nowMilliseconds()) }
    }

    private func made(_ form: Exposition) -> AdminAnswer {
        guard let readings = readings() else {
            return AdminAnswer(status: 503, text: "a reactor does not turn")
        }
        return AdminAnswer(
            type: form.contentType, body: Data(form.bytes(of: readings, MetricFamily.all)))
    }

    /// The answer at an address that has nothing else, and that others than the operator may reach: who asks often
    /// gets what was made a moment ago.
    func answerAlone(_ request: AdminRequest) -> AdminAnswer {
        guard request.path == ["metrics"] else {
            return AdminAnswer(status: 404, text: "There is nothing here but GET /metrics.")
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            return AdminAnswer(status: 405, text: "Metrics are read with GET.")
        }
        let form = Exposition(accept: request.accept)
        let isOneOfMany = controller.scrapes.withLock {
            $0.begin(nowMilliseconds: Clock.nowMilliseconds())
        }
        if isOneOfMany, let known = kept(form) { return known }
        return onControlThread { desk in
            // Another one may have been made while this one waited.
            if isOneOfMany, let known = desk.kept(form) { return known }
            let begin = Clock.nowMilliseconds()
            let answer = desk.made(form)
            desk.controller.scrapes.withLock {
                $0.keep(
                    answer, form, begunMilliseconds: begin,
                    nowMilliseconds: Clock.nowMilliseconds())
            }
            return answer
        }
    }

    /// What all have counted; nil where a reactor does not answer.
    func readings() -> MetricReadings? {
        var readings = MetricReadings()
        guard controller.frontend.measure(into: &readings) else { return nil }
        addUpstreams(to: &readings)
        addConfiguration(to: &readings)
        let lost = controller.log.droppedCount + controller.log.unwrittenCount
        readings.add(.logLinesLost, count: lost)
        Self.add(controller.traces, to: &readings)
        addKeys(to: &readings)
        readings.add(.buildInfo, [controller.version], value: 1)
        readings.add(.startTime, value: Double(controller.startedMilliseconds) / 1_000)
        ProcessReadings().add(to: &readings)
        return readings
    }

    /// Adds what became of spans; nothing where there was never a collector.
    private static func add(_ traces: TraceExporter, to readings: inout MetricReadings) {
        guard traces.isInUse else { return }
        readings.add(.spansExported, count: traces.exportedCount)
        for loss in SpanLoss.allCases {
            readings.add(.spansDropped, [loss.label], count: traces.droppedCount(loss))
        }
    }

    /// Adds how the keys of issuers do, where they are fetched.
    private func addKeys(to readings: inout MetricReadings) {
        for (name, keyring) in controller.state.assembly.tokens.fetched {
            let report = keyring.report
            readings.append(.keyRefreshes, [name, "success"], count: report.refreshed)
            readings.append(.keyRefreshes, [name, "failure"], count: report.failed)
            readings.append(.issuerKeys, [name], count: keyring.keys?.count ?? 0)
            if report.takenMilliseconds > 0 {
                readings.add(.keyTime, [name], value: Double(report.takenMilliseconds) / 1_000)
            }
        }
    }

    private func addUpstreams(to readings: inout MetricReadings) {
        // Routes that name the same endpoint each have an upstream of its name, and share the endpoint.
        var told: Set<[String]> = []
        for group in controller.state.assembly.routing.upstreams {
            let name = group.picker.name
            readings.add(.queueWaiting, [name], count: group.queue?.count ?? 0)
            for (index, endpoint) in group.endpoints.enumerated() {
                let labels = [name, endpoint.label]
                guard told.insert(labels).inserted else { continue }
                let word = AdminDesk.word(group, index)
                let isUp = word == .ok || word == .draining || word == .unchecked
                readings.append(.endpointUp, labels, count: isUp ? 1 : 0)
                readings.append(.endpointDraining, labels, count: word == .draining ? 1 : 0)
                readings.add(.endpointRelays, labels, count: 0)
                readings.append(.endpointFailures, labels, count: endpoint.failureCount)
                readings.append(.endpointEjections, labels, count: endpoint.ejectionCount)
            }
        }
    }

    private func addConfiguration(to readings: inout MetricReadings) {
        let state = controller.state
        // The first one was taken up at the start.
        readings.add(.reloads, ["success"], count: state.generation - 1)
        readings.add(.reloads, ["failure"], count: state.failedReloads)
        readings.add(.lastReloadSuccess, value: state.lastProblem == nil ? 1 : 0)
        readings.add(.lastReloadTime, value: Double(state.loadedMilliseconds) / 1_000)
        for (ends, address) in zip(state.assembly.certificateEnds, controller.frontend.addresses) {
            for end in ends {
                readings.add(.certificateEnd, ["\(address)", end.name], value: Double(end.seconds))
            }
        }
    }
}
