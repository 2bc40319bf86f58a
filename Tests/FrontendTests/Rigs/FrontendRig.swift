// SPDX-License-Identifier: Apache-2.0
import Echo
import Foundation
import Ledger
import Reactor
import Router
import Synchronization
import TLS
import Wire

@testable import Frontend

/// A Frontend in this process, with an echo app behind it.
final class FrontendRig {
    let frontend: Frontend
    let group: EndpointGroup
    let notebook: Notebook
    private let echo: EchoServer

    /// Starts everything; the endpoints are the echo app alone, or what is made of its address.
    private let plans: [ListenerPlan]
    private let routing: Routing
    private let settings: FrontendSettings

    init(
        secure: Bool = false, both: Bool = false, workers: Int = 1,
        certificates: CertificateStore? = nil, settings: FrontendSettings = .init(),
        journal: Journal? = nil, hash: HashSource? = nil, requestFields: FieldEdits = .init(),
        endpoints: (Address) -> [Endpoint] = { [Endpoint(label: "ws://echo", address: $0)] }
    ) throws {
        echo = try EchoServer.start(listening: [Address.loopback(port: 0)])
        let notebook = try Notebook()
        self.notebook = notebook
        group = EndpointGroup(
            name: "app", endpoints: endpoints(echo.addresses[0]),
            rules: UpstreamRules(balance: hash == nil ? .roundRobin : .hash), hash: hash)
        let entry = RouteEntry(
            host: try HostPattern(parsing: nil), path: try PathPattern(parsing: "/*"), place: "test"
        )
        var route = Route(name: "/*", upstream: group)
        route.requestFields = requestFields
        let routing = Routing(table: try RouteTable([entry]), routes: [route])
        let store = secure || both ? try certificates ?? Certificates.shared().first.store() : nil
        var plans = [ListenerPlan(address: .loopback(port: 0), certificates: secure ? store : nil)]
        if both { plans.append(ListenerPlan(address: .loopback(port: 0), certificates: store)) }
        self.plans = plans
        self.routing = routing
        self.settings = settings
        frontend = try Frontend(
            listening: plans, routing: routing, settings: settings, workers: workers,
            journal: journal ?? notebook.journal)
        try frontend.start()
    }

    deinit {
        frontend.cut()
        frontend.wait()
        echo.stop()
    }

    /// Serves with other certificates from now on.
    func use(certificates: [CertificateStore?]) throws {
        let changed = zip(plans, certificates).map { plan, store in
            ListenerPlan(address: plan.address, certificates: store)
        }
        try frontend.use(
            listening: changed, routing: routing, settings: settings,
            removal: DrainPlan(timeoutMilliseconds: 60_000))
    }

    var address: Address { frontend.addresses[0] }

    func visitor(tls: TLSContext? = nil, at index: Int = 0) throws -> Visitor {
        let visitor = try Visitor(frontend.addresses[index], tls: tls)
        visitor.host = self
        return visitor
    }
}

/// A journal whose entries can be waited for.
final class Notebook: Sendable {
    private let records: Mailbox<AccessRecord>
    private let events = Mutex<[LogEvent]>([])
    private let takesRelayOpens: Bool

    init(takesRelayOpens: Bool = false) throws {
        records = try Mailbox()
        self.takesRelayOpens = takesRelayOpens
    }

    var journal: Journal {
        let wishes = JournalWishes()
        wishes.set(requests: true, relayOpens: takesRelayOpens, relayEnds: true)
        return Journal(
            access: { [records] in records.post($0) },
            event: { [self] event in events.withLock { $0.append(event) } }, wishes: wishes)
    }

    var sentences: [String] { events.withLock { $0.map(\.sentence) } }

    /// The records that come next, at least one.
    func next() throws -> [AccessRecord] {
        var waitFor = pollfd(fd: records.descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&waitFor, 1, 20_000) == 1 else {
            throw VisitorFault(description: "no record came")
        }
        return records.take()
    }

    /// So many records.
    func next(_ count: Int) throws -> [AccessRecord] {
        var all: [AccessRecord] = []
        while all.count < count { all += try next() }
        return all
    }
}

/// Two authorities with a certificate for localhost each, made once per process.
struct Certificates: Sendable {
    struct One: Sendable {
        let authority: String
        let files: IdentityFiles

        func store(_ tickets: TicketKeys? = nil) throws -> CertificateStore {
            try CertificateStore(
                [files], options: TLSServerOptions(minimumVersion: .tls12),
                tickets: try tickets ?? TicketKeys())
        }

        func client() throws -> TLSContext { try TLSContext.client(trusting: authority) }
    }

    let first: One
    let second: One
    private let directory: String

    private static let made = Result {
        let made = try Certificates()
        atexit {
            guard let directory = try? Certificates.shared().directory else { return }
            try? FileManager.default.removeItem(atPath: directory)
        }
        return made
    }

    static func shared() throws -> Certificates { try made.get() }

    private init() throws {
        let directory = FileManager.default.temporaryDirectory
            .appendingPathComponent("sluice-frontend-\(UUID().uuidString)").path
        self.directory = directory
        func make(_ name: String) throws -> One {
            let authority = try CertificateAuthority.loadOrMake(in: "\(directory)/\(name)")
            let files = IdentityFiles(
                chain: "\(directory)/\(name)/leaf.pem", key: "\(directory)/\(name)/leaf-key.pem")
            _ = try authority.ensureLeaf(
                for: ["localhost"], chainPath: files.chain, keyPath: files.key)
            return One(authority: authority.certificatePath, files: files)
        }
        first = try make("first")
        second = try make("second")
    }
}

/// An upstream that gives every connection the same answer, on a thread of its own.
final class Answerer: Sendable {
    let endpoint: Endpoint
    private let isOver = Atomic(false)
    private let thread = Mutex<ReactorThread?>(nil)
    private let address: Address

    /// Answers with these bytes and closes.
    init(_ answer: [UInt8]) throws {
        let listener = try Listener(address: .loopback(port: 0))
        address = listener.address
        endpoint = Endpoint(label: "ws://answerer", address: address)
        let descriptor = listener.release()
        let started = try ReactorThread.start(name: "answerer") { [self] in
            let listening = Socket(adopting: descriptor)
            while !isOver.load(ordering: .relaxed) {
                var waitFor = pollfd(
                    fd: listening.descriptor, events: Int16(POLLIN), revents: 0)
                guard poll(&waitFor, 1, 20_000) == 1 else { return }
                guard case .accepted(let accepted, _) = Listener.accept(on: listening.descriptor)
                else { continue }
                Self.answer(Socket(adopting: accepted), answer)
            }
        }
        thread.withLock { $0 = started }
    }

    func stop() {
        isOver.store(true, ordering: .relaxed)
        _ = try? Visitor(address)
        thread.withLock { $0 }?.join()
    }

    private static func answer(_ socket: consuming Socket, _ answer: [UInt8]) {
        var rest = answer[...]
        var request = [UInt8](repeating: 0, count: 65_536)
        var waitFor = pollfd(fd: socket.descriptor, events: Int16(POLLIN), revents: 0)
        // The request is one small piece; without one nothing is answered.
        guard poll(&waitFor, 1, 20_000) == 1,
            case .moved = request.withUnsafeMutableBufferPointer({ bytes in
                bytes.baseAddress.map { socket.receive(into: $0, count: bytes.count) } ?? .ended
            })
        else { return }
        while !rest.isEmpty {
            waitFor.events = Int16(POLLOUT)
            guard poll(&waitFor, 1, 20_000) == 1 else { return }
            let sent = rest.withUnsafeBufferPointer { bytes in
                bytes.baseAddress.map { socket.send($0, count: bytes.count) } ?? .ended
            }
            guard case .moved(let count) = sent else { return }
            rest = rest.dropFirst(count)
        }
    }
}
