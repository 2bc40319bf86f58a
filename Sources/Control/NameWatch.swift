// SPDX-License-Identifier: Apache-2.0
public import Frontend
import Glibc
public import Reactor
import Synchronization

/// Looks the names of endpoints up, at the start and from time to time, on a thread of its own.
///
/// A name that stops resolving keeps the addresses it had: an outage of DNS is not one of ours.
public final class NameWatch: Sendable {
    private let endpoints: Mutex<[Endpoint]>
    private let journal: Journal
    private let door: Mailbox<Bool>
    private let thread = Mutex<ReactorThread?>(nil)
    /// Labels of the endpoints whose name did not resolve the last time.
    private let failing = Mutex<Set<String>>([])

    /// How often names are looked up anew.
    public static let intervalMilliseconds: Int32 = 30_000

    /// Takes those of the endpoints that have a name.
    ///
    /// - Parameters:
    ///   - endpoints: of all upstreams.
    ///   - journal: learns of names that do not resolve.
    /// - Throws: `SystemError` when there is no descriptor left.
    public init(_ endpoints: [Endpoint], journal: Journal) throws(SystemError) {
        self.endpoints = Mutex(endpoints.filter { $0.host != nil })
        self.journal = journal
        door = try Mailbox()
    }

    /// Looks all names up once, now, and then again and again until `stop`.
    public func start() throws(SystemError) {
        lookUpAll()
        let started = try ReactorThread.start(name: "sluice-names") { [self] in
            while true {
                var waitFor = pollfd(fd: door.descriptor, events: Int16(POLLIN), revents: 0)
                _ = poll(&waitFor, 1, Self.intervalMilliseconds)
                if !door.take().isEmpty { return }
                lookUpAll()
            }
        }
        thread.withLock { $0 = started }
    }

    /// Ends the thread; does not wait for a look-up that is under way.
    public func stop() { door.post(true) }

    /// Watches these from now on; those without addresses are looked up before it returns.
    public func watch(_ endpoints: [Endpoint]) {
        let named = endpoints.filter { $0.host != nil }
        self.endpoints.withLock { $0 = named }
        failing.withLock { $0.formIntersection(named.map(\.label)) }
        for endpoint in named where endpoint.addresses.isEmpty { lookUp(endpoint) }
    }

    /// Looks every name up; a name that stops resolving, or resolves again, is said once.
    func lookUpAll() {
        for endpoint in endpoints.withLock({ $0 }) { lookUp(endpoint) }
    }

    private func lookUp(_ endpoint: Endpoint) {
        guard let host = endpoint.host else { return }
        let label = endpoint.label
        do throws(ResolveFault) {
            let found = try Resolver.resolve(host: host, port: endpoint.port)
            if found != endpoint.addresses { endpoint.addresses = found }
            if failing.withLock({ $0.remove(label) }) != nil {
                journal.event(LogEvent(.info, "The upstream \(label): \(host) resolves again."))
            }
        } catch {
            guard failing.withLock({ $0.insert(label) }).inserted else { return }
            let kept = endpoint.addresses
            let rest = kept.isEmpty ? "" : " Its last known addresses stay in use."
            let sentence = "The upstream \(label): \(error.sentence).\(rest)"
            journal.event(LogEvent(.warning, sentence))
        }
    }
}
