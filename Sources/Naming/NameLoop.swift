// SPDX-License-Identifier: Apache-2.0
import CAres
import Glibc
import Ledger
import Reactor

/// When each name is asked for next, and the asking; used by the thread of a `NameWatch` alone.
struct NameLoop: ~Copyable, Reacting {
    private struct Entry {
        var dueMilliseconds: UInt64
        var isAsking = false
        /// Whether there was an outcome, good or bad.
        var wasAsked = false
        /// Attempts that failed since the last good one.
        var failures = 0
    }

    /// Answers wait here until the thread comes to them: c-ares gives them from within its own calls.
    private final class Inbox {
        var outcomes: [(NameQuestion, NameClient.Outcome)] = []
    }

    /// What no one bounds is asked for so often.
    private static let plainSeconds: UInt64 = 30
    /// Bounds of a time to live.
    private static let leastSeconds: UInt64 = 1
    private static let mostSeconds: UInt64 = 300
    /// The longest pause after failures; it begins with a second and doubles.
    private static let backOffSeconds: UInt64 = 60

    var loop: ReactorLoop<NameWatch.Message>
    private(set) var isOver = false
    private let watch: NameWatch
    private var client: NameClient?
    /// When the system's list of servers was changed last, as the client has it.
    private var serversChanged = 0
    /// Whether the system's own resolver may know more: not where servers are told.
    private var asksSystem: Bool
    private var inbox = Inbox()
    private var entries: [NameQuestion: Entry] = [:]
    /// Who waits until every name was asked for once.
    private var waiting: [Mailbox<Bool>] = []

    init(_ watch: NameWatch, servers: [String]) throws(SystemError) {
        loop = ReactorLoop(poller: try Poller(), mailbox: watch.door)
        self.watch = watch
        asksSystem = servers.isEmpty
        serversChanged = Self.serversChange()
        makeClient(servers)
    }

    private mutating func makeClient(_ servers: [String]) {
        do throws(NameFault) {
            client = try NameClient(servers: servers)
        } catch {
            client = nil
            watch.say(.error, "DNS servers can't be asked: \(error.sentence).")
        }
    }

    /// When the file that lists the system's servers was changed, in nanoseconds.
    private static func serversChange() -> Int {
        var status = stat()
        guard stat("/etc/resolv.conf", &status) == 0 else { return 0 }
        return status.st_mtim.tv_sec &* 1_000_000_000 &+ status.st_mtim.tv_nsec
    }

    /// c-ares reads the list of servers once: where it has changed, another client is needed.
    private mutating func followServers() {
        guard asksSystem, !entries.values.contains(where: \.isAsking) else { return }
        let changed = Self.serversChange()
        if changed == serversChanged { return }
        serversChanged = changed
        makeClient([])
    }

    /// Runs until it is told to stop.
    mutating func run() { _ = turnUntilOver() }

    mutating func isReady(_ token: Token, _ flags: Readiness) { client?.isReady(token, flags) }

    mutating func receive(_ message: NameWatch.Message) {
        switch message {
        case .watch(let questions, let done): take(questions, done)
        case .servers(let servers): ask(servers)
        case .system(let question, let outcome): take(question, outcome)
        case .stop: isOver = true
        }
    }

    mutating func endTurn() {
        client?.endWaiting()
        takeOutcomes()
        askWhatIsDue()
        takeOutcomes()
        client?.watch(with: loop.poller)
    }

    func limit(_ wait: inout WaitTime) {
        for entry in entries.values where !entry.isAsking {
            wait.limit(until: entry.dueMilliseconds)
        }
        wait.limit(to: client?.timeoutMilliseconds ?? -1)
    }

    private mutating func take(_ questions: Set<NameQuestion>, _ done: Mailbox<Bool>) {
        let now = Clock.nowMilliseconds()
        entries = entries.filter { questions.contains($0.key) }
        for question in questions where entries[question] == nil {
            entries[question] = Entry(dueMilliseconds: now)
        }
        waiting.append(done)
        releaseWaiting()
    }

    /// Asks other servers for everything; what those before have yet to say is not heard any more.
    private mutating func ask(_ servers: [String]) {
        asksSystem = servers.isEmpty
        serversChanged = Self.serversChange()
        inbox = Inbox()
        makeClient(servers)
        let now = Clock.nowMilliseconds()
        for question in entries.keys { entries[question] = Entry(dueMilliseconds: now) }
    }

    private mutating func releaseWaiting() {
        guard !waiting.isEmpty, entries.values.allSatisfy(\.wasAsked) else { return }
        for done in waiting { done.post(true) }
        waiting.removeAll()
    }

    private mutating func askWhatIsDue() {
        let now = Clock.nowMilliseconds()
        func isDue(_ entry: Entry) -> Bool { !entry.isAsking && entry.dueMilliseconds <= now }
        guard entries.values.contains(where: isDue) else { return }
        followServers()
        for (question, entry) in entries where isDue(entry) {
            entries[question]?.isAsking = true
            guard let client else {
                askSystem(question, NameFault("\(question) cannot be resolved"))
                continue
            }
            client.ask(question) { [inbox] in inbox.outcomes.append((question, $0)) }
        }
    }

    private mutating func takeOutcomes() {
        while !inbox.outcomes.isEmpty {
            let (question, outcome) = inbox.outcomes.removeFirst()
            if case .failure(let fault) = outcome, !fault.isTimeout {
                askSystem(question, fault)
            } else {
                take(question, outcome)
            }
        }
    }

    /// Asks the system's own resolver, which may know names that neither hosts files nor DNS do; on a
    /// thread of its own, since it waits.
    private mutating func askSystem(_ question: NameQuestion, _ fault: NameFault) {
        guard asksSystem, case .addresses(let host) = question else {
            take(question, .failure(fault))
            return
        }
        let started = try? ReactorThread.start(name: "sluice-system") { [door = watch.door] in
            do throws(ResolveFault) {
                let addresses = try Resolver.resolve(host: host, port: 0)
                door.post(
                    .system(
                        question,
                        .success(NameAnswer(content: .addresses(addresses), ttlSeconds: nil))))
            } catch {
                door.post(.system(question, .failure(NameFault(error.sentence))))
            }
        }
        if started == nil { take(question, .failure(fault)) }
    }

    private mutating func take(_ question: NameQuestion, _ outcome: NameClient.Outcome) {
        guard var entry = entries[question] else { return }
        let isFirst = !entry.wasAsked
        entry.isAsking = false
        entry.wasAsked = true
        let now = Clock.nowMilliseconds()
        switch outcome {
        case .success(let answer):
            if entry.failures > 0 {
                watch.say(.info, "\(watch.users(of: question))\(question) resolves again.")
            }
            entry.failures = 0
            let seconds = answer.ttlSeconds.map(UInt64.init) ?? Self.plainSeconds
            let bounded = min(max(seconds, Self.leastSeconds), Self.mostSeconds)
            // Up to a tenth later, so that names that were found together are not asked for together.
            entry.dueMilliseconds = now + bounded * UInt64.random(in: 1_000...1_100)
            entries[question] = entry
            watch.take(question, answer.content)
        case .failure(let fault):
            if entry.failures == 0 {
                let rest =
                    watch.hasFound(question) ? " Its last known addresses stay in use." : ""
                watch.say(
                    .warning, "\(watch.users(of: question))\(fault.sentence).\(rest)")
            }
            entry.failures += 1
            let pause = min(1 << UInt64(min(entry.failures - 1, 10)), Self.backOffSeconds)
            entry.dueMilliseconds = now + pause * UInt64.random(in: 750...1_250)
            entries[question] = entry
        }
        if isFirst { releaseWaiting() }
    }
}
