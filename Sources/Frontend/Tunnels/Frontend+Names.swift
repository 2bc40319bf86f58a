// SPDX-License-Identifier: Apache-2.0
public import Ledger
import Reactor
import Synchronization

extension Frontend {
    /// What has become of something that was asked of one relay.
    public enum Reached<Outcome: Sendable>: Sendable {
        /// It was asked.
        case asked(Outcome)
        /// There is no such relay.
        case nowhere
        /// A reactor that may have it did not answer in time.
        case silent
        /// It is not here, and may be on its way from one process to another.
        case moving
    }

    private enum Found {
        case here(RelayID)
        case nowhere
        case silent
    }

    /// Asks something of a relay, wherever it is.
    ///
    /// One that has a name may go to another reactor just now. So it is looked for once more while none moves.
    ///
    /// - Parameters:
    ///   - relay: which.
    ///   - ask: asks the relay of an ID; nil where there is none of it.
    /// - Returns: what it was answered.
    public func reach<Outcome: Sendable>(
        _ relay: RelayReference, _ ask: (RelayID) -> Outcome?
    ) -> Reached<Outcome> {
        switch relay {
        case .id(let id): return ask(id).map(Reached.asked) ?? .nowhere
        case .name(let name):
            let first = look(for: name, ask)
            if case .nowhere = first {
                return crew.handing.withLock { _ in look(for: name, ask) }
            }
            return first
        }
    }

    private func look<Outcome: Sendable>(
        for name: RelayName, _ ask: (RelayID) -> Outcome?
    ) -> Reached<Outcome> {
        switch find(name) {
        case .here(let id): ask(id).map(Reached.asked) ?? .nowhere
        case .nowhere: .nowhere
        case .silent: .silent
        }
    }

    /// Asks all reactors side by side.
    private func find(_ name: RelayName) -> Found {
        guard let answers = try? Mailbox<RelayID?>() else { return .silent }
        var awaited = 0
        for (index, mailbox) in crew.mailboxes.enumerated() where !crew.loads[index].hasEnded {
            mailbox.post(.find(name, answer: answers))
            awaited += 1
        }
        while awaited > 0 {
            guard answers.wait(milliseconds: 2_000) else { return .silent }
            for answer in answers.take() {
                if let answer { return .here(answer) }
                awaited -= 1
            }
        }
        return .nowhere
    }
}
