// SPDX-License-Identifier: Apache-2.0
import Admin
import Config
import Frontend
import Glibc
import Ledger
import Log
import Reactor
import Synchronization

/// How an upgrade is to be done.
struct UpgradePlan {
    /// How long the new process may take to serve.
    var timeoutMilliseconds = AdminDefaults.upgradeMilliseconds
    /// How long live sockets are waited for that can't move at once.
    var settleMilliseconds = AdminDefaults.settleMilliseconds
    /// Whether live sockets go to the new process; else all are told to go.
    var movesRelays = true
}

extension Controller {
    /// Sets what a successor takes over beside the listeners, and what is stopped when it has.
    func hand(over admin: AdminServers) { admins.withLock { $0 = admin } }

    /// What is drained is the new process's too, so nothing of it changes while that one starts.
    static let underway = AdminOutcome(
        isDone: false,
        message: "An upgrade is under way, and its new process would not know of it: ask again when"
            + " that one has taken over.")

    /// Asks something of a relay, wherever in this process it is.
    ///
    /// It goes from reactor to reactor, and with its name from process to process. So one that is not here may be on its
    /// way, in either process, until that is over.
    func reach<Outcome: Sendable>(
        _ relay: RelayReference, _ ask: (RelayID) -> Outcome?
    ) -> Frontend.Reached<Outcome> {
        // Looked at first: what has arrived before an upgrade is over is found.
        let isMoving = relaysMove
        let reached = frontend.reach(relay, ask)
        if case .nowhere = reached, isMoving { return .moving }
        return reached
    }

    /// Whether relays may be on their way to another process, or from the one before.
    var relaysMove: Bool { isHandingOver.load(ordering: .acquiring) }

    /// Why it can't be said whether there is a relay.
    static let relayMoves =
        "No such relay is in this process, but an upgrade is under way and it may be on its way: ask again in a"
        + " second."

    /// Takes over relays of the process before this one.
    func takeOver(_ relays: [RelayInTransit], _ answers: MoveAnswers) -> [TakeOver] {
        // Not in the midst of a reload, which says what there is of routes and endpoints.
        changing.withLock { _ in
            let outcomes = frontend.takeOver(relays, answers)
            let gone = frontend.goneEndpoints
            if !gone.isEmpty { keepDeparted(gone) }
            return outcomes
        }
    }

    /// Relays may come that the process before this one has: until they are here nothing is drained or upgraded.
    func arrivalsBegin() {
        isArriving.store(true, ordering: .relaxed)
        isUpgrading.withLock { setUpgrading(true, &$0) }
    }

    private func setUpgrading(_ isSo: Bool, _ isUpgrading: inout Bool) {
        isUpgrading = isSo
        isHandingOver.store(isSo, ordering: .releasing)
    }

    /// All have come: from now on things can be changed.
    func arrivalsEnded() {
        guard isArriving.exchange(false, ordering: .relaxed) else { return }
        isUpgrading.withLock { setUpgrading(false, &$0) }
    }

    /// Does something, but not while a new process is being waited for, or relays of the one before.
    func unlessUpgrading<Done>(_ action: () -> Done) -> Done? {
        isUpgrading.withLock { $0 ? nil : action() }
    }

    /// Starts the program anew, which takes over the listening sockets and the live ones; then this process drains
    /// what has stayed, and ends.
    func upgrade(_ plan: UpgradePlan = UpgradePlan()) -> AdminOutcome {
        let names: DrainedNames? = isUpgrading.withLock { isUpgrading in
            if isUpgrading { return nil }
            setUpgrading(true, &isUpgrading)
            return frontend.drained
        }
        guard let drained = names else {
            return AdminOutcome(
                isDone: false,
                message: "An upgrade is under way already: its new process is being waited for, or"
                    + " takes live sockets over.")
        }
        defer { isUpgrading.withLock { setUpgrading(false, &$0) } }
        predecessors.handOn(true)
        var isOver = false
        defer { if !isOver { predecessors.handOn(false) } }
        let admin = admins.withLock { $0 }
        admin?.keep()
        defer { admin?.forgetKept() }
        let handed: Result<Handed, SuccessorFault>? = changing.withLock { _ in
            state.isLeaving ? nil : start(plan, drained, admin).map { move($0, plan) }
        }
        switch handed {
        case nil: return Self.stopping
        case .failure(let fault):
            let rest = isLeaving ? "this process stops" : "this process goes on"
            let message = "Not upgraded, \(rest): \(fault)."
            log.write(LogEvent(.error, message))
            return AdminOutcome(isDone: false, message: message)
        case .success(let handed):
            if let ended = handed.ended { return goOn(handed, ended, admin) }
            isOver = true
            let message =
                handed.sentence + " Process \(getpid()) drains and ends." + Self.handedOn(drained)
            let isWhole = handed.report.lost == 0 && handed.fault == nil
            log.write(LogEvent(isWhole ? .info : .error, message))
            admin?.stop()
            // Nothing moves any more, so whoever is not here is nowhere.
            isHandingOver.store(false, ordering: .releasing)
            handed.started.channel.map(serve)
            leave(Self.plan(state.configuration.drain))
            var outcome = AdminOutcome(isDone: true, message: message)
            outcome.upgrade = handed.report
            return outcome
        }
    }

    /// A process that serves, and what it has got.
    private struct Handed {
        let started: Successor.Started
        var report: UpgradeReport
        /// Why not all was moved that could have been; nil where it was.
        var fault: String?
        /// Why the new process has refused some; nil where it has refused none.
        var refusal: String?
        /// How the new process has ended meanwhile; nil where it serves.
        var ended: String?

        /// What has become of the live sockets.
        var sentence: String {
            let sockets = Count.words(report.moved, "live socket")
            var words = "Process \(started.process) has taken over"
            if report.moved > 0 {
                words += ", and \(sockets) with it in \(report.moveMilliseconds) ms"
            }
            words += "."
            if report.stayed > 0 {
                words += " \(report.stayed) stay\(report.stayed == 1 ? "s" : "") here."
            }
            if report.lost > 0 {
                words += " \(report.lost) \(report.lost == 1 ? "was" : "were") lost."
            }
            if let fault { words += " Not all were moved: \(fault)." }
            if let refusal {
                words += " The new process has refused some: \(refusal)."
            }
            return words
        }
    }

    private func start(
        _ plan: UpgradePlan, _ drained: DrainedNames, _ admin: AdminServers?
    ) -> Result<Successor.Started, SuccessorFault> {
        guard let state = HandedState.file(frontend, state.assembly) else {
            return start(plan, drained, admin, state: nil)
        }
        let started = start(plan, drained, admin, state: state.descriptor)
        // Overwritten now: the new process has read it.
        _ = consume state
        return started
    }

    private func start(
        _ plan: UpgradePlan, _ drained: DrainedNames, _ admin: AdminServers?, state: Int32?
    ) -> Result<Successor.Started, SuccessorFault> {
        guard let path = program else {
            return .failure(SuccessorFault("the program is not found in PATH any more"))
        }
        let sockets =
            frontend.sockets.map { Successor.Handed(.listen, $0.address, $0.descriptor) }
            + (admin?.sockets ?? [])
        do throws(SuccessorFault) {
            return .success(
                try Successor.start(
                    path, Array(CommandLine.arguments.dropFirst()), sockets: sockets,
                    drained: drained, state: state, before: predecessors.channels,
                    within: plan.timeoutMilliseconds, unless: { self.isLeaving }))
        } catch {
            return .failure(error)
        }
    }

    /// Moves the live sockets to the process that serves by now.
    private func move(_ started: Successor.Started, _ plan: UpgradePlan) -> Handed {
        // From here on whoever ends this process leaves the files of its listeners to the new one.
        replaced(untaken: started.untaken)
        ServiceManager.notify("MAINPID=\(started.process)")
        var report = UpgradeReport(oldProcess: getpid(), newProcess: started.process)
        guard let channel = started.channel else {
            report.stayed = relayCount
            return Handed(started: started, report: report)
        }
        let move = RelayMove(
            frontend: frontend, channel: channel, settleMilliseconds: plan.settleMilliseconds,
            isGivenUp: { self.isLeaving })
        guard plan.movesRelays else {
            move.moveNothing()
            report.stayed = relayCount
            return Handed(started: started, report: report)
        }
        // The new process accepts whoever comes, so that nobody has to move who has just come.
        frontend.pauseListening(forMilliseconds: plan.settleMilliseconds + 60_000)
        let outcome = move.run()
        report.moved = outcome.moved
        report.lost = outcome.lost
        report.stayed = relayCount
        report.moveMilliseconds = outcome.milliseconds
        report.fault = outcome.fault
        var handed = Handed(
            started: started, report: report, fault: outcome.fault, refusal: outcome.refusal)
        // One that is killed is gone a moment after its end of the channel.
        handed.ended = Successor.ending(
            of: started.process,
            withinMilliseconds: outcome.fault == nil && outcome.isConfirmed ? 0 : 500)
        if handed.ended != nil { replaced(untaken: nil) }
        return handed
    }

    /// The new process has ended while it took over: this one goes on with what it has.
    private func goOn(_ handed: Handed, _ ended: String, _ admin: AdminServers?) -> AdminOutcome {
        frontend.resumeListening()
        admin?.restore()
        ServiceManager.notify("MAINPID=\(getpid())")
        let lost = handed.report.lost + handed.report.moved
        let message =
            "Not upgraded: process \(handed.started.process) \(ended) while it took live sockets over."
            + " \(Count.words(lost, "socket", one: "was", many: "were")) lost with it;"
            + " \(handed.report.stayed) \(handed.report.stayed == 1 ? "goes" : "go") on here."
        log.write(LogEvent(.error, message))
        var outcome = AdminOutcome(isDone: false, message: message)
        outcome.upgrade = handed.report
        outcome.upgrade?.lost = lost
        outcome.upgrade?.moved = 0
        outcome.upgrade?.fault = "process \(handed.started.process) \(ended)"
        return outcome
    }
}
