// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Histogram
import Reactor
import Synchronization
import TLS

/// A load on several threads, each of which has a share of the connections.
public struct LoadCrew: Sendable {
    /// By which the run is watched and ended.
    public let control: LoadControl
    private let plan: LoadPlan
    private let shares: [LoadPlan]

    /// A load that has not begun.
    ///
    /// - Parameters:
    ///   - plan: what to do.
    ///   - threads: how many threads at most; there are never more than connections.
    /// - Throws: `LoadFault` where the plan makes no sense.
    public init(_ plan: LoadPlan, threads: Int) throws(LoadFault) {
        try plan.check()
        self.plan = plan
        shares = plan.shares(min(max(1, threads), plan.connections))
        control = LoadControl(threads: shares.count)
    }

    /// Carries the plan out; returns when it is done.
    ///
    /// - Returns: what was measured, and its latencies for those who want more of them.
    /// - Throws: `LoadFault` when the load cannot begin at all.
    public func run() throws(LoadFault) -> LoadResult {
        OpenFiles.raiseLimit()
        let startedAt = Date()
        let opening = try OpeningHandshake(target: plan.target, dialing: plan.dialing)
        let (address, nameMicroseconds) = try Self.address(of: plan.target)
        let context = try context()
        let outcomes = Mutex<[LoadOutcome?]>([LoadOutcome?](repeating: nil, count: shares.count))
        let fault = Mutex<LoadFault?>(nil)
        var threads: [ReactorThread] = []
        for (index, share) in shares.enumerated() {
            let control = control
            let body: @Sendable () -> Void = {
                do throws(SystemError) {
                    var loop = try LoadLoop(
                        plan: share, address: address, context: context, opening: opening,
                        control: control)
                    loop.run { _ in }
                    let outcome = loop.outcome()
                    outcomes.withLock { $0[index] = outcome }
                } catch {
                    // What the others would measure is no result.
                    control.stop()
                    control.arrive()
                    fault.withLock { $0 = LoadFault("\(error)") }
                }
            }
            do throws(SystemError) {
                threads.append(try ReactorThread.start(name: "sluice-load-\(index)", body: body))
            } catch {
                // A load of fewer threads would be another one than was asked for.
                control.stop()
                for _ in index..<shares.count { control.arrive() }
                let sentence =
                    "thread \(index + 1) of \(shares.count) can't be started: \(SystemError.text(of: error.code));"
                    + " give --threads \(max(1, index)), or this user (ulimit -u) or container more room"
                fault.withLock { $0 = LoadFault(sentence) }
                break
            }
        }
        for thread in threads { thread.join() }
        if let fault = fault.withLock({ $0 }) { throw fault }
        let findings = LoadFindings(
            plan: plan, outcomes: outcomes.withLock { $0.compactMap { $0 } },
            nameMicroseconds: nameMicroseconds, startedAt: startedAt,
            wasStopped: control.isStopped)
        return LoadResult(findings)
    }

    private func context() throws(LoadFault) -> TLSContext? {
        guard plan.target.isSecure else { return nil }
        do throws(TLSError) {
            return try LoadGenerator.clientContext(of: plan)
        } catch {
            throw LoadFault("\(error)")
        }
    }

    /// Where to connect, and how long a name took to be looked up.
    ///
    /// Of several addresses the first that answers is taken. A single one is not tried, so that the server sees the
    /// connections of the load alone.
    private static func address(
        of target: LoadTarget
    ) throws(LoadFault) -> (Address, microseconds: Double?) {
        if let address = target.address { return (address, nil) }
        let began = Clock.nowNanoseconds()
        let addresses: [Address]
        do throws(ResolveFault) {
            addresses = try Resolver.resolve(host: target.host, port: target.port)
        } catch {
            throw LoadFault(error.sentence)
        }
        let isAddress = Address(host: target.host, port: target.port) != nil
        let taken = Double(Clock.nowNanoseconds() - began) / 1000
        guard let first = addresses.first else {
            throw LoadFault("the name \(target.host) stands for no address")
        }
        let answering =
            addresses.count == 1
            ? first : addresses.first { LoadGenerator.connectError($0) == 0 } ?? first
        return (answering, isAddress ? nil : taken)
    }
}

/// What a run has shown.
public struct LoadResult: Sendable {
    /// All of it, in the form that is written down.
    public var summary: LoadSummary
    private let latencies: Histogram<UInt64>
    private let findings: LoadFindings

    init(_ findings: LoadFindings) {
        summary = LoadSummary(findings)
        latencies = findings.meter.latencies
        self.findings = findings
    }

    /// What several runs of one plan have shown: all together, and each in `runs`; nil where there is none.
    public static func together(_ results: [LoadResult]) -> LoadResult? {
        guard let first = results.first, results.count > 1 else { return results.first }
        var findings = first.findings
        for result in results.dropFirst() { findings.append(result.findings) }
        var all = LoadResult(findings)
        all.summary.runs = results.map { $0.summary.asRun }
        // One limited run among others would be averaged away; where it is not, the sum says it.
        if all.summary.generator.reasons.isEmpty {
            all.summary.generator.reasons = results.enumerated().compactMap { index, result in
                Self.reason(result.summary.generator.reasons, inRun: index + 1)
            }
        }
        all.summary.generatorLimited = !all.summary.generator.reasons.isEmpty
        return all
    }

    /// Why the generator was the limit in one of several runs; nil where it was not.
    private static func reason(_ reasons: [String], inRun number: Int) -> String? {
        reasons.isEmpty ? nil : "in run \(number), " + reasons.joined(separator: "; ")
    }

    /// The distribution of latencies by percentile, as HdrHistogram writes it; in microseconds.
    public var percentileText: String { HistogramText.percentiles(latencies) }
}

extension LoadPlan {
    /// The plan in so many parts, one for each thread.
    func shares(_ count: Int) -> [LoadPlan] {
        var first = 0
        return (0..<count).map { index in
            var share = self
            share.connections = connections / count + (index < connections % count ? 1 : 0)
            share.threadIndex = index
            share.firstNumber = UInt64(first * (streams ?? 1))
            first += share.connections
            share.clockPhase = Double(index) / Double(count)
            let part = Double(share.connections) / Double(connections)
            if case .rate(let rate) = mode { share.mode = .rate(messagesPerSecond: rate * part) }
            // What servers send by themselves is counted by all threads together.
            if case .push = mode { return share }
            if case .count(let whole) = end {
                let parts = UInt64(count)
                share.end = .count(whole / parts + (UInt64(index) < whole % parts ? 1 : 0))
            }
            return share
        }
    }
}
