// SPDX-License-Identifier: Apache-2.0
import Glibc
import Reactor
import Wire

/// What a run does first, and what then.
extension LoadLoop {
    mutating func advance() {
        switch stage {
        case .opening:
            guard startedCount >= plan.connections, openingCount == 0 else { return }
            guard allHaveArrived() else { return }
            onOpen(kind == .cycle ? carrierCount : openCount)
            beginTraffic()
        case .warming:
            let isEmpty = openCount == 0 && !isCycling && kind != .script && !isClockKept
            if now >= stageEndsAt || isEmpty { beginMeasuring() }
        case .measuring:
            if isMeasured() { endMeasuring() }
        case .draining:
            if now >= stageEndsAt || awaitedCount() == 0 { beginClosing() }
        case .closing:
            if now >= stageEndsAt || slab.count == 0 { stage = .done }
        case .done:
            break
        }
    }

    /// Whether the other threads have their connections as well.
    private mutating func allHaveArrived() -> Bool {
        if openingEndedAt == 0 { openingEndedAt = now }
        guard let control else { return true }
        if !hasArrived { control.arrive() }
        hasArrived = true
        return control.allHaveArrived
    }

    mutating func beginTraffic() {
        clockBeganAt = now
        if kind == .idle { usage.noteOpened() }
        if plan.warmupSeconds > 0 {
            stage = .warming
            stageEndsAt = now + UInt64(plan.warmupSeconds * Double(Self.second))
        } else {
            beginMeasuring()
        }
        for token in roster {
            guard let client = slab.pointer(token) else { continue }
            sendMore(client, token)
        }
        guard kind == .cycle, let streams = plan.streams else { return }
        for token in carriers {
            guard let carrier = slab.pointer(token) else { continue }
            _ = openStreams(streams, on: carrier, token)
        }
    }

    private mutating func beginMeasuring() {
        now = Clock.nowNanoseconds()
        // Without warm-up the first message of the clock is measured too.
        if stage != .warming { clockBeganAt = now }
        stage = .measuring
        measureBeganAt = isMeasuredFromOpening ? openingBeganAt : now
        lastProgress = (0, now)
        stageEndsAt = .max
        if case .seconds(let seconds) = plan.end {
            stageEndsAt = now + UInt64(seconds * Double(Self.second))
        }
        meter.pointee.isMeasuring = true
        meter.pointee.openedBefore = meter.pointee.opened
        if !isMeasuredFromOpening { threadCPU.begin(at: now) }
        if kind != .idle { usage.beginMeasuring() }
        // What is under way will come back in the measured part.
        if !isByTheClock { meter.pointee.sent = messagesUnderWay() }
        if isStorm { dropAll() }
    }

    private mutating func isMeasured() -> Bool {
        if kind == .script {
            return plan.repeatsScenarios
                ? now >= stageEndsAt : servedCount >= plan.connections
        }
        if isStorm { return servedCount >= plan.connections || now >= stageEndsAt }
        let isGone = kind == .cycle ? carrierCount == 0 : openCount == 0 && !isCycling
        // The clock goes on, and what it lets go counts as not sent.
        let isClockAlone: Bool
        if case .seconds = plan.end { isClockAlone = isClockKept } else { isClockAlone = false }
        if isGone, !isClockAlone { return true }
        // Nothing works: no use in going on until the time is over.
        if isCycling && meter.pointee.count == 0
            && meter.pointee.errors >= 4 * UInt64(plan.connections)
        {
            return true
        }
        switch plan.end {
        case .seconds:
            // What the clock is late with still leaves, for a while.
            if now >= stageEndsAt, receivedAtEnd == nil { receivedAtEnd = meter.pointee.count }
            let patience = UInt64(plan.drainSeconds * Double(Self.second))
            return now >= stageEndsAt && (clockIsDone || now - stageEndsAt > patience)
        case .standardInputCloses:
            return isInputClosed
        case .count(let count):
            return isThrough(count)
        }
    }

    /// Whether a run by count has so many messages, or waits for the rest in vain.
    private mutating func isThrough(_ count: UInt64) -> Bool {
        let isTogether = isPushed && control != nil
        // What is gone with its connection is awaited no more.
        let done =
            isTogether ? control?.measured ?? 0 : meter.pointee.count &+ meter.pointee.gone
        if done >= count || isClockKept && clockIsDone { return true }
        if done > lastProgress.count { lastProgress = (done, now) }
        let silence = now - lastProgress.at
        // While nothing comes the thread rests, so that this is what it had used by then.
        if silence > Self.restNanoseconds { threadCPU.mark(at: lastProgress.at) }
        guard silence > UInt64(plan.stallSeconds * Double(Self.second)) else { return false }
        // Where nothing has come at all, it was measured for how long.
        if lastProgress.count > 0 { gaveUpAt = lastProgress.at }
        // What is under way is counted when it has not come at the end of the run.
        let isToldLater = plan.awaitsAll && awaitedCount() > 0
        if !isToldLater, !isTogether || plan.threadIndex == 0 {
            meter.pointee.note(
                .missing, "nothing came for \(LoadNumber.digits(plan.stallSeconds)) seconds")
        }
        return true
    }

    /// Behind so much silence a thread has nothing left to do for what came before.
    private static let restNanoseconds: UInt64 = 100_000_000

    /// Somebody does not want to wait for the end.
    mutating func stopEarly() {
        now = Clock.nowNanoseconds()
        switch stage {
        case .opening:
            openingEndedAt = now
            meter.pointee.openedBefore = meter.pointee.opened
            guard kind == .idle || isMeasuredFromOpening else {
                measureBeganAt = now
                measureEndedAt = now
                beginClosing()
                return
            }
            // Sockets that are held are asked whether they are alive; what was pushed so far is measured.
            dropOpening()
            beginMeasuring()
            endMeasuring()
        case .warming:
            beginMeasuring()
            endMeasuring()
        case .measuring: endMeasuring()
        case .draining, .closing, .done: break
        }
    }

    private mutating func endMeasuring() {
        now = Clock.nowNanoseconds()
        usage.endMeasuring(isOpeningMeasured: kind == .idle)
        if gaveUpAt == nil { threadCPU.end(at: now) }
        measureEndedAt = gaveUpAt ?? (isByTheClock ? min(now, stageEndsAt) : now)
        meter.pointee.unsent &+= clockBacklog
        receivedAtEnd = receivedAtEnd ?? meter.pointee.count
        meter.pointee.openedUntilEnd = meter.pointee.opened
        if isStorm, now > measureBeganAt { endStorm() }
        if isByTheClock || plan.awaitsAll {
            stage = .draining
            stageEndsAt = now + UInt64(plan.drainSeconds * Double(Self.second))
            if kind == .idle, plan.awaitsAll { pingAll() }
            if kind == .script { endScripts() }
        } else {
            beginClosing()
        }
    }

    /// Asks every socket that is held whether it is alive; that of a peer that takes nothing is asked too.
    private mutating func pingAll() {
        for token in roster {
            guard let client = slab.pointer(token), client.pointee.phase == .open else { continue }
            client.pointee.allowed = 1
            client.pointee.sent = 1
            client.pointee.trackedAt = Clock.nowNanoseconds()
            let key = random.next(upperBound: UInt32.max)
            let count = ControlFrame.ping(
                payload: client.pointee.number, maskKey: key, into: scratch)
            _ = put(scratch, count: count, client, token)
        }
    }

    private mutating func beginClosing() {
        if stage == .draining { noteMissing() }
        meter.pointee.isMeasuring = false
        stage = .closing
        stageEndsAt = now + 2 * Self.second
        comebacks.removeAll()
        dropOpening()
        var index = -1
        while let token = slab.nextLive(after: index) {
            index = Int(token.index)
            guard let client = slab.pointer(token) else { continue }
            switch client.pointee.phase {
            case .carrying: endIdleCarrier(client, token)
            case .open: sendMore(client, token)
            case .connecting, .handshaking, .upgrading, .greeting, .closing, .ending: break
            }
        }
    }

    /// Forgets what is being opened.
    private mutating func dropOpening() {
        var index = -1
        while let token = slab.nextLive(after: index) {
            index = Int(token.index)
            guard let client = slab.pointer(token), client.pointee.isOpening else { continue }
            finish(client, token)
        }
    }

    /// What a benchmark is told.
    func report() -> LoadReport {
        var report = LoadReport()
        report.connections = plan.connections
        report.streams = plan.streams
        report.opened = roster.count
        report.messageBytes = plan.messageBytes
        report.url = plan.target.url
        report.seconds = measuredSeconds
        report.fill(from: meter.pointee, mode: plan.mode)
        usage.fill(&report, mode: plan.mode)
        return report
    }

    var measuredSeconds: Double {
        measureEndedAt == .max ? 0 : Double(measureEndedAt - measureBeganAt) / Double(Self.second)
    }

    /// What a load is told, when the run is over.
    func outcome() -> LoadOutcome {
        let received = receivedAtEnd ?? meter.pointee.count
        return LoadOutcome(
            meter: meter.pointee, seconds: measuredSeconds,
            openingSeconds: Double((openingEndedAt == 0 ? now : openingEndedAt) - openingBeganAt)
                / Double(Self.second),
            receivedInTime: received,
            usage: threadCPU.usage(of: measuredSeconds, messages: received), served: servedCount,
            attempts: attemptCount, stragglers: stragglers)
    }
}
