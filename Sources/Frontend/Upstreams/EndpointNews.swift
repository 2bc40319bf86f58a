// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Router

/// What an operator is told when an endpoint fails and when it is back: once each.
extension EndpointGroup {
    /// Says that an endpoint could not be reached.
    func failed(
        _ endpoint: Int, _ reason: String, nowMilliseconds now: UInt64, _ journal: Journal
    ) {
        endpoints[endpoint].countFailure()
        let time = picker.failed(endpoint, nowMilliseconds: now)
        note(endpoint, reason)
        if let time { tell(endpoint, reason, time, journal) }
    }

    /// Says that an upgrade had no answer, or one of a server in trouble.
    func answerFailed(
        _ endpoint: Int, _ reason: String, nowMilliseconds now: UInt64, _ journal: Journal
    ) {
        endpoints[endpoint].countFailure()
        let time = picker.answerFailed(endpoint, nowMilliseconds: now)
        let count = picker.rules.failedAnswersMax
        let sentence = "\(count) upgrades in a row failed, at last so: \(reason)"
        if let time { tell(endpoint, sentence, time, journal) }
        if endpoints[endpoint].load.isFailing { note(endpoint, sentence) }
    }

    /// Says that a connection to an endpoint stands.
    func succeeded(_ endpoint: Int, nowMilliseconds now: UInt64, _ journal: Journal) {
        if picker.succeeded(endpoint, nowMilliseconds: now) { tellIsBack(endpoint, journal) }
    }

    /// Says that an endpoint has answered.
    func answered(_ endpoint: Int, nowMilliseconds now: UInt64, _ journal: Journal) {
        if picker.answered(endpoint, nowMilliseconds: now) { tellIsBack(endpoint, journal) }
    }

    /// Says once of an endpoint that a 101 of its chooses a subprotocol that the client must not get.
    func remark(_ endpoint: Int, _ remark: String, _ journal: Journal) {
        guard endpoints[endpoint].takeSubprotocolRemark() else { return }
        let sentence =
            "\(title(endpoint)) grants a subprotocol that can't be passed on: \(remark). The socket opens without one, "
            + "and a strict client that wants one closes it. Let the app choose one of those offered, in the same case, or none."
        journal.event(LogEvent(.warning, sentence))
    }

    /// Keeps the reason for who asks later.
    private func note(_ endpoint: Int, _ reason: String) {
        endpoints[endpoint].load.lastFailure = EndpointFailure(
            reason: reason, milliseconds: Clock.wallMilliseconds())
    }

    private func tell(_ endpoint: Int, _ reason: String, _ time: UInt64, _ journal: Journal) {
        endpoints[endpoint].countEjection()
        let length = time % 1_000 == 0 ? "\(time / 1_000) s" : "\(time) ms"
        let rest =
            endpoints.count > 1
            ? " It is passed over for \(length), and for longer each time it fails again." : ""
        journal.event(LogEvent(.warning, "\(title(endpoint)) fails: \(reason)\(rest)"))
    }

    private func tellIsBack(_ endpoint: Int, _ journal: Journal) {
        journal.event(LogEvent(.info, "\(title(endpoint)) is back."))
    }

    /// An endpoint as messages name it.
    func title(_ endpoint: Int) -> String { endpoints[endpoint].title(of: picker.name) }
}
