// SPDX-License-Identifier: Apache-2.0
import Reactor
import Synchronization
import TLS
import Wire

/// What other threads may ask of a reactor.
enum WorkerMessage: Sendable {
    /// Take over a connection that another reactor accepted; its descriptor is the receiver's.
    case adopt(descriptor: Int32, client: Address, listener: Int)
    /// Use these certificates for new connections; one for each listener, nil where it is plain.
    case certificates([CertificateStore?])
    /// Stop listening and bring every connection to an orderly end by then.
    case drain(code: UInt16, deadlineMilliseconds: UInt64)
    /// Close everything now.
    case cut
}

/// How many connections a reactor has: what new ones are balanced by.
final class WorkerLoad: Sendable {
    private let connections = Atomic<Int>(0)

    var count: Int { connections.load(ordering: .relaxed) }
    func opened() { connections.wrappingAdd(1, ordering: .relaxed) }
    func closed() { connections.wrappingSubtract(1, ordering: .relaxed) }

    /// Makes the reactor the last that is given anything, because it could not start.
    func exclude() { connections.store(Self.excluded, ordering: .relaxed) }

    private static let excluded = 1 << 40
    /// Whether it could not start.
    var isExcluded: Bool { count >= Self.excluded }
}

/// A listener as all reactors know it.
struct ListenerFacts: Sendable {
    /// The address as bound.
    let address: Address
    /// Whether it speaks TLS.
    let isSecure: Bool
    /// The `Strict-Transport-Security` of its answers.
    let strictTransportSecurity: String?
    /// Whether it sends every request on to https.
    let redirectsToHTTPS: Bool
}

/// What all reactors of a Frontend share.
final class Crew: Sendable {
    let mailboxes: [Mailbox<WorkerMessage>]
    let loads: [WorkerLoad]
    /// Sessions that went on without OpenSSL's object, since the start.
    let settledCount = Atomic<Int>(0)
    let settings: FrontendSettings
    let journal: Journal
    let routing: Routing
    /// The listeners, in the order of the plans.
    let listeners: [ListenerFacts]

    init(
        count: Int, settings: FrontendSettings, journal: Journal, routing: Routing,
        listeners: [ListenerFacts]
    ) throws(SystemError) {
        var mailboxes: [Mailbox<WorkerMessage>] = []
        for _ in 0..<count { mailboxes.append(try Mailbox()) }
        self.mailboxes = mailboxes
        loads = (0..<count).map { _ in WorkerLoad() }
        self.settings = settings
        self.journal = journal
        self.routing = routing
        self.listeners = listeners
    }

    /// A URL of the first listener that speaks TLS; `scheme` is `https` or `wss`, whose default port
    /// is left out.
    func secureURL(_ scheme: String, _ host: HostName, path: String) -> String {
        let name = host.isIPv6 ? "[\(host.name)]" : host.name
        let port = listeners.first { $0.isSecure }?.address.port ?? 443
        return scheme + "://" + name + (port == 443 ? "" : ":\(port)") + path
    }

    /// The reactor with the fewest connections; `own` unless another has really fewer.
    func leastLoaded(own: Int) -> Int {
        var best = own
        var fewest = loads[own].count
        for (index, load) in loads.enumerated() where index != own {
            let count = load.count
            if count < fewest {
                best = index
                fewest = count
            }
        }
        return best
    }

    /// Connections of all reactors together.
    var connectionCount: Int { loads.reduce(0) { $0 + ($1.isExcluded ? 0 : $1.count) } }
}
