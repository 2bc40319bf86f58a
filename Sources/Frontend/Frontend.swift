// SPDX-License-Identifier: Apache-2.0
public import Reactor
import Splice
import Synchronization
public import TLS

/// Where to listen, and with which certificates.
public struct ListenerPlan: Sendable {
    /// The address to bind; port 0 takes a free one.
    public let address: Address
    /// The certificates; nil for plain ws and http.
    public let certificates: CertificateStore?
    /// The value of `Strict-Transport-Security` (RFC 6797 §6.1) on every answer; nil for none.
    public var strictTransportSecurity: String?
    /// Whether every request is sent on to the https listener instead of being served.
    public var redirectsToHTTPS = false

    /// A plan of both.
    public init(address: Address, certificates: CertificateStore?) {
        self.address = address
        self.certificates = certificates
    }
}

/// A listening socket that every reactor watches.
final class SharedListener: Sendable {
    private let listener: Listener

    init(_ address: Address) throws(SystemError) { listener = try Listener(address: address) }

    var address: Address { listener.address }
    var descriptor: Int32 { listener.descriptor }
    func accept() -> AcceptResult { listener.accept() }
    func removeFile() { listener.removeFile() }
}

/// Accepts connections, terminates TLS, judges upgrade requests and relays what they open.
///
/// The face of the engine to the rest of the program: made, started, told to drain, waited for.
public final class Frontend: Sendable {
    private struct State {
        var listeners: [SharedListener]
        var threads: [ReactorThread] = []
    }

    /// The addresses as bound, in the order of the plans.
    public let addresses: [Address]
    let crew: Crew
    private let state: Mutex<State>
    private let certificates: [CertificateStore?]

    /// Binds all addresses.
    ///
    /// - Parameters:
    ///   - plans: where to listen.
    ///   - routing: which requests go where.
    ///   - settings: bounds and deadlines.
    ///   - workers: how many reactors to run.
    ///   - journal: where records and events go.
    /// - Throws: `SystemError` when an address can't be bound.
    public init(
        listening plans: [ListenerPlan], routing: Routing, settings: FrontendSettings,
        workers: Int, journal: Journal
    ) throws(SystemError) {
        var listeners: [SharedListener] = []
        for plan in plans { listeners.append(try SharedListener(plan.address)) }
        addresses = listeners.map(\.address)
        certificates = plans.map(\.certificates)
        crew = try Crew(
            count: workers, settings: settings, journal: journal, routing: routing,
            listeners: zip(addresses, plans).map { address, plan in
                ListenerFacts(
                    address: address, isSecure: plan.certificates != nil,
                    strictTransportSecurity: plan.strictTransportSecurity,
                    redirectsToHTTPS: plan.redirectsToHTTPS)
            })
        state = Mutex(State(listeners: listeners))
    }

    /// Starts the reactors, one thread each.
    ///
    /// - Throws: `SystemError` when there is no room for a thread or an epoll set.
    public func start() throws(SystemError) {
        let crew = self.crew
        let certificates = self.certificates
        for index in crew.mailboxes.indices {
            let thread = try ReactorThread.start(name: "sluice-\(index)", cpu: nil) { [self] in
                do throws(SystemError) {
                    // The reactor alone holds the listeners here: as it lets go of them in a drain,
                    // nobody listens any more.
                    var worker = Worker(
                        index: index, crew: crew, listeners: state.withLock { $0.listeners },
                        certificates: certificates, poller: try Poller())
                    worker.run()
                } catch {
                    crew.loads[index].exclude()
                    crew.journal.event(
                        LogEvent(.error, "Reactor \(index) could not start: \(error)."))
                }
            }
            state.withLock { $0.threads.append(thread) }
        }
    }

    /// Uses other certificates for new connections; live ones keep theirs.
    ///
    /// - Parameter stores: one for each listener, in the order of the plans.
    public func use(certificates stores: [CertificateStore?]) {
        precondition(stores.count == addresses.count)
        for mailbox in crew.mailboxes { mailbox.post(.certificates(stores)) }
    }

    /// Stops listening and sends a Close to every relay at its next frame border.
    ///
    /// - Parameters:
    ///   - code: the Close code (RFC 6455 §7.4).
    ///   - timeoutMilliseconds: after that, whoever has not answered is cut.
    public func drain(code: UInt16, timeoutMilliseconds: UInt64) {
        let deadline = Clock.nowMilliseconds() + timeoutMilliseconds
        for mailbox in crew.mailboxes {
            mailbox.post(.drain(code: code, deadlineMilliseconds: deadline))
        }
        state.withLock { state in
            for listener in state.listeners { listener.removeFile() }
            state.listeners = []
        }
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
}
