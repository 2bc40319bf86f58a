// SPDX-License-Identifier: Apache-2.0
import Glibc
public import Ledger
public import Reactor
import Synchronization

/// Keeps up with what names stand for, on a thread of its own: each is asked for again when its time to
/// live is over.
///
/// A name that stops resolving keeps what it stood for: an outage of DNS is not one of ours.
public final class NameWatch: Sendable {
    enum Message: Sendable {
        /// Ask for these from now on, and for no others; `done` hears when each was asked for once.
        case watch(Set<NameQuestion>, done: Mailbox<Bool>)
        /// What the system's own resolver says.
        case system(NameQuestion, Result<NameAnswer, NameFault>)
        /// Ask these servers from now on.
        case servers([String])
        case stop
    }

    private struct State {
        var endpoints: [Endpoint] = []
        /// Names that stand for endpoints, rather than for addresses of one.
        var expanding: Set<NameQuestion> = []
        var found: [NameQuestion: NameContent] = [:]
        var hasThread = false
        var servers: [String]
    }

    private let journal: Journal
    private let changed: @Sendable () -> Void
    private let state: Mutex<State>
    let door: Mailbox<Message>

    /// How long new names are waited for.
    public static let waitMilliseconds: UInt64 = 5_000

    /// Watches nothing yet, and has no thread until it does.
    ///
    /// - Parameters:
    ///   - servers: DNS servers, `127.0.0.1:53`; those of the system when empty.
    ///   - journal: learns of names that do not resolve.
    ///   - changed: called on the watch's thread, not to be held up, when one of the names that stand
    ///     for endpoints stands for others.
    /// - Throws: `SystemError` when there is no descriptor left.
    public init(
        servers: [String] = [], journal: Journal, changed: @escaping @Sendable () -> Void = {}
    ) throws(SystemError) {
        state = Mutex(State(servers: servers))
        self.journal = journal
        self.changed = changed
        door = try Mailbox()
    }

    /// What names that stand for endpoints stand for at present.
    public var found: [NameQuestion: NameContent] {
        state.withLock { state in state.found.filter { state.expanding.contains($0.key) } }
    }

    /// Asks these DNS servers from now on, `127.0.0.1:53`; those of the system when empty.
    ///
    /// All names are new to them, so that the next `watch` waits for what they say; what is known stays
    /// in use until then, and for as long as they say nothing.
    public func use(servers: [String]) {
        let tells = state.withLock { state in
            if servers == state.servers { return false }
            state.servers = servers
            return state.hasThread
        }
        if tells { door.post(.servers(servers)) }
    }

    /// Watches the names of these endpoints and the names that stand for endpoints, and no others.
    ///
    /// Returns when each name that is new has been asked for once, or the time is over.
    ///
    /// - Parameters:
    ///   - endpoints: whose hosts are looked up.
    ///   - expanding: names that stand for endpoints.
    ///   - deadline: until when to wait, in milliseconds of `Clock`; nil for `waitMilliseconds`.
    /// - Throws: `SystemError` when there is no descriptor or thread left.
    public func watch(
        _ endpoints: [Endpoint], expanding: Set<NameQuestion> = [], until deadline: UInt64? = nil
    ) throws(SystemError) {
        let named = endpoints.filter { $0.host != nil }
        let questions = expanding.union(named.compactMap(\.host).map(NameQuestion.addresses))
        let (hasThread, servers) = state.withLock { state in
            state.endpoints = named
            state.expanding = expanding
            state.found = state.found.filter { questions.contains($0.key) }
            defer { state.hasThread = state.hasThread || !questions.isEmpty }
            return (state.hasThread, state.servers)
        }
        // What is known of a name holds for an endpoint that is new too.
        for endpoint in named { update(endpoint) }
        if !hasThread {
            if questions.isEmpty { return }
            _ = try ReactorThread.start(name: "sluice-names") { [self] in
                do throws(SystemError) {
                    var loop = try NameLoop(self, servers: servers)
                    loop.run()
                } catch {
                    // The next to watch tries again.
                    state.withLock { $0.hasThread = false }
                    say(.error, "Names are not looked up: \(error).")
                }
            }
        }
        let done = try Mailbox<Bool>()
        door.post(.watch(questions, done: done))
        let now = Clock.nowMilliseconds()
        let left = deadline.map { $0 > now ? $0 - now : 0 } ?? Self.waitMilliseconds
        _ = done.wait(milliseconds: Int32(clamping: left))
    }

    /// Ends the thread; does not wait for it.
    public func stop() { door.post(.stop) }

    /// Takes what was found up.
    func take(_ question: NameQuestion, _ content: NameContent) {
        let (endpoints, isNews) = state.withLock { state in
            // Servers turn the order of addresses; that alone makes no other endpoints.
            let isExpanding = state.expanding.contains(question)
            let content = isExpanding ? content.sorted : content
            let isNews = isExpanding && state.found[question] != content
            state.found[question] = content
            return (state.endpoints, isNews)
        }
        for endpoint in endpoints where endpoint.host == question.name { update(endpoint) }
        if isNews { changed() }
    }

    private func update(_ endpoint: Endpoint) {
        guard let host = endpoint.host,
            case .addresses(let found) = state.withLock({ $0.found[.addresses(host)] })
        else { return }
        let addresses = found.map { $0.with(port: endpoint.port) }
        if addresses != endpoint.addresses { endpoint.addresses = addresses }
    }

    func say(_ level: LogEvent.Level, _ sentence: String) {
        journal.event(LogEvent(level, sentence))
    }

    /// Which upstreams a name is for, in words.
    func users(of question: NameQuestion) -> String {
        let labels = state.withLock { state in
            state.expanding.contains(question)
                ? [] : state.endpoints.filter { $0.host == question.name }.map(\.label)
        }
        return labels.first.map { "The upstream \($0): " } ?? ""
    }

    /// Whether something is in use for a name.
    func hasFound(_ question: NameQuestion) -> Bool {
        state.withLock { $0.found[question] != nil }
    }
}
