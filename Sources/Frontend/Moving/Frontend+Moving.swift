// SPDX-License-Identifier: Apache-2.0
import Ledger
public import Reactor
import Serialization
import Synchronization

extension Frontend {
    /// How many reactors there are.
    public var reactorCount: Int { crew.mailboxes.count }

    /// How long a reactor may take to begin, in milliseconds, before nothing is asked of it any more.
    private static let beginMilliseconds: Int32 = 5_000
    /// How long it may take for what it has begun: until then nobody knows what it has done.
    private static let doneMilliseconds: Int32 = 60_000

    /// Has a reactor give up relays, a piece in one of its turns.
    ///
    /// - Parameters:
    ///   - order: which.
    ///   - reactor: its index.
    ///   - first: the slot to begin with; 0, or what the piece before said.
    ///   - answers: where it answers.
    /// - Returns: the relays, which end with the value; nil where the reactor does not answer.
    public func moveOut(
        _ order: MoveOrder, of reactor: Int, from first: Int, _ answers: MoveAnswers
    ) -> MovedOut? {
        if crew.loads[reactor].hasEnded { return MovedOut() }
        let errand = Errand()
        crew.mailboxes[reactor].post(
            .moveOut(order, from: first, errand, answer: answers.movedOut))
        let isAnswered =
            answers.movedOut.wait(milliseconds: Self.beginMilliseconds)
            || !errand.withdraw() && answers.movedOut.wait(milliseconds: Self.doneMilliseconds)
        return isAnswered ? answers.movedOut.take().first : nil
    }

    /// Gives relays back to this process, which has given them up.
    ///
    /// - Parameters:
    ///   - relays: those that nobody has taken.
    ///   - wasRefused: whether another process has refused them: they are not given up again.
    ///   - answers: where reactors answer.
    /// - Returns: what became of each.
    public func takeBack(
        _ relays: [RelayInTransit], wasRefused: Bool = false, _ answers: MoveAnswers
    ) -> [TakeOver] {
        takeUp(Self.places(relays), relays, to: nil, wasRefused: wasRefused, answers)
    }

    /// Has the reactors take over relays of another process.
    ///
    /// - Returns: what became of each.
    public func takeOver(_ relays: [RelayInTransit], _ answers: MoveAnswers) -> [TakeOver] {
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
            }, relays, to: nil, answers)
    }

    private static func places(_ relays: [RelayInTransit]) -> [RelayDirectory.Found] {
        relays.map { relay in
            relay.place.map { .place($0) } ?? .refused("it is not of this process")
        }
    }

    /// Gives relays of this process to one of its reactors.
    func hand(
        _ relays: [RelayInTransit], to reactor: Int, _ answers: MoveAnswers
    ) -> [TakeOver] {
        takeUp(Self.places(relays), relays, to: reactor, answers)
    }

    /// Hands each to the reactor with the fewest connections, or all to one, and waits for all.
    private func takeUp(
        _ found: [RelayDirectory.Found], _ relays: [RelayInTransit], to only: Int?,
        wasRefused: Bool = false, _ answers: MoveAnswers
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
                parcels[reactor].append(
                    Parcel(
                        relay: relays[index], place: place, index: index, wasRefused: wasRefused))
            }
        }
        var awaited: [Int: (errand: Errand, parcels: [Parcel])] = [:]
        for (reactor, parcels) in parcels.enumerated() where !parcels.isEmpty {
            let errand = Errand()
            awaited[reactor] = (errand, parcels)
            crew.mailboxes[reactor].post(
                .takeOver(parcels, by: reactor, errand, answer: answers.taken))
        }
        func take(within milliseconds: Int32) {
            while !awaited.isEmpty, answers.taken.wait(milliseconds: milliseconds) {
                for (reactor, taken) in answers.taken.take() {
                    awaited[reactor] = nil
                    for (index, outcome) in taken { outcomes[index] = outcome }
                }
            }
        }
        take(within: Self.beginMilliseconds)
        for (reactor, waiting) in awaited where waiting.errand.withdraw() {
            awaited[reactor] = nil
            for parcel in waiting.parcels {
                outcomes[parcel.index] = .refused("its reactor does not answer")
            }
        }
        take(within: Self.doneMilliseconds)
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
    ///
    /// - Throws: `SystemError` where no descriptor is left to ask the reactors by.
    public func balanceReactors() throws(SystemError) -> ReactorBalance {
        let answers = try MoveAnswers()
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
                let order = MoveOrder(relaysMax: most)
                position = crew.handing.withLock { _ -> Int? in
                    guard let out = moveOut(order, of: index, from: first, answers) else {
                        return nil
                    }
                    hand(out.relays, to: receiver, &balance, answers)
                    return out.next
                }
            }
        }
        balance.after = indices.map { crew.loads[$0].count }
        return balance
    }

    /// Gives relays of this process to one of its reactors; to any, where that one does not take them.
    private func hand(
        _ relays: [RelayInTransit], to reactor: Int, _ balance: inout ReactorBalance,
        _ answers: MoveAnswers
    ) {
        let outcomes = hand(relays, to: reactor, answers)
        var refused: [RelayInTransit] = []
        for (relay, outcome) in zip(relays, outcomes) {
            switch outcome {
            case .taken: balance.moved += 1
            case .refused: refused.append(relay)
            case .lost: balance.lost += 1
            }
        }
        balance.lost += takeBack(refused, answers).count { $0 != .taken }
    }
}

/// A relay with its place, on its way to a reactor.
struct Parcel: Sendable {
    let relay: RelayInTransit
    let place: RelayPlace
    /// Its place in the list of who sent it.
    let index: Int
    /// Whether it comes back, since the process to which it was to move has refused it.
    var wasRefused = false
}
