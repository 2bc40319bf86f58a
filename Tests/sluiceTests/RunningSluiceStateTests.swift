// SPDX-License-Identifier: Apache-2.0
import Admin
import Foundation
import Glibc
import Reactor
import Testing

@testable import sluice

/// Goal: what a process says of itself is judged, also where a test can't bring it about.
struct RunningSluiceStateTests {
    private func state(_ endpoint: EndpointState? = nil) -> AdminState {
        var state = AdminState()
        state.version = Sluice.version
        state.pid = getpid()
        state.routes = [RouteState(name: "/a", to: "app", relays: 3, isDraining: false)]
        if let endpoint { state.upstreams = [UpstreamState(name: "app", endpoints: [endpoint])] }
        return state
    }

    private func finding(
        _ found: RunningSluice, _ words: String
    ) -> RunningSluice.Finding? {
        found.findings.first { $0.found.contains(words) }
    }

    @Test func `a name without an address is a fault`() {
        let found = RunningSluice.examine(
            state(
                EndpointState(label: "ws://app:1", addresses: [], active: 0, state: .unresolved)))
        #expect(found.exitCode == 71 && found.verdict == "needs-attention")
        #expect(found.sentence == "endpoint ws://app:1: its name has no address.")
        #expect(found.remedy.contains("/etc/hosts"))
    }

    @Test func `one whose checks fail is a fault, though it takes connections`() throws {
        let listener = try Listener(address: .loopback(port: 0))
        var endpoint = EndpointState(
            label: "ws://app:1", addresses: ["\(listener.address)"], active: 0,
            state: .unhealthy)
        endpoint.health = HealthState(
            isHealthy: false, since: "", lastCheck: "", lastPassed: false)
        endpoint.health?.lastError = "it answers 500"
        let found = RunningSluice.examine(state(endpoint))
        #expect(found.verdict == "needs-attention")
        #expect(found.sentence.contains("its health checks fail: it answers 500"), "\(found)")
        endpoint.state = .ok
        #expect(RunningSluice.examine(state(endpoint)).verdict == "healthy")
    }

    @Test func `an app at one address of localhost is well, and one of another name is noted`()
        throws
    {
        let listener = try Listener(address: .loopback(port: 0))
        let there = "\(listener.address)"
        let other = Address.loopback(port: listener.address.port, isIPv6: true)
        func examine(_ addresses: [String]) -> RunningSluice {
            RunningSluice.examine(
                state(
                    EndpointState(
                        label: "ws://localhost:1", addresses: addresses, active: 2, state: .ok)))
        }
        let local = examine([there, "\(other)"])
        let well = try #require(finding(local, "takes connections"))
        #expect(well.grade == .good && well.found == "takes connections, 2 active", "\(local)")
        // TEST-NET-1 (RFC 5737): nobody is there.
        let far = examine([there, "192.0.2.1:1"])
        let noted = try #require(finding(far, "not at all of its addresses"))
        #expect(noted.grade == .note && noted.found.contains("192.0.2.1:1"), "\(far)")
        #expect(noted.remedy.contains("Start the app there too") && far.verdict == "healthy")
    }

    @Test func `a drained route is a fault, with what opens it`() {
        var drained = state()
        drained.routes[0].isDraining = true
        let found = RunningSluice.examine(drained)
        #expect(found.exitCode == 71, "\(found)")
        #expect(found.sentence == "route /a: 3 relays, to app; it is drained: new sockets get 503.")
        #expect(found.remedy == "sluice drain --route /a --resume opens it again.")
    }

    @Test func `a route whose endpoints are all drained is a fault, with what opens it`() throws {
        let listener = try Listener(address: .loopback(port: 0))
        func endpoint(_ label: String, _ state: EndpointCondition) -> EndpointState {
            EndpointState(
                label: label, addresses: ["\(listener.address)"], active: 0, state: state)
        }
        var state = state()
        state.routes[0].upstream = "app"
        func examine(_ endpoints: EndpointState...) -> RunningSluice {
            state.upstreams = [UpstreamState(name: "app", endpoints: endpoints)]
            return RunningSluice.examine(state, named: " --admin ./a.sock")
        }
        let closed = examine(endpoint("ws://a:1", .draining), endpoint("ws://b:1", .draining))
        #expect(
            closed.exitCode == 71 && closed.sentence.hasPrefix("route /a: 3 relays"), "\(closed)")
        #expect(closed.sentence.contains("its endpoints are all drained"), "\(closed)")
        #expect(
            closed.remedy.hasPrefix(
                "sluice drain --endpoint ws://a:1 --resume --admin ./a.sock opens"))
        #expect(
            examine(endpoint("ws://a:1", .draining), endpoint("ws://b:1", .left)).exitCode == 71)
        #expect(
            examine(endpoint("ws://a:1", .draining), endpoint("ws://b:1", .ok)).verdict == "healthy"
        )
    }

    @Test func `a listener is named with the protocols that it speaks`() throws {
        let plain = try Listener(address: .loopback(port: 0))
        var state = state()
        func found(_ protocols: [String]?) -> String? {
            var listener = ListenerState(address: "ws://\(plain.address)", certificates: [])
            listener.protocols = protocols
            state.listeners = [listener]
            return RunningSluice.examine(state).findings.first { $0.what == "listener" }?.found
        }
        #expect(found(["http/1.1"]) == "takes connections, http/1.1, without TLS")
        #expect(found(nil) == "takes connections, without TLS")
    }

    @Test func `a log that can't be written is a fault, one that could not be a note`() {
        var full = state()
        full.unwrittenLogLines = 3
        #expect(finding(RunningSluice.examine(full), "3 log lines were lost")?.grade == .note)
        full.logProblem = "No space left on device"
        let found = RunningSluice.examine(full)
        #expect(found.verdict == "needs-attention" && found.sentence.contains("No space left"))
    }

    @Test func `one that is stopping is a fault`() {
        var leaving = state()
        leaving.isReady = false
        let found = RunningSluice.examine(leaving)
        #expect(found.verdict == "needs-attention" && found.sentence.contains("it is stopping"))
    }

    @Test func `what is worth knowing is a note, and nothing has to be mended`() {
        var other = state()
        other.version = "0.0.1"
        other.droppedLogLines = 7
        let found = RunningSluice.examine(other)
        #expect(found.verdict == "healthy" && found.exitCode == 0 && found.remedy.isEmpty)
        for words in ["has version \(Sluice.version)", "7 log lines were lost"] {
            #expect(finding(found, words)?.grade == .note, "\(words)")
        }
    }

    @Test func `descriptors that have run out are a fault, and a few that are left are none`() {
        var full = state()
        full.descriptors = DescriptorState(used: 98, most: 100)
        #expect(RunningSluice.examine(full).verdict == "healthy")
        full.descriptors = DescriptorState(used: 99, most: 100)
        let found = RunningSluice.examine(full)
        #expect(
            found.verdict == "needs-attention" && found.sentence.contains("all 100 descriptors"))
        #expect(found.remedy.contains("ulimit -n"))
    }

    @Test func `a reload that failed is a fault, with its problem`() {
        var failed = state()
        failed.configuration.file = "/nowhere/sluice.yaml"
        failed.configuration.lastProblem = "sluice.yaml:1:1: oh"
        let found = RunningSluice.examine(failed)
        #expect(found.verdict == "needs-attention")
        #expect(found.sentence.contains("the last reload failed: sluice.yaml:1:1: oh"))
        #expect(found.remedy.hasPrefix("sluice reload"))
    }

    @Test func `a file that has changed since the reload failed does not make it well`() throws {
        let path = NSTemporaryDirectory() + "/doctor-\(UUID().uuidString).yaml"
        defer { unlink(path) }
        let text = """
            listen: [{ address: "127.0.0.1:0" }]
            routes: [{ path: /, respond: { status: 204 } }]

            """
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        var changed = state()
        changed.configuration.file = path
        changed.configuration.loaded = "2026-01-01T00:00:00Z"
        let noted = RunningSluice.examine(changed)
        #expect(noted.exitCode == 0, "\(noted)")
        #expect(finding(noted, "the file changed after it was read")?.grade == .note)
        changed.configuration.lastProblem = "127.0.0.1:9 is taken"
        let failed = RunningSluice.examine(changed)
        #expect(failed.exitCode == 71, "\(failed)")
        #expect(failed.sentence.contains("the last reload failed: 127.0.0.1:9 is taken"))
    }

    @Test func `a drained endpoint at which requests are under way is told so`() {
        var endpoint = EndpointState(
            label: "ws://10.0.0.2:9000", addresses: ["10.0.0.2:9000"], active: 2, state: .draining)
        #expect(
            DrainCommand.rest(at: "10.0.0.2:9000", state(endpoint))
                == "2 requests are still under way there: wait until sluice status shows ACTIVE 0 before you"
                + " stop the app.")
        #expect(DrainCommand.rest(at: "0.2:9000", state(endpoint)) == nil)
        endpoint.active = 0
        #expect(DrainCommand.rest(at: "ws://10.0.0.2:9000", state(endpoint)) == nil)
    }

    @Test func `of a Sluice that is stopping, its listeners and drains are not judged`() {
        var leaving = state()
        leaving.isReady = false
        leaving.routes[0].isDraining = true
        leaving.listeners = [ListenerState(address: "ws://127.0.0.1:1", certificates: [])]
        let found = RunningSluice.examine(leaving)
        #expect(found.sentence == "process pid \(getpid()): it is stopping.")
        #expect(
            !found.findings.contains { $0.what == "listener" || $0.what == "route" }, "\(found)")
    }
}
