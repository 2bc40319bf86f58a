// SPDX-License-Identifier: Apache-2.0
import Glibc
import Ledger
import Proxy
import Reactor
import Router
import Testing

@testable import Frontend

/// The search for an endpoint, and what is held meanwhile.
struct EndpointSearchTests {
    private static func endpoint(_ name: String, addresses: Int = 1) -> Endpoint {
        let endpoint = Endpoint(label: "ws://\(name):1", host: name, port: 1)
        endpoint.addresses = (0..<addresses).map { .loopback(port: UInt16($0 + 1)) }
        return endpoint
    }

    private static func group(
        _ endpoints: [Endpoint], activeMax: Int = .max, queue: QueueLimits? = nil
    ) -> EndpointGroup {
        var rules = UpstreamRules(balance: .roundRobin)
        rules.activeMax = activeMax
        return EndpointGroup(name: "app", endpoints: endpoints, rules: rules, queueLimits: queue)
    }

    @Test func `each endpoint is claimed once, with each of its addresses`() throws {
        let group = Self.group([
            Self.endpoint("a", addresses: 2), Self.endpoint("b", addresses: 2),
        ])
        var search = EndpointSearch(group, deadlineMilliseconds: 1_000, key: nil)
        var seen: Set<Int> = []
        while let index = search.claim(nowMilliseconds: 0) {
            #expect(seen.insert(index).inserted)
            #expect(search.current === group.endpoints[index])
            #expect(search.pooledEndpoint === group.endpoints[index])
            #expect(search.nextAddress() != nil)
            #expect(search.pooledEndpoint == nil)
            #expect(search.nextAddress() != nil)
            #expect(search.nextAddress() == nil)
            group.closed(index)
        }
        #expect(seen == [0, 1])
    }

    @Test func `the time that is left is shared by what may still be tried`() {
        let group = Self.group([
            Self.endpoint("a", addresses: 2), Self.endpoint("b", addresses: 2),
        ])
        var search = EndpointSearch(group, deadlineMilliseconds: 900, key: nil)
        #expect(search.claim(nowMilliseconds: 0) != nil)
        _ = search.nextAddress()
        // This address, the endpoint's other one, and the other endpoint.
        #expect(search.attemptDeadline(nowMilliseconds: 0) == 300)
        _ = search.nextAddress()
        #expect(search.attemptDeadline(nowMilliseconds: 300) == 600)
        #expect(search.attemptDeadline(nowMilliseconds: 2_000) == 2_000)
    }

    @Test func `another endpoint is asked once, in time, and never the same`() {
        let group = Self.group([Self.endpoint("a"), Self.endpoint("b")])
        var search = EndpointSearch(group, deadlineMilliseconds: 1_000, key: nil)
        let first = search.claim(nowMilliseconds: 0)
        let second = search.claimAnother(nowMilliseconds: 10)
        #expect(first != nil && second != nil && first != second)
        #expect(search.claimAnother(nowMilliseconds: 20) == nil)
        var late = EndpointSearch(group, deadlineMilliseconds: 1_000, key: nil)
        _ = late.claim(nowMilliseconds: 0)
        #expect(late.claimAnother(nowMilliseconds: 1_000) == nil)
    }

    @Test func `a name without addresses is told apart from an endpoint that refuses`() {
        let group = Self.group([Self.endpoint("a", addresses: 0)])
        var search = EndpointSearch(group, deadlineMilliseconds: 1_000, key: nil)
        _ = search.claim(nowMilliseconds: 0)
        #expect(search.nextAddress() == nil)
        #expect(search.lastFailure?.cause == .unresolved)
        #expect(search.exhaustion(nowMilliseconds: 0) == .unresolved)
    }

    @Test func `that a family is missing is no news behind a refusal at the other`() {
        let group = Self.group([Self.endpoint("a", addresses: 2)])
        var search = EndpointSearch(group, deadlineMilliseconds: 1_000, key: nil)
        _ = search.claim(nowMilliseconds: 0)
        search.failed(.failed(ECONNREFUSED))
        search.failed(.failed(ENETUNREACH))
        #expect(search.lastFailure == .failed(ECONNREFUSED))
        search.failed(.timedOut)
        #expect(search.lastFailure?.cause == .connectTimeout)
    }

    @Test func `a full upstream is waited for where it has a line, and else refused`() {
        let full = Self.group([Self.endpoint("a")], activeMax: 1)
        var first = EndpointSearch(full, deadlineMilliseconds: 1_000, key: nil)
        #expect(first.claim(nowMilliseconds: 0) == 0)
        var second = EndpointSearch(full, deadlineMilliseconds: 1_000, key: nil)
        #expect(second.claim(nowMilliseconds: 0) == nil)
        let mayWait = second.hasToWait(nowMilliseconds: 0)
        #expect(!mayWait)
        #expect(second.exhaustion(nowMilliseconds: 0) == .endpointsFull)
        let lined = Self.group(
            [Self.endpoint("a")], activeMax: 1,
            queue: QueueLimits(waitMilliseconds: 100, size: 1))
        var holder = EndpointSearch(lined, deadlineMilliseconds: 1_000, key: nil)
        #expect(holder.claim(nowMilliseconds: 0) == 0)
        var waiter = EndpointSearch(lined, deadlineMilliseconds: 1_000, key: nil)
        #expect(waiter.claim(nowMilliseconds: 0) == nil)
        let waits = waiter.hasToWait(nowMilliseconds: 0)
        #expect(waits)
        // Until it is called it takes nothing, also where there is something.
        lined.closed(0)
        #expect(waiter.claim(nowMilliseconds: 0) == nil)
        #expect(waiter.claimCalled(of: lined, nowMilliseconds: 0) == 0)
    }

    @Test(arguments: [
        (DialFailure.shortage(.ports), false), (.shortage(.memory), false), (.unresolved, true),
        (.failed(ECONNREFUSED), true), (.timedOut, true),
    ])
    func `only what the endpoint can help is its fault`(failure: DialFailure, isItsFault: Bool) {
        #expect(failure.cause.blamesUpstream == isItsFault)
    }

    @Test func `what is held is given back once, in one call`() throws {
        let group = Self.group([Self.endpoint("a")], activeMax: 1)
        let admission = Admission()
        var limits = AdmissionLimits()
        limits.relays = 1
        let client = Address.loopback(port: 9)
        #expect(admission.enter(client, limits, nowMilliseconds: 0) == .admitted)
        #expect(group.picker.claim(only: 0))
        var places = Places()
        #expect(places.isEmpty)
        places.take(admission, as: client)
        places.take(0, of: group)
        #expect(!places.isEmpty)
        #expect(group.picker.active(0) == 1)
        places.giveBack(nowMilliseconds: 0)
        places.giveBack(nowMilliseconds: 0)
        #expect(places.isEmpty)
        #expect(group.picker.active(0) == 0)
        #expect(admission.enter(client, limits, nowMilliseconds: 0) == .admitted)
        #expect(admission.enter(client, limits, nowMilliseconds: 0) == .full)
    }
}
