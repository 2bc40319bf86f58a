// SPDX-License-Identifier: Apache-2.0
import COpenSSL
import Glibc
import TestKit
import Testing

@testable import TLS

/// Session tickets: under which keys they open, and how many there are.
struct TicketKeysTests {
    let identities: Identities

    init() throws { identities = try Identities.shared() }

    private static let period = 3_600

    @Test func `a key seals for its period and opens for one more`() throws {
        let start = TicketKeys.nowSeconds()
        let keys = try TicketKeys(sealingSeconds: Self.period)
        let first = try #require(keys.sealingKey(nowSeconds: start))
        #expect(keys.sealingKey(nowSeconds: start + Self.period - 1)?.name == first.name)
        #expect(keys.openingKey(name: first.name, nowSeconds: start)?.isCurrent == true)
        // Its time is over, though nobody has asked for a new key yet.
        #expect(
            keys.openingKey(name: first.name, nowSeconds: first.madeAtSeconds + Self.period)?
                .isCurrent == false)
        let second = try #require(
            keys.sealingKey(nowSeconds: first.madeAtSeconds + Self.period))
        #expect(second.name != first.name)
        #expect(memcmp(second.secret.cipherKey, first.secret.cipherKey, 32) != 0)
        #expect(memcmp(second.secret.macKey, first.secret.macKey, 32) != 0)
        #expect(memcmp(first.secret.cipherKey, first.secret.macKey, 32) != 0)
        let late = first.madeAtSeconds + 2 * Self.period - 1
        #expect(keys.openingKey(name: first.name, nowSeconds: late)?.isCurrent == false)
        #expect(keys.openingKey(name: second.name, nowSeconds: late)?.isCurrent == true)
        #expect(keys.openingKey(name: first.name, nowSeconds: late + 1) == nil)
        #expect(
            keys.openingKey(name: [UInt8](repeating: 0, count: 16), nowSeconds: start) == nil)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `a session is taken up again under the current key and the one before it`(
        version: TLSVersion
    ) throws {
        let keys = try TicketKeys(sealingSeconds: Self.period)
        let store = try identities.store([identities.local], tickets: keys)
        let ticket = try #require(try session(store, version).ticket)
        let again = try session(store, version, resuming: ticket)
        #expect(again.isResumed)

        let now = TicketKeys.nowSeconds()
        #expect(keys.sealingKey(nowSeconds: now + Self.period) != nil)
        let later = try session(store, version, resuming: ticket)
        #expect(later.isResumed, "the key before the current one still opens")
        let renewed = try #require(later.ticket)

        // After two periods the first key is gone, and what was sealed meanwhile opens.
        #expect(keys.sealingKey(nowSeconds: now + 2 * Self.period + 1) != nil)
        #expect(try !session(store, version, resuming: ticket).isResumed)
        #expect(try session(store, version, resuming: renewed).isResumed)
    }

    @Test(arguments: [TLSVersion.tls12, .tls13])
    func `a ticket outlives a reload, unless the keys are others`(version: TLSVersion) throws {
        let keys = try TicketKeys()
        let before = try identities.store([identities.local], tickets: keys)
        let ticket = try #require(try session(before, version).ticket)
        let after = try identities.store([identities.local, identities.chat], tickets: keys)
        #expect(try session(after, version, resuming: ticket).isResumed)
        let other = try identities.store([identities.local])
        #expect(try !session(other, version, resuming: ticket).isResumed)
    }

    /// RFC 8446 §4.6.1, §C.4: clients use a ticket once, so every handshake has to bring another.
    @Test func `a client that uses each ticket once resumes every time but the first`() throws {
        let keys = try TicketKeys(sealingSeconds: Self.period)
        var store = try identities.store([identities.local], tickets: keys)
        var ticket: ResumptionTicket?
        var resumed = 0
        for round in 0..<10 {
            let made = try session(store, .tls13, resuming: ticket)
            resumed += made.isResumed ? 1 : 0
            ticket = made.ticket
            #expect(made.tickets == 1, "round \(round)")
            switch round {
            // A reload with one more certificate, then one with a certificate less.
            case 2:
                store = try identities.store([identities.local, identities.chat], tickets: keys)
            case 4: store = try identities.store([identities.local], tickets: keys)
            // New keys, twice: only the last and the one before it open.
            case 6, 8:
                let times = round == 6 ? 1 : 2
                let now = TicketKeys.nowSeconds() + times * (Self.period + 1)
                #expect(keys.sealingKey(nowSeconds: now) != nil)
            default: break
            }
        }
        #expect(resumed == 9)
    }

    @Test func `every handshake of TLS 1_3 gives one ticket`() throws {
        let store = try identities.store([identities.local])
        let first = try session(store, .tls13)
        #expect(first.tickets == 1 && !first.isResumed)
        let second = try session(store, .tls13, resuming: first.ticket)
        #expect(second.tickets == 1 && second.isResumed)
        // One that nobody can open: a full handshake.
        let other = try identities.store([identities.local])
        let third = try session(other, .tls13, resuming: second.ticket)
        #expect(third.tickets == 1 && !third.isResumed)
    }

    @Test func `in TLS 1_2 a ticket is used again until its key is old`() throws {
        let keys = try TicketKeys(sealingSeconds: Self.period)
        let store = try identities.store([identities.local], tickets: keys)
        let first = try session(store, .tls12)
        #expect(first.tickets == 1 && !first.isResumed)
        for _ in 0..<3 {
            let again = try session(store, .tls12, resuming: first.ticket)
            #expect(again.tickets == 0 && again.isResumed)
        }
        #expect(keys.sealingKey(nowSeconds: TicketKeys.nowSeconds() + Self.period) != nil)
        let later = try session(store, .tls12, resuming: first.ticket)
        #expect(later.tickets == 1 && later.isResumed)
    }

    @Test func `a resumed session goes on without OpenSSL's object as any other`() throws {
        let store = try identities.store([identities.local])
        let ticket = try #require(try session(store, .tls13).ticket)
        let pair = MemoryPair(
            store, client: try client(), serverName: "localhost", resuming: ticket)
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.server.facts?.isResumed == true)
        try #require(pair.server.release() == .released)
        for round in UInt8(0)..<3 {
            #expect(pair.server.read(pair.client.seal([round, 1])).plain == [round, 1])
            #expect(pair.client.read(pair.server.seal([round, 2])).plain == [round, 2])
        }
    }

    /// The keys open every session that was sealed with them, as long as they are somewhere.
    @Test(.enabled(if: AllocationCounting.isPossible, "the address sanitizer keeps what is freed"))
    func `keys that open no more are gone from memory`() throws {
        let keys = try TicketKeys(sealingSeconds: Self.period)
        let store = try identities.store([identities.local], tickets: keys)
        let ticket = try #require(try session(store, .tls13).ticket)
        #expect(try session(store, .tls13, resuming: ticket).isResumed)
        let search = MemorySearch()
        let now = TicketKeys.nowSeconds()
        func want(_ name: String, at seconds: Int) throws {
            let secret = try #require(keys.sealingKey(nowSeconds: seconds)).secret
            search.want(
                "\(name) cipher", UnsafeRawBufferPointer(start: secret.cipherKey, count: 32))
            search.want("\(name) mac", UnsafeRawBufferPointer(start: secret.macKey, count: 32))
        }
        try want("first", at: now)
        let first: Set = ["first cipher", "first mac"]
        #expect(try search.found(expecting: first) == first)
        try want("second", at: now + Self.period)
        #expect(try session(store, .tls13, resuming: ticket).isResumed)
        let second: Set = ["second cipher", "second mac"]
        #expect(try search.found(expecting: first.union(second)) == first.union(second))
        #expect(keys.sealingKey(nowSeconds: now + 2 * Self.period) != nil)
        #expect(try !session(store, .tls13, resuming: ticket).isResumed)
        #expect(try search.found(expecting: second) == second)
    }

    @Test func `many threads ask for keys at once and get the same`() async throws {
        let keys = try TicketKeys(sealingSeconds: Self.period)
        let now = TicketKeys.nowSeconds() + Self.period
        let names = await withTaskGroup(of: [UInt8]?.self) { group in
            for _ in 0..<64 { group.addTask { keys.sealingKey(nowSeconds: now)?.name } }
            return await group.reduce(into: Set<[UInt8]?>()) { $0.insert($1) }
        }
        #expect(names.count == 1)
    }

    private func session(
        _ store: CertificateStore, _ version: TLSVersion, resuming ticket: ResumptionTicket? = nil
    ) throws -> (isResumed: Bool, ticket: ResumptionTicket?, tickets: Int) {
        let pair = MemoryPair(
            store, client: try client(version), serverName: "localhost", resuming: ticket)
        let pointer = try #require(pair.client.pointer)
        let count = UnsafeMutablePointer<Int>.allocate(capacity: 1)
        count.initialize(to: 0)
        defer { count.deallocate() }
        SSL_set_msg_callback(pointer) { isWrite, _, kind, bytes, length, _, argument in
            // A handshake message of type new_session_ticket (RFC 8446 §4).
            guard isWrite == 0, kind == 22, length > 0, let bytes,
                bytes.load(as: UInt8.self) == 4
            else { return }
            argument?.assumingMemoryBound(to: Int.self).pointee += 1
        }
        // SSL_set_msg_callback_arg, which is a macro.
        _ = SSL_ctrl(pointer, 16, 0, count)
        #expect(pair.handshake() == (.done, .done))
        #expect(pair.client.read(pair.server.seal([1])).plain == [1])
        let isResumed = pair.server.facts?.isResumed ?? false
        #expect(pair.client.facts?.isResumed == isResumed)
        return (isResumed, pair.client.ticket, count.pointee)
    }
}
