// SPDX-License-Identifier: Apache-2.0
public import Access
public import Ledger
public import Reactor
import Synchronization

/// How long what lasts.
struct KeyPatience: Sendable {
    /// Between two documents that were taken, as the issuer says within these bounds.
    var ageSeconds: ClosedRange<UInt64> = 60...86_400
    /// Where the issuer does not say.
    var usualAgeSeconds: UInt64 = 300
    /// Behind a try that has brought nothing: doubled each time.
    var pauseMilliseconds: ClosedRange<UInt64> = 1_000...60_000
}

/// Fetches the keys of issuers, each on a thread of its own, so that none waits for another, and no reactor for any.
///
/// Keys that are there stay while an issuer is away or answers nonsense. A thread is there for as long as a configuration
/// names its URL, also over reloads.
public final class KeyWatch: Sendable {
    private let journal: Journal
    private let patience: KeyPatience
    private let issuers = Mutex<[TokenKeyring.Origin: Issuer]>([:])

    /// Fetches nothing yet.
    public convenience init(journal: Journal) {
        self.init(journal: journal, patience: KeyPatience())
    }

    init(journal: Journal, patience: KeyPatience) {
        self.journal = journal
        self.patience = patience
    }

    /// Why no keys can be fetched on this machine; nil where they can.
    public static func problem() -> String? { KeyFetch.problem() }

    /// Fetches for these from now on, and for no others; those that are files are left alone.
    ///
    /// - Parameters:
    ///   - keyrings: who gets the keys.
    ///   - milliseconds: how long the first tries of those that have no keys are waited for.
    /// - Throws: `SystemError` when there is no room for a thread.
    public func watch(
        _ keyrings: [TokenKeyring], waitingFor milliseconds: UInt64
    ) throws(SystemError) {
        let deadline = Clock.nowMilliseconds() + milliseconds
        var wanted: [TokenKeyring.Origin: TokenKeyring] = [:]
        for keyring in keyrings {
            if case .url = keyring.origin { wanted[keyring.origin] = keyring }
        }
        let (gone, known) = issuers.withLock { issuers in
            let gone = issuers.filter { wanted[$0.key] !== $0.value.keyring }
            for origin in gone.keys { issuers[origin] = nil }
            return (Array(gone.values), Set(issuers.keys))
        }
        for issuer in gone { issuer.stop() }
        var new: [Issuer] = []
        for (origin, keyring) in wanted where !known.contains(origin) {
            let issuer = try Issuer(keyring, journal: journal, patience: patience)
            try issuer.start()
            issuers.withLock { $0[origin] = issuer }
            new.append(issuer)
        }
        for issuer in new where issuer.keyring.keys == nil {
            issuer.waitForFirstTry(until: deadline)
        }
    }

    /// Ends all threads; tries under way are broken off.
    public func stop() {
        let all = issuers.withLock { issuers in
            defer { issuers = [:] }
            return Array(issuers.values)
        }
        for issuer in all { issuer.stop() }
    }
}

/// One issuer, and the thread that asks it.
private final class Issuer: Sendable {
    enum Command: Sendable {
        /// A token names a key that is not known.
        case ask
        case stop
    }

    let keyring: TokenKeyring
    private let journal: Journal
    private let patience: KeyPatience
    private let commands: Mailbox<Command>
    private let tried: Mailbox<Bool>
    private let thread = Mutex<ReactorThread?>(nil)

    init(
        _ keyring: TokenKeyring, journal: Journal, patience: KeyPatience
    ) throws(SystemError) {
        self.keyring = keyring
        self.journal = journal
        self.patience = patience
        commands = try Mailbox()
        tried = try Mailbox()
    }

    func start() throws(SystemError) {
        let started = try ReactorThread.start(name: "sluice-keys") { [self] in
            ReactorThread.yieldToOthers()
            KeyThread(
                self.keyring, journal, patience, commands, tried: { [tried] in tried.post(true) }
            )
            .run()
        }
        thread.withLock { $0 = started }
        keyring.onWanted { [commands] in commands.post(.ask) }
    }

    func waitForFirstTry(until deadline: UInt64) {
        let now = Clock.nowMilliseconds()
        if deadline > now { _ = tried.wait(milliseconds: Int32(clamping: deadline - now)) }
    }

    func stop() {
        keyring.onWanted(nil)
        commands.post(.stop)
        thread.withLock { $0 }?.join()
    }
}

/// What the thread of one issuer does, and what only that thread knows.
private final class KeyThread {
    private let keyring: TokenKeyring
    private let journal: Journal
    private let patience: KeyPatience
    private let commands: Mailbox<Issuer.Command>
    private let tried: () -> Void
    private var isOver = false
    private var isAsked = false
    private var fetch: KeyFetch?
    /// What was said last of what is wrong.
    private var complaint = ""
    private var remarks: [String] = []

    init(
        _ keyring: TokenKeyring, _ journal: Journal, _ patience: KeyPatience,
        _ commands: Mailbox<Issuer.Command>, tried: @escaping () -> Void
    ) {
        self.keyring = keyring
        self.journal = journal
        self.patience = patience
        self.commands = commands
        self.tried = tried
    }

    func run() {
        var pause = patience.pauseMilliseconds.lowerBound
        while true {
            // Who asks while a try is under way gets another one: its answer may be older than the question.
            takeCommands()
            if isOver { return }
            isAsked = false
            let asks = keyring.askCount
            let age = attempt()
            keyring.answered(asks)
            tried()
            let wait: UInt64
            if let age {
                pause = patience.pauseMilliseconds.lowerBound
                wait = age * 1_000
            } else {
                wait = pause
                pause = min(pause * 2, patience.pauseMilliseconds.upperBound)
            }
            sleep(until: Clock.nowMilliseconds() + wait)
            if isOver { return }
        }
    }

    /// Waits for a time, or until somebody wants keys before.
    private func sleep(until end: UInt64) {
        while !isOver && !isAsked {
            takeCommands()
            let now = Clock.nowMilliseconds()
            if isOver || isAsked || now >= end { return }
            _ = commands.wait(milliseconds: Int32(clamping: end - now))
        }
    }

    private func takeCommands() {
        for command in commands.take() {
            switch command {
            case .ask: isAsked = true
            case .stop: isOver = true
            }
        }
    }

    /// Asks once.
    ///
    /// - Returns: for how many seconds the answer holds; nil where it can't be used.
    private func attempt() -> UInt64? {
        do throws(Failure) {
            let answer = try ask()
            let keys: TokenKeys
            do throws(TokenKeys.Fault) {
                keys = try TokenKeys(answer.bytes, from: .issuer)
            } catch {
                throw Failure(reason: error.clause)
            }
            take(keys)
            let age = answer.maxAgeSeconds ?? patience.usualAgeSeconds
            return min(max(age, patience.ageSeconds.lowerBound), patience.ageSeconds.upperBound)
        } catch {
            if !isOver { complain(error.reason) }
            return nil
        }
    }

    private struct Failure: Error {
        let reason: String
    }

    private func ask() throws(Failure) -> KeyAnswer {
        guard case .url(let url, let authorities) = keyring.origin else {
            throw Failure(reason: "it is no URL")
        }
        let way: KeyFetch
        do throws(KeyFetch.Unusable) {
            if let fetch {
                way = fetch
            } else {
                way = try KeyFetch(url, authorities: authorities?.path)
                fetch = way
            }
        } catch {
            throw Failure(reason: error.reason)
        }
        let outcome = way.fetch(waking: commands.descriptor) {
            takeCommands()
            return !isOver
        }
        switch outcome {
        case .answered(200, let answer): return answer
        case .answered(let status, let answer) where 300..<400 ~= status:
            // As with the URL itself, its query may hold a secret.
            let to =
                answer.location.map { " to \(Self.shown(String($0.prefix { $0 != "?" })))" } ?? ""
            throw Failure(
                reason:
                    "it answered \(status), a redirect\(to), which is not followed: name the URL"
                    + " that has the keys")
        case .answered(let status, _): throw Failure(reason: "it answered \(status)")
        case .failed(let reason): throw Failure(reason: reason)
        case .abandoned: throw Failure(reason: "it was not waited for")
        }
    }

    private func take(_ keys: TokenKeys) {
        let isFirst = keyring.keys == nil
        let isOther = keyring.use(keys)
        let count = Count.words(keys.count, "key")
        if !complaint.isEmpty || isFirst {
            journal.event(
                LogEvent(.info, "The keys of \(keyring.origin.name) are there: \(count)."))
        } else if isOther {
            journal.event(
                LogEvent(.info, "The keys of \(keyring.origin.name) have changed: \(count)."))
        }
        complaint = ""
        if keys.remarks != remarks {
            remarks = keys.remarks
            for remark in remarks {
                journal.event(
                    LogEvent(
                        .warning,
                        "Of the keys of \(keyring.origin.name) one is not used: \(remark)."))
            }
        }
    }

    /// Says what is wrong, once for as long as it is that.
    private func complain(_ reason: String) {
        keyring.failed(reason)
        if reason == complaint { return }
        complaint = reason
        let what =
            keyring.keys == nil
            ? "nobody is let in by a token of it until they are there"
            : "those of before go on being used"
        journal.event(
            LogEvent(
                .warning,
                "The keys of \(keyring.origin.name) can't be fetched, and \(what): \(reason)."))
    }

    /// A text of a peer's that may stand in a line.
    private static func shown(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(200).map { 0x20..<0x7F ~= $0.value ? $0 : "?" }))
    }
}
