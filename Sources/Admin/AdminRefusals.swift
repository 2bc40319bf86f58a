// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Says that somebody was refused who may not do what was asked for, a few times a minute at most.
final class AdminRefusals: Sendable {
    /// From one line to the next.
    static let paceMilliseconds: UInt64 = 10_000

    private struct State {
        var toldMilliseconds: UInt64?
        var untold = 0
    }

    private let state = Mutex(State())
    private let tell: @Sendable (String) -> Void

    /// `tell` gets a sentence for the log.
    init(_ tell: @escaping @Sendable (String) -> Void) { self.tell = tell }

    /// Takes note of a refusal.
    func note(_ refusal: AdminRefusal, at address: String, nowMilliseconds now: UInt64) {
        guard refusal.status == 401 || refusal.status == 403 else { return }
        let untold: Int? = state.withLock { state in
            if let told = state.toldMilliseconds, now < told + Self.paceMilliseconds {
                state.untold += 1
                return nil
            }
            defer { state = State(toldMilliseconds: now) }
            return state.untold
        }
        guard let untold else { return }
        let others = untold == 0 ? "" : " Since the last such line there were \(untold) more."
        tell(
            "A request at \(address) was refused with \(refusal.status): \(refusal.sentence)\(others)"
        )
    }
}
