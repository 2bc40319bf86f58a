// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import Frontend
import Ledger
import Log
import Metrics
import Reactor
import Router
import Traces

/// Answers a scrape: gathers what all parts of the process have counted, and writes it down.
struct MetricsDesk {
    let controller: Controller

    /// The answer in the form that the request asks for.
    ///
    /// It is made on the control thread, one scrape after the other: it takes memory for every series.
    func answer(_ request: AdminRequest) -> AdminAnswer {
        let form = Exposition(accept: request.accept)
        let controller = controller
        do throws(SystemError) {
            return try controller.thread.perform {
                guard let readings = MetricsDesk(controller: controller).readings() else {
                    return AdminAnswer(status: 503, text: "a reactor does not turn")
                }
                return AdminAnswer(
                    type: form.contentType, body: Data(form.bytes(of: readings, MetricFamily.all)))
            }
        } catch {
            return AdminAnswer(status: 503, text: error.description)
        }
    }

    /// The answer at an address that has nothing else.
    func answerAlone(_ request: AdminRequest) -> AdminAnswer {
        guard request.path == ["metrics"] else {
            return AdminAnswer(status: 404, text: "There is nothing here but GET /metrics.")
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            return AdminAnswer(status: 405, text: "Metrics are read with GET.")
        }
        return answer(request)
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

    private func addUpstreams(to readings: inout MetricReadings) {
        // Routes that name the same endpoint each have an upstream of its name, and share the endpoint.
        var told: Set<[String]> = []
        for group in controller.state.assembly.routing.upstreams {
            let name = group.picker.name
            readings.add(.queueWaiting, [name], count: group.queue?.count ?? 0)
            for (index, endpoint) in group.endpoints.enumerated() {
                let labels = [name, endpoint.label]
                guard told.insert(labels).inserted else { continue }
                let isUp = AdminDesk.word(group, index) == .ok
                readings.append(.endpointUp, labels, count: isUp ? 1 : 0)
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
