// SPDX-License-Identifier: Apache-2.0
public import Ledger
public import Reactor
import Router
import Splice
import Synchronization
public import TLS

/// Where to listen, and with which certificates.
public struct ListenerPlan: Sendable {
    /// The address to bind; port 0 takes a free one.
    public let address: Address
    /// The certificates; nil for plain ws and http.
    public let certificates: CertificateStore?
    /// What holds for those who speak HTTP/2; nil where the certificates do not offer it.
    public var multiplexing: MultiplexRules?
    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1) on every answer; nil for none.
    public var strictTransportSecurity: String?
    /// Whether every request is sent on to the https listener instead of being served.
    public var redirectsToHTTPS = false
    /// Whether each connection begins with a header of the PROXY protocol.
    public var expectsProxyHeader = false
    /// What routes call it; empty where none names it.
    public var name = ""
    /// Proxies in front, whose `X-Forwarded-…` and `Forwarded` are taken over.
    public var trustedProxies: [AddressBlock] = []

    /// A plan to listen at `address`; without `certificates` for plain ws and http.
    public init(address: Address, certificates: CertificateStore?) {
        self.address = address
        self.certificates = certificates
    }
}

/// A listening socket that every reactor watches.
final class SharedListener: Sendable {
    /// The address that was asked for, which may leave the port open.
    let asked: Address
    private let listener: Listener

    /// Binds; `others` are sockets that are about to be closed.
    init(
        _ address: Address, beside others: [(address: Address, descriptor: Int32)] = []
    ) throws(SystemError) {
        asked = address
        let inTheWay = others.filter { $0.address.standsInTheWay(of: address) }
        listener = try Listener(address: address, beside: inTheWay.map(\.descriptor))
    }

    init(adopting descriptor: Int32, as address: Address) {
        asked = address
        listener = Listener(adopting: descriptor, as: address)
    }

    var address: Address { listener.address }
    var descriptor: Int32 { listener.descriptor }
    func accept() -> AcceptResult { listener.accept() }
    func removeFile() { listener.removeFile() }
}

/// Listening sockets that another process has handed on, by the address each was asked for.
public struct InheritedListeners: Sendable {
    var sockets: [(address: Address, descriptor: Int32)]
    /// Whether a service manager has opened sockets and keeps them: to close them here does not end them.
    let areKept: Bool

    /// Takes the descriptors over; `areKept` if a service manager has them open too.
    public init(
        _ sockets: [(address: Address, descriptor: Int32)] = [], areKept: Bool = false
    ) {
        self.sockets = sockets
        self.areKept = areKept
    }

    /// Those that nobody has asked for.
    var left: [Int32] { sockets.map(\.descriptor) }

    /// Those that end when they are closed, with the addresses as bound.
    var ending: [(address: Address, descriptor: Int32)] {
        if areKept { return [] }
        return sockets.map { socket in
            let port = Listener.address(of: socket.descriptor)?.port
            return (socket.address.with(port: port ?? socket.address.port), socket.descriptor)
        }
    }

    mutating func take(_ address: Address) -> SharedListener? {
        let index = sockets.firstIndex { socket in
            // Who hands on a socket may have said "everywhere" in other words.
            socket.address == address
                || socket.address.isWildcard && address.isWildcard
                    && socket.address.isIPv6 && address.isIPv6
                    && socket.address.port == address.port
        }
        guard let index else { return nil }
        return SharedListener(adopting: sockets.remove(at: index).descriptor, as: address)
    }
}

/// Accepts connections, terminates TLS, judges upgrade requests and relays what they open.
///
/// The face of the engine to the rest of the program: made, started, changed, told to drain, waited
/// for.
public final class Frontend: Sendable {
    private struct State {
        var entrances: [Entrance]
        var addresses: [Address]
        var snapshot: Snapshot
        var nextNumber: Int
        /// The addresses of all listeners that there ever were, by number.
        var listeners: [Int: Address] = [:]
        var threads: [ReactorThread] = []
        var isLeaving = false
        var drained: DrainedNames
        /// Counts of routes that are not served any more.
        var keptTallies = KeptTallies()
        /// Drains of routes and endpoints that are not done.
        var drains: [Drain] = []
    }

    let crew: Crew
    /// What relays of the process before have, and this one has not.
    let gone = Gone()
    let taps = TapRoom()
    private let state: Mutex<State>
    /// Whether a listening socket ends when it is closed here.
    private let ownsSockets: Bool
    /// Descriptors that it was handed and does not listen at; they are closed.
    public let untaken: [Int32]

    /// Binds all addresses.
    ///
    /// - Parameters:
    ///   - plans: where to listen.
    ///   - routing: which requests go where.
    ///   - settings: bounds and deadlines.
    ///   - workers: how many reactors to run.
    ///   - journal: where records and events go.
    ///   - spans: where spans of traces go.
    ///   - inherited: sockets that listen already.
    ///   - drained: what takes no new relays from the start.
    /// - Throws: `SystemError` when an address can't be bound.
    public init(
        listening plans: [ListenerPlan], routing: Routing, settings: FrontendSettings,
        workers: Int, journal: Journal, spans: SpanSink = SpanSink(),
        inheriting inherited: InheritedListeners = .init(),
        drained: DrainedNames = .init()
    ) throws(SystemError) {
        ownsSockets = !inherited.areKept
        var inherited = inherited
        var entrances: [Entrance] = []
        for (number, plan) in plans.enumerated() {
            let socket: SharedListener
            if let known = inherited.take(plan.address) {
                socket = known
            } else {
                socket = try SharedListener(plan.address, beside: inherited.ending)
            }
            entrances.append(
                Entrance(number: number, socket: socket, plan: plan, settings.headLimits))
        }
        // At the start, not in the first connection's time.
        if settings.releases { _ = TLSSession.canReleaseOpenSSL }
        untaken = inherited.left
        for descriptor in untaken { _ = Socket(adopting: descriptor) }
        crew = try Crew(count: workers, journal: journal, spans: spans)
        drained.apply(to: routing)
        state = Mutex(
            State(
                entrances: entrances, addresses: entrances.map(\.socket.address),
                snapshot: Snapshot(settings: settings, routing: routing, entrances: entrances),
                nextNumber: plans.count,
                listeners: Self.addresses(of: entrances), drained: drained))
    }

    private static func addresses(of entrances: [Entrance]) -> [Int: Address] {
        Dictionary(entrances.map { ($0.number, $0.socket.address) }) { $1 }
    }

    /// What is served now, and all listeners that there ever were, by their numbers.
    var served: (routing: Routing, entrances: [Int], listeners: [Int: Address]) {
        state.withLock { ($0.snapshot.routing, $0.entrances.map(\.number), $0.listeners) }
    }

    /// What there is, by name.
    var directory: RelayDirectory {
        state.withLock { RelayDirectory($0.snapshot.routing, $0.entrances, gone: gone) }
    }

    /// Lets go of the counts of routes that are gone for long enough, behind a scrape that has told them.
    func tendTallies() {
        state.withLock {
            $0.keptTallies.tend($0.snapshot.routing, nowMilliseconds: Clock.nowMilliseconds())
        }
    }

    /// The addresses as bound, in the order of the plans; the last ones once it leaves.
    public var addresses: [Address] { state.withLock { $0.addresses } }

    /// The listening sockets, with the addresses that were asked for.
    public var sockets: [(address: Address, descriptor: Int32)] {
        state.withLock { $0.entrances.map { ($0.socket.asked, $0.socket.descriptor) } }
    }

    /// Starts the reactors, one thread each.
    ///
    /// - Throws: `SystemError` when there is no room for a thread or an epoll set.
    public func start() throws(SystemError) {
        let crew = self.crew
        for index in crew.mailboxes.indices {
            let thread = try ReactorThread.start(name: "sluice-\(index)", cpu: nil) { [self] in
                do throws(SystemError) {
                    // The reactor alone holds the listeners here: as it lets go of them in a drain,
                    // nobody listens any more.
                    var worker = Worker(
                        index: index, crew: crew, snapshot: state.withLock { $0.snapshot },
                        entrances: state.withLock { $0.entrances }, poller: try Poller())
                    worker.run()
                    crew.loads[index].end()
                    for message in crew.mailboxes[index].take() { worker.turnDown(message) }
                } catch {
                    crew.loads[index].exclude()
                    crew.journal.event(
                        LogEvent(.error, "Reactor \(index) could not start: \(error)."))
                }
            }
            state.withLock { $0.threads.append(thread) }
        }
    }

    /// Serves by other rules from now on, at other addresses.
    ///
    /// A socket whose address stays is kept, new ones are bound before old ones close, and live
    /// relays keep the rules that they began with, unless their route is gone and says otherwise.
    /// Returns when every reactor has taken it up.
    ///
    /// - Parameters:
    ///   - plans: where to listen.
    ///   - routing: which requests go where.
    ///   - settings: bounds and deadlines.
    ///   - removal: how relays of removed routes end that ask for it.
    /// - Returns: the drain of those relays, if there are any routes of that kind.
    /// - Throws: `SystemError` when an address can't be bound; then nothing has changed.
    @discardableResult
    public func use(
        listening plans: [ListenerPlan], routing: Routing, settings: FrontendSettings,
        removal: DrainPlan
    ) throws(SystemError) -> Drain? {
        let (before, standing, first, isLeaving) = state.withLock {
            ($0.snapshot, $0.entrances, $0.nextNumber, $0.isLeaving)
        }
        if isLeaving { return nil }
        var left = standing
        var number = first
        var entrances: [Entrance] = []
        for plan in plans {
            let index =
                left.firstIndex { $0.socket.asked == plan.address }
                ?? left.firstIndex { $0.socket.address == plan.address }
            if let index {
                let known = left.remove(at: index)
                entrances.append(
                    Entrance(
                        number: known.number, socket: known.socket, plan: plan,
                        settings.headLimits))
            } else {
                let standing = left.map { ($0.socket.address, $0.socket.descriptor) }
                let socket = try SharedListener(
                    plan.address, beside: ownsSockets ? standing : [])
                entrances.append(
                    Entrance(number: number, socket: socket, plan: plan, settings.headLimits))
                number += 1
            }
        }
        let snapshot = Snapshot(settings: settings, routing: routing, entrances: entrances)
        let names = Set(routing.routes.map(\.name))
        takeStock(for: routing, settings)
        state.withLock {
            // Before anybody is sent there.
            $0.drained.apply(to: routing)
            let open = names.subtracting($0.drained.routes)
            for drain in $0.drains where !drain.plan.routes.isDisjoint(with: open) {
                // Its routes had been taken out, and are there again.
                drain.takeNoneLate()
            }
            $0.snapshot = snapshot
            $0.keptTallies.tend(routing, nowMilliseconds: Clock.nowMilliseconds())
            $0.entrances = entrances
            $0.addresses = entrances.map(\.socket.address)
            $0.nextNumber = number
            $0.listeners.merge(Self.addresses(of: entrances)) { $1 }
        }
        let ready = entrances
        ask { .use(snapshot, ready, done: $0) }
        endStock(for: routing, settings)
        // There may be more places now.
        routing.callWaiting()
        // Where an upstream has no line any more, those in it are served or refused by its new rules.
        for old in before.routing.upstreams where (old.queue?.count ?? 0) > 0 {
            let new = routing.upstreams.first { $0.picker.name == old.picker.name }
            if let new, new.queue == nil { old.queue?.callAll() }
        }
        for entrance in left {
            entrance.socket.removeFile()
            acceptLast(entrance, settings)
        }
        // Here and not on a reactor the old one is taken apart.
        let gone = before.routing.routes.filter { $0.drainsWhenRemoved && !names.contains($0.name) }
        if gone.isEmpty { return nil }
        var plan = removal
        plan.routes = Set(gone.map(\.name))
        plan.takesLate = true
        return end(plan)
    }

    /// Accepts the connections that have come to a listener since the reactors have left it.
    ///
    /// They would be refused as it closes. Those for which there is no room are.
    private func acceptLast(_ entrance: Entrance, _ settings: FrontendSettings) {
        while crew.connectionCount < settings.connectionsMax, crew.hasDescriptors(2) {
            switch entrance.socket.accept() {
            case .accepted(let descriptor, let client):
                guard OpenFiles.mayStay(descriptor) else {
                    _ = Socket(adopting: descriptor)
                    return
                }
                let worker = crew.leastLoaded(own: 0)
                crew.loads[worker].opened()
                crew.mailboxes[worker].post(
                    .adopt(descriptor: descriptor, client: client, entrance: entrance))
            case .aborted: continue
            case .blocked, .exhausted: return
            }
        }
    }

    /// Asks every reactor for an answer and waits for all, up to a few seconds.
    ///
    /// - Returns: whether all have answered.
    @discardableResult
    func ask(
        within milliseconds: UInt64 = 5_000, _ message: (Mailbox<Int>) -> WorkerMessage
    ) -> Bool {
        var asked = post(message)
        return asked.wait(within: milliseconds)
    }

    /// Asks every reactor for an answer, which may be waited for later.
    func post(_ message: (Mailbox<Int>) -> WorkerMessage) -> AskedReactors {
        guard let answers = try? Mailbox<Int>() else { return AskedReactors(answers: nil) }
        var asked = AskedReactors(answers: answers)
        for (index, mailbox) in crew.mailboxes.enumerated() where !crew.loads[index].hasEnded {
            mailbox.post(message(answers))
            asked.awaited += 1
        }
        return asked
    }

    /// Whether every reactor turns: false when one has not answered in time.
    public func isResponsive(within milliseconds: UInt64) -> Bool {
        ask(within: milliseconds) { .beat($0) }
    }

    /// Stops listening and sends a Close to every relay at its next frame border.
    ///
    /// - Parameters:
    ///   - plan: how; routes and endpoint do not count.
    ///   - isReplaced: whether another process listens at the same sockets now.
    ///   - untaken: descriptors of sockets at which that one does not listen.
    /// - Returns: how far it is.
    @discardableResult
    public func leave(
        _ plan: DrainPlan, isReplaced: Bool = false, untaken: Set<Int32> = []
    ) -> Drain {
        var plan = plan
        plan.routes = []
        plan.endpoint = nil
        plan.isReplaced = isReplaced
        plan.untaken = untaken
        let drain = Drain(plan, workers: crew.mailboxes.count)
        for (index, mailbox) in crew.mailboxes.enumerated() {
            if crew.loads[index].hasEnded {
                // It listens nowhere, and has nobody to tell.
                drain.stoppedListening()
                drain.looked()
                drain.told(by: 1, count: 0)
            } else {
                mailbox.post(.leave(drain))
            }
        }
        state.withLock { state in
            for entrance in state.entrances
            where !isReplaced || untaken.contains(entrance.socket.descriptor) {
                entrance.socket.removeFile()
            }
            state.entrances = []
            state.isLeaving = true
        }
        return drain
    }

    /// Ends the relays that the plan names, and takes no new ones there.
    @discardableResult
    public func drain(_ plan: DrainPlan) -> Drain {
        setDraining(true, plan)
        var plan = plan
        plan.takesLate = true
        return end(plan)
    }

    /// Ends relays that the plan names; new ones go on coming.
    @discardableResult
    public func end(_ plan: DrainPlan) -> Drain {
        let drain = Drain(plan, workers: crew.mailboxes.count)
        state.withLock { state in
            state.drains.removeAll { $0.progress.isDone }
            state.drains.append(drain)
        }
        for (index, mailbox) in crew.mailboxes.enumerated() {
            if crew.loads[index].hasEnded {
                drain.looked()
                drain.told(by: 1, count: 0)
            } else {
                mailbox.post(.drain(drain))
            }
        }
        return drain
    }

    /// What takes no new relays, by name.
    public var drained: DrainedNames { state.withLock { $0.drained } }

    /// Takes new relays again where a drain has stopped that; a drain that is under way there ends.
    ///
    /// - Returns: the drains that were ended so, each with how far it came.
    @discardableResult
    public func resume(_ plan: DrainPlan) -> [Drain] {
        let (routing, ended) = state.withLock { state in
            let ended = state.drains.filter { drain in
                drain.plan.takesLate && !drain.progress.isDone
                    && drain.plan.endpoint == plan.endpoint
                    && drain.plan.routes == plan.routes
            }
            // Who comes in behind this stays, whichever reactor has heard of it.
            for drain in ended { drain.stop() }
            state.drains.removeAll { $0.isStopped }
            return (state.snapshot.routing, ended)
        }
        setDraining(false, plan)
        for drain in ended {
            for mailbox in crew.mailboxes { mailbox.post(.stop(drain)) }
        }
        routing.callWaiting()
        return ended
    }

    /// These addresses have left their names: what has them when they come again may be another app, which
    /// nobody has drained.
    public func forgetDrains(ofEndpoints labels: Set<String>) {
        state.withLock { $0.drained.endpoints.subtract(labels) }
    }

    private func setDraining(_ isDraining: Bool, _ plan: DrainPlan) {
        state.withLock { state in
            state.drained.set(plan, isDrained: isDraining)
            state.drained.apply(to: state.snapshot.routing)
        }
    }

    /// Live relays, a piece of each reactor's at a time.
    ///
    /// - Parameters:
    ///   - filter: which.
    ///   - countMax: how many at most.
    /// - Returns: what is known of them.
    public func relays(_ filter: RelayFilter, countMax: Int) -> [RelayFacts] {
        guard let answers = try? Mailbox<RelayList>() else { return [] }
        var relays: [RelayFacts] = []
        for (index, mailbox) in crew.mailboxes.enumerated() where !crew.loads[index].hasEnded {
            var next: Int? = 0
            while let first = next, relays.count < countMax {
                mailbox.post(.list(filter, from: first, answer: answers))
                guard answers.wait(milliseconds: 2_000), let list = answers.take().first else {
                    return relays
                }
                relays += list.relays.prefix(countMax - relays.count)
                next = list.next
            }
        }
        return relays
    }

    /// Ends one relay with a Close.
    ///
    /// - Returns: what has become of it; nil where its reactor did not answer in time.
    public func end(_ relay: RelayID, code: UInt16) -> EndedRelay? {
        guard crew.mailboxes.indices.contains(relay.worker), !crew.loads[relay.worker].hasEnded
        else { return .noRelay }
        guard let answers = try? Mailbox<EndedRelay>() else { return nil }
        crew.mailboxes[relay.worker].post(.end(relay.token, code: code, answer: answers))
        return answers.wait(milliseconds: 2_000) ? answers.take().first : nil
    }

    /// Gives one relay more time before it ends with its token.
    ///
    /// - Returns: what has become of it; nil where its reactor did not answer in time.
    public func extend(
        _ relay: RelayID, by wanted: RelayExtension
    ) -> RelayExtension.Outcome? {
        guard crew.mailboxes.indices.contains(relay.worker), !crew.loads[relay.worker].hasEnded
        else { return .noRelay }
        guard let answers = try? Mailbox<RelayExtension.Outcome>() else { return nil }
        crew.mailboxes[relay.worker].post(.extend(relay.token, wanted, answer: answers))
        return answers.wait(milliseconds: 2_000) ? answers.take().first : nil
    }

    /// Ends all relays that a filter lets pass with a Close.
    ///
    /// - Parameters:
    ///   - filter: which.
    ///   - code: that of the Close.
    ///   - reason: the text in it, up to 123 bytes (RFC 6455 §5.5); empty for none.
    /// - Returns: how many were told; nil where a reactor did not answer in time.
    public func end(_ filter: RelayFilter, code: UInt16, reason: String) -> Int? {
        guard let answers = try? Mailbox<EndedRelays>() else { return nil }
        let text = reason.isEmpty ? nil : CloseText(reason)
        var count = 0
        for (index, mailbox) in crew.mailboxes.enumerated() where !crew.loads[index].hasEnded {
            var next: Int? = 0
            while let first = next {
                mailbox.post(
                    .endAll(
                        filter, from: first, code: code, text: text, answer: answers
                    ))
                guard answers.wait(milliseconds: 2_000), let ended = answers.take().first else {
                    return nil
                }
                count += ended.count
                next = ended.next
            }
        }
        return count
    }

    /// Closes everything now.
    public func cut() {
        for mailbox in crew.mailboxes { mailbox.post(.cut) }
    }

    /// Waits until all reactors have ended.
    public func wait() {
        for thread in state.withLock({ $0.threads }) { thread.join() }
    }

    /// Connections open at this moment.
    public var connectionCount: Int { crew.connectionCount }

    /// Descriptors that the connections of all reactors have or are going to need.
    public var descriptorClaims: Int { crew.descriptorClaims }

    /// Sessions that have gone on without OpenSSL's object, since the start.
    public var releasedSessionCount: Int { crew.settledCount.load(ordering: .relaxed) }

    /// Connections of each reactor.
    public var connectionCounts: [Int] { crew.loads.map { $0.isExcluded ? 0 : $0.count } }
}

/// Reactors that were asked, and have not all answered.
struct AskedReactors: Sendable {
    /// Nil where there was no descriptor for it, so that none was asked.
    let answers: Mailbox<Int>?
    /// How many have not answered.
    var awaited = 0

    init(answers: Mailbox<Int>?) { self.answers = answers }

    /// Waits for all; whether all have answered.
    mutating func wait(within milliseconds: UInt64) -> Bool {
        guard let answers else { return false }
        let deadline = Clock.nowMilliseconds() + min(milliseconds, 86_400_000)
        awaited -= answers.take().count
        while awaited > 0 {
            let now = Clock.nowMilliseconds()
            guard now < deadline, answers.wait(milliseconds: Int32(deadline - now)) else {
                return false
            }
            awaited -= answers.take().count
        }
        return true
    }
}
