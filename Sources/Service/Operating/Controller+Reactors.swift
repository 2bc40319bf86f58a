// SPDX-License-Identifier: Apache-2.0
import Admin
import Frontend
import Ledger
import Log
import Reactor
import Synchronization

extension Controller {
    /// Moves live sockets from reactors that have more than others to those; nobody notices.
    func balanceReactors() -> AdminOutcome {
        let outcome: Result<Frontend.ReactorBalance, SystemError>? = unlessUpgrading {
            // No reload and no end of all begins meanwhile.
            changing.withLock { _ in
                Result { () throws(SystemError) in try frontend.balanceReactors() }
            }
        }
        if state.isLeaving { return Self.stopping }
        let balance: Frontend.ReactorBalance
        switch outcome {
        case nil: return Self.underway
        case .failure(let error):
            return AdminOutcome(isDone: false, message: "Nothing was moved: \(error.description).")
        case .success(let done): balance = done
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
                " \(Count.words(balance.lost, "socket", one: "was", many: "were")) lost: the system had no room"
                + " to watch them, or a reactor has not answered."
        }
        log.write(LogEvent(balance.lost > 0 ? .error : .info, message))
        return AdminOutcome(isDone: balance.lost == 0, message: message)
    }
}
