// SPDX-License-Identifier: Apache-2.0
import Ledger
import Reactor
import Serialization

extension Frontend {
    /// How many reactors there are.
    public var reactorCount: Int { crew.mailboxes.count }

    /// Has a reactor give up relays, a piece in one of its turns.
    ///
    /// - Parameters:
    ///   - order: which.
    ///   - reactor: its index.
    ///   - first: the slot to begin with; 0, or what the piece before said.
    /// - Returns: the relays, which end with the value; nil where the reactor does not answer.
    public func moveOut(_ order: MoveOrder, of reactor: Int, from first: Int) -> MovedOut? {
        if crew.loads[reactor].hasEnded { return MovedOut() }
        guard let answers = try? Mailbox<MovedOut>() else { return nil }
        crew.mailboxes[reactor].post(.moveOut(order, from: first, answer: answers))
        guard answers.wait(milliseconds: 5_000) else { return nil }
        return answers.take().first
    }

    /// Gives relays back to the reactors that they came from, or to others of this process.
    ///
    /// - Returns: what became of each.
    public func takeBack(_ relays: [RelayInTransit]) -> [TakeOver] {
        takeUp(
            relays.map { relay in
                relay.place.map { .place($0) } ?? .refused("it is not of this process")
            }, relays, to: nil)
    }

    /// Has the reactors take over relays of another process.
    ///
    /// - Returns: what became of each.
    public func takeOver(_ relays: [RelayInTransit]) -> [TakeOver] {
        let directory = self.directory
        return takeUp(
            relays.map { relay in
                relay.withImage { bytes in
                    do throws(FieldFault) {
                        var reader = try FieldReader(bytes)
                        return directory.find(try RelayImage(&reader))
                    } catch {
                        return .refused("\(error)")
                    }
                }
            }, relays, to: nil)
    }

    /// Gives relays of this process to one of its reactors.
    func hand(_ relays: [RelayInTransit], to reactor: Int) -> [TakeOver] {
        takeUp(
            relays.map { relay in
                relay.place.map { .place($0) } ?? .refused("it is not of this process")
            }, relays, to: reactor)
    }

    /// Hands each to the reactor with the fewest connections, or all to one, and waits for all.
    private func takeUp(
        _ found: [RelayDirectory.Found], _ relays: [RelayInTransit], to only: Int?
    ) -> [TakeOver] {
        var outcomes = [TakeOver](
            repeating: .lost("its reactor has not answered"), count: relays.count)
        var parcels = [[Parcel]](repeating: [], count: reactorCount)
        for index in relays.indices {
            switch found[index] {
            case .refused(let reason): outcomes[index] = .refused(reason)
            case .place(let place):
                let reactor = only ?? leastLoaded(with: parcels)
                guard let reactor else {
                    outcomes[index] = .refused("no reactor turns any more")
                    continue
                }
                parcels[reactor].append(Parcel(relay: relays[index], place: place, index: index))
            }
        }
        guard let answers = try? Mailbox<[(index: Int, outcome: TakeOver)]>() else {
            for parcel in parcels.joined() {
                outcomes[parcel.index] = .refused("no descriptor is left for a channel")
            }
            return outcomes
        }
        var awaited = 0
        for (reactor, parcels) in parcels.enumerated() where !parcels.isEmpty {
            awaited += parcels.count
            crew.mailboxes[reactor].post(.takeOver(parcels, answer: answers))
        }
        while awaited > 0, answers.wait(milliseconds: 10_000) {
            for (index, outcome) in answers.take().joined() {
                outcomes[index] = outcome
                awaited -= 1
            }
        }
        return outcomes
    }

    private func leastLoaded(with parcels: [[Parcel]]) -> Int? {
        var best: Int?
        var fewest = Int.max
        for index in parcels.indices where !crew.loads[index].hasEnded {
            let count = crew.loads[index].count + parcels[index].count
            if count < fewest {
                best = index
                fewest = count
            }
        }
        return best
    }

    /// Accepts no connections for a while: another process does.
    public func pauseListening(forMilliseconds milliseconds: UInt64) {
        let end = Clock.nowMilliseconds() + milliseconds
        ask { .pauseListening(untilMilliseconds: end, done: $0) }
    }

    /// Accepts connections again.
    public func resumeListening() { pauseListening(forMilliseconds: 0) }

    // MARK: Between reactors

    /// What moving relays between reactors has done.
    public struct ReactorBalance: Sendable, Equatable {
        /// Connections of each reactor before.
        public var before: [Int] = []
        /// And behind.
        public var after: [Int] = []
        /// Relays that have another reactor now.
        public var moved = 0
        /// Relays that were lost.
        public var lost = 0
    }

    /// Moves relays from reactors that have more connections than others to those, until all have about as many.
    ///
    /// Clients notice nothing: each relay goes on where it stood. Streams of HTTP/2 stay with their connection.
    public func balanceReactors() -> ReactorBalance {
        let indices = crew.loads.indices.filter { !crew.loads[$0].hasEnded }
        var balance = ReactorBalance()
        balance.before = indices.map { crew.loads[$0].count }
        let even = balance.before.reduce(0, +) / max(1, indices.count)
        for index in indices {
            var position: Int? = 0
            while let first = position {
                let surplus = crew.loads[index].count - even
                guard surplus > 0,
                    let receiver = indices.min(by: {
                        crew.loads[$0].count < crew.loads[$1].count
                    }), receiver != index, crew.loads[receiver].count < even
                else { break }
                let most = min(surplus, even - crew.loads[receiver].count)
                guard
                    let out = moveOut(MoveOrder(relaysMax: most), of: index, from: first)
                else { break }
                for outcome in hand(out.relays, to: receiver) {
                    if outcome == .taken { balance.moved += 1 } else { balance.lost += 1 }
                }
                position = out.next
            }
        }
        balance.after = indices.map { crew.loads[$0].count }
        return balance
    }
}

/// A relay with its place, on its way to a reactor.
struct Parcel: Sendable {
    let relay: RelayInTransit
    let place: RelayPlace
    /// Its place in the list of who sent it.
    let index: Int
}
