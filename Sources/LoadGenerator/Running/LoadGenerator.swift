// SPDX-License-Identifier: Apache-2.0
import Reactor
import TLS

/// Generates load for a WebSocket server and measures what comes back.
public enum LoadGenerator {
    /// Carries a plan out, on the calling thread; returns when it is done.
    ///
    /// - Parameters:
    ///   - plan: what to do.
    ///   - onOpen: told how many connections are open, before traffic begins; not for `connect`.
    /// - Returns: what was measured; single connections that fail are counted in it.
    /// - Throws: `LoadFault` when the load cannot begin at all.
    public static func run(
        _ plan: LoadPlan, onOpen: @escaping (Int) -> Void = { _ in }
    ) throws(LoadFault) -> LoadReport {
        try plan.check()
        if let missing = ProcessWatch(processes: plan.watchedProcesses).missing() {
            throw LoadFault("there is no process \(missing) to watch")
        }
        OpenFiles.raiseLimit()
        if let cpu = plan.cpu, !ReactorThread.pinCurrent(toCPU: cpu) {
            throw LoadFault("core \(cpu) cannot be used")
        }
        let opening = try OpeningHandshake(target: plan.target, dialing: plan.dialing)
        let address = try reachableAddress(of: plan.target)
        do {
            let context = plan.target.isSecure ? try clientContext(of: plan) : nil
            var loop = try LoadLoop(
                plan: plan, address: address, context: context, opening: opening)
            loop.run(onOpen: onOpen)
            return loop.report()
        } catch {
            throw LoadFault("\(error)")
        }
    }

    /// The context of all TLS sessions of a plan.
    static func clientContext(of plan: LoadPlan) throws(TLSError) -> TLSContext {
        let protocols = [plan.streams == nil ? ALPN.http1 : ALPN.http2]
        let dialing = plan.dialing
        switch dialing.trust {
        case .anything:
            return try TLSContext.client(
                trustingSystemAnd: [], presenting: dialing.identity,
                cipherSuites: plan.cipherSuites, applicationProtocols: protocols,
                isVerifying: false)
        case .file(let file):
            return try TLSContext.client(
                trusting: file, cipherSuites: plan.cipherSuites,
                applicationProtocols: protocols)
        case .systemAnd(let files):
            return try TLSContext.client(
                trustingSystemAnd: files, presenting: dialing.identity,
                cipherSuites: plan.cipherSuites, applicationProtocols: protocols)
        }
    }

    /// The first address of the target that answers.
    static func reachableAddress(of target: LoadTarget) throws(LoadFault) -> Address {
        if let address = target.address { return address }
        let addresses: [Address]
        do throws(ResolveFault) {
            addresses = try Resolver.resolve(host: target.host, port: target.port)
        } catch {
            throw LoadFault(error.sentence)
        }
        var reason = ""
        for address in addresses {
            let code = connectError(address)
            if code == 0 { return address }
            reason = "connect \(address): \(SystemError.text(of: code))"
        }
        throw LoadFault(reason)
    }

    /// Connects once and says with which error that failed; 0 for none.
    static func connectError(_ address: Address) -> Int32 {
        do throws(SystemError) {
            let socket = try Socket.stream(for: address)
            switch socket.connect(to: address) {
            case .connected: return 0
            case .failed(let code): return code
            case .inProgress:
                var poller = try Poller(eventsMax: 1)
                _ = poller.add(socket.descriptor, .fixed(0), .edgeBoth)
                // ETIMEDOUT is what the system would say, minutes later.
                return poller.wait(timeoutMilliseconds: 5000) > 0 ? socket.pendingError() : 110
            }
        } catch {
            return error.code
        }
    }
}
