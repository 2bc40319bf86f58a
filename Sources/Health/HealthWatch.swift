// SPDX-License-Identifier: Apache-2.0
public import Ledger
public import Reactor
import Router
import Synchronization

/// Asks endpoints from time to time whether they are well, on a thread of its own.
///
/// What it finds is kept at the endpoints (`EndpointLoad.health`), where every reactor sees it, and
/// so outlives a reload. The thread is there once there is something to check.
public final class HealthWatch: Sendable {
    enum Order: Sendable {
        case watch([CheckedUpstream])
        case stop
    }

    let journal: Journal
    let door: Mailbox<Order>
    private let thread = Mutex<ReactorThread?>(nil)
    private let reports = Mutex<[ObjectIdentifier: HealthReport]>([:])
    /// Those that are checked, kept alive for as long as they have a report.
    private let endpoints = Mutex<[ObjectIdentifier: Endpoint]>([:])

    /// Checks nobody yet.
    ///
    /// - Throws: `SystemError` when there is no descriptor left.
    public init(journal: Journal) throws(SystemError) {
        self.journal = journal
        door = try Mailbox()
    }

    /// Checks these upstreams from now on, and no others.
    ///
    /// Endpoints that were checked before stay what they were found to be, also where they are asked
    /// otherwise from now on. New ones get nothing, as long as there are healthy ones, until their
    /// first check has passed. Those that are not checked any more count as well.
    ///
    /// - Throws: `SystemError` when there is no room for the thread or its epoll set.
    public func watch(_ upstreams: [CheckedUpstream]) throws(SystemError) {
        var checked: [ObjectIdentifier: Endpoint] = [:]
        for endpoint in upstreams.flatMap(\.endpoints) {
            checked[ObjectIdentifier(endpoint)] = endpoint
        }
        try startIfNeeded(!checked.isEmpty)
        let before = endpoints.withLock { endpoints in
            defer { endpoints = checked }
            return endpoints
        }
        for (id, endpoint) in checked where before[id] == nil { endpoint.load.health = .pending }
        for (id, endpoint) in before where checked[id] == nil { endpoint.load.health = .unchecked }
        door.post(.watch(upstreams))
    }

    private func startIfNeeded(_ isNeeded: Bool) throws(SystemError) {
        guard isNeeded, thread.withLock({ $0 == nil }) else { return }
        let started = try ReactorThread.start(name: "sluice-health") { [self] in
            do throws(SystemError) {
                var loop = try HealthLoop(self)
                loop.run()
            } catch {
                journal.event(LogEvent(.error, "Endpoints are not checked: \(error)."))
            }
        }
        thread.withLock { $0 = started }
    }

    /// Ends the thread; checks under way are broken off.
    public func stop() {
        door.post(.stop)
        thread.withLock { $0 }?.join()
    }

    /// What the checks of an endpoint have found; nil before the first one has ended, and where there
    /// are none.
    public func report(of endpoint: Endpoint) -> HealthReport? {
        reports.withLock { $0[ObjectIdentifier(endpoint)] }
    }

    func note(_ report: HealthReport, of endpoint: Endpoint) {
        reports.withLock { $0[ObjectIdentifier(endpoint)] = report }
    }

    func forget(_ endpoint: Endpoint) {
        let id = ObjectIdentifier(endpoint)
        reports.withLock { $0[id] = nil }
        // A check that was under way may have said something after it was let go.
        if endpoints.withLock({ $0[id] == nil }) { endpoint.load.health = .unchecked }
    }
}
