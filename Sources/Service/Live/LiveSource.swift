// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import Frontend
import Ledger
import Reactor
import Synchronization

/// Looks at what a running Sluice does, for `GET /live` and for dashboards.
struct LiveSource: Sendable {
    /// Why there is nothing to say.
    static let silence = "a reactor does not turn"

    let controller: Controller

    /// What there is at this moment, once for each query: all of them see the same moment.
    ///
    /// It is made on the control thread, one look after the other. Each reactor counts its relays a piece at a time.
    ///
    /// - Returns: nil where a reactor does not answer.
    func states(for queries: [LiveQuery]) -> [LiveState]? {
        let source = self
        return try? controller.thread.perform { source.look(queries) }
    }

    /// The same as JSON without line breaks.
    func texts(for queries: [LiveQuery]) -> [Data]? {
        let source = self
        return try? controller.thread.perform {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.withoutEscapingSlashes]
            return source.look(queries)?.compactMap { try? encoder.encode($0) }
        }
    }

    private func look(_ queries: [LiveQuery]) -> [LiveState]? {
        guard let readings = MetricsDesk(controller: controller).readings() else { return nil }
        let relays = controller.frontend.relays(
            RelayFilter(), countMax: FrontendSettings.connectionsUnlimited)
        let now = Clock.nowMilliseconds()
        let before = controller.liveMarks.withLock { $0.look(at: relays, nowMilliseconds: now) }
        var table = LiveTable(relays, since: before, nowMilliseconds: now)
        var state = LiveSummary(controller: controller, readings: readings).state()
        state.timeMilliseconds = Clock.wallMilliseconds()
        state.clockMilliseconds = now
        state.rateSeconds = table.rateSeconds
        (state.clients, state.clientCount) = table.clients(countMax: LiveQuery.clientsMax)
        return queries.map { query in
            var one = state
            (one.relays, one.relaysMatching) = table.relays(query)
            return one
        }
    }
}
