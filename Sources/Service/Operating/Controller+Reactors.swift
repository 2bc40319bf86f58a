// SPDX-License-Identifier: Apache-2.0
import Admin
import Frontend
import Ledger
import Log

extension Controller {
    /// Moves live sockets from reactors that have more than others to those; nobody notices.
    func balanceReactors() -> AdminOutcome {
        if state.isLeaving { return Self.stopping }
        guard let balance = unlessUpgrading({ frontend.balanceReactors() }) else {
            return Self.underway
        }
        if balance.before.count < 2 {
            return AdminOutcome(
                isDone: false,
                message:
                    "There is one reactor, which has everything (`workers` sets how many there are)."
            )
        }
        let counts = balance.after.map { "\($0)" }.joined(separator: ", ")
        var message =
            balance.moved == 0
            ? "Nothing was moved: the reactors have \(counts) connections."
            : "\(Count.words(balance.moved, "live socket", one: "has", many: "have")) moved: the reactors have"
                + " \(counts) connections now."
        if balance.lost > 0 {
            message +=
                " \(Count.words(balance.lost, "socket", one: "was", many: "were")) lost, since the system had no"
                + " room to watch them."
        }
        log.write(LogEvent(balance.lost > 0 ? .error : .info, message))
        return AdminOutcome(isDone: balance.lost == 0, message: message)
    }
}
