// SPDX-License-Identifier: Apache-2.0
import Foundation
import Histogram

extension LoadSummary.Latency {
    init(_ histogram: Histogram<UInt64>) {
        self.init()
        guard histogram.totalCount > 0 else { return }
        func microseconds(_ percentile: Double) -> Double {
            // A percentile is the end of its bucket, which may lie behind the longest time.
            Double(Swift.min(histogram.valueAtPercentile(percentile), histogram.maxRecorded)) / 1000
        }
        count = UInt64(histogram.totalCount)
        p50 = microseconds(50)
        p90 = microseconds(90)
        p99 = microseconds(99)
        p999 = microseconds(99.9)
        max = Double(histogram.maxRecorded) / 1000
        mean = (histogram.mean / 10).rounded() / 100
    }

    init(_ buckets: LatencyBuckets) {
        self.init()
        count = buckets.total
        p50 = buckets.microseconds(atPercentile: 50)
        p90 = buckets.microseconds(atPercentile: 90)
        p99 = buckets.microseconds(atPercentile: 99)
        p999 = buckets.microseconds(atPercentile: 99.9)
        max = buckets.maxMicroseconds
        mean = (buckets.meanMicroseconds * 100).rounded() / 100
    }
}

/// All that is known at the end of a run, from which a summary is made.
struct LoadFindings {
    let plan: LoadPlan
    var outcomes: [LoadOutcome]
    let nameMicroseconds: Double?
    let startedAt: Date
    /// How many runs there were.
    var runs = 1
    /// Somebody has not waited for the end.
    var wasStopped = false

    /// Adds those of a later run.
    mutating func append(_ other: LoadFindings) {
        runs += 1
        wasStopped = wasStopped || other.wasStopped
        for (index, outcome) in other.outcomes.enumerated() where index < outcomes.count {
            outcomes[index].append(outcome)
        }
    }

    /// What all threads have counted together.
    var meter: LoadMeter {
        var meter = outcomes.first?.meter ?? LoadMeter()
        for outcome in outcomes.dropFirst() { meter.add(outcome.meter) }
        return meter
    }
}

extension LoadSummary {
    init(_ findings: LoadFindings) {
        self.init()
        let (plan, meter) = (findings.plan, findings.meter)
        mode = Self.name(of: plan.mode)
        if case .rate = plan.mode { model = "open" }
        if plan.isPlayedByTheClock { model = "open" }
        url = plan.target.url
        asked = plan.asked
        startedAt = findings.startedAt.ISO8601Format()
        seconds = findings.outcomes.map(\.seconds).max() ?? 0
        setConnections(findings, meter)
        setMessages(findings, meter)
        latencyMicroseconds = Latency(meter.latencies)
        setOpening(findings, meter)
        errors = meter.tallies.map { cause, tally in
            Failure(cause: cause.word, count: tally.count, example: tally.example)
        }.sorted { ($1.count, $0.cause) < ($0.count, $1.cause) }
        setGenerator(findings, meter)
        setNotes(plan)
        if findings.wasStopped {
            notes.append(
                seconds > 0
                    ? "Ended early, when \(LoadNumber.digits(seconds)) s were measured."
                    : "Ended early, before the measured part: nothing was measured.")
        }
        if case .storm = plan.mode { setStorm(findings, meter) }
        scenarios = meter.scenarios.map { name, tally in
            Scenario(name: name, finished: tally.finished, failed: tally.failed)
        }.sorted { $0.name < $1.name }
        if let version = meter.tlsVersion {
            tls = Security(version: version, cipher: meter.cipher ?? "")
        }
        histogram = HistogramText.base64(meter.latencies)
        if let timeline = meter.timeline { setTimeline(timeline) }
        if meter.latencies.totalCount > 0 {
            distribution = meter.latencies.percentiles(ticksPerHalfDistance: 5).map {
                Point(
                    percentile: $0.percentileLevelIteratedTo,
                    microseconds: Double(Swift.min($0.value, meter.latencies.maxRecorded)) / 1000)
            }
        }
    }

    private static func name(of mode: LoadPlan.Mode) -> String {
        switch mode {
        case .echo, .rate, .closed: "echo"
        case .stream: "stream"
        case .connect, .cycle: "connect"
        case .idle: "hold"
        case .push: "push"
        case .storm: "storm"
        case .script: "script"
        }
    }

    private mutating func setConnections(_ findings: LoadFindings, _ meter: LoadMeter) {
        let plan = findings.plan
        connections.wanted = plan.connections * (plan.streams ?? 1) * findings.runs
        connections.opened = meter.opened
        connections.failed = meter.failed
        connections.lost = meter.lost
        if plan.mode == .idle { connections.alive = meter.count }
    }

    private mutating func setMessages(_ findings: LoadFindings, _ meter: LoadMeter) {
        switch findings.plan.mode {
        case .cycle:
            // Each cycle has one message there and back, which is counted as a part of it.
            messages.totalSent = meter.totalSent
            messages.totalReceived = meter.totalReceived
            return
        case .connect, .storm, .idle: return
        case .echo, .rate, .closed, .stream, .push, .script: break
        }
        messages.sent = meter.sent
        messages.received = meter.count
        messages.late = meter.late
        messages.unsent = meter.unsent
        messages.dropped = meter.dropped
        messages.early = meter.early
        messages.earlyMaxMicroseconds = Double(meter.earlyMaxNanoseconds) / 1000
        messages.totalSent = meter.totalSent
        messages.totalReceived = meter.totalReceived
        messages.megabytes = Double(meter.payloadBytes) / 1e6
        guard seconds > 0 else { return }
        let inTime = findings.outcomes.reduce(0) { $0 + $1.receivedInTime }
        messages.perSecond = Double(inTime) / seconds
        let share = meter.count > 0 ? Double(inTime) / Double(meter.count) : 0
        messages.megabytesPerSecond = messages.megabytes * share / seconds
    }

    private mutating func setOpening(_ findings: LoadFindings, _ meter: LoadMeter) {
        let isCycling =
            switch findings.plan.mode {
            case .connect, .cycle, .script: true
            default: false
            }
        opening.seconds = isCycling ? seconds : findings.outcomes.map(\.openingSeconds).max() ?? 0
        let inTime = findings.outcomes.reduce(0) { $0 + $1.receivedInTime }
        // In a storm openings wait for their back-off, and have no rate.
        var isSteady = true
        switch findings.plan.mode {
        case .script:
            opening.opened = meter.openedUntilEnd - min(meter.openedUntilEnd, meter.openedBefore)
        case .connect, .cycle: opening.opened = inTime
        case .storm:
            isSteady = findings.outcomes.allSatisfy { $0.attempts == 0 }
            opening.opened = meter.openedBefore
        case .echo, .rate, .closed, .stream, .idle, .push: opening.opened = meter.opened
        }
        if opening.seconds > 0, isSteady {
            opening.perSecond = Double(opening.opened) / opening.seconds
        }
        opening.nameMicroseconds = findings.nameMicroseconds
        let phases = meter.phases
        opening.tcpMicroseconds = Latency(phases.tcp)
        if phases.tlsFull.totalCount > 0 { opening.tlsMicroseconds = Latency(phases.tlsFull) }
        if phases.tlsResumed.totalCount > 0 {
            opening.tlsResumedMicroseconds = Latency(phases.tlsResumed)
        }
        opening.upgradeMicroseconds = Latency(phases.upgrade)
        opening.resumed = UInt64(phases.tlsResumed.totalCount)
        if findings.plan.dialing.rampSeconds > 0 {
            opening.rampLateMicroseconds = Double(meter.rampLateNanoseconds) / 1000
        }
    }

    private mutating func setStorm(_ findings: LoadFindings, _ meter: LoadMeter) {
        var storm = Storm()
        storm.served = findings.outcomes.reduce(0) { $0 + $1.served }
        storm.waiting = findings.outcomes.reduce(0) { $0 + $1.stragglers.waiting }
        storm.connecting = findings.outcomes.reduce(0) { $0 + $1.stragglers.connecting }
        storm.attempts = findings.outcomes.reduce(0) { $0 + $1.attempts }
        if storm.served == findings.plan.connections * findings.runs {
            storm.secondsUntilAllServed = Double(meter.latencies.maxRecorded) / 1e9
        }
        self.storm = storm
    }

    private mutating func setGenerator(_ findings: LoadFindings, _ meter: LoadMeter) {
        generator.threads = findings.outcomes.count
        let usages = findings.outcomes.map(\.usage).filter { $0.seconds > 0 }
        generator.cpuShares = usages.map { ($0.cpuShare * 1000).rounded() / 1000 }
        // Of a thread whose time is not known the messages do not count either.
        let counted = usages.reduce(0) { $0 + $1.messages }
        if messages.received > 0, counted > 0 {
            let cpuSeconds = usages.reduce(0) { $0 + $1.cpuSeconds }
            generator.cpuMicrosecondsPerMessage = cpuSeconds * 1e6 / Double(counted)
        }
        generator.runQueueShares = usages.map { ($0.queueShare * 1000).rounded() / 1000 }
        if meter.reads > 0 {
            let share = Double(meter.fullReads) / Double(meter.reads)
            generator.fullReadShare = (share * 10_000).rounded() / 10_000
        }
        if model == "open" { generator.sendLateMicroseconds = Latency(meter.sendLag) }
        generator.receiveLateMicroseconds = Latency(meter.receiveLag)
        generator.peakKilobytes = ProcessWatch.peakKilobytes()
        generator.reasons = limits(meter.answeredLag(), missing: meter.sendsWithoutLatency)
        generatorLimited = !generator.reasons.isEmpty
    }

    /// Why this program was the limit.
    ///
    /// A thread that never rests, or that waits for a core, is slower than what it measures. Where messages leave or are
    /// read late by a share of what was measured, that share is this program's own: of each percentile that is told, and
    /// of the longest time.
    private func limits(_ sendLag: LatencyBuckets, missing: UInt64) -> [String] {
        var reasons: [String] = []
        let busiest = generator.cpuShares.max() ?? 0
        if busiest >= 0.95 {
            reasons.append("a thread of the generator used \(Int(busiest * 100)) % of its core")
        }
        let queued = generator.runQueueShares.max() ?? 0
        if queued >= 0.1 {
            reasons.append(
                "a thread of the generator waited for a core for \(Int(queued * 100)) % of the time, since"
                    + " other programs were using the cores")
        }
        if mode != "stream", generator.fullReadShare >= 0.1 {
            reasons.append(
                "\(Int(generator.fullReadShare * 100)) % of the reads left more in the socket: answers waited in the"
                    + " system until the generator came")
        }
        // What nobody has measured can't be wrong by that.
        guard latencyMicroseconds.count > 0 else { return reasons }
        for level in levels {
            let measured = latencyMicroseconds[keyPath: level.key]
            // Messages that did not come back have a lateness and no latency: as many of the latest may be theirs.
            if model == "open", sendLag.total >= missing + level.least,
                case let late = sendLag.microseconds(
                    atPercentile: level.percentile, without: missing),
                late > Swift.max(level.floor, measured * level.sendShare)
            {
                reasons.append(
                    "\(level.words) left \(Self.milliseconds(late)) late\(level.more), against"
                        + " a \(level.name) of \(Self.milliseconds(measured))")
            }
            let received = generator.receiveLateMicroseconds
            if received.count >= level.least,
                received[keyPath: level.key] > Swift.max(level.floor, measured * level.readShare)
            {
                reasons.append(
                    "\(level.words) waited \(Self.milliseconds(received[keyPath: level.key]))\(level.more) until"
                        + " the generator read it, against a \(level.name) of \(Self.milliseconds(measured))"
                )
            }
        }
        return reasons
    }

    private static func milliseconds(_ microseconds: Double) -> String {
        "\((microseconds / 10).rounded() / 100) ms"
    }

    /// A number of the report, and how much of it may be this program's own.
    private struct Level {
        let name: String
        let words: String
        let more: String
        let key: KeyPath<Latency, Double>
        let percentile: Double
        /// Of fewer nothing is told.
        let least: UInt64
        /// Less does not count, in microseconds.
        let floor: Double
        let sendShare: Double
        let readShare: Double
    }

    private var levels: [Level] {
        [
            Level(
                name: "p50", words: "half of the messages", more: " or more", key: \.p50,
                percentile: 50, least: 1,
                floor: 200, sendShare: 0.1, readShare: 0.5),
            Level(
                name: "p99", words: "1 of 100 messages", more: " or more", key: \.p99,
                percentile: 99, least: 1,
                floor: 1_000, sendShare: 0.1, readShare: 0.25),
            Level(
                name: "p99.9", words: "1 of 1,000 messages", more: " or more", key: \.p999,
                percentile: 99.9,
                least: 1_000, floor: 2_000, sendShare: 0.25, readShare: 0.5),
            Level(
                name: "max", words: "one message", more: "", key: \.max, percentile: 100, least: 1,
                floor: 5_000,
                sendShare: 0.5, readShare: 0.5),
        ]
    }

    /// What has to be known to read the numbers.
    private mutating func setNotes(_ plan: LoadPlan) {
        if plan.mode == .script, latencyMicroseconds.count == 0 {
            notes.append(
                plan.isPlayedByTheClock
                    ? "No latency was measured: what comes back is looked at only with --expect-replies, and then"
                        + " counts from the moment at which a message should have left."
                    : "No latency was measured: no message that was expected came in the measured part."
            )
        }
        if mode == "push", messages.received == 0 {
            notes.append(
                "No message came in the measured part"
                    + (plan.subscription == nil
                        ? ": does the server want one that asks for them (--message)?" : "."))
        }
        if messages.early > 0 {
            notes.append(
                "\(LoadNumber.grouped(messages.early)) messages came before their own clock said that they had"
                    + " left, by up to \(LoadNumber.time(microseconds: messages.earlyMaxMicroseconds)): the server's clock"
                    + " is ahead of the one here. They are counted, and their age is left out; the other ages are too"
                    + " short by as much.")
        }
        if let failure = errors.first(where: { $0.cause == LoadCause.certificate.word }) {
            notes.append(Self.cure(ofCertificate: failure.example))
        }
        if messages.dropped > 0 {
            notes.append(
                "\(LoadNumber.grouped(messages.dropped)) messages were dropped unread, since their script did not"
                    + " expect them in time.")
        }
        if let late = opening.rampLateMicroseconds,
            late > Swift.max(100_000, plan.dialing.rampSeconds * 50_000)
        {
            notes.append(
                "The ramp was behind by up to \(LoadNumber.time(microseconds: late)): connections take so long to open"
                    + " that no more may be begun.")
        }
    }

    /// What to do about a certificate that is not trusted, by OpenSSL's words for why.
    static func cure(ofCertificate example: String) -> String {
        if example.contains("expired") || example.contains("not yet valid") {
            return
                "The server's certificate is outside of its time: renew it, or see whether a clock is wrong;"
                + " --insecure takes it as it is."
        }
        if example.contains("mismatch") {
            return
                "The server's certificate is for another name: give a URL with a name that is in it, or that name"
                + " with --sni; --insecure takes it as it is."
        }
        let words = [
            "self-signed", "self signed", "issuer certificate", "unable to verify the first",
        ]
        guard words.contains(where: example.contains) else {
            return "The server's certificate can't be used; --insecure takes it as it is."
        }
        return
            "The server's certificate is of an authority that is not trusted here: give the authority's file with"
            + " --ca FILE. If it is Sluice's own local authority in another folder, that is its ca.pem, or trust it by"
            + " `sluice cert trust --directory DIR`. --insecure takes any certificate."
    }

    private mutating func setTimeline(_ timeline: LoadTimeline) {
        self.timeline.intervalSeconds = Double(timeline.intervalNanoseconds) / 1e9
        self.timeline.intervals = timeline.intervals.map { interval in
            let latencies = interval.latencies
            return Interval(
                opened: interval.opened, failed: interval.failed, sent: interval.sent,
                received: interval.received, errors: interval.errors,
                p50: latencies.microseconds(atPercentile: 50),
                p99: latencies.microseconds(atPercentile: 99), max: latencies.maxMicroseconds,
                buckets: latencies.counts.indices.filter { latencies.counts[$0] > 0 }.map {
                    [Double(LatencyBuckets.lowest($0)) / 1000, Double(latencies.counts[$0])]
                })
        }
    }
}
